"""Weights and constants in the form in which the native code reads them."""

from __future__ import annotations

from ctypes import c_int64, c_void_p
from typing import NamedTuple

import numpy as np

from licodec.exact.native import function
from licodec.exact.native.levels import Level
from licodec.exact.native.tables import MOST_PARTS, ConvolutionRow, TransformRow, Type
from licodec.exact.passes import weight_parts
from licodec.exact.program import Operation, Tensors
from licodec.exact.values import ValueInfo

SUM_LIMIT = 2**31  # of a sum that 32 bits hold
WEIGHT_BITS = 16
MERGED_OUTPUTS = 16  # of groups that are computed as one
NORMALIZED_OUTPUTS = 16  # of gdn and igdn that are computed together: transforms.h
MOST_PIECES = 4  # of the bits of weights
_PACK_ARGUMENTS = (c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_void_p)


class Storage(NamedTuple):
    """How a value is kept in memory: an integer is what is stored, plus `zero`.

    border  pixels around the plane that stand for 0
    """

    type: Type
    zero: int
    channels: int
    border: int


class Packed(NamedTuple):
    """A row of a table of programs.h, and the arrays that its pointers lead into."""

    row: ConvolutionRow | TransformRow
    arrays: tuple[np.ndarray, ...]
    wide: bool = False


def choose_storage(x: ValueInfo, border: int, bytes_allowed: bool) -> Storage:
    """The smallest type for a value and for the zeros around it."""
    low, high = min(x.low, 0), max(x.high, 0)
    signed = np.iinfo(np.int16)
    if high - low <= 255 and bytes_allowed:
        return Storage(Type.U8, low, x.channels, border)
    if signed.min <= low and high <= signed.max:
        return Storage(Type.S16, 0, x.channels, border)
    if high - low <= 2**16 - 1:
        return Storage(Type.S16, low - signed.min, x.channels, border)
    return Storage(Type.S32, 0, x.channels, border)


def takes_bytes(weight: np.ndarray, level: Level) -> bool:
    """Whether the level has a kernel for these weights and operands of bytes."""
    if level.step_u8 == 0 or weight[0].size * 255 * 128 >= SUM_LIMIT:
        return False
    return weight.dtype == np.int8 or bool(weight.min() >= -128 and weight.max() <= 127)


def pack_convolution(
    operation: Operation,
    x: ValueInfo,
    total: ValueInfo,
    storage: Storage,
    roles: Tensors,
    order: np.ndarray | None,
    level: Level,
) -> Packed:
    """A conv2d with sums `total`, whose outputs are computed in `order`."""
    weight, bias = roles["weight"], roles["bias"]
    if order is not None:
        weight, bias = weight[order], bias[order]
    groups, wide = operation.attributes["groups"], total.high >= SUM_LIMIT
    split = _Parts((weight,), 0, 1)
    if wide:
        split = _split(weight, max(-x.low, x.high), groups)
    parts = split.parts
    merged = _merged(groups, len(weight) // groups) if parts and split.blocks == 1 else 1
    inputs = (parts[0] if parts else weight).shape[1] * merged
    shape = _Shape.of(weight, groups // merged, inputs, x.channels, storage, level)
    packed = [_pack(_merge(part, groups, merged), shape, storage) for part in parts]
    zero = storage.zero + (level.offset_u8 if storage.type == Type.U8 else 0)
    offsets = [zero * sums for _, sums in packed]
    if not wide:
        offsets[0] = offsets[0] + bias
    biases = np.concatenate([_by_vector(o, shape) for o in offsets] or [np.zeros(0, np.int32)])
    given = (bias, weight.astype(np.int16)) if wide else ()
    plain = [np.ascontiguousarray(array) for array in given]
    addresses = [weights.ctypes.data for weights, _ in packed]
    row = ConvolutionRow(
        shape.kernel,
        operation.attributes["stride"],
        shape.groups,
        shape.inputs,
        shape.outputs,
        shape.runs,
        shape.length,
        len(parts),
        split.bits,
        split.blocks,
        inputs if split.blocks > 1 else 0,
        (*addresses, *[0] * (MOST_PARTS - len(parts))),
        biases.ctypes.data,
        *(array.ctypes.data for array in plain),
    )
    return Packed(row, (*(weights for weights, _ in packed), biases, *plain), wide)


class _Shape(NamedTuple):
    """The structure of weights.c."""

    groups: int
    outputs: int
    inputs: int
    kernel: int
    pitch: int
    runs: int
    length: int
    lanes: int
    step: int

    @classmethod
    def of(
        cls,
        weight: np.ndarray,
        groups: int,
        inputs: int,
        channels: int,
        storage: Storage,
        level: Level,
    ) -> _Shape:
        """Of weights (O, I, k, k), `inputs` of which a group takes at a time, where a pixel has
        so many channels."""
        outputs, _, kernel, _ = weight.shape
        together = inputs == channels  # then all columns of the kernel lie side by side
        step = level.step_u8 if storage.type == Type.U8 else level.step_s16
        length = -(-(kernel * channels if together else inputs) // step) * step
        runs = 1 if together else kernel
        return cls(
            groups, outputs // groups, inputs, kernel, channels, runs, length, level.lanes, step
        )


def _largest_sum(weight: np.ndarray, largest: int) -> int:
    sums = np.abs(weight, dtype=np.int32).reshape(len(weight), -1).sum(1, dtype=np.int64)
    return int(sums.max()) * largest


class _Parts(NamedTuple):
    """Weights (O, I, k, k) as the sum of 2^(bits * d) * parts[d * blocks + b], part b of which is
    for block b of the inputs."""

    parts: tuple[np.ndarray, ...]
    bits: int
    blocks: int


def _split(weight: np.ndarray, largest: int, groups: int) -> _Parts:
    """The parts whose sums fit and which are least work. None where too many would have to be.

    Blocks of inputs cost nothing but the joining; each piece of the bits is all of the work.
    """
    for pieces in range(1, MOST_PIECES + 1):
        bits = -(-WEIGHT_BITS // pieces)
        by_bits = [part.astype(np.int16) for part in weight_parts(weight, pieces, bits)]
        for blocks in (1, 2, 4, 8) if groups == 1 else (1,):
            if pieces * blocks > MOST_PARTS or blocks > weight.shape[1]:
                break
            parts = tuple(part for piece in by_bits for part in _blocks(piece, blocks))
            if all(_largest_sum(part, largest) < SUM_LIMIT for part in parts):
                return _Parts(parts, bits, blocks)
    return _Parts((), 0, 1)


def _blocks(weight: np.ndarray, count: int) -> list[np.ndarray]:
    """Blocks of inputs, equally many; the last is filled up with zeros."""
    size = -(-weight.shape[1] // count)
    whole = np.pad(weight, ((0, 0), (0, size * count - weight.shape[1]), (0, 0), (0, 0)))
    return np.split(whole, count, 1)


def _merged(groups: int, outputs: int) -> int:
    """How many groups to compute as one, so that their outputs fill vectors."""
    fitting = (n for n in range(1, groups + 1) if groups % n == 0 and n * outputs <= MERGED_OUTPUTS)
    return max(fitting, default=1)


def _merge(weight: np.ndarray, groups: int, merged: int) -> np.ndarray:
    """(O, I, k, k) -> (O, I * merged, k, k), with zeros between `merged` groups that are one."""
    if merged == 1:
        return weight
    inputs = weight.shape[1]
    outputs = len(weight) // groups
    whole = np.zeros((len(weight), inputs * merged, *weight.shape[2:]), weight.dtype)
    for group in range(groups):
        place, own = group % merged, slice(group * outputs, (group + 1) * outputs)
        whole[own, place * inputs : (place + 1) * inputs] = weight[own]
    return whole


def _pack(weight: np.ndarray, shape: _Shape, storage: Storage) -> tuple[np.ndarray, np.ndarray]:
    """The weights as licodec_pack says, and the sum of each output's."""
    size = 1 if storage.type == Type.U8 else 2
    vectors = -(-shape.outputs // shape.lanes)
    count = shape.groups * vectors * shape.kernel * shape.runs * shape.length * shape.lanes
    weight, form = np.ascontiguousarray(weight), np.array(shape, np.int64)
    packed, sums = np.empty(count * size, np.uint8), np.empty(len(weight), np.int64)
    pack = function("licodec_pack", None, *_PACK_ARGUMENTS)
    pack(
        weight.ctypes.data, weight.itemsize, form.ctypes.data, size,
        packed.ctypes.data, sums.ctypes.data,
    )  # fmt: skip
    return packed, sums


def _by_vector(offsets: np.ndarray, shape: _Shape) -> np.ndarray:
    """(O,) -> each group padded to whole vectors, modulo 2^32."""
    vectors = -(-shape.outputs // shape.lanes)
    padded = np.zeros((shape.groups, vectors * shape.lanes), np.int64)
    padded[:, : shape.outputs] = offsets.reshape(shape.groups, -1)
    return padded.ravel().astype(np.uint32).view(np.int32)


def pack_normalization(operation: Operation, roles: Tensors) -> Packed:
    """gdn and igdn: weights and offsets in units of 4^-root_bits, exact in binary64."""
    a = operation.attributes
    unit = 4.0 ** a["root_bits"]
    padding = -len(roles["bias"]) % NORMALIZED_OUTPUTS
    weights = np.ascontiguousarray(roles["weight"].T, np.float64) * unit
    weights = np.pad(weights, ((0, 0), (0, padding)))
    offsets = np.pad(roles["bias"].astype(np.float64) * 2.0 ** a["bias_bits"] * unit, (0, padding))
    row = TransformRow(
        root_bits=a["root_bits"],
        fraction_bits=a.get("fraction_bits", 0),
        low=a.get("low", 0),
        high=a.get("high", 0),
        weights=weights.ctypes.data,
        offsets=offsets.ctypes.data,
    )
    return Packed(row, (weights, offsets))


def pack_layernorm(operation: Operation, roles: Tensors) -> Packed:
    a = operation.attributes
    gain, bias = (np.ascontiguousarray(roles[role]) for role in ("gain", "bias"))
    row = TransformRow(
        a["root_bits"], a["fraction_bits"], a["epsilon"], a["low"], a["high"],
        gain=gain.ctypes.data, bias=bias.ctypes.data,
    )  # fmt: skip
    return Packed(row, (gain, bias))


def pack_attention(operation: Operation, roles: Tensors) -> Packed:
    a = operation.attributes
    arrays = tuple(np.ascontiguousarray(roles[role]) for role in ("multiplier", "bias", "table"))
    gain, bias, table = arrays
    row = TransformRow(
        heads=a["heads"], window=a["window"], shift=a["shift"],
        entries=len(table), by_head=int(len(gain) > 1),
        gain=gain.ctypes.data, bias=bias.ctypes.data, table=table.ctypes.data,
    )  # fmt: skip
    return Packed(row, arrays)
