"""Integer-valued float32 convolutions in torch: exact while every sum stays below 2^24.

Exact, that is, in IEEE binary32. torch's own settings that allow less are put aside while a
program runs; oneDNN's ONEDNN_DEFAULT_FPMATH_MODE cannot be, so there the self-test decides.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from licodec.exact.backends import torch_planes
from licodec.exact.backends.torch_planes import Convolution, Convolve, Run
from licodec.exact.passes import FLOAT32_KERNEL, Pass, split_into_passes
from licodec.exact.program import Program, Tensors

NAME = "float32"
LIMITS = FLOAT32_KERNEL


def obstacle() -> str | None:
    return None


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
    kernels = [_bind_pass(one, convolution) for one in passes]
    coefficients = [one.coefficient for one in passes]

    def convolve(x: Tensor) -> Tensor:
        return torch_planes.sum_passes([kernel(x) for kernel in kernels], coefficients)

    return convolve


def _bind_pass(one: Pass, convolution: Convolution) -> Convolve:
    weight = torch.tensor(one.weight, dtype=torch.float32)
    bias = torch.tensor(one.bias, dtype=torch.float32)
    shift, width, channels = one.operand.shift, one.operand.width, one.channels
    stride, padding, groups = convolution.stride, convolution.padding, convolution.groups

    def operand(x: Tensor) -> Tensor:
        part = x[:, :, channels]
        if shift:
            part = part >> shift
        if width is not None:
            part = part & ((1 << width) - 1)
        return part.to(torch.float32)

    if weight.shape[2] == stride == groups == 1:
        matrix = weight[:, :, 0, 0]
        return lambda x: functional.linear(operand(x), matrix, bias)

    weight = weight.contiguous(memory_format=torch.channels_last)

    def convolve(x: Tensor) -> Tensor:
        images = operand(x).permute(2, 0, 1)[None]
        sums = functional.conv2d(images, weight, bias, stride, padding, groups=groups)
        return sums[0].permute(1, 2, 0).contiguous()

    return convolve
