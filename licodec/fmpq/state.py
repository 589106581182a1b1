"""What a search has measured, in a JSON file that is up to date after every measurement.

The file is bound to what was measured by a fingerprint of weights, pictures and settings. The
size wanted and the rule are no part of it: one file serves searches for several packs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from licodec.errors import BadInputError, UsageError
from licodec.files import display_name, save_atomically
from licodec.fmpq.curves import Layer

FORMAT = 2
KIND = "licodec sensitivities"

Values = Mapping[tuple[str, int], float]  # zeta by layer and width


@dataclass(frozen=True)
class Sensitivities:
    """The content of a state file.

    fingerprint  what the values belong to
    float_loss   the RD-loss in float
    layers       all of them, in the network's order
    values       zeta as measured
    """

    fingerprint: str
    float_loss: float
    layers: tuple[Layer, ...]
    values: Values


def read_state(path: Path) -> Sensitivities:
    """Raises BadInputError where the file is missing or none of these."""
    name = display_name(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{name}: the search's state cannot be read ({error})") from None
    try:
        return _from_json(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInputError(
            f"{name}: not a search's state, or a damaged one; delete it to begin anew"
        ) from None


def resumed(path: Path, fingerprint: str) -> Values:
    """The values in the state file of the same search; none where there is no file yet.

    Raises BadInputError, and UsageError where the file belongs to another search.
    """
    if not path.exists():
        return {}
    state = read_state(path)
    if state.fingerprint != fingerprint:
        raise UsageError(
            f"{display_name(path)}: the state of a search with another checkpoint, other "
            "pictures or other trials; delete it or name another file with --state"
        )
    return state.values


def write_state(state: Sensitivities, path: Path) -> None:
    """Raises LicodecError where the file cannot be written."""
    values = [[name, width, value] for (name, width), value in state.values.items()]
    data = {"kind": KIND, "format": FORMAT, **asdict(state), "values": values}
    save_atomically(path, json.dumps(data, indent=1).encode("ascii"), overwrite=True)


def _from_json(data: Any) -> Sensitivities:
    if data["kind"] != KIND or data["format"] != FORMAT:
        raise ValueError("another kind of file")
    layers = tuple(
        Layer(str(row["name"]), int(row["weights"]), tuple(map(int, row["choices"])))
        for row in data["layers"]
    )
    values = {(str(name), int(width)): float(value) for name, width, value in data["values"]}
    known = {(layer.name, width) for layer in layers for width in layer.choices}
    if not values.keys() <= known or not all(map(math.isfinite, values.values())):
        raise ValueError("a value that no search measures")
    return Sensitivities(str(data["fingerprint"]), float(data["float_loss"]), layers, values)
