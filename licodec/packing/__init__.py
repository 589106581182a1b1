"""Making packs: backbones and their checkpoints, calibration, tables, adapter sets.

Nothing here is imported before it is needed: PyTorch takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from licodec.networks.published import PublishedNetwork


def from_checkpoint(
    path_or_state_dict: str | Path | Mapping[str, object],
    backbone: str | None = None,
    adapters: Sequence[str | Path | Mapping[str, object]] = (),
) -> PublishedNetwork:
    """The float network of a published checkpoint, whose forward gives {"x_hat", "likelihoods"}.

    Takes a file that torch.save wrote or a state dict, in any published layout: the plain
    anchor, adapters for alpha, those for alpha and beta. `backbone` is "stf", "tcm", "icm"
    or "cheng-attn", and read off the keys where it is not given. `adapters` are files or state
    dicts beside that of the anchor, alpha's before beta's.

    >>> network = from_checkpoint("icm_78.pth.tar")  # doctest: +SKIP
    >>> network.set_rate(d=4)  # doctest: +SKIP
    >>> x_hat = network(pictures)["x_hat"]  # doctest: +SKIP

    Raises UsageError for an unknown backbone, and BadInputError for a file that is no
    checkpoint, a state dict that is not one of the backbone's, and adapters that do not fit it.
    """
    from licodec.packing.checkpoints import load_network
    from licodec.packing.registry import PUBLISHED

    network = load_network(path_or_state_dict, backbone, adapters, PUBLISHED)
    return cast("PublishedNetwork", network)  # as PUBLISHED are
