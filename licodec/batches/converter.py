"""What makes outputs, of one file or of a batch, and what it tells of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Report = TypeVar("Report")


@dataclass(frozen=True)
class Made(Generic[Report]):
    """What a converter made of a source.

    data        the output's bytes
    weights_id  of the networks, in hexadecimal; None where there are none
    report      what there is to say of it
    """

    data: bytes
    weights_id: str | None
    report: Report


class Likeness(Enum):
    """What a look at a file tells of whether it is a source's output with the present settings."""

    SAME = "same"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Look:
    """What a look at a file has shown; `reason` says in words how it is another."""

    likeness: Likeness
    reason: str = ""


class Converter(Protocol):
    """Makes outputs. Raises LicodecError."""

    def make(self, source: str, target: str) -> Made[Any]:
        """The output of a source, not yet written."""

    def look(self, source: str, target: str) -> Look:
        """Whether a file that exists is the output of a source, as far as that is cheap to say."""


def unusual(settings: DataclassInstance, usual: DataclassInstance) -> dict[str, Any]:
    """The settings that are not as usual, in JSON's types where dataclasses hold no others."""
    return {k: v for k, v in asdict(settings).items() if v != getattr(usual, k)}
