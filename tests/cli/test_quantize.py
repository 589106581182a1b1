"""`licodec quantize`, on a tiny network."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from licodec import packs
from licodec.fmpq.search import PlanSearch
from licodec.fmpq.sensitivity import Trials
from licodec.fmpq.state import read_state
from licodec.networks.lite import LiteNetwork
from licodec.packing.registry import BACKBONES
from tests import tiny
from tests.cli.conftest import Run, one_error, pixels, png

FEW = ("--pictures", "2", "--crops", "2", "--crop-size", "64", "--calibrate", "pictures")


@pytest.fixture(autouse=True)
def tiny_lite(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(BACKBONES["lite"], build=lambda name, shapes, stated: LiteNetwork(tiny.CONFIG))
    monkeypatch.setitem(BACKBONES, "lite", small)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A training state in the test's folder, and two pictures to calibrate on."""
    weights = tiny.network().state_dict()
    average = {f"module.{name}": tensor for name, tensor in weights.items()}
    torch.save({"step": 1, "average": {"n_averaged": torch.tensor(1), **average}}, "run.pt")
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(pixels(70, 64)))
    (folder / "grey.png").write_bytes(png(pixels(64, 130)[:, :, 0].copy()))
    return "run.pt"


@pytest.mark.parametrize("rule", ["threshold", "greedy", "uniform"])
def test_a_checkpoint_becomes_a_pack(
    run: Run, checkpoint: str, tmp_path: Path, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(
        *("quantize", checkpoint, "--size", "12.5%", "--rule", rule, *FEW),
        *("--plan-name", "small", "-o", "small.safetensors"),
    )
    assert (result.exit_code, result.stderr) == (0, "")
    pack = packs.read_pack(tmp_path / "small.safetensors")
    assert (pack.backbone, pack.plan_name) == ("lite", "small")
    weights = sum(pack.tensors[name].size for name in pack.widths)
    bits = sum(pack.tensors[name].size * width for name, width in pack.widths.items())
    assert 0.10 * 32 * weights < bits <= 0.125 * 32 * weights
    figures = pack.card["quantization"]
    assert (set(figures["plan"].values()) == {4}) == (rule == "uniform")
    assert f"{figures['evaluations']} evaluations" in result.stdout
    assert f"naive search: {figures['naive_evaluations']}" in result.stdout
    assert sorted(os.listdir(tmp_path)) == ["pictures", "run.pt", "small.safetensors"]

    monkeypatch.setenv(packs.SEARCH_VARIABLE, str(tmp_path / "small.safetensors"))
    assert f"{100 * figures['measured_loss']:+.2f} %" in run("models").stdout
    (tmp_path / "a.png").write_bytes(png())
    assert run("encode", "a.png", "--plan", "small", "--backend", "reference").exit_code == 0
    assert run("verify", "a.lic", "--backend", "reference").exit_code == 0


def test_bytes_are_those_of_the_pack(run: Run, checkpoint: str, tmp_path: Path) -> None:
    first = run("quantize", checkpoint, "--size", "16%", *FEW, "-o", "a.safetensors")
    assert first.exit_code == 0
    wanted = (tmp_path / "a.safetensors").stat().st_size + 500
    result = run("quantize", checkpoint, "--size", str(wanted), *FEW, "-o", "b.safetensors")
    assert result.exit_code == 0
    assert wanted - 5000 < (tmp_path / "b.safetensors").stat().st_size <= wanted


def test_an_interrupted_search_says_how_to_resume(
    run: Run, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("quantize", checkpoint, "--size", "12.5%", *FEW, "-o", "small.safetensors")
    ran, count = Trials.zeta, []

    def stop(self: Trials, widths: dict[str, int]) -> float:
        if len(count) == 10:
            raise KeyboardInterrupt
        count.append(widths)
        return ran(self, widths)

    with monkeypatch.context() as patch:
        patch.setattr(Trials, "zeta", stop)
        result = run(*arguments)
    assert result.exit_code == 130
    hint, last = result.stderr.splitlines()
    assert "small.safetensors.search.json" in hint and "resumes" in hint
    assert last == "error: interrupted"
    assert not (tmp_path / "small.safetensors").exists()
    assert len(read_state(tmp_path / "small.safetensors.search.json").values) == 10
    assert run(*arguments).exit_code == 0
    assert not (tmp_path / "small.safetensors.search.json").exists()


def test_a_state_file_serves_further_sizes(
    run: Run, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = (*FEW, "--state", "s.json")
    one = run("quantize", checkpoint, "--size", "14%", *common, "-o", "a.safetensors")
    before = read_state(tmp_path / "s.json").values
    two = run("quantize", checkpoint, "--size", "13%", *common, "-o", "b.safetensors")
    assert (one.exit_code, two.exit_code) == (0, 0)
    after = read_state(tmp_path / "s.json").values
    assert before.items() <= after.items()
    other = run(
        "quantize", checkpoint, "--size", "13%", *common, "--seed", "2", "-o", "c.safetensors"
    )
    assert other.exit_code == 2 and "another checkpoint" in one_error(other)


def test_without_pictures_there_is_a_warning(
    run: Run, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: PlanSearch, *arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PlanSearch, "__init__", stop)
    result = run("quantize", checkpoint, "--size", "15%", "-o", "a.safetensors")
    assert result.exit_code == 130
    assert "one built-in photograph" in result.stderr and "--calibrate" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (
            ("--size", "3%"),
            2,
            "a size of 3.00 % (",
        ),
        (("--size", "2000"), 2, "cannot be reached: plans take 6.25 % ("),
        (("--size", "0%"), 2, "more than 0%"),
        (("--size", "many"), 2, "--size 'many': give a percentage"),
        (("--size", "20%", "--calibrate", "none"), 3, "none: no such folder"),
        (("--size", "20%", "--calibrate", "empty"), 3, "empty: no calibration pictures"),
        (("--size", "20%", "--calibrate", "little"), 3, "little: the calibration pictures are too"),
        (("--size", "20%", "--crop-size", "128"), 3, "too small for crops of 128x128"),
        (("--size", "20%", "--crop-size", "100"), 2, "--crop-size 100: give a multiple of 64"),
        (("--size", "20%", "-o", "pack.bin"), 2, "a pack's name ends in .safetensors"),
        (("--size", "20%", "-o", "there.safetensors"), 1, "there.safetensors"),
        (("--size", "20%", "--rule", "best"), 2, "best"),
    ],
)
def test_bad_requests(
    run: Run, checkpoint: str, tmp_path: Path, arguments: tuple, exit_code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "little").mkdir()
    (tmp_path / "little" / "a.png").write_bytes(png())
    (tmp_path / "there.safetensors").write_bytes(b"")
    output = () if "-o" in arguments else ("-o", "small.safetensors")
    result = run("quantize", checkpoint, *FEW, *arguments, *output)
    assert result.exit_code == exit_code
    assert message in one_error(result)
    assert not (tmp_path / "small.safetensors").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "other.pt: no such file"),
        (b"nothing of the kind", "other.pt: a text file, not a checkpoint"),
        ([1, 2], "other.pt: holds no state dict"),
        ({"step": 3}, "other.pt: 'step' is no tensor"),
        (
            {"g_a.0.weight": torch.zeros(1)},
            "other.pt: its keys (g_a.0.weight) are those of none of the backbones that are read "
            "here: lite, base, stf, tcm, icm, cheng-attn",
        ),
        ("further", "not a checkpoint of lite: of its keys, 1 unknown (g_a)"),
        ("reshaped", "1 of the wrong shape (analysis.linear.transform.bias (1,)"),
    ],
)
def test_bad_checkpoints(
    run: Run, checkpoint: str, tmp_path: Path, content: object, message: str
) -> None:
    weights = dict(tiny.network().state_dict())
    if content == "further":
        content = weights | {"g_a": torch.zeros(1)}
    if content == "reshaped":
        content = weights | {"analysis.linear.transform.bias": torch.zeros(1)}
    if isinstance(content, bytes):
        (tmp_path / "other.pt").write_bytes(content)
    elif content is not None:
        torch.save(content, "other.pt")
    result = run("quantize", "other.pt", "--size", "20%", *FEW, "-o", "small.safetensors")
    assert result.exit_code == 3
    assert message in one_error(result)
