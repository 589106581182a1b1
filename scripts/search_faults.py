#!/usr/bin/env python3
"""Run the property tests with fresh seeds, for as long as there is time.

    scripts/search_faults.py --minutes 60
    scripts/search_faults.py tests/exact -k random_programs
    scripts/search_faults.py --seed 1234 --minutes 0

The test suite draws the same examples on every run; this looks for others. Every round has a
seed of its own, and --seed is that of the first. What a round finds is shown with the example
that hypothesis has reduced it to: keep that as an @example of its test. Exits with 1 where
anything was found.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PASSED, FAILED = 0, 1  # of pytest's exit codes


def property_tests(places: list[Path]) -> list[Path]:
    """The test files to run: of folders those that use hypothesis."""
    files = []
    for place in map(Path.resolve, places):
        inside = sorted(place.rglob("test_*.py")) if place.is_dir() else []
        files += [p for p in inside if "from hypothesis import" in p.read_text("utf-8")]
        files += [] if place.is_dir() else [place]  # a file, or a test in it, as pytest names them
    return files


def pytest_command(files: list[Path], expression: str, seed: int) -> list[str]:
    """One round."""
    options = ["-m", "hypothesis", "-p", "no:cacheprovider", "--tb=short", "-k", expression]
    search = ["--hypothesis-profile=search", f"--hypothesis-seed={seed}"]
    return [sys.executable, "-m", "pytest", *options, *search, *map(str, files)]


def seeds(first: int | None) -> Iterator[int]:
    if first is not None:
        yield first
    while True:
        yield secrets.randbelow(2**32)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tests", type=Path, nargs="*", default=[REPOSITORY / "tests"])
    parser.add_argument("-k", dest="expression", default="", help="of tests, as pytest takes it")
    parser.add_argument(
        "--minutes", type=float, default=10, help="no round begins later (%(default)g)"
    )
    parser.add_argument("--seed", type=int, help="of the first round")
    arguments = parser.parse_args(argv)
    files = property_tests(arguments.tests)
    if not files:
        sys.exit("no property tests there")
    end = time.monotonic() + 60 * arguments.minutes
    faulty = []  # of each round
    for seed in seeds(arguments.seed):
        command = pytest_command(files, arguments.expression, seed)
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if done.returncode not in (PASSED, FAILED):
            sys.exit(f"no round could be run:\n{done.stdout}{done.stderr}")
        faulty.append(done.returncode == FAILED)
        print(f"seed {seed}: {'FAULTS' if faulty[-1] else 'nothing found'}", flush=True)
        if faulty[-1]:
            print(done.stdout + done.stderr, flush=True)
        if time.monotonic() >= end:
            break
    print(f"{sum(faulty)} of {len(faulty)} rounds found something")
    sys.exit(1 if any(faulty) else 0)


if __name__ == "__main__":
    main()
