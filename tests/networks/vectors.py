"""The reference vectors of tests/data: formula weights, and the figures to compare."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from licodec.compiler.graphs import trace
from licodec.networks.published import PublishedNetwork
from tests.data.formula import formula_image, formula_tensor

DATA = Path(__file__).parents[1] / "data"


def vectors(name: str) -> dict:
    return json.loads((DATA / f"{name}.json").read_text())


def formula_state(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """A state dict with these keys and shapes."""
    return {key: torch.from_numpy(formula_tensor(key, tuple(s))) for key, s in shapes.items()}


def picture(height: int = 256, width: int = 384) -> torch.Tensor:
    """The formula's picture, (1, 3, height, width)."""
    return torch.from_numpy(formula_image(height, width))[None]


def set_rate_of(network: PublishedNetwork, setting: str) -> None:
    """Set a rate mode as the vectors name it: "forward", "d=8.0", "alpha=0.3,beta=1.0"."""
    pairs = [part.split("=") for part in setting.split(",") if "=" in part]
    network.set_rate(**{mode: float(value) for mode, value in pairs})


def assert_forward_matches(network: PublishedNetwork, setting: str, expected: dict) -> None:
    """1e-4 relative on bits, mean and deviation, 1e-3 absolute on the row."""
    set_rate_of(network, setting)
    with torch.no_grad():
        out = network(picture())
    for latents, likelihoods in out["likelihoods"].items():
        bits = -torch.log2(likelihoods.double()).sum().item()
        assert abs(bits / expected[f"bits_{latents}"] - 1) < 1e-4, latents
    assert_figures_match(out["x_hat"], expected, 1e-4)
    row = out["x_hat"][0, :, 64, ::8].numpy()
    assert np.abs(row - np.array(expected["x_hat_row64"])).max() < 1e-3


def assert_figures_match(x_hat: torch.Tensor, expected: dict, tolerance: float) -> None:
    """`tolerance` relative on mean and deviation."""
    assert abs(x_hat.mean().item() / expected["x_hat_mean"] - 1) < tolerance
    assert abs(x_hat.std().item() / expected["x_hat_std"] - 1) < tolerance


def assert_traces(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """A part of a network traces down to leaves, and computes the same then."""
    graph = trace(module)
    kinds = {node.op for node in graph.graph.nodes}
    assert kinds <= {"placeholder", "call_module", "call_function", "get_attr", "output"}
    with torch.no_grad():
        traced, direct = graph(*inputs), module(*inputs)
    if isinstance(direct, torch.Tensor):
        traced, direct = (traced,), (direct,)
    assert all(torch.equal(a, b) for a, b in zip(traced, direct, strict=True))
