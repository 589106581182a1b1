"""Preparation of training pictures: selection, noise, halving, names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.scripts.conftest import script


def pixels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng((height, width)).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    (root / "birds").mkdir(parents=True)
    for name, size in (("small", (20, 30)), ("birds/tall", (60, 40)), ("birds/wide", (50, 90))):
        Image.fromarray(pixels(*size)).save(root / f"{name}.png")
    (root / "broken.jpg").write_bytes(b"no picture")
    return root


def written(output: Path) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)) for path in sorted(output.iterdir())}


def test_the_largest_are_taken_and_halved(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    options = ["--largest", "2", "--halve-above", "48", "--jobs", "1"]
    script("train").main(["prepare", str(folder), "-o", str(output), *options])
    found = written(output)
    assert {name: value.shape for name, value in found.items()} == {
        "birds-tall.png": (60, 40, 3),
        "birds-wide.png": (25, 45, 3),
    }
    expected = Image.fromarray(pixels(50, 90)).resize((45, 25), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found["birds-wide.png"], np.asarray(expected))
    assert "broken.jpg: cannot be read, left out" in capsys.readouterr().err


def test_the_published_noise_changes_nothing_and_wider_noise_does() -> None:
    before = pixels(40, 40)
    np.testing.assert_array_equal(
        script("training.prepare").with_noise(before, 1.0, (1, 2)), before
    )
    after = script("training.prepare").with_noise(before, 3.0, (1, 2)).astype(int)
    assert set(np.unique((after - before)[before < 250])) == {0, 1, 2}
    assert after.max() == 255


def test_the_same_folder_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in "ab"]
    for output, jobs in zip(outputs, "13", strict=True):
        script("train").main(
            ["prepare", str(folder), "-o", str(output), "--noise", "4", "--jobs", jobs]
        )
    first, second = map(written, outputs)
    assert first.keys() == second.keys() == {"birds-tall.png", "birds-wide.png", "small.png"}
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_what_is_there_is_left_alone(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "small.png").write_bytes(b"mine")
    script("train").main(["prepare", str(folder), "-o", str(output)])
    assert (output / "small.png").read_bytes() == b"mine"
    assert len(list(output.iterdir())) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--largest", "0"), "--largest: give 1 or more"), (("--noise", "-1"), "--noise: give 0 to")],
)
def test_bad_options_give_a_clear_line(
    options: tuple[str, ...], message: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=f"error: {message}"):
        script("train").main(["prepare", str(folder), "-o", str(tmp_path / "out"), *options])


def test_two_pictures_never_share_a_name(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(pixels(8, 8)).save(folder / "birds-tall.png")
    with pytest.raises(SystemExit, match=r"would both become birds-tall\.png"):
        script("train").main(["prepare", str(folder), "-o", str(tmp_path / "out")])
