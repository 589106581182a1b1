"""What pictures are coded with: other codecs, and licodec beside its float network.

A source codes one picture at its parameters, one after the other. Pictures are coded without
alpha and metadata, so that files compare by their pixels alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from licodec.codec import Codec, Coded, SharedAnalysis
from licodec.compare.codecs import PeerCodec, PillowCodec, open_codec
from licodec.container import read_file
from licodec.errors import LicodecError
from licodec.images import Picture
from licodec.packs import PackName, read_pack
from licodec.rate.modes import Rate
from licodec.rate.setting import d_to_units

if TYPE_CHECKING:
    from evaluation.floating import FloatCoder


Coding = tuple[np.ndarray, float]
"""Decoded pixels, and the bytes that they took."""
Codings = Iterator[tuple[float, tuple[Coding, ...]]]
"""By value, one for each curve."""


# Other codecs ------------------------------------------------------------------------------


@dataclass(frozen=True)
class PeerSource:
    """Another codec, swept over its quality.

    parameter  what is swept
    values     its values
    curves     names of the curves of which `code` gives one coding for every value
    identity   everything but the picture and the value that codings depend on
    code       of uint8 (H, W, 1 or 3) pixels
    """

    codec: PeerCodec
    values: tuple[float, ...]
    parameter: str = "quality"

    @property
    def curves(self) -> tuple[str, ...]:
        return (self.codec.name,)

    @property
    def identity(self) -> str:
        return f"{self.codec.name} {self.codec.library}"

    def code(self, pixels: np.ndarray, values: Sequence[float]) -> Codings:
        for value in values:
            data = self.codec.encode(pixels, int(value))
            yield value, ((self.codec.decode(data, pixels.shape[2]), len(data)),)


_QUALITIES = (10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95)
_TUNED = "avif-psnr"
_LOWEST = {
    "jpeg": (5, 15),
    "webp": (0, 5, 15),
    "avif": (),
    _TUNED: (),
    "jxl": (0, 5),
}  # further ones
PEERS = tuple(_LOWEST)


def peer_source(name: str) -> PeerSource:
    """One of PEERS. Raises LicodecError where what it needs is not installed."""
    codec = _tuned_for_psnr(open_codec("avif")) if name == _TUNED else open_codec(name)
    return PeerSource(codec, tuple(sorted((*_LOWEST[name], *_QUALITIES))))


def _tuned_for_psnr(avif: PeerCodec) -> PeerCodec:
    """AVIF by libaom, whose default is tuned for what people see."""
    assert isinstance(avif, PillowCodec)
    options = {**avif.options, "codec": "aom", "advanced": {"tune": "psnr"}}
    return replace(avif, name="AVIF, tune=psnr", options=options)


# licodec -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class PackSource:
    """The same of a weights pack, swept over the value of `rate`: d, in multiples of the pack's
    unit, or alpha of an adapter set, with which d goes as the set says. With `state`, a training
    state, the float network that the pack was made of is beside it.

    The float network's codings have the ideal length of its symbols in the pack's tables plus
    everything in the exact form's file that is not coded symbols, and pixels of 8 bits. A `label`
    tells the curve from others of the backbone.
    """

    pack: PackName
    values: tuple[float, ...]
    rate: Rate
    label: str = ""
    state: Path | None = None

    @property
    def parameter(self) -> str:
        return self.rate.mode.value

    @property
    def exact_curve(self) -> str:
        return f"licodec {self.pack.backbone}" + (f", {self.label}" if self.label else "")

    @property
    def curves(self) -> tuple[str, ...]:
        return (self.exact_curve, *([f"{self.exact_curve}, float"] if self.state else []))

    @property
    def identity(self) -> str:
        hashes = [_file_hash(path) for path in (self.pack.path, self.state) if path is not None]
        sets = [s.adapter_id for s in self.pack.adapters if s.objective == self.rate.objective]
        hashes += [identifier.hex() for identifier in sets]
        return f"licodec {' '.join(hashes)} {self.parameter} beta {self.rate.beta:g}"

    def code(self, pixels: np.ndarray, values: Sequence[float]) -> Codings:
        codec = _open_codec(self.pack.path)
        picture = Picture(pixels)
        shared = SharedAnalysis(picture)
        coder = open_float_coder(self.pack.path, self.state) if self.state else None
        floating = coder and coder.analyse(pixels)
        for value in values:
            session = codec.at(codec.rate_scale.setting(replace(self.rate, value=value)))
            coded = session.code(picture, shared.at(session))
            codings = [_checked(codec, coded)]
            if coder:
                lic = read_file(coded.data)
                bits, decoded = coder.code(floating, value)
                streams = sum(len(s.rans) + len(s.escapes) for s in lic.streams)
                size = bits / 8 + len(coded.data) - streams
                codings.append((decoded, size))
            yield value, tuple(codings)


Source = PeerSource | PackSource


def _checked(codec: Codec, coded: Coded) -> Coding:
    """What a file decodes to. Raises LicodecError where those are other pixels than promised."""
    decoded = codec.decode(read_file(coded.data)).pixels
    if not np.array_equal(decoded, coded.picture.pixels):
        raise LicodecError("decoding gave other pixels than encoding promised")
    return decoded, len(coded.data)


def representable(pack: PackName, ds: Sequence[float]) -> tuple[float, ...]:
    """`ds` as files hold them: the nearest multiples of the pack's unit.

    Raises UsageError for one that is out of the pack's range.
    """
    schedule = read_pack(pack.path).schedule
    return tuple(sorted({d_to_units(d, schedule) / schedule.d_unit for d in ds}))


@lru_cache(maxsize=1)
def _open_codec(path: Path) -> Codec:
    """One for each process."""
    return Codec(read_pack(path))


@lru_cache(maxsize=1)
def open_float_coder(pack: Path, state: Path) -> FloatCoder:
    """The float network of a training state beside its pack, one for each process."""
    from evaluation.floating import FloatCoder
    from licodec.packing.checkpoints import load_anchor

    return FloatCoder(load_anchor(state), _open_codec(pack).pack)


@lru_cache(maxsize=8)
def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
