"""What answers at once and what small pictures take import nothing heavy; and the program as it
is really started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import licodec

CALLS = """
import json, sys
from typer.testing import CliRunner
from licodec.cli.app import app

def call(arguments, environment=None):
    runner = CliRunner(env=environment)
    result = runner.invoke(app, arguments, prog_name="licodec")
    return [arguments, result.exit_code, result.output]

completion = {"_LICODEC_COMPLETE": "complete_bash", "COMP_WORDS": "licodec ve", "COMP_CWORD": "1"}
light = [call(a) for a in (["--help"], ["--version"], ["encode", "--help"], ["encode"],
    ["encode", "x.png", "-d", "1", "-q", "2"], ["nonsense"])] + [call([], completion)]
weight = sorted({"numpy", "PIL", "rich.progress", "licodec.codec"} & set(sys.modules))
more = [call(a) for a in (["info", "photo.lic"], ["info", "-v", "--json", "photo.lic"],
    ["models"], ["encode", "photo.png", "-d", "999"], ["encode", "photo.png", "b.lic"],
    ["encode", "none.png"], ["encode", "photo.png"], ["decode", "photo.lic", "-o", "x.doc"],
    ["decode", "photo.png"], ["verify", "photo.png"], ["batch", "empty"],
    ["encode", "photo.png", "-o", "small.lic", "--alpha", "0.5"], ["decode", "small.lic"],
    ["verify", "small.lic"], ["encode", "photo.png", "-o", "target.lic", "--target-psnr", "30"])]
heavy = sorted({"torch", "torchvision", "compressai"} & set(sys.modules))
print(json.dumps([light, weight, more, heavy]))
"""


def test_nothing_heavy_is_imported(photo: Path, lic: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    root = Path(licodec.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", CALLS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        check=True,
        timeout=300,
    )
    light, weight, more, heavy = json.loads(done.stdout)
    assert [code for _, code, _ in light] == [0, 0, 0, 2, 2, 2, 0]
    assert "verify" in light[-1][2]
    assert weight == []
    assert [code for _, code, _ in more] == [0, 0, 0, 2, 2, 3, 1, 2, 3, 3, 3, 0, 0, 0, 0]
    assert heavy == []


DECODING = """
import sys
from licodec.cli import main
sys.argv = ["licodec", "decode", "photo.lic", "--backend", "reference"]
try:
    main()
finally:
    print(*sorted(sys.modules))
"""


def test_decoding_imports_nothing_of_other_commands(lic: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DECODING],
        cwd=lic.parent,
        env=os.environ | {"PYTHONPATH": str(Path(licodec.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    imported = set(done.stdout.splitlines()[-1].split())
    assert "licodec.images.writing" in imported
    unneeded = {"images.reading", "batches.work", "cli.pack_commands", "exact.selftest"}
    assert not {f"licodec.{name}" for name in unneeded} & imported
    assert not {"rich", "filelock"} & imported


def start(*arguments: str, **options: object) -> subprocess.Popen:
    """`python -m licodec` with arguments."""
    root = Path(licodec.__file__).parent.parent
    return subprocess.Popen(
        [sys.executable, "-m", "licodec", *arguments],
        env=os.environ | {"PYTHONPATH": str(root)},
        **options,
    )


def test_as_a_module(tmp_path: Path) -> None:
    process = start("--version", cwd=tmp_path, stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=300)
    assert (process.returncode, output) == (0, f"licodec {licodec.__version__}\n".encode())


def test_binary_output_is_kept_off_a_terminal(photo: Path, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = start(
        "encode", "photo.png", "-o", "-", cwd=tmp_path, stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)
    _, errors = process.communicate(timeout=300)
    os.close(ours)
    assert process.returncode == 2
    assert errors.startswith(b"error: standard output: a terminal, and the output is binary")
