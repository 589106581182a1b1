"""Exif as a TIFF file has it: descriptive tags beside those that say where samples lie."""

from __future__ import annotations

from PIL import Image

_EXIF_DIRECTORY = 0x8769
_GPS_DIRECTORY = 0x8825
_INTEROPERABILITY_DIRECTORY = 0xA005
ORIENTATION = 0x0112
# Tags of a TIFF directory that describe the picture and not where and how its samples lie:
# description, make, model, resolution and its unit, software, date, artist, host, rating,
# copyright, and the titles, comments, authors, keywords and subjects of Windows.
DESCRIPTIVE_TAGS = frozenset(
    (270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096))
)


def described_exif(source: Image.Exif, tags: frozenset[int]) -> bytes | None:
    """An Exif block of some tags, and of the Exif and GPS directories; None where all lack."""
    exif = Image.Exif()
    for tag in sorted(tags):
        if tag in source:
            exif[tag] = source[tag]
    directories = False
    for tag in (_EXIF_DIRECTORY, _GPS_DIRECTORY):
        fields = {
            key: value
            for key, value in source.get_ifd(tag).items()
            if key != _INTEROPERABILITY_DIRECTORY  # an offset into the old block
        }
        if fields:
            exif.get_ifd(tag).update(fields)
            directories = True
    return exif.tobytes() if len(exif) or directories else None
