"""`licodec batch`. Every call that converts starts a process that opens the pack, so such calls
are few; what is decided in which case is in tests/batches."""

from __future__ import annotations

import json
import os
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from licodec.batches import lock, manifest
from licodec.batches.selection import Selection
from licodec.batches.sources import Found
from licodec.cli.batch import encoding, find_tree
from licodec.container import read_file
from tests.cli.conftest import ON_REFERENCE, Run, one_error, pixels, png
from tests.cli.test_startup import start

HIDDEN = {manifest.NAME, lock.NAME}


def grainy(height: int = 33, width: int = 17, seed: int = 0) -> bytes:
    """A PNG file that is larger than its .lic file."""
    grain = np.random.default_rng(seed).integers(-20, 21, (height, width, 3))
    return png((pixels(height, width) + grain).clip(0, 255).astype(np.uint8))


def tree(root: Path) -> dict[str, Path]:
    """Every file below a folder by its relative name, but for the batch's own."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(p.relative_to(root)): p for p in files if p.name not in HIDDEN}


def contents(root: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in tree(root).items()}


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


def objects(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tree with pictures of one name, a bad one, and files that are passed over."""
    root = tmp_path / "photos"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("a.png", "sub/b.PNG", ".hidden/c.png", ".d.png"):
        (root / name).write_bytes(grainy())
    Image.fromarray(pixels(20, 30)).save(root / "a.jpg", quality=100)
    (root / "sub" / "bad.png").write_bytes(png()[:60])
    (root / "notes.txt").write_text("passed over")
    return root


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A folder `in` with one picture, a.png."""
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.png"
    path.write_bytes(grainy())
    return path


def test_there_and_back_again(run: Run, folder: Path, tmp_path: Path) -> None:
    first = run("batch", "photos", "--psnr", "--jobs", "2", "-d", "4", *ON_REFERENCE)
    assert first.exit_code == 1
    assert "photos/sub/bad.png: " in one_error(first)
    made = tree(tmp_path / "photos-lic")
    assert list(made) == ["a.jpg.lic", "a.png.lic", "sub/b.lic"]
    assert read_file(made["a.jpg.lic"].read_bytes()).header.height == 20
    assert first.stdout.count(" -> photos-lic/") == 3
    assert "1 file of other kinds passed over: .txt" in first.stdout
    table = totals(first.stdout)
    size = sum(path.stat().st_size for path in made.values())
    count = 2 * 33 * 17 + 20 * 30
    assert (table["files"], table["pixels"], table["bytes"]) == ("3", str(count), str(size))
    assert table["bpp"] == f"{8 * size / count:.3f}"
    assert table["mean PSNR"].endswith(" dB")
    assert (table["skipped"], table["failed"]) == ("0", "1")

    # Again: what is done is skipped, be its time older; what has changed or is damaged is made
    # anew, and a file that the batch has not made is left alone.
    before = contents(tmp_path / "photos-lic")
    (folder / "sub" / "bad.png").unlink()
    (folder / "sub" / "deep" / "new.png").write_bytes(grainy())
    (tmp_path / "photos-lic" / "sub" / "deep").mkdir()
    (tmp_path / "photos-lic" / "sub" / "deep" / "new.lic").write_text("mine")
    made["a.png.lic"].write_bytes(before["a.png.lic"][:-1])
    (folder / "sub" / "b.PNG").write_bytes(grainy(11, 12))
    os.utime(folder / "sub" / "b.PNG", (1e9, 1e9))
    os.utime(made["a.jpg.lic"], (1e9, 1e9))
    second = run("batch", "photos/", "--jobs", "1", "-d", "4", *ON_REFERENCE)
    assert second.exit_code == 1
    assert "new.lic: exists and is no whole .lic file" in one_error(second)
    table = totals(second.stdout)
    assert (table["files"], table["skipped"], table["failed"]) == ("2", "1", "1")
    after = contents(tmp_path / "photos-lic")
    assert after.pop("sub/deep/new.lic") == b"mine"
    assert read_file(after.pop("sub/b.lic")).header.height == 11
    assert after == {name: before[name] for name in ("a.jpg.lic", "a.png.lic")}

    # And back, into the folder of the originals: none of them is overwritten.
    (tmp_path / "photos-lic" / "sub" / "deep" / "new.lic").unlink()
    originals = contents(folder)
    back = run("batch", "photos-lic", "--decode", "-o", "photos", "--jobs", "1", *ON_REFERENCE)
    assert back.exit_code == 1
    line = "photos/a.png: exists, and is not what is made of photos-lic/a.png.lic now; see --force"
    assert line in one_error(back)
    assert contents(folder) == originals | {
        "a.jpg.png": (folder / "a.jpg.png").read_bytes(),
        "sub/b.png": (folder / "sub" / "b.png").read_bytes(),
    }
    with Image.open(folder / "sub" / "b.png") as image:
        assert image.size == (12, 11)
    again = run("batch", "photos-lic", "--decode", "-o", "photos", "-n", "--json")
    *files, _ = objects(again.stdout)
    assert [file["status"] for file in files] == ["skipped", "planned", "skipped"]


def test_settings_that_change_a_file_make_it_anew(
    run: Run, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Image.open(one) as image:
        exif = Image.Exif()
        exif[271] = "maker"
        image.save(one, exif=exif)

    def batch(*arguments: str) -> dict[str, str]:
        result = run("batch", "in", "-o", "out", "--no-lossless", *arguments, *ON_REFERENCE)
        assert result.exit_code == 0
        return totals(result.stdout)

    assert batch()["files"] == "1"
    lic = read_file((tmp_path / "out" / "a.lic").read_bytes())
    assert lic.metadata.exif is not None
    # Neither a word for the same rate nor what changes no byte of the file does it again.
    assert batch("-q", "75", "--psnr")["skipped"] == "1"
    assert batch("--metadata", "icc,xmp")["files"] == "1"
    lic = read_file((tmp_path / "out" / "a.lic").read_bytes())
    assert lic.metadata.exif is None
    target = ("--metadata", "none", "--target-psnr", "30")
    assert batch(*target)["files"] == "1"
    assert read_file((tmp_path / "out" / "a.lic").read_bytes()).header.d != lic.header.d
    assert batch(*target)["skipped"] == "1"
    monkeypatch.delenv("LICODEC_WEIGHTS")  # for the plan that is not the tests' own
    for options, reason in (
        ("-d 4", "other settings (metadata, rate)"),
        ("--metadata none --target-psnr 31", "other settings (rate)"),
        ("--metadata none --target-psnr 30 --beta 0.5", "other settings (rate)"),
        ("--metadata none --target-psnr 30 --plan small", "other settings (weights)"),
    ):
        options = f"--no-lossless {options}"
        result = run("batch", "in", "-o", "out", "--dry-run", *options.split())
        assert f"would encode in/a.png -> out/a.lic: {reason}" in result.stdout


def test_files_that_batch_has_not_made(
    run: Run, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `encode` makes, or a batch whose manifest is lost, is known by what it says."""
    (tmp_path / "in" / "b.png").write_bytes(grainy(20, 20))
    arguments = ("-o", "out", *ON_REFERENCE)
    (tmp_path / "out").mkdir()
    assert run("encode", "in/a.png", "in/b.png", *arguments).exit_code == 0
    before = contents(tmp_path / "out")
    for changed, line in (
        (("-d", "2"), "exists and was made at d 1; see --force"),
        (("--plan", "small"), "exists and was made with other weights (7eba31fbd2c598a3)"),
    ):
        with monkeypatch.context() as patched:
            patched.delenv("LICODEC_WEIGHTS")
            result = run("batch", "in", "-o", "out", "--dry-run", *changed)
        assert result.stderr.count(line) == 2
    (tmp_path / "in" / "b.png").write_bytes(grainy(20, 21))
    os.utime(tmp_path / "in" / "b.png", (1e9, 1e9))
    result = run("batch", "in", *arguments)
    error, warning = result.stderr.splitlines()
    assert "out/b.lic: exists and is a picture of 20x20 pixels, not 21x20; see --force" in error
    assert "1 of the skipped files had been made without this manifest" in warning
    assert contents(tmp_path / "out") == before
    assert totals(run("batch", "in", *arguments, "-n").stdout)["skipped"] == "1"
    forced = run("batch", "in", *arguments, "--force")
    assert forced.exit_code == 0
    assert totals(forced.stdout)["files"] == "2"
    assert read_file((tmp_path / "out" / "b.lic").read_bytes()).header.width == 21


def test_a_target_is_known_by_making_the_file_again(run: Run, one: Path, tmp_path: Path) -> None:
    arguments = ("-o", "out", "--target-psnr", "30", *ON_REFERENCE)
    (tmp_path / "out").mkdir()
    assert run("encode", "in/a.png", "-o", "out/a.lic", *arguments[2:]).exit_code == 0
    planned = run("batch", "in", *arguments, "--dry-run")
    assert "would check in/a.png -> out/a.lic: not in the manifest" in planned.stdout
    assert totals(run("batch", "in", *arguments).stdout)["skipped"] == "1"


def test_nothing_to_do(run: Run, one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is done is done again at once, without a process."""
    run("batch", "in", "-o", "out", *ON_REFERENCE)
    monkeypatch.setattr("licodec.batches.workers._start", lambda *_: pytest.fail("a process"))
    result = run("batch", "in", "-o", "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert totals(result.stdout)["skipped"] == "1"
    with open(Path("out", manifest.NAME), "ab") as stream:
        stream.write(b"damage\n")
    planned = run("batch", "in", "-o", "out", "-n")
    assert f"out/{manifest.NAME}: damaged; outputs that it no longer knows" in planned.stderr
    result = run("batch", "in", "-o", "out")
    assert f"damaged; kept as out/{manifest.NAME}.damaged-1, and outputs" in result.stderr
    assert totals(result.stdout)["skipped"] == "1"
    verbose = run("batch", "in", "-o", "out", "-v")
    assert verbose.stderr == ""
    assert "in/a.png -> out/a.lic: skipped, done already" in verbose.stdout


def test_a_dry_run_does_nothing(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "pipe.heic").write_bytes(b"")
    result = run("batch", "photos", "--dry-run", "--exclude", "bad.*", "--include", "sub", "-f")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("would encode photos/sub/b.PNG -> photos-lic/sub/b.lic: new\n")
    assert totals(result.stdout) | {"time": ""} == {
        "files": "0", "pixels": "0", "bytes": "0", "bpp": "-", "planned": "1", "skipped": "0",
        "failed": "0", "time": "",
    }  # fmt: skip
    assert os.listdir(tmp_path) == ["photos"]
    assert "that the patterns leave" in one_error(run("batch", "photos", "--include", "*.tif"))


def test_the_root_of_the_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Found(("a.png",), (), (), {}, ())
    monkeypatch.setattr("licodec.cli.batch.find", lambda *_: found)
    assert find_tree("/", None, encoding(), Selection()).folder == Path("/root-lic")


def test_json(run: Run, folder: Path, tmp_path: Path) -> None:
    odd = "\u202fb\n.PNG"  # as screenshots are called
    (folder / "sub" / "b.PNG").rename(folder / "sub" / odd)
    (folder / "gone.png").symlink_to("nowhere")
    result = run("batch", "photos", "-o", "out", "--json", "--psnr", *ON_REFERENCE)
    assert (result.exit_code, result.stderr) == (1, "")
    *files, summary = objects(result.stdout)
    by_name = {entry["file"].removeprefix("photos/"): entry for entry in files}
    done = by_name[f"sub/{odd}"]
    assert done["output"] == f"out/sub/{odd.removesuffix('.PNG')}.lic"
    assert done["bytes"] == os.path.getsize(tmp_path / done["output"])
    assert (done["status"], done["reason"], done["warnings"]) == ("done", "new", [])
    assert done["psnr"] > 20
    statuses = {name: entry["status"] for name, entry in by_name.items()}
    assert statuses == {
        "a.jpg": "done", "a.png": "done", f"sub/{odd}": "done", "sub/bad.png": "failed",
        "gone.png": "failed",
    }  # fmt: skip
    assert by_name["sub/bad.png"]["error"].startswith("photos/sub/bad.png: ")
    totals = summary["summary"]
    assert (totals["files"], totals["skipped"], totals["failed"]) == (3, 0, 2)
    assert totals["other_kinds"] == {".txt": 1}
    assert totals["bytes"] == sum(entry.get("bytes", 0) for entry in files)


def test_quiet(run: Run, one: Path, tmp_path: Path) -> None:
    one.with_name("b.psd").write_bytes(b"")
    result = run("batch", "in", "-o", "out", "--quiet", *ON_REFERENCE)
    assert (result.exit_code, result.output) == (0, "")
    assert {*os.listdir(tmp_path / "out")} == {"a.lic", *HIDDEN}


def test_a_file_that_grows_and_times_that_are_kept(run: Run, one: Path, tmp_path: Path) -> None:
    one.write_bytes(png(np.full((17, 17, 3), 90, np.uint8)))
    os.utime(one, ns=(10**18, 10**18 + 123_456_789))
    result = run("batch", "in", "-o", "out", "-p", "--no-lossless", *ON_REFERENCE)
    assert result.exit_code == 0
    size = os.path.getsize(tmp_path / "out" / "a.lic")
    assert result.stderr == (
        f"warning: in/a.png: the .lic file of {size} bytes is larger than its source of "
        f"{one.stat().st_size}\n"
    )
    assert (tmp_path / "out" / "a.lic").stat().st_mtime_ns == one.stat().st_mtime_ns


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("arguments", [("a.png",), ("a.lic", "--decode")])
def test_a_named_pipe_is_passed_over(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    name, *options = arguments
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / name)
    result = run("batch", "in", *options)
    assert result.exit_code == 3
    assert "in it or below it" in one_error(result)
    (tmp_path / "in" / f"b.{name[2:]}").write_bytes(b"bad")
    result = run("batch", "in", "--dry-run", *options)
    assert f"in/{name}: a named pipe, passed over" in result.stderr
    assert totals(result.stdout)["planned"] == "1"


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="stands for a failing disk")
def test_a_disk_that_fails_costs_one_file(run: Run, one: Path, tmp_path: Path) -> None:
    one.with_name("b.png").symlink_to("/proc/self/mem")
    result = run("batch", "in", "-o", "out", "--jobs", "1", *ON_REFERENCE)
    assert result.exit_code == 1
    assert one_error(result) == "error: in/b.png: cannot be read: Input/output error"
    assert list(tree(tmp_path / "out")) == ["a.lic"]


def test_two_at_once(folder: Path, tmp_path: Path) -> None:
    """The second waits for the first, and finds everything done."""
    (folder / "sub" / "bad.png").unlink()
    both = [
        start(
            "batch", "photos", "-o", "out", "--jobs", "1", *ON_REFERENCE, cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    results = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(totals(out)["files"] for out, _ in results) == ["0", "3"]
    assert {line for _, err in results for line in err.splitlines()} <= {
        "warning: out: waiting for another batch that writes here"
    }


def test_which_files_are_damaged(encoded: bytes, tmp_path: Path) -> None:
    """What a later version makes is not: it is nothing that could be replaced unasked."""
    path = tmp_path / "a.lic"
    chunk = b"NEWW" + b"data"  # a critical chunk of no type of today
    framed = (4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    for data, damaged in (
        (b"", True),
        (encoded[:5], True),
        (encoded[:-1], True),
        (encoded[:60] + b"?" + encoded[61:], True),
        (encoded + b"more", True),
        (encoded, False),
        (encoded[:8] + framed + encoded[8:], False),
        (png(), False),
        (b"mine", False),
    ):
        path.write_bytes(data)
        assert encoding().naming.is_damaged(path) == damaged


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
        (("",), 2, "the name of a folder is empty"),
        ((".", "-o", ""), 2, "the name of a folder is empty"),
        ((".", "--include", ""), 2, "--include: the pattern is empty"),
        (("photo.png",), 3, "photo.png: a file, not a folder; `licodec encode` and `decode`"),
        ((".", "-o", "photo.png"), 1, "photo.png: a file, not a folder; choose one with -o"),
        ((".", "-d", "99"), 2, "d = 99 is out of range"),
        ((".", "--decode", "-d", "9"), 2, "rate options and --psnr are for encoding"),
        ((".", "--decode", "--psnr"), 2, "rate options and --psnr are for encoding"),
        ((".", "--format", "png"), 2, "--format is for --decode"),
        ((".", "--output-quality", "9"), 2, "--output-quality is for --decode"),
        ((".", "--decode", "--output-quality", "9"), 2, "and the output is PNG"),
        ((".", "--decode", "--keep-hidden-colors"), 2, "--keep-hidden-colors is for encoding"),
        ((".", "--background", "#12"), 2, "--background: '#12' is no colour"),
        ((".", "--decode", "--background", "#12"), 2, "--background: '#12' is no colour"),
        ((".", "--alpha", "2"), 2, "alpha 2 is out of range"),
        ((".", "--json", "--quiet"), 2, "--json and --quiet exclude each other"),
    ],
)
def test_batches_that_make_no_sense(
    run: Run, photo: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = run("batch", *arguments)
    assert result.exit_code == code
    assert message in one_error(result)
    assert os.listdir(tmp_path) == ["photo.png"]
