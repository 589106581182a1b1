"""zeta_n(b): the change of RD-loss when one layer's weights are quantized.

The network runs in float, layer n with the weights that the compiler would store at b bits:
one step per output channel, chosen by error, over the operand's steps. Every module of the
network that becomes a program is replayed from a recording of the float run: a module whose
inputs did not change gives what it gave, and in the module of layer n only what depends on
layer n is computed. So a trial costs what lies behind the layer, and no backbone has to say
what that is.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from licodec.errors import BadInputError
from licodec.fmpq.allocation import LARGEST_WIDTH
from licodec.fmpq.curves import Layer
from licodec.fmpq.replay import Replay
from licodec.packing.compiled import operand_steps
from licodec.packing.searchable import Searchable, Shifts, TrialSettings

RUINOUS = 1e6  # zeta of a trial whose loss is not finite: more than any tolerance that is tried

Widths = Mapping[str, int]  # bits by "program.layer"; a layer that is not named stays float


class TrialsAt:
    """The RD-loss of a network with some layers quantized, on one batch of crops at one d.

    `pixels` is (N, 3, H, W) in [0, 1] with sides that are multiples of the network's alignment,
    `replays` are of its parts, in coding order. `float_loss` is the loss in float.
    Raises BadInputError where that is not finite.
    """

    def __init__(
        self,
        searched: Searchable,
        pixels: Tensor,
        d: float,
        lagrangian: float,
        replays: Mapping[str, Replay],
    ) -> None:
        self.replays = replays
        self._searched, self._pixels = searched, pixels
        self._d, self._lagrangian = d, lagrangian
        self.float_loss = self.loss({})
        if not math.isfinite(self.float_loss):
            raise BadInputError(
                "the network's loss on the calibration crops is not finite: its weights are "
                "damaged, or not those of a trained network"
            )

    @torch.inference_mode()
    def loss(self, widths: Widths) -> float:
        """lambda * 255^2 * MSE + bpp with the layers named in `widths` quantized, wherever they
        are."""
        same = self._searched.form.same_weights
        widths = {**widths, **{n: widths[own] for n, own in same.items() if own in widths}}
        for replay in self.replays.values():
            own = replay.name + "."
            replay.widths = {n.removeprefix(own): b for n, b in widths.items() if n.startswith(own)}
        programs = {name: replay.forward for name, replay in self.replays.items()}
        output = self._searched.form.coded(programs, self._pixels, self._d)
        error = torch.mean((output.x_hat.clamp(0, 1) - self._pixels) ** 2)
        count = self._pixels.shape[0] * self._pixels.shape[2] * self._pixels.shape[3]
        return float(self._lagrangian * 255**2 * error + output.bits / count)

    @property
    def corrections(self) -> Shifts:
        """What the last trial added to biases."""
        return {name: replay.corrections for name, replay in self.replays.items()}


class Trials:
    """zeta of a network with some layers quantized: the mean over the settings' d, each tried on
    its share of the crops, pair by pair.

    `pixels` is as in :class:`TrialsAt`. `evaluations` counts the passes over all crops.
    """

    def __init__(self, searched: Searchable, pixels: Tensor, settings: TrialSettings) -> None:
        self._searched = searched
        calibrated = searched.calibrate(pixels)
        steps = operand_steps(searched.form, calibrated)

        def replays() -> dict[str, Replay]:
            return {
                name: Replay(name, part.traced, settings.correct_bias, _uneven(steps, name))
                for name, part in calibrated.items()
            }

        ds = settings.ds[: len(pixels)]
        turns = torch.arange(len(pixels)) // (2 if len(pixels) >= 2 * len(ds) else 1) % len(ds)
        self.at = tuple(
            TrialsAt(searched, pixels[turns == i], d, settings.lagrangian_at(d), replays())
            for i, d in enumerate(ds)
        )
        self.evaluations = 1

    @property
    def float_loss(self) -> float:
        return sum(own.float_loss for own in self.at) / len(self.at)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every weighted layer of encoder and decoder, once, with the widths to choose from."""
        found = []
        for replay in self.at[0].replays.values():
            for target, module, kind in replay.layers:
                name = f"{replay.name}.{target}"
                if name in self._searched.form.same_weights:
                    continue
                widths = choices(kind.least, self._searched.form.standard_width(name))
                found.append(Layer(name, kind.weight(module).numel(), widths))
        return tuple(found)

    def zeta(self, widths: Widths) -> float:
        """The change of the loss as a fraction of the float loss, with the layers named in `widths`
        quantized; RUINOUS where the loss is not finite."""
        return self.change([own.float_loss for own in self.at], widths)

    def change(self, losses: Sequence[float], widths: Widths) -> float:
        """The same against other losses, one for each d."""
        self.evaluations += 1
        pairs = zip(self.at, losses, strict=True)
        change = sum(own.loss(widths) / loss - 1 for own, loss in pairs) / len(self.at)
        return change if math.isfinite(change) else RUINOUS

    def corrected(self, widths: Widths) -> Searchable:
        """The network with the biases that make up for quantization to `widths`."""
        self.zeta(widths)
        return self._searched.corrected(_means([own.corrections for own in self.at]))


def _means(shifts: Sequence[Shifts]) -> Shifts:
    first, *others = shifts
    return {
        name: {
            path: sum((other[name][path] for other in others), shift) / len(shifts)
            for path, shift in own.items()
        }
        for name, own in first.items()
    }


def _uneven(steps: Mapping[str, np.ndarray], program: str) -> dict[str, Tensor]:
    """Those `steps` of one program's operands that are not all equal, by module path."""
    own = program + "."
    return {
        name.removeprefix(own): torch.from_numpy(found)
        for name, found in steps.items()
        if name.startswith(own) and np.any(found != found[0])
    }


def finished_zeta(
    finished: Searchable,
    widths: Widths,
    searched: Searchable,
    pixels: Tensor,
    settings: TrialSettings,
) -> float:
    """zeta of a plan after training in it: `finished` quantized against `searched` in float.

    Its biases were trained with the rounded weights, and are not corrected again.
    """
    before = [own.float_loss for own in Trials(searched, pixels, settings).at]
    return Trials(finished, pixels, replace(settings, correct_bias=False)).change(before, widths)


def choices(least: int, standard: int) -> tuple[int, ...]:
    """The widths a layer may take: `least` to 8, and what the hand-made plan gives it beyond."""
    further = (standard,) if standard > LARGEST_WIDTH else ()
    return (*range(least, LARGEST_WIDTH + 1), *further)


def fingerprint(network: nn.Module, pixels: Tensor, settings: TrialSettings) -> str:
    """What sensitivities depend on: weights, pictures and settings, as a hexadecimal digest."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    digest.update(repr(tuple(pixels.shape)).encode())
    digest.update(pixels.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
