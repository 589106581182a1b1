"""Every backend against the reference: the same integers, whatever the program."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from licodec.exact.backends import cuda, float32, int8, reference, torch_blocks, torch_planes
from licodec.exact.bounds import check
from licodec.exact.selftest import failures
from tests.exact.agreement import assert_same
from tests.exact.programs import Builder, RandomBuilder, synthesis


@given(seed=st.integers(0, 2**32 - 1))
@example(seed=7762752)  # a clamp to bounds beyond its operand's type
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_random_programs(prepare, seed):
    builder = RandomBuilder(seed)
    program, tensors = builder.random_program()
    assert_same(prepare, program, tensors, builder.planes())


def test_a_synthesis(prepare):
    program, tensors = synthesis(32, (48, 32, 16), (2, 1, 2))
    latents = np.random.default_rng(1).normal(0, 6000, (32, 5, 7))
    inputs = {"latents": np.clip(np.rint(latents), -(2**15), 2**15 - 1).astype(np.int32)}
    (pixels,) = assert_same(prepare, program, tensors, inputs).values()
    assert pixels.shape == (3, 80, 112)
    assert np.mean((pixels > 0) & (pixels < 255)) > 0.02


@pytest.mark.parametrize(
    ("low", "high"), [(0, 255), (0, 4095), (-2048, 2047), (-(2**15), 2**15 - 1), (0, 2**16 - 1)]
)
@pytest.mark.parametrize("kernel", [1, 3])
def test_odd_sums_at_the_limit(prepare, low, high, kernel):
    """All weights 127 or -127 and saturated operands: parts that sum to just below 2^24."""
    largest = max(-low, high)
    channels = 64
    taps = channels * kernel**2
    weight = np.full((6, taps), 127, np.int8)
    weight[1::2] = -127
    weight[4:, ::2] *= -1
    weight = weight.reshape(6, channels, kernel, kernel)
    bias = np.array([1, -1, 127, -127, 2**24 + 1, -(2**24) - 1], np.int32)
    builder = Builder("limit")
    x = builder.port("x", channels, low, high)
    reach = 2 ** max(0, int(np.ceil(np.log2(taps * 127 * largest + 2**25))) - 24)
    outputs = [
        builder.requantize(builder.conv(x, weight, bias), 1 / scale, -(2**24) + 1, 2**24 - 1)
        for scale in (1, reach)
    ]
    program, tensors = builder.build(*outputs)
    plane = np.full((channels, 9, 11), high, np.int32)
    plane[:, :, 7:] = low
    plane[::2, 5:] = low
    plane[:, 8] = np.clip(-1, low, high)
    assert_same(prepare, program, tensors, {"x": plane})


def test_channel_blocks_and_sums_in_binary64(prepare):
    """16-bit weights and operands over many channels need the most passes there are."""
    random = np.random.default_rng(3)
    builder = Builder("wide")
    x = builder.port("x", 512, -(2**15), 2**15 - 1)
    weight = random.integers(-(2**15), 2**15, (5, 512, 3, 3)).astype(np.int16)
    weight[0] = 2**15 - 1
    weight[1] = -(2**15)
    bias = np.array([2**31 - 1, -(2**31), 1, 0, -1], np.int32)
    acc = builder.conv(x, weight, bias)
    program, tensors = builder.build(builder.requantize(acc, 2.0**-20, -(2**24) + 1, 2**24 - 1))
    plane = random.integers(-(2**15), 2**15, (512, 6, 5)).astype(np.int32)
    plane[:, :3] = 2**15 - 1
    assert_same(prepare, program, tensors, {"x": plane})


def test_ties_and_rounded_products(prepare):
    """Products that fall on a half, and products that binary32 has to round first."""
    builder = Builder("ties")
    x = builder.port("x", 4, -(2**24) + 1, 2**24 - 1)
    multiplier = np.array([0.5, 0.25, 1 / 3, 0.7], np.float32)
    plain = builder.requantize(x, multiplier, -(2**23), 2**23)
    leaky = builder.requantize(x, multiplier, -1000, 2**23, negative=np.float32(0.1))
    program, tensors = builder.build(plain, leaky)
    plane = np.random.default_rng(0).integers(-(2**24) + 1, 2**24, (4, 30, 40)).astype(np.int32)
    plane[:, :15] //= 2**12
    assert_same(prepare, program, tensors, {"x": plane})


def test_operands_that_live_on(prepare):
    """In-place work on one reading of a value must not be seen by another."""
    builder = Builder("life")
    x = builder.port("x", 4, -2048, 2047)
    one = np.ones((4, 1, 1, 1), np.int8)
    zero = np.zeros(4, np.int32)
    y = builder.requantize(builder.conv(x, one, zero, groups=4), 1.0, -2048, 2047)
    clamped = builder.operation("clamp", (y,), 4, low=-5000, high=5000)
    doubled = builder.add(y, y, -4096, 4095)
    joined = builder.operation("concat", (clamped,), 4)
    summed = builder.add(joined, clamped, -4096, 4095)
    same = builder.shuffle(summed, 1)
    halved = builder.add(same, summed, 0, 100)
    program, tensors = builder.build(x, y, clamped, doubled, halved, summed)
    plane = np.random.default_rng(0).integers(-2048, 2048, (4, 5, 6)).astype(np.int32)
    assert_same(prepare, program, tensors, {"x": plane})


def test_a_shuffled_value_with_a_second_reader(prepare):
    """The channels of what a pixel shuffle alone reads may be reordered; here they may not."""
    random = np.random.default_rng(0)
    builder = Builder("shuffles")
    x = builder.port("x", 8, 0, 255)

    def layer(groups: int) -> str:
        weight = random.integers(-127, 128, (8, 8 // groups, 1, 1)).astype(np.int8)
        bias = np.arange(8, dtype=np.int32)
        gain = random.uniform(0.01, 0.1, 8)
        return builder.requantize(builder.conv(x, weight, bias, groups=groups), gain, -900, 900)

    shared, alone, grouped, given_out = layer(1), layer(1), layer(2), layer(1)
    outputs = [builder.shuffle(value, 2) for value in (shared, alone, grouped, given_out)]
    outputs.append(builder.operation("clamp", (shared,), 8, low=-10, high=10))
    program, tensors = builder.build(given_out, *outputs)
    plane = random.integers(0, 256, (8, 3, 5)).astype(np.int32)
    assert_same(prepare, program, tensors, {"x": plane})


@pytest.mark.parametrize("plane", [(1, 1), (1, 7), (5, 1), (2, 3)])
def test_tiny_planes(prepare, plane):
    program, tensors = synthesis(16, (16, 8, 8), (1, 1, 1))
    latents = np.random.default_rng(0).integers(-(2**15), 2**15, (16, *plane)).astype(np.int32)
    assert_same(prepare, program, tensors, {"latents": latents})


def test_inputs_of_any_integer_type_and_layout(prepare):
    program, tensors = synthesis(16, (16, 8, 8), (1, 1, 1))
    latents = np.random.default_rng(0).integers(-(2**15), 2**15, (16, 4, 6))
    expected = reference.prepare(check(program, tensors))({"latents": latents})
    run = prepare(check(program, tensors))
    turned = np.ascontiguousarray(latents.transpose(1, 2, 0)).transpose(2, 0, 1)
    for variant in (latents.astype(np.int16), turned, latents.astype(np.int64)[:, :, ::1]):
        variant.flags.writeable = False
        found = run({"latents": variant})
        for name, plane in expected.items():
            np.testing.assert_array_equal(found[name], plane)


def test_planes_of_changing_shape(prepare):
    """More shapes in turn than are kept packed."""
    program, tensors = synthesis(16, (16, 8, 8), (1, 1, 1))
    run, expect = prepare(check(program, tensors)), reference.prepare(check(program, tensors))
    random = np.random.default_rng(0)
    for rows in (1, 2, 3, 4, 5, 6, 1, 6):
        latents = {"latents": random.integers(-(2**15), 2**15, (16, rows, 3))}
        found = run(latents)
        for name, plane in expect(latents).items():
            np.testing.assert_array_equal(found[name], plane)


@pytest.mark.parametrize("most", [1, 40, 1000])
def test_blocks_of_any_size(prepare, monkeypatch, most):
    """Rows that blocks share, windows cut by the plane's border, and chunks that end early."""
    monkeypatch.setattr(torch_blocks, "CHUNK_PER_THREAD", most)
    monkeypatch.setattr(torch_planes, "SUMS_PER_THREAD", most)
    random = np.random.default_rng(5)
    builder = Builder("blocks")
    x = builder.port("x", 4, -(2**15), 2**15 - 1)

    def layer(value: str, kernel: int, outputs: int, **attributes: int) -> str:
        channels = 4 // attributes.get("groups", 1)
        weight = random.integers(-127, 128, (outputs, channels, kernel, kernel)).astype(np.int8)
        bias = random.integers(-999, 999, outputs).astype(np.int32)
        conv = builder.conv(value, weight, bias, padding=kernel // 2, **attributes)
        gain = random.uniform(1e-4, 1e-2, outputs).astype(np.float32)
        negative = random.uniform(1e-4, 1e-2, outputs).astype(np.float32)
        return builder.requantize(conv, gain, -(2**15), 2**15 - 1, negative=negative)

    wide, strided = layer(x, 5, 4), layer(x, 3, 4, stride=2)
    grouped, large = layer(x, 3, 4, groups=2), builder.shuffle(layer(x, 3, 16), 2)
    total = builder.add(wide, grouped, -40000, 40000)
    product = builder.operation("mul", (wide, grouped), 4)
    gated = builder.requantize(product, 2.0**-15, -(2**15), 2**15 - 1)
    program, tensors = builder.build(strided, large, total, gated)
    plane = random.integers(-(2**15), 2**15, (4, 14, 6)).astype(np.int32)
    assert_same(prepare, program, tensors, {"x": plane})


def test_read_only_tensors_give_no_warnings(prepare, recwarn):
    program, tensors = synthesis(16, (16, 8, 8), (1, 1, 1))
    for tensor in tensors.values():
        tensor.flags.writeable = False
    prepare(check(program, tensors))({"latents": np.zeros((16, 2, 2), np.int32)})
    assert not [str(warning.message) for warning in recwarn]


def test_torch_settings_of_lower_precision_are_put_aside_and_restored():
    program, tensors = synthesis(16, (16, 8, 8), (1, 1, 1))
    latents = {"latents": np.random.default_rng(0).integers(-(2**15), 2**15, (16, 9, 8))}
    expected = reference.prepare(check(program, tensors))(latents)
    conv, matmul = torch.backends.mkldnn.conv, torch.backends.mkldnn.matmul
    before = conv.fp32_precision, matmul.fp32_precision
    seen = []

    def bind(convolution):
        convolve = float32.bind_convolution(convolution)

        def observed(*read):
            seen.append((conv.fp32_precision, matmul.fp32_precision))
            return convolve(*read)

        return observed

    try:
        conv.fp32_precision = matmul.fp32_precision = "bf16"
        found = float32.prepare(check(program, tensors))(latents)
        torch_planes.prepare(check(program, tensors), bind, torch.device("cpu"))(latents)
        assert (conv.fp32_precision, matmul.fp32_precision) == ("bf16", "bf16")
    finally:
        conv.fp32_precision, matmul.fp32_precision = before
    assert set(seen) == {("ieee", "ieee")}
    for name, plane in expected.items():
        np.testing.assert_array_equal(found[name], plane)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_device():
    program, tensors = synthesis(32, (48, 32, 16), (2, 1, 2))
    assert failures(cuda, [check(program, tensors)]) == []
    latents = np.random.default_rng(1).integers(-(2**15), 2**15, (32, 5, 7))
    assert_same(cuda.prepare, program, tensors, {"latents": latents})


def test_every_backend_has_the_interface_of_its_package():
    for module in (float32, int8, cuda):
        assert isinstance(module, types.ModuleType)
        assert module.__name__.rsplit(".", 1)[1] == module.NAME
        assert module.obstacle() is None or isinstance(module.obstacle(), str)
