"""What tests of several folders share."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from licodec.packs import SEARCH_VARIABLE, SUFFIX, embedded_folder

# How long an example takes depends on what else the machine does; no test is about that. Every
# run draws the same examples: scripts/fuzz.py looks for others, and what it finds is kept as an
# @example of its test.
hypothesis.settings.register_profile(
    "search",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    database=None,
    print_blob=True,
)
hypothesis.settings.register_profile(
    "licodec", hypothesis.settings.get_profile("search"), derandomize=True, print_blob=False
)
hypothesis.settings.load_profile("licodec")


def restart_generators() -> None:
    """Begin the global generators anew, so that what a test draws depends on no other test."""
    random.seed(0)
    np.random.seed(0)
    if (torch := sys.modules.get("torch")) is not None:
        torch.default_generator.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    restart_generators()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call() -> None:
    restart_generators()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[object]) -> None:
    """Let the workers share the cores: threads wait for one another in a loop, and with more of
    them than cores some tests take ten times as long."""
    threads = max(1, (os.cpu_count() or 1) // len(specs))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


@pytest.fixture(scope="session")
def pack_path() -> Path:
    """A whole pack of `lite`: the one that ships, or the first that LICODEC_WEIGHTS names."""
    embedded = embedded_folder() / f"lite-standard{SUFFIX}"
    if embedded.is_file():
        return embedded
    for part in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep):
        place = Path(part)
        found = [place] if part.endswith(SUFFIX) else sorted(place.glob(f"lite-*{SUFFIX}"))
        if part and found:
            return found[0]
    pytest.skip(f"no pack of lite is embedded or named by {SEARCH_VARIABLE}")
