"""What a .lic file says about itself, as plain values for `licodec info` and `read_info`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from licodec.container.bands import Bands
from licodec.container.chunks import FRAME_BYTES, MAGIC, Chunk
from licodec.container.file import ALPHA, BANDS, PLAN, LicFile
from licodec.container.header import FORMAT_VERSION
from licodec.rate.gains import GAIN_ONE


def describe(lic: LicFile) -> dict[str, Any]:
    """Every field of a file in JSON's types; identifiers and checksums in hexadecimal.

    `size` is the file's in bytes, `bpp` its bits per pixel, all chunks included.
    `overhead_bytes` is what is neither coded symbols, plan, bands, alpha plane nor ancillary data:
    magic, framing, header, pixel checksum and stream index.
    """
    header = lic.header
    *others, payload = lic.to_chunks()
    chunks = [*others, *lic.damaged, payload]
    size = len(MAGIC) + sum(FRAME_BYTES + len(chunk.data) for chunk in chunks)
    rans_bytes = sum(len(stream.rans) for stream in lic.streams)
    escape_bytes = sum(len(stream.escapes) for stream in lic.streams)
    optional_bytes = sum(
        len(chunk.data)
        for chunk in chunks
        if chunk.type in (PLAN, BANDS, ALPHA) or not chunk.critical
    )
    stated = {n: v.hex() if isinstance(v, bytes) else v for n, v in asdict(header).items()}
    return {
        "size": size,
        "format_version": FORMAT_VERSION,
        "alpha_plane": stated.pop("has_alpha"),
        **stated,
        "d": header.d_value,
        "alpha": header.alpha / GAIN_ONE,
        "beta": header.beta / GAIN_ONE,
        "plan": _describe_plan(lic.plan),
        "chunks": [_describe_chunk(chunk) for chunk in chunks],
        "streams": len(lic.streams),
        "bands": _describe_bands(lic.bands),
        "rans_bytes": rans_bytes,
        "escape_bytes": escape_bytes,
        "alpha_plane_bytes": _length(lic.alpha_plane),
        "metadata": {
            "icc": _length(lic.metadata.icc),
            "exif": _length(lic.metadata.exif),
            "xmp": _length(lic.metadata.xmp),
        },
        "overhead_bytes": size - rans_bytes - escape_bytes - optional_bytes,
        "bpp": 8 * size / (header.width * header.height),
        "pixel_crc": f"{lic.pixel_crc:08x}",
        "warnings": list(lic.warnings),
    }


def _describe_plan(plan: tuple[int, ...] | None) -> dict[str, Any] | None:
    """How many weighted operations have each width; None where the pack holds the plan."""
    if plan is None:
        return None
    counts = Counter(plan)
    return {
        "operations": len(plan),
        "operations_by_width": {str(width): counts[width] for width in sorted(counts)},
    }


def _describe_bands(bands: Bands | None) -> dict[str, Any] | None:
    """The direction and the bands' lengths and offsets by group of planes; None without bands."""
    if bands is None:
        return None
    return {
        "direction": "columns" if bands.columns else "rows",
        "groups": [list(group) for group in bands.groups],
        "scales": len(bands.extremes),
    }


def _describe_chunk(chunk: Chunk) -> dict[str, Any]:
    return {"type": chunk.name, "bytes": len(chunk.data), "intact": chunk.intact}


def _length(content: bytes | None) -> int | None:
    return None if content is None else len(content)
