"""zeta_n(b): the change of RD-loss when one layer's weights are quantized.

The network runs in float, layer n with the weights that the compiler would store at b bits:
one step per output channel, chosen by error, over the operand's steps. Every module of the
network that becomes a program is replayed from a recording of the float run: a module whose
inputs did not change gives what it gave, and in the module of layer n only what depends on
layer n is computed. So a trial costs what lies behind the layer, and no backbone has to say
what that is.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx, nn

from licodec.backbones.lite import LiteNetwork
from licodec.backbones.lite_exact import calibrate, parts, sources, standard_widths
from licodec.exact.compiler import Grid, node_grids, operand_steps
from licodec.exact.weight_steps import stored_weight
from licodec.fmpq.allocation import LARGEST_WIDTH, LEAST_WIDTH
from licodec.fmpq.curves import Layer

LAGRANGIAN = 0.0483  # of the anchor that the networks are trained for

Widths = Mapping[str, int]  # bits by "program.layer"; a layer that is not named stays float


@dataclass(frozen=True)
class TrialSettings:
    """How trials are run.

    lagrangian       lambda of the loss lambda * 255^2 * MSE + bpp
    activation_bits  of the grids that weights are quantized over, as the compiler does
    correct_bias     give a quantized layer's channels the means that they had in float
    """

    lagrangian: float = LAGRANGIAN
    activation_bits: int = 12
    correct_bias: bool = True


class Replay(fx.Interpreter):
    """One traced module: its float run recorded, then run again with some weights replaced."""

    def __init__(self, name: str, traced: fx.GraphModule, correct_bias: bool) -> None:
        super().__init__(traced)
        self.name = name
        self.recorded: dict[str, object] = {}  # by node, of the float run
        self.steps: dict[str, Tensor] = {}  # of a convolution's operand by input channel
        self.widths: Mapping[str, int] = {}  # by module path, of the present trial
        self.corrections: dict[str, Tensor] = {}  # (channels,) by module path, of the last one
        self._correct_bias = correct_bias
        self._changed: set[str] = set()
        self._node: fx.Node | None = None

    @property
    def convolutions(self) -> dict[str, nn.Conv2d]:
        """The weighted layers by module path, in graph order."""
        return {str(n.target): m for n, m in self._weighted()}

    def _weighted(self) -> list[tuple[fx.Node, nn.Conv2d]]:
        called = [n for n in self.graph.nodes if n.op == "call_module"]
        found = [(n, self.fetch_attr(str(n.target))) for n in called]
        return [(n, m) for n, m in found if isinstance(m, nn.Conv2d)]

    def forward(self, *inputs: Tensor) -> object:
        self._changed = set()
        self.corrections = {}
        return self.run(*inputs)

    def run_node(self, node: fx.Node) -> object:
        self._node = node
        if node.op in ("placeholder", "output") or node.name not in self.recorded:
            result = super().run_node(node)
            before = self.recorded.setdefault(node.name, result)
            if node.op == "placeholder" and result is not before:
                if torch.equal(result, before):
                    return before
                self._changed.add(node.name)
            return result
        touched = any(operand.name in self._changed for operand in node.all_input_nodes)
        if not touched and str(node.target) not in self.widths:
            return self.recorded[node.name]
        self._changed.add(node.name)
        return super().run_node(node)

    def call_module(self, target: str, args: tuple, kwargs: dict) -> object:
        width = self.widths.get(target)
        if width is None:
            return super().call_module(target, args, kwargs)
        module = self.fetch_attr(target)
        weight = stored_weight(module.weight, width, self.steps.get(target))
        result = module._conv_forward(args[0], weight, module.bias)
        if not self._correct_bias or module.bias is None:
            return result
        shift = (self.recorded[self._node.name] - result).mean((0, 2, 3))
        self.corrections[target] = shift
        return result + shift[:, None, None]

    def note_operand_steps(
        self,
        grids: Mapping[str, Grid],
        ranges: Mapping[str, tuple[float, float]],
        activation_bits: int,
    ) -> None:
        """Keep the steps of operands whose channels are not all on one grid."""
        values = self.recorded.items()
        channels = {name: value.shape[1] for name, value in values if isinstance(value, Tensor)}
        for node, _ in self._weighted():
            (operand,) = node.all_input_nodes
            if operand.target is torch.cat:
                steps = operand_steps(operand, grids, ranges, activation_bits, channels)
                self.steps[str(node.target)] = steps


class Trials:
    """The RD-loss of a network with some layers quantized, on one batch of crops.

    `pixels` is (N, 3, H, W) in [0, 1] with sides that are multiples of the network's
    alignment. `float_loss` is the loss in float, `evaluations` counts the forward passes.
    """

    def __init__(self, network: LiteNetwork, pixels: Tensor, settings: TrialSettings) -> None:
        self.settings = settings
        self._network = copy.deepcopy(network).eval()
        self._pixels = pixels
        calibrated = calibrate(self._network, [pixels])
        self._replays = {
            part.name: Replay(part.name, calibrated[part.name].traced, settings.correct_bias)
            for part in parts(self._network)
        }
        for part in parts(self._network):
            part.module.forward = self._replays[part.name].forward
        self.evaluations = 0
        self.float_loss = self.loss({})
        noted = sources(self._network, calibrated, settings.activation_bits)
        for name, source in noted.items():
            part = calibrated[name]
            grids = node_grids(source, part.traced, part.ranges, settings.activation_bits)
            self._replays[name].note_operand_steps(grids, part.ranges, settings.activation_bits)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every weighted layer of encoder and decoder with the widths to choose from."""
        found = []
        for replay in self._replays.values():
            for target, module in replay.convolutions.items():
                name = f"{replay.name}.{target}"
                found.append(Layer(name, module.weight.numel(), choices(name)))
        return tuple(found)

    @torch.inference_mode()
    def loss(self, widths: Widths) -> float:
        """lambda * 255^2 * MSE + bpp with the layers named in `widths` quantized."""
        self.evaluations += 1
        for replay in self._replays.values():
            own = replay.name + "."
            replay.widths = {n.removeprefix(own): b for n, b in widths.items() if n.startswith(own)}
        output = self._network(self._pixels)
        error = torch.mean((output["x_hat"].clamp(0, 1) - self._pixels) ** 2)
        bits = -sum(likelihood.log2().sum() for likelihood in output["likelihoods"].values())
        count = self._pixels.shape[0] * self._pixels.shape[2] * self._pixels.shape[3]
        return float(self.settings.lagrangian * 255**2 * error + bits / count)

    def zeta(self, widths: Widths) -> float:
        """The change of the loss as a fraction of the float loss."""
        return (self.loss(widths) - self.float_loss) / self.float_loss

    def corrected(self, network: LiteNetwork, widths: Widths) -> LiteNetwork:
        """A copy of `network` with the biases that make up for quantization to `widths`."""
        self.loss(widths)
        network = copy.deepcopy(network)
        for part in parts(network):
            for target, shift in self._replays[part.name].corrections.items():
                part.module.get_submodule(target).bias.data.add_(shift)
        return network


def finished_zeta(
    finished: LiteNetwork,
    widths: Widths,
    network: LiteNetwork,
    pixels: Tensor,
    settings: TrialSettings,
) -> float:
    """zeta of a plan after training in it: `finished` quantized against `network` in float.

    Its biases were trained with the rounded weights, and are not corrected again.
    """
    float_loss = Trials(network, pixels, settings).float_loss
    loss = Trials(finished, pixels, replace(settings, correct_bias=False)).loss(widths)
    return (loss - float_loss) / float_loss


def choices(layer: str) -> tuple[int, ...]:
    """The widths a layer may take: 2 to 8, and what the hand-made plan gives it beyond."""
    standard = standard_widths(layer)
    further = (standard,) if standard > LARGEST_WIDTH else ()
    return (*range(LEAST_WIDTH, LARGEST_WIDTH + 1), *further)


def fingerprint(network: nn.Module, pixels: Sequence[Tensor], settings: TrialSettings) -> str:
    """What sensitivities depend on: weights, pictures and settings, as a hexadecimal digest."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    for tensor in pixels:
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()[:32]
