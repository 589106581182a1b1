"""Float networks out of checkpoint files: those of `lite`, and what a search takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from licodec.errors import BadInputError, UsageError
from licodec.files import display_name
from licodec.networks.adapter_sets import AdapterSet, attach
from licodec.networks.lite import LiteNetwork
from licodec.packing.checkpoints import backbone_of, listed, network_of, read_checkpoint
from licodec.packing.lite import SearchableLite
from licodec.packing.lite_recovery import recover_lite
from licodec.packing.published import SearchablePublished, card_of
from licodec.packing.registry import BACKBONES
from licodec.packing.searchable import Searchable
from licodec.packs import is_pack, read_pack

AVERAGED_PREFIX = "module."  # of the weight average in a training state
LITE = "lite"
LITE_KEY = "analysis.linear.transform.weight"  # in its state dicts alone, with adapters or without


def load_searchable(
    path: Path,
    backbone: str | None = None,
    adapters: Sequence[Path] = (),
    objective: str | None = None,
) -> Searchable:
    """What a search takes, of a checkpoint of `lite` (:func:`load_lite`) or of a published one.

    `backbone` and `adapters` are those of ``licodec.packing.checkpoints.load_network``,
    `objective` that of ``compile_published``; of `lite` there is only the anchor. Raises
    UsageError, and BadInputError where the file is no checkpoint or one of no known backbone.
    """
    name = display_name(path)
    if is_pack(path):
        if backbone not in (None, LITE):
            raise UsageError(f"{name}: packs are read back of lite alone; give a checkpoint")
        _refuse(name, adapters, objective)
        return SearchableLite(load_lite(path))
    content = read_checkpoint(path)
    weights = _weights(content)
    if weights is None:
        raise _no_checkpoint(name)
    if backbone == LITE or (backbone is None and LITE_KEY in weights):
        _refuse(name, adapters, objective)
        return SearchableLite(_lite(name, content))
    if backbone is None and backbone_of(name, content) is None:
        raise BadInputError(
            f"{name}: its keys ({listed(list(weights))}) are those of no backbone that licodec "
            f"quantizes: {', '.join((LITE, *BACKBONES))}"
        )
    network = network_of(name, content, backbone, adapters)
    return SearchablePublished(name, network, objective, card_of(path.name, network, adapters))


def _refuse(name: str, adapters: Sequence[Path], objective: str | None) -> None:
    """Raise UsageError for what only published checkpoints take."""
    if adapters or objective is not None:
        raise UsageError(
            f"{name}: of lite, whose packs get adapters by scripts/add_adapters.py; leave "
            "--adapters and --objective out"
        )


def load_lite(path: Path) -> LiteNetwork:
    """`lite` with the weights of a training state (their average), of a bare
    state dict, or of a pack as ``lite_recovery.recover_lite`` finds them, for inference.

    Raises BadInputError where the file is no checkpoint, one of another backbone, or one with
    adapters (:func:`load_adapted_lite` reads those), and CorruptFileError for a damaged pack.
    """
    if is_pack(path):
        return recover_lite(read_pack(path)).network
    return _lite(display_name(path), read_checkpoint(path))


def _lite(name: str, content: object) -> LiteNetwork:
    if _adapter_sets(name, content):
        raise BadInputError(f"{name}: holds adapters; give the anchor that they were trained on")
    return _filled(name, LiteNetwork(), content)


def load_adapted_lite(path: Path) -> LiteNetwork:
    """The same with the adapters that a state of scripts/train_adapters.py or
    scripts/train_perception.py holds beside the weights, at the anchor; of a pack without."""
    if is_pack(path):
        return load_lite(path)
    name, content = display_name(path), read_checkpoint(path)
    network = LiteNetwork()
    for adapters in _adapter_sets(name, content):
        attach(network, adapters)
    return _filled(name, network, content)


def adapter_sets(path: Path) -> tuple[AdapterSet, ...]:
    """The adapter sets that :func:`load_adapted_lite` finds, in the order of their attachment.

    Raises BadInputError where the file is no checkpoint or describes them wrongly.
    """
    if is_pack(path):
        return ()
    return _adapter_sets(display_name(path), read_checkpoint(path))


def _adapter_sets(name: str, content: object) -> tuple[AdapterSet, ...]:
    described = content.get("adapters", ()) if isinstance(content, dict) else ()
    try:
        if isinstance(described, (list, tuple)):
            return tuple(AdapterSet.from_data(data) for data in described)
        raise BadInputError("the description of its adapters is damaged")
    except BadInputError as error:
        raise BadInputError(f"{name}: {error}") from None


def _filled(name: str, network: LiteNetwork, content: object) -> LiteNetwork:
    """`network` in evaluation mode with the weights in `content`. Raises BadInputError."""
    weights = _weights(content)
    if weights is None:
        raise _no_checkpoint(name)
    expected = network.state_dict()
    missing = [key for key in expected if key not in weights]
    further = [key for key in weights if key not in expected]
    reshaped = [k for k, v in expected.items() if k in weights and weights[k].shape != v.shape]
    for keys, what in ((missing, "lacks"), (further, "has"), (reshaped, "has another shape of")):
        if keys:
            raise BadInputError(
                f"{name}: a checkpoint of another backbone than lite: it {what} {keys[0]}"
            )
    network.load_state_dict(weights)
    return network.eval()


def _no_checkpoint(name: str) -> BadInputError:
    return BadInputError(
        f"{name}: not a checkpoint; give a training state or a state dict"
    )


def _weights(content: object) -> dict[str, Tensor] | None:
    if not isinstance(content, dict):
        return None
    average = content.get("average")
    if isinstance(average, dict):
        content = {
            key.removeprefix(AVERAGED_PREFIX): value
            for key, value in average.items()
            if isinstance(key, str) and key.startswith(AVERAGED_PREFIX)
        }
    else:
        content = content.get("state_dict", content)
    if not isinstance(content, dict) or not content:
        return None
    whole = all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    return content if whole else None
