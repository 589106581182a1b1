"""Install licodec on a Debian without a C compiler, and time it there.

    scripts/benchmark.py bare /tmp/bare kodim23.png

FOLDER gets Debian's Python and nothing else, the repository as it is committed, and the picture.
There the README's first command is run, which installs, encodes and decodes; then what `licodec
--version -v` says is shown, and seconds (those of processors in brackets) of encoding and of
decoding the picture. Needs Debian's debootstrap, root for chroot, and a network.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarking.commands import costs

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = "python3,python3-venv,ca-certificates"
# Of this machine: names, and whom a proxy of its network is trusted by.
COPIED = ("etc/resolv.conf", "etc/hosts", "etc/ssl/certs/ca-certificates.crt")
HOME = "licodec"


def make_system(folder: Path) -> None:
    if not folder.exists():
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm"]
        subprocess.run([*command, str(folder)], check=True, stdout=subprocess.DEVNULL)
    for name in COPIED:
        shutil.copy(Path("/") / name, folder / name)
    shutil.rmtree(folder / HOME, ignore_errors=True)
    (folder / HOME).mkdir()
    archive = subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", "HEAD"], check=True, capture_output=True
    )
    subprocess.run(["tar", "x", "-C", str(folder / HOME)], input=archive.stdout, check=True)


def first_command() -> str:
    """The README's."""
    found = re.search(r"^python3 -m venv .*$", (REPOSITORY / "README.md").read_text(), re.M)
    assert found is not None
    return found.group()


def inside(folder: Path, script: str) -> list[str]:
    """A command that runs a shell's script in the system, in the repository."""
    variables = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "PIP_CERT=/" + COPIED[-1]]
    proxies = {k: v for k, v in os.environ.items() if "proxy" in k.lower()}
    variables += [f"{name}={value}" for name, value in proxies.items()]
    shell = ["sh", "-ec", f"cd /{HOME}; {script}"]
    return ["chroot", str(folder), "env", "-i", *variables, *shell]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path)
    parser.add_argument("picture", type=Path)


def run(arguments: argparse.Namespace) -> None:
    folder = arguments.folder.resolve()
    make_system(folder)
    installed = costs(inside(folder, f"! command -v cc gcc clang; {first_command()}"))
    print(f"installed, an example encoded and decoded: {installed.seconds:.0f} s")
    activate = ". .venv/bin/activate; "
    sys.stdout.flush()
    subprocess.run(inside(folder, activate + "licodec --version -v"), check=True)
    shutil.copy(arguments.picture, folder / HOME / "picture.png")
    for what, script in (
        ("encode", "licodec encode picture.png -o picture.lic --force"),
        ("decode", "licodec decode picture.lic -o decoded.png --force"),
    ):
        spent = costs(inside(folder, activate + script))
        print("{}: {:.2f} s ({:.2f}), {:.0f} MB".format(what, *spent))
