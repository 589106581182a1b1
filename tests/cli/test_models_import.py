"""`licodec models import`, on tiny networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import licodec.cli.models_import
from licodec import packs
from licodec.packing import registry
from tests import tiny_published as tiny
from tests.cli.conftest import ON_REFERENCE, Run, one_error, pixels, png

WARNING = "built-in pictures"
State = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licodec.cli.models_import, "CALIBRATION_SIDE", 64)


def saved(network: torch.nn.Module, path: Path) -> str:
    torch.save({"state_dict": network.state_dict()}, path)
    return path.name


@pytest.fixture
def as_built(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets checkpoints of a backbone have the tiny network's size, which shapes do not tell."""

    def use(backbone: str) -> None:
        build = tiny.BUILDERS[backbone]
        entry = registry.BACKBONES[backbone]
        small = replace(entry, build=lambda *_: build())
        monkeypatch.setitem(registry.BACKBONES, backbone, small)

    return use


def test_a_checkpoint_becomes_a_pack_that_codes(
    run: Run, tmp_path: Path, as_built: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_built("stf")
    checkpoint = saved(tiny.network("stf"), tmp_path / "stf.pth.tar")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.png").write_bytes(png(pixels(64, 64)))
    (tmp_path / "photo.png").write_bytes(png(pixels(30, 70)))
    result = run("models", "import", checkpoint, "--calibrate", "own", "-o", "p.safetensors")
    assert (result.exit_code, result.stderr) == (0, "")
    pack = packs.read_pack(tmp_path / "p.safetensors")
    assert (pack.backbone, pack.plan_name) == ("stf", "standard")
    assert pack.card["weight_bits"] == 8
    assert pack.weights_id.hex() in result.stdout
    monkeypatch.setenv(packs.SEARCH_VARIABLE, str(tmp_path))
    for command in (
        ("encode", "photo.png", "--model", "stf", "-d", "2"),
        ("decode", "photo.lic"),
        ("verify", "photo.lic"),
    ):
        done = run(*command, *ON_REFERENCE)
        assert done.exit_code == 0, done.stderr
    assert (tmp_path / "photo.decoded.png").is_file()


def test_wider_weights_and_the_built_in_pictures(
    run: Run, tmp_path: Path, as_built: Callable[[str], None]
) -> None:
    as_built("tcm")
    checkpoint = saved(tiny.network("tcm"), tmp_path / "tcm.pth.tar")
    command = ("models", "import", checkpoint, "--backbone", "tcm", "--bits", "16")
    result = run(*command, "--plan-name", "wide", "-o", "p.safetensors")
    assert result.exit_code == 0
    assert WARNING in result.stderr
    pack = packs.read_pack(tmp_path / "p.safetensors")
    assert set(pack.plan) == {16}
    assert pack.plan_name == "wide"


def test_adapters_of_a_checkpoint_are_kept(
    run: Run, tmp_path: Path, as_built: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_built("stf")
    sets = ("stf_8_8_all", "adapt_stf_8_8_all")
    checkpoint = saved(tiny.adapted_network(*sets), tmp_path / "stf.pth.tar")
    named = ("--objective", "lpips")
    result = run("models", "import", checkpoint, "-o", "p.safetensors", *named)
    assert "rate modes d, alpha, beta" in result.stdout
    (own,) = packs.read_name(tmp_path / "p.safetensors").adapters
    assert (own.objective, own.modes) == ("lpips", ("alpha", "beta"))
    (tmp_path / "photo.png").write_bytes(png(pixels(30, 70)))
    monkeypatch.setenv(packs.SEARCH_VARIABLE, str(tmp_path))
    settings = ("--alpha", "0.25", "--beta", "1")
    done = run("encode", "photo.png", "--model", "stf", *settings, *ON_REFERENCE)
    assert "alpha 0.25, beta 1" in done.stdout
    assert "0.250004, 1" in run("info", "photo.lic").stdout
    assert run("decode", "photo.lic", *ON_REFERENCE).exit_code == 0
    done = run("encode", "photo.png", "--model", "stf", "--alpha", "2", *ON_REFERENCE)
    assert done.exit_code == 2
    assert "--alpha: alpha 2 is out of range: give 0 to 1" in one_error(done)


def test_adapters_in_a_file_of_their_own(run: Run, tmp_path: Path) -> None:
    checkpoint = saved(tiny.network("cheng-attn"), tmp_path / "cheng.pth.tar")
    adapted = tiny.adapted_network("cheng_8_1_all").state_dict()
    branches = {key: value for key, value in adapted.items() if ".adapter." in key}
    torch.save(branches, tmp_path / "alpha.pth")
    command = ("models", "import", checkpoint, "-o", "p.safetensors")
    refused = run(*command, "--adapters", checkpoint)
    assert refused.exit_code == 3
    assert f"{checkpoint}: holds no adapters" in one_error(refused)
    result = run(*command, "--adapters", "alpha.pth")
    assert "rate modes alpha" in result.stdout
    pack = packs.read_pack(tmp_path / "p.safetensors")
    assert pack.card["adapters"] == ["alpha.pth"]
    absent = run(*command, "-f", "--adapters", "beta.pth")
    assert absent.exit_code == 3
    assert "beta.pth" in one_error(absent)


def test_cheng_attn_has_one_rate(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = saved(tiny.network("cheng-attn"), tmp_path / "cheng.pth.tar")
    result = run("models", "import", checkpoint, "-o", "p.safetensors")
    assert "rate modes none" in result.stdout
    (tmp_path / "photo.png").write_bytes(png(pixels(30, 70)))
    monkeypatch.setenv(packs.SEARCH_VARIABLE, str(tmp_path))
    encode = ("encode", "photo.png", "--model", "cheng-attn", *ON_REFERENCE)
    assert run(*encode).exit_code == 0
    assert run("verify", "photo.lic", *ON_REFERENCE).exit_code == 0
    for option in ("-d", "-q", "--target-bpp"):
        refused = run(*encode, "-f", option, "2")
        assert refused.exit_code == 2
        message = "the pack cheng-attn (standard) has no d; it has one rate only"
        assert f"{option}: {message}" in one_error(refused)


@pytest.mark.parametrize(
    ("content", "message"), [(b"<!DOCTYPE html><html>", "web page"), (b"", "empty")]
)
def test_what_is_no_checkpoint_is_said(
    run: Run, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "stf.pth").write_bytes(content)
    result = run("models", "import", "stf.pth", "--backbone", "stf", "-o", "p.safetensors")
    assert result.exit_code == 3
    assert message in one_error(result)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code ran')",)


def renamed(state: State) -> object:
    return {f"mine.{key}": value for key, value in state.items()}


def misshaped(state: State) -> object:
    return state | {"g_a.0.conv1.weight": torch.zeros(7, 3, 3, 3)}


def incomplete(state: State) -> object:
    return {key: value for key, value in state.items() if key != "g_a.0.conv1.bias"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed, "are those of none of the backbones that are read here: stf, tcm"),
        (misshaped, "1 of the wrong shape (g_a.0.conv1.weight (7, 3, 3, 3) instead of"),
        (incomplete, "1 missing (g_a.0.conv1.bias)"),
        (lambda state: {"state_dict": state, "extra": Malicious()}, "could run code"),
        (lambda state: list(state.values()), "holds no state dict"),
    ],
)
def test_each_bad_checkpoint_has_its_message(
    run: Run, tmp_path: Path, change: Callable[[State], object], message: str
) -> None:
    state = dict(tiny.network("cheng-attn").state_dict())
    torch.save(change(state), tmp_path / "cheng.pth")
    result = run("models", "import", "cheng.pth", "-o", "p.safetensors")
    assert result.exit_code == 3
    assert message in one_error(result)
    assert not (tmp_path / "p.safetensors").exists()


def test_a_truncated_checkpoint(run: Run, tmp_path: Path) -> None:
    path = tmp_path / saved(tiny.network("cheng-attn"), tmp_path / "cheng.pth")
    path.write_bytes(path.read_bytes()[:5000])
    result = run("models", "import", "cheng.pth", "-o", "p.safetensors")
    assert result.exit_code == 3
    assert "truncated" in one_error(result)


def test_weights_without_an_exact_form_are_said(
    run: Run, tmp_path: Path, as_built: Callable[[str], None]
) -> None:
    as_built("stf")
    state = dict(tiny.network("stf").state_dict())
    state["end_conv.0.weight"] = torch.full_like(state["end_conv.0.weight"], 3e38)
    torch.save(state, tmp_path / "stf.pth")
    result = run("models", "import", "stf.pth", "-o", "p.safetensors", "--quiet")
    assert result.exit_code == 3
    assert "not finite" in result.stderr


def test_a_pack_s_name_and_an_existing_file(run: Run, tmp_path: Path) -> None:
    assert run("models", "import", "a.pth", "-o", "pack").exit_code == 2
    (tmp_path / "p.safetensors").write_bytes(b"")
    result = run("models", "import", "a.pth", "-o", "p.safetensors")
    assert "-f" in one_error(result)
