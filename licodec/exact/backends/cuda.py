"""Convolutions as float64 matrix products on a CUDA device: exact while sums stay below 2^53.

cuDNN's convolutions are not used: on integers they are exact neither by default nor by any
setting that is documented (Winograd, FFT, TF32), whereas a binary64 product sum is exact in
any order of summation.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from licodec.exact.backends import torch_planes
from licodec.exact.backends.torch_blocks import Scratch, Window
from licodec.exact.backends.torch_planes import Convolution, Convolve
from licodec.exact.bounds import CheckedProgram
from licodec.exact.passes import FLOAT64_KERNEL
from licodec.exact.values import Run
from licodec.forks import is_fork_of_torch

NAME = "cuda"
LIMITS = FLOAT64_KERNEL


def obstacle() -> str | None:
    if is_fork_of_torch():
        return "this process was forked from one that may have used CUDA, which does not survive it"
    return None if torch.cuda.is_available() else "torch finds no CUDA device"


def prepare(checked: CheckedProgram, device: str = "cuda") -> Run:
    """What runs a program; any torch device will do."""
    chosen = torch.device(device)
    return torch_planes.prepare(checked, MatrixProduct(chosen), chosen)


class MatrixProduct:
    """Binds convolutions as matrix products of unfolded planes on `device`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, convolution: Convolution) -> Convolve:
        groups, kernel = convolution.groups, convolution.weight.shape[2]
        outputs, inputs = len(convolution.weight), convolution.weight.shape[1] * groups
        # It is proved that |bias| + sum |w| * |x| < 2^53, so one pass is always enough.
        weight = torch.tensor(convolution.weight, dtype=torch.float64, device=self.device)
        weight = weight.reshape(groups, outputs // groups, -1)
        bias = torch.tensor(convolution.bias, dtype=torch.float64, device=self.device)
        stride = convolution.stride

        def convolve(x: Tensor, window: Window, scratch: Scratch) -> Tensor:
            frame, inner = window.framed("part", inputs, 0, torch.float64, scratch)
            inner.copy_(x[window.inside])
            rows, columns = ((n - kernel) // stride + 1 for n in frame.shape[:2])
            planes = frame.permute(2, 0, 1)
            if kernel == stride == 1:
                taps = planes.reshape(inputs, -1)
            else:
                taps = functional.unfold(planes[None], kernel, stride=stride)[0]
            product = torch.bmm(weight, taps.reshape(groups, -1, rows * columns))
            sums = product.view(outputs, -1).T + bias
            return sums.to(torch.float32).view(rows, columns, outputs)

        return convolve
