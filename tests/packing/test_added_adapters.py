"""Adapter sets put into packs of `lite` that exist, whatever made them."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from licodec.codec import Codec
from licodec.errors import BadInputError
from licodec.images import Picture
from licodec.networks.lite import LiteNetwork
from licodec.packing.added_adapters import add_adapters, with_adapters_of
from licodec.packing.compiled import calibrate_network, compile_network
from licodec.packs import Pack
from licodec.rate.gains import Gains
from licodec.rate.setting import Setting
from tests import tiny, tiny_base

GAINS = Gains(40000)


def pictures() -> list[np.ndarray]:
    return [(255 * p[0].permute(1, 2, 0)).byte().numpy() for p in tiny.pictures()[1:2]]


def adapted() -> dict[str, LiteNetwork]:
    return {"mse": tiny.adapted_network("lite_8_1_all")}


@cache
def searched_pack() -> Pack:
    """One whose layers have few bits, and biases that make up for them, as a search leaves it."""
    network = copy.deepcopy(tiny.network())
    with torch.no_grad():
        network.synthesis.fine[0].pointwise.bias += 0.01
    calibrated = calibrate_network(network, tiny.pictures())
    return compile_network(
        calibrated, plan_name="few", card={"name": "few"}, widths=lambda layer: 4 + len(layer) % 3
    )


@pytest.mark.parametrize("make", [tiny.pack, searched_pack])
def test_sets_are_added_to_a_pack_that_exists(make) -> None:
    """Its anchor stays as it is, and its weights are stored once."""
    pack = make()
    grown = add_adapters(pack, adapted(), pictures())
    assert grown.weights_id == pack.weights_id and grown.card == pack.card
    assert grown.distortion_weight == pack.distortion_weight
    for name, program in pack.programs.items():
        assert grown.programs[name] == program
    for name, values in pack.tensors.items():
        assert grown.tensors[name] is values
    weights, own = ({n for n in p.tensors if n.endswith(".weight")} for p in (pack, grown))
    new = sum(grown.tensors[name].size for name in own - weights)
    assert 0 < new < sum(pack.tensors[name].size for name in weights)


def test_the_grown_pack_does_what_one_does_that_was_made_with_the_set() -> None:
    seen = tiny.pictures()[1:2]
    with_set = calibrate_network(tiny.network(), seen, adapted())
    made = compile_network(with_set, plan_name="standard", card={})
    grown = add_adapters(tiny.anchor_pack(), adapted(), pictures())
    rng = np.random.default_rng(2)
    smooth = np.linspace(0, 200, 64)[:, None, None] + np.linspace(0, 50, 128)[None, :, None]
    picture = Picture((smooth + rng.normal(0, 6, (64, 128, 3))).clip(0, 255).astype(np.uint8))
    sessions = [Codec(pack, "float32").at(Setting(300, GAINS, "mse")) for pack in (grown, made)]
    first, second = (session.encode(picture) for session in sessions)
    difference = first.picture.pixels.astype(float) - second.picture.pixels
    assert np.sqrt(np.square(difference).mean()) < 1.5
    assert len(first.data) == pytest.approx(len(second.data), rel=0.03)


def test_a_set_takes_the_place_of_the_one_for_its_objective() -> None:
    before = tiny.adapted_pack()
    grown = add_adapters(before, adapted(), pictures())
    assert set(grown.adapter_ids) == set(before.adapter_ids)
    changed = {o for o, own in grown.adapter_ids.items() if own != before.adapter_ids[o]}
    assert changed == {"mse"}
    again = add_adapters(grown, adapted(), pictures())
    assert again.adapter_ids == grown.adapter_ids
    assert again.tensors.keys() == grown.tensors.keys()
    assert again.programs.keys() == grown.programs.keys()


def test_stand_ins_use_the_pack_s_integers_to_the_last_bit() -> None:
    anchor, made = tiny.anchor_pack(), tiny.adapted_pack()
    name = next(t for t in anchor.tensors if t.startswith("synthesis.") and "multiplier" in t)
    nudged = np.nextafter(anchor.tensors[name], np.float32(np.inf))
    anchor = replace(anchor, tensors={**anchor.tensors, name: nudged})
    assert anchor.weights_id != made.weights_id
    grown = with_adapters_of(anchor, made)
    assert grown.weights_id == anchor.weights_id
    np.testing.assert_array_equal(grown.tensors[name], nudged)
    assert with_adapters_of(grown, made).adapter_ids == grown.adapter_ids
    session = Codec(grown, "float32").at(Setting(300, GAINS, "ms-ssim"))
    coded = session.encode(Picture(pictures()[0]))
    assert coded.header.adapter_id == grown.adapter_ids["ms-ssim"]


def test_sets_for_programs_of_another_form_are_refused() -> None:
    anchor = tiny.anchor_pack()
    program = anchor.programs["synthesis"]
    shorter = replace(program, operations=program.operations[:-1])
    other = replace(anchor, programs={**anchor.programs, "synthesis": shorter})
    with pytest.raises(BadInputError, match="of another form than its network's"):
        with_adapters_of(other, tiny.adapted_pack())


def test_sets_of_another_network_are_refused() -> None:
    other = copy.deepcopy(adapted()["mse"])
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += torch.randn_like(parameter)
    with pytest.raises(BadInputError, match="trained on another network than that of the pack"):
        add_adapters(tiny.pack(), {"mse": other}, pictures())
    with pytest.raises(BadInputError, match="for ms-ssim and for mse were trained on different"):
        add_adapters(tiny.pack(), {**adapted(), "ms-ssim": other}, pictures())
    with pytest.raises(BadInputError, match="the network for mse has no adapters"):
        add_adapters(tiny.pack(), {"mse": tiny.network()}, pictures())
    with pytest.raises(BadInputError, match="the adapters are for base, and packs of lite"):
        add_adapters(tiny.pack(), {"mse": tiny_base.network()}, pictures())
