"""Packs in the place of checkpoints of `lite`."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from licodec.errors import BadInputError, UsageError
from licodec.packing.checkpoints import adapter_sets, load_anchor, load_network
from licodec.packing.read_back import read_back
from licodec.packing.searchable import load_searchable
from licodec.packs import write_pack
from tests import tiny


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_pack(tiny.adapted_pack(), tmp_path / "p.safetensors")
    return tmp_path / "p.safetensors"


def test_all_that_reads_checkpoints_reads_packs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    training_networks = importlib.import_module("training.networks")
    expected = read_back(tiny.adapted_pack()).network.state_dict()
    networks = (
        load_anchor(path),
        load_network(path),
        load_searchable(path).network,
        training_networks.load_backbone(path, None),
    )
    for network in networks:
        found = network.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert adapter_sets(path) == ()


def test_what_is_asked_beside_a_pack_of_lite_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="leave --adapters and --objective out"):
        load_searchable(path, adapters=[path])
    with pytest.raises(BadInputError, match=r"p\.safetensors: a pack of lite; packs are read back"):
        load_searchable(path, backbone="stf")


def test_what_a_file_is_says_its_content(path: Path) -> None:
    renamed = path.rename(path.with_suffix(".pth"))
    assert load_searchable(renamed).network is not None
    renamed.write_bytes(renamed.read_bytes()[:-1])
    with pytest.raises(BadInputError, match="truncated or damaged"):
        load_searchable(renamed)
    path.write_bytes(b"")
    with pytest.raises(BadInputError, match="the file is empty"):
        load_searchable(path)
