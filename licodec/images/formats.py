"""Picture formats by name, suffix and first bytes: those that are read, and those told apart."""

from __future__ import annotations

import re
from importlib.util import find_spec

# What is read: Pillow's name, what the format is called, and the endings of files' names.
_FORMATS = (
    ("PNG", "PNG", ".png .apng"),
    ("JPEG", "JPEG", ".jpg .jpeg .jpe .jfif .mpo"),
    ("WEBP", "WebP", ".webp"),
    ("TIFF", "TIFF", ".tif .tiff"),
    ("BMP", "BMP", ".bmp .dib"),
    ("PPM", "PPM/PGM/PBM", ".ppm .pgm .pbm .pnm"),
    ("GIF", "GIF", ".gif"),
    ("JPEG2000", "JPEG 2000", ".jp2 .j2k .jpx .jpf .j2c .jpc"),
    ("AVIF", "AVIF", ".avif"),
    ("HEIF", "HEIC", ".heic .heif .hif"),
    ("JXL", "JPEG XL", ".jxl"),
)
# Pillow can be built without AVIF; the others are extras.
_PACKAGES = {"AVIF": "PIL._avif", "HEIF": "pillow_heif", "JXL": "pillow_jxl"}
_READ = [f for f in _FORMATS if f[0] not in _PACKAGES or find_spec(_PACKAGES[f[0]])]
INPUT_FORMATS = tuple(name for name, _, _ in _READ)
INPUT_FORMATS_TEXT = ", ".join(text for _, text, _ in _READ)
INPUT_SUFFIXES = frozenset(suffix for _, _, suffixes in _READ for suffix in suffixes.split())

# How many of a file's first bytes tell its format.
HEAD_BYTES = 64

PNG_START = b"\x89PNG\r\n\x1a\n"
EXIF_PREFIX = b"Exif\x00\x00"  # of the block in a JPEG
JPEG_START = b"\xff\xd8"
TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
JP2_STARTS = (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
JXL_STARTS = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")
HEIC_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"))
BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes of what follows the first 14
_READ_STARTS = (
    (rb"RIFF....WEBP", "WebP"),
    (rb".PNG", "PNG"),  # with its line ends or top bits changed, as its signature is there to show
    (rb"BM....\0\0\0\0", "BMP"),
    (rb"P[1-6]\s", "PPM"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"GIF8", "GIF"),
    (b"|".join(map(re.escape, JP2_STARTS)), "JPEG 2000"),
    (b"|".join(map(re.escape, TIFF_STARTS)), "TIFF"),
)
# What people try all the same: the error names it.
_OTHER_STARTS: tuple[tuple[bytes | tuple[bytes, ...], str], ...] = (
    (b"II\xbc\x01", "JPEG XR"),
    (b"8BPS", "Photoshop"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\x00\x00\x01\x00", "icon (ICO)"),
    (b"qoif", "QOI"),
    (b"P7\n", "PAM"),
    (b"PF", "floating-point PFM"),
    (b"%PDF", "PDF"),
    ((b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\x00"), "camera raw"),
)


def is_bmp(head: bytes) -> bool:
    """Whether a file begins as a BMP of any header: its signature alone is two letters."""
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS


def damaged_format(head: bytes) -> str | None:
    """The format that a file with these first bytes is of, among those that are read."""
    if brands(head) & {b"avif", b"avis"}:
        return "AVIF" if "AVIF" in INPUT_FORMATS else None
    return next((name for p, name in _READ_STARTS if re.match(p, head, re.DOTALL)), None)


def foreign_format(head: bytes) -> str | None:
    """The name of a well-known format that is not read, by a file's first bytes."""
    if b"crx " in brands(head):
        return "camera raw"
    return next((name for start, name in _OTHER_STARTS if head.startswith(start)), None)


def brands(head: bytes) -> frozenset[bytes]:
    """The brands of an ISO media file (AVIF, HEIC, ...) as far as `head` reaches."""
    if head[4:8] != b"ftyp":
        return frozenset()
    box = head[: min(len(head), int.from_bytes(head[:4], "big"))]
    return frozenset((box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))))
