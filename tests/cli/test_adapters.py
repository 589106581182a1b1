"""Adapter sets at the command line: chosen by objective, listed, shown and installed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from licodec import packs
from licodec.container import read_file
from licodec.packs import write_pack
from tests import tiny
from tests.cli.conftest import ON_REFERENCE, Run, one_error


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a tiny pack with three adapter sets, the first that is found."""
    path = tmp_path / "packs" / "lite-adapted.safetensors"
    path.parent.mkdir()
    write_pack(tiny.adapted_pack(), path)
    monkeypatch.setenv(packs.SEARCH_VARIABLE, str(path))
    return str(path)


def shown(run: Run, file: str) -> dict[str, object]:
    (info,) = json.loads(run("info", "--json", file).stdout)
    return info


@pytest.mark.parametrize(
    ("options", "objective", "d"),
    [
        (("--alpha", "0.5"), "mse", 187),
        (("--alpha", "0.5", "--objective", "ms-ssim"), "ms-ssim", 187),
        (("--alpha", "0.5", "--beta", "1"), "perceptual", 238),
        (("--alpha", "0.5", "-d", "2"), "mse", 128),
        (("--objective", "ms-ssim", "-q", "50"), "ms-ssim", 256),
        (("--objective", "ms-ssim", "-q", "80"), None, 49),
    ],
)
def test_encode(
    run: Run, photo: Path, model: str, options: tuple[str, ...], objective: str | None, d: int
) -> None:
    result = run("encode", photo.name, *options, *ON_REFERENCE)
    assert result.exit_code == 0, result.stderr
    info = shown(run, "photo.lic")
    assert info["pack"]["objective"] == objective
    assert round(info["d"] * 64) == d
    assert (info["alpha"] > 0) == (objective is not None)
    assert ("alpha 0." in result.stdout) == (objective is not None)
    text = run("info", "photo.lic").stdout
    assert (f" ({objective})\n" in text) == (objective is not None)
    assert run("decode", "photo.lic", "-o", "back.png", *ON_REFERENCE).exit_code == 0


def test_a_target_with_an_objective_goes_over_alpha(run: Run, photo: Path, model: str) -> None:
    assert run("encode", photo.name, "--alpha", "1", *ON_REFERENCE).exit_code == 0
    size = Path("photo.lic").stat().st_size
    command = ("encode", photo.name, "-f", "--target-size", str(size), "--objective", "mse")
    assert run(*command, *ON_REFERENCE).exit_code == 0
    assert Path("photo.lic").stat().st_size <= size
    info = shown(run, "photo.lic")
    assert (info["alpha"] > 0) == (info["d"] > 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--objective", "lpips", "--alpha", "1"), "of alpha for the objective lpips; it has mse"),
        (("--objective", "mse", "--beta", "1"), "of beta for the objective mse"),
        (("--objective", "mse"), "mse chooses adapters; give a rate"),
        (("--objective", "mse", "-d", "3"), "mse chooses adapters; give a rate"),
    ],
)
def test_what_a_pack_lacks(
    run: Run, photo: Path, model: str, options: tuple[str, ...], message: str
) -> None:
    result = run("encode", photo.name, *options)
    assert result.exit_code == 2
    assert message in one_error(result)


def test_a_batch_knows_its_own_files(run: Run, photo: Path, model: str) -> None:
    def batch(*options: str) -> str:
        result = run("batch", ".", "--jobs", "1", "--alpha", "1", *options, *ON_REFERENCE)
        assert result.exit_code == 0, result.stderr
        return result.stderr

    Path("in").mkdir()
    photo.rename(Path("in") / photo.name)
    batch()
    (made,) = Path.cwd().with_name(f"{Path.cwd().name}-lic").rglob("*.lic")
    before = made.read_bytes()
    batch()
    assert made.read_bytes() == before
    batch("--objective", "ms-ssim")
    adapter_ids = [read_file(data).header.adapter_id for data in (before, made.read_bytes())]
    assert adapter_ids == [tiny.adapted_pack().adapter_ids[o] for o in ("mse", "ms-ssim")]


def test_models(run: Run, model: str) -> None:
    listed = run("models").stdout
    assert "mse (alpha), ms-ssim (alpha)" in " ".join(listed.split())
    first, *_ = json.loads(run("models", "list", "--json").stdout)
    assert [own["objective"] for own in first["adapters"]] == list(tiny.SETS)
    assert first["adapters"][2]["modes"] == ["alpha", "beta"]
    verified = run("models", "verify", model).stdout
    for own in first["adapters"]:
        assert f"adapters {own['adapter_id']} ({own['objective']})" in verified


def test_a_pack_with_further_sets_is_installed_beside(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(packs.SEARCH_VARIABLE)
    monkeypatch.setattr(packs.finding, "embedded_folder", lambda: tmp_path / "none")
    anchor = tmp_path / "anchor.safetensors"
    write_pack(replace(tiny.adapted_pack(), adapters=()), anchor)
    assert "installed: " in run("models", "install", str(anchor)).stdout
    assert "installed: " in run("models", "install", model).stdout
    for path in (model, str(anchor)):
        assert "is installed already" in run("models", "install", path).stdout
    assert len(list(packs.user_folder().iterdir())) == 2
    assert packs.choose_pack("lite", "standard").adapters  # the one that does more comes first


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        (
            "encode",
            ("--alpha", "0.5"),
            "--alpha: the pack lite (standard) has no alpha; it has d (al",
        ),
        (
            "encode",
            ("--alpha", "0.5", "--beta", "1"),
            "--alpha: the pack lite (standard) has no alp",
        ),
        ("encode", ("--beta", "0.5"), "--beta: the pack lite (standard) has no beta; it has d"),
        ("batch", ("--alpha", "1"), "--alpha: the pack lite (standard) has no alpha"),
    ],
)
def test_a_pack_without_sets(
    run: Run, photo: Path, tmp_path: Path, command: str, options: tuple[str, ...], message: str
) -> None:
    write_pack(tiny.anchor_pack(), tmp_path / "p.safetensors")
    source = {"encode": photo.name, "batch": "."}[command]
    result = run(command, source, "--model", "p.safetensors", *options)
    assert result.exit_code == 2
    assert message in one_error(result)
