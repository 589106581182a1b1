"""A network of `base`'s form, small enough for a test, with random weights."""

from __future__ import annotations

from licodec.backbones.base_transforms import BaseConfig

CONFIG = BaseConfig(
    group=12,
    hyper_latents=48,
    features=16,
    widths=(8, 16, 16),
    analysis_units=(1, 1, 1),
    synthesis_units=(1, 1, 1),
    context_width=16,
)
