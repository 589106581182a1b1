"""Splits of convolutions: the passes add up to the sums, each within its kernel's limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.exact.passes import (
    EXACT_IN_FLOAT32,
    FLOAT32_KERNEL,
    FLOAT64_KERNEL,
    INT8_KERNEL,
    KernelLimits,
    NoExactSplit,
    Pass,
    partial_sum_bound,
    split_into_passes,
)
from tests.exact.programs import RANGES

KERNELS = (FLOAT32_KERNEL, INT8_KERNEL)


def correlate(weight: np.ndarray, x: np.ndarray, padding: int, fill: int, groups: int):
    """sum w * x in int64, (O, I/g, k, k) and (I, H, W), padded by `fill`."""
    kernel = weight.shape[2]
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)), constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (1, 2))
    pairs = zip(np.split(weight.astype(np.int64), groups), np.split(windows, groups), strict=True)
    return np.concatenate([np.einsum("oikl,ihwkl->ohw", w, x) for w, x in pairs])


def assert_exact(
    passes: tuple[Pass, ...], weight, bias, x, padding: int, groups: int, limits: KernelLimits
) -> None:
    """Each pass keeps to `limits` for this operand, and their weighted sum is the convolution."""
    total = 0
    for one in passes:
        part = one.operand.of(x[one.channels])
        assert one.operand.low <= part.min() and part.max() <= one.operand.high
        if limits.operand_high is not None:
            assert part.min() >= 0 and part.max() <= limits.operand_high
            assert one.weight.min() >= limits.weight_low
            assert one.weight.max() <= limits.weight_high
        products = correlate(one.weight, part, padding, one.operand.offset, groups)
        sums = products + one.bias[:, None, None]
        assert max(np.abs(products).max(), np.abs(sums).max()) <= one.bound < limits.sum_limit
        assert np.abs(one.bias).max() < limits.sum_limit
        total = total + one.coefficient * sums
    expected = correlate(weight, x, padding, 0, groups) + bias.astype(np.int64)[:, None, None]
    np.testing.assert_array_equal(total, expected)
    coefficients = [one.coefficient for one in passes]
    assert coefficients == sorted(coefficients, reverse=True) and coefficients[-1] == 1
    assert all(c & (c - 1) == 0 for c in coefficients)


@given(
    seed=st.integers(0, 2**32 - 1),
    span=st.sampled_from(RANGES),
    bits=st.sampled_from([2, 4, 8, 16]),
    kernel=st.sampled_from([1, 2, 3]),
    channels=st.sampled_from([1, 2, 6, 64]),
    groups=st.sampled_from([1, 2]),
    bias_bits=st.integers(0, 31),
    limits=st.sampled_from(KERNELS),
    extreme=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_passes_add_up(seed, span, bits, kernel, channels, groups, bias_bits, limits, extreme):
    random = np.random.default_rng(seed)
    (low, high), limit = span, 1 << (bits - 1)
    groups = groups if channels % groups == 0 else 1
    shape = (2 * groups, channels // groups, kernel, kernel)
    if extreme:
        weight = random.choice([-limit, limit - 1], shape)
    else:
        weight = random.integers(-limit, limit, shape)
    weight = weight.astype(np.int8 if bits <= 8 else np.int16)
    bias = random.integers(-(2**bias_bits), 2**bias_bits, len(weight)).astype(np.int32)
    x = random.integers(low, high + 1, (channels, 5, 6))
    x[:, :3] = random.choice([low, high, np.clip(-1, low, high)], x[:, :3].shape)
    x[:, :2, :3] = high
    passes = split_into_passes(weight, bias, low, high, groups, limits)
    assert_exact(passes, weight, bias, x, kernel // 2, groups, limits)


def uniform(outputs: int, channels: int, kernel: int, value: int) -> np.ndarray:
    return np.full((outputs, channels, kernel, kernel), value, np.int16)


ZERO = np.zeros(1, np.int32)


@pytest.mark.parametrize(
    ("value", "channels", "span", "limits", "count"),
    [
        (127, 64, (0, 255), INT8_KERNEL, 1),
        (127, 64, (-128, 127), INT8_KERNEL, 1),
        (30, 576, (0, 4095), INT8_KERNEL, 2),
        (30, 576, (-2048, 2047), INT8_KERNEL, 2),
        (30, 320, (-(2**15), 2**15 - 1), INT8_KERNEL, 2),
        (30, 320, (0, 2**16 - 1), INT8_KERNEL, 2),
        (2**15 - 129, 1, (0, 255), INT8_KERNEL, 2),  # 256 * 127 + 127: the largest in two parts
        (2**15 - 128, 1, (0, 255), INT8_KERNEL, 3),
        (20, 64, (0, 4095), FLOAT32_KERNEL, 1),
        (127, 64, (0, 4095), FLOAT32_KERNEL, 2),
        (127, 1728, (0, 2**16 - 1), FLOAT32_KERNEL, 3),
        (2**15 - 1, 8192, (0, 2**16 - 1), FLOAT64_KERNEL, 1),
    ],
)
def test_number_of_passes(value, channels, span, limits, count):
    passes = split_into_passes(uniform(1, channels, 1, value), ZERO, *span, 1, limits)
    assert len(passes) == count


def test_a_signed_operand_of_one_byte_is_shifted_up():
    passes = split_into_passes(
        uniform(2, 4, 3, 5), np.zeros(2, np.int32), -128, 127, 1, INT8_KERNEL
    )
    (one,) = passes
    assert (one.operand.offset, one.operand.low, one.operand.high) == (128, 0, 255)
    np.testing.assert_array_equal(one.bias, [-128 * 180] * 2)


def test_bytes_are_preferred_and_an_even_cut_is_the_way_out():
    """12 bits: 255 * 70,000 is over 2^24, 63 * 70,000 is not."""
    for total, shift in ((60_000, 8), (70_000, 6)):
        weight = uniform(1, total // 100, 1, 100)
        high, low = split_into_passes(weight, ZERO, 0, 4095, 1, INT8_KERNEL)
        assert (high.operand.shift, low.operand.width) == (shift, shift)
        assert high.coefficient == 1 << shift


def test_the_limit_itself():
    """The bound must be below 2^24: one more in the bias costs another pass, where the bias has
    the sign of the products."""
    weight = uniform(1, 257, 1, 255)  # 257 * 255 * 256 = 2^24 - 256
    room = EXACT_IN_FLOAT32 - 1 - 257 * 255 * 255
    for sign in (1, -1):
        for bias, count in ((room, 1), (room + 1, 2), (-room, 1), (-room - 1, 1)):
            biases = np.array([sign * bias], np.int32)
            passes = split_into_passes(sign * weight, biases, 0, 255, 1, FLOAT32_KERNEL)
            assert len(passes) == count
            x = np.full((257, 2, 2), 255)
            assert_exact(passes, sign * weight, biases, x, 0, 1, FLOAT32_KERNEL)


def test_weights_of_both_signs_do_not_add_up():
    """2^24 is too small for the weights' magnitudes, but not for those of one sign."""
    weight = uniform(2, 514, 1, 255)
    weight[0, 257:] *= -1
    weight[1, :257] *= -1
    assert 255 * np.abs(weight[0]).sum() > EXACT_IN_FLOAT32
    passes = split_into_passes(weight, np.zeros(2, np.int32), 0, 255, 1, FLOAT32_KERNEL)
    assert len(passes) == 1
    x = np.zeros((514, 2, 2), np.int64)
    x[257:] = 255
    assert_exact(passes, weight, np.zeros(2, np.int32), x, 0, 1, FLOAT32_KERNEL)
    signed = split_into_passes(weight, np.zeros(2, np.int32), -255, 255, 1, FLOAT32_KERNEL)
    assert len(signed) == 2


def test_channel_blocks_come_last():
    """Four passes: two by two parts before two parts by two blocks; blocks where parts fail."""
    wide = uniform(1, 4096, 3, 127)
    passes = split_into_passes(wide, ZERO, 0, 255, 1, KernelLimits(2**25))
    assert {one.channels.indices(4096)[:2] for one in passes} == {(0, 4096)}
    tight = split_into_passes(
        wide, ZERO, 0, 1, 1, KernelLimits(2**16, weight_low=-128, weight_high=127)
    )
    blocks = [one.channels.indices(4096)[:2] for one in tight]
    assert len(set(blocks)) > 1
    x = np.ones((4096, 2, 2), np.int64)
    assert_exact(tight, wide, ZERO, x, 1, 1, KernelLimits(2**16))


def test_no_split_is_an_error():
    with pytest.raises(NoExactSplit, match="too large"):
        split_into_passes(uniform(1, 4096, 3, 127), ZERO, 0, 255, 1, KernelLimits(8))


@given(
    weight=st.lists(st.integers(-128, 127), min_size=1, max_size=6),
    bias=st.integers(-1000, 1000),
    span=st.sampled_from([(0, 255), (-3, 7), (-255, 0), (0, 0)]),
    order=st.randoms(),
)
@settings(deadline=None)
def test_no_part_of_a_sum_is_beyond_its_bound(weight, bias, span, order):
    bound = partial_sum_bound(np.array([weight]), np.array([bias]), *span)
    extremes = []
    for pick in (max, min):
        # Those terms alone that go one way: what is left is zeros, which the span holds.
        terms = [bias, *(pick(0, w * span[0], w * span[1]) for w in weight)]
        extremes.append(sum(pick(0, term) for term in terms))
        order.shuffle(terms)
        assert all(abs(part) <= bound for part in itertools.accumulate(terms))
    assert max(map(abs, extremes)) == bound
