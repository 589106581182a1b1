"""The plan and the figures that a search left in a pack's card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from licodec.errors import BadInputError
from licodec.files import display_name
from licodec.packs.storage import read_name

CARD_KEY = "quantization"
Plan = Mapping[str, int]
"""Bits by "program.layer"."""


def search_figures(path: Path) -> Mapping[str, Any]:
    """What the card of a pack of `licodec quantize` says of its search; "plan" is there.

    Raises BadInputError where `path` is no pack or its card names no plan.
    """
    figures: Any = read_name(path).card.get(CARD_KEY)
    plan = figures.get("plan") if isinstance(figures, dict) else None
    if not isinstance(plan, dict) or not all(isinstance(bits, int) for bits in plan.values()):
        raise BadInputError(f"{display_name(path)}: no pack of `licodec quantize`")
    return figures
