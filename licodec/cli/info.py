"""`licodec info`: what files say about themselves, without decoding them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from licodec.cli.reading import read_lic, source_name
from licodec.cli.rendering import Verbosity, about, counted, one_line, print_error
from licodec.container import LicFile, describe, read_file
from licodec.errors import LicodecError, WeightsMissingError
from licodec.packs import PackName, find_pack, read_pack

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
    """Print every field of each file; returns the exit code, the highest of the files'."""
    exit_code, separate = 0, False
    for source in sources:
        try:
            report = _report(source, verbosity)
        except LicodecError as error:
            print_error(str(error))
            exit_code = max(exit_code, error.exit_code)
            continue
        if separate:
            typer.echo()
        separate = True
        typer.echo(one_line(report.name))
        for label, text in _lines(report):
            typer.echo(f"  {label:<{_LABEL_WIDTH}} {one_line(text)}".rstrip())
        if verbosity is Verbosity.VERBOSE:
            for line in _details(report):
                typer.echo(one_line(line))
    return exit_code


def info_json(sources: list[str], verbosity: Verbosity) -> int:
    """Print a JSON array with an object for each file, in order; returns the exit code.

    An object has "file" and either the fields of `licodec.read_info` with "pack" (null where it
    is not installed) and, with -v, "layers"; or "error" and "exit_code".
    """
    objects: list[dict[str, Any]] = []
    exit_code = 0
    for source in sources:
        try:
            report = _report(source, verbosity)
        except LicodecError as error:
            exit_code = max(exit_code, error.exit_code)
            name = source_name(source)
            objects.append({"file": name, "error": str(error), "exit_code": error.exit_code})
            continue
        pack = report.pack and {
            "path": str(report.pack.path),
            "plan": report.pack.plan_name,
            "objective": _objective(report),
        }
        described = {"file": report.name, **report.fields, "pack": pack}
        if verbosity is Verbosity.VERBOSE:
            described["layers"] = report.layers and [
                {"layer": name, "bits": bits} for name, bits in report.layers
            ]
        objects.append(described)
    typer.echo(json.dumps(objects, indent=2))
    return exit_code


def _report(source: str, verbosity: Verbosity) -> _Report:
    name = source_name(source)
    data = read_lic(source)
    with about(name):
        lic = read_file(data)
        pack = _installed(lic)
        wanted = pack is not None and verbosity is Verbosity.VERBOSE
        layers = read_pack(pack.path).plan_by_layer if wanted else None
    return _Report(name, describe(lic), pack, layers)


def _installed(lic: LicFile) -> PackName | None:
    try:
        return find_pack(lic.header.weights_id, lic.header.backbone, lic.header.adapter_id)
    except WeightsMissingError:
        return None


def _lines(report: _Report) -> Iterator[tuple[str, str]]:
    """Labels and values: every header field, and the sizes of the parts."""
    fields = report.fields
    unit = fields["d_fraction_bits"]
    samples = "grey" if fields["channels"] == 1 else "RGB"
    pack = report.pack
    yield "size", f"{fields['size']} bytes, {fields['bpp']:.3f} bits per pixel"
    yield "format version", str(fields["format_version"])
    yield "picture", f"{fields['width']}x{fields['height']} pixels"
    yield "channels", f"{fields['channels']} ({samples}) of {fields['bit_depth']} bits"
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
    for kind, label in _METADATA_NAMES.items():
        yield label, _bytes(fields["metadata"][kind])
    yield (
        "payload",
        f"{counted(fields['streams'], 'stream')}, {fields['rans_bytes']} bytes of symbols, "
        f"{fields['escape_bytes']} of escapes",
    )
    yield "overhead", f"{fields['overhead_bytes']} bytes"
    yield "pixel checksum", fields["pixel_crc"]
    for warning in fields["warnings"]:
        yield "warning", warning


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
    if report.layers is None:
        yield "  plan by layer    the pack is not installed"
        return
    yield "  plan by layer"
    width = max((len(name) for name, _ in report.layers), default=0)
    for name, bits in report.layers:
        yield f"    {name:<{width}} {bits} bits"
