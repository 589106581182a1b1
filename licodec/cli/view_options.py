"""The options that say what of a picture is wanted, and in which size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from licodec.images.resizing import Framing
    from licodec.images.views import View

PANEL = "Size of the picture (a crop comes first)"


class Scale(StrEnum):
    """What width and height are multiplied by."""

    HALF = "1/2"
    QUARTER = "1/4"
    EIGHTH = "1/8"


Crop = Annotated[
    str | None,
    typer.Option(
        metavar="WxH+X+Y",
        help="Take only this part, in pixels; X and Y are its left and top edge.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
Resize = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Resize before coding: WxH, W or xH (which keep the shape), or 50%.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True)
class ReductionOptions:
    """How much smaller a picture is decoded."""

    scale: Annotated[
        Scale | None,
        typer.Option(
            "--scale",
            help="Divide the sides, by exact means of blocks of pixels.",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = None
    thumbnail: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            min=1,
            max=65535,
            help="Make the longer side this many pixels, if it has more.",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = None

    def chosen(self, crop: str | None = None) -> View:
        """The view of each picture. Raises UsageError."""
        from licodec.images.views import make_view

        return make_view(crop, None if self.scale is None else self.scale.value, self.thumbnail)


def framing(crop: str | None, resize: str | None) -> Framing:
    """What is coded of each picture. Raises UsageError."""
    from licodec.images.resizing import make_framing

    return make_framing(crop, resize)
