"""State dicts of networks with adapters, taken apart; adapters may be in files of their own, beside
the checkpoint of their anchor.

Such a file is a state dict in an adapted layout, with the anchor's weights in it or without.
Of two branches of one layer the inner one is alpha's. Where a file has one branch for a layer,
the files' order tells which: alpha's come first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from licodec.errors import BadInputError
from licodec.networks.adapter_branches import KINDS, Adapted
from licodec.networks.adapter_sets import AdapterSet, adapted_layers, plain_path
from licodec.packing.registry import recognise, same_network
from licodec.rate.gains import MODES

NAMED = 3  # keys and layers that a message names before it counts the rest
State = Mapping[str, Tensor]

_INNER = "|".join(sorted(kind.TWICE for kind in KINDS))
_BRANCH_NAMES = "|".join(sorted({kind.BRANCH for kind in KINDS}))
_BRANCH_KEY = re.compile(
    rf"(?P<layer>.+?)(\.(?P<inner>{_INNER}))?\.(?P<branch>{_BRANCH_NAMES})\.(?P<rest>.+)"
)
_ONCE, _TWICE = ({getattr(kind, name) for kind in KINDS} for name in ("LAYER", "TWICE"))
# Whose second dimension is a branch's rank, and how many it has.
_RANKED = (("lora.W_a", 2), ("adapter.conv2.weight", 4))
Branch = dict[str, Tensor]  # by the key behind the layer's name


@dataclass
class Parts:
    """A state dict taken apart: the anchor's weights by their plain keys, and the branches of
    each adapted layer, the inner one first."""

    trunk: dict[str, Tensor]
    branches: dict[str, list[Branch]]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the anchor's weights."""
        return {key: tuple(value.shape) for key, value in self.trunk.items()}


def taken_apart(state: State) -> Parts:
    """The parts of a state dict with licodec's names (see ``layouts.normalized``). Raises
    BadInputError where it has a weight twice."""
    inner: dict[str, Branch] = {}
    outer: dict[str, Branch] = {}
    rest = {}
    for key, value in state.items():
        if (match := _BRANCH_KEY.fullmatch(key)) is None:
            rest[key] = value
            continue
        level = inner if match["inner"] else outer
        level.setdefault(match["layer"], {})[f"{match['branch']}.{match['rest']}"] = value
    layers = [*inner, *(layer for layer in outer if layer not in inner)]
    branches = {
        layer: [level[layer] for level in (inner, outer) if layer in level] for layer in layers
    }
    trunk: dict[str, Tensor] = {}
    for key, value in rest.items():
        name = _plain(key, branches)
        if name in trunk:
            raise BadInputError(f"the state dict has {name} twice, once as {key}")
        trunk[name] = value
    return Parts(trunk, branches)


def _plain(key: str, layers: Iterable[str]) -> str:
    """The name that a weight of the anchor has without adapters."""
    parts = key.split(".")
    for count in range(1, len(parts)):
        if (layer := ".".join(parts[:count])) in layers:
            below = [part for part in parts[count:] if part not in _TWICE]
            return ".".join([layer, *(below[1:] if below[0] in _ONCE else below)])
    return key


def sets_of(parts: Parts, largest: Mapping[str, float]) -> Iterator[AdapterSet]:
    """The adapters of `parts`, one layer each, inner ones first; those without a rank have 0.

    `largest` gives the gain of each rate mode at 1, which no checkpoint holds.
    """
    for layer, branches in parts.branches.items():
        for mode, branch in zip(MODES, branches, strict=False):
            shapes = ((branch[key].shape, count) for key, count in _RANKED if key in branch)
            rank = next((shape[1] for shape, count in shapes if len(shape) == count), 0)
            yield AdapterSet(mode, rank, largest[mode], (layer,))


def arranged(parts: Parts, network: nn.Module) -> dict[str, Tensor]:
    """What `parts` hold by the names that `network` has for it; what it has no place for is under
    names of its own."""
    trunk, state = dict(parts.trunk), {}
    for key in network.state_dict():
        path, in_branch = plain_path(network, key)
        if path in trunk and not in_branch:
            state[key] = trunk.pop(path)
    places = {
        (plain_path(network, name)[0], isinstance(layer.layer, Adapted)): name
        for name, layer in adapted_layers(network)
    }
    for path, branches in parts.branches.items():
        for level, branch in enumerate(branches):
            name = places.get((path, bool(level)), path)
            state |= {f"{name}.{key}": value for key, value in branch.items()}
    return trunk | state


def with_adapters(anchor: Parts, files: Mapping[str, Parts], backbone: str) -> Parts:
    """The anchor with the adapters of `files`, by the files' names, in order.

    Raises BadInputError for a file that holds no adapters, those of another backbone, or those
    of other weights than the anchor's. Shapes are left to whoever loads what it gives.
    """
    whole = Parts(anchor.trunk, {name: [*own] for name, own in anchor.branches.items()})
    for name, added in files.items():
        found = recognise(added.shapes)
        if found and not same_network(found, backbone):
            raise BadInputError(f"{name}: this is a checkpoint of {found}, not of {backbone}")
        if not added.branches:
            raise BadInputError(
                f"{name}: holds no adapters: none of its keys is of a branch "
                "(.lora.W_a, .adapter.conv1.weight, ...)"
            )
        _require_anchor(name, whole, added, backbone)
        for layer, branches in added.branches.items():
            _add(name, layer, whole.branches.setdefault(layer, []), branches)
    return whole


def _require_anchor(name: str, whole: Parts, added: Parts, backbone: str) -> None:
    """Raise BadInputError where `added` are not adapters of the anchor."""
    # Every module that a parameter of the anchor is in.
    known = {key[: dot.start()] for key in whole.trunk for dot in re.finditer(r"\.", key)}
    strange = [layer for layer in added.branches if layer not in known]
    if strange:
        raise BadInputError(
            f"{name}: adapters of layers that this {backbone} network does not have: "
            f"{listed(strange)}"
        )
    for key, value in added.trunk.items():
        own = whole.trunk.get(key)
        if own is None or not _equal(own, value):
            raise BadInputError(
                f"{name}: its {key} is not the checkpoint's: the adapters belong to another "
                "anchor; if the file holds a whole network, import it by itself"
            )


def listed(names: Sequence[str]) -> str:
    """Some names as a message has them: the first few, and how many more."""
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest


def _add(name: str, layer: str, present: list[Branch], branches: list[Branch]) -> None:
    """Put a file's branches around a layer with those that it has; equal ones stay one."""
    if len(branches) == 2 and present and _same_branch(present[0], branches[0]):
        branches = branches[1:]
    if len(present) + len(branches) > 2:
        raise BadInputError(
            f"{name}: {layer} would have {len(present) + len(branches)} adapters; a layer takes "
            "two, one for alpha and one for beta"
        )
    present.extend(branches)


def _same_branch(a: Branch, b: Branch) -> bool:
    return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether two parameters are the same to float32."""
    plain = all(x.layout == torch.strided and not x.is_meta for x in (a, b))
    return plain and a.shape == b.shape and torch.equal(a.to(torch.float32), b.to(torch.float32))
