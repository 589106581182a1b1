"""The form that a file takes: coded by a network, or without loss where that is smaller."""

from __future__ import annotations

from dataclasses import dataclass, replace

from licodec.codec import Codec, Coded, encode_lossless, quick_bytes
from licodec.images import Picture
from licodec.images.graphics import may_be_smaller
from licodec.images.lossless import has_webp
from licodec.rate.modes import Rate
from licodec.rate.targets import Target, TargetKind, target_of

# A quick attempt that is larger than the network's file by more than this factor is hopeless.
QUICK_EXCESS = 1.6


@dataclass(frozen=True)
class Encoded:
    """A picture's file.

    met      whether it meets the target, where there is one
    codec    what coded it or its rival; None where no network ran
    forced   whether it is lossless, and larger than the network's, as that misses the target
    """

    coded: Coded
    met: bool = True
    codec: Codec | None = None
    forced: bool = False


def encode_without_network(
    picture: Picture, rate: Rate, keep_hidden: bool = True
) -> Encoded | None:
    """The lossless file where it is demanded, or fits into a target size; else None.

    Without `keep_hidden` the colours under fully transparent pixels are those that WebP codes best.
    Raises LimitError, and LicodecError where it is demanded and Pillow has no WebP.
    """
    if rate.lossless:
        return Encoded(encode_lossless(_prepared(picture, keep_hidden)))
    target = _target(picture, rate)
    if not _is_free(rate) or target is None or target.kind is not TargetKind.SIZE:
        return None
    coded = _lossless_within(_prepared(picture, keep_hidden), target.value)
    return None if coded is None else Encoded(coded)


def encode_with_network(
    codec: Codec, picture: Picture, rate: Rate, keep_hidden: bool = True
) -> Encoded:
    """The file at `rate` where `encode_without_network` has none.

    Unless the rate forbids it, that is a lossless one where the network's is larger, and where no
    network reaches a target PSNR. Raises as `Codec.encode_at`.
    """
    found = codec.encode_at(picture, rate)
    by_network = Encoded(found.result, found.met, codec)
    if not _is_free(rate):
        return by_network
    target = _target(picture, rate)
    if target is not None and target.kind is TargetKind.PSNR and not found.met:
        coded = encode_lossless(_prepared(picture, keep_hidden))
        return Encoded(coded, True, codec, len(coded.data) > len(found.result.data))
    if target is not None and target.kind is TargetKind.SIZE and found.met:
        return by_network
    smaller = _lossless_within(_prepared(picture, keep_hidden), len(found.result.data))
    return by_network if smaller is None else Encoded(smaller, found.met, codec)


def _prepared(picture: Picture, keep_hidden: bool) -> Picture:
    """The picture for WebP, which codes one colour best where networks want those around it."""
    if keep_hidden or picture.alpha is None:
        return picture
    seen = picture.alpha > 0
    return replace(picture, pixels=picture.pixels * seen[:, :, None])


def _is_free(rate: Rate) -> bool:
    """Whether the choice is open."""
    return rate.lossless is None and has_webp()


def _target(picture: Picture, rate: Rate) -> Target | None:
    return target_of(rate, picture.width, picture.height) if rate.is_target else None


def may_be_lossless(picture: Picture, size: int) -> bool:
    """Whether a lossless file may be no larger than `size` bytes, metadata included."""
    return has_webp() and may_be_smaller(picture.pixels, size - _metadata_bytes(picture))


def _lossless_within(picture: Picture, size: float) -> Coded | None:
    """The lossless file if it takes at most `size` bytes; tried where that is likely."""
    room = size - _metadata_bytes(picture)
    if not may_be_smaller(picture.pixels, room):
        return None
    if quick_bytes(picture) > QUICK_EXCESS * room:
        return None
    coded = encode_lossless(picture)
    return coded if len(coded.data) <= size else None


def _metadata_bytes(picture: Picture) -> int:
    return sum(
        len(block) for block in (picture.icc, picture.exif, picture.xmp) if block is not None
    )
