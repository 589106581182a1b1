"""Checkpoints: files that are none, state dicts that do not fit, and every published layout."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch

from licodec.errors import BadInputError, UsageError
from licodec.networks.adapter_sets import PRESETS, AdapterSet, attach
from licodec.networks.cheng_attn import ChengConfig, ChengNetwork
from licodec.networks.lite import LiteNetwork
from licodec.packing import from_checkpoint
from tests.networks.vectors import vectors
from tests.tiny import CONFIG

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def network() -> ChengNetwork:
    torch.manual_seed(3)
    return ChengNetwork(config=ChengConfig(12)).eval()


@pytest.fixture
def state(network: ChengNetwork) -> State:
    return dict(network.state_dict())


def assert_same(loaded: torch.nn.Module, network: torch.nn.Module) -> None:
    expected = network.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in loaded.state_dict().items())


def test_a_file_gives_the_network_back(network: ChengNetwork, state: State, tmp_path: Path) -> None:
    path = tmp_path / "cheng.pth.tar"
    torch.save({"epoch": 3, "state_dict": state, "loss": torch.tensor(1.0)}, path)
    loaded = from_checkpoint(path)
    assert_same(loaded, network)
    assert loaded.backbone == "cheng-attn"
    assert not loaded.training


def test_a_file_of_the_older_format_loads_too(
    network: ChengNetwork, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "cheng.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert_same(from_checkpoint(str(path), "cheng-attn"), network)


def test_the_state_dict_that_was_given_is_not_shared(state: State) -> None:
    loaded = from_checkpoint(state)
    with torch.no_grad():
        loaded.g_a[7].weight.zero_()
    assert state["g_a.7.weight"].abs().sum() > 0


@pytest.mark.parametrize("style", ["matrices.{}", "_matrices.{}", "_matrix{}"])
def test_generations_of_prior_names(network: ChengNetwork, state: State, style: str) -> None:
    prefix = "entropy_bottleneck."
    for i in range(5):
        state[prefix + style.format(i)] = state.pop(f"{prefix}_matrix{i}")
        kinds = ("bias", "factor") if i < 4 else ("bias",)
        for kind in kinds:
            plural = style.replace("matrices", f"{kind}es" if kind == "bias" else f"{kind}s")
            name = plural.replace("matrix", kind).format(i)
            state[prefix + name] = state.pop(f"{prefix}_{kind}{i}")
    assert_same(from_checkpoint({f"module.{key}": value for key, value in state.items()}), network)


@pytest.mark.parametrize("name", ["icm", "stf", "stf-beta", "tcm", "cheng"])
def test_buffers_of_published_checkpoints_are_passed_over(name: str) -> None:
    from licodec.packing.layouts import normalized

    published = vectors(name)
    assert not normalized(published["other_entries"])
    assert normalized(published["parameters"]).keys() == published["parameters"].keys()


def test_adapters_of_other_ranks_and_places_are_read_off_the_keys(network: ChengNetwork) -> None:
    torch.manual_seed(4)
    other = ChengNetwork(config=ChengConfig(12))
    attach(other, AdapterSet("alpha", 3, 1.0, ("h_a.*", "h_s.2", "g_s.*.conv1")))
    attach(other, AdapterSet("beta", 2, 1.0, ("h_a.[02]", "h_s.2")))
    loaded = from_checkpoint(other.state_dict())
    assert_same(loaded, other)
    assert loaded.rate_modes == ("alpha", "beta")


def test_loading_leaves_the_random_state_alone(state: State) -> None:
    before = torch.get_rng_state()
    from_checkpoint(state)
    assert torch.equal(torch.get_rng_state(), before)


# State dicts that do not fit ----------------------------------------------------------


def test_what_is_missing_unknown_and_misshaped_is_said(state: State) -> None:
    del state["g_s.9.0.bias"]
    state["g_s.9.0.offset"] = torch.zeros(1)
    state["h_a.0.bias"] = torch.zeros(13)
    with pytest.raises(BadInputError) as caught:
        from_checkpoint(state)
    message = str(caught.value)
    assert "1 missing (g_s.9.0.bias)" in message
    assert "1 unknown (g_s.9.0.offset)" in message
    assert "1 of the wrong shape (h_a.0.bias (13,) instead of (12,))" in message
    assert "\n" not in message


def test_half_an_adapter_is_missing_keys(network: ChengNetwork) -> None:
    other = ChengNetwork(config=ChengConfig(12))
    attach(other, PRESETS["cheng_8_1_all"])
    state = dict(other.state_dict())
    del state["g_a.1.conv1.adapter.conv2.bias"]
    with pytest.raises(BadInputError, match=r"1 missing \(g_a.1.conv1.adapter.conv2.bias\)"):
        from_checkpoint(state)


def test_a_state_dict_of_another_backbone(state: State) -> None:
    with pytest.raises(BadInputError, match="a checkpoint of cheng-attn, not of tcm"):
        from_checkpoint(state, "tcm")
    tiny = LiteNetwork(CONFIG)
    with pytest.raises(BadInputError, match="of the backbones that are read here: stf, tcm, icm"):
        from_checkpoint(tiny.state_dict())
    with pytest.raises(BadInputError, match="a checkpoint of lite, not of stf"):
        from_checkpoint(tiny.state_dict(), "stf")
    unknown = {"other.weight": torch.zeros(3)}
    with pytest.raises(BadInputError, match=r"not a checkpoint of stf: of its keys, \d+ missing"):
        from_checkpoint(unknown, "stf")
    with pytest.raises(BadInputError, match=r"not a checkpoint of tcm: g_a\S+ is missing"):
        from_checkpoint(unknown, "tcm")


def test_an_unknown_backbone_is_named(state: State) -> None:
    with pytest.raises(UsageError, match="'elic' is not known: give one of stf, tcm, icm"):
        from_checkpoint(state, "elic")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.full((12,), float("nan")), "h_a.0.bias holds values that are not finite"),
        (torch.zeros(12, dtype=torch.int64), "h_a.0.bias holds no floating-point numbers"),
        (torch.zeros(1).expand(10**12), "of the wrong shape"),
        ("zero", "'h_a.0.bias' is no tensor"),
    ],
)
def test_values_that_are_no_weights(state: State, value: object, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        from_checkpoint({**state, "h_a.0.bias": value})


def test_the_name_that_compressai_gives_it_will_do(state: State) -> None:
    assert from_checkpoint(state, "cheng2020-attn").backbone == "cheng-attn"


def test_a_size_that_no_network_has(state: State) -> None:
    state["g_a.0.gdn.beta"] = torch.zeros(1).expand(10**12)
    with pytest.raises(BadInputError, match="which is none of this backbone's"):
        from_checkpoint(state)


# Files that are none ------------------------------------------------------------------


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code ran')",)


def legacy(content: object) -> bytes:
    return pickle.dumps(content, protocol=2)


FILES = {
    "empty": (b"", "the file is empty"),
    "page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page, not a checkpoint"),
    "text": (b"icm_78.pth.tar: see the model zoo\n", "a text file, not a checkpoint"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(64), "not a checkpoint"),
    "plain": (legacy({"state_dict": {"a": 1}}), "damaged|no tensor"),
    "cut pickle": (legacy({"state_dict": list(range(1000))})[:80], "truncated or damaged"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_no_checkpoints(kind: str, tmp_path: Path) -> None:
    content, message = FILES[kind]
    path = tmp_path / "icm_78.pth.tar"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=message) as caught:
        from_checkpoint(path)
    assert str(caught.value).startswith("icm_78.pth.tar: ")
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such file"):
        from_checkpoint(tmp_path / "icm.pth")


def test_truncated_files(state: State, tmp_path: Path) -> None:
    path = tmp_path / "cheng.pth"
    for zipped in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        whole = path.read_bytes()
        for length in (100, len(whole) // 2, len(whole) - 20):
            path.write_bytes(whole[:length])
            with pytest.raises(BadInputError, match="truncated"):
                from_checkpoint(path)


def test_a_file_of_safetensors(network: ChengNetwork, state: State, tmp_path: Path) -> None:
    path = tmp_path / "cheng.bin"
    safetensors.torch.save_file(state, path)
    assert_same(from_checkpoint(path), network)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadInputError, match="truncated or damaged"):
        from_checkpoint(path)


def test_names_do_not_say_what_files_are(state: State, tmp_path: Path) -> None:
    path = tmp_path / "cheng.safetensors"
    torch.save(state, path)
    assert from_checkpoint(path).backbone == "cheng-attn"


def test_a_pack_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "cheng.pth"
    metadata = {"licodec": "{}"}
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, metadata=metadata)
    with pytest.raises(BadInputError, match="a weights pack, which is imported already"):
        from_checkpoint(path)


def test_a_zip_archive_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "weights.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("icm_78.pth.tar", b"inside")
    with pytest.raises(BadInputError, match="zip archive without tensors"):
        from_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "icm_78.pth.tar"
    content = {"state_dict": {"a": torch.zeros(1)}, "extra": Malicious()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(BadInputError, match="refused: it names exec, which could run code"):
        from_checkpoint(path)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, licodec.packing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
