"""Rates, sizes and missed targets in words, for the command line and for Python's warnings."""

from __future__ import annotations

from collections.abc import Callable

from licodec.choice import Encoded
from licodec.codec import Coded
from licodec.container import Header, LosslessHeader
from licodec.images import Picture, psnr
from licodec.rate.gains import GAIN_ONE
from licodec.rate.modes import Rate, RateMode


def bits_per_pixel(size: int, pixels: int) -> str:
    return f"{8 * size / pixels:.3f} bpp"


def decibels(value: float) -> str:
    """PSNR as a person reads it; equal pictures have no number."""
    return "lossless" if value == float("inf") else f"{value:.2f} dB"


def rate_in_words(header: Header | LosslessHeader) -> str:
    """ "d 2", or "alpha 0.5, beta 0.2", with d where it is not neutral; or "lossless"."""
    if isinstance(header, LosslessHeader):
        return "lossless"
    values = {"alpha": header.alpha / GAIN_ONE, "beta": header.beta / GAIN_ONE}
    parts = [f"{mode} {value:.4g}" for mode, value in values.items() if value]
    if header.d_value != 1 or not parts:
        parts.append(f"d {header.d_value:g}")
    return ", ".join(parts)


def missed_target(
    encoded: Encoded, picture: Picture, rate: Rate, name: Callable[[RateMode], str], never: str
) -> tuple[str, ...]:
    """A warning where the target is out of reach, or of the network's.

    `name` is what the user calls a mode, and `never` how he forbids lossless files.
    """
    target, coded = f"{name(rate.mode)} {rate.value:.10g}", encoded.coded
    if encoded.forced:
        return (
            f"{target} is more than the network reaches, so the file is lossless; {never} gives "
            "the nearest file, which is smaller",
        )
    if encoded.met:
        return ()
    reached, stated = _reached(rate.mode, picture, coded), rate_in_words(coded.header)
    return (f"{target} is out of reach; the nearest file has {reached}, at {stated}",)


def _reached(mode: RateMode, picture: Picture, coded: Coded) -> str:
    """What a coding has of the quantity that a target bounds."""
    match mode:
        case RateMode.BPP:
            return bits_per_pixel(len(coded.data), picture.height * picture.width)
        case RateMode.SIZE:
            return f"{len(coded.data)} bytes"
        case _:
            return decibels(psnr(picture.pixels, coded.picture.pixels))
