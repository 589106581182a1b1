"""A network of `lite`'s form, small enough to compile in a test, with random weights."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import torch

from licodec.networks.adapter_sets import PRESETS, adapted_layers, attach
from licodec.networks.lite import LiteConfig, LiteNetwork
from licodec.packing.compiled import (
    CalibratedNetwork,
    calibrate_network,
    compile_network,
)
from licodec.packs import Pack

CONFIG = LiteConfig(
    slices=(3, 8, 21),
    hyper_latents=50,
    hyper_features=10,
    widths=(8, 12, 16),
    analysis_units=(1, 1, 1),
    synthesis_units=(1, 1, 1),
    context_width=12,
    context_features=9,
)


@cache
def network() -> LiteNetwork:
    torch.manual_seed(7)
    return LiteNetwork(CONFIG).eval()


def pictures() -> list[torch.Tensor]:
    """Smooth pictures with some noise, (1, 3, 64, 128) in [0, 1]."""
    generator = torch.Generator().manual_seed(3)
    across = torch.linspace(0, 1, 128).expand(64, 128)
    down = torch.linspace(0, 1, 64)[:, None].expand(64, 128)
    smooth = torch.stack([across, down, 1 - across * down])[None]
    noise = torch.rand((1, 3, 64, 128), generator=generator)
    return [smooth, (0.8 * smooth + 0.2 * noise), noise]


@cache
def pack() -> Pack:
    return _compiled(calibrate_network(network(), pictures()))


def _compiled(calibrated: CalibratedNetwork) -> Pack:
    return compile_network(calibrated, plan_name="standard", card={"name": "tiny"})


SETS = {  # presets of adapter sets by objective
    "mse": ("lite_8_1_all",),
    "ms-ssim": ("lite_8_1_transforms",),
    "perceptual": ("lite_8_1_perceptual", "adapt_lite_8_1_perceptual"),
}


def adapted_network(*presets: str, seed: int = 5, size: float = 0.05) -> LiteNetwork:
    """The network with adapter sets whose every parameter is random, of deviation `size`."""
    adapted = copy.deepcopy(network())
    torch.manual_seed(seed)
    for name in presets:
        shares = PRESETS[name].step_shares[-len(adapted.config.slices) :]
        attach(adapted, replace(PRESETS[name], step_shares=shares))
    with torch.no_grad():
        for _, layer in adapted_layers(adapted):
            for parameter in layer.branch.parameters():
                parameter.copy_(size * torch.randn_like(parameter))
    return adapted


@cache
def adapted_pack() -> Pack:
    """A pack with an adapter set for each of SETS; its anchor is that of :func:`anchor_pack`."""
    adapted = {
        objective: adapted_network(*presets, seed=seed)
        for seed, (objective, presets) in enumerate(SETS.items())
    }
    return _compiled(calibrate_network(network(), pictures()[1:2], adapted))


@cache
def anchor_pack() -> Pack:
    return _compiled(calibrate_network(network(), pictures()[1:2]))
