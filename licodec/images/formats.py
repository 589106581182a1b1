"""Picture formats by name, suffix and first bytes: those that are read, and those told apart."""

from __future__ import annotations

import re
from importlib.util import find_spec

_AVIF = find_spec("PIL._avif") is not None  # Pillow can be built without it
INPUT_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM", "GIF", *(["AVIF"] if _AVIF else []))
INPUT_FORMATS_TEXT = f"PNG, JPEG, WebP, TIFF, BMP, PPM/PGM/PBM, GIF{', AVIF' if _AVIF else ''}"
INPUT_SUFFIXES = frozenset(
    (
        *(".png", ".apng"),
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        ".webp",
        *(".tif", ".tiff"),
        *(".bmp", ".dib"),
        *(".ppm", ".pgm", ".pbm", ".pnm"),
        ".gif",
        *([".avif"] if _AVIF else []),
    )
)

# How many of a file's first bytes tell its format.
HEAD_BYTES = 64

PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes of what follows the first 14
_READ_STARTS = (
    (rb"RIFF....WEBP", "WebP"),
    (rb".PNG", "PNG"),  # with its line ends or top bits changed, as its signature is there to show
    (rb"BM....\0\0\0\0", "BMP"),
    (rb"P[1-6]\s", "PPM"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"GIF8", "GIF"),
    (b"|".join(map(re.escape, TIFF_STARTS)), "TIFF"),
)
# What people try all the same: the error names it.
_OTHER_STARTS = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"8BPS", "Photoshop"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\x00\x00\x01\x00", "icon (ICO)"),
    (b"qoif", "QOI"),
    (b"P7\n", "PAM"),
    (b"PF", "floating-point PFM"),
    (b"%PDF", "PDF"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
    (b"IIRO", "camera raw"),
    (b"IIRS", "camera raw"),
    (b"MMOR", "camera raw"),
    (b"IIU\x00", "camera raw"),
)
_OTHER_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), "HEIC"),
    b"crx ": "camera raw",
}


def is_bmp(head: bytes) -> bool:
    """Whether a file begins as a BMP of any header: its signature alone is two letters."""
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS


def damaged_format(head: bytes) -> str | None:
    """The format that a file with these first bytes is of, among those that are read."""
    if brands(head) & {b"avif", b"avis"}:
        return "AVIF" if _AVIF else None
    return next((name for p, name in _READ_STARTS if re.match(p, head, re.DOTALL)), None)


def foreign_format(head: bytes) -> str | None:
    """The name of a well-known format that is not read, by a file's first bytes."""
    named = brands(head)
    for brand, name in _OTHER_BRANDS.items():
        if brand in named:
            return name
    return next((name for start, name in _OTHER_STARTS if head.startswith(start)), None)


def brands(head: bytes) -> frozenset[bytes]:
    """The brands of an ISO media file (AVIF, HEIC, ...) as far as `head` reaches."""
    if head[4:8] != b"ftyp":
        return frozenset()
    box = head[: min(len(head), int.from_bytes(head[:4], "big"))]
    return frozenset((box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))))
