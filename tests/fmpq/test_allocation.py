"""The rules: the size is met, and each does what it says."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.errors import UsageError
from licodec.fmpq.allocation import (
    RULES,
    Allocation,
    check_reachable,
    naive_evaluations,
    narrowest,
    plan_bits,
    search_greedy,
    threshold_plan,
    widest,
)
from licodec.fmpq.curves import Curves, Layer

WIDTHS = (2, 3, 4, 5, 6, 7, 8)


def ignore(allocation: Allocation) -> None:
    """A report that nobody reads."""


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[Layer], dict[tuple[str, int], float]]:
    """Layers with noisy sensitivities that about quarter with each bit."""
    layers, zeta = [], {}
    for i in range(draw(st.integers(1, 12))):
        choices = (*WIDTHS, 16) if draw(st.booleans()) and i % 4 == 0 else WIDTHS
        layers.append(Layer(f"l{i}", draw(st.integers(1, 5000)), choices))
        strength = draw(st.floats(1e-4, 50))
        for width in choices:
            zeta[f"l{i}", width] = strength * 4.0**-width + draw(st.floats(-1e-4, 1e-4))
    return layers, zeta


def curves_of(network: tuple, asked: list | None = None) -> Curves:
    layers, zeta = network

    def measure(name: str, width: int) -> float:
        if asked is not None:
            asked.append((name, width))
        return zeta[name, width]

    return Curves(layers, measure)


def budget_of(layers: list[Layer], share: float) -> int:
    least, most = (plan_bits(layers, ends(layers)) for ends in (narrowest, widest))
    return round(least + share * (most - least))


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=40)
@given(network=networks(), share=st.floats(0, 1.2))
def test_the_size_is_met_and_nothing_measured_twice(
    rule: str, network: tuple, share: float
) -> None:
    asked: list[tuple[str, int]] = []
    curves = curves_of(network, asked)
    budget = budget_of(network[0], share)
    found = RULES[rule](curves, budget, ignore)
    assert found.bits == plan_bits(network[0], found.plan) <= budget
    assert all(found.plan[layer.name] in layer.choices for layer in network[0])
    assert len(asked) == len(set(asked)) == curves.evaluations


@settings(max_examples=40)
@given(network=networks(), share=st.floats(0, 0.99))
def test_the_published_rule(network: tuple, share: float) -> None:
    curves = curves_of(network)
    found = RULES["threshold"](curves, budget_of(network[0], share), ignore)
    if found.plan != narrowest(network[0]):
        assert found.plan == threshold_plan(curves, found.tolerance)


@settings(max_examples=40)
@given(network=networks(), share=st.floats(0, 1.2))
def test_uniform_bits_are_the_most_that_fit(network: tuple, share: float) -> None:
    layers, _ = network
    budget = budget_of(layers, share)
    found = RULES["uniform"](curves_of(network), budget, ignore)
    (width,) = set(found.plan.values())
    assert width == 8 or (width + 1) * sum(layer.weights for layer in layers) > budget


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, 9), min_size=3, max_size=3), st.integers(0, 60))
def test_greedy_is_the_best_of_all_plans_of_equal_layers(strengths: list, extra: int) -> None:
    layers = [Layer(f"l{i}", 1, WIDTHS) for i in range(3)]
    zeta = {(f"l{i}", b): s * 4.0**-b for i, s in enumerate(strengths) for b in WIDTHS}
    budget = min(6 + extra % 19, 24)
    curves = curves_of((layers, zeta))
    found = search_greedy(curves, budget, ignore)
    best = min(
        sum(zeta[f"l{i}", b] for i, b in enumerate(plan))
        for plan in product(WIDTHS, repeat=3)
        if sum(plan) <= budget
    )
    assert sum(zeta[name, b] for name, b in found.plan.items()) == pytest.approx(best)


def test_a_size_out_of_reach_names_the_range() -> None:
    layers = [Layer("a", 400, WIDTHS)]
    with pytest.raises(UsageError, match=r"6\.25 % \(100 bytes\) to 25\.00 % \(400 bytes\)"):
        check_reachable(layers, 799)
    check_reachable(layers, 800)


def test_the_naive_search_is_counted_as_published() -> None:
    layers = [Layer("a", 1, WIDTHS), Layer("b", 1, (*WIDTHS, 16))]
    assert naive_evaluations(layers) == 100 * 2 * 7
