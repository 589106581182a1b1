"""The float network of a pack of `base`: what packs keep so that it can be read back, and how.

A pack's integers say everything but what they count in. Packs of `base` hold that too, as tensors
`float.*` that decoders ignore.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from licodec.compiler.graphs import trace
from licodec.errors import BadInputError
from licodec.exact.program import Operation, Tensors
from licodec.networks.base import BaseNetwork
from licodec.networks.base_transforms import PIXEL_UNIT, BaseConfig
from licodec.networks.conditions import Conditioned, ConditionedOffset
from licodec.networks.layers import bias_of
from licodec.packing.base import CONFIG_KEY, KEPT, MSE, BaseForm, steps_of
from licodec.packing.exact_form import shift_pixels
from licodec.packs import Pack
from licodec.rate.conditions import PREFIX


@torch.no_grad()
def recover_base(pack: Pack) -> BaseNetwork:
    """The float network of a pack, to the precision of its integers. Raises BadInputError for a
    pack that does not keep it."""
    if CONFIG_KEY not in pack.card or f"{KEPT}prior" not in pack.tensors:
        raise BadInputError(f"the pack {pack.title} does not keep its float network")
    network = BaseNetwork(BaseConfig.stated(pack.card[CONFIG_KEY])).eval()
    for name, part in BaseForm(network).parts().items():
        program = pack.programs[name]
        made = {o.output: o for o in program.operations}
        readers = {o.inputs[0]: o for o in program.operations if o.kind == "requantize"}
        sums = [o for o in made.values() if o.kind == "conv2d"]
        graph = trace(part, BaseForm.LEAVES).graph
        for operation, (layer, convolution, condition) in zip(
            sums, _convolutions(graph, part), strict=True
        ):
            requantize, layer = readers[operation.output], f"{name}.{layer}"
            _recover(layer, convolution, condition, operation, requantize, pack.tensors)
    shift_pixels(network.synthesis, -127.5 / PIXEL_UNIT)
    for name, module, grid in steps_of(network):
        module.log_steps.copy_(torch.from_numpy(_both(name, pack.tensors) * grid.step).log())
    network.prior.table.copy_(torch.from_numpy(pack.tensors[f"{KEPT}prior"]))
    return network


def _convolutions(
    graph: torch.fx.Graph, module: nn.Module
) -> Iterator[tuple[str, nn.Conv2d, Conditioned | ConditionedOffset | None]]:
    """Path, convolution and condition of each, in the order in which a program has them."""
    modules = dict(module.named_modules())
    for node in graph.nodes:
        own = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(own, nn.Conv2d):
            users = [modules.get(str(user.target)) for user in node.users]
            found = [m for m in users if isinstance(m, Conditioned | ConditionedOffset)]
            yield str(node.target), own, found[0] if len(users) == 1 and found else None


def _recover(
    name: str,
    convolution: nn.Conv2d,
    condition: Conditioned | ConditionedOffset | None,
    operation: Operation,
    requantize: Operation,
    tensors: Tensors,
) -> None:
    """Set a convolution, and the condition behind it, to what the pack's integers stand for."""
    kinds = ("operand", "total", "result")
    operand, total, result = (tensors[f"{KEPT}{name}.{k}"].astype(np.float64) for k in kinds)
    weight = tensors[operation.tensors["weight"]].astype(np.float64)
    weight = weight * (total[:, None] / operand[None, :])[:, :, None, None]
    convolution.weight.copy_(torch.from_numpy(weight))
    if condition is None:
        if convolution.bias is not None:
            bias = tensors[operation.tensors["bias"]] * total
            convolution.bias.copy_(torch.from_numpy(bias))
        return
    offsets = _both(operation.tensors["bias"], tensors) * total
    bias_of(convolution).copy_(torch.from_numpy(offsets.mean(0)))
    condition.offset.copy_(torch.from_numpy(offsets - offsets.mean(0)))
    if isinstance(condition, Conditioned):
        multiplier = requantize.tensors["multiplier"]
        gains = _both(multiplier, tensors) * tensors[multiplier].astype(np.float64)
        condition.log_gain.copy_(torch.from_numpy(gains * result / total).clamp_min(1e-9).log())


def _both(name: str, tensors: Tensors) -> np.ndarray:
    """A condition's integers in the order of training, squared error first: (2 * knots, C)."""
    return np.concatenate([tensors[f"{MSE}.{name}"], tensors[PREFIX + name]]).astype(np.float64)
