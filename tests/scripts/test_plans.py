"""scripts/evaluate.py --search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from licodec.fmpq.curves import Layer
from licodec.fmpq.state import Sensitivities, write_state
from licodec.packs import write_pack
from tests import tiny
from tests.scripts.conftest import script

SEARCH = ("--search", "s.json")
LAYERS = (Layer("analysis.a", 1000, (2, 3, 8)), Layer("synthesis.b", 3000, (2, 3, 8)))
STATE = Sensitivities(
    "00", 2.0, LAYERS, {("analysis.a", 2): 0.5, ("analysis.a", 3): 0.1, ("synthesis.b", 8): -1e-5}
)
FIGURES = {
    "rule": "greedy",
    "plan": {"analysis.a": 3, "synthesis.b": 8},
    "measured_loss": 0.013,
    "predicted_loss": 0.01,
    "evaluations": 4,
    "naive_evaluations": 1400,
}


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    write_state(STATE, Path("s.json"))
    write_pack(replace(tiny.pack(), card={"quantization": FIGURES}), Path("small.safetensors"))
    write_pack(tiny.pack(), Path("plain.safetensors"))
    by_hand = {key: FIGURES[key] for key in ("plan", "measured_loss")} | {"rule": "hand-made"}
    write_pack(replace(tiny.pack(), card={"quantization": by_hand}), Path("by-hand.safetensors"))
    other = {**FIGURES, "plan": {"analysis.z": 4}}
    write_pack(replace(tiny.pack(), card={"quantization": other}), Path("other.safetensors"))
    return script("evaluate")


def test_the_table(report: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    report.main([*SEARCH, "--packs", "small.safetensors", "--plot", "plan.png"])
    headings, _, first, second, *_, last = capsys.readouterr().out.splitlines()
    titles = ["layer", "weights", "zeta(2)", "zeta(3)", "zeta(8)", "small"]
    assert headings.replace("|", "").split() == titles
    cells = ["analysis.a", "1,000", "0.50000", "0.10000", "-", "3"]
    assert first.replace("|", "").split() == cells
    assert second.replace("|", "").split()[-2:] == ["-0.00001", "8"]
    assert "3,375 bytes of weights (21.09 % of float32, 6.75 bits a weight)" in last
    assert "loss +1.30 % (predicted +1.00 %), 4 evaluations (naive search: 1,400)" in last
    assert Path("plan.png").stat().st_size > 1000


def test_a_plan_made_by_hand(report: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    report.main([*SEARCH, "--packs", "by-hand.safetensors"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("by-hand: hand-made, 3,375 bytes of weights (21.09 % of float32")
    assert last.endswith("loss +1.30 %")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--search", "none.json"], "none.json: the search's state cannot be read"),
        (
            [*SEARCH, "--packs", "plain.safetensors"],
            "plain.safetensors: no pack of `licodec quantize`",
        ),
        ([*SEARCH, "--packs", "other.safetensors"], "other.safetensors: no pack of this search"),
        ([*SEARCH, "--packs", "s.json"], "not a readable weights pack"),
    ],
)
def test_errors(report: ModuleType, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        report.main(arguments)
