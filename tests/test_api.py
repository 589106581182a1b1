"""licodec.encode, decode and read_info."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import licodec
from licodec.errors import BadInputError, UsageError
from licodec.packs import write_pack
from tests import tiny

RAMP = np.arange(40 * 50 * 4, dtype=np.uint32).reshape(40, 50, 4).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def tiny_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "tiny.safetensors"
    write_pack(tiny.pack(), path)
    monkeypatch.setenv("LICODEC_WEIGHTS", str(path))
    return str(path)


@pytest.mark.parametrize(
    "image",
    [
        RAMP[:, :, 0],
        RAMP[:, :, :1],
        RAMP[:, ::-1, :3],
        RAMP,
        Image.fromarray(RAMP[:, :, :3]),
        licodec.Picture(RAMP[:, :, :3].copy()),
    ],
    ids=["grey", "one channel", "reversed view", "alpha", "pillow", "picture"],
)
def test_pictures_of_every_form(image: object, tiny_pack: str) -> None:
    data = licodec.encode(image, d=2, lossless=False, model=tiny_pack, backend="reference")
    info = licodec.read_info(data)
    decoded = licodec.decode(data, backend="reference")
    assert (info["width"], info["height"], info["d"]) == (50, 40, 2.0)
    assert decoded.pixels.shape == (40, 50, info["channels"])
    assert (decoded.alpha is not None) == info["alpha_plane"]


def test_paths(tmp_path: Path, tiny_pack: str) -> None:
    Image.fromarray(RAMP[:, :, :3]).save(tmp_path / "a.png")
    options = {"lossless": False, "model": tiny_pack, "backend": "reference"}
    data = licodec.encode(tmp_path / "a.png", quality=50, **options)
    (tmp_path / "a.lic").write_bytes(data)
    assert licodec.read_info(tmp_path / "a.lic")["d"] == 4.0
    decoded = licodec.decode(tmp_path / "a.lic", backend="reference")
    assert np.array_equal(decoded.pixels, licodec.decode(data, backend="reference").pixels)


def test_bad_requests(tiny_pack: str) -> None:
    with pytest.raises(UsageError, match="d and target_bpp exclude each other"):
        licodec.encode(RAMP, d=1, target_bpp=1, model=tiny_pack)
    with pytest.raises(BadInputError, match="float64"):
        licodec.encode(RAMP / 255, model=tiny_pack)
    with pytest.raises(BadInputError, match="no pixels"):
        licodec.encode(RAMP[:0], model=tiny_pack)
    with pytest.raises(AttributeError, match="no attribute 'encoed'"):
        _ = licodec.encoed


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        *((name, "4", f"{name} '4': give a number") for name in ("d", "alpha", "target_bpp")),
        *(("target_size", "50k", "give a number"), ("beta", [1], "give a number")),
        *(("d", True, "give a number"), ("lossless", "no", "give True, False or None")),
        *(("lossless", 1, "give True, False or None"), ("crop", 5, "crop 5: give WxH")),
        *((name, 10**400, f"{name}: the number is too large") for name in ("target_size", "d")),
        *(("background", (255, 255, 255), "is no colour"), ("background", 5, "5 is no colour")),
        *(("resize", [5, 5], "resize"), ("model", 5, "no weights pack for model 5")),
    ],
)
def test_options_of_other_types(option: str, value: object, part: str) -> None:
    with pytest.raises(UsageError, match=re.escape(part)):
        licodec.encode(RAMP, **{option: value})


@pytest.mark.parametrize(
    "view", [{"crop": 5}, {"scale": [2]}, {"scale": {}}, {"thumbnail": "5"}, {"thumbnail": 5.0}]
)
def test_views_of_other_types(view: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(view))):
        licodec.decode(licodec.encode(RAMP, lossless=True), **view)


@pytest.mark.parametrize(
    ("option", "value", "warning"),
    [
        ("target_size", 20, r"target_size 20 is out of reach; the nearest .* has \d+ bytes, at d"),
        ("target_bpp", 0.01, r"target_bpp 0\.01 is out of reach; .* has \d+\.\d{3} bpp, at d"),
        ("target_psnr", 99, r"target_psnr 99 is out of reach; .* has \d+\.\d\d dB, at d"),
    ],
)
def test_targets_that_are_missed(option: str, value: float, warning: str, tiny_pack: str) -> None:
    options = {option: value, "lossless": False, "model": tiny_pack, "backend": "reference"}
    with pytest.warns(UserWarning, match=warning) as told:
        licodec.encode(NOISE, **options)
    assert [found.filename for found in told] == [__file__]


def test_a_quality_that_no_network_reaches(tiny_pack: str) -> None:
    options = {"target_psnr": 99, "model": tiny_pack, "backend": "reference"}
    with pytest.warns(UserWarning, match="so the file is lossless; lossless=False gives the near"):
        data = licodec.encode(NOISE, **options)
    assert np.array_equal(licodec.decode(data).pixels, NOISE)


def test_targets_that_are_met_warn_of_nothing(tiny_pack: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = licodec.encode(NOISE, target_size=50_000, model=tiny_pack, backend="reference")
    assert len(data) <= 50_000


def test_numbers_of_numpy(tiny_pack: str) -> None:
    data = licodec.encode(RAMP, d=np.float32(2), lossless=False, model=Path(tiny_pack))
    assert data == licodec.encode(RAMP, d=2, lossless=False, model=tiny_pack)
    decoded = licodec.decode(data, crop=np.array([20, 10, 1, 2]), thumbnail=np.int64(10))
    assert decoded.pixels.shape == (5, 10, 3)


def test_importing_licodec_is_light() -> None:
    code = "import sys, licodec; print(*(m for m in ('torch', 'numpy', 'PIL') if m in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""
