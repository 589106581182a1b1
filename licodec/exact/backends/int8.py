"""oneDNN's u8 x s8 convolutions with float32 output: exact while every sum stays below 2^24.

Needs instructions that add such products in 32 bits (AVX512-VNNI, AVX-VNNI, AMX, ...);
without them oneDNN saturates pairs of products at 16 bits, which the self-test sees.
"""

from __future__ import annotations

import torch
from torch import Tensor

from licodec.exact.backends import torch_planes
from licodec.exact.backends.torch_planes import Convolution, Convolve, Run
from licodec.exact.passes import INT8_KERNEL, Pass, split_into_passes
from licodec.exact.program import Program, Tensors

NAME = "int8"
LIMITS = INT8_KERNEL


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
    shift, width = one.operand.shift, one.operand.width
    zero_point = max(0, -one.operand.low)
    stride, padding = [convolution.stride] * 2, [convolution.padding] * 2
    dilation, groups = [1, 1], convolution.groups
    scales = torch.ones(len(one.bias))
    zero_points = torch.zeros(len(one.bias), dtype=torch.int64)
    weight = torch.ops.onednn.qconv_prepack(
        torch.from_numpy(one.weight).to(torch.int8),
        scales, 1.0, zero_point, stride, padding, dilation, groups, None,
    )  # fmt: skip
    bias = torch.from_numpy(one.bias).float()

    def convolve(x: Tensor) -> Tensor:
        part = torch_planes.operand_range_part(x[:, :, one.channels], shift, width)
        if zero_point:
            part = part + zero_point
        planes = part.to(torch.uint8).permute(2, 0, 1)[None]
        y = torch.ops.onednn.qconv2d_pointwise(
            planes, 1.0, zero_point, weight, scales, zero_points, bias,
            stride, padding, dilation, groups, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return y[0].permute(1, 2, 0).contiguous()

    return convolve
