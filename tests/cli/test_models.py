"""`licodec models`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

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


@pytest.fixture
def damaged(user_folder: Path, pack_path: Path) -> Path:
    """The user's folder with a good pack between damaged ones, and files that are none."""
    user_folder.mkdir(parents=True)
    whole = pack_path.read_bytes()
    contents = {
        "a-short.safetensors": whole[:1000],
        "b-bits.safetensors": whole[:-1000] + bytes(1000),
        "c-good.safetensors": whole,
        "d-empty.safetensors": b"",
        "e-foreign.safetensors": safetensors.numpy.save({"x": np.zeros(3)}),
        "f.txt": b"no pack",
    }
    for name, content in contents.items():
        (user_folder / name).write_bytes(content)
    (user_folder / "g-folder.safetensors").mkdir()
    return user_folder


def test_verify_names_what_is_damaged_and_goes_on(run: Run, damaged: Path) -> None:
    result = run("models", "verify")
    assert result.exit_code == 3
    assert result.stdout.startswith(f"{damaged / 'c-good.safetensors'}: ok, lite (standard), ")
    assert result.stdout.count("\n") == 1
    short, bits, empty = result.stderr.splitlines()
    assert short.startswith(
        f"error: {damaged / 'a-short.safetensors'}: not a readable weights pack"
    )
    assert bits == (
        f"error: {damaged / 'b-bits.safetensors'}: the weights pack's content does not match its id"
    )
    assert empty.startswith(f"error: {damaged / 'd-empty.safetensors'}: not a readable")


def test_verify_goes_on_after_each_name(run: Run, damaged: Path, pack_path: Path) -> None:
    foreign = damaged / "e-foreign.safetensors"
    result = run("models", "verify", "tcm", "none.safetensors", str(foreign), str(pack_path))
    assert result.exit_code == 3
    assert result.stdout.startswith(f"{pack_path}: ok, ")
    unknown, missing, other = result.stderr.splitlines()
    assert "tcm: neither a file nor" in unknown
    assert "none.safetensors: no such weights pack" in missing
    assert other == f"error: {foreign}: a safetensors file, but not a licodec weights pack"


@pytest.mark.parametrize("form", [(), ("list", "--json")])
def test_the_list_warns_of_what_is_damaged(run: Run, damaged: Path, form: tuple[str, ...]) -> None:
    result = run("models", *form)
    assert result.exit_code == 0
    assert "c-good.safetensors" in result.stdout and "short" not in result.stdout
    short, empty = result.stderr.splitlines()
    assert short.startswith(f"warning: {damaged / 'a-short.safetensors'}: not a readable")
    assert empty.endswith("; passed over") and "d-empty" in empty


def test_a_damaged_pack_is_named_where_it_is_missed(
    run: Run, damaged: Path, lic: Path, photo: Path
) -> None:
    (damaged / "c-good.safetensors").unlink()
    (damaged / "b-bits.safetensors").unlink()
    for command, code in (("verify photo.lic", 4), ("encode photo.png", 2)):
        result = run(*command.split())
        assert result.exit_code == code
        assert f"; {damaged / 'a-short.safetensors'}: not a readable" in one_error(result)


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
