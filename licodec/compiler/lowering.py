"""Tensors and attributes of the transforms' operations, from a float network's parameters.

A grid stands for its integers times a step. Each function here takes the parameters of one
float layer and the grid of its operand, chooses the finest form that its kind of operation
allows, and says what the result's integers stand for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from licodec.compiler.forms import Grid
from licodec.exact.operations import KINDS
from licodec.exact.operations.attention import SCORE_LIMIT
from licodec.exact.operations.normalization import RADICAND_LIMIT
from licodec.exact.program import Tensors
from licodec.exact.values import (
    BITS_LIMIT,
    DIVIDEND_LIMIT,
    VALUE_LIMIT,
    IllegalOperation,
    ValueInfo,
)

SCORE_BITS = 10  # of a fraction of a score, unless the scores are too large for it
WEIGHT_BITS = 20  # of the largest weight of an attention
LARGEST_BIAS = 2**31 - 1


@dataclass(frozen=True)
class Form:
    """An operation's tensors and attributes, and what its result's integers count in.

    `steps` has one entry by channel, or one for all.
    """

    tensors: dict[str, np.ndarray]
    attributes: dict[str, int]
    steps: np.ndarray


def layernorm_form(
    gain: np.ndarray, bias: np.ndarray, epsilon: float, x: Grid, result: Grid
) -> Form:
    """LayerNorm over channels with gain and bias (C,), from grid `x` to grid `result`.

    All channels of the operand count in the one step. Raises ValueError where no legal form
    exists: too many channels for the operand's range.
    """
    channels = len(gain)
    shift = np.clip(np.rint(bias / result.step), 1 - VALUE_LIMIT, VALUE_LIMIT - 1)
    tensors = {"gain": np.zeros(channels, np.float32), "bias": shift.astype(np.int32)}
    attributes = {"root_bits": 0, "fraction_bits": 0, "low": result.low, "high": result.high}
    attributes["epsilon"] = round(channels**2 * epsilon / x.step**2)

    def fault(**bits: int) -> str | None:
        return _fault("layernorm", channels, x, tensors, attributes | bits)

    if (found := fault()) is not None:
        raise ValueError(f"layernorm of {channels} channels: {found}")
    attributes["root_bits"] = _most_bits(lambda k: not fault(root_bits=k))
    attributes["fraction_bits"] = _most_bits(lambda f: f < 20 and not fault(fraction_bits=f))
    unit = result.step * 2.0 ** attributes["fraction_bits"]
    tensors["gain"] = (gain / unit).astype(np.float32)
    return Form(tensors, attributes, np.array([result.step]))


def attention_form(
    relative_bias: np.ndarray, scale: float, depth: int, x: Grid, window: int, shift: int
) -> Form:
    """Window attention, softmax(scale * q k + bias) v.

    relative_bias   (heads, 2w-1, 2w-1), by the query's place less the key's
    depth           channels of a head
    x               the grid of queries, keys and values
    """
    heads = len(relative_bias)
    unit = 2.0**-SCORE_BITS  # of the scores
    scores = depth * x.largest**2 * scale * x.step**2
    # Half a bit is left for the rounding of the multipliers to binary32.
    while max(scores * 1.5, np.abs(relative_bias).max() + unit) >= SCORE_LIMIT * unit:
        unit *= 2
    room = (DIVIDEND_LIMIT - 1) // (window**2 * max(1, x.largest))
    first = 2 ** min(WEIGHT_BITS, room.bit_length() - 1)
    count = math.ceil(math.log(2 * first) / unit) + 1  # what follows rounds to 0
    table = np.rint(first * np.exp(-np.arange(count) * unit))
    tensors = {
        "multiplier": np.full(heads, scale * x.step**2 / unit, np.float32),
        "bias": np.rint(relative_bias / unit).astype(np.int32),
        "table": table.astype(np.int32),
    }
    attributes = {"heads": heads, "window": window, "shift": shift}
    return Form(tensors, attributes, np.array([x.step]))


def igdn_form(gamma: np.ndarray, beta: np.ndarray, x: Grid, width: int) -> Form:
    """x * sqrt(beta + gamma x^2), gamma (C, C) and beta (C,) as they are used, not negative;
    gamma in integers of `width` bits. The result is a sum."""
    tensors, attributes, root_steps = _normalization(gamma, beta, x, width)
    return Form(tensors, attributes, x.step * root_steps)


def gdn_form(gamma: np.ndarray, beta: np.ndarray, x: Grid, width: int, largest: float) -> Form:
    """x / sqrt(beta + gamma x^2), as in ``igdn_form``; results up to `largest` are kept."""
    tensors, attributes, root_steps = _normalization(gamma, beta, x, width)
    # In units of 2^-f the result is x * 2^(k+f) / r, and r counts in root_steps.
    units = x.step / (root_steps * 2.0 ** attributes["root_bits"])
    attributes |= {"low": 1 - VALUE_LIMIT, "high": VALUE_LIMIT - 1}
    attributes["fraction_bits"] = _most_bits(
        lambda f: (
            largest / units.min() * 2.0**f < VALUE_LIMIT // 2
            and not _fault("gdn", len(gamma), x, tensors, attributes | {"fraction_bits": f})
        )
    )
    return Form(tensors, attributes, units * 2.0 ** -attributes["fraction_bits"])


def _normalization(
    gamma: np.ndarray, beta: np.ndarray, x: Grid, width: int
) -> tuple[dict[str, np.ndarray], dict[str, int], np.ndarray]:
    """Tensors, attributes, and (C,) what the integer roots count in."""
    highest = 2 ** (width - 1) - 1
    steps = np.maximum(gamma.max(1), 1e-12) / highest  # of gamma, by row
    # Rows whose norm would be too large for an exact root take coarser weights.
    norm = (beta / x.step**2 + gamma.sum(1) * x.largest**2) / steps
    steps = steps * np.maximum(1.0, norm * 1.01 / (RADICAND_LIMIT / 2))
    weight = np.rint(gamma / steps[:, None])
    constant = beta / (steps * x.step**2)
    bias_bits = _most_bits(lambda b: b == 0 or constant.max() / 2 ** (b - 1) > LARGEST_BIAS)
    tensors = {
        "weight": weight.astype(np.int8 if width <= 8 else np.int16),
        "bias": np.rint(constant / 2.0**bias_bits).astype(np.int32),
    }
    attributes = {"bias_bits": bias_bits}
    root_bits = attributes["root_bits"] = _most_bits(
        lambda k: not _fault("igdn", len(gamma), x, tensors, attributes | {"root_bits": k})
    )
    return tensors, attributes, np.sqrt(steps) * x.step * 2.0**-root_bits


def _fault(
    kind: str, channels: int, x: Grid, tensors: Tensors, attributes: Mapping[str, int]
) -> str | None:
    """What is not legal of an operation on such an operand, or None."""
    operand = ValueInfo(channels, x.low, x.high, Fraction(1))
    try:
        KINDS[kind].infer(operand, **tensors, **attributes)
    except IllegalOperation as error:
        return str(error)
    return None


def _most_bits(legal: Callable[[int], bool]) -> int:
    """The largest legal number of bits, of which fewer are legal too; 0 in any case."""
    bits = 0
    while bits + 1 < BITS_LIMIT and legal(bits + 1):
        bits += 1
    return bits
