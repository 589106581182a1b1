"""What a whole network of every backbone has."""

from __future__ import annotations

from typing import ClassVar

from torch import nn


class Network(nn.Module):
    """The float network of a backbone, which `backbone` names; sides of the pictures that it takes
    are multiples of ALIGNMENT. `latents` and `hyper_latents` are how many channels those have."""

    ALIGNMENT: ClassVar[int] = 64
    backbone: str
    latents: int
    hyper_latents: int
