"""A float network out of a checkpoint file."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from licodec.backbones.checkpoints import read_checkpoint
from licodec.backbones.lite import LiteNetwork
from licodec.errors import BadInputError
from licodec.files import display_name

AVERAGED_PREFIX = "module."  # of the weight average in a training state


def load_lite(path: Path) -> LiteNetwork:
    """`lite` with the weights of a training state of scripts/train.py (their average) or of a
    bare state dict, for inference.

    Raises BadInputError where the file is no checkpoint, or one of another backbone.
    """
    name = display_name(path)
    weights = _weights(read_checkpoint(path))
    if weights is None:
        raise BadInputError(
            f"{name}: not a checkpoint; give a training state of scripts/train.py or a state dict"
        )
    network = LiteNetwork()
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
