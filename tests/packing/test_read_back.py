"""The float network of a pack that keeps it: the same integers again, and the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from licodec.errors import BadInputError
from licodec.packing.compiled import (
    CalibratedNetwork,
    calibrate_network,
    compile_network,
    prepared,
)
from licodec.packing.kept import CONFIG_KEY, KEPT
from licodec.packing.read_back import ReadBack, read_back
from licodec.packs import ENCODER_PROGRAMS, Pack, open_pack, read_pack, write_pack
from tests import tiny, tiny_base

STEP = 1e-6  # of multipliers and tables: what the steps read back lack in precision


def mixed_widths(layer: str) -> int:
    return 2 + sum(layer.encode()) % 7


def mixed_pack() -> Pack:
    calibrated = calibrate_network(tiny.network(), tiny.pictures())
    return compile_network(calibrated, plan_name="mixed", card={}, widths=mixed_widths)


def compiled_again(found: ReadBack) -> Pack:
    calibrated = CalibratedNetwork(prepared(found.network), found.parts)
    return compile_network(calibrated, plan_name="again", card={}, widths=found.widths.__getitem__)


@pytest.mark.parametrize("make", [tiny.pack, mixed_pack])
def test_a_pack_compiles_again_to_its_own_integers(make) -> None:
    pack = make()
    again = compiled_again(read_back(pack))
    assert again.programs == pack.programs
    for tensor in (t for own in pack.programs.values() for t in own.tensors):
        own, expected = again.tensors[tensor], pack.tensors[tensor]
        assert own.dtype == expected.dtype and own.shape == expected.shape
        if tensor.endswith((".weight", ".table")):
            np.testing.assert_array_equal(own, expected)
        else:
            np.testing.assert_allclose(
                own, expected, rtol=STEP, atol=1.01 * (own.dtype.kind == "i")
            )
    assert {k: v for k, v in again.widths.items() if k in pack.widths} == pack.widths


@torch.no_grad()
@pytest.mark.parametrize("d", [1.0, 5.0])
def test_a_network_of_lite_codes_as_the_one_it_was(d: float) -> None:
    network = read_back(tiny.pack()).network
    picture = tiny.pictures()[1]
    own, expected = network(picture, d), tiny.network()(picture, d)
    assert not network.training
    error = (own["x_hat"] - expected["x_hat"]).square().mean().sqrt()
    assert 0 < error < 0.01
    for name, likelihood in own["likelihoods"].items():
        bits, wanted = (-x.log2().sum() for x in (likelihood, expected["likelihoods"][name]))
        assert abs(bits - wanted) < 0.03 * wanted, name


def test_a_network_of_base_codes_as_the_one_it_was(tmp_path: Path) -> None:
    write_pack(tiny_base.pack(), tmp_path / "pack.safetensors")
    again = read_back(read_pack(tmp_path / "pack.safetensors")).network
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


@pytest.mark.parametrize(("own", "precision"), [(tiny, 0.3), (tiny_base, 0.1)])
def test_every_parameter_is_read_back(own, precision: float) -> None:
    """To the precision of 8 bits, of which operands of other ranges leave fewer to some channels;
    but for a constant that may move from a bias to an offset."""
    again, before = read_back(own.pack()).network.state_dict(), own.network().state_dict()
    assert again.keys() == before.keys()
    for name, value in before.items():
        if not name.endswith(("bias", "offset")):
            error = (again[name] - value).norm() / value.norm().clamp_min(1e-6)
            assert error < precision, name


@pytest.mark.parametrize("own", [tiny, tiny_base])
def test_a_pack_without_it_says_so(own) -> None:
    pack = own.pack()
    hyper_parameters = pack.card[CONFIG_KEY]
    tensors = {n: t for n, t in pack.tensors.items() if not n.startswith(KEPT)}
    for other in (
        replace(pack, tensors=tensors),
        replace(pack, card={}),
        replace(pack, card={CONFIG_KEY: {**hyper_parameters, "context_width": 20}}),
        replace(pack, card={CONFIG_KEY: {**hyper_parameters, "depth": 3}}),
        replace(pack, backbone="stf"),
    ):
        with pytest.raises(BadInputError, match="does not keep its float network"):
            read_back(other)


@pytest.mark.parametrize("name", ["precise", "standard", "small", "base"])
def test_what_ships_keeps_its_network(name: str) -> None:
    path = "snapshots/base.safetensors" if name == "base" else f"lite-{name}.safetensors"
    pack = open_pack(Path(__file__).parents[2] / "weights" / path)
    assert CONFIG_KEY in pack.card
    own = set(pack.schedule.program_order) | set(ENCODER_PROGRAMS)
    assert {f"{KEPT}{program}.ranges" for program in own} <= pack.tensors.keys()
    assert any(tensor.startswith(f"{KEPT}prior.") for tensor in pack.tensors)
    totals = [n for n in pack.tensors if n.startswith(KEPT) and n.endswith(".total")]
    layers = sum(o.kind == "conv2d" for name in own for o in pack.programs[name].operations)
    assert len(totals) == layers


def test_reading_leaves_the_generator_of_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    read_back(tiny.pack())
    assert torch.equal(torch.rand(1), expected)
