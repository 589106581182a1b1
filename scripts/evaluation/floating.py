"""The codec with every network in float: what exact arithmetic is compared with.

Everything else is the pack's: the tables that symbols are coded with, the thresholds that
choose among them, and how the encoder chooses symbols. What differs is arithmetic alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from licodec.entropy.quantization import COST_UNIT, SymbolCosts
from licodec.networks.lite import PIXEL_UNIT, LiteNetwork, adaptive_step
from licodec.packs import Pack


@dataclass(frozen=True)
class FloatAnalysed:
    """Latents (1, M, h, w) and rounded hyper-latents (1, Z, H, W) of a picture, and its shape."""

    latents: Tensor
    hyper_latents: Tensor
    shape: tuple[int, int, int]


class FloatCoder:
    """The float network of a pack, coding with the pack's tables."""

    def __init__(self, network: LiteNetwork, pack: Pack) -> None:
        self._network = network
        self._tables = pack.tables
        self._weight = pack.distortion_weight
        self._latent_costs = SymbolCosts.of_tables(pack.tables.latent)
        grid = 1 << pack.schedule.scale_fraction_bits
        self._thresholds = torch.from_numpy(pack.tables.thresholds / grid).float()

    @torch.inference_mode()
    def analyse(self, pixels: np.ndarray) -> FloatAnalysed:
        """Transform pixels, uint8 (H, W, 1 or 3), padded by edge replication."""
        height, width, channels = pixels.shape
        align = self._network.ALIGNMENT
        padding = ((0, -height % align), (0, -width % align), (0, 0))
        padded = np.repeat(np.pad(pixels, padding, mode="edge"), 3 // channels, 2)
        planes = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        latents = self._network.analyse(planes)
        hyper_latents = torch.round(self._network.hyper_analysis(latents))
        return FloatAnalysed(latents, hyper_latents, pixels.shape)

    @torch.inference_mode()
    def code(self, analysed: FloatAnalysed, d: float) -> tuple[float, np.ndarray]:
        """Code at `d`: bits of all symbols, and the decoded pixels, uint8 of the same shape."""
        network, decoded = self._network, []
        bits = self._hyper_bits(analysed.hyper_latents)
        features, block_means = network.hyper_synthesis(analysed.hyper_latents)
        slices = analysed.latents.split(network.config.slices, 1)
        for i, latents in enumerate(slices):
            seen = torch.cat(decoded, 1) if decoded else block_means
            mean, scale, context = network.slice_parameters[i](features, seen)
            step = adaptive_step(scale, d, i, len(slices))
            indexes = torch.searchsorted(self._thresholds, scale / step).numpy()
            symbols = self._choose(((latents - mean) / step).double().numpy(), indexes)
            bits += self._latent_costs.of(symbols, indexes).sum() / COST_UNIT
            own = torch.from_numpy(symbols).float() * step + mean
            decoded.append(own + network.residual_predictions[i](context, own))
        planes = network.synthesis(torch.cat(decoded, 1))[0] * PIXEL_UNIT + 127.5
        height, width, channels = analysed.shape
        rounded = planes.round().clamp(0, 255)[:, :height, :width].permute(1, 2, 0).numpy()
        if channels == 1:
            rounded = np.rint(rounded.mean(2, keepdims=True))
        return float(bits), rounded.astype(np.uint8)

    def _choose(self, residual: np.ndarray, indexes: np.ndarray) -> np.ndarray:
        """``rdoq_symbols`` or ``nearest_symbols`` in float; `residual` counts steps."""
        nearest = np.rint(residual).astype(np.int64)
        if self._weight is None:
            return nearest
        sign = np.sign(nearest)
        costs = self._latent_costs
        saved = costs.of(nearest, indexes) - costs.of(nearest - sign, indexes)
        growth = 1 + 2 * sign * (residual - nearest)
        return np.where(saved > self._weight * growth, nearest - sign, nearest)

    def _hyper_bits(self, hyper_latents: Tensor) -> float:
        values = hyper_latents[0].numpy().astype(np.int64) - self._tables.medians[:, None, None]
        channels = np.broadcast_to(np.arange(len(values))[:, None, None], values.shape)
        costs = SymbolCosts.of_tables(self._tables.hyper)
        return float(costs.of(values, channels).sum() / COST_UNIT)
