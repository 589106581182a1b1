"""`licodec quantize` on checkpoints of published networks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from licodec import packs
from licodec.packing.registry import BACKBONES
from tests import tiny, tiny_published
from tests.cli.conftest import Run, one_error, pixels, png

FEW = ("--pictures", "1", "--crops", "1", "--crop-size", "64", "--calibrate", "pictures")
TO_PACK = ("-o", "small.safetensors")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With checkpoints, whose shapes do not tell all of a tiny tcm's size, and a picture to
    calibrate on."""
    small = replace(BACKBONES["tcm"], build=lambda *_: tiny_published.build_tcm())
    monkeypatch.setitem(BACKBONES, "tcm", small)
    for name in ("tcm", "cheng-attn"):
        state = tiny_published.network(name).state_dict()
        torch.save({"state_dict": state}, tmp_path / f"{name}.pth.tar")
    torch.save(tiny.network().state_dict(), tmp_path / "lite.pt")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(png(pixels(130, 130)))
    (tmp_path / "photo.png").write_bytes(png(pixels(30, 70)))
    return tmp_path


def test_a_checkpoint_becomes_a_mixed_pack_that_codes(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("quantize", "cheng-attn.pth.tar", *FEW, *TO_PACK)
    result = run(*command, "--size", "18%", "--plan-name", "small", "--state", "s.json")
    assert (result.exit_code, result.stderr) == (0, "")
    pack = packs.read_pack(folder / "small.safetensors")
    assert (pack.backbone, pack.plan_name) == ("cheng-attn", "small")
    figures = pack.card["quantization"]
    assert len(set(figures["plan"].values())) > 2
    assert 0.17 < figures["share_of_float32"] <= 0.18
    assert figures["evaluations"] < figures["naive_evaluations"] / 100
    assert pack.card["checkpoint"] == "cheng-attn.pth.tar" and pack.card["activation_bits"] == 16
    monkeypatch.setenv(packs.SEARCH_VARIABLE, str(folder / "small.safetensors"))
    done = run("encode", "photo.png", "--model", "cheng-attn", "--plan", "small", "--psnr")
    assert done.exit_code == 0, done.stderr
    for backend in ("reference", "float32"):
        assert run("verify", "photo.lic", "--backend", backend).exit_code == 0

    wanted = (folder / "small.safetensors").stat().st_size + 500
    again = run(*command, "--force", "--size", str(wanted), "--state", "s.json")
    assert again.exit_code == 0, again.stderr
    assert wanted - 5000 < (folder / "small.safetensors").stat().st_size <= wanted
    assert sorted(os.listdir(folder))[-2:] == ["small.safetensors", "tcm.pth.tar"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("tcm.pth.tar",), 2, "--crop-size 64: give a multiple of 128"),
        (("cheng-attn.pth.tar", "--backbone", "stf"), 3, "a checkpoint of cheng-attn, not of stf"),
        (("cheng-attn.pth.tar", "--backbone", "best"), 2, "backbone 'best' is not known"),
        (("cheng-attn.pth.tar", "--adapters", "lite.pt"), 3, "lite.pt: holds no adapters"),
        (("cheng-attn.pth.tar", "--objective", "A b"), 2, "--objective 'A b': give lower-case"),
        (("cheng-attn.pth.tar", "--size", "1%"), 2, "a size of 1.00 % ("),
        (("lite.pt", "--adapters", "tcm.pth.tar"), 2, "leave --adapters and --objective out"),
        (("lite.pt", "--backbone", "tcm"), 3, "lite.pt: this is a checkpoint of lite, not of tcm"),
    ],
)
def test_bad_requests(run: Run, arguments: tuple[str, ...], exit_code: int, message: str) -> None:
    result = run("quantize", "--size", "20%", *arguments, *FEW, *TO_PACK)
    assert result.exit_code == exit_code
    assert message in one_error(result)
    assert not Path("small.safetensors").exists()
