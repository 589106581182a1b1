"""Pictures that commands make up, and what tells decoded ones apart."""

from __future__ import annotations

import hashlib

import numpy as np

from licodec.images import Picture


def textured(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Waves of growing frequency under light noise, uint8 (height, width, channels); the same on
    every run."""
    random = np.random.default_rng((height, width))
    rows, columns, colour = np.ogrid[:height, :width, :channels]
    waves = (
        127
        + 80 * np.sin(rows * rows / (40.0 + 9 * colour) / height * 8 + colour)
        + 40 * np.sin(columns * (0.02 + columns / width / 3) + 2 * colour)
    )
    noisy = waves + random.normal(0, 3, waves.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def pixel_hash(picture: Picture) -> str:
    """SHA-256 over interleaved samples, then alpha, as the pixel checksum is taken."""
    digest = hashlib.sha256(np.ascontiguousarray(picture.pixels).data)
    if picture.alpha is not None:
        digest.update(np.ascontiguousarray(picture.alpha).data)
    return digest.hexdigest()
