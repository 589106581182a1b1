"""An operation as the torch backends bind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from licodec.exact.values import ValueInfo


@dataclass(frozen=True)
class Node:
    """One operation within its program, on a device.

    operands, result  what is proved of them
    dying             positions of the operands that nothing reads afterwards
    roles             its tensors, in the order in which its channels are computed
    """

    attributes: Mapping[str, int]
    operands: tuple[ValueInfo, ...]
    result: ValueInfo
    dying: frozenset[int]
    roles: Mapping[str, np.ndarray]
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the result."""
        return storage(self.result)

    def constant(self, role: str, dtype: torch.dtype | None = None) -> Tensor:
        """A tensor of the operation as it is stored, or as `dtype`."""
        return torch.tensor(self.roles[role], dtype=dtype, device=self.device)


def storage(info: ValueInfo) -> torch.dtype:
    """The type in which a value is held."""
    return torch.int16 if fits_int16(info.low, info.high) else torch.int32


def fits_int16(low: int, high: int) -> bool:
    return low >= -(2**15) and high < 2**15
