"""Run the property tests with fresh seeds, for as long as there is time.

    scripts/fuzz.py properties --minutes 60
    scripts/fuzz.py properties tests/exact -k random_programs
    scripts/fuzz.py properties --seed 1234 --minutes 0

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
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PASSED, FAILED = 0, 1  # of pytest's exit codes


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("tests", nargs="*", default=[str(REPOSITORY / "tests")], help="as pytest takes them")
    add("-k", dest="expression", default="", help="of tests, as pytest takes it")
    add("--minutes", type=float, default=10, help="no round begins later (%(default)g)")
    add("--seed", type=int, help="of the first round")


def run(arguments: argparse.Namespace) -> None:
    end = time.monotonic() + 60 * arguments.minutes
    command = [sys.executable, "-m", "pytest", "-m", "hypothesis", "-k", arguments.expression]
    command += ["-p", "no:cacheprovider", "--tb=short", "--hypothesis-profile=search"]
    seed, faulty = arguments.seed, []  # of each round
    while not faulty or time.monotonic() < end:
        seed = secrets.randbelow(2**32) if seed is None else seed
        round_ = [*command, f"--hypothesis-seed={seed}", *arguments.tests]
        done = subprocess.run(round_, capture_output=True, text=True, check=False)
        if done.returncode not in (PASSED, FAILED):
            sys.exit(f"no round could be run:\n{done.stdout}{done.stderr}")
        faulty.append(done.returncode == FAILED)
        print(f"seed {seed}: {'FAULTS' if faulty[-1] else 'nothing found'}", flush=True)
        if faulty[-1]:
            print(done.stdout + done.stderr, flush=True)
        seed = None
    print(f"{sum(faulty)} of {len(faulty)} rounds found something")
    sys.exit(1 if any(faulty) else 0)
