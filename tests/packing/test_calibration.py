"""Calibration pictures: the crops that trials run on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from licodec.errors import BadInputError, UsageError
from licodec.packing.calibration import trial_crops


def picture(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def test_every_second_crop_is_of_half_size() -> None:
    whole = picture(128)
    first, second, third = trial_crops([whole], 3, 64, 1)
    halved = torch.from_numpy(whole.reshape(64, 2, 64, 2, 3).mean((1, 3)) / 255)
    assert torch.allclose(second.permute(1, 2, 0).double(), halved, atol=1e-6)
    for crop in (first, third):
        values = (crop * 255).permute(1, 2, 0).numpy()
        assert np.allclose(values, values.round(), atol=1e-4)
    assert not torch.equal(first, third)


def test_small_pictures_are_taken_as_they_are() -> None:
    crops = trial_crops([picture(64)], 2, 64, 1)
    assert torch.equal(crops[0], crops[1])


def test_crops_are_a_function_of_the_seed() -> None:
    pictures = [picture(192, seed) for seed in range(3)]
    assert torch.equal(trial_crops(pictures, 4, 64, 5), trial_crops(pictures, 4, 64, 5))
    assert not torch.equal(trial_crops(pictures, 4, 64, 5), trial_crops(pictures, 4, 64, 6))


def test_sides_that_no_crop_can_have() -> None:
    with pytest.raises(UsageError, match="give a multiple of 64"):
        trial_crops([picture(128)], 1, 100, 1)
    with pytest.raises(BadInputError, match="too small for crops of 256x256"):
        trial_crops([picture(128)], 1, 256, 1)
