"""The options that say what of a picture is wanted, and in which size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from licodec.errors import UsageError

if TYPE_CHECKING:
    from licodec.images.resizing import Framing
    from licodec.images.views import View

PANEL = "Size of the picture (a crop comes first)"
size_option = partial(typer.Option, rich_help_panel=PANEL)


class Scale(StrEnum):
    """What width and height are multiplied by."""

    HALF = "1/2"
    QUARTER = "1/4"
    EIGHTH = "1/8"


Crop = Annotated[
    str | None,
    size_option(
        metavar="WxH+X+Y",
        help="Take only this part, in pixels; X and Y are its left and top edge.",
    ),
]
Resize = Annotated[
    str | None,
    size_option(
        metavar="SIZE", help="Resize before coding: WxH, W or xH (which keep the shape), or 50%."
    ),
]


@dataclass(frozen=True)
class FramingOptions:
    """What is coded of a picture, and in which size."""

    crop: Crop = None
    resize: Resize = None

    def require_no_encoding(self) -> None:
        """Raises UsageError for what is said of pictures to encode."""
        if self.resize is not None:
            raise UsageError(
                "--resize is for encoding; --decode takes --scale and --thumbnail for other sizes"
            )

    def chosen(self) -> Framing:
        """What is coded of each picture. Raises UsageError."""
        from licodec.images.resizing import make_framing

        with _as_option():
            return make_framing(self.crop, self.resize)


@dataclass(frozen=True)
class ReductionOptions:
    """How much smaller a picture is decoded."""

    scale: Annotated[
        Scale | None,
        size_option("--scale", help="Divide the sides, by exact means of blocks of pixels."),
    ] = None
    thumbnail: Annotated[
        int | None,
        size_option(
            metavar="PX",
            min=1,
            max=65535,
            help="Make the longer side this many pixels, if it has more.",
        ),
    ] = None

    def require_default(self) -> None:
        """Raises UsageError for what is said of pictures to decode."""
        if self != ReductionOptions():
            raise UsageError("--scale and --thumbnail are for --decode; encoding takes --resize")

    def chosen(self, crop: str | None = None) -> View:
        """The view of each picture. Raises UsageError."""
        from licodec.images.views import make_view

        if self.scale is not None and self.thumbnail is not None:
            raise UsageError("--scale and --thumbnail exclude each other; give one of them")
        with _as_option():
            return make_view(crop, self.scale and self.scale.value, self.thumbnail)


@contextlib.contextmanager
def _as_option() -> Iterator[None]:
    """Have an error name the option whose value, by its name, it is about."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"--{error}") from None
