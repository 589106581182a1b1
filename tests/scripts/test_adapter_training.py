"""Training of adapters: what one step changes, exact resuming, losses, refusals."""

from __future__ import annotations

import copy
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from licodec.errors import BadInputError, UsageError
from licodec.networks.adapter_sets import PRESETS, AdapterSet, adapter_parameters, anchor_of
from licodec.networks.cheng_attn import ChengConfig, ChengNetwork
from licodec.networks.lite import LiteNetwork
from licodec.packing import from_checkpoint
from licodec.packing.checkpoints import adapter_sets, load_anchor, load_network
from licodec.packing.registry import BACKBONES
from tests import tiny, tiny_published
from tests.networks.vectors import formula_state
from tests.scripts.conftest import script

SIDE = 192  # the least multiple of 64 that MS-SSIM takes
PERCEPTION = ("--loss", "perception")
SIMILARITY = ("--loss", "ms-ssim", "--crop", str(SIDE))


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    """As many as before, behind what trains with one."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def tiny_lite(monkeypatch: pytest.MonkeyPatch) -> None:
    """`lite` is the tiny network wherever a checkpoint is loaded."""
    small = replace(BACKBONES["lite"], build=lambda *_: LiteNetwork(tiny.CONFIG))
    monkeypatch.setitem(BACKBONES, "lite", small)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture to validate on, and one to learn from."""
    folder = tmp_path_factory.mktemp("pictures")
    across, down = np.arange(SIDE + 8)[None, :, None], np.arange(SIDE)[:, None, None]
    for i, name in enumerate("ab"):
        noise = np.random.default_rng(i).normal(0, 9, (SIDE, SIDE + 8, 3))
        waves = 120 + 80 * np.sin(across / (7 + i) + down / 11) + noise
        Image.fromarray(waves.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def lite_state(path: Path) -> Path:
    torch.save({"network": {}, "average": {f"module.{k}": v for k, v in
                tiny.network().state_dict().items()}, "step": 9}, path)  # fmt: skip
    return path


PUBLISHED: dict[str, Callable[[], nn.Module]] = {
    "stf": tiny_published.build_stf,
    "tcm": tiny_published.build_tcm,
    "cheng-attn": lambda: ChengNetwork(config=ChengConfig(12)),
}


def published_checkpoint(backbone: str, path: Path, patch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of formula weights for a network with few channels, which loads as such."""
    build = PUBLISHED[backbone]
    shapes = {key: list(value.shape) for key, value in build().state_dict().items()}
    torch.save({"state_dict": formula_state(shapes)}, path)
    small = replace(BACKBONES[backbone], build=lambda *_: build())
    patch.setitem(BACKBONES, backbone, small)
    return path


def run(pictures: Path, source: Path, state: Path, *options: str) -> dict[str, Any]:
    """One training command from its options to its state."""
    common = ["--batch", "1", "--crop", "64", "--held-out", "1", "--threads", "1"]
    common += ["--device", "cpu", "--from", str(source), "--state", str(state)]
    script("train").main(["adapters", str(pictures), *common, *options])
    return torch.load(state, weights_only=True)


def task_of(*options: str) -> Any:
    """What a training command would do."""
    module, options_of = script("training.adapters"), script("command").parser(None)
    module.add_options(options_of)
    return module.make_task(options_of.parse_args(options))


def starting_networks(patch: pytest.MonkeyPatch) -> list[nn.Module]:
    """Where runs of scripts/train.py adapters put their networks as they are at the start."""
    train, starts = script("training.adapters"), []
    begin = train.train
    patch.setattr(
        train, "train", lambda task, o: (starts.append(copy.deepcopy(task.network)), begin(task, o))
    )
    return starts


def plain(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights that are no adapters', by their names without any."""
    inner = (".linear_with_lora", ".conv_with_adapter", ".subpel_conv_with_adapter")
    result = {}
    for key, value in state.items():
        if ".lora." in key or ".adapter." in key:
            continue
        for name in inner:
            key = key.replace(name, "")
        result[key] = value
    return result


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {key for key, value in after.items() if not torch.equal(value, before[key])}


def assert_only_adapters_learned(before: nn.Module, after: dict[str, torch.Tensor]) -> None:
    """`before` has the adapters of `after`, as they were attached."""
    assert before.state_dict().keys() == after.keys()
    assert all(torch.isfinite(value).all() for value in after.values())
    found = changed(before.state_dict(), after)
    assert found
    assert all(".lora." in key or ".adapter." in key for key in found)


class FakeLpips(nn.Module):
    """The interface of the package lpips, on one layer."""

    def __init__(self, net: str, pnet_rand: bool, verbose: bool) -> None:
        super().__init__()
        assert (net, pnet_rand, verbose) == ("alex", True, False)
        self.net = nn.Module()
        self.net.slice2 = nn.Sequential()
        self.net.slice2.add_module("3", nn.Conv2d(3, 4, 5))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        layer = self.net.slice2[0]
        return (layer(a) - layer(b)).square().mean((1, 2, 3), keepdim=True)


@pytest.fixture
def alexnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = ModuleType("lpips")
    package.LPIPS = FakeLpips
    monkeypatch.setitem(sys.modules, "lpips", package)
    path = tmp_path / "alexnet.pth"
    layer = nn.Conv2d(3, 4, 5)
    torch.save({f"features.3.{key}": value for key, value in layer.state_dict().items()}, path)
    return path


# One step ----------------------------------------------------------------------------------


def losses(output: str) -> list[float]:
    rows = [line for line in output.splitlines() if line.startswith("{")]
    return [json.loads(row)["loss"] for row in rows]


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("lite", ("--loss", "mse")),
        ("lite", ("--loss", "mse", "--rate-of", "noise")),
        ("lite", (*SIMILARITY, "--bfloat16")),
        ("lite", ("--loss", "lpips", "--alexnet")),
        ("stf", ("--loss", "mse")),
        ("stf", ("--loss", "mse", "--rate-of", "symbols")),
        ("stf", (*SIMILARITY, "--fixed-lambda", "60.5")),
        ("tcm", ("--loss", "mse")),
        ("cheng-attn", ("--loss", "mse")),
    ],
)
def test_a_step_changes_only_the_adapters_for_alpha(
    backbone: str,
    options: tuple[str, ...],
    pictures: Path,
    alexnet: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    networks = script("training.networks")
    monkeypatch.setattr(script("training.defaults"), "VALIDATION_ALPHAS", (0.0, 1.0))
    path = tmp_path / "source.pt"
    if backbone == "lite":
        lite_state(path)
    else:
        published_checkpoint(backbone, path, monkeypatch)
    if options[-1] == "--alexnet":
        options = (*options, str(alexnet))
    starts = starting_networks(monkeypatch)
    state = run(pictures, path, tmp_path / "run.pt", "--steps", "1", *options)
    assert_only_adapters_learned(starts[0], state["state_dict"])
    found = losses(capsys.readouterr().out)
    assert len(found) == (2 if "--fixed-lambda" in options else 4)  # before and after
    assert all(math.isfinite(loss) for loss in found)
    network = networks.load_backbone(tmp_path / "run.pt", None)
    assert networks.modes(network) == {"alpha"}
    assert not changed(network.state_dict(), state["state_dict"])
    if backbone != "lite":  # the published layout, for whoever reads it
        assert from_checkpoint(tmp_path / "run.pt").backbone == backbone


def test_perception_changes_only_the_adapters_for_beta(
    pictures: Path, alexnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script("training.defaults"), "VALIDATION_ALPHAS", (0.0, 1.0))
    monkeypatch.setattr(script("training.defaults"), "VALIDATION_BETAS", (1.0,))
    lite = lite_state(tmp_path / "lite.pt")
    stf = published_checkpoint("stf", tmp_path / "stf.pt", monkeypatch)
    for source, options in (
        (lite, ("--crop", str(SIDE))),
        (stf, ("--distance", "lpips", "--alexnet", str(alexnet))),
    ):
        first, second = tmp_path / "alpha.pt", tmp_path / "beta.pt"
        alpha = run(pictures, source, first, "--steps", "1")
        beta = run(pictures, first, second, "--steps", "1", *PERCEPTION, *options)
        mine = {k: v for k, v in beta["state_dict"].items() if ".lora." in k or ".adapter." in k}
        inner = {key for key in mine if "_with_" in key}
        others = mine.keys() - inner
        assert len(others) == len(inner)  # one branch around each
        for key in inner:
            outer = key.replace(".linear_with_lora", "").replace(".conv_with_adapter", "")
            outer = outer.replace(".subpel_conv_with_adapter", "")
            assert torch.equal(mine[key], alpha["state_dict"][outer])
        a, b = plain(alpha["state_dict"]), plain(beta["state_dict"])
        assert a.keys() == b.keys()
        assert not changed(a, b)
        assert all(torch.isfinite(value).all() for value in beta["state_dict"].values())
        first.unlink()
        second.unlink()


# Resuming ----------------------------------------------------------------------------------


def test_runs_resume_exactly(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, defaults = script("training.adapter_run"), script("training.defaults")
    monkeypatch.setattr(defaults, "VALIDATION_ALPHAS", (1.0,))
    monkeypatch.setattr(defaults, "VALIDATION_BETAS", (1.0,))
    save = loop.save_state

    def keep(path: Path, **state: Any) -> None:
        save(path, **state)
        if path.stem == "whole":
            path.with_name(f"after {state['step']}.pt").write_bytes(path.read_bytes())

    monkeypatch.setattr(loop, "save_state", keep)
    source = lite_state(tmp_path / "lite.pt")
    for own in ((), (*PERCEPTION, "--crop", str(SIDE))):
        options = ["--steps", "3", "--checkpoint-seconds", "0", *own]
        whole = run(pictures, source, tmp_path / "whole.pt", *options)
        resumed = run(pictures, source, tmp_path / "after 1.pt", *options)
        assert resumed["step"] == whole["step"] == 3
        assert not changed(whole["state_dict"], resumed["state_dict"])
        moments, again = (state["optimizer"]["state"] for state in (whole, resumed))
        assert all(torch.equal(moments[i]["exp_avg"], again[i]["exp_avg"]) for i in moments)
        source = (tmp_path / "whole.pt").rename(tmp_path / "alpha.pt")


def test_a_run_goes_on_only_with_its_own_settings(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script("training.defaults"), "VALIDATION_ALPHAS", (1.0,))
    source, state = lite_state(tmp_path / "lite.pt"), tmp_path / "run.pt"
    run(pictures, source, state, "--steps", "1")
    with pytest.raises(SystemExit, match=r"begun with steps = 1, not 2"):
        run(pictures, source, state, "--steps", "2")
    with pytest.raises(SystemExit, match=r"not the state of a training of adapters"):
        run(pictures, source, source, "--steps", "1")


# Two steps ---------------------------------------------------------------------------------


def test_the_second_step_starts_where_the_first_ended(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, first = lite_state(tmp_path / "lite.pt"), tmp_path / "first.pt"
    options = (*SIMILARITY, "--fixed-lambda", "60.5", "--learning-rate", "0.01")
    state = run(pictures, source, first, "--steps", "2", *options)
    assert state["settings"]["points"] == [[1.0, 0.0]]
    adapted = load_network(first)
    adapted.set_rate(alpha=1)
    common = [str(pictures), "--from", str(first), "--state", str(tmp_path / "second.pt")]
    task = task_of(*common, "--merge", "--loss", "ms-ssim")
    x = tiny.pictures()[1]
    with torch.no_grad():
        expected = adapted(x)["x_hat"]
        assert torch.allclose(task.network(x)["x_hat"], expected, atol=1e-5)
        assert not torch.allclose(tiny.network()(x)["x_hat"], expected, atol=1e-3)
    assert task.sets == (PRESETS["lite_8_1_ms_ssim"],)
    with pytest.raises(UsageError, match="has adapters already; --merge"):
        task_of(*common)


def test_the_network_learns_in_the_place_of_its_adapters(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = starting_networks(monkeypatch)
    source, path = lite_state(tmp_path / "lite.pt"), tmp_path / "run.pt"
    options = ("--steps", "1", "--alphas", "0.5")
    state = run(pictures, source, path, *options, "--learn", "network")
    assert state["settings"]["points"] == [[0.5, 0.0]]
    learned = changed(starts[0].state_dict(), state["state_dict"])
    assert learned
    assert not any(".adapter." in key for key in learned)
    with pytest.raises(SystemExit, match=r"begun with objective = mse, network, not mse"):
        run(pictures, source, path, *options)


def test_adapters_begin_as_those_of_another_run(pictures: Path, tmp_path: Path) -> None:
    source, first, second = (tmp_path / name for name in ("source.pt", "first.pt", "second.pt"))
    lite_state(source)
    run(pictures, source, first, "--steps", "1")
    other = tmp_path / "other.pt"
    network = copy.deepcopy(tiny.network())
    with torch.no_grad():
        network.analysis.linear.transform.weight.mul_(1.01)
    torch.save(network.state_dict(), other)
    options = ["--start", str(first)]
    command = [str(pictures), "--from", str(other), "--state", str(second), *options]
    task = task_of(*command)
    assert not changed(network.state_dict(), anchor_of(task.network).state_dict())
    begun = load_network(first)
    own, given = (list(adapter_parameters(n, "alpha")) for n in (task.network, begun))
    assert any(parameter.any() for parameter in given)
    assert all(torch.equal(a, b) for a, b in zip(own, given, strict=True))
    with pytest.raises(UsageError, match=r"first\.pt: its adapters are not of the set"):
        task_of(*command, "--adapters", "lite_8_1_transforms")


# Losses and schedules ----------------------------------------------------------------------


def test_lambda_is_geometric_in_alpha() -> None:
    defaults, objectives = script("training.defaults"), script("training.objectives")
    lambdas = defaults.BACKBONES["stf"].lambdas
    assert (lambdas.at(0), lambdas.at(1)) == pytest.approx((0.0483, 0.0018))
    assert lambdas.at(0.5) == pytest.approx(math.sqrt(0.0483 * 0.0018))
    rising = defaults.LAMBDAS["perception"]
    assert rising.at(0) < rising.at(0.3) < rising.at(1)
    point, one = objectives.RatePoint(0.5, 0.25), torch.ones(())
    weighed = objectives.perceptual(lambda a, b: 3 * one, lambda point: 2.0 * point.beta)
    loss = objectives.Objective(rising, weighed)
    seen = objectives.Seen(7 * one, 0.01 * one, one, one, point)
    expected = rising.at(0.5) * 7 + 150 * 0.01 + 2 * 0.25 * 3
    assert loss.loss(seen).item() == pytest.approx(expected)


def test_the_learning_rate_falls_to_zero() -> None:
    cosine = script("training.adapter_run").cosine
    assert [cosine(step, 4, 2.0) for step in (0, 2, 4)] == pytest.approx([2, 1, 0])


def test_statistics_prefer_another_texture_to_none() -> None:
    distance = script("training.pyramid").statistics_distance
    generator = torch.Generator().manual_seed(2)
    first, other = (
        0.5 + 0.1 * torch.randn((1, 1, 96, 96), generator=generator).expand(1, 3, 96, 96)
        for _ in range(2)
    )
    flat = first.mean((2, 3), keepdim=True).expand_as(first)
    assert distance(first, first) == 0
    assert distance(other, first) < 0.5 * distance(flat, first)
    assert torch.mean((other - first) ** 2) > 1.5 * torch.mean((flat - first) ** 2)


def test_statistics_have_a_finite_gradient_where_pictures_are_flat() -> None:
    distance = script("training.pyramid").statistics_distance
    decoded = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    (distance(decoded, torch.full((1, 3, 64, 64), 0.5))).backward()
    assert torch.isfinite(decoded.grad).all()


# Refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--crop", "100"), "--crop 100: give a multiple of 64"),
        (("--crop", "128", "--loss", "ms-ssim"), "--crop 128: MS-SSIM needs 161 pixels"),
        (("--crop", "256"), "no picture beside the held-out ones has sides of 256 pixels"),
        (("--batch", "0"), "--batch: give 1 or more"),
        (("--steps", "0"), "--steps: give 1 or more"),
        (("--lambdas", "0", "1"), "--lambdas: give numbers above 0"),
        (("--lambdas", "1", "2", "--fixed-lambda", "1"), "exclude each other"),
        (("--loss", "lpips"), "LPIPS needs --alexnet FILE"),
        (("--adapters", "adapt_stf_8_8_all"), "no preset for alpha; there are lite_8_1_all"),
        (("--adapters", "stf_8_8_all"), "is a layer of this network"),
        (("--merge",), "source.pt: has no adapters to merge"),
    ],
)
def test_bad_options_give_a_clear_line(
    options: tuple[str, ...], message: str, pictures: Path, tmp_path: Path
) -> None:
    source = lite_state(tmp_path / "source.pt")
    with pytest.raises(SystemExit, match=message) as caught:
        run(pictures, source, tmp_path / "run.pt", *options)
    assert str(caught.value.code).startswith("error: ")


def test_lpips_says_what_is_missing(
    alexnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lpips_distance = script("training.objectives").lpips_distance
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(BadInputError, match=r"other\.pth: not AlexNet's weights: no features\.3"):
        lpips_distance(tmp_path / "other.pth", "cpu")
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(UsageError, match="needs the package lpips: pip install lpips"):
        lpips_distance(alexnet, "cpu")


def test_perception_needs_adapters_for_alpha(pictures: Path, tmp_path: Path) -> None:
    source = lite_state(tmp_path / "source.pt")
    with pytest.raises(SystemExit, match=r"give a network with those that .* for alpha alone"):
        run(pictures, source, tmp_path / "run.pt", "--steps", "1", *PERCEPTION)


def test_a_state_with_adapters_says_which(tmp_path: Path) -> None:
    preset = PRESETS["lite_8_1_all"]
    assert AdapterSet.from_data(preset.to_data()) == preset
    path = tmp_path / "adapted.pt"
    weights = tiny.adapted_network("lite_8_1_all").state_dict()
    torch.save({"state_dict": weights, "adapters": [preset.to_data()]}, path)
    assert adapter_sets(path) == (preset,)
    with pytest.raises(BadInputError, match=r"adapted\.pt: holds adapters; give the anchor"):
        load_anchor(path)
    state = tiny.network().state_dict()
    torch.save({"state_dict": state, "adapters": [{"mode": "gamma"}]}, path)
    with pytest.raises(BadInputError, match=r"adapted\.pt: the description .* is damaged"):
        load_network(path)
