"""The full-size published networks with stand-in weights, as tests/data describes them: each
tensor is a function of its key and shape. Trained checkpoints cannot be shipped."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for the formula itself, which lies with the tests

from tests.data.formula import formula_image, formula_tensor  # noqa: E402

NETWORKS = {path.stem: path for path in sorted((ROOT / "tests" / "data").glob("*.json"))}


def formula_state(name: str) -> dict[str, Tensor]:
    """The state dict of one of NETWORKS."""
    shapes = json.loads(NETWORKS[name].read_text(encoding="utf-8"))["parameters"]
    return {key: torch.from_numpy(formula_tensor(key, tuple(s))) for key, s in shapes.items()}


def formula_picture(height: int, width: int) -> Tensor:
    """(1, 3, height, width) in [0, 1]."""
    return torch.from_numpy(formula_image(height, width))[None]
