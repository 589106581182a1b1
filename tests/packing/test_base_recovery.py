"""The float network of a pack of `base`, read back from its integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from licodec.errors import BadInputError
from licodec.packing.base import KEPT
from licodec.packing.base_recovery import recover_base
from licodec.packs import read_pack, write_pack
from tests import tiny_base


def test_what_is_read_back_computes_nearly_the_same(tmp_path: Path) -> None:
    write_pack(tiny_base.pack(), tmp_path / "pack.safetensors")
    again = recover_base(read_pack(tmp_path / "pack.safetensors"))
    before = tiny_base.network()
    levels = torch.from_numpy(tiny_base.pixels()).permute(2, 0, 1)[None].float()
    for d, objective in ((0.25, 1.0), (0.8, 0.3), (9.0, 0.0)):
        outputs = []
        for network in (before, again):
            network.set_conditions(torch.tensor([d]), torch.tensor([objective]))
            with torch.no_grad():
                outputs.append(network(levels))
        first, second = outputs
        assert (first.x_hat - second.x_hat).abs().mean() < 0.5
        assert abs(first.y_bits / second.y_bits - 1) < 0.02
        assert abs(first.z_bits / second.z_bits - 1) < 0.05


def test_every_parameter_is_read_back() -> None:
    """To the precision of 8 bits, but for a constant that may move from a bias to an offset."""
    again, before = recover_base(tiny_base.pack()).state_dict(), tiny_base.network().state_dict()
    assert again.keys() == before.keys()
    for name, value in before.items():
        if not name.endswith(("bias", "offset")):
            error = (again[name] - value).norm() / value.norm().clamp_min(1e-6)
            assert error < 0.1, name


def test_a_pack_without_it_says_so() -> None:
    pack = tiny_base.pack()
    tensors = {n: t for n, t in pack.tensors.items() if not n.startswith(KEPT)}
    with pytest.raises(BadInputError, match="does not keep its float network"):
        recover_base(replace(pack, tensors=tensors))
