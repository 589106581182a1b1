"""Tables fitted to pictures: legal, symmetric, and shorter on what they were fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from licodec.codec import Codec
from licodec.entropy.tables import TOTAL, tables_to_tensors
from licodec.images import Picture
from licodec.packing.fitting import Observed, fitted_tables
from licodec.rate.setting import Setting
from tests import tiny

D = 256


def test_fitted_tables_code_their_pictures_in_fewer_bytes() -> None:
    rng = np.random.default_rng(4)
    smooth = np.add.outer(np.arange(128), 2 * np.arange(192))[:, :, None] % 256
    pixels = (smooth // 2 + rng.integers(0, 90, (128, 192, 3))).astype(np.uint8)
    pack = tiny.pack()
    before = Codec(pack, "reference").at(Setting(D))
    analysed = before.analyse(Picture(pixels))
    model = before.entropy_model
    observed = Observed(model, analysed.latents, analysed.hyper_latents)
    tables = fitted_tables(model.tables, [observed])
    for frequencies in tables.latent.frequencies:
        assert frequencies.sum() == TOTAL
        assert np.abs(frequencies[:-1] - frequencies[-2::-1]).max() <= 1  # a remainder's rounding
    fitted = replace(pack, tensors={**pack.tensors, **tables_to_tensors(tables)})
    after = Codec(fitted, "reference").at(Setting(D))
    assert after.pack.weights_id != pack.weights_id
    first, second = (session.code(Picture(pixels), analysed) for session in (before, after))
    assert np.array_equal(first.picture.pixels, second.picture.pixels)
    assert len(second.data) < len(first.data)
