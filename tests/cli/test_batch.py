"""`licodec batch`. Every call starts a process that opens the pack, so calls are few."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from PIL import Image

from licodec.container import read_file
from tests.cli.conftest import ON_REFERENCE, Run, one_error, pixels, png


def tree(root: Path) -> dict[str, Path]:
    """Every file below a folder by its relative name."""
    return {str(p.relative_to(root)): p for p in sorted(root.rglob("*")) if p.is_file()}


def totals(stdout: str) -> dict[str, str]:
    """The table at the end, one row of columns two spaces apart."""
    headings, values = stdout.splitlines()[-2:]
    names = [name for name in headings.split("  ") if name.strip()]
    starts = [headings.index(name) for name in names]
    ends = [*starts[1:], None]
    return {
        name.strip(): values[start:end].strip()
        for name, start, end in zip(names, starts, ends, strict=True)
    }


def make_older(path: Path, seconds: int = 100) -> None:
    stamp = time.time() - seconds
    os.utime(path, (stamp, stamp))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tree with pictures of one name, a bad one, and files that are passed over."""
    root = tmp_path / "photos"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("a.png", "sub/b.PNG", ".hidden/c.png", ".d.png"):
        (root / name).write_bytes(png())
    Image.fromarray(pixels(20, 30)).save(root / "a.jpg")
    (root / "sub" / "bad.png").write_bytes(png()[:60])
    (root / "notes.txt").write_text("passed over")
    for path in tree(root).values():
        make_older(path)
    return root


def test_there_and_back_again(run: Run, folder: Path, tmp_path: Path) -> None:
    first = run("batch", "photos", "--psnr", "--jobs", "2", "-d", "4", *ON_REFERENCE)
    assert first.exit_code == 1
    assert "photos/sub/bad.png: " in one_error(first)
    made = tree(tmp_path / "photos-lic")
    assert list(made) == ["a.jpg.lic", "a.png.lic", "sub/b.lic"]
    assert read_file(made["a.jpg.lic"].read_bytes()).header.height == 20
    assert first.stdout.count(" -> photos-lic/") == 3
    table = totals(first.stdout)
    size = sum(path.stat().st_size for path in made.values())
    count = 2 * 33 * 17 + 20 * 30
    assert (table["files"], table["pixels"], table["bytes"]) == ("3", str(count), str(size))
    assert table["bpp"] == f"{8 * size / count:.3f}"
    assert table["mean PSNR"].endswith(" dB")
    assert (table["skipped"], table["failed"]) == ("0", "1")

    # Again: what is done is skipped, what is older or cut short is made anew, and a file that
    # is no .lic file is left alone.
    contents = {name: path.read_bytes() for name, path in made.items()}
    (folder / "sub" / "bad.png").unlink()
    (folder / "sub" / "deep" / "new.png").write_bytes(png())
    (tmp_path / "photos-lic" / "sub" / "deep").mkdir()
    (tmp_path / "photos-lic" / "sub" / "deep" / "new.lic").write_text("mine")
    made["a.png.lic"].write_bytes(contents["a.png.lic"][:-1])
    (folder / "sub" / "b.PNG").write_bytes(png(pixels(11, 12)))
    make_older(made["sub/b.lic"])
    make_older(folder / "a.jpg", 1000)
    second = run("batch", "photos/", "--jobs", "1", *ON_REFERENCE)
    assert second.exit_code == 1
    failure, warning = second.stderr.splitlines()
    assert "new.lic: exists and is no .lic file; see --force" in failure
    assert "1 of the skipped files have another rate or pack" in warning
    table = totals(second.stdout)
    assert (table["files"], table["skipped"], table["failed"]) == ("2", "1", "1")
    assert made["a.jpg.lic"].read_bytes() == contents["a.jpg.lic"]
    assert len(made["a.png.lic"].read_bytes()) > len(contents["a.png.lic"])
    assert read_file(made["sub/b.lic"].read_bytes()).header.height == 11
    assert (tmp_path / "photos-lic" / "sub" / "deep" / "new.lic").read_text() == "mine"

    # And back, into the folder of the originals: none of them is overwritten.
    (tmp_path / "photos-lic" / "sub" / "deep" / "new.lic").unlink()
    originals = {name: path.read_bytes() for name, path in tree(folder).items()}
    back = run("batch", "photos-lic", "--decode", "-o", "photos", "--jobs", "1", *ON_REFERENCE)
    assert back.exit_code == 1
    assert "photos/a.png: exists and is older than its .lic file; see --force" in one_error(back)
    assert {name: path.read_bytes() for name, path in tree(folder).items()} == originals | {
        "a.jpg.png": (folder / "a.jpg.png").read_bytes(),
        "sub/b.png": (folder / "sub" / "b.png").read_bytes(),
    }
    with Image.open(folder / "sub" / "b.png") as image:
        assert image.size == (12, 11)


def test_nothing_to_do(run: Run, folder: Path, tmp_path: Path, encoded: bytes) -> None:
    """A batch that is done is done again at once, without a process."""
    output = tmp_path / "photos-lic"
    (output / "sub").mkdir(parents=True)
    (folder / "sub" / "bad.png").unlink()
    for name in ("a.jpg.lic", "a.png.lic", "sub/b.lic"):
        (output / name).write_bytes(encoded)
    result = run("batch", "photos")
    assert (result.exit_code, result.stderr) == (0, "")
    assert totals(result.stdout)["skipped"] == "3"


def test_quiet(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png())
    result = run("batch", "in", "-o", "out", "--quiet", *ON_REFERENCE)
    assert (result.exit_code, result.output) == (0, "")
    assert list(tree(tmp_path / "out")) == ["a.lic"]


def test_an_empty_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    result = run("batch", "empty")
    assert result.exit_code == 3
    assert "empty: no pictures (PNG, JPEG" in one_error(result)
    assert "empty: no .lic files in it or below it" in one_error(run("batch", "empty", "--decode"))
    assert os.listdir(tmp_path) == ["empty"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("none",), 3, "none: no such folder; check the name"),
        (("photo.png",), 3, "photo.png: a file, not a folder; `licodec encode` and `decode`"),
        ((".", "-o", "photo.png"), 1, "photo.png: a file, not a folder; choose one with -o"),
        ((".", "-d", "99"), 2, "d = 99 is out of range"),
        ((".", "--decode", "-d", "9"), 2, "rate options and --psnr are for encoding"),
        ((".", "--decode", "--psnr"), 2, "rate options and --psnr are for encoding"),
        ((".", "--format", "png"), 2, "--format is for --decode"),
        ((".", "--alpha", "2"), 2, "alpha 2 is out of range"),
    ],
)
def test_batches_that_make_no_sense(
    run: Run, photo: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = run("batch", *arguments)
    assert result.exit_code == code
    assert message in one_error(result)
    assert os.listdir(tmp_path) == ["photo.png"]
