"""Adapter sets: which layers of which backbone get a branch, as data.

One mechanism serves every backbone. The published configurations are in ``PRESETS``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

import torch
from torch import nn

from licodec.errors import BadInputError, UsageError
from licodec.networks.adapter_branches import Adapted, Gain, adapted
from licodec.rate.gains import ALPHA, BETA, MODES

Whole = TypeVar("Whole", bound=nn.Module)


@dataclass(frozen=True)
class AdapterSet:
    """One set of adapters.

    mode     the rate mode that scales it, "alpha" or "beta"
    rank     channels in the middle of every branch
    largest  the gain at a value of 1 of the mode
    layers   the names of the adapted layers: patterns, matched part by part between dots
    d        at a value of 1 of the mode, d**value below it: 1 leaves d alone
    step_shares  how much of d - 1 the steps of each slice take, at every position alike;
             without any, steps are AQVR's. A set for beta, beside one for alpha that has
             them, states those at beta = 1, or none where beta leaves them alone
    """

    mode: str
    rank: int
    largest: float
    layers: tuple[str, ...]
    d: float = 1.0
    step_shares: tuple[float, ...] = ()

    def to_data(self) -> dict[str, object]:
        """Plain values, for a checkpoint."""
        lists = {"layers": list(self.layers), "step_shares": list(self.step_shares)}
        return asdict(self) | lists

    @classmethod
    def from_data(cls, data: object) -> AdapterSet:
        """The inverse of :meth:`to_data`. Raises BadInputError."""
        match data:
            case {
                "mode": "alpha" | "beta" as mode,
                "rank": int(rank),
                "largest": float(largest),
                "layers": list(layers),
                "d": float(d),
                "step_shares": list(shares),
            } if (
                rank > 0
                and d > 0
                and all(isinstance(layer, str) for layer in layers)
                and all(isinstance(share, float) and 0 <= share <= 1 for share in shares)
            ):
                return cls(mode, rank, largest, tuple(layers), d, tuple(shares))
        raise BadInputError("the description of its adapters is damaged")


_SWIN_MLPS = (
    "layers.*.blocks.*.mlp.fc[12]",
    "syn_layers.*.blocks.*.mlp.fc[12]",
)
_RESIDUAL_CONVOLUTIONS = (
    "g_a.*.conv[12]",
    "g_s.*.conv[12]",
    "g_s.*.subpel_conv",
    "g_s.*.conv",
)
_TCM_LAYERS = (
    *_RESIDUAL_CONVOLUTIONS,
    "g_[as].*.trans_block.mlp.[02]",
    "g_[as].*.conv1_[12]",
    "g_[as].*.conv_block.conv[12]",
)
_CHENG_LAYERS = (*_RESIDUAL_CONVOLUTIONS, "g_[as].*.conv_[ab].[0-2].conv.2")

# `lite` codes DCT coefficients: what a lower rate wants first of all is larger steps, for every
# coefficient alike, and a branch of low rank cannot scale 320 of them by itself, down in the
# analysis and just as much up in the synthesis, at every alpha. So d goes with alpha, and as
# adapters are trained for it anyway, steps are even within a slice: AQVR's finer ones where
# scales are large cost more than they give, the more the larger d is. _LITE_D**alpha and
# _LITE_STEP_SHARES are near what lambda(alpha) wants of the anchor without adapters. The
# branches do the rest where the rate is felt: what the latents before and the hyper-latents
# still tell of means and scales (in the first two slices, which a low rate mostly consists of,
# most), and in the synthesis blocking and lost detail. The analysis is nearly the linear path
# alone.
_LITE_LAYERS = (
    "analysis.nonlinear.*",
    "hyper_analysis.layers.*",
    "hyper_synthesis.layers.*",
    "slice_parameters.[01].head.features.0",
    "slice_parameters.*.head.features.2",
    "slice_parameters.*.head.mean",
    "slice_parameters.*.head.log_scale",
    "residual_predictions.*.layers.2",
    "synthesis.coarse.*",
    "synthesis.coarse.*.spatial",
    "synthesis.seen.1",
    "synthesis.fine.*",
    "synthesis.fine.*.spatial",
)

# The transforms alone, as in the published sets: the entropy model stays the anchor's.
_LITE_TRANSFORMS = (
    "analysis.linear.transform",
    "analysis.nonlinear.*",
    "analysis.nonlinear.*.spatial",
    "synthesis.linear.transform",
    "synthesis.coarse.*",
    "synthesis.coarse.*.spatial",
    "synthesis.coarse.*.pointwise",
    "synthesis.seen.1",
    "synthesis.fine.*",
    "synthesis.fine.*.spatial",
    "synthesis.fine.*.pointwise",
)
_LITE_D = 8.5
_LITE_STEP_SHARES = (0.6, 0.45, 0.52, 0.6, 0.7, 0.85, 1.0)
# MS-SSIM sees contrast and structure over several scales: it wants the coarsest slices, which hold
# means and slow changes, much finer than the others, and forgives the finest more.
_LITE_MS_SSIM_D = 13.8
_LITE_MS_SSIM_STEP_SHARES = (0.11, 0.15, 0.4, 0.81, 0.95, 0.85, 1.0)
# What looks better is much the same: beta leads from the steps for MSE to those for MS-SSIM, with a
# d that leaves the rate about where it is. At alpha = 1 these are the steps of _LITE_D.
_LITE_PERCEPTUAL_STEP_SHARES = (0.35, 0.26, 0.3, 0.35, 0.41, 0.5, 0.59)

PRESETS = {
    "lite_8_1_all": AdapterSet(ALPHA, 8, 1.0, _LITE_LAYERS, _LITE_D, _LITE_STEP_SHARES),
    "lite_8_1_ms_ssim": AdapterSet(
        ALPHA, 8, 1.0, _LITE_LAYERS, _LITE_MS_SSIM_D, _LITE_MS_SSIM_STEP_SHARES
    ),
    "lite_8_1_perceptual": AdapterSet(
        ALPHA, 8, 1.0, _LITE_LAYERS, _LITE_MS_SSIM_D, _LITE_PERCEPTUAL_STEP_SHARES
    ),
    "adapt_lite_8_1_perceptual": AdapterSet(
        BETA, 8, 1.0, _LITE_LAYERS, step_shares=_LITE_MS_SSIM_STEP_SHARES
    ),
    "adapt_lite_8_1_all": AdapterSet(BETA, 8, 1.0, _LITE_LAYERS),
    "lite_8_1_transforms": AdapterSet(ALPHA, 8, 1.0, _LITE_TRANSFORMS, _LITE_D, _LITE_STEP_SHARES),
    "adapt_lite_8_1_transforms": AdapterSet(BETA, 8, 1.0, _LITE_TRANSFORMS),
    "stf_8_8_all": AdapterSet(ALPHA, 8, 8.0, _SWIN_MLPS),
    "adapt_stf_8_8_all": AdapterSet(BETA, 8, 8.0, _SWIN_MLPS),
    "tcm_8_1_all": AdapterSet(ALPHA, 8, 1.0, _TCM_LAYERS),
    "cheng_8_1_all": AdapterSet(ALPHA, 8, 1.0, _CHENG_LAYERS),
    # No set for beta has been published for these.
    "adapt_tcm_8_1_all": AdapterSet(BETA, 8, 1.0, _TCM_LAYERS),
    "adapt_cheng_8_1_all": AdapterSet(BETA, 8, 1.0, _CHENG_LAYERS),
}


def layers_of(network: nn.Module, adapters: AdapterSet) -> Iterator[str]:
    """The layers of `network` that `adapters` puts a branch beside, by plain names.

    Branches that are there already are passed over, adapted layers count as the layers
    they were.
    """
    inside: set[str] = set()
    for name, module in network.named_modules():
        if name.rpartition(".")[0] in inside:
            inside.add(name)
            continue
        if isinstance(module, Adapted):
            inside.add(name)
        if any(_matches(name, pattern) for pattern in adapters.layers):
            yield name


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("."), pattern.split(".")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def attach(network: nn.Module, adapters: AdapterSet) -> int:
    """Put the adapters into `network`; returns how many layers have one.

    Raises UsageError where the set names no layer of the network.
    """
    wanted = list(layers_of(network, adapters))
    count = sum(attach_to_layer(network, layer, adapters) for layer in wanted)
    if count == 0:
        raise UsageError(
            f"adapters: none of {', '.join(adapters.layers)} is a layer of this network"
        )
    return count


def attach_to_layer(network: nn.Module, path: str, adapters: AdapterSet) -> bool:
    """Put the adapter of one layer into `network`; False where it has no such layer or it takes no
    branch."""
    parent_name, _, name = path.rpartition(".")
    try:
        parent = network.get_submodule(parent_name)
        layer = parent.get_submodule(name)
    except AttributeError:
        return False
    if adapters.rank < 1:
        return False
    gain = Gain(adapters.mode, adapters.largest, adapters.d, adapters.step_shares)
    replacement = adapted(layer, adapters.rank, gain)
    if replacement is None:
        return False
    replacement.to(next(layer.parameters())).train(layer.training)
    parent.add_module(name, replacement)
    return True


def gains(network: nn.Module) -> Iterator[Gain]:
    """The gains of all adapters."""
    return (module for module in network.modules() if isinstance(module, Gain))


def modes_of(network: nn.Module) -> tuple[str, ...]:
    """The rate modes of its adapters, in the order of MODES."""
    found = {gain.mode for gain in gains(network)}
    return tuple(mode for mode in MODES if mode in found)


def adapted_layers(network: nn.Module) -> Iterator[tuple[str, Adapted]]:
    """Every adapted layer and its name, the outer one first where two are stacked."""
    return ((n, m) for n, m in network.named_modules() if isinstance(m, Adapted))


def adapter_parameters(network: nn.Module, mode: str) -> Iterable[nn.Parameter]:
    """The parameters of the adapters of one rate mode: what is trained on a frozen network."""
    return (
        parameter
        for _, layer in adapted_layers(network)
        if layer.branch.gain.mode == mode
        for parameter in layer.branch.parameters()
    )


def freeze_all_but(network: nn.Module, mode: str) -> None:
    """Let gradients reach only the adapters of one rate mode."""
    network.requires_grad_(False)
    for parameter in adapter_parameters(network, mode):
        parameter.requires_grad_(True)


def plain(module: nn.Module) -> nn.Module:
    """A module without the branches around it."""
    while isinstance(module, Adapted):
        module = module.layer
    return module


def anchor_of(network: Whole) -> Whole:
    """A copy in evaluation mode, on the CPU, without adapters."""

    def strip(module: nn.Module) -> None:
        for name, child in list(module.named_children()):
            setattr(module, name, plain(child))
            strip(plain(child))

    anchor = copy.deepcopy(network).cpu().eval()
    strip(anchor)
    return anchor


@torch.no_grad()
def on_trunk(network: Whole, trunk: Whole) -> Whole:
    """A copy of `network`, which has adapters, whose other weights are those of `trunk`, a network
    of the same form without any."""
    network = copy.deepcopy(network)
    for name, values in (*trunk.named_parameters(), *trunk.named_buffers()):
        path, _, leaf = name.rpartition(".")
        getattr(plain_submodule(network, path), leaf).copy_(values)
    return network


def plain_path(module: nn.Module, path: str) -> tuple[str, bool]:
    """Where what is at `path` in `module` is without adapters, and whether it is part of a branch,
    which is where its layer's weights are."""
    names: list[str] = []
    for name in path.split("."):
        if not isinstance(module, Adapted):
            names.append(name)
        elif name == module.names[1]:
            return ".".join((*names, *module.branch.WEIGHTED)), True
        module = getattr(module, name)
    return ".".join(names), False


def plain_submodule(module: nn.Module, path: str) -> nn.Module:
    """What is at `path` in `module` without adapters, where `module` may have them."""
    for name in path.split("."):
        module = plain(getattr(plain(module), name))
    return module


@torch.no_grad()
def merge(network: nn.Module) -> None:
    """Fold every adapter of `network` at its largest gain into its layer, in place.

    This is the first step of two-step training: afterwards the network has the plain
    layout, and its anchor is what alpha = 1 was. Raises UsageError where a d other than 1
    goes with the adapters, which no layer can take in.
    """
    if any(gain.d != 1 for gain in gains(network)):
        raise UsageError("adapters that go with a d of their own cannot be merged")
    found = dict(adapted_layers(network))
    for name, outer in found.items():
        parent, _, child = name.rpartition(".")
        if parent in found:
            continue  # the inner one of two, folded with the outer one
        layer: nn.Module = outer
        branches = []
        while isinstance(layer, Adapted):
            branches.append(layer.branch)
            layer = layer.layer
        weighted = layer.get_submodule(".".join(outer.branch.WEIGHTED))
        for branch in branches:
            branch.folded_into(weighted)
        network.get_submodule(parent).add_module(child, layer)
