"""From sensitivities and a size to a precision plan.

Sizes are bits of all weights together. The published rule gives each layer the least width b
with zeta(b) < tau and moves the tolerance tau until the size fits. The greedy rule takes bits
away where that is expected to cost the least zeta per bit; the sum of zeta stands for the loss.
The uniform rule, which needs no zeta, is what both are compared with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from licodec.errors import UsageError
from licodec.fmpq.curves import Curves, Layer
from licodec.packs.plans import Plan

LEAST_WIDTH, LARGEST_WIDTH = 2, 8  # b runs over these; b_max is the larger
FLOAT_BITS = 32
PROBES = (2, 4)  # widths that the greedy rule has measured for every layer
NAIVE_TOLERANCES = 100  # tried one after the other by the search that FMPQ compares itself with

# Tolerances are tried on a scale that is linear within the first and logarithmic beyond it, to
# the last. They may be negative: zeta is measured with noise, and where it is all noise a
# tolerance of 0 can leave a budget unused.
_RESOLVED, _LARGEST = 1e-6, 1e4
_NEAR = 1e-3  # places on that scale that are this near are one
_FULL = 0.999  # a plan that fills this much of the budget is good enough


@dataclass(frozen=True)
class Allocation:
    """A plan and what is expected of it.

    bits       of all weights
    zeta       the sum of the layers' zeta: smoothed, as far as they are known, or as the greedy
               rule expects them
    tolerance  tau of the published rule, infinite where the plan is the widest (-) or the
               narrowest (+) there is; None under the greedy rule
    """

    plan: Plan
    bits: int
    zeta: float
    tolerance: float | None = None


Report = Callable[[Allocation], None]


def plan_bits(layers: Iterable[Layer], plan: Plan) -> int:
    return sum(layer.weights * plan[layer.name] for layer in layers)


def float_bits(layers: Iterable[Layer]) -> int:
    """The size of all weights in float32."""
    return sum(layer.weights * FLOAT_BITS for layer in layers)


def narrowest(layers: Iterable[Layer]) -> Plan:
    return {layer.name: layer.choices[0] for layer in layers}


def widest(layers: Iterable[Layer]) -> Plan:
    return {layer.name: layer.choices[-1] for layer in layers}


def naive_evaluations(layers: Iterable[Layer]) -> int:
    """Evaluations of a search that measures every width of every layer for every tolerance:
    100 tolerances x layers x (b_max - 1), a layer's further choices left out."""
    return NAIVE_TOLERANCES * sum(b <= LARGEST_WIDTH for layer in layers for b in layer.choices)


def check_reachable(layers: Iterable[Layer], budget: int) -> None:
    """Raise UsageError where no plan fits into `budget` bits."""
    layers = tuple(layers)
    whole = float_bits(layers)
    least, most = (plan_bits(layers, ends(layers)) for ends in (narrowest, widest))
    if budget < least:
        raise UsageError(
            f"a size of {size_text(max(0, budget), whole)} of the weights cannot be reached: "
            f"plans take {size_text(least, whole)} to {size_text(most, whole)}"
        )


def size_text(bits: int, whole: int) -> str:
    """A size as a message says it: share of float32 and bytes."""
    return f"{100 * bits / whole:.2f} % ({(bits + 7) // 8:,} bytes)"


def threshold_plan(curves: Curves, tolerance: float) -> Plan:
    """The published rule: each layer's least width b with zeta(b) < tolerance."""
    return {layer.name: curves.least_width(layer, tolerance) for layer in curves.layers}


def search_threshold(curves: Curves, budget: int, report: Report) -> Allocation:
    """The least tolerance whose plan by the published rule takes at most `budget` bits.

    Raises UsageError where none does.
    """
    check_reachable(curves.layers, budget)
    if plan_bits(curves.layers, widest(curves.layers)) <= budget:
        return _complete(curves, _allocation(curves, widest(curves.layers), -math.inf))
    # Later measurements smooth earlier ones, so a plan counts when the rule still gives it on
    # all that is known at the end; each further round has measured something new.
    while True:
        tolerance = _bisected(curves, budget, report)
        if tolerance == math.inf:
            return _complete(curves, _allocation(curves, narrowest(curves.layers), tolerance))
        settled = _allocation(curves, threshold_plan(curves, tolerance), tolerance)
        if settled.bits <= budget:
            return _complete(curves, settled)


def _bisected(curves: Curves, budget: int, report: Report) -> float:
    """About the least tolerance whose plan fits; infinite where only the narrowest plan does."""
    high = math.asinh(_LARGEST / _RESOLVED)
    low = -high
    best = math.inf
    while high - low > _NEAR:
        place = (low + high) / 2
        tolerance = _RESOLVED * math.sinh(place)
        found = _allocation(curves, threshold_plan(curves, tolerance), tolerance)
        report(found)
        if found.bits > budget:
            low = place
            continue
        best, high = tolerance, place
        if found.bits >= _FULL * budget:
            break
    return best


def search_greedy(curves: Curves, budget: int, report: Report) -> Allocation:
    """From the widest plan, the step down that is expected to cost the least zeta per bit, until
    it fits; then bits that are left over go where they gain most.

    Each layer is measured at PROBES first, and then where a step would lead, if that can be told
    from noise. Raises UsageError where no plan fits.
    """
    layers = curves.layers
    check_reachable(layers, budget)
    plan = dict(widest(layers))
    if plan_bits(layers, plan) > budget:
        for layer in layers:
            for width in (b for b in PROBES if b in layer.choices):
                curves.zeta(layer, width)
            report(_expected(curves, plan))
    while plan_bits(layers, plan) > budget:
        steps = [step for layer in layers if (step := _step(curves, layer, plan, -1))]
        _take(curves, plan, min(steps, key=lambda step: (step.zeta_per_bit, -step.bits)), report)
    while True:
        left = budget - plan_bits(layers, plan)
        steps = [step for layer in layers if (step := _step(curves, layer, plan, 1))]
        gains = [step for step in steps if step.zeta_per_bit > 0 and step.bits <= left]
        if not gains:
            return _expected(curves, plan)
        _take(curves, plan, max(gains, key=lambda step: (step.zeta_per_bit, -step.bits)), report)


def search_uniform(curves: Curves, budget: int, report: Report) -> Allocation:
    """The same width for every layer, the largest up to `LARGEST_WIDTH` that fits; where a layer
    must have more, that.

    Raises UsageError where none does.
    """
    check_reachable(curves.layers, budget)
    plans = (
        {layer.name: max(width, layer.choices[0]) for layer in curves.layers}
        for width in range(LARGEST_WIDTH, LEAST_WIDTH - 1, -1)
    )
    plan = next(p for p in plans if plan_bits(curves.layers, p) <= budget)
    return _complete(curves, _allocation(curves, plan))


@dataclass(frozen=True)
class _Step:
    """One layer moved by one choice: to `width`, which is `bits` more or less in all."""

    zeta_per_bit: float
    bits: int
    layer: Layer
    width: int


def _step(curves: Curves, layer: Layer, plan: Plan, direction: int) -> _Step | None:
    """`layer` one choice up (1) or down (-1) from `plan`; None at the end of its choices."""
    place = layer.choices.index(plan[layer.name]) + direction
    if not 0 <= place < len(layer.choices):
        return None
    here, there = plan[layer.name], layer.choices[place]
    values = curves.expected(layer)
    bits = layer.weights * abs(there - here)
    return _Step(abs(values[there] - values[here]) / bits, bits, layer, there)


def _take(curves: Curves, plan: dict[str, int], step: _Step, report: Report) -> None:
    """Take a step, or measure where it leads, by which another may become the best."""
    if curves.is_worth_measuring(step.layer, step.width):
        curves.zeta(step.layer, step.width)
    else:
        plan[step.layer.name] = step.width
    report(_expected(curves, plan))


def _expected(curves: Curves, plan: Plan) -> Allocation:
    zeta = sum(curves.expected(layer)[plan[layer.name]] for layer in curves.layers)
    return Allocation(dict(plan), plan_bits(curves.layers, plan), zeta)


def _allocation(curves: Curves, plan: Plan, tolerance: float | None = None) -> Allocation:
    known = ((curves.smoothed(layer), plan[layer.name]) for layer in curves.layers)
    zeta = sum(values.get(width, 0.0) for values, width in known)
    return Allocation(dict(plan), plan_bits(curves.layers, plan), zeta, tolerance)


Search = Callable[[Curves, int, Report], Allocation]

RULES: Mapping[str, Search] = {
    "threshold": search_threshold,
    "greedy": search_greedy,
    "uniform": search_uniform,
}


def _complete(curves: Curves, found: Allocation) -> Allocation:
    """`found` with the zeta of every layer at its width, measured where it was not needed yet."""
    for layer in curves.layers:
        curves.zeta(layer, found.plan[layer.name])
    return _allocation(curves, found.plan, found.tolerance)
