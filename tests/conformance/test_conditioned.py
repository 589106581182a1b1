"""Conditions, steps by phases and all that goes with them, in the second decoder.

The vectors of conditions.json, walks.json and of the packs with conditions; the operation `phase`
is in test_vectors.py.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from licodec.images import read_picture
from tests.conformance import second_decoder
from tests.conformance.conditioned import PHASED, pack_case, pack_file, patched
from tests.conformance.second_decoder import decoder
from tests.conformance.test_specification import MINUS, section
from tests.conformance.test_vectors import Json, array, cases

ONE = 65535  # what beta counts in


@cache
def pack(name: str = PHASED) -> Any:
    return decoder.read_pack(pack_file(pack_case(name)))


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(decoder.Fault) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


# Conditions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("conditions"))
def test_what_conditions_are_worth(case: Json) -> None:
    first = array(case["conditions"])
    second = array(case["set_conditions"]) if "set_conditions" in case else first
    for beta in {case.get("beta", 0), case.get("beta", ONE)}:
        found = decoder.interpolate((first, second), case["knots"], case["d"], beta)
        assert found.tolist() == case["worth"]


def test_example_of_conditions() -> None:
    text = section("Conditions").replace(MINUS, "-")
    found = re.findall(r"v = rne\(.*?\) = (?:rne\([\d.…]+\) = )?(\d+)", text)
    examples = [case["worth"] for case in (p.values[0] for p in cases("conditions"))
                if case["name"].startswith("example")]  # fmt: skip
    assert [[int(v)] for v in found] == examples


@pytest.mark.parametrize("case", cases("conditions", "multipliers"))
def test_multipliers_with_conditions(case: Json) -> None:
    found = decoder.conditioned(array(case["stored"]), np.array(case["worth"], np.int64))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array(case["in_force"]))
    value = decoder.Value(len(found), -(2**30), 2**30, is_sum=True)
    span = {"low": 1 - 2**24, "high": 2**24 - 1}
    _, run = decoder.requantize({"multiplier": found}, span, value)
    requantized = run(np.array(case["sums"], np.int64)[:, None, None])
    assert requantized.ravel().tolist() == case["requantized"]


def test_biases_with_conditions_are_int32() -> None:
    found = decoder.conditioned(None, np.array([-(2**30), 2**30]))
    assert (found.dtype, found.tolist()) == (np.int32, [-(2**30), 2**30])


@pytest.mark.parametrize("case", cases("conditions", "steps"))
def test_steps_by_channel(case: Json) -> None:
    rows, unit = array(case["conditions"]), 1 << case["latent_fraction_bits"]
    by_channel = decoder.interpolate((rows, rows), case["knots"], case["d"], 0)
    steps = np.concatenate([by_channel[own] for own, _, _ in decoder.coded_places(case["step"])])
    assert steps.tolist() == case["steps"]
    steps = steps[:, None, None]
    indexes = decoder.scale_indexes(array(case["scale"]), steps, unit, np.array(case["thresholds"]))
    np.testing.assert_array_equal(indexes, array(case["scale_indexes"]))
    decoded = np.clip(array(case["symbols"]) * steps + array(case["mean"]), -(2**15), 2**15 - 1)
    np.testing.assert_array_equal(decoded, array(case["decoded"]))


class Given:
    """In the place of a SymbolReader: gives symbols, and keeps the tables that it was asked for."""

    def __init__(self, symbols: list[int]) -> None:
        self.symbols, self.tables = np.array(symbols), []

    def read(self, tables: np.ndarray) -> np.ndarray:
        self.tables += tables.tolist()
        given, self.symbols = np.split(self.symbols, [len(tables)])
        return given


@pytest.mark.parametrize("case", cases("conditions", "bands"))
def test_hyper_latents_by_band(case: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the hyper-synthesis, which ends the decoding here."""
    rows, given = array(case["conditions"]), Given(case["symbols"])
    monkeypatch.setattr(decoder, "SymbolReader", lambda *_: given)
    schedule = pack().schedule | {"hyper_bands": case["hyper_bands"]}
    own = pack()._replace(
        schedule=schedule,
        medians=np.array(case["medians"]),
        hyper_steps=decoder.interpolate((rows, rows), case["knots"], case["d"], 0),
    )
    own.programs["up"].values["hyper_latents"] = decoder.Value(3, -(2**15), 2**15)
    seen: list[np.ndarray] = []

    def up(hyper_latents: np.ndarray) -> None:
        seen.append(hyper_latents)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        decoder.decode_latents(own, {"up": up}, [], 1, 1, case["d"])
    assert given.tables == case["tables"]
    assert seen[0].ravel().tolist() == case["hyper_latents"]


def test_the_largest_bias_is_part_of_the_proof() -> None:
    """Sums that reach 2^53 - 2^15 without their bias."""
    code = {
        "inputs": [{"name": "x", "channels": 2**13, "low": -(2**15), "high": 0}],
        "operations": [
            {"kind": "conv2d", "inputs": ["x"], "output": "s", "weight": "w", "bias": "b",
             "stride": 32},
            {"kind": "requantize", "inputs": ["s"], "output": "y", "multiplier": "m", "low": 0,
             "high": 1},
        ],
        "outputs": ["y"],
    }  # fmt: skip
    weight = np.full((1, 2**13, 32, 32), -(2**15), np.int16)
    weight[0, 0, 0, 0] += 1
    tensors = {"w": weight, "m": np.ones(1, np.float32)}
    zero = np.zeros((2, 1), np.int32)
    for first, second, legal in ((0, 1 - 2**15, True), (2**15, 0, False), (0, -(2**15), False)):
        rows = np.array([[first], [second]], np.int32)
        for ends in ((rows, rows), (zero, rows)):
            if legal:
                decoder.Program(code, tensors, {"b": ends})
            else:
                assert str(2**53) in refusal(decoder.Program, code, tensors, {"b": ends})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("stored", [np.inf, np.nan, 1e38, -1, 1.0])
def test_products_that_are_no_multipliers(stored: float) -> None:
    code = {
        "inputs": [{"name": "x", "channels": 1, "low": 0, "high": 9}],
        "operations": [{"kind": "requantize", "inputs": ["x"], "output": "y", "multiplier": "m",
                        "low": 0, "high": 1}],
        "outputs": ["y"],
    }  # fmt: skip
    tensors, rows = {"m": np.array([stored], np.float32)}, np.array([[0], [2**24 - 1]], np.int32)
    if stored == 1:
        decoder.Program(code, tensors, {"m": (rows, rows)})
    else:
        refusal(decoder.Program, code, tensors, {"m": (rows, rows)})


# A whole pack ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("packs", "conditioned"))
def test_ids_of_packs_with_conditions(case: Json) -> None:
    found = pack(case["name"])
    assert found.weights_id.hex() == case["weights_id"]
    assert [one.hex() for one in found.adapters] == [own["id"] for own in case["adapters"]]


@pytest.mark.parametrize("name", ["conditions.up.b", "conditions.sparse.n", "conditions.steps"])
def test_conditions_are_part_of_the_weights_id(name: str) -> None:
    case = pack_case() | {"adapters": []}
    tensor = case["tensors"][name]
    first, *others = tensor["values"]
    case["tensors"] = case["tensors"] | {name: tensor | {"values": [first + 1, *others]}}
    assert "the pack's id is not its own" in refusal(decoder.read_pack, pack_file(case))


@pytest.mark.parametrize("name", ["conditions.branch.b", "looks branch.b", "looks steps"])
def test_conditions_are_part_of_the_adapter_ids(name: str) -> None:
    """And those that stand-ins alone name are not of the weights id."""
    case = pack_case()
    tensor = case["tensors"][name]
    case["tensors"] = case["tensors"] | {
        name: tensor | {"values": [v + 1 for v in tensor["values"]]}
    }
    assert "an adapter id" in refusal(decoder.read_pack, pack_file(case))
    without = decoder.read_pack(pack_file(case | {"adapters": []}))
    assert without.weights_id == pack().weights_id


@pytest.mark.parametrize(
    "name", ["conditions.analysis.b", "looks analysis.b", "conditions.of nothing"]
)
def test_conditions_that_decoders_ignore(name: str) -> None:
    case = pack_case()
    tensor = case["tensors"][name]
    changed = tensor | {"values": [v + 1 for v in tensor["values"]]}
    found = decoder.read_pack(pack_file(case | {"tensors": case["tensors"] | {name: changed}}))
    assert found.weights_id == pack().weights_id
    assert list(found.adapters) == list(pack().adapters)


@pytest.mark.parametrize("case", cases("refused", "packs"))
def test_refused_packs(case: Json) -> None:
    """For the fault that they have, and not for an id that is another then."""
    assert "its own" not in refusal(decoder.read_pack, pack_file(patched(case)))


@pytest.mark.parametrize("name", [PHASED, "a small pack"])
def test_packs_that_are_not_changed_are_read(name: str) -> None:
    """What the refused packs are changes of."""
    case = {"pack": name, "patch": {"adapters": []}, "adapter_ids": []}
    decoder.read_pack(pack_file(patched(case | {"weights_id": pack_case(name)["weights_id"]})))


@pytest.mark.parametrize(("count", "legal"), [(64, True), (65, False)])
def test_numbers_of_knots_and_bands(count: int, legal: bool) -> None:
    case = pack_case()
    for key, numbers in (
        ("knots", [16, 64, *range(65, 63 + count - 1), 768]),
        ("hyper_bands", list(range(17, 16 + count))),
    ):
        schedule = case["schedule"] | {key: numbers}
        assert len(numbers) == count - (key == "hyper_bands")
        if legal:
            decoder.check_schedule(schedule)
        else:
            refusal(decoder.check_schedule, schedule)


# Whole files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("walks"))
def test_files_of_packs_with_conditions(case: Json, tmp_path: Path) -> None:
    """By way of the command: the file's checksum is that of the vector's pixels."""
    weights = tmp_path / "conditioned.safetensors"
    weights.write_bytes(pack_file(pack_case(case["pack"])))
    file, target = tmp_path / "picture.lic", tmp_path / "picture.pnm"
    file.write_bytes(bytes.fromhex(case["file"]))
    done = second_decoder.run(file, "--weights", weights, "-o", target)
    assert (done.returncode, done.stderr) == (0, "")
    pixels = array(case["pixels"]).astype(np.uint8)
    assert done.stdout == hashlib.sha256(pixels.tobytes()).hexdigest() + "\n"
    np.testing.assert_array_equal(read_picture(target, target.name).pixels, pixels)


@pytest.mark.parametrize("case", cases("walks"))
def test_walk_step_by_step(case: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which symbol goes where, what later steps see, and the residual at the end."""
    file, given = decoder.read_file(bytes.fromhex(case["file"])), Given(case["symbols"])
    header = file.header
    monkeypatch.setattr(decoder, "SymbolReader", lambda *_: given)
    own = decoder.with_conditions(decoder.with_adapters(pack(case["pack"]), header), header)
    seen: dict[str, tuple[dict[str, np.ndarray], list[np.ndarray]]] = {}

    def kept(name: str, program: Any, **inputs: np.ndarray) -> list[np.ndarray]:
        gains = {gain: np.array(header.gains[gain]) for gain in program.gains}
        copies = {port: value.copy() for port, value in inputs.items()}
        seen[name] = copies, program(**inputs, **gains)
        return seen[name][1]

    runs = {name: partial(kept, name, program) for name, program in own.programs.items()}
    _, rows, columns = case["hyper_latents"]["shape"]
    latents = decoder.decode_latents(own, runs, [], rows, columns, header.d)
    assert given.tables == case["tables"]
    assert len(given.symbols) == 0
    np.testing.assert_array_equal(seen["up"][0]["hyper_latents"], array(case["hyper_latents"]))
    for step, expected in zip(own.schedule["steps"], case["steps"], strict=True):
        inputs, (mean, scale, *_) = seen[step["parameters"]]
        np.testing.assert_array_equal(mean, array(expected["mean"]))
        np.testing.assert_array_equal(scale, array(expected["scale"]))
        before = array(expected["latents"])
        if "latents" in inputs:
            np.testing.assert_array_equal(inputs["latents"], before)
        if "previous" in inputs:
            np.testing.assert_array_equal(inputs["previous"], before[: step["start"]])
        if "residual" in step:
            inputs, (correction,) = seen[step["residual"]]
            np.testing.assert_array_equal(inputs["decoded"], array(expected["decoded"]))
            np.testing.assert_array_equal(correction, array(expected["correction"]))
    if "residual" in own.schedule:
        inputs, (correction,) = seen[own.schedule["residual"]]
        np.testing.assert_array_equal(inputs["latents"], array(case["latents"]))
        np.testing.assert_array_equal(correction, array(case["correction"]))
    np.testing.assert_array_equal(latents, array(case.get("corrected", case["latents"])))
    (samples,) = runs["paint"](latents=latents)
    np.testing.assert_array_equal(samples, array(case["samples"]))


@pytest.mark.parametrize("case", cases("walks", "refused"))
def test_refused_files_of_a_pack_with_conditions(case: Json) -> None:
    file = decoder.read_file(bytes.fromhex(case["file"]))
    fault = refusal(decoder.decode, file, pack(case["pack"]))
    kind = "weights missing" if "lacks" in case["name"] else "corrupt file"
    assert fault.startswith(kind)
