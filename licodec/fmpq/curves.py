"""zeta_n(b) of every layer, each value measured once and only when it is asked for.

More bits cannot lose more except by noise, so what was measured is smoothed to fall with the
width (isotonic regression). Where zeta is below its noise that still tells nothing, and a rule
that looks for the least finds the noise that favours it. So there is an estimate, too: the squared
error of weights that are rounded to b bits falls as 4^-b, and zeta about with it; measurements
count as far as they stand out of the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

NOISE = 5e-4  # standard deviation of a measured zeta, from symbols that flip
LAW_SPREAD = 0.7  # the same of a layer's zeta around c * 4^-b, as a share of that
_LEAST_SHARE = 0.1  # of the law that remains where measurements are below it
_ROUNDS = 30  # of the fit, whose weights depend on it
_LEAST_STRENGTH = 1e-6  # of a layer, so that fewer bits are never free

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
        # Both until another value is measured.
        self._smoothed: dict[str, dict[int, float]] = {}
        self._expected: dict[str, dict[int, float]] = {}

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

    def expected(self, layer: Layer) -> Mapping[int, float]:
        """The estimate of zeta at each of the layer's choices; falls with the width."""
        if layer.name not in self._expected:
            self._expected[layer.name] = expected_zeta(self.measured(layer), layer.choices)
        return self._expected[layer.name]

    def is_worth_measuring(self, layer: Layer, width: int) -> bool:
        """Whether the value is not known, and can be told from noise."""
        return width not in self._values[layer.name] and self.expected(layer)[width] > NOISE

    def zeta(self, layer: Layer, width: int) -> float:
        """The smoothed value at `width`, measured now where it is not known."""
        values = self._values[layer.name]
        if width not in values:
            values[width] = self._measure(layer.name, width)
            for made in (self._smoothed, self._expected):
                made.pop(layer.name, None)
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


def expected_zeta(measured: Mapping[int, float], choices: Sequence[int]) -> dict[int, float]:
    """zeta at each of `choices`, ascending, given what was measured at some of them.

    Fits c to c * 4^-b and then weighs, width by width, the law against the measurement: the law
    is LAW_SPREAD of itself off, the measurement NOISE.
    """
    laws = {b: 4.0**-b for b in choices}
    strength = _LEAST_STRENGTH
    for _ in range(_ROUNDS):
        weights = {b: 1 / (NOISE**2 + (LAW_SPREAD * strength * laws[b]) ** 2) for b in measured}
        above = sum(weights[b] * zeta * laws[b] for b, zeta in measured.items())
        below = sum(weights[b] * laws[b] ** 2 for b in measured)
        strength = max(above / below, _LEAST_STRENGTH) if measured else strength
    found = []
    for b in choices:
        law = strength * laws[b]
        zeta = measured.get(b, law)
        own, laws_own = 1 / NOISE**2, 1 / (LAW_SPREAD * law) ** 2
        found.append(max((own * zeta + laws_own * law) / (own + laws_own), _LEAST_SHARE * law))
    return dict(zip(choices, falling(found), strict=True))


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
