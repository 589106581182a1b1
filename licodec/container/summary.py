"""What a .lic file says about itself, as plain values for `licodec info` and `read_info`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, fields
from typing import Any

from licodec.container.chunks import FRAME_BYTES, MAGIC, Chunk
from licodec.container.file import ALPHA, PLAN, TILES, LicFile, LosslessFile
from licodec.container.header import FORMAT_VERSION, Header
from licodec.container.tiles import Tiles
from licodec.rate.gains import GAIN_ONE


def describe(lic: LicFile | LosslessFile) -> dict[str, Any]:
    """Every field of a file in JSON's types; identifiers and checksums in hexadecimal.

    `size` is the file's in bytes, `bpp` its bits per pixel, all chunks included.
    `overhead_bytes` is what is neither coded picture, plan, tiles, alpha plane nor ancillary data:
    magic, framing, header, pixel checksum and index. A lossless file has "lossless" true, its
    "coding", its "pieces" and their "piece_bytes", and null for what is of networks.
    """
    header = lic.header
    *others, payload = lic.to_chunks()
    chunks = [*others, *lic.damaged, payload]
    size = len(MAGIC) + sum(FRAME_BYTES + len(chunk.data) for chunk in chunks)
    optional_bytes = sum(
        len(chunk.data)
        for chunk in chunks
        if chunk.type in (PLAN, TILES, ALPHA) or not chunk.critical
    )
    stated = {n: v.hex() if isinstance(v, bytes) else v for n, v in asdict(header).items()}
    own = _of_pieces(lic) if isinstance(lic, LosslessFile) else _of_network(lic)
    coded_bytes = sum(own[name] or 0 for name in ("rans_bytes", "escape_bytes", "piece_bytes"))
    return {
        "size": size,
        "format_version": FORMAT_VERSION,
        "alpha_plane": stated.pop("has_alpha"),
        **stated,
        **own,
        "chunks": [_describe_chunk(chunk) for chunk in chunks],
        "metadata": {
            "icc": _length(lic.metadata.icc),
            "exif": _length(lic.metadata.exif),
            "xmp": _length(lic.metadata.xmp),
        },
        "overhead_bytes": size - coded_bytes - optional_bytes,
        "bpp": 8 * size / (header.width * header.height),
        "pixel_crc": f"{lic.pixel_crc:08x}",
        "warnings": list(lic.warnings),
    }


def _of_network(lic: LicFile) -> dict[str, Any]:
    """What only a file coded by a network says, and null for what only the others do."""
    header = lic.header
    return {
        "lossless": False,
        "coding": None,
        "pieces": None,
        "piece_bytes": None,
        "d": header.d_value,
        "alpha": header.alpha / GAIN_ONE,
        "beta": header.beta / GAIN_ONE,
        "plan": _describe_plan(lic.plan),
        "streams": len(lic.streams),
        "tiles": _describe_tiles(lic.tiles),
        "rans_bytes": sum(len(stream.rans) for stream in lic.streams),
        "escape_bytes": sum(len(stream.escapes) for stream in lic.streams),
        "alpha_plane_bytes": _length(lic.alpha_plane),
    }


def _of_pieces(lic: LosslessFile) -> dict[str, Any]:
    """What only a lossless file says, and null for what only the others do."""
    of_networks = ("plan", "streams", "tiles", "rans_bytes", "escape_bytes", "alpha_plane_bytes")
    of_headers = [field.name for field in fields(Header) if field.name not in asdict(lic.header)]
    return {
        **dict.fromkeys((*of_headers, *of_networks)),
        "lossless": True,
        "pieces": {"columns": lic.grid.columns, "rows": lic.grid.rows},
        "piece_bytes": sum(map(len, lic.pieces)),
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


def _describe_tiles(tiles: Tiles | None) -> dict[str, Any] | None:
    """The tiles' lengths and offsets by group of planes; None without tiles."""
    if tiles is None:
        return None
    return {"groups": [list(group) for group in tiles.groups], "scales": len(tiles.extremes)}


def _describe_chunk(chunk: Chunk) -> dict[str, Any]:
    return {"type": chunk.name, "bytes": len(chunk.data), "intact": chunk.intact}


def _length(content: bytes | None) -> int | None:
    return None if content is None else len(content)
