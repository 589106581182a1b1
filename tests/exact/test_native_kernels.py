"""The native code against the reference: the same integers at every level of instructions that
this processor has, on any number of threads."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from licodec.errors import UsageError
from licodec.exact.backends import native, reference
from licodec.exact.bounds import CheckedProgram, analyse, check
from licodec.exact.native import (
    LEVEL_VARIABLE,
    layout,
    levels,
    library,
    packing,
    planner,
    proof,
    reason,
)
from licodec.exact.native.levels import Level
from licodec.exact.operations import KINDS
from licodec.exact.program import Program, Tensors
from licodec.exact.strips import strip_geometry
from licodec.exact.threads import default_threads
from licodec.packs import read_pack
from tests.exact.agreement import Prepare, assert_same
from tests.exact.programs import WIDE_RANGES, Builder, RandomBuilder, synthesis

if library() is None:
    pytest.skip(f"no native code: {reason()}", allow_module_level=True)

WEIGHTS = Path(__file__).parents[2] / "weights"
PACKS = sorted(path.relative_to(WEIGHTS) for path in WEIGHTS.rglob("*.safetensors"))


@pytest.fixture(params=levels.levels(), ids=lambda level: level.name)
def level(request: pytest.FixtureRequest) -> Level:
    return request.param


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Threads share even the least that there is to do."""
    monkeypatch.setattr(native, "_threads", request.param)
    monkeypatch.setattr(layout, "WORTH_THREADS", -1)
    return request.param


@pytest.fixture
def prepare(level: Level, threads: int) -> Prepare:
    return functools.partial(native.prepare, level=level)


@given(seed=st.integers(0, 2**32 - 1), wide=st.booleans())
@example(seed=7762752, wide=False)  # a clamp to bounds beyond its operand's type
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_random_programs(prepare, seed, wide):
    builder = RandomBuilder(seed, WIDE_RANGES) if wide else RandomBuilder(seed)
    program, tensors = builder.random_program()
    assert_same(prepare, program, tensors, builder.planes())


def planes_of(program: Program, tensors: Tensors) -> dict[str, np.ndarray]:
    """Inputs of a program: half as small as they mostly are, half up to their ends."""
    unit = strip_geometry(check(program, tensors)).unit
    rows, columns = (unit * -(-n // unit) for n in (2, 5))
    random = np.random.default_rng(1)
    inputs = {}
    for port in program.inputs:
        if port.channels is None:
            inputs[port.name] = random.integers(port.low, port.high + 1)
            continue
        plane = random.integers(port.low, port.high + 1, (port.channels, rows, columns), np.int32)
        plane[:, ::2] = np.clip(plane[:, ::2] // 64, port.low, port.high)
        inputs[port.name] = plane
    return inputs


@pytest.mark.parametrize("path", PACKS, ids=str)
def test_every_program_of_the_packs(path, monkeypatch):
    """Of the plans of `lite` those of adapter sets once: they run the same operations."""
    pack = read_pack(WEIGHTS / path)
    monkeypatch.setattr(layout, "WORTH_THREADS", -1)
    *others, best = levels.levels()
    names = sorted(pack.programs)
    if path.name in ("lite-precise.safetensors", "lite-small.safetensors"):
        adapted = tuple(f"{own.objective}." for own in pack.adapters)
        names = [name for name in names if not name.startswith(adapted)]
    for i, name in enumerate(names):
        checked = pack.checked[name]
        program = checked.program
        inputs = planes_of(program, checked.tensors)
        expected = reference.prepare(checked)(inputs)
        for level, threads in ((best, 1), (best, 2), (others[i % len(others)], 2)):
            monkeypatch.setattr(native, "_threads", threads)
            for name, plane in native.prepare(checked, level)(inputs).items():
                where = f"{program.name} {name} {level.name} {threads}"
                np.testing.assert_array_equal(plane, expected[name], err_msg=where)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 255), (0, 4095), (-2048, 2047), (-(2**15), 2**15 - 1), (0, 2**16 - 1)]
)
@pytest.mark.parametrize("kernel", [1, 3])
def test_sums_at_the_limit(prepare, low, high, kernel):
    """All weights as large as can be and saturated operands, of signs alike and mixed."""
    channels = 64
    weight = np.full((20, channels * kernel**2), 127, np.int8)
    weight[1::2] = -128
    weight[4:, ::2] = -1 - weight[4:, ::2]
    weight = weight.reshape(20, channels, kernel, kernel)
    builder = Builder("limit")
    x = builder.port("x", channels, low, high)
    bias = np.arange(-9, 11, dtype=np.int32) * 99999
    outputs = [
        builder.requantize(builder.conv(x, weight, bias), scale, -(2**24) + 1, 2**24 - 1)
        for scale in (1, 2.0**-8)
    ]
    program, tensors = builder.build(*outputs)
    plane = np.full((channels, 9, 11), high, np.int32)
    plane[:, :, 7:] = low
    plane[::2, 5:] = low
    plane[:, 8] = np.clip(-1, low, high)
    assert_same(prepare, program, tensors, {"x": plane})


@pytest.mark.parametrize(
    ("channels", "weights", "pieces", "blocks"),
    [
        (4, 127, 1, 1),
        (130, 127, 1, 4),
        (7, 2**14, 2, 1),
        (70, 2**15 - 1, 2, 2),
        (512, 2**15 - 1, 3, 2),
    ],
)
def test_sums_beyond_32_bits(prepare, channels, weights, pieces, blocks):
    """Weights in parts that are as little work as can be, and biases beyond what is left."""
    random = np.random.default_rng(3)
    builder = Builder("wide")
    x = builder.port("x", channels, -(2**15), 2**15 - 1)
    weight = random.integers(-weights - 1, weights + 1, (5, channels, 3, 3)).astype(np.int16)
    weight[0] = weights
    weight[1] = -weights - 1
    bias = np.array([2**31 - 1, -(2**31), 1, 0, -1], np.int32)
    acc = builder.conv(x, weight, bias)
    split = packing._split(weight, 2**15, 1)
    assert (len(split.parts) // split.blocks, split.blocks) == (pieces, blocks)
    program, tensors = builder.build(builder.requantize(acc, 2.0**-20, -(2**24) + 1, 2**24 - 1))
    plane = random.integers(-(2**15), 2**15, (channels, 6, 5)).astype(np.int32)
    plane[:, :3] = 2**15 - 1
    assert_same(prepare, program, tensors, {"x": plane})


@pytest.mark.parametrize("groups", [1, 2])
def test_sums_that_no_parts_hold(prepare, groups, monkeypatch):
    """Such as those of more weights than fit into a test: here no part is small enough."""
    monkeypatch.setattr(packing, "_split", lambda *_: packing._Parts((), 0, 1))
    random = np.random.default_rng(3)
    builder = Builder("slow")
    x = builder.port("x", 4, 0, 2**16 - 1)
    weight = random.integers(-(2**15), 2**15, (6, 4 // groups, 3, 3)).astype(np.int16)
    acc = builder.conv(x, weight, np.arange(6, dtype=np.int32), 2, 1, groups)
    program, tensors = builder.build(builder.requantize(acc, 2.0**-12, -(2**24) + 1, 2**24 - 1))
    plane = random.integers(0, 2**16, (4, 6, 8)).astype(np.int32)
    assert_same(prepare, program, tensors, {"x": plane})


@pytest.mark.parametrize("plane", [(1, 1), (1, 7), (5, 1), (2, 25)])
def test_tiny_planes(prepare, plane):
    program, tensors = synthesis(16, (16, 8, 8), (1, 1, 1))
    latents = np.random.default_rng(0).integers(-(2**15), 2**15, (16, *plane)).astype(np.int32)
    assert_same(prepare, program, tensors, {"latents": latents})


@pytest.mark.parametrize("tile", [1, 100, 10**6])
def test_tiles_of_any_size(prepare, monkeypatch, tile):
    monkeypatch.setattr(layout, "TILE", tile)
    program, tensors = synthesis(32, (48, 32, 16), (2, 1, 2))
    latents = np.random.default_rng(1).normal(0, 6000, (32, 5, 7))
    inputs = {"latents": np.clip(np.rint(latents), -(2**15), 2**15 - 1).astype(np.int32)}
    (pixels,) = assert_same(prepare, program, tensors, inputs).values()
    assert np.mean((pixels > 0) & (pixels < 255)) > 0.02


def test_inputs_of_any_integer_type_and_layout():
    program, tensors = synthesis(16, (16, 8, 8), (1, 1, 1))
    latents = np.random.default_rng(0).integers(-(2**15), 2**15, (16, 4, 6))
    expected = reference.prepare(check(program, tensors))({"latents": latents})
    run = native.prepare(check(program, tensors))
    turned = np.ascontiguousarray(latents.transpose(1, 2, 0)).transpose(2, 0, 1)
    unaligned = np.zeros(4 * latents.size + 1, np.uint8)[1:].view(np.int32)
    unaligned[:] = latents.ravel()
    variants = [latents.astype(kind) for kind in (np.int16, ">i4", np.int64)]
    variants += [turned, latents[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]]
    for variant in [*variants, unaligned.reshape(latents.shape)]:
        variant.flags.writeable = False
        for name, plane in run({"latents": variant}).items():
            np.testing.assert_array_equal(plane, expected[name])


def test_inputs_that_do_not_fit_are_refused():
    program, tensors = synthesis(16, (16, 8, 8), (1, 1, 1))
    run = native.prepare(check(program, tensors))
    with pytest.raises(ValueError, match="for 16 channels"):
        run({"latents": np.zeros((15, 2, 2), np.int32)})
    builder = Builder("two")
    x, y = builder.port("x", 2, 0, 9), builder.port("y", 2, 0, 9)
    run = native.prepare(check(*builder.build(builder.add(x, y, 0, 20))))
    with pytest.raises(ValueError, match="different sizes"):
        run({"x": np.zeros((2, 3, 3), np.int32), "y": np.zeros((2, 3, 4), np.int32)})


def test_numbers_outside_of_a_ports_range_stay_within_memory(prepare):
    """Callers keep to the range. If one did not, pixels would be wrong, and nothing else."""
    builder = Builder("outside")
    x = builder.port("x", 6, 0, 99)
    table = np.arange(100, dtype=np.int32)
    looked = builder.operation("table", (x,), 6, {"table": table}, low=0)
    program, tensors = builder.build(builder.attention(x, 1, 2, 0, 99), looked)
    plane = np.random.default_rng(0).integers(-(2**31), 2**31, (6, 5, 5)).astype(np.int32)
    run = prepare(check(program, tensors))
    assert run({"x": plane})[looked].max() <= 99


def test_a_layout_is_made_once_for_each_size(monkeypatch):
    program, tensors = synthesis(16, (16, 8, 8), (1, 1, 1))
    run, made = native.prepare(check(program, tensors)), []
    layouter = native.Layouter
    monkeypatch.setattr(native, "Layouter", lambda *a: made.append(a[2]) or layouter(*a))
    for rows in (1, 2, 1, 2, *range(1, native.LAYOUTS_KEPT + 2), 1):
        run({"latents": np.zeros((16, rows, 3), np.int32)})
    assert len(made) == native.LAYOUTS_KEPT + 2  # the first was forgotten


def test_threads_that_cannot_be_started_are_done_without(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(layout, "WORTH_THREADS", -1)
    monkeypatch.setattr(native, "_threads", 4)
    monkeypatch.setattr(native._thread, "start_new_thread", refuse)
    program, tensors = synthesis(16, (16, 8, 8), (1, 1, 1))
    assert_same(native.prepare, program, tensors, {"latents": np.ones((16, 9, 9), np.int32)})


def test_what_follows_a_convolution_is_one_task_with_it():
    program, tensors = synthesis(32, (48, 32, 16), (2, 1, 2))
    listed = planner.Planner(program, analyse(program, tensors))
    convolutions = sum(operation.kind == "conv2d" for operation in program.operations)
    assert len(listed.tasks) == convolutions + 1  # and the input


def test_operands_of_a_concatenation_are_computed_in_its_plane():
    builder = Builder("joined")
    x = builder.port("x", 3, -2048, 2047)
    y = builder.requantize(x, 0.5, -128, 127)
    z = builder.requantize(x, 0.25, -100, 127)
    joined = builder.operation("concat", (y, x, z), 9)
    program, tensors = builder.build(builder.layer(joined, 4, 3, 0, 255, 900))
    listed = planner.Planner(program, analyse(program, tensors))
    assert listed.joined == {y: (joined, 0), z: (joined, 6)}


# The proof ---------------------------------------------------------------------------------------


def test_every_level_proves_itself(level):
    assert proof.failure(native.prepare, level) is None


def test_the_proof_sees_one_wrong_integer(level):
    def prepare(checked: CheckedProgram, level: Level):
        def run(inputs):
            results = native.prepare(checked, level)(inputs)
            last = list(results)[-1]
            results[last] = results[last].copy()
            results[last][0, 0, 0] += 1
            return results

        return run

    assert "not exact on this machine" in proof.failure(prepare, level)


def test_the_proof_meets_every_operation_and_type_of_plane():
    trial = proof.Trial()
    kinds = {operation.kind for operation in trial.program.operations}
    assert kinds == set(KINDS)
    values = analyse(trial.program, trial.tensors)
    storages = [packing.choose_storage(x, 0, True) for x in values.values() if not x.accumulator]
    assert {storage.type.name for storage in storages} == {"U8", "S16", "S32"}


def test_the_environment_names_a_level(monkeypatch):
    monkeypatch.setenv(LEVEL_VARIABLE, "c")
    assert levels.best_level().name == "c" and native.obstacle() is None
    monkeypatch.setenv(LEVEL_VARIABLE, "none")
    assert native.obstacle() == f"{LEVEL_VARIABLE} is none"
    monkeypatch.setenv(LEVEL_VARIABLE, "abacus")
    with pytest.raises(UsageError, match="no level 'abacus' here; there are none, c"):
        native.obstacle()


def test_plain_c_is_not_used_unless_it_is_asked_for(monkeypatch):
    plain = levels.levels()[0]
    monkeypatch.setattr(native, "best_level", lambda: plain)
    monkeypatch.delenv(LEVEL_VARIABLE, raising=False)
    assert "no vector instructions" in native.obstacle()


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in (("3", 3), ("0", None), ("many", None)):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        found = default_threads.__wrapped__()
        assert found == expected or (expected is None and found >= 1)


@pytest.fixture(autouse=True)
def own_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(native, "_threads", None)
    yield
