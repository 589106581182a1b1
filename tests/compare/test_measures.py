"""Measures: MS-SSIM is that of pytorch-msssim, and SSIMULACRA 2 may be missing."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from licodec.compare.measures import (
    SSIMULACRA2_SMALLEST_SIDE,
    measure,
    ms_ssim,
    ms_ssim_in_decibels,
    require_ssimulacra2,
    ssimulacra2,
)
from licodec.errors import LicodecError
from tests.compare.samples import coarse, textured


@pytest.mark.parametrize("shape", [(161, 161, 3), (193, 167, 1), (162, 301, 1)])
def test_ms_ssim_is_that_of_pytorch_msssim(shape: tuple[int, int, int]) -> None:
    pytorch_msssim, torch = pytest.importorskip("pytorch_msssim"), pytest.importorskip("torch")
    a = textured(*shape)
    noise = np.random.default_rng(1).normal(0, 25, shape)
    for b in (coarse(a, 40), np.clip(a + noise, 0, 255).astype(np.uint8), 255 - a):
        planes = [torch.tensor(x).permute(2, 0, 1)[None].double() for x in (a, b)]
        expected = float(pytorch_msssim.ms_ssim(*planes, data_range=255))
        assert ms_ssim(a, b) == pytest.approx(expected, abs=1e-6)


def test_ms_ssim_of_equal_and_of_small_pictures() -> None:
    pixels = textured(170, 170)
    assert ms_ssim(pixels, pixels) == pytest.approx(1.0, abs=1e-12)
    assert ms_ssim(pixels[:160], pixels[:160]) is None
    assert ms_ssim_in_decibels(0.99) == pytest.approx(20)
    assert ms_ssim_in_decibels(1.0) == math.inf


def test_ssimulacra2_falls_with_damage() -> None:
    pytest.importorskip("ssimulacra2")
    pixels = textured(40, 48)
    scores = [ssimulacra2(pixels, coarse(pixels, step)) for step in (1, 8, 32)]
    assert scores[0] == pytest.approx(100)
    assert scores[0] > scores[1] > scores[2]
    grey = pixels[:, :, :1]
    assert ssimulacra2(grey, coarse(grey, 8)) == pytest.approx(
        ssimulacra2(np.repeat(grey, 3, 2), np.repeat(coarse(grey, 8), 3, 2))
    )
    small = pixels[: SSIMULACRA2_SMALLEST_SIDE - 1]
    assert ssimulacra2(small, small) is None


def test_without_its_package_ssimulacra2_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)
    with pytest.raises(LicodecError, match=r"pip install 'licodec\[compare\]'"):
        require_ssimulacra2()
    pixels = textured(20, 20)
    quality = measure(pixels, pixels, perceptual=False)
    assert (quality.psnr, quality.ms_ssim, quality.ssimulacra2) == (math.inf, None, None)
    assert quality.ms_ssim_in_decibels is None
