"""The layouts of published state dicts, brought to one.

Known are: prefixes ``module.``, three generations of names in the entropy bottleneck, and buffers
that are made anew here. Adapters around layers: :mod:`licodec.packing.adapted_states`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from licodec.errors import BadInputError

Value = TypeVar("Value")

_PRIOR = "entropy_bottleneck."
_PRIOR_PARAMETER = re.compile(
    r"_?(?P<kind>matrix|matrices|bias|biases|factor|factors)\.?(?P<index>\d+)"
)
_PRIOR_KINDS = {"matrices": "matrix", "biases": "bias", "factors": "factor"}

# Buffers that published state dicts carry beside the parameters; all follow from those.
_BUFFERS = re.compile(
    r"(.+\.)?("
    r"(entropy_bottleneck|gaussian_conditional)\."
    r"(_offset|_quantized_cdf|_cdf_length|target|scale_table|scale_bound"
    r"|likelihood_lower_bound\.bound|lower_bound_scale\.bound)"
    r"|i?gdn\.(beta|gamma)_reparam\.(pedestal|lower_bound\.bound)"
    r"|attn\.relative_position_index"
    r"|context_prediction\.mask"
    r")"
)


def normalized(state: Mapping[str, Value]) -> dict[str, Value]:
    """`state` with the key names that licodec's networks have, and without buffers.

    Raises BadInputError where two keys become one.
    """
    result: dict[str, Value] = {}
    for key, value in state.items():
        name = normalized_key(key)
        if _BUFFERS.fullmatch(name):
            continue
        if name in result:
            raise BadInputError(f"the state dict has {name} twice, once as {key}")
        result[name] = value
    return result


def normalized_key(key: str) -> str:
    while key.startswith("module."):
        key = key.removeprefix("module.")
    if key.startswith(_PRIOR):
        match = _PRIOR_PARAMETER.fullmatch(key.removeprefix(_PRIOR))
        if match:
            kind = _PRIOR_KINDS.get(match["kind"], match["kind"])
            return f"{_PRIOR}_{kind}{match['index']}"
    return key
