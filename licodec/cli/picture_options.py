"""The options of pictures: what is encoded of their transparency, and how they are written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from licodec.errors import UsageError
from licodec.rate.modes import Rate

if TYPE_CHECKING:
    from licodec.images.transparency import Colour, Transparency

Background = Annotated[
    str | None,
    typer.Option(
        metavar="COLOR",
        help="Flatten alpha onto this colour: a name (white), #rgb or #rrggbb.",
    ),
]


@dataclass(frozen=True)
class TransparencyOptions:
    """What is encoded of a picture's transparency."""

    background: Background = None
    keep_hidden_colors: Annotated[
        bool,
        typer.Option(
            "--keep-hidden-colors",
            help="Keep the colours under fully transparent pixels. By default they are replaced by "
            "what costs least.",
        ),
    ] = False

    def require_no_encoding(self) -> None:
        """Raises UsageError for what is said of pictures to encode."""
        if self.keep_hidden_colors:
            raise UsageError("--keep-hidden-colors is for encoding; --decode does not take it")

    def chosen(self, rate: Rate) -> Transparency:
        """With hidden colours also where the rate is lossless. Raises UsageError for what is no
        colour, and where both are given."""
        from licodec.images.transparency import Transparency

        background = parse_background(self.background)
        if background is not None and self.keep_hidden_colors:
            raise UsageError(
                "--background leaves no colours hidden: give it or --keep-hidden-colors"
            )
        return Transparency(background, self.keep_hidden_colors or rate.lossless is True)


@dataclass(frozen=True)
class WritingOptions:
    """How decoded pictures are written."""

    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="png, jpg, webp, avif, tiff, bmp, ppm (colour), pgm (grey) or pnm (either); by "
            "default that of OUT's suffix, or png.",
        ),
    ] = None
    output_quality: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=100,
            help="Quality of JPEG, WebP and AVIF outputs, each on its own scale. By default JPEG "
            "and AVIF have 95, and WebP is lossless.",
        ),
    ] = None
    compress: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=9,
            help="Compression of PNG outputs: 0 is fastest, 9 smallest. Default: 4.",
        ),
    ] = None

    def require_default(self) -> None:
        """Raises UsageError for what is said of pictures to decode."""
        for name, value in asdict(self).items():
            if value is not None:
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} is for --decode; encoding writes .lic files")


def parse_background(text: str | None) -> Colour | None:
    """Raises UsageError for what is no colour."""
    if text is None:
        return None
    from licodec.images.transparency import parse_colour

    try:
        return parse_colour(text)
    except UsageError as error:
        raise UsageError(f"--background: {error}") from None
