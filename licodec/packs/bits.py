"""Weights of 2 to 7 bits as bit strings (format/SPEC.md, "Weights of 2 to 8 and 16 bits")."""

from __future__ import annotations

import math

import numpy as np

from licodec.errors import CorruptFileError


def pack_bits(values: np.ndarray, width: int) -> np.ndarray:
    """Signed integers of `width` bits, any shape, as a big-endian bit string in uint8."""
    unsigned = (values.astype(np.int16).ravel() + (1 << (width - 1))).astype(np.uint8)
    bits = np.unpackbits(unsigned[:, None], axis=1)[:, 8 - width :]
    return np.packbits(bits)


def unpack_bits(data: np.ndarray, width: int, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of :func:`pack_bits`, int8. Raises CorruptFileError on a wrong length."""
    count = math.prod(shape)
    if data.dtype != np.uint8 or data.shape != ((count * width + 7) // 8,):
        raise CorruptFileError("packed weights have the wrong length")
    groups = -(-count // 8)  # eight integers are `width` whole bytes
    padded = np.zeros(groups * width + 1, np.uint8)
    padded[: len(data)] = data
    pairs = padded[:-1].astype(np.uint16) << 8 | padded[1:]  # every byte and the one behind it
    signed = np.empty((groups, 8), np.int8)
    for place in range(8):
        first, bits_before = divmod(place * width, 8)
        unsigned = pairs[first::width] >> (16 - width - bits_before) & ((1 << width) - 1)
        signed[:, place] = unsigned.astype(np.int8) - np.int8(1 << (width - 1))
    return signed.ravel()[:count].reshape(shape)
