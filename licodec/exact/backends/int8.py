"""oneDNN's u8 x s8 convolutions with float32 output: exact while every sum stays below 2^24.

Needs instructions that add such products in 32 bits (AVX512-VNNI, AVX-VNNI, AMX, ...);
without them oneDNN saturates pairs of products at 16 bits, which the self-test sees.
"""

from __future__ import annotations

import torch
from torch import Tensor

from licodec.exact.backends import torch_planes
from licodec.exact.backends.torch_blocks import Scratch, Window
from licodec.exact.backends.torch_planes import Convolution, Convolve
from licodec.exact.bounds import CheckedProgram
from licodec.exact.passes import BYTE, INT8_KERNEL, OperandPart, Pass
from licodec.exact.values import Run

NAME = "int8"
LIMITS = INT8_KERNEL

SHAPES_KEPT = 4  # strips of a picture come in three: first, middle, last


def obstacle() -> str | None:
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # as torch is
    return None if available else "torch was built without oneDNN"


def prepare(checked: CheckedProgram) -> Run:
    """What runs a program."""
    return torch_planes.prepare(checked, bind_convolution, torch.device("cpu"))


def bind_convolution(convolution: Convolution) -> Convolve:
    passes = convolution.passes(LIMITS)
    kernels = [PassKernel(one, convolution) for one in passes]
    coefficients = [one.coefficient for one in passes]
    reads = [(one.operand, one.channels) for one in passes]
    operands = [read for i, read in enumerate(reads) if read not in reads[:i]]
    places = [operands.index(read) for read in reads]

    def convolve(x: Tensor, window: Window, scratch: Scratch) -> Tensor:
        rows = x[window.inside]
        planes = []
        for i, (part, channels) in enumerate(operands):
            read = rows[:, :, channels]
            frame, inner = window.framed(
                f"part {i}", read.shape[2], part.offset, torch.uint8, scratch
            )
            write_bytes(read, part, inner, scratch)
            planes.append(frame)
        sums = [kernel(planes[place]) for kernel, place in zip(kernels, places, strict=True)]
        return torch_planes.sum_passes(sums, coefficients)

    return convolve


def write_bytes(x: Tensor, part: OperandPart, target: Tensor, scratch: Scratch) -> None:
    """Write `part` of the planes (H, W, C) into `target`, uint8."""
    if part.shift:
        shifted = scratch.of("shifted", tuple(x.shape), x.dtype)
        x = torch.bitwise_right_shift(x, part.shift, out=shifted)
    # The conversion keeps the lowest byte; bytes then wrap around in the addition, so that
    # negative parts come out right too.
    target.copy_(x)
    if part.offset:
        target.add_(part.offset)
    if part.width is not None and part.width < BYTE:
        target.bitwise_and_((1 << part.width) - 1)


class PassKernel:
    """One pass: framed uint8 planes (H, W, I) -> the sums, float32 (rows, columns, O).

    oneDNN chooses the memory layout of the weights by the shape of the planes, and converts
    them on every call if they are in another, so they are packed once per shape. Its zero
    points are not used: they make it convert the weights on every call too.
    """

    def __init__(self, one: Pass, convolution: Convolution) -> None:
        self._weight = torch.tensor(one.weight, dtype=torch.int8)
        self._bias = torch.tensor(one.bias, dtype=torch.float32)
        self._scales = torch.ones(len(one.bias))
        self._zero_points = torch.zeros(len(one.bias), dtype=torch.int64)
        stride, padding, dilation = [convolution.stride] * 2, [0, 0], [1, 1]
        self._geometry = (stride, padding, dilation, convolution.groups)
        self._packed: dict[torch.Size, Tensor] = {}

    def __call__(self, planes: Tensor) -> Tensor:
        images = planes.permute(2, 0, 1)[None]
        sums = torch.ops.onednn.qconv2d_pointwise(
            images,
            1.0,  # scale of the operand
            0,  # its zero point
            self._weights_for(images.shape),
            self._scales,
            self._zero_points,
            self._bias,
            *self._geometry,
            1.0,  # scale of the result
            0,  # its zero point
            torch.float32,
            "none",
            [],
            "",
        )
        return sums[0].permute(1, 2, 0).contiguous()

    def _weights_for(self, shape: torch.Size) -> Tensor:
        packed = self._packed.get(shape)
        if packed is None:
            packed = torch.ops.onednn.qconv_prepack(
                self._weight, self._scales, 1.0, 0, *self._geometry, list(shape)
            )
            if len(self._packed) >= SHAPES_KEPT:
                self._packed = {}
            self._packed[shape] = packed
        return packed
