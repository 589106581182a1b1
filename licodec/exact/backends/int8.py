"""oneDNN's u8 x s8 convolutions with float32 output: exact while every sum stays below 2^24.

Needs instructions that add such products in 32 bits (AVX512-VNNI, AVX-VNNI, AMX, ...);
without them oneDNN saturates pairs of products at 16 bits, which the self-test sees.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from licodec.exact.backends import torch_planes
from licodec.exact.backends.torch_planes import Convolution, Convolve, Run
from licodec.exact.passes import BYTE, INT8_KERNEL, OperandPart, Pass, split_into_passes
from licodec.exact.program import Program, Tensors

NAME = "int8"
LIMITS = INT8_KERNEL

SHAPES_KEPT = 4  # strips of a picture come in three: first, middle, last


def obstacle() -> str | None:
    return None if torch.backends.mkldnn.is_available() else "torch was built without oneDNN"


def prepare(program: Program, tensors: Tensors) -> Run:
    """Bind `program` to its tensors."""
    return torch_planes.prepare(program, tensors, bind_convolution, torch.device("cpu"))


def bind_convolution(convolution: Convolution) -> Convolve:
    passes = split_into_passes(
        convolution.weight,
        convolution.bias,
        convolution.low,
        convolution.high,
        convolution.groups,
        LIMITS,
    )
    kernels = [PassKernel(one, convolution) for one in passes]
    coefficients = [one.coefficient for one in passes]
    # The distinct parts, from the lowest bits up: the last may then shift the operand in place.
    reads = [(one.operand, one.channels) for one in passes]
    operands = sorted(
        (read for i, read in enumerate(reads) if read not in reads[:i]),
        key=lambda operand: operand[0].shift,
    )
    places = [operands.index(read) for read in reads]
    shifts = [torch.bitwise_right_shift] * len(operands)
    if convolution.operand_dies:
        shifts[-1] = Tensor.bitwise_right_shift_
    padding = convolution.padding

    def convolve(x: Tensor) -> Tensor:
        planes = [
            byte_planes(x[:, :, channels], part, padding, shift)
            for (part, channels), shift in zip(operands, shifts, strict=True)
        ]
        sums = [kernel(planes[place]) for kernel, place in zip(kernels, places, strict=True)]
        return torch_planes.sum_passes(sums, coefficients)

    return convolve


def byte_planes(
    x: Tensor, part: OperandPart, padding: int, shift: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """`part` of the planes (H, W, C) as uint8, with a border of its offset if it has one.

    A kernel that pads by zeros would be wrong there. `shift` may work in place.
    """
    shifted = shift(x, part.shift) if part.shift else x
    if part.offset and padding:
        rows, columns, channels = x.shape
        planes = torch.empty(
            (rows + 2 * padding, columns + 2 * padding, channels), dtype=torch.uint8
        )
        for border in (planes[:padding], planes[-padding:]):
            border.fill_(part.offset)
        inner = planes[padding:-padding]
        for border in (inner[:, :padding], inner[:, -padding:]):
            border.fill_(part.offset)
        inner = inner[:, padding:-padding]
        inner.copy_(shifted)
    else:
        planes = inner = shifted.to(torch.uint8)
    # The conversion keeps the lowest byte; bytes then wrap around in the addition, so that
    # negative parts come out right too.
    if part.offset:
        inner.add_(part.offset)
    if part.width is not None and part.width < BYTE:
        inner.bitwise_and_((1 << part.width) - 1)
    return planes


class PassKernel:
    """One pass: uint8 planes (H, W, I) -> the sums, float32 (H/stride, W/stride, O).

    oneDNN chooses the memory layout of the weights by the shape of the planes, and converts
    them on every call if they are in another, so they are packed once per shape. Its zero
    points are not used: they make it convert the weights on every call too.
    """

    def __init__(self, one: Pass, convolution: Convolution) -> None:
        self._weight = torch.tensor(one.weight, dtype=torch.int8)
        self._bias = torch.tensor(one.bias, dtype=torch.float32)
        self._scales = torch.ones(len(one.bias))
        self._zero_points = torch.zeros(len(one.bias), dtype=torch.int64)
        padding = 0 if one.operand.offset else convolution.padding
        stride, dilation = [convolution.stride] * 2, [1, 1]
        self._geometry = (stride, [padding] * 2, dilation, convolution.groups)
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
