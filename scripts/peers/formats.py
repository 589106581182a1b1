"""The format of a file, by its first bytes."""

from __future__ import annotations

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    *((b"P%d" % digit, "PPM") for digit in range(1, 7)),
)


def format_of(head: bytes) -> str:
    """The format that a file of this beginning (16 bytes or more) claims, or "other"."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis", b"mif1", b"msf1", b"miaf"):
        return "AVIF"
    return next((name for start, name in _STARTS if head.startswith(start)), "other")
