"""The structures of programs.h, member by member: all of them have eight bytes."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

MOST_PARTS = 8  # of the weights of a convolution


class Type(IntEnum):
    """Of what a plane stores."""

    U8 = 0
    S16 = 1
    S32 = 2
    S64 = 3

    @property
    def size(self) -> int:
        return 1 << self


TYPES = dict(zip(map(np.dtype, (np.uint8, np.int16, np.int32, np.int64)), Type, strict=True))


class StageKind(IntEnum):
    REQUANTIZE = 0
    REQUANTIZE_FLOAT = 1
    ADD = 2
    MULTIPLY = 3
    SCALE = 4
    CLAMP = 5
    TABLE = 6
    STORE = 7


class Source(IntEnum):
    LOAD = 0
    SHUFFLE = 1
    UNSHUFFLE = 2
    CONVOLUTION = 3
    WIDE_CONVOLUTION = 4
    NORMALIZE = 5
    DIVIDE = 6
    LAYERNORM = 7
    ATTENTION = 8


class PlaneRow(NamedTuple):
    slot: int = 0
    offset: int = 0
    type: int = 0
    zero: int = 0
    row: int = 0
    pixel: int = 0
    channel: int = 1
    channels: int = 0
    border: int = 0


class StageRow(NamedTuple):
    """Behind these: the plane."""

    kind: int
    low: int = 0
    high: int = 0
    number: int = 0
    by_channel: int = 0
    positive: int = 0
    negative: int = 0
    table: int = 0


class TaskRow(NamedTuple):
    """Behind these: the input's plane, the output's, the convolution and the transform."""

    source: int
    rows: int
    columns: int
    channels: int
    plane_rows: int
    plane_columns: int
    factor: int
    positions: int
    blocks: int
    reach: int
    first_stage: int
    stages: int


class ConvolutionRow(NamedTuple):
    """`weights` is MOST_PARTS members."""

    kernel: int = 0
    stride: int = 0
    groups: int = 0
    inputs: int = 0
    outputs: int = 0
    runs: int = 0
    length: int = 0
    parts: int = 0
    part_bits: int = 0
    blocks: int = 1
    block: int = 0
    weights: tuple[int, ...] = (0,) * MOST_PARTS
    bias: int = 0
    plain_bias: int = 0
    plain_weights: int = 0

    def flat(self) -> tuple[int, ...]:
        return tuple(n for own in self for n in ((own,) if isinstance(own, int) else own))


class TransformRow(NamedTuple):
    root_bits: int = 0
    fraction_bits: int = 0
    epsilon: int = 0
    low: int = 0
    high: int = 0
    heads: int = 0
    window: int = 0
    shift: int = 0
    entries: int = 0
    by_head: int = 0
    weights: int = 0
    offsets: int = 0
    gain: int = 0
    bias: int = 0
    table: int = 0


BLOCKS = TaskRow._fields.index("blocks")
INPUT_PLANE = len(TaskRow._fields)  # where it begins in a task
STAGE_SIZE = len(StageRow._fields) + len(PlaneRow._fields)
TASK_SIZE = (
    INPUT_PLANE
    + 2 * len(PlaneRow._fields)
    + len(ConvolutionRow().flat())
    + len(TransformRow._fields)
)
