"""Make a Python for another processor, with licodec, that runs here under qemu.

    scripts/make.py python arm64 /tmp/arm64
    scripts/exactness.py files --generate --python /tmp/arm64/python --only python

FOLDER gets Debian's Python for the processor, licodec's dependencies, the package with its native
library built for it, and the executable `python`, which takes a Python's arguments. Needs Debian's
packages debootstrap and qemu-user-static, PyPI's ziglang, and no privileges. With --cpu a lesser
or a greater processor is emulated, as qemu names it: cortex-a72 has no dot products, max has all.
On s390x, which is big-endian, the packages that PyPI has no wheels for are Debian's.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from making.native import SYSTEMS, build

REPOSITORY = Path(__file__).resolve().parents[2]
RELEASE, PYTHON = "bookworm", "3.11"
PURE = ("construct", "filelock", "rich", "typer")
COMPILED = ("numpy", "pillow", "safetensors", "simplejpeg")


@dataclass(frozen=True)
class Processor:
    """debian   its name for Debian
    machine  its name for qemu, and of folders
    system   one of SYSTEMS
    loader   of programs, below /lib
    wheels   packages that PyPI has for it
    packages of Debian that stand in for the others
    """

    debian: str
    machine: str
    system: str
    loader: str
    wheels: tuple[str, ...]
    packages: tuple[str, ...] = ()


PROCESSORS = {
    "arm64": Processor(
        "arm64", "aarch64", "linux-arm64", "ld-linux-aarch64.so.1", (*PURE, *COMPILED)
    ),
    "s390x": Processor(
        "s390x", "s390x", "linux-s390x", "ld64.so.1", PURE, ("python3-numpy", "python3-pil")
    ),
}


def unpack_debian(processor: Processor, root: Path) -> None:
    """Debian's Python and what it needs, below `root`. No program of it is run."""
    include = ",".join(("python3", "libpython3-stdlib", *processor.packages))
    options = ["--foreign", f"--arch={processor.debian}", "--variant=minbase"]
    subprocess.run(
        ["debootstrap", *options, f"--include={include}", RELEASE, str(root)], check=True
    )
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        files = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", str(package)], check=True, capture_output=True
        ).stdout
        untar = ["tar", "x", "-C", str(root), "--keep-directory-symlink", "--skip-old-files"]
        subprocess.run(untar, input=files, check=True)
    libraries = f"{processor.machine}-linux-gnu"
    loader = root / "lib" / processor.loader  # Debian's link is absolute
    loader.unlink(missing_ok=True)
    inside = (root / "usr/lib" / libraries / processor.loader).resolve()
    loader.symlink_to(inside)


def install_wheels(processor: Processor, site: Path) -> None:
    """The packages that PyPI has, below `site`."""
    platforms = [f"manylinux_2_{minor}_{processor.machine}" for minor in (17, 27, 28, 31, 34)]
    options = [argument for one in platforms for argument in ("--platform", one)]
    options += ["--python-version", PYTHON, "--only-binary=:all:", "--target", str(site)]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *options, *processor.wheels], check=True
    )


def install_licodec(processor: Processor, site: Path) -> None:
    """The package as it stands here, its weights, and its native code for the processor."""
    package = site / "licodec"
    shutil.rmtree(package, ignore_errors=True)
    nothing_built = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(REPOSITORY / "licodec", package, ignore=nothing_built)
    shutil.copytree(REPOSITORY / "weights", package / "weights")
    shutil.copytree(REPOSITORY / "examples", package / "examples")
    build(SYSTEMS[processor.system], package / "exact" / "native")


def write_python(processor: Processor, folder: Path, cpu: str | None) -> Path:
    """The executable that starts the other processor's Python."""
    root, site = folder / "root", folder / "site"
    libraries = root / "usr/lib" / f"{processor.machine}-linux-gnu"
    paths = ":".join(str(libraries / part) for part in ("", "blas", "lapack"))
    emulator = shutil.which(f"qemu-{processor.machine}-static")
    python = folder / "python"
    python.write_text(
        "#!/bin/sh\n"
        f'export PYTHONPATH="{site}:{root}/usr/lib/python3/dist-packages:$PYTHONPATH"\n'
        f"exec {emulator} -L {root} {'-cpu ' + cpu if cpu else ''} -E LD_LIBRARY_PATH={paths} "
        f'-E PYTHONHOME={root}/usr {root}/usr/bin/python{PYTHON} "$@"\n'
    )
    python.chmod(0o755)
    return python


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("processor", choices=PROCESSORS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cpu", help="what qemu emulates (all that it knows)")


def run(arguments: argparse.Namespace) -> None:
    processor, folder = PROCESSORS[arguments.processor], arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "root").exists():
        unpack_debian(processor, folder / "root")
        install_wheels(processor, folder / "site")
    install_licodec(processor, folder / "site")
    print(write_python(processor, folder, arguments.cpu))
