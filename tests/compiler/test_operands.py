"""What operands count in, against what training's simulation takes them for."""

from __future__ import annotations

import numpy as np
import torch

from licodec.compiler.compilation import Output, Source, node_grids, operand_steps, trace
from licodec.compiler.operands import read_operands
from licodec.compiler.ranges import RangeRecorder
from tests.compiler.test_fake_quantization import BITS, INPUT, OUTPUT, Concatenated


def test_steps_of_concatenated_operands() -> None:
    torch.manual_seed(0)
    traced = trace(Concatenated().eval(), ())
    recorder = RangeRecorder(traced)
    recorder.run(torch.randint(-900, 900, (1, 2, 9, 11)) / 64)
    source = Source("small", {"x": INPUT}, {"x": 2}, {"y": Output(OUTPUT)})
    read = read_operands(source, traced, recorder.ranges, BITS, {})
    assert {layer: len(steps) for layer, steps in read.steps.items()} == {
        "small": 2, "large": 2, "last": 7,
    }  # fmt: skip
    assert np.all(read.steps["small"] == INPUT.step)
    operands = {
        str(n.target): n.all_input_nodes[0] for n in traced.graph.nodes if n.all_input_nodes
    }
    grids = node_grids(source, traced, recorder.ranges, BITS)
    channels = {"relu": 3, "large": 4}
    expected = operand_steps(operands["last"], grids, recorder.ranges, BITS, channels)
    assert np.array_equal(read.steps["last"], expected.numpy())
    assert len(set(read.steps["last"])) == 2
    assert read.compiled.output_grids == {"y": OUTPUT}
    assert not any("weight" in name for name in read.compiled.tensors)
