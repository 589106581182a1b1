"""The native library for another machine, by Zig's C compiler (PyPI's `ziglang`)."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from licodec.exact.native.fingerprint import fingerprint

SOURCES = Path(__file__).resolve().parents[2] / "licodec" / "exact" / "native"
# As in setup.py; Zig would add traps for undefined behaviour, and debug information.
FLAGS = ["-O3", "-std=c11", "-ffp-contract=off", "-fvisibility=hidden", "-fno-sanitize=undefined"]


@dataclass(frozen=True)
class System:
    """A kind of machine.

    zig       its name for Zig
    wheel     its platform tag
    suffix    of an extension module that serves every Python from 3.11 on
    """

    zig: str
    wheel: str
    suffix: str = ".abi3.so"


SYSTEMS = {
    "linux-x86-64": System("x86_64-linux-gnu.2.17", "manylinux2014_x86_64"),
    "linux-arm64": System("aarch64-linux-gnu.2.17", "manylinux2014_aarch64"),
    "macos-x86-64": System("x86_64-macos.11.0", "macosx_11_0_x86_64"),
    "macos-arm64": System("aarch64-macos.11.0", "macosx_11_0_arm64"),
    "windows-x86-64": System("x86_64-windows-gnu", "win_amd64", ".pyd"),
    "linux-s390x": System("s390x-linux-gnu.2.17", "manylinux2014_s390x"),
}


def build(system: System, folder: Path) -> Path:
    """Compile the native sources for `system`: `_native` with its suffix in `folder`.

    Raises subprocess.CalledProcessError where they do not compile.
    """
    library = folder / f"_native{system.suffix}"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", system.zig, *FLAGS, "-s"]
    command += ["-shared", f"-DLICODEC_FINGERPRINT={fingerprint(SOURCES)}u"]
    command += [] if "windows" in system.zig else ["-fPIC", "-pthread"]
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    subprocess.run([*command, *sources, "-o", str(library)], check=True)
    return library
