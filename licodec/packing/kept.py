"""What packs of our own backbones have in common: they keep what their integers count in.

Rounding aside, such a pack holds the network that it was made of, and whoever has no other copy of
that can train adapters on it, or make further sets for the pack, on the very integers that decode
its files (:mod:`licodec.packing.read_back`). What is kept are tensors that decoders ignore:

    float.PROGRAM.ranges       what the grid of each node should hold, (nodes, 2), or none
    float.PROGRAM.LAYER.total  what the sums of a convolution count in, (channels,)
    float.prior.PARAMETER      of the hyper-latents' prior

The hyper-parameters are in the card.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import asdict, replace

import numpy as np
import torch
from torch import nn

from licodec.compiler.forms import MSE, Calibrated, Grid, Output
from licodec.exact.program import Tensors
from licodec.networks.adapter_sets import plain
from licodec.networks.block_bases import PIXEL_UNIT
from licodec.networks.layers import bias_of
from licodec.packing.exact_form import ExactForm
from licodec.packing.programs import Packing
from licodec.packs import Pack
from licodec.rate.conditions import PREFIX

KEPT = "float."  # begins names of tensors that decoders ignore
CONFIG_KEY = "network"  # of the card
CENTRE = 127.5  # of the levels of 8 bits
NO_RANGE = (math.inf, -math.inf)


class KeptForm(ExactForm):
    """The exact form of a backbone of ours.

    HYPER_LATENTS  the grid of hyper-latents
    """

    FEATURES = ("features", "block_means")
    # 2 * pixel - 255: the centre of the 8-bit range falls between two pixels.
    CENTRED_PIXELS = Grid(0.5 / PIXEL_UNIT, -255, 255)
    # The two paths of the synthesis are summed on a grid of 1/16 level.
    PIXELS = Output(Grid(1 / (16 * PIXEL_UNIT), -(2**15), 2**15 - 1), Grid(1 / PIXEL_UNIT, 0, 255))
    HYPER_LATENTS: Grid

    @property
    @abstractmethod
    def prior(self) -> nn.Module:
        """Of the hyper-latents."""

    def prepare(self) -> None:
        self.shift_pixels(CENTRE)

    @torch.no_grad()
    def shift_pixels(self, levels: float) -> None:
        """Add so many levels to what the last convolution of the synthesis gives: pixels are
        centred in float and count from 0 in packs."""
        for layer in map(plain, self.network.synthesis.get_submodule("fine").children()):
            if isinstance(layer, nn.Conv2d):
                bias_of(layer).add_(levels / PIXEL_UNIT)

    def hyper_grid(self, calibrated: object) -> Grid:
        return self.HYPER_LATENTS

    def completed(self, pack: Pack, packing: Packing) -> Pack:
        kept = {f"prior.{n}": p.detach().numpy() for n, p in self.prior.named_parameters()}
        kept |= {f"{layer}.total": own.total for layer, own in packing.layers.items()}
        kept |= {f"{name}.ranges": _ranges(part) for name, part in packing.calibrated.items()}
        stored = {KEPT + name: values.astype(np.float32) for name, values in kept.items()}
        card = {**pack.card, CONFIG_KEY: asdict(self.network.config)}
        return replace(pack, tensors={**pack.tensors, **stored}, card=card)

    def read_rest(self, pack: Pack) -> None:
        """Set what the network has beside convolutions, their conditions and the prior, to what
        the integers of `pack` stand for."""


def _ranges(part: Calibrated) -> np.ndarray:
    return np.array([part.ranges.get(n.name, NO_RANGE) for n in part.traced.graph.nodes])


def conditions(name: str, tensors: Tensors) -> np.ndarray:
    """A condition's integers in the order of training, squared error first: (2 * knots, C)."""
    return np.concatenate([tensors[f"{MSE}.{name}"], tensors[PREFIX + name]]).astype(np.float64)
