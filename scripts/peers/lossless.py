"""Whether a picture of a suite survives `--lossless`: every sample of it, alpha and metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import licodec
from licodec.codec import encode_lossless
from licodec.errors import LicodecError
from licodec.images import Picture, read_picture
from licodec.images.lossless import BEST, compress_piece
from peers.verdicts import REFUSED, RIGHT, WRONG, Verdict

MOST_BYTES_MORE = 100  # than lossless WebP at its best, metadata apart


def judge_lossless(path: Path) -> Verdict:
    """Code and decode what licodec reads of a file, and compare with that."""
    try:
        picture = read_picture(path, path.name)
    except LicodecError:  # whether rightly, a run without --lossless says
        return Verdict(REFUSED)
    data = encode_lossless(picture).data
    faults = differences(picture, licodec.decode(data))
    blocks = [block for block in (picture.icc, picture.exif, picture.xmp) if block is not None]
    more = (
        len(data) - sum(map(len, blocks)) - len(compress_piece(picture.pixels, picture.alpha, BEST))
    )
    if more > MOST_BYTES_MORE:
        faults.append(f"{more} bytes more than WebP")
    return Verdict(WRONG, ", ".join(faults)) if faults else Verdict(RIGHT)


def differences(picture: Picture, decoded: Picture) -> list[str]:
    """What of a picture is another, by name."""
    parts = ("pixels", "alpha", "icc", "exif", "xmp")
    return [part for part in parts if not _same(getattr(picture, part), getattr(decoded, part))]


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return type(a) is type(b) and a == b
