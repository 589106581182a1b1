"""`licodec models`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from licodec import packs
from tests.cli.conftest import Run, one_error


@pytest.fixture
def user_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's folder as the only place where packs are looked for."""
    monkeypatch.delenv(packs.SEARCH_VARIABLE)
    monkeypatch.setattr(packs.finding, "embedded_folder", lambda: tmp_path / "none")
    return packs.user_folder()


def test_the_table(run: Run, pack_path: Path) -> None:
    result = run("models")
    assert result.exit_code == 0
    assert result.stdout == run("models", "list").stdout
    headings, first, *_ = result.stdout.splitlines()
    assert headings.split() == [
        "model",
        "plan",
        "weights",
        "id",
        "size",
        "loss",
        "adapters",
        "file",
    ]
    name = packs.read_name(pack_path)
    assert first.split()[:4] == ["*", "lite", "standard", name.weights_id.hex()]


def test_json(run: Run, pack_path: Path) -> None:
    first, *_ = json.loads(run("models", "list", "--json").stdout)
    assert set(first) == {"model", "plan", "weights_id", "size", "path", "card", "adapters"}
    assert first["path"] == str(pack_path)


def test_no_packs(run: Run, user_folder: Path) -> None:
    result = run("models")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("no weights packs are installed; looked in ")
    assert str(user_folder) in result.stderr


def test_verify(run: Run, pack_path: Path, tmp_path: Path) -> None:
    name = packs.read_name(pack_path)
    identifier = name.weights_id.hex()
    sets = "".join(f", adapters {o.adapter_id.hex()} ({o.objective})" for o in name.adapters)
    good = f"{pack_path}: ok, lite (standard), {identifier}, rate modes d, alpha, beta{sets}\n"
    for names in ((str(pack_path),), (identifier,)):
        result = run("models", "verify", *names)
        assert result.exit_code == 0 and good in result.stdout
    assert good in run("models", "verify").stdout


def test_verify_finds_damage(run: Run, pack_path: Path, tmp_path: Path) -> None:
    for place in (-1000, len(pack_path.read_bytes()) // 2):  # of decoders, of encoders
        data = bytearray(pack_path.read_bytes())
        data[place] ^= 1
        (tmp_path / "bad.safetensors").write_bytes(data)
        result = run("models", "verify", "bad.safetensors")
        assert result.exit_code == 3
        assert "bad.safetensors: " in one_error(result)
    missing = run("models", "verify", "tcm")
    assert missing.exit_code == 3
    assert "tcm: neither a file nor the model or weights id" in one_error(missing)


def test_install(run: Run, pack_path: Path, user_folder: Path, tmp_path: Path) -> None:
    result = run("models", "install", str(pack_path))
    assert result.exit_code == 0
    name = packs.read_name(pack_path)
    ids = "-".join(i.hex() for i in (name.weights_id, *(own.adapter_id for own in name.adapters)))
    target = user_folder / f"lite-standard-{ids}.safetensors"
    assert result.stdout.endswith(f"installed: {target}\n")
    assert target.read_bytes() == pack_path.read_bytes()
    assert "lite" in run("models").stdout
    again = run("models", "install", str(pack_path))
    assert again.exit_code == 0 and "is installed already" in again.stdout


def test_install_checks_first(run: Run, user_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    result = run("models", "install", "bad.safetensors")
    assert result.exit_code == 3
    assert "not a readable weights pack" in one_error(result)
    assert not user_folder.exists()
    missing = run("models", "install", "none.safetensors")
    assert missing.exit_code == 3 and "no such weights pack" in one_error(missing)
