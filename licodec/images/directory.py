"""Metadata as a TIFF file has it: tags beside those that say where samples lie."""

from __future__ import annotations

from PIL import Image
from PIL.ExifTags import IFD
from PIL.ExifTags import Base as Tag

from licodec.images.colour import ColourSpace, Curve
from licodec.images.metadata import Found, as_bytes, upright_xmp

_PHOTOSHOP_LAYERS = 37724
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
    for tag in (IFD.Exif, IFD.GPSInfo):
        fields = {
            key: value
            for key, value in source.get_ifd(tag).items()
            if key != IFD.Interop  # an offset into the old block
        }
        if fields:
            exif.get_ifd(tag).update(fields)
            directories = True
    return exif.tobytes() if len(exif) or directories else None


def found_in_directory(tags: Image.Exif) -> Found:
    """Profile, Exif and XMP that a TIFF's own directory holds."""
    notes = []
    if Tag.IPTCNAA in tags or b"8BIM\x04\x04" in (as_bytes(tags.get(Tag.ImageResources)) or b""):
        notes.append("IPTC left out")
    if _PHOTOSHOP_LAYERS in tags:
        notes.append("Photoshop's layers left out")
    xmp = as_bytes(tags.get(Tag.XMLPacket))
    colour = _stated_colour(tags)
    if Tag.TransferFunction in tags and Tag.InterColorProfile not in tags:
        primaries = "primaries and " if colour is not None else ""
        notes.append(f"TIFF {primaries}transfer function left out")
        colour = None
    return Found(
        icc=as_bytes(tags.get(Tag.InterColorProfile)),
        exif=described_exif(tags, DESCRIPTIVE_TAGS),
        xmp=None if xmp is None else upright_xmp(xmp),
        colour=colour,
        stated_by="TIFF primaries",
        notes=tuple(notes),
    )


def _stated_colour(tags: Image.Exif) -> ColourSpace | None:
    """The primaries that the directory states, with TIFF's transfer function, gamma 2.2."""
    try:
        white = [float(value) for value in tags.get(Tag.WhitePoint, (0.3127, 0.3290))]
        points = [float(value) for value in tags[Tag.PrimaryChromaticities]]
        red, green, blue = zip(points[::2], points[1::2], strict=True)
        return ColourSpace((white[0], white[1]), red, green, blue, Curve(2.2))
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return None
