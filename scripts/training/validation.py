"""Tables of a float network on held-out pictures."""

from __future__ import annotations

import math

import numpy as np
import torch

from licodec.networks.base import BaseNetwork
from training import visual
from training.pictures import centre_crop, to_tensor

EVALUATED_D = (0.3, 0.75, 1.9, 4.75, 12.0)
OBJECTIVES = {"mse": 0.0, "visual": 1.0}
MEASURES = ("psnr", "score")
SIDE = 256  # of the centres that are looked at
Row = dict[str, float | str]


@torch.no_grad()
def evaluate(network: BaseNetwork, pictures: list[np.ndarray], objective: str) -> list[Row]:
    """Mean rate, PSNR and SSIMULACRA 2 by d of the centres of `pictures`, (H, W, 3) uint8."""
    training = network.training
    network.eval()
    centres = [to_tensor(centre_crop(p, SIDE, BaseNetwork.ALIGNMENT)[None]) for p in pictures]
    device, rows = next(network.parameters()).device, []
    for d in EVALUATED_D:
        conditions = (torch.tensor([value], device=device) for value in (d, OBJECTIVES[objective]))
        network.set_conditions(*conditions)
        figures = np.array([_figures(network, centre.to(device)) for centre in centres])
        bpp, psnr, score, z_bpp = figures.mean(0)
        rows.append(
            {
                "objective": objective,
                "d": d,
                "bpp": round(bpp, 4),
                "psnr": round(psnr, 3),
                "score": round(score, 2),
                "worst_psnr": round(figures[:, 1].min(), 2),
                "z_bpp": round(z_bpp, 4),
            }
        )
    network.train(training)
    return rows


def _figures(network: BaseNetwork, pixels: torch.Tensor) -> tuple[float, float, float, float]:
    """Bits per pixel, PSNR, SSIMULACRA 2, and the hyper-latents' bits per pixel."""
    x = 255 * pixels
    output = network(x)
    decoded = output.x_hat.round().clamp(0, 255)
    mse = (decoded - x).square().mean().item()
    area = x.shape[2] * x.shape[3]
    z = output.z_bits.item() / area
    score = visual.score(pixels, decoded / 255).item()
    psnr = 10 * math.log10(255**2 / max(mse, 1e-3))
    return output.y_bits.item() / area + z, psnr, score, z


def rate_changes(anchor: list[Row], other: list[Row], measure: str) -> list[float]:
    """Percent of rate at equal `measure`, "psnr" or "score": over the common range, then for its
    low, middle and high third. Cubic fits of the logarithm of the rate."""
    fits, ends = [], []
    for rows in (anchor, other):
        quality = np.array([r[measure] for r in rows], float)
        fits.append(np.polyfit(quality, np.log([r["bpp"] for r in rows]), 3))
        ends.append((quality.min(), quality.max()))
    x = np.linspace(max(e[0] for e in ends), min(e[1] for e in ends), 301)
    difference = np.polyval(fits[1], x) - np.polyval(fits[0], x)
    parts = (difference, *np.array_split(difference, 3))
    return [100 * (math.exp(part.mean()) - 1) for part in parts]
