"""Tables of a float network on held-out pictures, and what separates two of them."""

from __future__ import annotations

import math

import numpy as np
import torch

from licodec.networks.base import BaseNetwork
from training import visual

EVALUATED_D = (0.3, 0.75, 1.9, 4.75, 12.0)
OBJECTIVES = {"mse": 0.0, "visual": 1.0}
SIDE = 256  # of the centres that are looked at
Row = dict[str, float | str]


@torch.no_grad()
def evaluate(
    network: BaseNetwork,
    pictures: list[np.ndarray],
    objective: str,
    ds: tuple[float, ...] = EVALUATED_D,
    side: int | None = SIDE,
) -> list[Row]:
    """Mean rate, PSNR and SSIMULACRA 2 by d of the centres of `pictures`, (H, W, 3) uint8, each of
    at most `side` pixels a side, or of whole ones (cut to multiples of 64) where that is None."""
    training = network.training
    network.eval()
    device, rows = next(network.parameters()).device, []
    for d in ds:
        network.set_conditions(
            torch.tensor([d], device=device), torch.tensor([OBJECTIVES[objective]], device=device)
        )
        figures = np.array([_figures(network, _centre(p, side).to(device)) for p in pictures])
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


def _centre(picture: np.ndarray, side: int | None) -> torch.Tensor:
    """(1, 3, h, w) float levels."""
    align = BaseNetwork.ALIGNMENT
    h, w = (min(side or s, s) // align * align for s in picture.shape[:2])
    top, left = (picture.shape[0] - h) // 2, (picture.shape[1] - w) // 2
    crop = torch.from_numpy(picture[top : top + h, left : left + w].copy())
    crop = crop.permute(2, 0, 1)[None].float()
    return crop.contiguous(memory_format=torch.channels_last)


def _figures(network: BaseNetwork, x: torch.Tensor) -> tuple[float, float, float, float]:
    """Bits per pixel, PSNR, SSIMULACRA 2, and the hyper-latents' bits per pixel."""
    output = network(x)
    decoded = output.x_hat.round().clamp(0, 255)
    mse = (decoded - x).square().mean().item()
    pixels = x.shape[2] * x.shape[3]
    z = output.z_bits.item() / pixels
    score = visual.score(x / 255, decoded / 255).item()
    psnr = 10 * math.log10(255**2 / max(mse, 1e-3))
    return output.y_bits.item() / pixels + z, psnr, score, z


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
