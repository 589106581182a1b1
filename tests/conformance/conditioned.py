"""The small packs of format/vectors/packs.json as the files that they would be."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import safetensors.numpy

from licodec.packs.bits import pack_bits
from tests.conformance.test_vectors import Json, arrays, load

DESCRIPTION = ("backbone", "schedule", "programs", "weights_id", "adapters")


def merged(target: Any, patch: Any) -> Any:
    """`target` changed by a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    changed = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        changed[key] = None if value is None else merged(changed.get(key), value)
    return {key: value for key, value in changed.items() if value is not None}


PHASED = "a pack with conditions"


def pack_case(name: str = PHASED) -> Json:
    """The pack of this name, as packs.json describes it."""
    packs = [*load("packs")["cases"], *load("packs")["conditioned"]]
    (case,) = (case for case in packs if case["name"] == name)
    return dict(case)


def patched(refused: Json) -> Json:
    """The pack of a case of refused.json, with the ids that it has."""
    case = merged(pack_case(refused["pack"]), refused["patch"])
    case["weights_id"] = refused["weights_id"]
    ids = refused["adapter_ids"]
    sets = [own | {"id": one} for own, one in zip(case["adapters"], ids, strict=True)]
    return case | {"adapters": sets}


def pack_file(case: Json) -> bytes:
    """A pack of packs.json as a weights pack."""
    stored, weights = arrays(case["tensors"]), {}
    for name, width in case["widths"].items():
        weights[name] = {"shape": list(stored[name].shape), "width": width}
        if width < 8:
            stored[name] = pack_bits(stored[name], width)
    description = {key: case[key] for key in DESCRIPTION}
    description |= {"format": 1, "profile": "int-1", "plan": "vector", "weights": weights}
    text = json.dumps(description | {"card": {"name": "a vector"}})
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in stored.items()}
    return safetensors.numpy.save(tensors, metadata={"licodec": text})
