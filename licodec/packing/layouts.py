"""The layouts of published state dicts, brought to one.

Known are: prefixes ``module.``, three generations of names in the entropy bottleneck,
buffers that are made anew here, and adapters around layers, which are read off the keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from licodec.errors import BadInputError
from licodec.networks.adapter_branches import KINDS
from licodec.networks.adapter_sets import AdapterSet
from licodec.rate.gains import ALPHA, BETA

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


_INNER = {kind.TWICE for kind in KINDS}  # a layer that has a branch already
_FIRST_OF_BRANCH = re.compile(r"(?P<layer>.+)\.(lora\.W_a|adapter\.conv1\.weight)")


def adapters_in(
    shapes: Mapping[str, tuple[int, ...]], largest: Mapping[str, float]
) -> Iterator[AdapterSet]:
    """The adapters that a state dict with these shapes holds, one layer each, inner ones first.

    `largest` gives the gain of each rate mode at 1, which no checkpoint holds.
    """
    found = [(m["layer"], key) for key in shapes if (m := _FIRST_OF_BRANCH.fullmatch(key))]
    layers = {layer for layer, _ in found}
    stacked = []
    for layer, key in found:
        outer, _, last = layer.rpartition(".")
        rank, mode = _rank(shapes, layer, key), ALPHA
        if last in _INNER and outer in layers:
            layer = outer
        elif any(f"{layer}.{inner}" in layers for inner in _INNER):
            mode = BETA
        adapter = AdapterSet(mode, rank, largest[mode], (layer,))
        if mode == BETA:
            stacked.append(adapter)
        else:
            yield adapter
    yield from stacked


def _rank(shapes: Mapping[str, tuple[int, ...]], layer: str, key: str) -> int:
    """The rank of a branch, from the parameter behind its middle; 0 where it is malformed."""
    if key.endswith(".W_a"):
        shape = shapes[key]
        return shape[1] if len(shape) == 2 else 0
    shape = shapes.get(f"{layer}.adapter.conv2.weight", ())
    return shape[1] if len(shape) == 4 else 0
