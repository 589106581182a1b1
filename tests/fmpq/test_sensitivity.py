"""Sensitivities of a tiny network: what is reused, what is quantized, what resumes."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import pytest
import torch

from licodec.compiler.weight_steps import quantize_weight
from licodec.fmpq.allocation import Allocation
from licodec.fmpq.search import PlanSearch
from licodec.fmpq.sensitivity import Trials, choices, fingerprint
from licodec.packing.lite import LiteForm
from licodec.packing.searchable import Searchable, TrialSettings
from tests import tiny

UNCORRECTED = TrialSettings(correct_bias=False)


def pixels() -> torch.Tensor:
    return torch.cat(tiny.pictures()[:2])


def searched() -> Searchable:
    return Searchable(tiny.network())


@cache
def trials() -> Trials:
    return Trials(searched(), pixels(), UNCORRECTED)


@torch.no_grad()
def loss_of(network: torch.nn.Module) -> float:
    output = network(pixels())
    error = torch.mean((output["x_hat"].clamp(0, 1) - pixels()) ** 2)
    bits = -sum(likelihood.log2().sum() for likelihood in output["likelihoods"].values())
    return float(0.0483 * 255**2 * error + bits / (pixels().numel() / 3))


def test_the_float_loss() -> None:
    assert trials().float_loss == pytest.approx(loss_of(tiny.network()), rel=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        "analysis.nonlinear.1",
        "hyper_analysis.layers.0",
        "hyper_synthesis.layers.0",
        "parameters.0.head.log_scale",
        "residual.1.layers.2",
        "synthesis.linear.transform",
    ],
)
def test_reuse_changes_nothing(layer: str) -> None:
    """A trial equals a whole pass of a network with that one weight replaced."""
    network = copy.deepcopy(tiny.network())
    name, program, target = next(
        (name, part, layer.removeprefix(name + "."))
        for name, part in LiteForm(network).parts().items()
        if layer.startswith(name + ".")
    )
    module = program.get_submodule(target)
    mixed = trials().at[0].replays[name].steps.get(target)
    if mixed is None:
        integers, steps = quantize_weight(module.weight.detach().numpy(), 3)
        weight = integers * steps[:, None, None, None]
        module.weight.data = torch.from_numpy(weight).float()
        assert trials().at[0].loss({layer: 3}) == pytest.approx(loss_of(network), rel=1e-5)
    assert trials().zeta({}) == pytest.approx(0, abs=1e-6)


def test_only_what_depends_on_the_layer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = trials()
    called = []
    for name, replay in found.at[0].replays.items():
        ran = replay.call_module

        def call(target: str, args: tuple, kwargs: dict, name: str = name, ran=ran) -> object:
            called.append(name)
            return ran(target, args, kwargs)

        monkeypatch.setattr(replay, "call_module", call)
    found.zeta({"parameters.1.head.log_scale": 2})
    assert set(called) == {"parameters.1"} and len(called) == 2


@torch.no_grad()
def test_crops_are_tried_at_every_d() -> None:
    """Pair by pair, each with the lambda of its d, and every d counts the same."""
    settings = TrialSettings(ds=(1.0, 6.0), correct_bias=False)
    found = Trials(searched(), torch.cat([pixels()] * 2), settings)
    assert found.at[0].float_loss == pytest.approx(loss_of(tiny.network()), rel=1e-5)
    output = tiny.network()(pixels(), 6.0)
    error = torch.mean((output["x_hat"].clamp(0, 1) - pixels()) ** 2)
    bits = -sum(likelihood.log2().sum() for likelihood in output["likelihoods"].values())
    expected = 0.0483 * 6**-1.1 * 255**2 * error + bits / (pixels().numel() / 3)
    assert found.at[1].float_loss == pytest.approx(float(expected), rel=1e-5)
    widths = {"synthesis.linear.transform": 2}
    changes = [own.loss(widths) / own.float_loss - 1 for own in found.at]
    assert found.zeta(widths) == pytest.approx(sum(changes) / 2)


def test_every_weighted_layer_is_listed_once() -> None:
    names = [layer.name for layer in trials().layers]
    convolutions = [m for m in tiny.network().modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(names) == len(set(names)) == len(convolutions)
    assert sum(layer.weights for layer in trials().layers) == sum(
        m.weight.numel() for m in convolutions
    )


def test_the_linear_path_may_keep_sixteen_bits() -> None:
    found = {layer.name: layer.choices for layer in trials().layers}
    assert found["synthesis.linear.transform"] == (2, 3, 4, 5, 6, 7, 8, 16)
    assert found["synthesis.coarse.1"] == choices(2, 8) == (2, 3, 4, 5, 6, 7, 8)


def test_corrected_biases_are_those_of_the_trial() -> None:
    found = Trials(searched(), pixels(), TrialSettings())
    layer = "synthesis.coarse.1"
    corrected = found.corrected({layer: 2}).network
    before = dict(tiny.network().named_parameters())
    changed = [n for n, p in corrected.named_parameters() if not torch.equal(p, before[n])]
    assert changed == ["synthesis.coarse.1.bias"]


def test_an_interrupted_search_resumes_with_the_same_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ignore(allocation: Allocation) -> None:
        """Nobody looks."""

    def search(name: str) -> PlanSearch:
        return PlanSearch(searched(), pixels(), UNCORRECTED, tmp_path / name)

    whole = search("whole")
    budget = whole.budget(0.125)
    expected = whole.find(budget, "threshold", ignore)
    stopped = search("stopped")
    measured, ran = [], stopped._trials.zeta

    def stop_after_twenty(widths: dict[str, int]) -> float:
        if len(measured) == 20:
            raise KeyboardInterrupt
        measured.append(widths)
        return ran(widths)

    monkeypatch.setattr(stopped._trials, "zeta", stop_after_twenty)
    with pytest.raises(KeyboardInterrupt):
        stopped.find(budget, "threshold", ignore)
    again = search("stopped")
    found = again.find(budget, "threshold", ignore)
    assert (found.plan, found.evaluations) == (expected.plan, expected.evaluations)
    assert again._trials.evaluations == whole._trials.evaluations - 20


def test_a_fingerprint_is_of_weights_pictures_and_settings() -> None:
    other = copy.deepcopy(tiny.network())
    other.synthesis.linear.transform.bias.data[0] += 1
    marks = {
        fingerprint(tiny.network(), pixels(), UNCORRECTED),
        fingerprint(other, pixels(), UNCORRECTED),
        fingerprint(tiny.network(), pixels() / 2, UNCORRECTED),
        fingerprint(tiny.network(), pixels(), TrialSettings()),
    }
    assert len(marks) == 4
    assert fingerprint(tiny.network(), pixels(), UNCORRECTED) in marks
