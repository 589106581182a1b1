"""`licodec info`."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

import licodec
from licodec import packs
from licodec.container import read_file, write_file
from tests.cli.conftest import Run, one_error


def fields_of(text: str) -> dict[str, str]:
    """Labels and values of one file's lines."""
    lines = [line for line in text.splitlines()[1:] if line]
    return {line[2:18].strip(): line[19:] for line in lines}


def test_every_field_is_shown(run: Run, lic: Path, encoded: bytes, pack_path: Path) -> None:
    result = run("info", "photo.lic")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == "photo.lic"
    shown = fields_of(result.stdout)
    file = read_file(encoded)
    assert shown == {
        "size": f"{len(encoded)} bytes, {8 * len(encoded) / (17 * 33):.3f} bits per pixel",
        "format version": "1",
        "picture": "17x33 pixels",
        "channels": "3 (RGB) of 8 bits",
        "alpha plane": "none",
        "backbone": "lite",
        "arithmetic": "int-1",
        "weights id": f"{file.header.weights_id.hex()} (standard: {pack_path})",
        "d": f"1 ({file.header.d} in units of 2^-{file.header.d_fraction_bits})",
        "alpha, beta": "0, 0",
        "adapter set": "none",
        "precision plan": shown["precision plan"],
        "ICC profile": "128 bytes",
        "Exif": "none",
        "XMP": "none",
        "payload": shown["payload"],
        "overhead": shown["overhead"],
        "pixel checksum": f"{file.pixel_crc:08x}",
    }
    assert shown["precision plan"].startswith(f"{len(file.plan)} operations: ")
    assert shown["payload"].startswith("1 stream, ")
    assert int(shown["overhead"].split()[0]) <= 96


def test_a_file_whose_pack_is_missing(run: Run, lic: Path, encoded: bytes) -> None:
    file = read_file(encoded)
    header = replace(
        file.header, weights_id=bytes(8), alpha=65535, beta=13107, adapter_id=b"adapters"
    )
    lic.write_bytes(write_file(replace(file, header=header, plan=None)))
    result = run("info", "-v", "photo.lic")
    assert result.exit_code == 0
    shown = fields_of(result.stdout.split("  chunks\n")[0])
    assert shown["weights id"] == "0000000000000000 (not installed)"
    assert shown["alpha, beta"] == "1, 0.2"
    assert shown["adapter set"] == b"adapters".hex()
    assert shown["precision plan"] == "the pack's"
    assert "plan by layer    the pack is not installed" in result.stdout


def test_chunks_and_layers(run: Run, lic: Path, encoded: bytes) -> None:
    result = run("info", "photo.lic", "-v")
    chunks = result.stdout.split("  chunks\n")[1].split("  plan by layer\n")[0]
    assert [line.split()[0] for line in chunks.splitlines()] == ["LHDR", "PLAN", "icCp", "DATA"]
    layers = result.stdout.split("  plan by layer\n")[1].splitlines()
    widths = [int(line.split()[-2]) for line in layers]
    assert tuple(widths) == read_file(encoded).plan
    assert layers[0].split()[0].startswith("hyper_synthesis.")


def test_json_of_good_and_bad_files(run: Run, lic: Path, photo: Path, encoded: bytes) -> None:
    result = run("info", "--json", "-v", "photo.lic", "photo.png", "none.lic")
    assert (result.exit_code, result.stderr) == (3, "")
    good, bad, missing = json.loads(result.stdout)
    described = licodec.read_info(encoded)
    assert {name: good[name] for name in described} == described
    assert set(good) - set(described) == {"file", "pack", "layers"}
    assert good["file"] == "photo.lic"
    assert good["pack"]["plan"] == "standard"
    assert len(good["layers"]) == described["plan"]["operations"]
    assert set(good["layers"][0]) == {"layer", "bits"}
    assert bad == {
        "file": "photo.png",
        "error": "photo.png: not a .lic file: this is a PNG picture",
        "exit_code": 3,
    }
    assert missing["error"].startswith("none.lic: no such file")


def test_json_is_an_array_for_one_file_too(run: Run, encoded: bytes) -> None:
    result = run("info", "--json", "-", input=encoded)
    (only,) = json.loads(result.stdout)
    assert only["file"] == "standard input"
    assert "layers" not in only


def test_several_files(run: Run, lic: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.lic").write_bytes(b"")
    result = run("info", "photo.lic", "bad.lic", "photo.lic")
    assert result.exit_code == 3
    assert one_error(result) == "error: bad.lic: file is empty"
    first, second = result.stdout.split("\n\n")
    assert first == second.rstrip("\n")


def test_damaged_metadata_is_a_warning(run: Run, lic: Path, encoded: bytes) -> None:
    place = encoded.index(b"icCp") + 10
    lic.write_bytes(encoded[:place] + b"\xff" + encoded[place + 1 :])
    result = run("info", "photo.lic", "-v")
    assert result.exit_code == 0
    assert "warning          chunk icCp is damaged" in result.stdout
    assert "icCp           128 bytes, damaged" in result.stdout


@pytest.mark.parametrize(
    "name",
    [
        "Screenshot at 3.45.10\u202fPM.lic",
        "a\u00a0b\u3000c.lic",
        "two\nlines\t.lic",
        'a "quoted" \\ name.lic',
        os.fsdecode(b"not \xff\xfe text.lic"),
    ],
)
def test_names_in_json_are_as_they_were_given(run: Run, encoded: bytes, name: str) -> None:
    Path(name).write_bytes(encoded)
    missing = f"no {name}"
    result = run("info", "--json", name, missing)
    assert result.stdout.isascii()
    good, bad = json.loads(result.stdout)
    assert (good["file"], good["width"]) == (name, 17)
    assert (bad["file"], bad["exit_code"]) == (missing, 3)
    assert Path(good["file"]).is_file()


def test_a_pack_is_looked_for_once(
    run: Run, lic: Path, encoded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = read_file(encoded)
    lacking = write_file(replace(file, header=replace(file.header, weights_id=bytes(8))))
    lic.with_name("other.lic").write_bytes(lacking)
    looked: list[bytes] = []

    def look(weights_id: bytes, *rest: object) -> packs.PackName:
        looked.append(weights_id)
        return packs.find_pack(weights_id, *rest)

    monkeypatch.setattr("licodec.cli.info.find_pack", look)
    result = run("info", *["photo.lic", "other.lic"] * 20)
    assert result.exit_code == 0 and result.stdout.count("pixel checksum") == 40
    assert looked == [file.header.weights_id, bytes(8)]
