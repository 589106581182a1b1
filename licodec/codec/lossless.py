"""Pictures without loss: pieces of lossless WebP, coded and decoded by no network."""

from __future__ import annotations

import numpy as np

from licodec.codec.pixels import checksum
from licodec.codec.session import Coded
from licodec.container import (
    Grid,
    LosslessFile,
    LosslessHeader,
    Metadata,
    Piece,
    check_picture_size,
    smallest_grid,
    write_file,
)
from licodec.errors import CorruptFileError, PixelChecksumError
from licodec.images import Picture
from licodec.images.lossless import BEST, QUICK, Effort, compress_piece, decompress_piece


def encode_lossless(picture: Picture) -> Coded:
    """The file that gives back `picture` as it is. Raises LimitError; LicodecError without WebP."""
    check_picture_size(picture.width, picture.height)
    grid, pieces = _compressed(picture, BEST)
    lic = LosslessFile(
        header=LosslessHeader(
            width=picture.width,
            height=picture.height,
            channels=picture.channels,
            has_alpha=picture.alpha is not None,
        ),
        grid=grid,
        pieces=pieces,
        pixel_crc=checksum(picture.pixels, picture.alpha),
        metadata=Metadata(picture.icc, picture.exif, picture.xmp),
    )
    return Coded(write_file(lic), lic.header, picture)


def quick_bytes(picture: Picture) -> int:
    """What the pieces of a picture take with little effort. Raises as `encode_lossless`."""
    return sum(map(len, _compressed(picture, QUICK)[1]))


def _compressed(picture: Picture, effort: Effort) -> tuple[Grid, tuple[bytes, ...]]:
    grid = smallest_grid(picture.width, picture.height)
    pieces = []
    for place in grid.pieces(picture.width, picture.height):
        part = _part(place)
        alpha = None if picture.alpha is None else np.ascontiguousarray(picture.alpha[part])
        pieces.append(compress_piece(picture.pixels[part], alpha, effort))
    return grid, tuple(pieces)


def _part(place: Piece) -> tuple[slice, slice]:
    """Of an array (H, W, ...)."""
    rows = slice(place.top, place.top + place.height)
    return rows, slice(place.left, place.left + place.width)


def decode_lossless(lic: LosslessFile) -> Picture:
    """Decode a lossless file; the picture's notes are the file's warnings.

    Raises CorruptFileError where a piece is damaged, and PixelChecksumError where the pixels are
    not the encoder's.
    """
    header = lic.header
    height, width = header.height, header.width
    pixels = np.empty((height, width, header.channels), np.uint8)
    alpha = np.empty((height, width), np.uint8) if header.has_alpha else None
    for place, piece in zip(lic.grid.pieces(width, height), lic.pieces, strict=True):
        part = _part(place)
        try:
            pixels[part], plane = decompress_piece(
                piece, place.height, place.width, header.channels, header.has_alpha
            )
        except CorruptFileError as error:
            raise CorruptFileError(f"{place}: {error}") from error
        if alpha is not None and plane is not None:
            alpha[part] = plane
    if checksum(pixels, alpha) != lic.pixel_crc:
        raise PixelChecksumError(
            f"the decoded pixels do not match the file's checksum {lic.pixel_crc:08x}: "
            "the file is damaged, or its WebP is read wrongly here"
        )
    metadata = lic.metadata
    return Picture(pixels, alpha, metadata.icc, metadata.exif, metadata.xmp, lic.warnings)
