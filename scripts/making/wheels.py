"""Build licodec's wheels for every system, whatever this one is.

    scripts/make.py wheels -o dist/
    scripts/make.py wheels -o dist/ --systems linux-arm64 macos-arm64

A wheel without native code is built as usual, then the library, compiled by Zig for each system,
is put into a copy of it, with the tags of that system. Needs `pip install build wheel ziglang`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from making.native import SYSTEMS, System, build

REPOSITORY = Path(__file__).resolve().parents[2]
TESTED = ("linux-x86-64", "linux-arm64")  # run here or, by qemu, in `make.py python`


def plain_wheel(folder: Path) -> Path:
    """A wheel in `folder` that has no native code."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(REPOSITORY)]
    # The extension is optional: with a compiler that fails, everything else is built.
    subprocess.run(command, check=True, env=os.environ | {"CC": "false"}, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def wheel_for(system: System, plain: Path, output: Path) -> Path:
    """The wheel of one system, from the one without native code."""
    wheel = [sys.executable, "-m", "wheel"]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        subprocess.run([*wheel, "unpack", str(plain), "--dest", name], check=True)
        (content,) = work.iterdir()
        build(system, content / "licodec" / "exact" / "native")
        packed = work / "packed"
        packed.mkdir()
        subprocess.run([*wheel, "pack", str(content), "--dest-dir", str(packed)], check=True)
        (before,) = packed.iterdir()
        tags = ["--python-tag", "cp311", "--abi-tag", "abi3", "--platform-tag", system.wheel]
        subprocess.run([*wheel, "tags", "--remove", *tags, str(before)], check=True)
        (made,) = packed.iterdir()
        return Path(shutil.move(made, output / made.name))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, default=Path("dist"), help="(%(default)s)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS)[:5])


def run(arguments: argparse.Namespace) -> None:
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        plain = plain_wheel(Path(name))
        for system in arguments.systems:
            made = wheel_for(SYSTEMS[system], plain, arguments.output)
            state = "" if system in TESTED else " (built, not run)"
            print(f"{made}: {made.stat().st_size / 1e6:.1f} MB{state}")
