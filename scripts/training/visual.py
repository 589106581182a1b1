"""SSIMULACRA 2 as a differentiable error, to train for and to score with.

Six scales of XYB planes; at each, by plane: the SSIM error, ringing (edges that were not there)
and blur (edges lost), each in the mean and the 4-norm, weighed by the 108 published weights.
Definition: github.com/cloudinary/ssimulacra2, version 2.1. The blur is a Gaussian of deviation 1.5
in place of the recursive one: scores are up to 1.5 lower than the published program's above 55,
and 3 to 4 lower at 27.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

SCALES = 6
LEAST_SIDE = 16  # smaller planes are not looked at
RADIUS, DEVIATION = 5, 1.5  # of the blur, in pixels
OPSIN = torch.tensor(
    [
        [0.30, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
    ]
)
OPSIN_BIAS = 0.0037930732552754493
SSIM_FLOOR = 0.0009
NORM_FLOOR = 1e-24  # under the fourth root, so that its gradient is a number
# By plane (X, Y, B-Y), scale, norm (mean, 4-norm) and kind (SSIM, ringing, blur); one line is one
# scale of one plane.
WEIGHTS = np.array(
    [
        *(0, 0.000737660671, 0, 0, 0.000779348168, 0),
        *(0, 0.000437115573, 0, 1.10417264, 0.000662848341, 0.000152316328),
        *(0, 0.00164064375, 0, 1.84224555, 11.4411726, 0),
        *(0.000798910944, 0.000176816438, 0, 1.8787595, 10.9490699, 0),
        *(0.000728934699, 0.967793708, 0, 0.000140034243, 0.998176698, 0.000319497559),
        *(0.000455099211, 0, 0, 0.00136487662, 0, 0),
        *(0, 0, 0, 7.46689033, 0, 17.445834),
        *(0.000623560163, 0, 0, 6.68367815, 0.00037724408, 1.02788994),
        *(225.205153, 0, 0, 19.2132382, 0.00114015246, 0.00123775564),
        *(176.393176, 0, 0, 24.43301, 0.285208026, 0.000448543692),
        *(0, 0, 0, 34.7790634, 44.8356253, 0),
        *(0, 0, 0, 0, 0, 0),
        *(0, 0.000868055657, 0, 0, 0, 0),
        *(0, 0.000531319187, 0, 0.000165338142, 0, 0),
        *(0, 0, 0, 0.00041791718, 0.00172908282, 0),
        *(0.00208270058, 0, 0, 8.82698276, 23.1924334, 0),
        *(95.1080499, 0.986397803, 0.983438279, 0.0012286405, 171.266726, 0.980785887),
        *(0, 0, 0, 0.000513006459, 0, 0.000108540579),
    ]
).reshape(3, SCALES, 2, 3)
WEIGHT_SCALE = 0.9562382616834844


def raw_error(x: Tensor, y: Tensor) -> Tensor:
    """The weighed error (N,) of y against x, sRGB in [0, 1], (N, 3, H, W); 0 where they agree."""
    first, second = _linear(x), _linear(y.clamp(0, 1))
    total = x.new_zeros(len(x))
    for scale in range(SCALES):
        if scale:
            if min(first.shape[-2:]) < LEAST_SIDE:
                break
            first = F.avg_pool2d(first, 2, ceil_mode=True)
            second = F.avg_pool2d(second, 2, ceil_mode=True)
        weights = torch.from_numpy(WEIGHTS[:, scale]).to(x)  # (3, 2, 3)
        for kind, error in enumerate(_error_maps(_xyb(first), _xyb(second))):
            if weights[:, 0, kind].any():
                total = total + error.mean((2, 3)) @ weights[:, 0, kind]
            if weights[:, 1, kind].any():
                norm = (error.square().square().mean((2, 3)) + NORM_FLOOR) ** 0.25
                total = total + norm @ weights[:, 1, kind]
    return total * WEIGHT_SCALE


def score(x: Tensor, y: Tensor) -> Tensor:
    """SSIMULACRA 2 (N,): 100 is the same, 90 not to be told apart, 70 good, 30 poor."""
    error = raw_error(x, y)
    mapped = 2.326765642916932 * error - 0.020884521182843837 * error**2
    mapped = mapped + 6.248496625763138e-05 * error**3
    return 100 - 10 * mapped.clamp_min(1e-9) ** 0.6276336467831387


def _error_maps(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """SSIM error, ringing and blur at every place, (N, 3, H, W) each."""
    blurred = _blur(torch.cat([p, q, p * p + q * q, p * q], 1))
    mean_p, mean_q, squares, products = blurred.split(3, 1)
    cross = mean_p * mean_q
    numerator = 2 * (products - cross) + SSIM_FLOOR
    denominator = squares - mean_p.square() - mean_q.square() + SSIM_FLOOR
    ssim = (1 - (1 - (mean_p - mean_q).square()) * numerator / denominator).clamp_min(0)
    edges = (1 + (q - mean_q).abs()) / (1 + (p - mean_p).abs()) - 1
    return ssim, edges.clamp_min(0), (-edges).clamp_min(0)


def _linear(x: Tensor) -> Tensor:
    """sRGB to linear light."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def _xyb(linear: Tensor) -> Tensor:
    """(N, 3, H, W) linear RGB -> XYB, moved and scaled to be positive."""
    mixed = F.conv2d(linear, OPSIN.to(linear)[:, :, None, None]) + OPSIN_BIAS
    mixed = mixed.clamp_min(1e-6) ** (1 / 3) - OPSIN_BIAS ** (1 / 3)
    red, green, blue = mixed.unbind(1)
    x, y = 0.5 * (red - green), 0.5 * (red + green)
    return torch.stack([x * 14 + 0.42, y + 0.01, blue - y + 0.55], 1)


def _blur(x: Tensor) -> Tensor:
    """A separable Gaussian; at the borders over what lies inside."""
    return _banded(x.shape[2], x) @ x @ _banded(x.shape[3], x).T


def _banded(size: int, like: Tensor) -> Tensor:
    """(size, size): the Gaussian of every place over all places, each row of sum 1."""
    places = torch.arange(size, dtype=torch.float64)
    distance = places[:, None] - places[None, :]
    weights = torch.exp(-(distance**2) / (2 * DEVIATION**2)) * (distance.abs() <= RADIUS)
    return (weights / weights.sum(1, keepdim=True)).to(like)


assert math.prod(WEIGHTS.shape) == 108
