"""The published backbones by name: how a checkpoint of each is told, and its network built.

A network's hyper-parameters are read off the shapes of its state dict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from licodec.networks.adapter_sets import ALPHA, BETA, PRESETS
from licodec.networks.cheng_attn import ChengConfig, ChengNetwork
from licodec.networks.published import PublishedNetwork
from licodec.networks.stf import StfConfig, StfNetwork
from licodec.networks.tcm import TcmConfig, TcmNetwork

Shapes = Mapping[str, tuple[int, ...]]  # of a state dict, by key

ICM_WIDTH = 128
LARGEST_WIDTH = 4096  # channels; far beyond any published network
UNPUBLISHED = 1.0  # the largest gain of a kind of set that nobody has published
MOST_SLICES = 64  # likewise


class SizeError(ValueError):
    """A state dict from whose shapes no network's size can be read; the message says why."""


@dataclass(frozen=True)
class Backbone:
    """One published backbone.

    marks       keys that only its state dicts have, in every layout
    build       from shapes, the network without its weights; raises SizeError
    largest     the largest gain of its adapters, by rate mode
    lagrangian  lambda of the loss lambda * 255^2 * MSE + bpp that its anchor is trained for
    """

    name: str
    marks: tuple[str, ...]
    build: Callable[[str, Shapes], PublishedNetwork]
    largest: Mapping[str, float]
    lagrangian: float


def _size(shapes: Shapes, key: str, dimensions: int) -> int:
    """The first dimension of the parameter `key`, which must have `dimensions`."""
    shape = shapes.get(key)
    if shape is None:
        raise SizeError(f"{key} is missing")
    if len(shape) != dimensions or not 1 <= shape[0] <= LARGEST_WIDTH:
        raise SizeError(f"{key} has the shape {shape}, which is none of this backbone's")
    return shape[0]


def _multiple(value: int, unit: int, key: str) -> int:
    if value % unit:
        raise SizeError(f"{key} has {value} channels, which are not a multiple of {unit}")
    return value


def _stf(name: str, shapes: Shapes) -> StfNetwork:
    return StfNetwork(name, StfConfig())


def _tcm(name: str, shapes: Shapes) -> TcmNetwork:
    width_key = "g_a.1.trans_block.ln1.weight"
    width = _multiple(_size(shapes, width_key, 1), 32, width_key)
    pattern = re.compile(r"lrp_transforms\.(\d+)\.0\.weight")
    indexes = {int(m[1]) for m in map(pattern.fullmatch, shapes) if m}
    slices = len(indexes) or TcmConfig.slices
    latents_key = "g_a.9.weight"
    latents = _size(shapes, latents_key, 4)
    if slices > min(latents, MOST_SLICES):
        raise SizeError(f"{slices} slices of {latents} latents are too many")
    return TcmNetwork(name, TcmConfig(width, _multiple(latents, slices, latents_key), slices))


def _cheng(name: str, shapes: Shapes) -> ChengNetwork:
    key = "g_a.0.gdn.beta"
    return ChengNetwork(name, ChengConfig(_multiple(_size(shapes, key, 1), 6, key)))


def _tcm_family(name: str) -> Backbone:
    marks = (
        "g_a.1.trans_block.ln1.weight",
        "atten_mean.0.0.in_conv.weight",
        "atten_scale.0.0.in_conv.weight",
    )
    largest = {ALPHA: PRESETS["tcm_8_1_all"].largest, BETA: UNPUBLISHED}
    return Backbone(name, marks, _tcm, largest, 0.05)


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            "stf",
            (
                "patch_embed.proj.weight",
                "end_conv.0.weight",
                "syn_layers.0.blocks.0.norm1.weight",
            ),
            _stf,
            {
                ALPHA: PRESETS["stf_8_8_all"].largest,
                BETA: PRESETS["adapt_stf_8_8_all"].largest,
            },
            0.0483,
        ),
        _tcm_family("tcm"),
        _tcm_family("icm"),
        Backbone(
            "cheng-attn",
            ("g_a.3.conv_a.0.conv.0.weight", "g_s.0.conv_a.0.conv.0.weight"),
            _cheng,
            {ALPHA: PRESETS["cheng_8_1_all"].largest, BETA: UNPUBLISHED},
            0.0483,
        ),
    )
}


OTHER_NAMES = {"cheng": "cheng-attn", "cheng2020-attn": "cheng-attn"}


def same_network(a: str, b: str) -> bool:
    """Whether two backbones differ in size only, as `tcm` and `icm` do."""
    return BACKBONES[a].build is BACKBONES[b].build


def recognise(shapes: Shapes) -> str | None:
    """The name of the backbone whose state dict has these keys, or None."""
    for backbone in BACKBONES.values():
        if any(mark in shapes for mark in backbone.marks):
            if backbone.build is _tcm:
                width = shapes.get("g_a.1.trans_block.ln1.weight")
                return "icm" if width == (ICM_WIDTH,) else "tcm"
            return backbone.name
    return None
