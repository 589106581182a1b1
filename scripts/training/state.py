"""Checkpoints that a run resumes from."""

from __future__ import annotations

from pathlib import Path

import torch


def save_state(path: Path, **state: object) -> None:
    """Write `state` whole or not at all."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
