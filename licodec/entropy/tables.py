"""Integer frequency tables: what a pack stores and what the coder needs of them.

Normative counterpart: format/SPEC.md, "Entropy coding".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from licodec.errors import CorruptFileError

PRECISION = 16  # frequencies of a table sum to 2^16
TOTAL = 1 << PRECISION
LARGEST_TABLE = 4096  # symbols, the escape included


@dataclass(frozen=True)
class FrequencyTables:
    """A family of tables: table i codes the integers offset[i] ... offset[i] + n_i - 2
    with the first n_i - 1 frequencies and everything else with the last one, the escape.
    """

    frequencies: tuple[np.ndarray, ...]
    offsets: np.ndarray  # (count,) int32

    @property
    def lengths(self) -> np.ndarray:
        """Number of symbols of each table, the escape included, (count,) int32."""
        return np.array([len(f) for f in self.frequencies], np.int32)


@dataclass(frozen=True)
class EntropyTables:
    """All tables of a pack.

    hyper       one table per hyper-latent channel, around the integer `medians`, and so for each
                band of d
    latent      one table per scale index
    thresholds  (latent count - 1,) int32, ascending, in units of the schedule's scale grid:
                the scale index is the number of thresholds below scale / step
    """

    hyper: FrequencyTables
    medians: np.ndarray  # (hyper-latent channels,) int32
    latent: FrequencyTables
    thresholds: np.ndarray


def integer_frequencies(masses: np.ndarray) -> np.ndarray:
    """Positive integers that sum to 2^16, about proportional to `masses` (n,) >= 0."""
    masses = np.asarray(masses, np.float64)
    free = TOTAL - len(masses)  # every symbol keeps at least one
    share = masses / masses.sum() * free
    floors = np.floor(share).astype(np.int64)
    rest = free - int(floors.sum())
    # The largest remainders get what is left; a stable order makes the result repeatable.
    floors[np.argsort(floors - share, kind="stable")[:rest]] += 1
    return (floors + 1).astype(np.int32)


def centred_table(mass: Callable[[np.ndarray], np.ndarray], reach: int) -> np.ndarray:
    """Frequencies of -reach ... reach and the escape for a probability mass function."""
    values = mass(np.arange(-reach, reach + 1))
    return integer_frequencies(np.append(values, max(0.0, 1.0 - values.sum())))


def tables_to_tensors(tables: EntropyTables) -> dict[str, np.ndarray]:
    """The stored tensors, all int32."""
    tensors = {
        "tables.hyper.medians": tables.medians,
        "tables.latent.thresholds": tables.thresholds,
    }
    for name, family in (("hyper", tables.hyper), ("latent", tables.latent)):
        tensors[f"tables.{name}.frequencies"] = np.concatenate(family.frequencies)
        tensors[f"tables.{name}.lengths"] = family.lengths
        tensors[f"tables.{name}.offsets"] = family.offsets
    return {name: tensor.astype(np.int32) for name, tensor in tensors.items()}


def tables_from_tensors(tensors: Mapping[str, np.ndarray], bands: int = 1) -> EntropyTables:
    """Read and check the tables of a pack, with so many bands of d. Raises CorruptFileError."""
    hyper, latent = _family(tensors, "hyper"), _family(tensors, "latent")
    medians = _vector(tensors, "tables.hyper.medians")
    thresholds = _vector(tensors, "tables.latent.thresholds")
    consistent = (
        len(hyper.frequencies) == bands * len(medians)
        and len(thresholds) == len(latent.frequencies) - 1
        and np.all(np.abs(medians.astype(np.int64)) < 2**15)
        and np.all(thresholds > 0)
        and np.all(thresholds < 2**24)
        and np.all(np.diff(thresholds) > 0)
    )
    if not consistent:
        raise CorruptFileError("entropy tables: medians or thresholds are not legal")
    return EntropyTables(hyper, medians, latent, thresholds)


def _vector(tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != 1 or tensor.dtype != np.int32:
        raise CorruptFileError(f"entropy tables: tensor {name} is missing or malformed")
    return tensor


def _family(tensors: Mapping[str, np.ndarray], name: str) -> FrequencyTables:
    joined = _vector(tensors, f"tables.{name}.frequencies")
    lengths = _vector(tensors, f"tables.{name}.lengths")
    offsets = _vector(tensors, f"tables.{name}.offsets")
    legal = (
        len(lengths) > 0
        and len(lengths) == len(offsets)
        and np.all((lengths >= 2) & (lengths <= LARGEST_TABLE))
        and np.all(np.abs(offsets.astype(np.int64)) < 2**15)
        and int(lengths.sum(dtype=np.int64)) == len(joined)
        and np.all((joined >= 1) & (joined < TOTAL))
    )
    frequencies = np.split(joined, np.cumsum(lengths)[:-1]) if legal else []
    if not legal or any(int(f.sum(dtype=np.int64)) != TOTAL for f in frequencies):
        raise CorruptFileError(f"entropy tables: the {name} tables are not legal")
    return FrequencyTables(tuple(frequencies), offsets)
