"""scripts/exactness.py arithmetic: hashes that every machine gives."""

from __future__ import annotations

import numpy as np
import pytest

from licodec.exact.native import library, reason
from tests.scripts.conftest import script

KERNELS = "5c4afa55c94252d78aa8d86eb471073915cb9d2cb4e2486aeb82485b744c3886"
CODER = "e52d56bd804c8deedd539a3ac2ec58e3797700fe0ed9d6a8f791ab52a31f60e7"


@pytest.mark.skipif(library() is None, reason=f"{reason()}")
def test_all_levels_and_the_coder_give_the_hashes_of_every_machine() -> None:
    report = script("machines.arithmetic").report()
    assert report["packs"] and set(report["kernels"].values()) == {KERNELS}
    assert report["coder"] == CODER


def test_one_wrong_integer_is_seen() -> None:
    arithmetic = script("machines.arithmetic")
    right, wrong = (arithmetic.digest([np.array([1, n], np.int16)]) for n in (2, 3))
    assert right == arithmetic.digest([np.array([1, 2], ">i8")]) != wrong
    reports = [
        {"machine": "a", "packs": True, "kernels": {"c": right, "sse2": right}, "coder": CODER},
        {"machine": "b", "packs": False, "kernels": {"c": right}, "coder": CODER},
        {"machine": "c", "packs": True, "kernels": {}, "coder": ""},  # has no native code
    ]
    assert arithmetic.alike(reports)
    assert not arithmetic.alike([*reports, {**reports[1], "kernels": {"c": wrong}}])
    assert not arithmetic.alike([*reports, {**reports[1], "coder": wrong}])
    assert arithmetic.compared(reports).count(right[:12]) == 3
