"""Alpha and beta as files and programs count them: integers that scale adapters' branches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

GAIN_ONE = 2**16 - 1  # units of 1
ALPHA, BETA = MODES = ("alpha", "beta")  # names of the number ports that take them, in order


@dataclass(frozen=True)
class Gains:
    """Rate and perception of a picture's adapters, 0 to GAIN_ONE each; 0 is without them."""

    alpha: int = 0
    beta: int = 0

    @property
    def neutral(self) -> bool:
        return self.alpha == self.beta == 0

    def by_mode(self, modes: Iterable[str] = MODES) -> dict[str, int]:
        """The gain of each of `modes`."""
        return {mode: getattr(self, mode) for mode in modes}


ANCHOR = Gains()
