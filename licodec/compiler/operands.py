"""What the channels of layers' operands count in, told without quantizing a weight.

The steps of an operand become part of the weights that read it, so whoever rounds weights as the
compiler does must know them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Unpack

import numpy as np
from torch import Tensor, fx

from licodec.compiler.compilation import Compilation, Place
from licodec.compiler.forms import Compiled, Condition, Source
from licodec.compiler.grids import Rules, Tables


@dataclass(frozen=True)
class Operands:
    """The steps (channels,) of every convolution's operand, by the layer's path, and the program
    without its convolutions."""

    steps: Mapping[str, np.ndarray]
    compiled: Compiled


class _Reading(Compilation):
    """Compiles all but convolutions, of which it notes what they read."""

    steps: dict[str, np.ndarray]

    def convolution(
        self,
        node: fx.Node,
        layer: str,
        kernel: Tensor,
        bias: Tensor | None,
        condition: Condition | None = None,
        made: fx.Node | None = None,
        **place: Unpack[Place],
    ) -> str:
        self.steps[layer] = self.channel_steps[self.operand(node)]
        grid = self.node_grids[(made or node).name]
        return self.place(f"convolution {node.name}", grid, len(kernel))


def read_operands(
    source: Source,
    traced: fx.GraphModule,
    ranges: Mapping[str, tuple[float, float]],
    activation_bits: int,
    tables: Tables,
    rules: Rules = MappingProxyType({}),
) -> Operands:
    """The operands of one traced module; arguments and errors are those of ``compile_module``."""
    reading = _Reading(source, traced, ranges, lambda layer: 8, activation_bits, tables, rules)
    reading.steps = {}
    compiled = reading.compile()
    return Operands(reading.steps, compiled)
