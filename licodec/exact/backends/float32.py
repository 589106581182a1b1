"""Integer-valued float32 convolutions in torch: exact while every sum stays below 2^24."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from licodec.exact.backends import torch_planes
from licodec.exact.backends.torch_planes import Convolution, Convolve, Run
from licodec.exact.passes import FLOAT32_KERNEL, split_into_passes
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
    weights = [
        torch.from_numpy(one.weight).float().contiguous(memory_format=torch.channels_last)
        for one in passes
    ]
    biases = [torch.from_numpy(one.bias).float() for one in passes]
    coefficients = [one.coefficient for one in passes]
    stride, padding, groups = convolution.stride, convolution.padding, convolution.groups

    def convolve(x: Tensor) -> Tensor:
        results = []
        for one, weight, bias in zip(passes, weights, biases, strict=True):
            selected = x[:, :, one.channels]
            part = torch_planes.operand_range_part(
                selected, one.operand.shift, one.operand.width
            ).to(torch.float32)
            planes = part.permute(2, 0, 1)[None]
            y = functional.conv2d(planes, weight, bias, stride, padding, groups=groups)
            results.append(y[0].permute(1, 2, 0).contiguous())
        return torch_planes.sum_passes(results, coefficients)

    return convolve
