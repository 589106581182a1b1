"""Published networks with few channels, random weights and fractional medians."""

from __future__ import annotations

import copy
from functools import cache
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from licodec.images import Picture
from licodec.networks import stf, tcm
from licodec.networks.adapter_sets import PRESETS, adapted_layers, attach
from licodec.networks.cheng_attn import ChengConfig, ChengNetwork
from licodec.networks.published import PublishedNetwork, SlicedNetwork
from licodec.packing.compiled import calibrate_network, compile_network
from licodec.packs import Pack

SLICES = 4


def build_stf() -> SlicedNetwork:
    widths = {"HYPER_WIDTHS": (64, 48, 32, 24, 16), "CONTEXT_WIDTHS": (24, 16)}
    with mock.patch.multiple(stf, **widths):
        return stf.StfNetwork(config=stf.StfConfig(8, (2, 1, 2, 1), (1, 2, 2, 4), SLICES))


def build_tcm() -> SlicedNetwork:
    return _tcm("tcm", tcm.TcmConfig(16, 32, SLICES, (2, 1, 1), (8, 8, 16)))


def build_icm() -> SlicedNetwork:
    return _tcm("icm", tcm.TcmConfig(16, 16, 2, (1, 1, 1), (8, 8, 16)))


def _tcm(name: str, config: tcm.TcmConfig) -> SlicedNetwork:
    widths = {"HYPER_LATENTS": 16, "CONTEXT_WIDTHS": (24, 16), "ATTENTION_WIDTH": 32,
              "HYPER_HEAD": 8}  # fmt: skip
    with mock.patch.multiple(tcm, **widths):
        return tcm.TcmNetwork(name, config)


def build_cheng() -> ChengNetwork:
    return ChengNetwork(config=ChengConfig(12))


BUILDERS = {"stf": build_stf, "tcm": build_tcm, "icm": build_icm, "cheng-attn": build_cheng}
BACKBONE_OF = {  # by adapter set
    "stf_8_8_all": "stf",
    "tcm_8_1_all": "tcm",
    "cheng_8_1_all": "cheng-attn",
}


@cache
def network(backbone: str) -> PublishedNetwork:
    torch.manual_seed(11)
    built = BUILDERS[backbone]()
    prior = built.entropy_bottleneck
    with torch.no_grad():
        prior.quantiles[:, 0, 1] = torch.linspace(-2.4, 2.6, prior.channels)
        for parameter in (built.h_a[-1].weight, built.h_a[-1].bias):
            parameter *= 20
    return built.eval()


@cache
def adapted_network(*sets: str) -> PublishedNetwork:
    """The network of the sets' backbone with adapters of theirs, none of whose branches is 0."""
    built = copy.deepcopy(network(BACKBONE_OF[sets[0]]))
    for name in sets:
        attach(built, PRESETS[name])
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, layer in adapted_layers(built):
            for parameter in layer.branch.parameters():
                size = 0.04 / layer.branch.gain.largest**0.5
                parameter.copy_(size * torch.randn(parameter.shape, generator=generator))
    return built.eval()


@cache
def adapted_pack(*sets: str) -> Pack:
    built = adapted_network(*sets)
    objective = "perceptual" if "beta" in built.rate_modes else "mse"
    adapted = {objective: built}
    calibrated = calibrate_network(built, pictures(), adapted)
    return compile_network(calibrated, plan_name="standard", card={"name": "tiny"})


def pictures() -> list[Tensor]:
    """Smooth pictures with some noise, (1, 3, 128, 128) in [0, 1]."""
    generator = torch.Generator().manual_seed(3)
    across = torch.linspace(0, 1, 128).expand(128, 128)
    smooth = torch.stack([across, across.T, 1 - across * across.T])[None]
    noise = torch.rand((1, 3, 128, 128), generator=generator)
    return [0.9 * smooth + 0.1 * noise, noise]


@cache
def pack(backbone: str, width: int = 8) -> Pack:
    calibrated = calibrate_network(network(backbone), pictures())
    return compile_network(
        calibrated, plan_name="standard", card={"name": "tiny"}, widths=lambda _: width
    )


def picture(height: int, width: int) -> Picture:
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(4).normal(0, 12, (height, width, 3))
    smooth = np.stack([rows * 1.2, columns, 200 - rows * columns / 200], 2)
    return Picture((smooth + noise).clip(0, 255).astype(np.uint8))
