"""Deterministic stand-in weights: every tensor is a function of its state-dict key and shape."""

import zlib

import numpy as np


def formula_tensor(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 array for one parameter; same key and shape give the same values everywhere."""
    rng = np.random.RandomState(zlib.crc32(key.encode()))
    n = rng.standard_normal(shape) if shape else rng.standard_normal()
    leaf = key.rsplit(".", 1)[-1]
    if "entropy_bottleneck" in key:
        if leaf.startswith("_matrix"):
            v = 0.6 + 0.1 * n
        elif leaf == "quantiles":
            v = np.array([-10.0, 0.0, 10.0]) + 0.2 * n
        else:  # _bias*, _factor*
            v = 0.1 * n
    elif leaf == "gamma":
        v = 0.02 * np.eye(shape[0]) + 0.005 * np.abs(n) / shape[0]
    elif leaf == "beta":
        v = 1.0 + 0.1 * np.abs(n)
    elif len(shape) == 1 and leaf == "weight":  # LayerNorm
        v = 1.0 + 0.05 * n
    elif len(shape) == 1 or "relative_position" in leaf:
        v = 0.02 * n
    elif leaf in ("W_a", "W_b"):
        v = 0.05 * n
    else:
        v = n * (0.6 / np.sqrt(np.prod(shape) / shape[0]))
        if ".adapter." in key:
            v = 0.3 * v
    return np.asarray(v, dtype=np.float32)


def formula_image(height: int, width: int) -> np.ndarray:
    """(3, H, W) float32 in [0, 1]: smooth gradients, a disc, stripes and seeded noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    r = 0.5 + 0.5 * np.sin(2 * np.pi * (x / 37 + y / 53))
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(height, width) / 3) ** 2
    g = np.where(inside, 0.8, 0.2) + 0.1 * np.cos(x / 9)
    b = (x + y) / (height + width)
    img = np.stack([r, g, b]) + 0.03 * np.random.RandomState(7).standard_normal((3, height, width))
    return np.clip(img, 0, 1).astype(np.float32)
