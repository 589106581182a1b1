"""A picture coded by licodec at several d, and by the other codecs as near to each as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from licodec.compare.codecs import PeerCodec
from licodec.compare.crops import Wanted, crop_of
from licodec.compare.matching import Equal, excess, nearest, ratio
from licodec.compare.measures import (
    MS_SSIM_SMALLEST_SIDE,
    SSIMULACRA2,
    SSIMULACRA2_MOST_PIXELS,
    SSIMULACRA2_SMALLEST_SIDE,
    Quality,
    measure,
    ssimulacra2,
)
from licodec.errors import LicodecError
from licodec.images import Picture, psnr
from licodec.images.views import Crop

LICODEC = "licodec"


class Subject(Protocol):
    """licodec, as far as it is compared."""

    def __call__(self, picture: Picture, d: float) -> tuple[bytes, float | None, np.ndarray]:
        """The file at a d, the d that it states (None: it is lossless), and the pixels that
        decoding gives."""


@dataclass(frozen=True)
class Plan:
    """What pictures are coded with.

    ds          for licodec, each once
    peers       the other codecs
    equal       what those are made equal in
    crop        what is kept to be shown
    perceptual  whether SSIMULACRA 2 is measured, and what an equal quality is by
    """

    ds: Sequence[float]
    peers: Sequence[PeerCodec]
    equal: Equal
    crop: Wanted
    perceptual: bool

    @property
    def codings(self) -> int:
        """Of each picture."""
        return len(self.ds) * (1 + len(self.peers))


@dataclass(frozen=True, eq=False)
class Coding:
    """One file of a picture.

    codec    its name
    setting  of the codec, by its name: {"d": 4.0}
    size     bytes
    crop     (h, w, C) of the decoded pixels
    lossless  whether licodec has chosen to keep every pixel
    """

    codec: str
    setting: Mapping[str, float]
    size: int
    quality: Quality
    crop: np.ndarray
    lossless: bool = False


@dataclass(frozen=True, eq=False)
class Level:
    """licodec's coding at a d, and then the others' that are as near to it as they come."""

    d: float
    codings: tuple[Coding, ...]


@dataclass(frozen=True, eq=False)
class Compared:
    """A picture and all that it became.

    box        where the crops are
    crop       (h, w, C) of the original pixels
    thumbnail  the whole picture, small
    icc        its colour profile
    notes      what could not be done, one phrase each
    """

    name: str
    width: int
    height: int
    box: Crop
    crop: np.ndarray
    thumbnail: np.ndarray
    icc: bytes | None
    levels: tuple[Level, ...]
    notes: tuple[str, ...]

    @property
    def pixels(self) -> int:
        return self.width * self.height


THUMBNAIL_SIDE = 240  # pixels, at most
_ALPHA = ("alpha is left out of the comparison",)


def compare(
    picture: Picture, name: str, subject: Subject, plan: Plan, advance: Callable[[], None]
) -> Compared:
    """Code a picture by a plan; `advance` is called after each coding.

    A codec that cannot code the picture is left out, with a note. Raises UsageError for a crop
    that the picture does not hold, and what `subject` raises.
    """
    box = crop_of(plan.crop, picture.pixels)
    bench = _Bench(picture.pixels, box, plan)
    mine = Picture(picture.pixels)  # files compare by their pixels alone
    levels = []
    for d in plan.ds:
        data, stated, decoded = subject(mine, d)
        at = d if stated is None else stated
        coding = bench.coding(LICODEC, {"d": at}, len(data), decoded)
        first = replace(coding, lossless=stated is None)
        advance()
        levels.append(Level(at, (first, *bench.beside(first, advance))))
    step = -(-max(picture.width, picture.height) // THUMBNAIL_SIDE)
    return Compared(
        name,
        picture.width,
        picture.height,
        box,
        box.cut(picture.pixels).copy(),
        _reduced(picture.pixels, step),
        picture.icc,
        tuple(levels),
        (*picture.notes, *(_ALPHA if picture.alpha is not None else ()), *bench.notes),
    )


class _Bench:
    """One picture with what was made of it so far: attempts serve all levels."""

    def __init__(self, pixels: np.ndarray, box: Crop, plan: Plan) -> None:
        self._pixels, self._box, self._plan = pixels, box, plan
        height, width = pixels.shape[:2]
        suits = min(height, width) >= SSIMULACRA2_SMALLEST_SIDE
        suits = suits and height * width <= SSIMULACRA2_MOST_PIXELS
        self._perceptual = plan.perceptual and suits
        self._files: dict[tuple[str, int], bytes] = {}
        self._values: dict[tuple[str, int], float] = {}
        self._failed: set[str] = set()
        self.notes = list(self._limits())

    def _limits(self) -> Iterator[str]:
        if self._plan.perceptual and not self._perceptual:
            yield (
                f"{SSIMULACRA2} is left out, which takes sides from {SSIMULACRA2_SMALLEST_SIDE} "
                f"pixels on and at most {SSIMULACRA2_MOST_PIXELS / 1e6:.1f} megapixels here"
            )
        if min(self._pixels.shape[:2]) < MS_SSIM_SMALLEST_SIDE:
            yield f"MS-SSIM is left out, which takes sides from {MS_SSIM_SMALLEST_SIDE} pixels on"

    def beside(self, first: Coding, advance: Callable[[], None]) -> Iterator[Coding]:
        """The other codecs' codings that are nearest to one."""
        for peer in self._plan.peers:
            if peer.name not in self._failed:
                try:
                    yield self._nearest(peer, first)
                except LicodecError as error:
                    self._failed.add(peer.name)
                    self.notes.append(str(error))
            advance()

    def _nearest(self, peer: PeerCodec, first: Coding) -> Coding:
        if self._plan.equal is Equal.SIZE:
            quality = nearest(peer.qualities, lambda q: ratio(len(self._file(peer, q)), first.size))
        else:
            score = first.quality.ssimulacra2
            target = first.quality.psnr if score is None else score
            quality = nearest(peer.qualities, lambda q: excess(self._value(peer, q), target))
        data = self._file(peer, quality)
        decoded = peer.decode(data, self._pixels.shape[2])
        return self.coding(peer.name, {"quality": quality}, len(data), decoded)

    def coding(
        self, codec: str, setting: Mapping[str, float], size: int, decoded: np.ndarray
    ) -> Coding:
        """A coding with its measurements."""
        quality = measure(self._pixels, decoded, self._perceptual)
        return Coding(codec, setting, size, quality, self._box.cut(decoded).copy())

    def _file(self, peer: PeerCodec, quality: int) -> bytes:
        key = peer.name, quality
        if key not in self._files:
            self._files[key] = peer.encode(self._pixels, quality)
        return self._files[key]

    def _value(self, peer: PeerCodec, quality: int) -> float:
        """The quality that is made equal, of what decoding gives."""
        key = peer.name, quality
        if key not in self._values:
            decoded = peer.decode(self._file(peer, quality), self._pixels.shape[2])
            score = ssimulacra2(self._pixels, decoded) if self._perceptual else None
            self._values[key] = psnr(self._pixels, decoded) if score is None else score
        return self._values[key]


def _reduced(pixels: np.ndarray, step: int) -> np.ndarray:
    """(H, W, C) pixels at about a `step`-th of their size: the means of blocks."""
    down, across = (min(step, side) for side in pixels.shape[:2])
    height, width = pixels.shape[0] // down, pixels.shape[1] // across
    whole = pixels[: height * down, : width * across]
    blocks = whole.reshape(height, down, width, across, pixels.shape[2])
    return np.rint(blocks.mean((1, 3))).astype(np.uint8)
