"""Training of `base`: exact resuming, decays, packs, tables, held-out pictures."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from licodec.codec import Codec
from licodec.images import Picture
from licodec.networks.base_transforms import BaseConfig
from licodec.packs import read_pack
from tests import tiny_base
from tests.scripts.conftest import ROOT, script, textured


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    """Shards of two tiles each, photographs and graphics, and one tile held out."""
    for number, shard in enumerate(("a", "b", "held-out")):
        (tmp_path / shard).mkdir()
        for name in ("cid", "g_plot"):
            path = tmp_path / shard / f"{name}-{number}-0-0.png"
            Image.fromarray(textured(256, 256 + 32 * number)).save(path)
    return tmp_path


@pytest.mark.parametrize("optimizer", ["adamw", "soap"])
def test_training_resumes_exactly(
    optimizer: str, tiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five steps against the same five resumed after the second."""
    train, run = script("training.base"), script("training.base_run")
    monkeypatch.setattr(train, "BaseConfig", partial(BaseConfig, **asdict(tiny_base.CONFIG)))
    monkeypatch.setattr(run, "VISUAL_FROM", 2)
    monkeypatch.setattr(train.Trainer, "validate", lambda trainer, label: None)
    threads = torch.get_num_threads()

    def trained(state: Path, steps: int) -> dict[str, Any]:
        arguments = [str(tiles), "--state", str(state), "--steps", str(steps), "--plan", "3x64"]
        arguments += ["--optimizer", optimizer, "--threads", "1", "--device", "cpu"]
        script("train").main(["base", *arguments])
        return torch.load(state, weights_only=True)

    try:
        whole = trained(tiles / "whole.pt", 5)
        trained(tiles / "cut.pt", 2)
        resumed = trained(tiles / "cut.pt", 5)
    finally:
        torch.set_num_threads(threads)
    assert whole["pixels"] == 5 * 3 * 64**2
    del whole["core_seconds"], resumed["core_seconds"]
    assert_same(whole, resumed)


def test_a_decay_leaves_the_stable_weights(tiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written before it, in pieces too; what it ends with is a file of its own."""
    train, state = script("training.base"), script("training.state")
    monkeypatch.setattr(train, "BaseConfig", partial(BaseConfig, **asdict(tiny_base.CONFIG)))
    monkeypatch.setattr(train.Trainer, "validate", lambda trainer, label: None)
    arguments = [str(tiles), "--state", str(tiles / "run.pt"), "--steps", "2", "--plan", "2x64"]
    arguments += ["--decay-seconds", "600", "--pieces", str(tiles / "pieces"), "--device", "cpu"]
    arguments += ["--threads", str(torch.get_num_threads())]
    script("train").main(["base", *arguments])
    assert state.read_state(tiles / "run.pt")["step"] == 0
    assert state.read_state(tiles / "run.decayed.pt")["step"] == 2
    stable, decayed = (state.read_state(tiles / name) for name in ("pieces", "decayed"))
    assert (stable["step"], decayed["step"]) == (0, 2)
    assert decayed["network"]["steps.log_steps"].dtype == torch.float16


def test_weights_are_compared_at_equal_quality(
    tiles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With themselves: nothing gained, by either measure at either objective."""
    train = script("training.base")
    monkeypatch.setattr(train, "BaseConfig", partial(BaseConfig, **asdict(tiny_base.CONFIG)))
    monkeypatch.setattr(train.Trainer, "validate", lambda trainer, label: None)
    state = str(tiles / "run.pt")
    common = [str(tiles), "--state", state, "--device", "cpu"]
    common += ["--threads", str(torch.get_num_threads())]
    script("train").main(["base", *common, "--steps", "1", "--plan", "2x64"])
    capsys.readouterr()
    script("train").main(["base", *common, "--against", state])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["objective"], row["at equal"]) for row in rows] == [
        (objective, measure) for objective in ("mse", "visual") for measure in ("psnr", "score")
    ]
    assert all(row["percent"] == [0, 0, 0, 0] for row in rows)


def test_tables_compare_rates_at_equal_quality() -> None:
    validation = script("training.validation")
    rows = [{"bpp": 2.0**-i, "psnr": 40.0 - 3 * i} for i in range(5)]
    other = [{**row, "bpp": 0.9 * row["bpp"]} for row in rows]
    np.testing.assert_allclose(validation.rate_changes(rows, other, "psnr"), [-10] * 4, atol=1e-6)


def test_training_goes_on_from_a_pack(tiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state becomes a pack, whose files decode, and the pack the beginning of another run."""
    train, make = script("training.base"), script("make")
    monkeypatch.setattr(train, "BaseConfig", partial(BaseConfig, **asdict(tiny_base.CONFIG)))
    monkeypatch.setattr(train.Trainer, "validate", lambda trainer, label: None)
    common = ["--plan", "2x64", "--threads", str(torch.get_num_threads()), "--device", "cpu"]

    def run(name: str, *arguments: str) -> dict[str, Any]:
        state = str(tiles / name)
        script("train").main(["base", str(tiles), "--state", state, *arguments])
        return torch.load(state, weights_only=True)

    first = run("run.pt", "--steps", "3", *common)
    pack = tiles / "base.safetensors"
    options = ["--calibrate", str(tiles / "a"), "--pictures", "1", "--crop", "64"]
    make.main(["pack", str(tiles / "run.pt"), "-o", str(pack), *options])
    assert Codec(read_pack(pack), "reference").neutral.encode(Picture(textured(40, 50))).data
    second = run("again.pt", "--steps", "4", "--from", str(pack), *common)
    assert (first["step"], second["step"]) == (3, 4)
    assert second["pixels"] == 4 * 2 * 64**2
    assert second["bands"].shape == first["bands"].shape
    name = "synthesis.coarse.1.weight"
    torch.testing.assert_close(second["network"][name], first["network"][name], atol=0.02, rtol=0.1)


def test_the_trained_error_is_near_the_published_one() -> None:
    """Of pictures blurred or made noisy, against the package that follows the definition."""
    ssimulacra2 = pytest.importorskip("ssimulacra2")
    visual = script("training.visual")
    clean = np.asarray(Image.open(ROOT / "examples" / "coffee.png").convert("RGB"))[:256, :256]
    noise = np.random.default_rng(1).normal(0, 6, clean.shape)
    for damaged in (noise + clean, ndimage_blur(clean)):
        damaged = np.rint(np.clip(damaged, 0, 255)).astype(np.uint8)
        folder = Path(tempfile.mkdtemp())
        for name, picture in (("a", clean), ("b", damaged)):
            Image.fromarray(picture).save(folder / f"{name}.png")
        expected = ssimulacra2.compute_ssimulacra2(str(folder / "a.png"), str(folder / "b.png"))
        x, y = (
            torch.from_numpy(levels.copy()).permute(2, 0, 1)[None].float() / 255
            for levels in (clean, damaged)
        )
        assert abs(visual.score(x, y).item() - expected) < 3
        assert visual.score(x, x).item() > 99.8


def ndimage_blur(picture: np.ndarray) -> np.ndarray:
    """Means of 3x3 neighbourhoods."""
    padded = np.pad(picture.astype(float), ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows, columns = picture.shape[:2]
    shifted = [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    return np.mean(shifted, 0)


def test_validation_holds_out_whole_sources(tiles: Path) -> None:
    module = script("training.tiles")
    paths = module.validation_paths(tiles, further_graphics=1)
    assert [p.name for p in paths["photographs"]] == ["cid-2-0-0.png"]
    assert [p.parent.name for p in paths["graphics"]] == ["held-out", "a"]
    held = [path for own in paths.values() for path in own]
    assert len(module.Tiles(tiles, "ab", held, "cpu", None)) == 3


def assert_same(a: Any, b: Any) -> None:
    """Equal to the bit, whatever it is made of."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b
