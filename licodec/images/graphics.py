"""Whether a picture may be smaller without loss than by a network, judged from a sample of it.

Screenshots, plots and drawings repeat their pixels; photographs do not. The judgement costs two or
three milliseconds, and less for small pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_SAMPLE = 1 << 15  # pixels at most, and not many more than a share of them
_SHARE, _LEAST = 16, 1 << 11
_WIDEST = 512  # pixels of a sampled row that are looked at
_MOST_COLOURS = 256  # of a palette

# An estimate is 0.9 to 1.1 of what photographs take, and up to 5 times what graphics do. Of
# photographs it is 5.5 times what a network takes at its finest, or more.
_NEAR, _FAR = 2.5, 8.0
_RUN = 12  # samples
_HASH = np.uint64(0x9E3779B97F4A7C15)
_RUNS = 1 << 13  # in the sample, at most
# Shares of runs that are in the sample again, next to none of photographs: with some the estimate
# may be too high by _FAR, with many, as where tiles repeat, by anything.
_SOME, _MANY = 0.1, 0.5


def may_be_smaller(pixels: np.ndarray, size: float) -> bool:
    """Whether (H, W, C) uint8 pixels may take less than `size` bytes as lossless WebP.

    The answer is no for photographs at any size that a network gives, and never no where graphics
    would take less.
    """
    sampled = _sampled(pixels)
    estimate = _bits_per_pixel(*sampled) / 8 * pixels.shape[0] * pixels.shape[1]
    if estimate <= _NEAR * size:
        return True
    repeated = _repeated(sampled[0])
    return repeated >= _MANY or (repeated >= _SOME and estimate <= _FAR * size)


def _bits_per_pixel(
    here: np.ndarray, left: np.ndarray, above: np.ndarray, corner: np.ndarray
) -> float:
    """Estimated from pixels and their neighbours alone; repetitions at a distance are not seen."""
    new = (here != left).any(2) & (here != above).any(2)
    bits = _bits_of_flags(new)
    if new.any():
        by_prediction = _bits_of_residuals(here[new], left[new], above[new], corner[new])
        bits += min(by_prediction, _bits_of_palette(here[new]))
    return bits / new.size


def _repeated(here: np.ndarray) -> float:
    """The share of runs of pixels, not all of one colour, that are in the sample twice or more;
    1 where there are none."""
    length = _RUN // here.shape[2]
    here = here[:: -(-here.shape[0] * here.shape[1] // _RUNS)]
    if here.shape[1] < length:
        return 1.0
    colours = _packed(here).astype(np.uint64)
    windows = sliding_window_view(colours, length, axis=1)
    changing = windows[(windows[..., :-1] != windows[..., 1:]).any(2)]
    if not len(changing):
        return 1.0
    hashes = changing @ _HASH ** np.arange(length, dtype=np.uint64)  # modulo 2^64
    return 1 - len(np.unique(hashes)) / len(hashes)


def _sampled(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Parts of rows from top to bottom, (rows, columns, C) int16, and their neighbours to the left,
    above, and above to the left; those beyond the picture's edge are its edge."""
    height, width = pixels.shape[:2]
    wide = min(width, _WIDEST)
    sample = min(max(height * width // _SHARE, _LEAST), _SAMPLE)
    count = min(height, max(1, sample // wide))
    rows = np.linspace(0, height - 1, count).round().astype(int)
    starts = np.arange(len(rows)) * 7919 % (width - wide + 1)  # all over the width
    columns = starts[:, None] + np.arange(wide)
    places = [(rows, columns), (rows, columns - 1), (rows - 1, columns), (rows - 1, columns - 1)]
    return tuple(
        pixels[np.maximum(r, 0)[:, None], np.maximum(c, 0)].astype(np.int16) for r, c in places
    )


def _bits_of_flags(new: np.ndarray) -> float:
    """Of telling the pixels that repeat a neighbour from the others, each by the one before it."""
    after_new = new[:, 1:][new[:, :-1]]
    after_old = new[:, 1:][~new[:, :-1]]
    return sum(_entropy(np.bincount(flags, minlength=2)) for flags in (after_new, after_old))


def _bits_of_residuals(
    here: np.ndarray, left: np.ndarray, above: np.ndarray, corner: np.ndarray
) -> float:
    """Of what a gradient predicts wrong, green subtracted from red and blue; all (n, C)."""
    predicted = np.clip(left + above - corner, np.minimum(left, above), np.maximum(left, above))
    residuals = here - predicted
    if residuals.shape[1] == 3:
        residuals[:, ::2] -= residuals[:, 1:2]
    return sum(_entropy(np.bincount(channel & 255)) for channel in residuals.T)


def _bits_of_palette(here: np.ndarray) -> float:
    """Of the colours (n, C) by their numbers; infinite where they are too many."""
    packed = _packed(here)
    if len(np.unique(packed[: 4 * _MOST_COLOURS])) > _MOST_COLOURS:
        return np.inf
    counts = np.unique(packed, return_counts=True)[1]
    return _entropy(counts) if len(counts) <= _MOST_COLOURS else np.inf


def _packed(colours: np.ndarray) -> np.ndarray:
    """Samples (..., C) as one number each, int32."""
    packed = colours[..., 0].astype(np.int32)
    for channel in range(1, colours.shape[-1]):
        packed = 256 * packed + colours[..., channel]
    return packed


def _entropy(counts: np.ndarray) -> float:
    """Bits of so many symbols of each kind, at their empirical entropy."""
    found = counts[counts > 0].astype(np.float64)
    return float((found * np.log2(found.sum() / found)).sum())
