"""A network of `base`'s form, small enough to compile in a test, with random weights."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from licodec.networks.base import BaseNetwork
from licodec.networks.base_transforms import BaseConfig
from licodec.packing.calibration import as_tensor
from licodec.packing.compiled import calibrate_network, compile_network
from licodec.packs import Pack

CONFIG = BaseConfig(
    group=12,
    hyper_latents=48,
    features=16,
    widths=(8, 16, 16),
    analysis_units=(1, 1, 1),
    synthesis_units=(1, 1, 1),
    context_width=16,
)


@cache
def network() -> BaseNetwork:
    """Its conditions differ from knot to knot and from objective to objective."""
    torch.manual_seed(5)
    network = BaseNetwork(CONFIG).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(0.05 * torch.randn_like(parameter) * parameter.abs().mean())
            if name.endswith(("log_gain", "offset")):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def pixels(rows: int = 64, columns: int = 128) -> np.ndarray:
    """A smooth picture with some noise, (rows, columns, 3) uint8."""
    random = np.random.default_rng(3)
    across = np.linspace(20, 200, columns)[None, :, None]
    down = np.linspace(0, 40, rows)[:, None, None]
    noise = random.normal(0, 8, (rows, columns, 3))
    return np.clip(across + down + noise, 0, 255).astype(np.uint8)


@cache
def pack() -> Pack:
    calibrated = calibrate_network(network(), [as_tensor(pixels())])
    return compile_network(calibrated, plan_name="standard", card={"name": "tiny"})
