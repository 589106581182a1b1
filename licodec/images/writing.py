"""Writing pictures, with the metadata that the format holds."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

from licodec.errors import LicodecError, LimitError, UsageError
from licodec.images.formats import EXIF_PREFIX, INPUT_FORMATS
from licodec.images.picture import METADATA_KINDS, Picture
from licodec.images.pillow import PILLOW_ERRORS, one_line

# The default level of zlib for PNG, 0 to 9: a photograph of 768x512 pixels takes 46 ms and 451,542
# bytes, at Pillow's level of 6 119 ms and 440,230.
PNG_COMPRESSION = 4
_METADATA_NAMES = {"icc": "ICC profile", "exif": "Exif", "xmp": "XMP"}


@dataclass(frozen=True)
class OutputFormat:
    """A format that pictures are written in.

    name      Pillow's name, or what a variant of that is called
    suffixes  file name endings, the usual one first
    alpha     whether it holds an alpha plane
    metadata  which of icc, exif, xmp it holds
    max_side  pixels
    options   for Pillow's save, which give way to a quality, 0 to 100; none where it has none
    channels  that its pictures may have; grey ones are written in colour where it is 3 alone
    variant_of  Pillow's name, where that is another
    """

    name: str
    suffixes: tuple[str, ...]
    alpha: bool = False
    metadata: frozenset[str] = frozenset()
    max_side: int = 2**31 - 1
    options: Mapping[str, Any] = field(default_factory=dict)
    channels: tuple[int, ...] = (1, 3)
    variant_of: str | None = None


_ALL = frozenset(METADATA_KINDS)
# A quality at which a decoded picture loses little; exact: also the colours under transparent
# pixels.
_NEAR, _LOSSLESS = {"quality": 95, "subsampling": "4:4:4"}, {"lossless": True, "exact": True}
_OUTPUT_FORMATS = {
    output.name: output
    for output in (
        OutputFormat("PNG", (".png",), alpha=True, metadata=_ALL),
        # The first of a suffix counts: .pnm is either of the two that follow.
        OutputFormat("PNM", (".pnm",), variant_of="PPM"),
        OutputFormat("PPM", (".ppm", ".pnm"), channels=(3,)),
        OutputFormat("PGM", (".pgm", ".pnm"), channels=(1,), variant_of="PPM"),
        OutputFormat("BMP", (".bmp",)),
        # Not compressed: Pillow's compressed TIFFs cannot hold the Exif and GPS directories.
        OutputFormat("TIFF", (".tif", ".tiff"), alpha=True, metadata=_ALL),
        OutputFormat("JPEG", (".jpg", ".jpeg"), False, _ALL, 65_500, _NEAR),
        OutputFormat("AVIF", (".avif",), True, _ALL, 65_535, _NEAR),
        OutputFormat("WEBP", (".webp",), True, _ALL, 16_383, _LOSSLESS),
    )
    if output.name != "AVIF" or "AVIF" in INPUT_FORMATS
}
OUTPUT_FORMATS = tuple(_OUTPUT_FORMATS)
QUALITY_FORMATS = tuple(output.name for output in _OUTPUT_FORMATS.values() if output.options)
OUTPUT_SUFFIXES = tuple(
    dict.fromkeys(suffix for output in _OUTPUT_FORMATS.values() for suffix in output.suffixes)
)
# One JPEG segment (libjpeg's 65533 bytes) each for Exif and XMP, 255 for a profile.
_JPEG_METADATA_BYTES = {
    "exif": 65_533 - len(EXIF_PREFIX),
    "xmp": 65_533 - 29,
    "icc": 255 * (65_533 - 14),
}


def format_for_suffix(suffix: str) -> str:
    """The output format of a file name ending: ".png" gives "PNG". Raises UsageError."""
    for output in _OUTPUT_FORMATS.values():
        if suffix.lower() in output.suffixes:
            return output.name
    what = f'"{suffix}"' if suffix else "a name without a suffix"
    raise UsageError(
        f"{what} names no picture format that licodec writes; "
        f"choose one of {', '.join(OUTPUT_SUFFIXES)}"
    )


def output_format(name: str) -> OutputFormat:
    """The format of a name: Pillow's, or a suffix without its dot, in any case ("png", "jpg").

    Raises UsageError.
    """
    if name.upper() in _OUTPUT_FORMATS:
        return _OUTPUT_FORMATS[name.upper()]
    return _OUTPUT_FORMATS[format_for_suffix("." + name)]


def encode_picture(
    picture: Picture,
    format: str,
    compression: int = PNG_COMPRESSION,
    quality: int | None = None,
) -> bytes:
    """The picture as a file of an output format, with the metadata that it holds; `compression` is
    PNG's, 0 (largest and soonest) to 9, `quality` that of the formats that have one, 0 to 100.

    Raises UsageError where the format cannot hold the picture or its metadata, or has no quality;
    metadata of a kind that the format lacks is left out, see `metadata_not_held`.
    """
    output = output_format(format)
    if quality is not None and not output.options:
        raise UsageError(f"{output.name} has no quality; {', '.join(QUALITY_FORMATS)} have")
    _check_holds(picture, output)
    image = picture.to_image()
    if picture.channels not in output.channels:  # grey, as all colours alike
        image = image.convert("RGB")
    stream = io.BytesIO()
    try:
        image.save(
            stream,
            format=output.variant_of or output.name,
            **_coding_options(output, compression, quality),
            **_metadata_options(picture, output),
        )
    except MemoryError as error:
        raise LimitError(f"not enough memory to write the picture as {output.name}") from error
    except PILLOW_ERRORS as error:
        raise LicodecError(
            f"the picture cannot be written as {output.name} ({one_line(error)}); "
            "choose PNG, or leave its metadata out (--metadata none)"
        ) from error
    return stream.getvalue()


def metadata_not_held(picture: Picture, format: str) -> tuple[str, ...]:
    """Which of the picture's "icc", "exif", "xmp" a file of this format will lack."""
    output = output_format(format)
    held = _held_metadata(picture, output)
    return tuple(
        kind for kind in METADATA_KINDS if getattr(picture, kind) is not None and kind not in held
    )


def _check_holds(picture: Picture, output: OutputFormat) -> None:
    if picture.alpha is not None and not output.alpha:
        able = ", ".join(other.name for other in _OUTPUT_FORMATS.values() if other.alpha)
        raise UsageError(
            f"{output.name} cannot hold the picture's alpha; choose one of {able}, "
            "or flatten it (--background)"
        )
    if picture.channels > max(output.channels):
        raise UsageError(
            f"{output.name} holds grey pictures alone, and this one has colours; choose PPM or PNM"
        )
    if max(picture.height, picture.width) > output.max_side:
        raise UsageError(
            f"{output.name} holds at most {output.max_side} pixels a side, the picture is "
            f"{picture.width}x{picture.height}; choose PNG"
        )
    if output.name == "JPEG":
        for kind, most in _JPEG_METADATA_BYTES.items():
            block = getattr(picture, kind)
            if block is not None and len(block) > most:
                raise UsageError(
                    f"the {_METADATA_NAMES[kind]} of {len(block)} bytes does not fit into a JPEG; "
                    "choose PNG, or leave it out (--metadata)"
                )


def _coding_options(
    output: OutputFormat, compression: int, quality: int | None
) -> Mapping[str, Any]:
    if output.name == "PNG":
        return {"compress_level": compression}
    if quality is None:
        return output.options
    # Colours at half the resolution where little is asked for, as most programs have it.
    return {"quality": quality, "subsampling": "4:4:4" if quality >= 90 else "4:2:0"}


def _held_metadata(picture: Picture, output: OutputFormat) -> frozenset[str]:
    # These have colour samples only, for which a profile of grey ones is wrong.
    if output.name in ("WEBP", "AVIF") and picture.channels == 1:
        return output.metadata - {"icc"}
    return output.metadata


def _metadata_options(picture: Picture, output: OutputFormat) -> dict[str, Any]:
    """The picture's metadata as arguments for Pillow's save."""
    held = _held_metadata(picture, output)
    options: dict[str, Any] = {}
    if picture.icc is not None and "icc" in held:
        options["icc_profile"] = picture.icc
    exif = picture.exif if "exif" in held else None
    xmp = picture.xmp if "xmp" in held else None
    if output.name == "TIFF":
        if exif is not None or xmp is not None:
            options["exif"] = _tiff_directory(exif, xmp)
        return options
    if exif is not None:
        options["exif"] = EXIF_PREFIX + exif
    if xmp is None:
        return options
    if output.name == "PNG":
        chunks = PngImagePlugin.PngInfo()
        # No compression, no language, no translated keyword; as bytes, whatever they hold.
        chunks.add(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + xmp)
        options["pnginfo"] = chunks
    else:
        options["xmp"] = xmp
    return options


def _tiff_directory(exif: bytes | None, xmp: bytes | None) -> Image.Exif:
    """The tags that Exif and XMP become in a TIFF's own directory."""
    from licodec.images.directory import DESCRIPTIVE_TAGS, described_exif

    directory = Image.Exif()
    try:
        if exif is not None:
            source = Image.Exif()
            source.load(exif)
            described = described_exif(source, DESCRIPTIVE_TAGS | {ExifTags.Base.Orientation})
            if described is not None:
                directory.load(described)
    except PILLOW_ERRORS as error:
        raise LicodecError(
            f"the Exif is damaged and cannot be written as TIFF ({one_line(error)}); "
            "choose PNG, or leave it out (--metadata)"
        ) from error
    if xmp is not None:
        directory[ExifTags.Base.XMLPacket] = xmp
    return directory
