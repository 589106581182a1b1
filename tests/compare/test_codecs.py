"""The other codecs, and what is said where one is not there."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import features

from licodec.compare import codecs
from licodec.compare.codecs import CODECS, JxlPrograms, open_codec, parse_codecs
from licodec.errors import LicodecError, UsageError
from licodec.images import psnr
from tests.compare.samples import textured


def opened(name: str) -> codecs.PeerCodec:
    try:
        return open_codec(name)
    except LicodecError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_higher_quality_is_a_larger_file_with_nearer_pixels(name: str, channels: int) -> None:
    codec, pixels = opened(name), textured(64, 80, channels)
    files = [codec.encode(pixels, quality) for quality in (20, 80)]
    decoded = [codec.decode(data, channels) for data in files]
    assert all(one.shape == pixels.shape and one.dtype == np.uint8 for one in decoded)
    assert len(files[0]) < len(files[1])
    assert 20 < psnr(pixels, decoded[0]) < psnr(pixels, decoded[1]) < 60


@pytest.mark.parametrize("name", CODECS)
def test_codecs_work_in_other_processes(name: str, tmp_path: Path) -> None:
    """JPEG XL's plugin has to tell Pillow of itself there, too."""
    given, made = tmp_path / "codec", tmp_path / "made"
    pixels = textured(16, 16)
    given.write_bytes(pickle.dumps((opened(name), pixels)))
    code = (
        "import pickle, sys; from pathlib import Path; own, pixels = pickle.loads(Path(sys.argv[1])"
        ".read_bytes()); Path(sys.argv[2]).write_bytes(own.encode(pixels, 50))"
    )
    subprocess.run([sys.executable, "-c", code, given, made], check=True)
    assert open_codec(name).decode(made.read_bytes(), 3).shape == pixels.shape


@pytest.mark.parametrize("name", CODECS)
def test_the_ends_of_the_qualities_can_be_had(name: str) -> None:
    codec, pixels = opened(name), textured(16, 16)
    for quality in (codec.qualities[0], codec.qualities[-1]):
        assert codec.decode(codec.encode(pixels, quality), 3).shape == pixels.shape
    assert any(digit.isdigit() for digit in codec.library)


def test_what_a_codec_cannot_code() -> None:
    with pytest.raises(LicodecError, match="WebP cannot code this picture"):
        opened("webp").encode(np.zeros((1, 16_384, 3), np.uint8), 50)


@pytest.mark.parametrize("shape", [(300, 300, 3), (2, 17_000, 1)])
def test_jpegs_that_pillow_takes_too_small_a_buffer_for(shape: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    data = opened("jpeg").encode(noise, 94)
    assert opened("jpeg").decode(data, shape[2]).shape == shape


def test_names() -> None:
    assert parse_codecs("avif, WebP,avif") == ("avif", "webp")
    for text in ("", "gif", "jpeg,heic"):
        with pytest.raises(UsageError, match="give one or more of jpeg,webp,avif,jxl"):
            parse_codecs(text)


def test_a_pillow_without_a_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(LicodecError, match="this Pillow cannot write AVIF"):
        open_codec("avif")


def test_jpeg_xl_needs_a_plugin_or_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(LicodecError, match=r"pillow-jxl-plugin .* or the programs cjxl and djxl"):
        open_codec("jxl")


def test_jpeg_xl_by_its_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (shutil.which("cjxl") and shutil.which("djxl")):
        pytest.skip("no cjxl and djxl")
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    codec = open_codec("jxl")
    assert isinstance(codec, JxlPrograms) and codec.library.startswith("cjxl")
    for channels in (1, 3):
        pixels = textured(40, 48, channels)
        decoded = codec.decode(codec.encode(pixels, 90), channels)
        assert decoded.shape == pixels.shape and psnr(pixels, decoded) > 25


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    program = tmp_path / "cjxl"
    program.write_text("#!/bin/sh\necho reading >&2\necho 'out of luck' >&2\nexit 3\n")
    program.chmod(0o755)
    codec = JxlPrograms(str(program), str(program), "cjxl v0")
    with pytest.raises(LicodecError, match=r"JPEG XL cannot code this picture \(out of luck\)"):
        codec.encode(textured(8, 8), 50)
