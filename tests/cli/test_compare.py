"""`licodec compare`: figures, the page, and what stands in the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import licodec
from licodec.compare import codecs
from licodec.errors import LicodecError
from tests.cli.conftest import ON_REFERENCE, Run, one_error, png

QUICK = ("--codecs", "jpeg,webp", "--ds", "4", *ON_REFERENCE)


@pytest.fixture(autouse=True)
def without_ssimulacra2(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is missing: what it measures takes a second."""
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)


def test_figures_are_printed(run: Run, photo: Path, tmp_path: Path) -> None:
    result = run("compare", "photo.png", *QUICK)
    assert result.exit_code == 0
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["picture", "codec", "setting", "bytes", "bpp", "PSNR", "(dB)"]
    assert [row.split()[1] for row in rows] == ["licodec", "JPEG", "WebP"]
    assert rows[0].split()[2:4] == ["d", "4"]
    assert os.listdir(tmp_path) == ["photo.png"]
    warnings = result.stderr.splitlines()
    assert any("SSIMULACRA 2 needs the package ssimulacra2" in line for line in warnings)
    assert any(line.startswith("warning: photo.png: MS-SSIM is left out") for line in warnings)


def test_what_licodec_is_compared_by_is_what_encode_makes(run: Run, photo: Path) -> None:
    result = run("compare", "photo.png", "--json", *QUICK)
    (picture,) = json.loads(result.stdout)
    ours, jpeg, webp = picture["levels"][0]["codings"]
    run("encode", "photo.png", "-o", "x.lic", "-d", "4", *ON_REFERENCE)
    assert (ours["codec"], ours["d"], ours["size"]) == ("licodec", 4.0, os.path.getsize("x.lic"))
    assert (jpeg["codec"], webp["codec"]) == ("JPEG", "WebP")
    assert {"quality", "size", "bpp", "psnr", "ms_ssim", "ssimulacra2"} < jpeg.keys()
    assert (picture["file"], picture["width"], picture["height"]) == ("photo.png", 17, 33)


def test_the_page(run: Run, photo: Path, tmp_path: Path) -> None:
    result = run("compare", "photo.png", "-o", "page.html", "--crop", "8x9+1+2", *QUICK)
    assert result.exit_code == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.startswith("<!doctype html>") and "8 &times; 9 pixels at 1, 2" in page
    assert "photo.png -> page.html" not in result.stdout and "licodec" in result.stdout
    assert sorted(os.listdir(tmp_path)) == ["page.html", "photo.png"]
    again = run("compare", "photo.png", "-o", "page.html", *QUICK)
    assert again.exit_code == 1 and "exists already; use -f" in one_error(again)
    assert (tmp_path / "page.html").read_text("utf-8") == page
    forced = run("compare", "photo.png", "-o", "page.html", "-f", "--quiet", *QUICK)
    assert (forced.exit_code, forced.output) == (0, "")
    assert (tmp_path / "page.html").read_text("utf-8") != page


def test_a_page_on_the_standard_output_is_alone_there(run: Run, photo: Path) -> None:
    result = run("compare", "photo.png", "-o", "-", *QUICK)
    assert result.exit_code == 0
    assert result.stdout.startswith("<!doctype html>")
    assert result.stdout.rstrip().endswith("</html>")
    both = run("compare", "photo.png", "-o", "-", "--json", *QUICK)
    assert both.exit_code == 2 and "--json and -o -" in one_error(both)


def test_a_picture_from_the_standard_input(run: Run) -> None:
    result = run("compare", "-", "--json", *QUICK, input=png())
    assert json.loads(result.stdout)[0]["file"] == "standard input"


def test_bad_inputs_do_not_stop_the_others(run: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    given = ("compare", "bad.png", "photo.png", "none.png", *QUICK)
    result = run(*given, "-o", "page.html")
    assert result.exit_code == 3
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split()[1] for line in errors] == ["bad.png:", "none.png:"]
    assert "photo.png" in (tmp_path / "page.html").read_text("utf-8")
    as_json = run(*given, "--json")
    assert as_json.exit_code == 3
    objects = json.loads(as_json.stdout)
    assert [own.get("exit_code") for own in objects] == [3, None, 3]
    assert objects[2]["error"] == "none.png: no such file; check the name"


def test_where_all_fails_there_is_no_page(run: Run, tmp_path: Path) -> None:
    result = run("compare", "none.png", "-o", "page.html", *QUICK)
    assert result.exit_code == 3 and os.listdir(tmp_path) == []


def test_means_over_several(run: Run, photo: Path, tmp_path: Path) -> None:
    shutil.copy(photo, tmp_path / "other.png")
    rows = run("compare", "photo.png", "other.png", *QUICK).stdout.splitlines()
    assert [row.split()[0] for row in rows[-3:]] == ["mean"] * 3
    assert rows[1].split()[-3:] == rows[-3].split()[-3:]  # of equal pictures


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--ds", "1,x"), 2, "--ds '1,x': give numbers above 0"),
        (("--ds", "0"), 2, "--ds '0': give numbers above 0"),
        (("--ds", "1,999"), 2, "--ds: d = 999 is out of range"),
        (("--codecs", "gif"), 2, "--codecs 'gif': give one or more of jpeg,webp,avif,jxl"),
        (("--at-equal", "time"), 2, "--at-equal"),
        (("--crop", "9y9"), 2, "--crop '9y9': give WIDTHxHEIGHT"),
        (("--crop", "9x9+20+0"), 2, "photo.png: --crop 9x9+20+0: not within the picture's 17x33"),
        (("--crop", "9000x9000"), 6, "too large for one page"),
        (("-o", "none/page.html"), 1, "the folder"),
        (("-o", "."), 1, "a directory"),
        (("--json", "--quiet"), 2, "--json and --quiet exclude each other"),
        (("--model", "none"), 2, "none"),
    ],
)
def test_what_will_not_do_is_one_line(
    run: Run, photo: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = run("compare", "photo.png", "--codecs", "jpeg", *arguments, *ON_REFERENCE)
    assert result.exit_code == code
    assert message in result.stderr.splitlines()[-1]
    assert result.stdout == "" and "Traceback" not in result.stderr


def test_a_codec_that_is_missing(run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> codecs.PeerCodec:
        raise LicodecError("JPEG XL needs this or that")

    monkeypatch.setitem(codecs._OPENERS, "jxl", missing)
    asked = run("compare", "photo.png", "--codecs", "jpeg,jxl", *ON_REFERENCE)
    assert asked.exit_code == 1
    assert one_error(asked) == "error: --codecs jxl: JPEG XL needs this or that"
    for name in ("webp", "avif"):
        monkeypatch.setitem(codecs._OPENERS, name, missing)
    result = run("compare", "photo.png", "--ds", "4", *ON_REFERENCE)
    assert result.exit_code == 0
    assert "warning: jxl is left out: JPEG XL needs this or that" in result.stderr.splitlines()
    assert [row.split()[1] for row in result.stdout.splitlines()[1:]] == ["licodec", "JPEG"]


def test_at_equal_quality_by_psnr(run: Run, photo: Path) -> None:
    result = run("compare", "photo.png", "--json", "--at-equal", "quality", *QUICK)
    ours, jpeg, webp = json.loads(result.stdout)[0]["levels"][0]["codings"]
    for peer in (jpeg, webp):
        assert peer["psnr"] == pytest.approx(ours["psnr"], abs=1.5)


def test_torch_is_not_needed(photo: Path, tmp_path: Path) -> None:
    call = (
        "import sys\nfrom licodec.cli.app import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: print(sorted({'torch', 'compressai', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", call, "compare", "photo.png", "--quiet", "-o", "x.html", *QUICK],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(licodec.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
