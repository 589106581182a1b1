"""Pictures in and out: what Pillow reads and writes, reduced to 8-bit grey or RGB plus alpha.

A picture that is read becomes 1 channel (grey) or 3 (RGB) of 8 bits and, where the file has
transparency, an alpha plane of 8 bits (licodec.images.transparency says what of it is encoded).
However it comes, as a path, bytes, a stream or a Pillow image, it goes the same way:

    Pillow mode            becomes        with a note where something is lost
    ---------------------  -------------  ---------------------------------------------------
    1                      grey           0 and 255
    L                      grey           of 2 and 4 bits too, scaled to 255 by Pillow
    P                      RGB            the palette's colours, also where all are grey (BMP:
                                          grey, which it has no other way to say)
    LA, La                 grey, alpha
    RGB, RGBX              RGB            unspecified samples are left out, noted
    RGBA, RGBa, PA         RGB, alpha     premultiplied samples are divided, noted
    1, L, P, I;16, RGB     + alpha        with a transparent colour or palette entry (PNG, GIF)
    CMYK                   RGB            by Pillow's formula, without the profile, noted
    YCbCr                  RGB            by Pillow (JFIF's matrix), noted
    I;16 (L, B, N)         grey           round(v * 255 / (2^bits - 1)), noted; 12-bit TIFF too
    I, of a PGM            grey           16-bit samples, as I;16
    16 bits a channel, as  grey or RGB    Pillow gives 8-bit samples only: the high byte of
    RGB, RGBA, LA, CMYK                   PNG and TIFF samples, rounded ones of PPM; noted
    10 or 12 bits of AVIF  RGB            by Pillow, noted; those of HEIC, JPEG XL and JPEG 2000
                                          by their libraries
    I, any other           error          32-bit or signed integers: no stated range
    F                      error          floating point: no stated range
    LAB, HSV, others       error

What Pillow mistakes is not left to it. BMPs are read here (licodec.images.bmp). A TIFF's
directories are read here and say which is the picture and whether Pillow unpacks it right; the
rest (any bits up to 16, grey with alpha in 16 bits, compressions that Pillow lacks, ...) is for
tifffile and imagecodecs, the extra `tiff`, rounded, or an error that names the kind. Cameras' raw
files are refused. Damage that libjpeg warns of is noted, as Pillow does not pass it on, and a
JPEG that lacks its end marker alone is read. A PNG's
chunks are checked here, by libpng's rules (licodec.images.png_chunks): what is damaged beside the
pixels is left out with a note. The transparent colour of a 16-bit RGB PNG is compared exactly, but
for an image that Pillow has decoded. HEIC and JPEG XL are read by extras (licodec.images.heif,
jxl); of JPEG 2000 licodec.images.jp2 checks what Pillow does not. Of an AVIF the clean aperture
alone is taken, with a note.

The Exif orientation (1 to 8) is applied to the pixels and the tag set to 1, in Exif and, where
Exif has the tag, in XMP; the sides in Exif follow, and a thumbnail, which does not, is left out
with a note. Where only XMP has an orientation it is left alone, as viewers leave it; TIFF is the
exception, where Pillow applies it. From a TIFF, whose own directory is its Exif, the descriptive
tags are kept. An ICC profile that does not describe the samples (CMYK, or RGB with a grey picture)
is dropped with a note. A colour space that PNG (cICP, cHRM, gAMA), AVIF (nclx) or TIFF states in
numbers is kept as an ICC profile made of them, with a note, and where none says it (PQ, HLG) it is
dropped with one, as are IPTC, extended XMP and gain maps. A PNG's cICP goes before its profile.
Resolution outside Exif and comments are not kept. Of an animation the first frame is taken, of the
several pictures in a phone's MPO (a JPEG followed by others) or a PPM the first, each with a note;
a TIFF of several pages that are no previews of one is refused, and so is one of a stack or volume,
and a JPEG XL that moves.

Sizes are checked against licodec.container.limits before any pixel is decoded, instead of
Pillow's own lower limit. Reading holds Pillow's copy of the pixels (4 bytes a pixel for RGB)
and the result (3), no more: conversions go band by band, straight to their upright place.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from licodec.images.alpha import compress_alpha as compress_alpha
from licodec.images.alpha import decompress_alpha as decompress_alpha
from licodec.images.formats import INPUT_FORMATS as INPUT_FORMATS
from licodec.images.formats import INPUT_FORMATS_TEXT as INPUT_FORMATS_TEXT
from licodec.images.formats import INPUT_SUFFIXES as INPUT_SUFFIXES
from licodec.images.picture import METADATA_KINDS as METADATA_KINDS
from licodec.images.picture import Picture as Picture
from licodec.images.picture import metadata_subset as metadata_subset
from licodec.images.picture import psnr as psnr
from licodec.images.sources import MAX_PICTURE_FILE_BYTES as MAX_PICTURE_FILE_BYTES
from licodec.images.sources import stream_bytes as stream_bytes
from licodec.images.writing import OUTPUT_FORMATS as OUTPUT_FORMATS
from licodec.images.writing import OUTPUT_SUFFIXES as OUTPUT_SUFFIXES
from licodec.images.writing import PNG_COMPRESSION as PNG_COMPRESSION
from licodec.images.writing import QUALITY_FORMATS as QUALITY_FORMATS
from licodec.images.writing import encode_picture as encode_picture
from licodec.images.writing import format_for_suffix as format_for_suffix
from licodec.images.writing import metadata_not_held as metadata_not_held
from licodec.images.writing import output_format as output_format

if TYPE_CHECKING:
    from licodec.images.reading import read_image as read_image
    from licodec.images.reading import read_picture as read_picture


def __getattr__(name: str) -> Any:
    """Load the readers of all formats on first use: decoding needs none of them."""
    if name not in ("read_image", "read_picture"):
        raise AttributeError(f"module 'licodec.images' has no attribute {name!r}")
    return getattr(import_module("licodec.images.reading"), name)
