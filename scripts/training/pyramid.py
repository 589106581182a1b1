"""A perceptual distance without a trained network: MS-SSIM and statistics of a steerable pyramid.

What squared error takes from a picture at low rates is texture: where the bits do not say
which of many fine patterns was there, their mean is decoded, which is flat. An eye sees that
the pattern is gone and hardly which one it was. So the distance compares, for each band of a
pyramid and each neighbourhood, only the mean and the standard deviation of the coefficients:
(m - m')^2 + (s - s')^2 is the squared 2-Wasserstein distance between Gaussians that have them
(Qiu et al., "Wasserstein Distortion: Unifying Fidelity and Realism", CISS 2024, there with a
network's features). It falls when a decoder puts energy back where there was energy, whatever
its phase. As texture is described well by such statistics of oriented bands (Heeger & Bergen,
SIGGRAPH 1995; Portilla & Simoncelli, IJCV 2000), bands are derivatives of Gaussians, which
are steerable (Freeman & Adelson, PAMI 1991), over octaves. Differences are divided by the
energy of the original there, as contrast masks them (Teo & Heeger, ICIP 1994), so that the
result is a share, of about LPIPS' size. What hardly shows counts less: for faint grain a decoder
without noise of its own would put a regular pattern, which shows more.

Statistics alone would let structure drift; 1 - MS-SSIM, which sees it, is added. Neither is
the measure that results are judged by.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

OCTAVES = 4
WINDOW = 8  # coefficients each way whose statistics are compared, at every octave
LEAST_SIDE = WINDOW << (OCTAVES - 1)  # the coarsest octave holds one window
PLANE_WEIGHTS = (4.0, 1.0, 1.0)  # luma, blue and red difference
VISIBLE = 12 / 255  # deviation of a band below which differences hardly show
LEAST_VARIANCE = 1e-7  # keeps the gradient of a standard deviation finite


def opponent_planes(pixels: Tensor) -> Tensor:
    """RGB (N, 3, H, W) -> luma and two colour differences of BT.601, the same shape."""
    matrix = pixels.new_tensor(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    )
    return F.conv2d(pixels, matrix[:, :, None, None])


def oriented_filters() -> Tensor:
    """First and second derivatives of a Gaussian of deviation 1, (5, 7, 7).

    In order x, y, xx, xy, yy; each without a mean and of unit norm, so white noise keeps its
    deviation.
    """
    n = torch.arange(-3.0, 4.0)
    gaussian = torch.exp(-(n**2) / 2)
    first, second = -n * gaussian, (n**2 - 1) * gaussian
    pairs = ((gaussian, first), (first, gaussian), (gaussian, second), (first, first),
             (second, gaussian))  # fmt: skip
    filters = torch.stack([torch.outer(rows, columns) for rows, columns in pairs])
    filters -= filters.mean((1, 2), keepdim=True)
    return filters / filters.flatten(1).norm(dim=1)[:, None, None]


def halved(planes: Tensor) -> Tensor:
    """Planes (N, C, H, W) through a binomial low-pass filter, every second sample."""
    taps = planes.new_tensor([1.0, 4, 6, 4, 1]) / 16
    kernel = torch.outer(taps, taps).expand(planes.shape[1], 1, 5, 5)
    padded = F.pad(planes, (2, 2, 2, 2), mode="reflect")
    return F.conv2d(padded, kernel, stride=2, groups=planes.shape[1])


def oriented_bands(planes: Tensor) -> Tensor:
    """Planes (N, C, H, W) -> their oriented bands (N, 5 C, H, W)."""
    channels = planes.shape[1]
    filters = oriented_filters().to(planes).repeat(channels, 1, 1)[:, None]
    return F.conv2d(F.pad(planes, (3, 3, 3, 3), mode="reflect"), filters, groups=channels)


def local_statistics(bands: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, variance) over half-overlapping windows of WINDOW x WINDOW coefficients."""
    mean = F.avg_pool2d(bands, WINDOW, WINDOW // 2)
    square = F.avg_pool2d(bands**2, WINDOW, WINDOW // 2)
    return mean, (square - mean**2).clamp_min(0)


def statistics_distance(decoded: Tensor, original: Tensor) -> Tensor:
    """The distance of local statistics, a scalar, 0 where the pictures are equal.

    Both (N, 3, H, W) float32 in [0, 1], with sides of LEAST_SIDE or more.
    """
    weights = decoded.new_tensor(PLANE_WEIGHTS) / sum(PLANE_WEIGHTS)
    a, b = opponent_planes(decoded), opponent_planes(original)
    total = decoded.new_zeros(())
    for octave in range(OCTAVES):
        if octave:
            a, b = halved(a), halved(b)
        mean, variance = local_statistics(oriented_bands(a))
        true_mean, true_variance = local_statistics(oriented_bands(b))
        deviation = torch.sqrt(variance + LEAST_VARIANCE)
        true_deviation = torch.sqrt(true_variance + LEAST_VARIANCE)
        transport = (mean - true_mean) ** 2 + (deviation - true_deviation) ** 2
        share = transport / (true_mean**2 + true_variance + VISIBLE**2)
        by_plane = share.unflatten(1, (len(PLANE_WEIGHTS), -1)).mean((0, 2, 3, 4))
        total = total + (weights * by_plane).sum() / OCTAVES
    return total


def texture_distance(
    dissimilarity: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor], Tensor]:
    """`dissimilarity`, which sees structure, and the distance of local statistics."""

    def distance(decoded: Tensor, original: Tensor) -> Tensor:
        return dissimilarity(decoded, original) + statistics_distance(decoded.float(), original)

    return distance
