"""A run of `base`'s training: what a step does, and everything that resuming takes."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from licodec.networks.base import BaseNetwork
from licodec.networks.base_transforms import BaseConfig, PreciseConvolution
from licodec.networks.conditions import D_RANGE
from training import visual
from training.soap import Soap
from training.tiles import Draw

LAMBDA = 0.0483  # of the squared error at d = 1, by 255^2 * MSE of levels over 255
BANDS = 8  # of d, evenly in its logarithm
BAND_MEMORY = 0.98  # by step, of the usual loss of a band
VISUAL_SHARE = 0.7  # of the distortion, at an objective of 1
# The visual error is put on the scale of the squared error, by band, as they were at these steps.
VISUAL_FROM, SCALES_UNTIL, SCALE_MEMORY = 300, 2000, 0.995
CLIP = 1.0
LINEAR_FACTOR = 0.1  # learning rate of the linear paths, which start as good transforms


@dataclass(frozen=True)
class Settings:
    """How a run learns; `seed` and the step's number decide everything random."""

    optimizer: str = "adamw"
    learning_rate: float = 8e-4
    warmup_steps: int = 100
    averaging: float = 0.999
    bfloat16: bool = False
    seed: int = 1


@dataclass(frozen=True)
class Figures:
    """Of one step, means over its samples."""

    normalised: float
    bpp: float
    mse: float
    norm: float


class Run:
    """Network, average, optimizer and running means."""

    def __init__(self, config: BaseConfig, settings: Settings, device: str) -> None:
        torch.manual_seed(settings.seed)
        self.config, self.settings = config, settings
        self.network = BaseNetwork(config).to(device, memory_format=torch.channels_last).train()
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = _make_optimizer(self.network, settings)
        self.bands = torch.zeros(2, BANDS, device=device)  # sums of losses, and their count
        self.scales = torch.zeros(2, BANDS, device=device)  # sums of squared and visual errors
        self.step = self.born = 0  # born: the step at which the optimizer was new
        self.skipped = 0
        self.pixels, self.core_seconds = 0, 0.0

    def train_step(self, draw: Draw, share_of_rate: float = 1.0) -> Figures:
        """One step at a share of the learning rate. What is not finite is left out, and counted."""
        settings = self.settings
        torch.manual_seed(settings.seed * 1_000_003 + self.step)
        warm = min(1.0, (self.step - self.born + 1) / settings.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * warm * share_of_rate * group["factor"]
        loss, bpp, mse = self._losses(draw)
        band = band_of(draw.d)
        one = F.one_hot(band, BANDS).float()
        self.bands *= BAND_MEMORY
        self.bands[0] += loss.detach() @ one
        self.bands[1] += one.sum(0)
        normal = loss / self.usual[band]
        self.optimizer.zero_grad(set_to_none=True)
        normal.mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            self.skipped += 1
        self.step += 1
        self.pixels += draw.levels.shape[0] * draw.levels.shape[2] * draw.levels.shape[3]
        age = self.step - self.born
        keep = min(settings.averaging, (1 + age) / (10 + age))
        with torch.no_grad():
            own, new = list(self.average.parameters()), list(self.network.parameters())
            torch._foreach_lerp_(own, new, 1 - keep)
        means = torch.stack([normal.detach().mean(), bpp.mean(), mse.mean(), norm]).tolist()
        return Figures(*means)

    @property
    def usual(self) -> Tensor:
        """The usual loss of each band, (BANDS,)."""
        return self.bands[0] / self.bands[1].clamp_min(1e-6)

    def _losses(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, bits per pixel and squared error of each sample, (N,)."""
        device = draw.levels.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.settings.bfloat16):
            self.network.set_conditions(draw.d, draw.objective)
            output = self.network(draw.levels)
        x_hat = output.x_hat.float()
        mse = (x_hat - draw.levels).square().flatten(1).mean(1)
        bpp = (output.y_bits + output.z_bits) / (draw.levels.shape[2] * draw.levels.shape[3])
        distortion = LAMBDA * draw.d**-2 * mse
        if self.step >= VISUAL_FROM // 2:
            error = visual.raw_error(draw.levels / 255, x_hat / 255)
            band = band_of(draw.d)
            if self.step < SCALES_UNTIL:
                one = F.one_hot(band, BANDS).float()
                self.scales *= SCALE_MEMORY
                self.scales[0] += distortion.detach() @ one
                self.scales[1] += error.detach() @ one
            if self.step >= VISUAL_FROM:
                scale = (self.scales[0] / self.scales[1].clamp_min(1e-6))[band]
                share = VISUAL_SHARE * draw.objective
                distortion = (1 - share) * distortion + share * scale * error
        return distortion + bpp, bpp.detach(), mse.detach()

    # States --------------------------------------------------------------------------------

    def state(self) -> dict[str, object]:
        """All of it, for resuming to the bit."""
        return {
            **self.weights(),
            "optimizer": self.optimizer.state_dict(),
            "kind": self.settings.optimizer,
            "born": self.born,
        }

    def weights(self) -> dict[str, object]:
        """What another optimizer can go on from."""
        return {
            "config": asdict(self.config),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "bands": self.bands,
            "scales": self.scales,
            "step": self.step,
            "pixels": self.pixels,
            "core_seconds": self.core_seconds,
        }

    def load(self, state: dict, with_optimizer: bool) -> None:
        """Go on from a state; without its optimizer, with a new one and its warm-up."""
        self.network.load_state_dict({k: v.float() for k, v in state["network"].items()})
        self.average.load_state_dict({k: v.float() for k, v in state["average"].items()})
        self.bands.copy_(state["bands"])
        self.scales.copy_(state["scales"])
        self.step = self.born = state["step"]
        self.pixels, self.core_seconds = state["pixels"], state["core_seconds"]
        if with_optimizer and state.get("kind") == self.settings.optimizer:
            self.optimizer.load_state_dict(state["optimizer"])
            self.born = state["born"]


def band_of(d: Tensor) -> Tensor:
    """The band of each d (N,)."""
    low, high = map(math.log, D_RANGE)
    return ((d.log() - low) / (high - low) * BANDS).long().clamp(0, BANDS - 1)


def _make_optimizer(network: BaseNetwork, settings: Settings) -> torch.optim.Optimizer:
    """The last convolutions of the branches beside the linear paths learn as slowly as those: one
    step of Adam moves hundreds of their weights alike, and at the finest d noise of a level or two
    is most of the loss."""
    slow = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, PreciseConvolution) or getattr(module, "ends_branch", False)
        for parameter in module.parameters()
    }
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if id(p) not in slow], "factor": 1.0},
        {"params": [p for p in parameters if id(p) in slow], "factor": LINEAR_FACTOR},
    ]
    if settings.optimizer == "soap":
        return Soap(groups, lr=settings.learning_rate)
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
