"""Rates that commands sweep, and their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from licodec.errors import LicodecError
from licodec.packs.storage import AdaptersName
from licodec.rate.modes import Rate, RateMode
from licodec.rate.scale import AdapterRates

Adapters = AdaptersName | AdapterRates


def sets_at(
    adapters: Sequence[Adapters], betas: Iterable[float], objectives: Sequence[str] | None = None
) -> list[tuple[str, float]]:
    """The objective of every set with alpha (None: of all objectives) and each beta that it has.

    Raises LicodecError for an objective that the pack lacks, and where it has no sets.
    """
    names = [own.objective for own in adapters]
    if not names:
        raise LicodecError("the pack has no alpha: it has no adapters")
    for name in objectives or ():
        if name not in names:
            raise LicodecError(f"no adapters for {name!r}; the pack has {', '.join(names)}")
    return [
        (own.objective, beta)
        for own in adapters
        if own.objective in (objectives or names) and "alpha" in own.modes
        for beta in (betas if "beta" in own.modes else (0.0,))
    ]


def swept(
    adapters: Sequence[Adapters],
    ds: Iterable[float],
    alphas: Sequence[float],
    betas: Iterable[float],
    objectives: Sequence[str] | None = None,
) -> list[Rate]:
    """Every d, then every alpha of each set at each beta. Raises LicodecError as `sets_at` does."""
    sets = sets_at(adapters, betas, objectives) if alphas else []
    adapted = (Rate(RateMode.ALPHA, a, b, None, objective) for objective, b in sets for a in alphas)
    return [*(Rate(RateMode.D, d) for d in ds), *adapted]


def described(rate: Rate) -> dict[str, float | str]:
    """What of a rate is not neutral: {"alpha": 0.5, "beta": 1.0, "objective": "mse"}."""
    settings = {rate.mode.value: float(rate.value)}
    further = {"beta": float(rate.beta), "objective": rate.objective}
    return settings | {name: value for name, value in further.items() if value}


def in_words(rate: Rate) -> str:
    """For a file's name: "d-2", "alpha-0.5-beta-1-objective-mse"."""
    own = described(rate).items()
    return "-".join(f"{k}-{v:g}" if isinstance(v, float) else f"{k}-{v}" for k, v in own)
