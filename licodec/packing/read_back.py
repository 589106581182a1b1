"""The float network of a pack that keeps it, see :mod:`licodec.packing.kept`: it computes what the
pack's programs do, but for the rounding of activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from licodec.compiler.forms import Calibrated
from licodec.compiler.graphs import trace
from licodec.errors import BadInputError
from licodec.exact.program import Operation, Tensors
from licodec.networks.conditions import Conditioned
from licodec.networks.layers import bias_of
from licodec.networks.network import Network
from licodec.packing.kept import CENTRE, CONFIG_KEY, KEPT, KeptForm, conditions
from licodec.packing.programs import Packing
from licodec.packing.registry import BACKBONES
from licodec.packs import Pack


@dataclass(frozen=True)
class ReadBack:
    """A network as a pack has it.

    network  whose weights are the pack's integers in their steps
    parts    its parts with the ranges that give the pack's grids, by program
    widths   bits of a weight by "program.layer"
    """

    network: Network
    parts: Mapping[str, Calibrated]
    widths: Mapping[str, int]


def read_back(pack: Pack) -> ReadBack:
    """The network of `pack`, in evaluation mode, at its anchor. Raises BadInputError for a pack
    that does not keep it."""
    try:
        own = BACKBONES[pack.backbone]
        with torch.random.fork_rng(devices=[]):
            network = own.build(own.name, {}, pack.card[CONFIG_KEY]).eval()
        form = own.form(network)
        if not isinstance(form, KeptForm):
            raise TypeError(f"packs of {own.name} never do")
        return _read(form, pack)
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise BadInputError(f"the pack {pack.title} does not keep its float network") from None


@torch.no_grad()
def _read(form: KeptForm, pack: Pack) -> ReadBack:
    """Sets the network of `form`, too."""
    parts = {name: _calibrated(name, part, pack.tensors) for name, part in form.parts().items()}
    # With other weights the same grids, which is what the pack's integers are read with.
    template = Packing(form, parts, form.standard_width)
    form.connect(template, form.hyper_grid(parts))
    widths = {}
    for name, part in form.parts().items():
        for path, layer in part.named_modules():
            if isinstance(layer, nn.Conv2d):
                own = template.layers[f"{name}.{path}"]
                convolved, requantized = pack.programs[name].operations[own.operation :][:2]
                total = pack.tensors[f"{KEPT}{name}.{path}.total"].astype(np.float64)
                _read_layer(layer, convolved, total, own.operand, pack.tensors)
                if own.condition is not None:
                    condition = part.get_submodule(own.condition)
                    gain = requantized, own.result / total
                    _read_condition(layer, condition, convolved, total, *gain, pack.tensors)
                widths[f"{name}.{path}"] = pack.widths[convolved.tensors["weight"]]
    for parameter, values in form.prior.named_parameters():
        values.copy_(torch.from_numpy(pack.tensors[f"{KEPT}prior.{parameter}"]))
    form.read_rest(pack)
    form.shift_pixels(-CENTRE)
    return ReadBack(form.network, parts, widths)


def _calibrated(name: str, part: nn.Module, tensors: Tensors) -> Calibrated:
    """A part of a network with the ranges that a pack keeps of it."""
    traced, rows = trace(part), tensors[f"{KEPT}{name}.ranges"].astype(float).tolist()
    named = zip((node.name for node in traced.graph.nodes), rows, strict=True)
    return Calibrated(traced, {n: (low, high) for n, (low, high) in named if low <= high})


def _read_layer(
    layer: nn.Conv2d, convolved: Operation, total: np.ndarray, operand: np.ndarray, tensors: Tensors
) -> None:
    """Set a convolution to what an operation's integers stand for, whose sums and operand count
    `total` and `operand`."""
    scale = (total[:, None] / operand)[:, :, None, None]
    layer.weight.copy_(torch.from_numpy(tensors[convolved.tensors["weight"]] * scale))
    if layer.bias is not None and (bias := convolved.tensors["bias"]) in tensors:
        layer.bias.copy_(torch.from_numpy(tensors[bias] * total))


def _read_condition(
    layer: nn.Conv2d,
    condition: nn.Module,
    convolved: Operation,
    total: np.ndarray,
    requantized: Operation,
    unit: np.ndarray,
    tensors: Tensors,
) -> None:
    """The same of the condition behind it; its gains count `unit`."""
    offsets = torch.from_numpy(conditions(convolved.tensors["bias"], tensors) * total)
    bias_of(layer).copy_(offsets.mean(0))
    condition.get_parameter("offset").copy_(offsets - offsets.mean(0))
    if isinstance(condition, Conditioned):
        multiplier = requantized.tensors["multiplier"]
        gains = conditions(multiplier, tensors) * tensors[multiplier] * unit
        condition.log_gain.copy_(torch.from_numpy(gains).clamp_min(1e-9).log())
