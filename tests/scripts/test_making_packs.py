"""Packs of training states, and adapter sets put into packs."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from licodec.errors import UsageError
from licodec.images import Picture, encode_picture
from licodec.packing.lite import LiteForm
from licodec.packs import read_pack, write_pack
from tests import tiny
from tests.scripts.conftest import script, textured


def test_adapters_are_added_to_packs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make = script("make")
    pack, adapters = script("making.pack"), script("making.adapters")
    network = tiny.adapted_network("lite_8_1_transforms")
    for module in (pack, adapters):
        monkeypatch.setattr(module, "load_network", lambda path: copy.deepcopy(network))
    monkeypatch.setattr(pack, "training_of", lambda path: {})
    (tmp_path / "a.png").write_bytes(encode_picture(Picture(textured(64, 64)), "PNG"))
    made, grown = tmp_path / "made.safetensors", tmp_path / "grown.safetensors"
    calibrate = ["--calibrate", str(tmp_path / "a.png")]
    make.main(["pack", "state.pt", *calibrate, "-o", str(made)])
    command = [*calibrate, "--adapters", "mse=a.pt", "-o"]
    make.main(["adapters", str(made), *command, str(grown)])
    anchor, adapted = read_pack(made), read_pack(grown)
    assert adapted.weights_id == anchor.weights_id
    assert list(adapted.adapter_ids) == ["mse"] and not anchor.adapters
    assert adapted.adapter_ids["mse"].hex() in capsys.readouterr().out
    other = tmp_path / "other.safetensors"
    write_pack(replace(anchor, plan_name="other"), other)
    folder = tmp_path / "both"
    make.main(["adapters", str(made), str(other), *command, str(folder)])
    assert read_pack(folder / "made.safetensors").adapter_ids == adapted.adapter_ids
    assert read_pack(folder / "other.safetensors").plan_name == "other"
    with pytest.raises(SystemExit, match="have the same name"):
        make.main(["adapters", str(made), str(made), *command, str(folder)])
    for entries in (["mse"], ["Mse=a.pt"], ["mse=a.pt", "mse=b.pt"]):
        with pytest.raises(UsageError, match="give NAME=FILE"):
            adapters.adapter_states(entries)


def test_packs_are_made_in_a_searched_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, making = script("make"), script("making.pack")
    network = tiny.network()
    monkeypatch.setattr(making, "load_anchor", lambda path: network)
    monkeypatch.setattr(making, "load_network", lambda path: copy.deepcopy(network))
    monkeypatch.setattr(making, "training_of", lambda path: {})
    (tmp_path / "a.png").write_bytes(encode_picture(Picture(textured(64, 64)), "PNG"))
    parts = LiteForm(network).parts()
    plan = {f"{program}.{name}": 2 for program in parts for name in layers_of(parts[program])}
    figures = {"plan": plan, "crops": [1, 64], "seed": 1, "measured_loss": 0.5, "rule": "greedy"}
    searched, made = tmp_path / "searched.safetensors", tmp_path / "made.safetensors"
    write_pack(replace(tiny.pack(), card={"quantization": figures}), searched)
    command = ["pack", "finished.pt", "--calibrate", str(tmp_path / "a.png"), "-o", str(made)]
    with pytest.raises(SystemExit, match="go together"):
        make.main([*command, "--widths-of", str(searched)])
    make.main([*command, "--widths-of", str(searched), "--searched-for", "run.pt"])
    pack = read_pack(made)
    weights = [pack.widths[name] for name in pack.widths if name.startswith("synthesis.")]
    assert weights.count(2) == len(layers_of(network.synthesis))
    found = pack.card["quantization"]
    assert found["rule"] == "greedy" and found["finished"] and found["plan"] == plan
    assert found["measured_loss"] != 0.5


def layers_of(module: torch.nn.Module) -> list[str]:
    return [name for name, m in module.named_modules() if isinstance(m, torch.nn.Conv2d)]
