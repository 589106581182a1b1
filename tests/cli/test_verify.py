"""`licodec verify`."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from licodec.container import read_file, write_file
from tests.cli.conftest import ON_REFERENCE, Run, one_error


def test_a_file_that_is_right(run: Run, lic: Path, tmp_path: Path) -> None:
    result = run("verify", "photo.lic", "-v", *ON_REFERENCE)
    assert result.exit_code == 0
    assert re.fullmatch(r"photo\.lic: ok, 17x33, lite, \d+\.\d\d s\n", result.stdout)
    assert re.fullmatch(r"lite \(standard, [0-9a-f]{16}\) on reference\n", result.stderr)
    assert os.listdir(tmp_path) == ["photo.lic"]


def test_several_files_end_in_a_sum_and_the_worst_code(
    run: Run, lic: Path, tmp_path: Path, encoded: bytes
) -> None:
    file = read_file(encoded)
    changed = {
        "cut.lic": encoded[:-1],
        "missing.lic": write_file(replace(file, header=replace(file.header, weights_id=bytes(8)))),
        "noise.lic": write_file(replace(file, pixel_crc=0)),
    }
    for name, data in changed.items():
        (tmp_path / name).write_bytes(data)
    result = run("verify", *changed, "photo.lic", "none.lic", *ON_REFERENCE)
    assert result.exit_code == 5
    lines = result.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == [*changed, "none.lic"]
    assert result.stdout.splitlines()[1:] == ["5 files: 1 ok, 4 failed"]
    assert run("verify", "cut.lic", "--quiet", "photo.lic", *ON_REFERENCE).stdout == ""


def test_a_header_that_disagrees_with_the_pack(run: Run, lic: Path, encoded: bytes) -> None:
    file = read_file(encoded)
    lic.write_bytes(write_file(replace(file, header=replace(file.header, backbone="tcm"))))
    result = run("verify", "photo.lic", *ON_REFERENCE)
    assert result.exit_code == 3
    message = "photo.lic: the file's header (backbone) disagrees with its pack"
    assert one_error(result) == f"error: {message}"


def test_damaged_metadata_is_an_error_here(run: Run, lic: Path, encoded: bytes) -> None:
    place = encoded.index(b"icCp") + 10
    lic.write_bytes(encoded[:place] + b"\xff" + encoded[place + 1 :])
    result = run("verify", "photo.lic", *ON_REFERENCE)
    assert result.exit_code == 3
    assert "photo.lic: metadata damaged (chunk icCp); the pixels are right" in one_error(result)


def test_the_standard_input(run: Run, encoded: bytes) -> None:
    result = run("verify", "-", *ON_REFERENCE, input=encoded)
    assert result.stdout.startswith("standard input: ok, 17x33")
