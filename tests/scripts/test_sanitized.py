"""scripts/fuzz.py sanitized: what lies outside of arrays is seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts.conftest import script

TEST = """
from ctypes import c_int64, c_void_p
import numpy as np
from licodec.exact import native

def test_table(words):
    table = np.zeros(words, np.int64)
    scratch = native.function("licodec_scratch", c_int64, c_void_p, c_int64)
    assert scratch(table.ctypes.data, 1) > 0
"""
CASES = {"right": 1000, "wrong": 2}


def test_a_read_beside_a_table_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sanitized = script("fuzzing.sanitized")
    monkeypatch.setattr(sanitized, "FLAGS", (*sanitized.FLAGS, "-O0"))  # sooner compiled
    monkeypatch.setattr(sanitized, "COPIED", ("licodec",))
    try:
        environment = sanitized.copy_sanitized(tmp_path)
    except RuntimeError as error:
        pytest.skip(f"no C compiler with sanitizers: {error}")
    codes, reports = {}, {}
    for name, words in CASES.items():
        (tmp_path / f"test_{name}.py").write_text(TEST.replace("(words)", f"(words={words})"))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"test_{name}.py"]
        codes[name] = subprocess.run(command, cwd=tmp_path, env=environment).returncode
        reports[name] = [path.read_text() for path in tmp_path.glob(f"{sanitized.REPORT}.*")]
    assert codes == {"right": 0, "wrong": 1}
    assert not reports["right"]
    assert ["heap-buffer-overflow" in report for report in reports["wrong"]] == [True]
