"""Packs of one backbone at several plans: exact on every backend, chosen by name, told apart."""

from __future__ import annotations

import itertools
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from licodec import packs
from licodec.codec import REFERENCE, Codec
from licodec.container import read_file
from licodec.errors import LicodecError, WeightsMissingError
from licodec.images import Picture
from licodec.library import Library
from licodec.packing.compiled import calibrate_network, compile_network
from licodec.packs import Pack, choose_pack, read_pack, write_pack
from licodec.rate.setting import Setting
from tests import tiny
from tests.cli.conftest import Run, one_error, png, run

__all__ = ["run"]  # a fixture

D = 64


@cache
def mixed_pack() -> Pack:
    """Every width from 2 to 8 in turn."""
    widths = itertools.cycle(range(2, 9))
    return compile_network(
        calibrate_network(tiny.network(), tiny.pictures()),
        plan_name="small",
        card={"quantization": {"measured_loss": 0.0123}},
        widths=lambda _: next(widths),
    )


def picture() -> Picture:
    pixels = (tiny.pictures()[1][0] * 255).round().byte().permute(1, 2, 0)
    return Picture(np.ascontiguousarray(pixels.numpy()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only packs: two plans of one tiny backbone."""
    write_pack(tiny.pack(), tmp_path / "one.safetensors")
    write_pack(mixed_pack(), tmp_path / "two.safetensors")
    monkeypatch.setenv(packs.SEARCH_VARIABLE, str(tmp_path))
    monkeypatch.setattr(packs.finding, "user_folder", lambda: tmp_path / "none")
    monkeypatch.setattr(packs.finding, "embedded_folder", lambda: tmp_path / "none")
    return tmp_path


def test_narrow_weights_come_back_as_they_were(folder: Path) -> None:
    pack = read_pack(folder / "two.safetensors")
    assert set(pack.plan) == set(range(2, 9))
    assert pack.weights_id == mixed_pack().weights_id
    for name, width in pack.widths.items():
        assert np.array_equal(pack.tensors[name], mixed_pack().tensors[name])
        assert np.abs(pack.tensors[name]).max() < 2 ** (width - 1)


@pytest.mark.parametrize("backend", ["float32", "int8"])
def test_a_mixed_plan_is_exact(backend: str) -> None:
    reference = Codec(mixed_pack(), REFERENCE)
    try:
        other = Codec(mixed_pack(), backend)
    except LicodecError as error:
        if backend != "int8":  # the one that a processor may lack
            raise
        pytest.skip(str(error))
    expected, coded = (c.at(Setting(D)).encode(picture()) for c in (reference, other))
    assert coded.data == expected.data
    decoded = other.decode(read_file(expected.data))
    assert np.array_equal(decoded.pixels, expected.picture.pixels)


def test_plans_are_chosen_by_name(folder: Path) -> None:
    assert choose_pack("lite", "standard").weights_id == tiny.pack().weights_id
    assert choose_pack("lite", "small").weights_id == mixed_pack().weights_id


def test_a_file_of_a_plan_that_is_not_installed(folder: Path) -> None:
    data = Codec(mixed_pack(), REFERENCE).at(Setting(D)).encode(picture()).data
    assert read_file(data).plan == mixed_pack().plan
    (folder / "two.safetensors").unlink()
    names = f"{mixed_pack().weights_id.hex()} .*only standard .{tiny.pack().weights_id.hex()}"
    with pytest.raises(WeightsMissingError, match=names):
        Library(REFERENCE).decode(data)


def test_two_plans_through_the_commands(run: Run, folder: Path) -> None:
    Path("a.png").write_bytes(png())
    listed = run("models").stdout
    assert "+1.23 %" in listed and listed.count("*") == 2
    for plan, pack in (("standard", tiny.pack()), ("small", mixed_pack())):
        target = f"{plan}.lic"
        options = ("--plan", plan, "-o", target, "--backend", "reference")
        assert run("encode", "a.png", *options).exit_code == 0
        assert run("verify", target, "--backend", "reference").exit_code == 0
        (described,) = json.loads(run("info", "--json", target).stdout)
        assert described["weights_id"] == pack.weights_id.hex()
    missing = run("encode", "a.png", "--plan", "precise")
    assert missing.exit_code == 2
    assert "installed: lite (small), lite (standard)" in one_error(missing)
