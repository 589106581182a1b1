"""Searches for plans of the published networks: every layer that has a width, trials that equal
whole passes, and mixed packs that decode exactly."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from licodec.codec import REFERENCE, Codec
from licodec.compiler.weight_steps import quantize_weight
from licodec.container import read_file
from licodec.errors import BadInputError
from licodec.fmpq.allocation import Allocation, narrowest, plan_bits, search_uniform
from licodec.fmpq.curves import Curves
from licodec.fmpq.search import PlanSearch
from licodec.fmpq.sensitivity import RUINOUS, Trials, TrialsAt
from licodec.networks.adapter_sets import plain_submodule
from licodec.networks.layers import GDN
from licodec.packing.packs import make_pack
from licodec.packing.registry import form_of
from licodec.packing.searchable import Searchable
from licodec.packs import read_pack, write_pack
from licodec.rate.setting import Setting
from tests import tiny_published
from tests.tiny_published import network

BACKBONES = ("stf", "tcm", "icm", "cheng-attn")
FITTING = 0.18  # of float32
D = 64  # in units: the plain codec


def ignore(allocation: Allocation) -> None:
    """Nobody looks."""


def pixels() -> Tensor:
    """(1, 3, 128, 128) in [0, 1]."""
    return tiny_published.pictures()[0]


def samples() -> list[np.ndarray]:
    return [(pixels()[0] * 255).round().byte().permute(1, 2, 0).numpy()]


def searched(backbone: str) -> Searchable:
    return Searchable(network(backbone), backbone)


@cache
def trials(backbone: str) -> Trials:
    own = searched(backbone)
    return Trials(own, pixels(), own.settings)


@torch.no_grad()
def loss_of(network: nn.Module, lagrangian: float) -> float:
    output = network(pixels())
    error = torch.mean((output["x_hat"].clamp(0, 1) - pixels()) ** 2)
    bits = -sum(likelihood.log2().sum() for likelihood in output["likelihoods"].values())
    return float(lagrangian * 255**2 * error + bits / (pixels().numel() / 3))


@pytest.mark.parametrize(
    ("backbone", "lagrangian"), [("stf", 0.0483), ("tcm", 0.05), ("cheng-attn", 0.0483)]
)
def test_the_float_loss_is_that_of_the_network(backbone: str, lagrangian: float) -> None:
    assert trials(backbone).float_loss == pytest.approx(
        loss_of(network(backbone), lagrangian), rel=1e-5
    )


@pytest.mark.parametrize(
    ("backbone", "layer"),
    [
        ("stf", "analysis.1.0.proj"),  # a convolution without anything before it
        ("stf", "synthesis.0.blocks.0.attn.qkv"),
        ("stf", "synthesis.1.blocks.1.attn.proj"),
        ("stf", "synthesis.0.downsample.reduction"),  # without a bias
        ("tcm", "synthesis.1.conv1_2"),  # reads a concatenation
        ("tcm", "synthesis.1.trans_block.mlp.2"),
        ("cheng-attn", "synthesis.3.conv1"),
        ("cheng-attn", "parameters.context"),  # the masked convolution
    ],
)
@torch.no_grad()
def test_a_trial_is_a_pass_with_that_weight_replaced(backbone: str, layer: str) -> None:
    own = searched(backbone)
    program, _, path = layer.partition(".")
    own_parts = form_of(own.network).parts()
    module = own_parts[program].get_submodule(path)
    integers, steps = quantize_weight(module.weight.double().numpy(), 3)
    stored = torch.from_numpy(integers * steps.reshape(-1, *[1] * (integers.ndim - 1))).float()
    measured, shift = _measured(backbone, layer, 3)
    module.weight.data = stored
    if module.bias is not None:
        module.bias.data = module.bias.data + shift
    output = own.form.coded(own_parts, pixels(), 1.0)
    error = torch.mean((output.x_hat.clamp(0, 1) - pixels()) ** 2)
    loss = own.settings.lagrangian * 255**2 * error + output.bits / (128 * 128)
    assert measured == pytest.approx(float(loss), rel=1e-5)
    assert abs(measured / trials(backbone).float_loss - 1) > 1e-7  # it makes a difference


def _measured(backbone: str, layer: str, width: int) -> tuple[float, Tensor | None]:
    """The loss of a trial, and what it adds to the layer's bias."""
    program, _, path = layer.partition(".")
    loss = trials(backbone).at[0].loss({layer: width})
    return loss, trials(backbone).at[0].replays[program].corrections.get(path)


def test_operands_of_several_steps_are_known() -> None:
    """The features of the hyper-synthesis and the latents count in different steps."""
    steps = trials("stf").at[0].replays["parameters.1"].steps["mean.0"]
    latents, features = network("stf").latents, tiny_published.SLICES
    assert len(steps) == latents + latents // features
    assert float(steps[-1]) == 2.0**-6 != float(steps[0])


def test_normalizations_keep_their_bits() -> None:
    kept = {layer.name: layer.choices for layer in trials("cheng-attn").layers}
    modules = form_of(network("cheng-attn")).parts()
    normalizations = [
        f"{name}.{path}"
        for name, part in modules.items()
        for path, module in part.named_modules()
        if isinstance(module, GDN)
    ]
    assert normalizations and all(kept[name] == (8,) for name in normalizations)
    curves = Curves(trials("cheng-attn").layers, lambda name, width: 0.0)
    budget = plan_bits(curves.layers, narrowest(curves.layers)) + 1
    plan = search_uniform(curves, budget, ignore).plan
    assert {plan[name] for name in normalizations} == {8}
    assert {bits for name, bits in plan.items() if name not in normalizations} == {2}


def made_up(trials: Trials, widths: Mapping[str, int]) -> float:
    """A zeta without a trial: measuring those of all layers takes minutes."""
    return sum(4.0**-bits * (1 + len(name) % 9) for name, bits in widths.items())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_mixed_pack_is_exact(
    backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its plan names just the layers whose widths the compiler asks for."""
    own = searched(backbone)
    monkeypatch.setattr(Trials, "zeta", made_up)
    search = PlanSearch(own, pixels(), own.settings, tmp_path / "state.json")
    plan = search.find(search.budget(FITTING), "greedy", ignore).plan
    asked: set[str] = set()

    def width(layer: str) -> int:
        asked.add(layer)
        return plan[layer]

    settings = replace(own.pack_settings("small", plan, {}), widths=width)
    pack = make_pack(search.corrected(plan).whole, samples(), settings)
    assert asked == set(plan)
    assert pack.backbone == backbone
    mixed = {bits for bits in pack.widths.values() if bits <= 8}
    assert len(mixed) > 2 and mixed == set(plan.values())
    stored = sum(pack.tensors[name].size * bits for name, bits in pack.widths.items() if bits <= 8)
    assert 0.98 * search.budget(FITTING) < stored <= search.budget(FITTING)
    write_pack(pack, tmp_path / "pack.safetensors")
    read = read_pack(tmp_path / "pack.safetensors")
    assert read.weights_id == pack.weights_id and read.plan == pack.plan
    assert all(np.array_equal(read.tensors[name], pack.tensors[name]) for name in pack.tensors)
    encoded = Codec(read, "float32").at(Setting(D)).encode(tiny_published.picture(70, 130))
    for backend in ("float32", REFERENCE):
        decoded = Codec(read, backend).decode(read_file(encoded.data))
        assert np.array_equal(decoded.pixels, encoded.picture.pixels)


def test_biases_reach_layers_inside_of_adapters_and_of_the_context_model() -> None:
    whole = tiny_published.adapted_network("stf_8_8_all")
    own = Searchable(whole, "stf")
    path = "0.blocks.0.mlp.fc1"
    moved = own.corrected({"synthesis": {path: torch.tensor(2.0)}})
    before, after = (plain_submodule(n.synthesis, path).bias for n in (whole, moved.whole))
    assert torch.equal(after, before + 2)
    assert torch.equal(moved.network.synthesis.get_submodule(path).bias, after)
    cheng = searched("cheng-attn")
    moved = cheng.corrected({"parameters": {"mean": torch.tensor(2.0)}}).network
    change = moved.entropy_parameters[-1].bias - cheng.network.entropy_parameters[-1].bias
    scales, means = change.chunk(2)
    assert bool((scales == 0).all()) and torch.allclose(means, torch.full_like(means, 2.0))


def test_adapters_stay_with_the_pack() -> None:
    whole = tiny_published.adapted_network("cheng_8_1_all")
    plan = {layer.name: layer.choices[i % len(layer.choices)]
            for i, layer in enumerate(trials("cheng-attn").layers)}  # fmt: skip
    adapted = Searchable(whole, "cheng", "ms-ssim")
    packs = [
        make_pack(own.whole, samples(), own.pack_settings("small", plan, {}))
        for own in (adapted, searched("cheng-attn"))
    ]
    assert packs[0].weights_id == packs[1].weights_id
    assert list(packs[0].adapter_ids) == ["ms-ssim"]


def test_a_loss_that_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    own = searched("cheng-attn")
    found = Trials(own, pixels(), own.settings)
    monkeypatch.setattr(found.at[0], "loss", lambda widths: float("nan"))
    assert found.zeta({}) == RUINOUS
    with monkeypatch.context() as patch, pytest.raises(BadInputError, match="is not finite"):
        patch.setattr(TrialsAt, "loss", lambda self, widths: float("inf"))
        Trials(own, pixels(), own.settings)
    broken = copy.deepcopy(network("cheng-attn"))
    with torch.no_grad():
        broken.g_a[0].conv1.bias[0] = float("inf")
    with pytest.raises(BadInputError, match=r"broken\.pth: has no exact form: values of its"):
        Searchable(broken, "broken.pth").calibrate(pixels())
