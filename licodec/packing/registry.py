"""Every backbone in one record: what its checkpoints look like, its network, its exact form, how
plans are searched for it, and how packs of it are made and read back.

The hyper-parameters of a published network are read off the shapes of its state dict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from licodec.networks.adapter_sets import PRESETS
from licodec.networks.base import BaseNetwork
from licodec.networks.base_transforms import BaseConfig
from licodec.networks.cheng_attn import ChengConfig, ChengNetwork
from licodec.networks.entropy_models import DISTORTION_WEIGHT
from licodec.networks.lite import LiteConfig, LiteNetwork
from licodec.networks.network import Network
from licodec.networks.stf import StfConfig, StfNetwork
from licodec.networks.tcm import TcmConfig, TcmNetwork
from licodec.packing.base import BaseForm
from licodec.packing.exact_form import ExactForm
from licodec.packing.lite import LiteForm
from licodec.packing.published import SlicedForm, WavefrontForm
from licodec.rate.gains import ALPHA, BETA

Shapes = Mapping[str, tuple[int, ...]]  # of a state dict, by key
Stated = Mapping[str, object]  # hyper-parameters that a training state names

ICM_WIDTH = 128
LARGEST_WIDTH = 4096  # channels; far beyond any published network
UNPUBLISHED = 1.0  # the largest gain of a kind of set that nobody has published
MOST_SLICES = 64  # likewise


class SizeError(ValueError):
    """A state dict from whose shapes no network's size can be read; the message says why."""


@dataclass(frozen=True)
class Backbone:
    """One backbone, all of it that making packs takes.

    name      of it in packs and commands
    marks     keys that only its state dicts have, in every layout
    build     from shapes and what a training state names, the network without its weights;
              raises SizeError
    form      its network's exact form
    largest   the largest gain of adapters that a checkpoint does not describe, by rate mode; None
              where it describes its own
    lagrangian  lambda of the loss lambda * 255^2 * MSE + bpp that its anchor is trained for
    trial_ds  the d of a search's trials
    distortion_weight  bits that an error of one quantization step is worth to the encoder, which
              then also has its tables fitted; None: symbols are rounded, tables are the prior's
    """

    name: str
    marks: tuple[str, ...]
    build: Callable[[str, Shapes, Stated], Network]
    form: Callable[[Network], ExactForm]
    largest: Mapping[str, float] | None = None
    lagrangian: float = 0.0483
    trial_ds: tuple[float, ...] = (1.0,)
    distortion_weight: float | None = None

    @property
    def ours(self) -> bool:
        """Whether it is a backbone of our own: its checkpoints describe their adapters, and its
        packs keep their float network."""
        return self.largest is None


def _ours(
    network: Callable[[Any], Network], config: Callable[..., Any], name: str, shapes: Shapes,
    stated: Stated,
) -> Network:  # fmt: skip
    lists = {key: tuple(v) if isinstance(v, list) else v for key, v in stated.items()}
    try:
        return network(config(**lists))
    except (TypeError, ValueError) as error:
        raise SizeError(f"its hyper-parameters are another network's ({error})") from None


def _size(shapes: Shapes, key: str, dimensions: int, unit: int = 1) -> int:
    """The first dimension, a multiple of `unit`, of the parameter `key`, which must have so many
    `dimensions`."""
    shape = shapes.get(key)
    if shape is None:
        raise SizeError(f"{key} is missing")
    if len(shape) != dimensions or not 1 <= shape[0] <= LARGEST_WIDTH:
        raise SizeError(f"{key} has the shape {shape}, which is none of this backbone's")
    if shape[0] % unit:
        raise SizeError(f"{key} has {shape[0]} channels, which are not a multiple of {unit}")
    return shape[0]


def _stf(name: str, shapes: Shapes, stated: Stated) -> StfNetwork:
    return StfNetwork(name, StfConfig())


def _tcm(name: str, shapes: Shapes, stated: Stated) -> TcmNetwork:
    width = _size(shapes, "g_a.1.trans_block.ln1.weight", 1, 32)
    pattern = re.compile(r"lrp_transforms\.(\d+)\.0\.weight")
    indexes = {int(m[1]) for m in map(pattern.fullmatch, shapes) if m}
    slices = len(indexes) or TcmConfig.slices
    latents_key = "g_a.9.weight"
    latents = _size(shapes, latents_key, 4)
    if slices > min(latents, MOST_SLICES):
        raise SizeError(f"{slices} slices of {latents} latents are too many")
    return TcmNetwork(name, TcmConfig(width, _size(shapes, latents_key, 4, slices), slices))


def _cheng(name: str, shapes: Shapes, stated: Stated) -> ChengNetwork:
    return ChengNetwork(name, ChengConfig(_size(shapes, "g_a.0.gdn.beta", 1, 6)))


TCM_MARKS = (
    "g_a.1.trans_block.ln1.weight",
    "atten_mean.0.0.in_conv.weight",
    "atten_scale.0.0.in_conv.weight",
)
TCM_LARGEST = {ALPHA: PRESETS["tcm_8_1_all"].largest, BETA: UNPUBLISHED}
# The coarsest slices and the hyper-latents are felt at a low rate, the finest at a high one.
OUR_TRIALS = (1.0, 6.0)

BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            "lite",
            ("analysis.linear.transform.weight",),
            partial(_ours, LiteNetwork, LiteConfig),
            LiteForm,
            trial_ds=OUR_TRIALS,
            distortion_weight=DISTORTION_WEIGHT,
        ),
        Backbone(
            "base",
            ("step_parameters.0.enter.weight",),
            partial(_ours, BaseNetwork, BaseConfig),
            BaseForm,
            trial_ds=OUR_TRIALS,
            distortion_weight=DISTORTION_WEIGHT,
        ),
        Backbone(
            "stf",
            ("patch_embed.proj.weight", "end_conv.0.weight", "syn_layers.0.blocks.0.norm1.weight"),
            _stf,
            SlicedForm,
            {ALPHA: PRESETS["stf_8_8_all"].largest, BETA: PRESETS["adapt_stf_8_8_all"].largest},
        ),
        Backbone("tcm", TCM_MARKS, _tcm, SlicedForm, TCM_LARGEST, 0.05),
        Backbone("icm", TCM_MARKS, _tcm, SlicedForm, TCM_LARGEST, 0.05),
        Backbone(
            "cheng-attn",
            ("g_a.3.conv_a.0.conv.0.weight", "g_s.0.conv_a.0.conv.0.weight"),
            _cheng,
            WavefrontForm,
            {ALPHA: PRESETS["cheng_8_1_all"].largest, BETA: UNPUBLISHED},
        ),
    )
}
PUBLISHED = tuple(name for name, own in BACKBONES.items() if not own.ours)


def form_of(network: Network) -> ExactForm:
    """The exact form of a network of one of the backbones."""
    return BACKBONES[network.backbone].form(network)


OTHER_NAMES = {"cheng": "cheng-attn", "cheng2020-attn": "cheng-attn"}


def same_network(a: str, b: str) -> bool:
    """Whether two backbones differ in size only, as `tcm` and `icm` do."""
    return BACKBONES[a].marks == BACKBONES[b].marks


def recognise(shapes: Shapes) -> str | None:
    """The name of the backbone whose state dict has these keys, or None."""
    for backbone in BACKBONES.values():
        if any(mark in shapes for mark in backbone.marks):
            icm = backbone.name == "tcm" and shapes.get(TCM_MARKS[0]) == (ICM_WIDTH,)
            return "icm" if icm else backbone.name
    return None
