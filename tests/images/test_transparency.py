"""What becomes of transparency, in a picture and at encoding."""

from __future__ import annotations

import numpy as np
import pytest

import licodec
from licodec.errors import UsageError
from licodec.images import Picture
from licodec.images.transparency import Transparency, flattened, parse_colour
from tests.images.builders import RGB_PROFILE, samples


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("white", (255, 255, 255)),
        ("DarkOrange", (255, 140, 0)),
        ("#f80", (255, 136, 0)),
        ("#0a141E", (10, 20, 30)),
    ],
)
def test_colours(text: str, colour: tuple[int, int, int]) -> None:
    assert parse_colour(text) == colour


@pytest.mark.parametrize(
    "text", ["", "whitish", "#12", "#12345", "#11223344", "#1234", "0xffffff", "ü", "rgb(300,0,0)"]
)
def test_what_is_no_colour(text: str) -> None:
    with pytest.raises(UsageError, match="is no colour; give a name"):
        parse_colour(text)


@pytest.mark.parametrize("channels", [1, 3])
def test_flattening_rounds(channels: int) -> None:
    picture = Picture(samples(9, 11, channels), samples(9, 11))
    flat = flattened(picture, (200, 200, 200))
    assert flat.alpha is None
    weights = picture.alpha[:, :, None] / 255
    exact = picture.pixels * weights + 200 * (1 - weights)
    assert np.array_equal(flat.pixels, np.floor(exact + 0.5).astype(np.uint8))
    assert flattened(flat, (1, 2, 3)) is flat


def test_a_coloured_background_of_a_grey_picture() -> None:
    alpha = np.array([[0, 255]], np.uint8)
    picture = Picture(np.full((1, 2, 1), 7, np.uint8), alpha, icc=RGB_PROFILE)
    flat = flattened(picture, (10, 20, 30))
    assert flat.pixels.tolist() == [[[10, 20, 30], [7, 7, 7]]]
    assert flat.icc is None
    assert flat.notes == ("ICC profile for GRAY samples left out, the picture is RGB",)


def test_opaque_alpha_is_dropped() -> None:
    opaque = Picture(samples(3, 4, 3), np.full((3, 4), 255, np.uint8))
    for transparency in (Transparency(), Transparency(keep_hidden=True)):
        made = transparency.applied(opaque)
        assert made.alpha is None
        assert np.array_equal(made.pixels, opaque.pixels)
        assert made.notes == ()


def test_a_picture_without_alpha_stays_as_it_is() -> None:
    picture = Picture(samples(3, 4, 3))
    for transparency in (Transparency(), Transparency((1, 2, 3)), Transparency(keep_hidden=True)):
        assert transparency.applied(picture).pixels is picture.pixels


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (33, 17), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_hidden_colours(shape: tuple[int, int], channels: int) -> None:
    alpha = samples(*shape) // 86 * 127
    alpha[-1, -1] = 255
    picture = Picture(samples(*shape, channels), alpha)
    visible = alpha > 0
    made = Transparency().applied(picture)
    assert np.array_equal(made.pixels[visible], picture.pixels[visible])
    low, high = picture.pixels[visible].min(0), picture.pixels[visible].max(0)
    assert (made.pixels >= low).all()
    assert (made.pixels <= high).all()
    # What was hidden changes nothing.
    noise = np.where(visible[:, :, None], picture.pixels, samples(*shape, channels))
    assert np.array_equal(Transparency().applied(Picture(noise, alpha)).pixels, made.pixels)
    assert Transparency(keep_hidden=True).applied(picture).pixels is picture.pixels


def test_hidden_colours_continue_what_is_beside_them() -> None:
    pixels, alpha = np.zeros((16, 16, 1), np.uint8), np.full((16, 16), 255, np.uint8)
    pixels[:, :8], pixels[:, 8:] = 40, 200
    alpha[3:13, 2:6], alpha[3:13, 10:14] = 0, 0
    made = Transparency().applied(Picture(np.where(alpha[:, :, None], pixels, 99), alpha))
    assert np.array_equal(made.pixels, pixels)
    assert made.notes == ()  # one colour, which stood for none


def test_that_hidden_colours_are_left_out_is_told() -> None:
    alpha = np.array([[0, 0, 255]], np.uint8)
    picture = Picture(np.array([[[1], [2], [3]]], np.uint8), alpha)
    assert Transparency().applied(picture).notes == (
        "the colours under fully transparent pixels left out",
    )
    nothing = Picture(picture.pixels, np.zeros((1, 3), np.uint8))
    assert not Transparency().applied(nothing).pixels.any()


def test_from_python() -> None:
    pixels, alpha = samples(24, 24, 3), samples(24, 24) // 128 * 255
    array = np.dstack([pixels, alpha])
    with pytest.warns(UserWarning, match="the colours under fully transparent pixels left out"):
        usual = licodec.encode(array, d=8)
    kept = licodec.encode(array, d=8, keep_hidden_colors=True)
    assert np.array_equal(licodec.decode(usual).alpha, alpha)
    assert usual != kept
    flat = flattened(Picture(pixels, alpha), (255, 0, 0)).pixels
    assert licodec.encode(array, d=8, background="red") == licodec.encode(flat, d=8)
    with pytest.raises(UsageError):
        licodec.encode(array, background="reddish")
    array[:, :, 3] = 255
    assert licodec.encode(array, d=8) == licodec.encode(pixels, d=8)
