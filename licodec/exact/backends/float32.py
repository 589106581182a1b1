"""Integer-valued float32 convolutions in torch: exact while every sum stays below 2^24.

Exact, that is, in IEEE binary32. torch's own settings that allow less are put aside while a
program runs; oneDNN's ONEDNN_DEFAULT_FPMATH_MODE cannot be, so there the self-test decides.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from licodec.exact.backends import torch_planes
from licodec.exact.backends.torch_blocks import Scratch, Window
from licodec.exact.backends.torch_planes import Convolution, Convolve
from licodec.exact.bounds import CheckedProgram
from licodec.exact.passes import FLOAT32_KERNEL, Pass
from licodec.exact.values import Run

NAME = "float32"
LIMITS = FLOAT32_KERNEL


def obstacle() -> str | None:
    return None


def prepare(checked: CheckedProgram) -> Run:
    """What runs a program."""
    return torch_planes.prepare(checked, bind_convolution, torch.device("cpu"))


def bind_convolution(convolution: Convolution) -> Convolve:
    passes = convolution.passes(LIMITS)
    kernels = [_bind_pass(one, convolution) for one in passes]
    coefficients = [one.coefficient for one in passes]

    def convolve(x: Tensor, window: Window, scratch: Scratch) -> Tensor:
        sums = [kernel(x, window, scratch) for kernel in kernels]
        return torch_planes.sum_passes(sums, coefficients)

    return convolve


def _bind_pass(one: Pass, convolution: Convolution) -> Convolve:
    weight = torch.tensor(one.weight, dtype=torch.float32)
    bias = torch.tensor(one.bias, dtype=torch.float32)
    stride, groups = convolution.stride, convolution.groups

    def operand(x: Tensor, window: Window, scratch: Scratch) -> Tensor:
        part = x[window.inside, :, one.channels]
        frame, inner = window.framed("part", part.shape[2], 0, torch.float32, scratch)
        if one.operand.shift:
            part = part >> one.operand.shift
        if one.operand.width is not None:
            part = part & ((1 << one.operand.width) - 1)
        inner.copy_(part)
        return frame

    if weight.shape[2] == stride == groups == 1:
        matrix = weight[:, :, 0, 0]
        return lambda *read: functional.linear(operand(*read), matrix, bias)

    weight = weight.contiguous(memory_format=torch.channels_last)

    def convolve(x: Tensor, window: Window, scratch: Scratch) -> Tensor:
        images = operand(x, window, scratch).permute(2, 0, 1)[None]
        sums = functional.conv2d(images, weight, bias, stride, groups=groups)
        return sums[0].permute(1, 2, 0).contiguous()

    return convolve
