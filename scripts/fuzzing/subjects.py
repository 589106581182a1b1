"""Honest files of every kind, small, with the pictures that they decode to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from pictures import textured
from PIL import Image

from licodec.codec import Codec, encode_lossless
from licodec.codec.session import CodedLatents
from licodec.container import (
    Chunk,
    Grid,
    LicFile,
    LosslessFile,
    Tiles,
    read_file,
    write_file,
)
from licodec.entropy import rans
from licodec.entropy.slices import encode_latents
from licodec.images import Picture
from licodec.images.lossless import compress_piece
from licodec.images.metadata import bare_exif
from licodec.images.views import Crop, cropped
from licodec.rate.modes import Rate, RateMode

TILE = (2, 1)  # rows and columns, and by how many less the first one has
SHORT_STREAM = 1 << 11  # symbols; a stream of the format's length has the latents of a megapixel


@dataclass(frozen=True)
class Subject:
    """A file to change.

    stream  symbols of each of its streams
    """

    name: str
    data: bytes
    picture: Picture
    stream: int = rans.SYMBOLS_PER_STREAM


@contextlib.contextmanager
def streams_of(symbols: int) -> Iterator[None]:
    """Coders that cut streams at so many symbols."""
    usual = rans.SYMBOLS_PER_STREAM
    rans.SYMBOLS_PER_STREAM = symbols
    try:
        yield
    finally:
        rans.SYMBOLS_PER_STREAM = usual


def subjects(codec: Codec) -> list[Subject]:
    """The same bytes on every machine. Adapter sets are used where the pack has them."""
    made = []
    for name, (picture, rate) in _pictures(codec).items():
        coded = codec.encode_at(picture, rate).result
        made.append(Subject(name, coded.data, coded.picture))
    made.append(_without_plan(made[0]))
    made.append(_of_a_later_version(made[0]))
    with streams_of(SHORT_STREAM):
        coded = codec.encode_at(Picture(textured(64, 64, 3)), Rate()).result
    made.append(Subject("several streams", coded.data, coded.picture, SHORT_STREAM))
    made.append(_tiled("tiles", codec, Picture(textured(140, 20, 3)), Rate()))
    flat = Picture(textured(40, 100, 1), _stripes(40, 100))
    made.append(_tiled("tiles, grey, alpha", codec, flat, Rate(RateMode.D, 3)))
    return [*made, *_lossless()]


def _stripes(height: int, width: int) -> np.ndarray:
    return (np.indices((height, width)).sum(0) % 7 * 36).astype(np.uint8)


def _described() -> Picture:
    return Picture(textured(33, 17, 3), None, _icc(), _exif(), b"<x:xmpmeta xmlns:x='x'/>")


def _tiled(name: str, codec: Codec, picture: Picture, rate: Rate) -> Subject:
    """A file of many small tiles."""
    setting = codec.rate_scale.setting(rate)
    assert setting is not None
    session = codec.at(setting)
    analysed, model = session.analyse(picture), session.entropy_model
    count = len(model.group_shapes(analysed.hyper_latents.shape[1:]))
    tiles = Tiles((TILE,) * count)
    latents = encode_latents(model, analysed.latents, analysed.hyper_latents, tiles)
    coded = session.finish(picture, CodedLatents(*latents))
    return Subject(name, coded.data, coded.picture)


def _lossless() -> Iterator[Subject]:
    pictures = {
        "lossless": _described(),
        "lossless, alpha": Picture(textured(12, 19, 3), _stripes(12, 19)),
        "lossless, grey": Picture(textured(19, 12, 1)),
        "lossless, 1x1": Picture(textured(1, 1, 1), _stripes(1, 1)),
    }
    for name, picture in pictures.items():
        yield Subject(name, encode_lossless(picture).data, picture)
    yield _in_pieces("lossless, pieces", Picture(textured(21, 30, 3)), Grid(3, 2))
    grey = Picture(textured(30, 21, 1), _stripes(30, 21))
    yield _in_pieces("lossless, pieces, grey, alpha", grey, Grid(1, 4))


def _in_pieces(name: str, picture: Picture, grid: Grid) -> Subject:
    """A file of more pieces than the picture needs."""
    whole = read_file(encode_lossless(picture).data)
    assert isinstance(whole, LosslessFile)
    pieces = []
    for place in grid.pieces(picture.width, picture.height):
        part = cropped(picture, Crop(place.width, place.height, place.left, place.top))
        pieces.append(compress_piece(part.pixels, part.alpha))
    return Subject(name, write_file(replace(whole, grid=grid, pieces=tuple(pieces))), picture)


def _pictures(codec: Codec) -> Mapping[str, tuple[Picture, Rate]]:
    checker = np.indices((64, 64)).sum(0)[:, :, None] % 2 * 255
    usual, coarse = Rate(RateMode.D, 1), Rate(RateMode.D, 6)
    found = {
        "RGB": (Picture(textured(64, 64, 3)), usual),
        "grey": (Picture(textured(64, 64, 1)), usual),
        "metadata": (_described(), coarse),
        "alpha plane": (Picture(textured(40, 24, 3), _stripes(40, 24)), coarse),
        "grey, alpha plane": (Picture(textured(24, 40, 1), _stripes(24, 40)), usual),
        "escapes": (Picture(checker.repeat(3, 2).astype(np.uint8)), Rate(RateMode.D, 0.25)),
        "1x1": (Picture(textured(1, 1, 3)), usual),
        "65x3": (Picture(textured(3, 65, 3)), coarse),
    }
    for own in codec.pack.adapter_rates:
        beta = 0.7 if "beta" in own.modes else 0.0
        rate = Rate(RateMode.ALPHA, 0.6, beta, None, own.objective)
        found[f"adapters {own.objective}"] = (Picture(textured(64, 64, 3)), rate)
    return found


def _without_plan(subject: Subject) -> Subject:
    lic = read_file(subject.data)
    assert isinstance(lic, LicFile)
    data = write_file(replace(lic, plan=None))
    return replace(subject, name="no plan", data=data)


def _of_a_later_version(subject: Subject) -> Subject:
    unknown = (Chunk(b"noTe", b"of a later version"), Chunk(b"teMp", bytes(40)))
    data = write_file(replace(read_file(subject.data), unknown=unknown))
    return replace(subject, name="unknown chunks", data=data)


def _icc() -> bytes:
    """The header of a profile of RGB samples, and no tags."""
    header = bytearray(132)
    header[0:4] = len(header).to_bytes(4, "big")
    header[12:24], header[36:40] = b"mntrRGB XYZ ", b"acsp"
    return bytes(header)


def _exif() -> bytes | None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112], exif[0x011A] = "a picture", 1, 72.0
    exif.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    exif.get_ifd(0x8825)[2] = (47.0, 30.0, 1.5)
    return bare_exif(exif.tobytes())
