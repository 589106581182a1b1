"""The obvious interpreter: NumPy, one operation at a time, sums in binary64.

Sums are exact because ``bounds.analyse`` proves them below 2^53.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from licodec.exact.bounds import last_readers
from licodec.exact.program import Operation, Program, Tensors

NAME = "reference"

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def prepare(program: Program, tensors: Tensors) -> Run:
    """Bind `program` to its tensors; the program must have passed ``bounds.analyse``."""

    last = last_readers(program)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = {port.name: inputs[port.name].astype(np.int64) for port in program.inputs}
        for i, operation in enumerate(program.operations):
            operands = [values[name] for name in operation.inputs]
            roles = {role: tensors[name] for role, name in operation.tensors.items()}
            values[operation.output] = _KERNELS[operation.kind](operation, operands, roles)
            for name in {*operation.inputs, operation.output}:
                if last.get(name) == i:
                    del values[name]
        return {name: values[name].astype(np.int32) for name in program.outputs}

    return run


def conv2d(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    """acc = bias + sum w * x, zero padding: (I, H, W) int64 -> (O, H/stride, W/stride) int64."""
    (x,) = operands
    # (O, I/groups, k, k) -> (k, k, O, I/groups): a matrix for each tap
    weight = np.ascontiguousarray(np.moveaxis(roles["weight"], (2, 3), (0, 1)), np.float64)
    stride, padding, groups = (operation.attributes[k] for k in ("stride", "padding", "groups"))
    kernel = len(weight)
    padded = np.pad(x.astype(np.float64), ((0, 0), (padding, padding), (padding, padding)))
    rows = (padded.shape[1] - kernel) // stride + 1
    columns = (padded.shape[2] - kernel) // stride + 1
    parts = []
    for w, plane in zip(np.split(weight, groups, 2), np.split(padded, groups), strict=True):
        acc = np.zeros((w.shape[2], rows * columns))
        for i in range(kernel):
            for j in range(kernel):
                tap = plane[:, i : i + stride * rows : stride, j : j + stride * columns : stride]
                acc += w[i, j] @ tap.reshape(len(tap), -1)
        parts.append(acc.reshape(-1, rows, columns))
    return np.concatenate(parts).astype(np.int64) + roles["bias"].astype(np.int64)[:, None, None]


def requantize(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    """sat(rne(fl32(fl32(acc) * m[c])))."""
    (acc,) = operands
    multiplier = roles["multiplier"][:, None, None]
    if "negative_multiplier" in roles:
        multiplier = np.where(acc < 0, roles["negative_multiplier"][:, None, None], multiplier)
    product = acc.astype(np.float32) * multiplier
    # Clamping before the cast keeps the integer conversion in range; both orders agree.
    low, high = operation.attributes["low"], operation.attributes["high"]
    return np.clip(np.rint(product), low, high).astype(np.int64)


def add(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    a, b = operands
    return np.clip(a + b, operation.attributes["low"], operation.attributes["high"])


def mul(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    a, b = operands
    return a * b


def scale(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    """The planes (C, H, W) times the number ()."""
    x, number = operands
    return x * number


def igdn(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    """x * isqrt(n * 4^k)."""
    (x,) = operands
    return x * _normalization(operation, x, roles)


def gdn(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    """sat(rne(x * 2^(k+f) / max(isqrt(n * 4^k), 1)))."""
    (x,) = operands
    bits = operation.attributes["root_bits"] + operation.attributes["fraction_bits"]
    quotient = divide_rne(x << bits, np.maximum(_normalization(operation, x, roles), 1))
    return np.clip(quotient, operation.attributes["low"], operation.attributes["high"])


def _normalization(operation: Operation, x: np.ndarray, roles: Tensors) -> np.ndarray:
    """isqrt(n * 4^k) with n = bias * 2^b + sum w * x^2, (C, H, W) int64."""
    squares = (x * x).reshape(len(x), -1).astype(np.float64)
    bias = roles["bias"].astype(np.int64) << operation.attributes["bias_bits"]
    norm = (roles["weight"].astype(np.float64) @ squares).astype(np.int64) + bias[:, None]
    return isqrt(norm.reshape(x.shape) << 2 * operation.attributes["root_bits"])


def layernorm(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    """sat(rne(fl32(n * gain)) + bias), n the deviation from the mean of the channels in units of
    2^-f standard deviations."""
    (x,), a = operands, operation.attributes
    total = x.sum(0)
    variance = len(x) * (x * x).sum(0) - total * total + a["epsilon"]
    root = np.maximum(isqrt(variance << 2 * a["root_bits"]), 1)
    dividend = (len(x) * x - total) << a["root_bits"] + a["fraction_bits"]
    product = divide_rne(dividend, root).astype(np.float32) * roles["gain"][:, None, None]
    result = np.rint(product).astype(np.int64) + roles["bias"][:, None, None]
    return np.clip(result, a["low"], a["high"])


def window_attention(
    operation: Operation, operands: list[np.ndarray], roles: Tensors
) -> np.ndarray:
    """(3 * heads * depth, H, W) queries, keys, values -> (heads * depth, H, W).

    The plane is completed to whole windows; what does not belong to it has no weight.
    """
    (x,) = operands
    heads, w, shift = (operation.attributes[k] for k in ("heads", "window", "shift"))
    _, rows, columns = x.shape
    before = -shift % w
    border = [(0, 0), *((before, -(before + n) % w) for n in (rows, columns))]
    q, k, v = np.split(_windows(np.pad(x.astype(np.float64), border), 3 * heads, w), 3)
    inside = _windows(np.pad(np.ones((1, rows, columns), bool), border), 1, w)[0, :, :, 0]

    multiplier = roles["multiplier"][:, None, None, None]
    scores = np.rint((q @ k.swapaxes(2, 3)).astype(np.float32) * multiplier).astype(np.int64)
    scores += relative_bias(roles["bias"])[:, None]  # (heads, windows, queries, keys)
    scores = np.where(inside[:, None], scores, -(2**32))
    table = np.append(roles["table"].astype(np.int64), 0)  # and 0 beyond it
    below = scores.max(3, keepdims=True) - scores
    weights = table[np.minimum(below, len(table) - 1)]
    mean = divide_rne(weights.astype(np.float64) @ v, weights.sum(3, keepdims=True))

    down, across = (-(-(before + n) // w) for n in (rows, columns))
    planes = mean.reshape(heads, down, across, w, w, -1).transpose(0, 5, 1, 3, 2, 4)
    planes = planes.reshape(-1, down * w, across * w)
    return planes[:, before : before + rows, before : before + columns]


def _windows(planes: np.ndarray, groups: int, w: int) -> np.ndarray:
    """(groups * n, H, W) -> (groups, windows, w * w, n)."""
    _, rows, columns = planes.shape
    split = planes.reshape(groups, -1, rows // w, w, columns // w, w)
    return split.transpose(0, 2, 4, 3, 5, 1).reshape(groups, -1, w * w, split.shape[1])


def relative_bias(bias: np.ndarray) -> np.ndarray:
    """(heads, 2w-1, 2w-1) by distance -> (heads, w*w, w*w): for each query and key."""
    w = (bias.shape[1] + 1) // 2
    rows, columns = (place.ravel() for place in np.indices((w, w)))
    distances = (place[:, None] - place[None, :] + w - 1 for place in (rows, columns))
    return bias[:, *distances]


def isqrt(v: np.ndarray) -> np.ndarray:
    """floor(sqrt(v)) of int64 0 <= v < 2^52.

    NumPy's binary64 root is correctly rounded. The root of r^2 - 1 is at least 2^-27 below r,
    and the binary64 numbers below r <= 2^26 are that close, so it is not rounded up to r.
    """
    return np.floor(np.sqrt(v.astype(np.float64))).astype(np.int64)


def divide_rne(dividend: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """rne(dividend / divisor) of int64, |dividend| < 2^52, divisor > 0.

    An exact quotient that is no tie is at least 1 / (2 * divisor) from one; binary64 rounds it
    by less than that.
    """
    return np.rint(dividend.astype(np.float64) / divisor.astype(np.float64)).astype(np.int64)


def clamp(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    return np.clip(operands[0], operation.attributes["low"], operation.attributes["high"])


def table(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    entries, low = roles["table"].astype(np.int64), operation.attributes["low"]
    return entries[np.clip(operands[0] - low, 0, len(entries) - 1)]


def concat(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    return np.concatenate(operands)


def split(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    return operands[0][operation.attributes["start"] : operation.attributes["stop"]]


def pixel_shuffle(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    """(C*f*f, H, W) -> (C, H*f, W*f), PyTorch's channel order."""
    (x,), f = operands, operation.attributes["factor"]
    channels, rows, columns = x.shape[0] // f**2, x.shape[1], x.shape[2]
    x = x.reshape(channels, f, f, rows, columns).transpose(0, 3, 1, 4, 2)
    return x.reshape(channels, rows * f, columns * f)


def pixel_unshuffle(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    """The inverse of pixel_shuffle: (C, H*f, W*f) -> (C*f*f, H, W)."""
    (x,), f = operands, operation.attributes["factor"]
    channels, rows, columns = x.shape[0], x.shape[1] // f, x.shape[2] // f
    x = x.reshape(channels, rows, f, columns, f).transpose(0, 2, 4, 1, 3)
    return x.reshape(channels * f**2, rows, columns)


def phase(operation: Operation, operands: list[np.ndarray], roles: Tensors) -> np.ndarray:
    (x,), at = operands, operation.attributes
    return x[:, at["row"] :: at["factor"], at["column"] :: at["factor"]]


_KERNELS: dict[str, Callable[[Operation, list[np.ndarray], Tensors], np.ndarray]] = {
    "conv2d": conv2d,
    "requantize": requantize,
    "add": add,
    "mul": mul,
    "scale": scale,
    "igdn": igdn,
    "gdn": gdn,
    "layernorm": layernorm,
    "window_attention": window_attention,
    "clamp": clamp,
    "table": table,
    "concat": concat,
    "split": split,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "phase": phase,
}
