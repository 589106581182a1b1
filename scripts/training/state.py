"""Checkpoints that a run resumes from, whole or in pieces that small channels take."""

from __future__ import annotations

import io
from pathlib import Path

import torch

PIECE = 15_900_000  # bytes, below 16 MiB


def save_state(path: Path, **state: object) -> None:
    """Write `state` whole or not at all."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def write_pieces(folder: Path, weights: dict) -> None:
    """`weights` of a run, in half precision, as files below 16 MiB."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {
        **weights,
        **{
            name: {k: v.half().cpu() for k, v in weights[name].items()}
            for name in ("network", "average")
        },
    }
    buffer = io.BytesIO()
    torch.save(halves, buffer)
    data = buffer.getbuffer()
    for old in folder.glob("piece-*"):
        old.unlink()
    for i in range(0, len(data), PIECE):
        (folder / f"piece-{i // PIECE:02d}").write_bytes(data[i : i + PIECE])


def read_state(path: Path) -> dict:
    """A state file, a folder of pieces, or a pack that `base` was made into, on the CPU."""
    if path.suffix == ".safetensors":
        # Which needs more than torch and NumPy.
        from licodec.packing.training_states import state_of_pack

        return state_of_pack(path)
    if path.is_dir():
        data = b"".join(p.read_bytes() for p in sorted(path.glob("piece-*")))
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
