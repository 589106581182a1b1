"""Checkpoints that a run resumes from."""

from __future__ import annotations

from pathlib import Path

import torch


def save_state(path: Path, **state: object) -> None:
    """Write `state` whole or not at all."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def read_state(path: Path) -> dict:
    """A state file, or a pack that `base` was made into, on the CPU."""
    if path.suffix == ".safetensors":
        # Which needs more than torch and NumPy.
        from licodec.packing.training_states import state_of_pack

        return state_of_pack(path)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
