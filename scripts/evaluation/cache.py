"""Samples on disk, so that an interrupted evaluation goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from evaluation import butteraugli
from evaluation.samples import Sample
from evaluation.sources import Source
from licodec.compare.measures import SSIMULACRA2
from licodec.errors import BadInputError
from licodec.files import save_atomically


def picture_hash(pixels: np.ndarray) -> str:
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:16]


class Cache:
    """Samples by picture, source and value; all in one JSON file, or in memory alone.

    A sample is found again only while the picture's pixels, everything that the source names as
    its identity, and the measures are the same. The code is not part of that: delete the file after
    changing how pictures are coded.
    """

    def __init__(self, path: Path | None, perceptual: bool = False) -> None:
        measured = [SSIMULACRA2] if perceptual else []
        measured += [butteraugli.NAME] if perceptual and butteraugli.has_program() else []
        self._path, self._measured = path, "".join(f", {name}" for name in measured)
        self._samples: dict[str, list[dict[str, float | None]]] = {}
        if path is not None and path.exists():
            try:
                self._samples = json.loads(path.read_text())
            except json.JSONDecodeError:
                raise BadInputError(f"{path}: not a cache of samples; delete it") from None

    def _key(self, picture: str, source: Source, value: float) -> str:
        return f"{picture}/{source.identity}{self._measured}/{value:g}"

    def get(self, picture: str, source: Source, value: float) -> tuple[Sample, ...] | None:
        """The samples for the source's curves, or None where they are still to be made."""
        found = self._samples.get(self._key(picture, source, value))
        return None if found is None else tuple(Sample(**sample) for sample in found)

    def missing(self, picture: str, source: Source) -> tuple[float, ...]:
        return tuple(v for v in source.values if self.get(picture, source, v) is None)

    def add(
        self,
        picture: str,
        source: Source,
        coded: Iterable[tuple[float, tuple[Sample, ...]]],
    ) -> None:
        """Keep samples and write all of them."""
        for value, samples in coded:
            self._samples[self._key(picture, source, value)] = [asdict(s) for s in samples]
        if self._path is not None:
            data = json.dumps(self._samples, indent=0).encode()
            save_atomically(self._path, data, overwrite=True)
