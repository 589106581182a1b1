"""Adapters in a file of their own, beside their anchor's checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from licodec.errors import BadInputError
from licodec.packing import from_checkpoint
from licodec.packing.adapted_states import arranged, taken_apart
from tests import tiny_published as tiny

State = dict[str, torch.Tensor]
ALPHA, BETA = "cheng_8_1_all", "adapt_cheng_8_1_all"
LAYER = "g_a.1.conv1"


def state_of(*sets: str) -> State:
    network = tiny.adapted_network(*sets) if sets else tiny.network("cheng-attn")
    return dict(network.state_dict())


def branches_of(state: State) -> State:
    return {key: value for key, value in state.items() if ".adapter." in key}


@pytest.fixture
def anchor() -> State:
    return state_of()


@pytest.fixture
def alpha() -> State:
    return state_of(ALPHA)


@pytest.fixture
def both() -> State:
    """Those of `alpha` inside, others for beta around them."""
    network = tiny.adapted_network(ALPHA, BETA)
    parts, inner = (taken_apart(own) for own in (network.state_dict(), state_of(ALPHA)))
    for layer, branches in parts.branches.items():
        branches[0] = inner.branches[layer][0]
    return arranged(parts, network)


def assert_same(found: torch.nn.Module, expected: State) -> None:
    state = found.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], value) for key, value in expected.items())


@pytest.mark.parametrize(
    "sets",
    [(ALPHA,), (ALPHA, BETA), ("stf_8_8_all",), ("stf_8_8_all", "adapt_stf_8_8_all"),
     ("tcm_8_1_all",)],
)  # fmt: skip
def test_a_state_dict_taken_apart_and_arranged_again(sets: tuple[str, ...]) -> None:
    network = tiny.adapted_network(*sets)
    state = network.state_dict()
    parts = taken_apart(state)
    plain = tiny.network(tiny.BACKBONE_OF[sets[0]]).state_dict()
    assert parts.trunk.keys() == plain.keys()
    assert {len(branches) for branches in parts.branches.values()} == {len(sets)}
    again = arranged(parts, network)
    assert again.keys() == state.keys()
    assert all(again[key] is value for key, value in state.items())


def test_branches_alone_or_with_their_anchor(anchor: State, alpha: State) -> None:
    for file in (alpha, branches_of(alpha), {"state_dict": alpha}):
        network = from_checkpoint(anchor, adapters=[file])
        assert network.rate_modes == ("alpha",)
        assert_same(network, alpha)
    prefixed = {f"module.{key}": value for key, value in branches_of(alpha).items()}
    assert_same(from_checkpoint(anchor, adapters=[prefixed]), alpha)


def test_a_second_file_is_for_beta(anchor: State, alpha: State, both: State) -> None:
    inner = ".conv_with_adapter.adapter."
    outer = {
        key: value
        for key, value in branches_of(both).items()
        if inner not in key and ".subpel_conv_with_adapter.adapter." not in key
    }
    for files in ([alpha, outer], [branches_of(alpha), both], [both], [branches_of(both)]):
        network = from_checkpoint(anchor, adapters=files)
        assert network.rate_modes == ("alpha", "beta")
        assert_same(network, both)
    assert_same(from_checkpoint(alpha, adapters=[outer]), both)


def test_gains_are_those_of_the_backbone(anchor: State, alpha: State) -> None:
    network = from_checkpoint(anchor, adapters=[branches_of(alpha)])
    picture = tiny.pictures()[0]
    with torch.no_grad():
        for setting in (0.0, 0.7):
            network.set_rate(alpha=setting)
            joint = from_checkpoint(alpha)
            joint.set_rate(alpha=setting)
            assert torch.equal(network.analysis(picture), joint.analysis(picture))


def misshaped(state: State) -> State:
    return branches_of(state) | {f"{LAYER}.adapter.conv2.bias": torch.zeros(13)}


def halved(state: State) -> State:
    return {k: v for k, v in branches_of(state).items() if k != f"{LAYER}.adapter.conv2.bias"}


def elsewhere(state: State) -> State:
    return {key.replace("g_a.1.", "g_a.17."): value for key, value in branches_of(state).items()}


def retrained(state: State) -> State:
    return state | {f"{LAYER}.conv.weight": state[f"{LAYER}.conv.weight"] + 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (misshaped, rf"1 of the wrong shape \({LAYER}.adapter.conv2.bias \(13,\) instead of"),
        (halved, rf"1 missing \({LAYER}.adapter.conv2.bias\)"),
        (elsewhere, "layers that this cheng-attn network does not have: g_a.17.conv1, g_a.17"),
        (retrained, rf"its {LAYER}.weight is not the checkpoint's: .* another anchor"),
        (lambda state: state_of(), "holds no adapters"),
    ],
)
def test_files_that_do_not_fit(anchor: State, alpha: State, change, message: str) -> None:
    with pytest.raises(BadInputError, match=message) as caught:
        from_checkpoint(anchor, adapters=[change(alpha)])
    assert "adapters 1" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_adapters_of_another_backbone(anchor: State) -> None:
    other = tiny.adapted_network("stf_8_8_all").state_dict()
    with pytest.raises(BadInputError, match="a checkpoint of stf, not of cheng-attn"):
        from_checkpoint(anchor, adapters=[other])
    with pytest.raises(BadInputError, match="layers that this cheng-attn network does not have"):
        from_checkpoint(anchor, adapters=[{k: v for k, v in other.items() if ".lora." in k}])


def test_a_third_adapter_of_a_layer(anchor: State, alpha: State, both: State) -> None:
    with pytest.raises(BadInputError, match="would have 3 adapters; a layer takes two"):
        from_checkpoint(anchor, adapters=[both, branches_of(alpha)])


def test_messages_name_the_files(anchor: State, alpha: State, tmp_path: Path) -> None:
    for name, state in (("anchor.pth", anchor), ("alpha.pth", halved(alpha))):
        torch.save(state, tmp_path / name)
    with pytest.raises(BadInputError, match=r"^anchor.pth with alpha.pth: "):
        from_checkpoint(tmp_path / "anchor.pth", adapters=[tmp_path / "alpha.pth"])
    with pytest.raises(BadInputError, match=r"^anchor.pth: holds no adapters"):
        from_checkpoint(tmp_path / "anchor.pth", adapters=[tmp_path / "anchor.pth"])
