"""Run tests with the native library under sanitizers.

    scripts/fuzz.py sanitized tests/attacks tests/exact/test_native_kernels.py
    scripts/fuzz.py sanitized tests/exact -k random_programs --hypothesis-profile=search

The library is compiled with AddressSanitizer and UndefinedBehaviorSanitizer into a copy of the
repository, and pytest runs there, with the options that it is given. The first fault ends it. Exits
as pytest does. CC names the compiler; it must know -fsanitize.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from licodec.exact.native.fingerprint import fingerprint

ROOT = Path(__file__).resolve().parents[2]
NATIVE = Path("licodec/exact/native")
COPIED = ("licodec", "tests", "scripts", "format", "weights", "examples", "pyproject.toml")
FLAGS = ("-std=c11", "-O1", "-g", "-fPIC", "-shared", "-pthread", "-ffp-contract=off")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
OPTIONS = "detect_leaks=0:print_stacktrace=1"  # Python and NumPy have leaks of their own
REPORT = "fault"  # pytest keeps what goes to the terminal, and is gone then


def copy_sanitized(folder: Path) -> dict[str, str]:
    """Copy the repository there with a sanitized library; the environment that tests need.

    Raises RuntimeError where no compiler does it.
    """
    built = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=built)
        else:
            shutil.copy(ROOT / name, folder / name)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    mark = f"-DLICODEC_FINGERPRINT={fingerprint(folder / NATIVE)}u"
    sources = map(str, sorted((folder / NATIVE).glob("*.c")))
    output = folder / NATIVE / "_native.abi3.so"
    try:
        subprocess.run(
            [*compiler, *FLAGS, *SANITIZERS, mark, *sources, "-o", str(output)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        runtime = subprocess.run(
            [*compiler, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
        ).stdout.strip()
    except FileNotFoundError as error:
        raise RuntimeError(str(error)) from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(error.stderr.strip() or str(error)) from None
    options = f"{OPTIONS}:log_path={folder / REPORT}"
    sanitizers = {"ASAN_OPTIONS": options, "UBSAN_OPTIONS": options}
    return {**os.environ, **sanitizers, "LD_PRELOAD": runtime, "PYTHONPATH": str(folder)}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tests", nargs=argparse.REMAINDER, help="and options, as pytest takes them")


def run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            environment = copy_sanitized(Path(folder))
        except RuntimeError as error:
            sys.exit(f"the library cannot be compiled: {error}")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments.tests]
        code = subprocess.run(command, cwd=folder, env=environment).returncode
        for report in sorted(Path(folder).glob(f"{REPORT}.*")):
            print(report.read_text(errors="replace"))
        sys.exit(code)
