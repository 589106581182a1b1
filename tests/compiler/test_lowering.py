"""Operations lowered from float parameters compute what the float layers do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy import random

from licodec.compiler.forms import Grid
from licodec.compiler.lowering import (
    Form,
    attention_form,
    gdn_form,
    igdn_form,
    layernorm_form,
)
from licodec.exact.backends import reference
from licodec.exact.bounds import analyse, check
from tests.exact.programs import Builder


def span_of(x: np.ndarray, bits: int) -> Grid:
    """A signed grid of so many bits that holds `x` with a little to spare."""
    return Grid(
        float(np.abs(x).max()) * 1.1 / 2 ** (bits - 1), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    )


def run_form(kind: str, form: Form, x: np.ndarray, span: Grid, channels: int) -> np.ndarray:
    """The exact result in floats: the operand rounded to its grid, the result from its own."""
    builder = Builder("lowered")
    port = builder.port("x", len(x), span.low, span.high)
    y = builder.operation(kind, (port,), channels, form.tensors, **form.attributes)
    steps = form.steps
    if kind == "igdn":
        info = analyse(*builder.build(port))[y]
        unit = max(1.0, info.high / 2.0**24)  # what is left of the sums is 24 bits
        y = builder.requantize(y, steps / steps.max() / unit, -(2**24) + 1, 2**24 - 1)
        steps = np.array([steps.max() * unit])
    (found,) = reference.prepare(check(*builder.build(y)))({"x": np.rint(x / span.step)}).values()
    return found * steps[:, None, None]


def decibels(exact: np.ndarray, found: np.ndarray) -> float:
    return 10 * np.log10(exact.var() / np.mean((exact - found) ** 2))


@pytest.mark.parametrize("channels", [1, 48, 384, 768])
def test_layernorm(channels):
    x = random.normal(0.5, 3, (channels, 8, 8)) * np.exp(random.normal(0, 1.5, (1, 8, 8)))
    span = span_of(x, 16)
    x = np.rint(x / span.step) * span.step  # which is not LayerNorm's own error
    gain, bias = random.normal(1, 0.5, channels), random.normal(0, 0.3, channels)
    mean, variance = x.mean(0), x.var(0)
    expected = (x - mean) / np.sqrt(variance + 1e-5) * gain[:, None, None] + bias[:, None, None]
    result = span_of(expected, 16)
    form = layernorm_form(gain, bias, 1e-5, span, result)
    found = run_form("layernorm", form, x, span, channels)
    if channels == 1:
        np.testing.assert_allclose(found, expected, atol=result.step)
    else:
        assert decibels(expected, found) > 60


def published_attention(qkv: np.ndarray, bias: np.ndarray, scale: float, heads: int, w: int,
                        shift: int) -> np.ndarray:  # fmt: skip
    """As Swin transformers state it: the plane is rolled, and what has come round is masked."""
    channels, rows, columns = qkv.shape
    rolled = np.roll(qkv, (-shift, -shift), (1, 2))
    regions = np.zeros((rows, columns), int)
    regions[rows - shift : rows] += 1
    regions[:, columns - shift : columns] += 2

    def windows(planes: np.ndarray) -> np.ndarray:
        """(C, H, W) -> (windows, w * w, C)."""
        split = planes.reshape(len(planes), rows // w, w, columns // w, w)
        return split.transpose(1, 3, 2, 4, 0).reshape(-1, w * w, len(planes))

    q, k, v = np.split(windows(rolled).reshape(-1, w * w, 3 * heads, channels // 3 // heads), 3, 2)
    scores = scale * np.einsum("nqhd,nkhd->nhqk", q, k)
    places = np.stack(np.meshgrid(range(w), range(w), indexing="ij")).reshape(2, -1)
    distance = places[:, :, None] - places[:, None, :] + w - 1
    scores += bias[:, distance[0], distance[1]]
    own = windows(regions[None])[:, None, :, 0]
    scores = np.where(own[..., None] == own[:, :, None, :], scores, -np.inf)
    weights = np.exp(scores - scores.max(3, keepdims=True))
    weights /= weights.sum(3, keepdims=True)
    mixed = np.einsum("nhqk,nkhd->nqhd", weights, v).reshape(rows // w, columns // w, w, w, -1)
    planes = mixed.transpose(4, 0, 2, 1, 3).reshape(channels // 3, rows, columns)
    return np.roll(planes, (shift, shift), (1, 2))


@pytest.mark.parametrize(
    ("heads", "depth", "window", "shift"), [(3, 16, 4, 0), (3, 16, 4, 2), (4, 8, 8, 4)]
)
@pytest.mark.parametrize(("bits", "least"), [(16, 60), (12, 40)])
def test_window_attention(heads, depth, window, shift, bits, least):
    qkv = random.normal(0, 1.5, (3 * heads * depth, 2 * window, 3 * window))
    bias = random.normal(0, 0.5, (heads, 2 * window - 1, 2 * window - 1))
    scale = depth**-0.5
    span = span_of(qkv, bits)
    form = attention_form(bias, scale, depth, span, window, shift)
    found = run_form("window_attention", form, qkv, span, heads * depth)
    assert decibels(published_attention(qkv, bias, scale, heads, window, shift), found) > least


def test_attention_with_very_large_scores_is_legal():
    qkv = random.normal(0, 300, (48, 4, 4))
    span = span_of(qkv, 16)
    form = attention_form(np.zeros((1, 7, 7)), 1.0, 16, span, 4, 0)
    found = run_form("window_attention", form, qkv, span, 16)
    expected = published_attention(qkv, np.zeros((1, 7, 7)), 1.0, 1, 4, 0)
    assert decibels(expected, found) > 50


@pytest.mark.parametrize(("width", "least"), [(16, 60), (8, 40)])
@pytest.mark.parametrize("magnitude", [0.01, 1.0, 50.0])
def test_gdn_and_its_inverse(width, least, magnitude):
    channels = 24
    x = random.normal(0, magnitude, (channels, 6, 6))
    gamma = np.maximum(random.normal(0, 0.02, (channels, channels)), 0) + 0.1 * np.eye(channels)
    beta = random.uniform(0.2, 2, channels)
    span = span_of(x, 16)
    root = np.sqrt(beta[:, None, None] + np.tensordot(gamma, x**2, 1))
    found = run_form("igdn", igdn_form(gamma, beta, span, width), x, span, channels)
    assert decibels(x * root, found) > least
    form = gdn_form(gamma, beta, span, width, float(np.abs(x / root).max()))
    assert decibels(x / root, run_form("gdn", form, x, span, channels)) > least


def test_gdn_of_a_fine_grid_narrows_gamma():
    """A norm that would pass the limit of exact roots."""
    span = Grid(1e-7, -(2**15), 2**15 - 1)
    gamma, beta = np.array([[1e-4]]), np.array([1.0])
    form = igdn_form(gamma, beta, span, 16)
    x = np.array([-3e-3, 1e-3, 2e-3]).reshape(1, 1, 3)
    found = run_form("igdn", form, x, span, 1)
    np.testing.assert_allclose(found, x * np.sqrt(1 + 1e-4 * x * x), rtol=1e-3)
