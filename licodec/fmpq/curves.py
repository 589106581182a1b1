"""zeta_n(b) of every layer, each value measured once and only when it is asked for.

More bits cannot lose more except by noise, so what was measured is smoothed to fall with the
width (isotonic regression); the rules see the smoothed values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

# Measures zeta of the layer of that name at that width in bits.
Measure = Callable[[str, int], float]


@dataclass(frozen=True)
class Layer:
    """A weighted layer: its name, how many weights it has, and the widths to choose from
    (bits, ascending)."""

    name: str
    weights: int
    choices: tuple[int, ...]


class Curves:
    """The layers of a network and what a search has seen of their zeta.

    A search that is resumed starts with nothing seen, and `measure` answers at once what was
    measured before: so it takes the same way and ends with the same plan.
    """

    def __init__(self, layers: Iterable[Layer], measure: Measure) -> None:
        self.layers = tuple(layers)
        self._measure = measure
        self._values: dict[str, dict[int, float]] = {layer.name: {} for layer in self.layers}
        self._smoothed: dict[str, dict[int, float]] = {}  # until another value is measured

    @property
    def evaluations(self) -> int:
        """How many values were asked for, each of which takes one evaluation of the loss."""
        return sum(len(values) for values in self._values.values())

    def measured(self, layer: Layer) -> dict[int, float]:
        """What is known of `layer` as it was measured, by width, ascending."""
        return dict(sorted(self._values[layer.name].items()))

    def smoothed(self, layer: Layer) -> Mapping[int, float]:
        """The same made to fall with the width."""
        if layer.name not in self._smoothed:
            values = self.measured(layer)
            falls = falling(list(values.values()))
            self._smoothed[layer.name] = dict(zip(values, falls, strict=True))
        return self._smoothed[layer.name]

    def zeta(self, layer: Layer, width: int) -> float:
        """The smoothed value at `width`, measured now where it is not known."""
        values = self._values[layer.name]
        if width not in values:
            values[width] = self._measure(layer.name, width)
            self._smoothed.pop(layer.name, None)
        return self.smoothed(layer)[width]

    def least_width(self, layer: Layer, tolerance: float) -> int:
        """The least width b with zeta(b) < `tolerance`; the widest where there is none.

        Bisects between what is known, so about three values of eight are measured.
        """
        choices = layer.choices
        while True:
            known = self.smoothed(layer)
            above = [i for i, b in enumerate(choices) if b in known and known[b] >= tolerance]
            below = [i for i, b in enumerate(choices) if b in known and known[b] < tolerance]
            low = max(above, default=-1)
            high = min(below, default=len(choices) - 1)
            if high - low <= 1:
                return choices[high]
            self.zeta(layer, choices[(low + high) // 2])


def falling(values: list[float]) -> list[float]:
    """The non-increasing sequence nearest to `values` in least squares."""
    blocks: list[tuple[float, int]] = []  # mean, length
    for value in values:
        mean, length = value, 1
        while blocks and blocks[-1][0] < mean:
            before, count = blocks.pop()
            mean = (before * count + mean * length) / (count + length)
            length += count
        blocks.append((mean, length))
    return [mean for mean, length in blocks for _ in range(length)]
