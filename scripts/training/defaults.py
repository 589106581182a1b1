"""The published settings of adapter training, by backbone and by loss.

From the commands in the README of EIDOSLAB/CALICE and the configurations it names, where not
said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from licodec.packing import registry
from training.objectives import LambdaRange

# Alphas and betas drawn in training, each as likely: src/opt.py.
ALPHAS = (1.0, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2)
BETAS = (0.01, 0.02, 0.04, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1.0)
VALIDATION_ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # src/train.py
VALIDATION_BETAS = (0.0, 0.5, 1.0)  # ours: the published list is BETAS, twice as slow as a run
EPOCHS, BATCH, CROP, CLIP, SEED = 500, 16, 256, 1.0, 42

MSE, MS_SSIM, LPIPS, PERCEPTION = "mse", "ms-ssim", "lpips", "perception"
NOISE, SYMBOLS = "noise", "symbols"


@dataclass(frozen=True)
class BackboneDefaults:
    """alpha, beta     presets of ``licodec.networks.adapter_sets``
    ms_ssim         that for alpha where MS-SSIM is the loss; None where it is the same
    learning_rate   of Adam, falling to 0 as a cosine
    lambdas         of the loss mse
    rate_of         what a step counts the bits of, NOISE as published or SYMBOLS
    """

    alpha: str
    beta: str
    learning_rate: float
    lambdas: LambdaRange
    rate_of: str = NOISE
    ms_ssim: str | None = None

    def alpha_for(self, loss: str) -> str:
        """The preset for alpha under `loss`."""
        return self.ms_ssim or self.alpha if loss == MS_SSIM else self.alpha


_USUAL, _TCM = (
    LambdaRange(registry.BACKBONES[name].lagrangian, least)
    for name, least in (("stf", 0.0018), ("tcm", 0.0025))
)

BACKBONES = {
    # Ours: its convolutional branches are trained as those of cheng-attn, but on symbols: its
    # encoder prefers smaller ones, which noise knows nothing of.
    "lite": BackboneDefaults(
        "lite_8_1_all", "adapt_lite_8_1_perceptual", 1e-4, _USUAL, SYMBOLS, "lite_8_1_ms_ssim"
    ),
    "stf": BackboneDefaults("stf_8_8_all", "adapt_stf_8_8_all", 1e-5, _USUAL),
    "tcm": BackboneDefaults("tcm_8_1_all", "adapt_tcm_8_1_all", 1e-4, _TCM),
    # Unpublished; its network is TCM's and its anchor was trained at TCM's lambda.
    "icm": BackboneDefaults("tcm_8_1_all", "adapt_tcm_8_1_all", 1e-4, _TCM),
    "cheng-attn": BackboneDefaults("cheng_8_1_all", "adapt_cheng_8_1_all", 1e-4, _USUAL),
}

# Of the other losses; those of perceptual ones weigh the rate and grow with alpha.
LAMBDAS = {
    MS_SSIM: LambdaRange(60.5, 2.40),
    LPIPS: LambdaRange(0.048, 1.28),
    PERCEPTION: LambdaRange(0.048, 1.28),
}
