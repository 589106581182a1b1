"""The float network of `lite` out of a pack: what adapters are trained on and compiled against.

The network computes what the pack's programs do, but for the rounding of activations. See
:mod:`licodec.compiler.recovery`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from licodec.compiler.forms import Output
from licodec.compiler.recovery import Convolved, recover
from licodec.entropy.tables import TOTAL, FrequencyTables
from licodec.errors import BadInputError
from licodec.networks.entropy_models import EntropyBottleneck
from licodec.networks.lite import PIXEL_UNIT, LiteConfig, LiteNetwork
from licodec.packing.exact_form import Calibrated, Ranges, Value, calibrate, shift_pixels
from licodec.packing.lite import HYPER_LATENTS, LiteForm
from licodec.packing.programs import source_of
from licodec.packs import Pack

USUAL_REACH = 8.0  # of values that a network's layers are free to scale
PRIOR_STEPS, PRIOR_LEARNING_RATE = 300, 0.05
LITE = "lite"


@dataclass(frozen=True)
class RecoveredLite:
    """`lite` as a pack has it.

    network  the float network, whose weights are the pack's integers in their steps
    ranges   of the nodes of its parts, pixels counted from 0, by program: with them
             ``compiled.compile_network`` gives the pack's grids
    widths   bits of a weight by "program.layer"
    """

    network: LiteNetwork
    ranges: Mapping[str, Ranges]
    widths: Mapping[str, int]


def recover_lite(
    pack: Pack,
    like: LiteNetwork | None = None,
    config: LiteConfig | None = None,
    activation_bits: int = 12,
) -> RecoveredLite:
    """The network of `pack`, made with `activation_bits`.

    What a network may scale freely between its layers is scaled as in `like`, which is of nearly
    the same weights, so that adapters of one fit the other; without it, every such value reaches
    to 8. Raises BadInputError where the pack is not one of `lite`, of this configuration.
    """
    if pack.backbone != LITE:
        raise BadInputError(f"the pack {pack.title} is not of lite")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = LiteNetwork(config or (like.config if like else None)).eval()
        sample = torch.rand(1, 3, network.ALIGNMENT, network.ALIGNMENT)
    if tuple(network.config.slices) != tuple(s.stop - s.start for s in pack.schedule.slices):
        raise BadInputError(f"the pack {pack.title} is of a lite with other slices")
    form = LiteForm(network)
    template = calibrate(form, [sample], [{"d": 1.0}])
    reference = {} if like is None else LiteForm(like).parts()
    target = _Recovering(pack, form, template, activation_bits, reference)
    try:
        form.connect(target, HYPER_LATENTS)
    except BadInputError as error:
        raise BadInputError(f"the pack {pack.title}: {error}") from None
    shift_pixels(network.synthesis, -127.5 / PIXEL_UNIT)
    network.entropy_bottleneck = fitted_prior(network.entropy_bottleneck, pack.tables.hyper)
    return RecoveredLite(network, target.ranges, target.widths)


@dataclass
class _Recovering:
    """Recovers every part, in coding order, into the network of `form`."""

    pack: Pack
    form: LiteForm
    template: Mapping[str, Calibrated]
    activation_bits: int
    reference: Mapping[str, torch.nn.Module]
    ranges: dict[str, Ranges] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)

    def add(
        self, name: str, inputs: Mapping[str, Value], outputs: Mapping[str, Output]
    ) -> dict[str, Value]:
        part, module = self.template[name], self.reference.get(name)

        def scaled_as_like(own: Convolved, highest: int) -> float:
            if module is None:
                return USUAL_REACH / highest
            weight = module.get_submodule(own.layer).get_parameter("weight")
            wanted = weight.detach().double().numpy()
            return float((wanted * own.weight).sum() / np.square(own.weight).sum())

        found = recover(
            source_of(name, inputs, outputs),
            part.traced,
            part.ranges,
            self.activation_bits,
            self.form.TABLES,
            {},
            self.pack.programs[name],
            self.pack.tensors,
            scaled_as_like,
        )
        own = self.form.parts()[name]
        with torch.no_grad():
            for layer, (weight, bias) in found.weights.items():
                parameters = dict(own.get_submodule(layer).named_parameters())
                parameters["weight"].copy_(weight)
                if "bias" in parameters:
                    parameters["bias"].copy_(bias)
        self.widths |= {f"{name}.{k}": self.pack.widths[t] for k, t in found.tensors.items()}
        self.ranges[name] = _with_concatenations(part, found.ranges)
        # `connect` knows how many channels they have.
        return {port: Value.on(grid, 1) for port, grid in found.output_grids.items()}


def _with_concatenations(part: Calibrated, ranges: Ranges) -> Ranges:
    """`ranges`, with those of nodes that have no grid of their own: of what they are made of."""
    found = dict(ranges)
    for node in part.traced.graph.nodes:
        if node.name in part.ranges and node.name not in found:
            own = [found[operand.name] for operand in node.all_input_nodes]
            found[node.name] = min(low for low, _ in own), max(high for _, high in own)
    return found


def fitted_prior(prior: EntropyBottleneck, tables: FrequencyTables) -> EntropyBottleneck:
    """A copy of `prior` whose masses are nearly the frequencies of `tables`, one per channel."""
    prior = copy.deepcopy(prior).double()
    longest = int(tables.lengths.max()) - 1
    wanted = torch.zeros(prior.channels, longest, dtype=torch.float64)  # (Z, n)
    for row, frequencies in zip(wanted, tables.frequencies, strict=True):
        row[: len(frequencies) - 1] = torch.from_numpy(frequencies[:-1] / TOTAL)
    places = torch.from_numpy(tables.offsets)[:, None] + torch.arange(longest)
    planes = places[None, :, None].double()  # (1, Z, 1, n)

    def bits() -> Tensor:
        return -(wanted * prior.likelihood(planes)[0, :, 0].log2()).sum()

    with torch.enable_grad():
        optimizer = torch.optim.Adam(prior.parameters(), PRIOR_LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, PRIOR_STEPS)
        for _ in range(PRIOR_STEPS):
            optimizer.zero_grad()
            torch.autograd.backward(bits())
            optimizer.step()
            schedule.step()
    return prior.float().eval()
