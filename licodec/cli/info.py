"""`licodec info`: what files say about themselves, without decoding them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from licodec.cli.reading import read_lic, source_name
from licodec.cli.rendering import Reporter, Verbosity, about, counted, one_line
from licodec.cli.streams import require_output
from licodec.container import Header, describe, read_file
from licodec.descriptors import STANDARD_STREAM
from licodec.errors import LicodecError, WeightsMissingError
from licodec.packs import PackName, find_pack, open_pack

_LABEL_WIDTH = 16
_METADATA_NAMES = {"icc": "ICC profile", "exif": "Exif", "xmp": "XMP"}

Layers = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class _Report:
    """One file: what it says, its pack where that is installed, and the plan if asked for."""

    name: str
    fields: dict[str, Any]
    pack: PackName | None
    layers: Layers | None


def info_text(sources: list[str], verbosity: Verbosity) -> int:
    """Print every field of each file; returns the exit code, the highest of the files'.

    Raises LicodecError where there is nothing to print to.
    """
    require_output()
    reporter, inspector, separate = Reporter(verbosity), _Inspector(verbosity), False
    for source in sources:
        try:
            report = inspector.report(source)
        except LicodecError as error:
            reporter.failure(error)
            continue
        lines = [""] if separate else []
        separate = True
        lines.append(one_line(report.name))
        for label, text in _lines(report):
            lines.append(f"  {label:<{_LABEL_WIDTH}} {one_line(text)}".rstrip())
        if verbosity is Verbosity.VERBOSE:
            lines += map(one_line, _details(report))
        reporter.show("\n".join(lines))
    return reporter.exit_code


def info_json(sources: list[str], verbosity: Verbosity) -> int:
    """Print a JSON array with an object for each file, in order; returns the exit code.

    An object has "file", the name as it was given, and either the fields of `licodec.read_info`
    with "pack" (null where it is not installed) and, with -v, "layers"; or "error" and
    "exit_code". Bytes of a name that are no text in the file system's encoding are lone surrogates
    (U+DC80 to U+DCFF), as Python has it. Raises LicodecError where there is nothing to print to.
    """
    require_output()
    reporter, inspector = Reporter(verbosity), _Inspector(verbosity)
    objects: list[dict[str, Any]] = []
    exit_code = 0
    for source in sources:
        file = source_name(source) if source == STANDARD_STREAM else source
        try:
            report = inspector.report(source)
        except LicodecError as error:
            exit_code = max(exit_code, error.exit_code)
            objects.append({"file": file, "error": str(error), "exit_code": error.exit_code})
            continue
        pack = report.pack and {
            "path": str(report.pack.path),
            "plan": report.pack.plan_name,
            "objective": _objective(report),
        }
        described = {"file": file, **report.fields, "pack": pack}
        if verbosity is Verbosity.VERBOSE:
            described["layers"] = report.layers and [
                {"layer": name, "bits": bits} for name, bits in report.layers
            ]
        objects.append(described)
    reporter.show(json.dumps(objects, indent=2))
    return max(exit_code, reporter.exit_code)


class _Inspector:
    """Looks at one file after the other; a pack is looked for once."""

    def __init__(self, verbosity: Verbosity) -> None:
        self._with_layers = verbosity is Verbosity.VERBOSE
        self._installed = cache(_installed)
        self._layers = cache(lambda path: open_pack(path).plan_by_layer)

    def report(self, source: str) -> _Report:
        """Raises LicodecError."""
        name = source_name(source)
        data = read_lic(source)
        with about(name):
            lic = read_file(data)
            header, pack = lic.header, None
            if isinstance(header, Header):
                pack = self._installed(header.weights_id, header.backbone, header.adapter_id)
            layers = self._layers(pack.path) if pack is not None and self._with_layers else None
        return _Report(name, describe(lic), pack, layers)


def _installed(weights_id: bytes, backbone: str, adapter_id: bytes | None) -> PackName | None:
    try:
        return find_pack(weights_id, backbone, adapter_id)
    except WeightsMissingError:
        return None


def _lines(report: _Report) -> Iterator[tuple[str, str]]:
    """Labels and values: every header field, and the sizes of the parts."""
    fields = report.fields
    samples = "grey" if fields["channels"] == 1 else "RGB"
    yield "size", f"{fields['size']} bytes, {fields['bpp']:.3f} bits per pixel"
    yield "format version", str(fields["format_version"])
    yield "picture", f"{fields['width']}x{fields['height']} pixels"
    yield "channels", f"{fields['channels']} ({samples}) of {fields['bit_depth']} bits"
    if fields["lossless"]:
        yield "alpha plane", "in the payload" if fields["alpha_plane"] else "none"
        yield "coding", f"lossless ({fields['coding']})"
    else:
        yield from _network_lines(report)
    for kind, label in _METADATA_NAMES.items():
        yield label, _bytes(fields["metadata"][kind])
    yield "payload", _payload(fields)
    if (tiles := fields["tiles"]) is not None:
        groups = counted(len(tiles["groups"]), "group")
        yield "tiles", f"in {groups} of planes; crops decode by themselves"
    yield "overhead", f"{fields['overhead_bytes']} bytes"
    yield "pixel checksum", fields["pixel_crc"]
    for warning in fields["warnings"]:
        yield "warning", warning


def _network_lines(report: _Report) -> Iterator[tuple[str, str]]:
    fields, pack = report.fields, report.pack
    unit = fields["d_fraction_bits"]
    yield "alpha plane", _bytes(fields["alpha_plane_bytes"])
    yield "backbone", fields["backbone"]
    yield "arithmetic", fields["profile"]
    installed = f"{pack.plan_name}: {pack.path}" if pack else "not installed"
    yield "weights id", f"{fields['weights_id']} ({installed})"
    yield "d", f"{fields['d']:g} ({round(fields['d'] * 2**unit)} in units of 2^-{unit})"
    yield "alpha, beta", f"{fields['alpha']:g}, {fields['beta']:g}"
    objective = _objective(report)
    yield "adapter set", (fields["adapter_id"] or "none") + (f" ({objective})" if objective else "")
    yield "precision plan", _plan(fields["plan"])


def _payload(fields: dict[str, Any]) -> str:
    if not fields["lossless"]:
        return (
            f"{counted(fields['streams'], 'stream')}, {fields['rans_bytes']} bytes of symbols, "
            f"{fields['escape_bytes']} of escapes"
        )
    columns, rows = fields["pieces"].values()
    count = counted(columns * rows, "piece")
    where = f" ({columns} across, {rows} down)" if columns * rows > 1 else ""
    return f"{count}{where}, {fields['piece_bytes']} bytes"


def _objective(report: _Report) -> str | None:
    """What the file's adapter set was trained for, where it has one whose pack is installed."""
    sets = () if report.pack is None else report.pack.adapters
    wanted = report.fields["adapter_id"]
    return next((own.objective for own in sets if own.adapter_id.hex() == wanted), None)


def _bytes(count: int | None) -> str:
    return "none" if count is None else counted(count, "byte")


def _plan(plan: dict[str, Any] | None) -> str:
    if plan is None:
        return "the pack's"
    widths = ", ".join(f"{n} of {bits} bits" for bits, n in plan["operations_by_width"].items())
    return f"{counted(plan['operations'], 'operation')}: {widths}"


def _details(report: _Report) -> Iterator[str]:
    """What -v adds: the chunks, and the plan by layer where the pack is installed."""
    yield "  chunks"
    for chunk in report.fields["chunks"]:
        damage = "" if chunk["intact"] else ", damaged"
        yield f"    {chunk['type']:<14} {counted(chunk['bytes'], 'byte')}{damage}"
    if report.fields["lossless"]:
        return
    if report.layers is None:
        yield "  plan by layer    the pack is not installed"
        return
    yield "  plan by layer"
    width = max((len(name) for name, _ in report.layers), default=0)
    for name, bits in report.layers:
        yield f"    {name:<{width}} {bits} bits"
