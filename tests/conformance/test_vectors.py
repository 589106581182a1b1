"""The vectors of format/vectors/ through licodec's backends and through the second decoder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import astuple, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from licodec.container import Stream
from licodec.entropy import adaptive
from licodec.entropy.adaptive import (
    adaptive_steps,
    scale_indexes,
    step_range,
)
from licodec.entropy.coder_tables import CoderTables
from licodec.entropy.model import EntropyModel
from licodec.entropy.rans import StreamReader, StreamWriter, stream_lengths
from licodec.entropy.slices import Walk
from licodec.entropy.tables import FrequencyTables
from licodec.entropy.wavefronts import NeighbourPlanes, wavefronts
from licodec.errors import CorruptFileError, LicodecError
from licodec.exact.bounds import analyse, check
from licodec.exact.interpreter import choose
from licodec.exact.operations import KINDS
from licodec.exact.program import program_from_json
from licodec.exact.schedule import SliceStep, schedule_from_json
from licodec.packs import Pack, PackAdapters, read_pack, write_pack
from licodec.packs.bits import pack_bits, unpack_bits
from licodec.packs.data import STEP_SHARES
from tests.conformance.second_decoder import FORMAT, decoder

Json = dict[str, Any]
VECTORS = FORMAT / "vectors"
PROGRAM_FILES = (*KINDS, "programs")


@cache
def load(name: str) -> Json:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="ascii"))


def cases(name: str, key: str = "cases") -> list[Any]:
    return [pytest.param(case, id=f"{name}-{case['name']}") for case in load(name)[key]]


def array(entry: Json) -> np.ndarray:
    return np.array(entry["values"], entry.get("type", "int64")).reshape(entry["shape"])


def arrays(entries: Mapping[str, Json]) -> dict[str, np.ndarray]:
    return {name: array(entry) for name, entry in entries.items()}


def test_every_operation_has_vectors() -> None:
    assert set(KINDS) == set(decoder.KINDS)
    for kind in KINDS:
        programs = [case["program"] for case in load(kind)["cases"]]
        assert all(any(o["kind"] == kind for o in p["operations"]) for p in programs)


def test_vectors_are_those_of_the_script() -> None:
    subprocess.run([sys.executable, str(VECTORS / "write.py"), "--check"], check=True, timeout=60)


# Programs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["reference", "float32", "int8"])
@pytest.mark.parametrize("case", [case for name in PROGRAM_FILES for case in cases(name)])
def test_program(case: Json, backend: str) -> None:
    program, tensors = program_from_json("vector", case["program"]), arrays(case["tensors"])
    try:
        interpreter = choose(backend, {"vector": check(program, tensors)})
    except LicodecError as error:
        if backend != "int8":
            raise
        pytest.skip(str(error))
    found = interpreter.prepare("vector")(arrays(case["inputs"]))
    expected = arrays(case["outputs"])
    assert set(found) == set(expected)
    for name, plane in expected.items():
        np.testing.assert_array_equal(found[name], plane)


@pytest.mark.parametrize(
    "case", [case for name in (*decoder.KINDS, "programs") for case in cases(name)]
)
def test_program_in_the_second_decoder(case: Json) -> None:
    program = decoder.Program(case["program"], arrays(case["tensors"]))
    found = program(**arrays(case["inputs"]))
    expected = arrays(case["outputs"])
    for name, plane in zip(case["program"]["outputs"], found, strict=True):
        np.testing.assert_array_equal(plane, expected[name])


@pytest.mark.parametrize("case", [case for name in PROGRAM_FILES for case in cases(name)])
def test_values_lie_in_the_proved_ranges(case: Json) -> None:
    program, tensors = program_from_json("vector", case["program"]), arrays(case["tensors"])
    values = analyse(program, tensors)
    others = decoder.Program(case["program"], tensors).values
    assert set(values) == set(others)
    for name, value in values.items():
        assert astuple(value) == tuple(others[name])
    for name, plane in arrays(case["outputs"]).items():
        assert values[name].low <= plane.min() and plane.max() <= values[name].high


@pytest.mark.parametrize("case", cases("refused"))
def test_refused_program(case: Json) -> None:
    tensors, named = arrays(case["tensors"]), re.escape(case.get("message_names", "")) or None
    with pytest.raises(CorruptFileError, match=named) as error:
        analyse(program_from_json("vector", case["program"]), tensors)
    assert "\n" not in str(error.value)
    with pytest.raises(decoder.Fault, match=named) as other:
        decoder.Program(case["program"], tensors)
    assert "\n" not in str(other.value)


def test_sums_that_are_not_proved_exact_are_refused() -> None:
    """The largest legal kernel: 2^23 products of 2^31 would be 2^54."""
    layer = {"kind": "conv2d", "inputs": ["x"], "output": "s", "weight": "w", "bias": "b"}
    shown = {"kind": "requantize", "inputs": ["s"], "output": "y", "multiplier": "m"}
    code = {
        "inputs": [{"name": "x", "channels": 2**13, "low": 0, "high": 2**16 - 1}],
        "operations": [layer | {"stride": 32}, shown | {"low": 0, "high": 1}],
        "outputs": ["y"],
    }
    weight = np.full((1, 2**13, 32, 32), 2**15 - 1, np.int16)
    tensors = {"w": weight, "b": np.zeros(1, np.int32), "m": np.ones(1, np.float32)}
    with pytest.raises(CorruptFileError, match=str(2**53)):
        analyse(program_from_json("vector", code), tensors)
    with pytest.raises(decoder.Fault, match=str(2**53)):
        decoder.Program(code, tensors)


# Quantization steps ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("steps"))
@pytest.mark.parametrize("smallest_type", [False, True])
def test_steps(case: Json, smallest_type: bool) -> None:
    unit, scale = 1 << case["latent_fraction_bits"], array(case["scale"])
    if smallest_type:  # as programs give them out
        scale = scale.astype(np.int16 if np.abs(scale).max() < 2**15 else np.int32)
    lo_hi = step_range(case["d"], unit, case["step"], case["step_count"])
    assert lo_hi == (case["lo"], case["hi"])
    steps = adaptive_steps(scale, scale.min((1, 2)), scale.max((1, 2)), lo_hi)
    np.testing.assert_array_equal(np.broadcast_to(steps, scale.shape), array(case["steps"]))
    indexes = scale_indexes(scale, steps, unit, np.array(case["thresholds"]))
    np.testing.assert_array_equal(indexes, array(case["scale_indexes"]))


@pytest.mark.parametrize("case", cases("steps", "even"))
def test_even_steps(case: Json) -> None:
    unit = 1 << case["latent_fraction_bits"]
    for even_step in (adaptive.even_step, decoder.even_step):
        assert even_step(case["d"], unit, case["step_share"]) == case["delta"]


@pytest.mark.parametrize("case", cases("steps", "between"))
def test_step_shares_between_the_ends_of_beta(case: Json) -> None:
    for share_between in (adaptive.share_between, decoder.share_between):
        found = share_between(case["step_share"], case["beta_step_share"], case["beta"])
        assert found == case["share_in_force"]


@pytest.mark.parametrize("case", cases("steps"))
def test_decoded_latents(case: Json) -> None:
    """The walk of the schedule asks for the right tables and puts symbols back on the grid."""
    symbols, indexes, asked = array(case["symbols"]), array(case["scale_indexes"]), []

    def exchange(mean: Any, step: Any, tables: np.ndarray, where: Any) -> np.ndarray:
        asked.append(tables)
        return symbols

    step = SliceStep(0, len(symbols), "parameters")
    schedule: Any = SimpleNamespace(
        latent_fraction_bits=case["latent_fraction_bits"], steps=[step] * case["step_count"]
    )
    tables: Any = SimpleNamespace(
        thresholds=np.array(case["thresholds"]),
        hyper=SimpleNamespace(frequencies=range(7)),
    )
    decoded = np.empty(symbols.shape, np.int16)
    mean, scale = array(case["mean"]), array(case["scale"])
    walk = Walk(EntropyModel(schedule, {}, tables, case["d"]), exchange)
    walk.code_slice(step, case["step"], mean, scale, decoded)
    np.testing.assert_array_equal(np.concatenate(asked), indexes + 7)
    np.testing.assert_array_equal(decoded, array(case["decoded"]))


@pytest.mark.parametrize("case", cases("steps"))
def test_steps_in_the_second_decoder(case: Json) -> None:
    unit, scale = 1 << case["latent_fraction_bits"], array(case["scale"])
    lo_hi = decoder.step_range(case["d"], unit, case["step"], case["step_count"])
    assert lo_hi == (case["lo"], case["hi"])
    steps = decoder.quantization_steps(scale, *lo_hi)
    np.testing.assert_array_equal(steps, array(case["steps"]))
    indexes = decoder.scale_indexes(scale, steps, unit, np.array(case["thresholds"]))
    np.testing.assert_array_equal(indexes, array(case["scale_indexes"]))
    decoded = np.clip(array(case["symbols"]) * steps + array(case["mean"]), -(2**15), 2**15 - 1)
    np.testing.assert_array_equal(decoded, array(case["decoded"]))


# Streams -----------------------------------------------------------------------------------------


def coder_tables(case: Json) -> CoderTables:
    frequencies = tuple(np.array(t["frequencies"], np.int32) for t in case["tables"])
    offsets = np.array([t["offset"] for t in case["tables"]], np.int32)
    return CoderTables.join(FrequencyTables(frequencies, offsets))


def read_by_licodec(case: Json) -> list[int]:
    stream = Stream(bytes.fromhex(case["rans"]), bytes.fromhex(case["escapes"]))
    indexes = np.array(case["indexes"])
    return StreamReader(coder_tables(case), len(indexes), (stream,)).read(indexes).tolist()


def read_by_second_decoder(case: Json) -> list[int]:
    stream = (bytes.fromhex(case["rans"]), bytes.fromhex(case["escapes"]))
    frequencies = [np.array(t["frequencies"]) for t in case["tables"]]
    tables = decoder.Tables(frequencies, [t["offset"] for t in case["tables"]])
    indexes = np.array(case["indexes"])
    return decoder.SymbolReader([stream], [tables], [len(indexes)]).read(indexes).tolist()


READERS: list[Callable[[Json], list[int]]] = [read_by_licodec, read_by_second_decoder]


@pytest.mark.parametrize("case", cases("streams"))
@pytest.mark.parametrize("read", READERS)
def test_stream(case: Json, read: Callable[[Json], list[int]]) -> None:
    assert read(case) == case["values"]


@pytest.mark.parametrize("case", cases("streams"))
def test_written_stream(case: Json) -> None:
    writer = StreamWriter(coder_tables(case), len(case["values"]))
    writer.write(np.array(case["values"]), np.array(case["indexes"]))
    (stream,) = writer.finish()
    assert (stream.rans.hex(), stream.escapes.hex()) == (case["rans"], case["escapes"])


@pytest.mark.parametrize("case", cases("streams", "refused"))
@pytest.mark.parametrize("read", READERS)
def test_refused_stream(case: Json, read: Callable[[Json], list[int]]) -> None:
    with pytest.raises((CorruptFileError, decoder.Fault)):
        read(case)


@pytest.mark.parametrize("change", ["a word too few", "a word too many", "another word"])
def test_second_decoder_sees_where_a_stream_ends(change: str) -> None:
    case = load("streams")["cases"][2]
    words = case["rans"]
    damaged = {
        "a word too few": words[:-8],
        "a word too many": words + "00000000",
        "another word": words[:-8] + "12345678",
    }[change]
    with pytest.raises(decoder.Fault):
        read_by_second_decoder(case | {"rans": damaged})


@pytest.mark.parametrize("case", cases("streams", "lengths"))
@pytest.mark.parametrize("lengths", [stream_lengths, decoder.stream_lengths])
def test_stream_lengths(case: Json, lengths: Callable[[int], list[int]]) -> None:
    assert lengths(case["symbols"]) == case["streams"]


# Wavefronts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [wavefronts, decoder.wavefronts])
@pytest.mark.parametrize("case", cases("wavefronts"))
def test_wavefronts(case: Json, order: Callable[..., Any]) -> None:
    fronts = order(case["rows"], case["columns"], case["reach"])
    found = [np.stack(places, 1).tolist() for places in fronts]
    assert found == case["wavefronts"]


@pytest.mark.parametrize("case", cases("wavefronts"))
def test_neighbours(case: Json) -> None:
    (row, column), reach = case["position"], case["reach"]
    found = [[row + down - reach, column + right - reach] for down, right in decoder.square(reach)]
    assert found == case["neighbours"]
    # Each latent is a number of its own, 0 outside.
    planes = NeighbourPlanes(1, case["rows"], case["columns"], reach)
    rows, columns = (place.ravel() for place in np.indices((case["rows"], case["columns"])))
    planes.put(rows, columns, (rows * 100 + columns + 1)[None, None])
    seen = planes.neighbours(np.array([row]), np.array([column])).ravel()
    inside = [0 <= r < case["rows"] and 0 <= c < case["columns"] for r, c in found]
    expected = [(r * 100 + c + 1) * i for (r, c), i in zip(found, inside, strict=True)]
    assert seen.tolist() == expected


# Packs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("packs", "packed"))
def test_packed_weights(case: Json) -> None:
    values, width, shape = np.array(case["values"], np.int8), case["width"], case["shape"]
    data = np.frombuffer(bytes.fromhex(case["bytes"]), np.uint8)
    np.testing.assert_array_equal(pack_bits(values, width), data)
    for unpacked in (
        unpack_bits(data, width, tuple(shape)),
        decoder.unpack_bits(data, width, shape),
    ):
        assert unpacked.dtype == np.int8
        np.testing.assert_array_equal(unpacked, values.reshape(shape))


@pytest.mark.parametrize("case", cases("packs"))
def test_weights_id(case: Json, tmp_path: Path) -> None:
    programs = {name: program_from_json(name, p) for name, p in case["programs"].items()}
    schedule, tensors = schedule_from_json(case["schedule"]), arrays(case["tensors"])
    pack = Pack(case["backbone"], "vector", schedule, programs, tensors, case["widths"])
    assert pack.weights_id.hex() == case["weights_id"]
    sets, ids = case["adapters"], [own["id"] for own in case["adapters"]]
    own = (
        PackAdapters(
            o["objective"], o["programs"], o["d"], *(tuple(o.get(k, ())) for k in STEP_SHARES)
        )
        for o in sets
    )
    adapted = replace(pack, adapters=tuple(own))
    assert adapted.weights_id == pack.weights_id
    assert [identifier.hex() for identifier in adapted.adapter_ids.values()] == ids
    other = decoder.assemble_pack(
        case["backbone"], case["schedule"], case["programs"], tensors, case["widths"]
    )
    assert other.weights_id.hex() == case["weights_id"]
    path = tmp_path / "vector.safetensors"
    write_pack(pack, path)
    assert read_pack(path).weights_id.hex() == case["weights_id"]
    write_pack(adapted, tmp_path / "adapted.safetensors")
    found = read_pack(tmp_path / "adapted.safetensors")
    assert [identifier.hex() for identifier in found.adapter_ids.values()] == ids
    found = decoder.read_pack((tmp_path / "adapted.safetensors").read_bytes())
    assert [identifier.hex() for identifier in found.adapters] == ids
    assert decoder.read_pack(path.read_bytes()).weights_id.hex() == case["weights_id"]
