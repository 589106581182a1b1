"""Give the native coder damaged streams, tables and integers, under sanitizers.

    scripts/fuzz.py native --cases 1000000 --faults faults
    scripts/fuzz.py native --only 4711 --faults faults

The coder is compiled with AddressSanitizer and UndefinedBehaviorSanitizer into a program of its
own, where every array has just its size. Each case decodes a stream, in most cases a damaged one,
and encodes integers; both must give what the coder in plain Python gives, or its error. Case n is
the same on every machine. Cases that end otherwise are shown and kept in --faults. Exits with 1
where there are any. CC names the compiler; it must know -fsanitize.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from fuzzing.native_cases import case_number, fault_of, read_answer

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "scripts/fuzzing/native_driver.c", ROOT / "licodec/exact/native/rans.c")
FLAGS = ("-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
BATCH = 500  # cases that one process is given


def build(folder: Path) -> Path:
    """The driver, compiled into `folder`. Raises RuntimeError where no compiler does it."""
    driver = folder / "driver"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    headers = f"-I{ROOT / 'licodec/exact/native'}"
    command = [*compiler, *FLAGS, headers, *map(str, SOURCES), "-o", str(driver)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
        subprocess.run([driver], check=True, capture_output=True, text=True, input="")
    except FileNotFoundError as error:
        raise RuntimeError(str(error)) from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(error.stderr.strip() or str(error)) from None
    return driver


def do_cases(driver: Path, first: int, end: int, seed: int) -> Iterator[tuple[int, str]]:
    """Do the cases from `first` to `end`; yields the numbers of those at fault, and reports."""
    while first < end:
        cases = [case_number(index, seed) for index in range(first, min(first + BATCH, end))]
        given = b"".join(case.to_bytes() for case in cases)
        done = subprocess.run([driver], input=given, capture_output=True, env=_environment())
        answers = BytesIO(done.stdout)
        for index, case in enumerate(cases, first):
            answer = read_answer(answers)
            if answer is None:  # the process ended here
                yield index, done.stderr.decode(errors="replace") or f"code {done.returncode}"
            elif fault := fault_of(case, answer):
                yield index, f"{fault} is not what the plain coder gives"
            first = index + 1
            if answer is None:
                break


def _environment() -> dict[str, str]:
    """Without what others tell their sanitizers."""
    return {name: value for name, value in os.environ.items() if "SAN_OPTIONS" not in name}


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--cases", type=int, default=10_000, help="in all (%(default)s)")
    add("--first", type=int, default=0, help="number of the first (%(default)s)")
    add("--seed", type=int, default=0, help="(%(default)s)")
    add("--only", type=int, help="do this case alone, and keep it")
    add("--faults", type=Path, default=Path("faults"), help="a folder for cases (%(default)s)")


def run(arguments: argparse.Namespace) -> None:
    first, end = arguments.first, arguments.first + arguments.cases

    def keep(index: int) -> None:
        arguments.faults.mkdir(parents=True, exist_ok=True)
        data = case_number(index, arguments.seed).to_bytes()
        (arguments.faults / f"{index}.case").write_bytes(data)

    if arguments.only is not None:
        first, end = arguments.only, arguments.only + 1
        keep(first)
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            driver = build(Path(folder))
        except RuntimeError as error:
            sys.exit(f"the coder cannot be compiled: {error}")
        for index, report in do_cases(driver, first, end, arguments.seed):
            keep(index)
            print(f"case {index}: {report}", flush=True)
            count += 1
    print(f"{end - first} cases, {count} faults")
    sys.exit(1 if count else 0)
