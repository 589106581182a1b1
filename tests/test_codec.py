"""The two flows with a tiny pack: round trips, agreement, checksum, strips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from licodec.codec import Codec, Session
from licodec.codec.headers import setting_of
from licodec.container import read_file, write_file
from licodec.errors import CorruptFileError, PixelChecksumError, WeightsMissingError
from licodec.images import Picture, psnr
from licodec.library import Library
from licodec.packs import write_pack
from licodec.rate.gains import Gains
from licodec.rate.setting import Setting
from licodec.rate.targets import Target, TargetKind
from tests import tiny


@cache
def codec() -> Codec:
    return Codec(tiny.pack(), "reference")


def picture(height: int, width: int, channels: int = 3, alpha: bool = False) -> Picture:
    rng = np.random.default_rng(height * 1000 + width)
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([x + y, 2 * x, 3 * y][:channels], 2) % 256
    pixels = (smooth // 2 + rng.integers(0, 60, (height, width, channels))).astype(np.uint8)
    plane = rng.integers(0, 256, (height, width), dtype=np.uint8) if alpha else None
    return Picture(pixels, plane, xmp=b"<x/>")


@pytest.mark.parametrize("d", [16, 32, 64, 200, 4096])
@pytest.mark.parametrize(
    ("height", "width", "channels", "alpha"),
    [(1, 1, 3, False), (17, 33, 3, True), (64, 64, 1, False), (65, 130, 3, False)],
)
def test_decoding_gives_what_the_encoder_saw(
    height: int, width: int, channels: int, alpha: bool, d: int
) -> None:
    original = picture(height, width, channels, alpha)
    coded = codec().at(Setting(d)).encode(original)
    decoded = codec().decode(read_file(coded.data))
    assert np.array_equal(decoded.pixels, coded.picture.pixels)
    assert decoded.pixels.shape == original.pixels.shape
    assert decoded.xmp == b"<x/>"
    if alpha:
        assert np.array_equal(decoded.alpha, original.alpha)
    assert codec().at(Setting(d)).encode(original).data == coded.data


def test_finer_steps_are_larger_files_and_closer_pixels() -> None:
    original = picture(64, 128)
    analysed = codec().neutral.analyse(original)
    rows = [codec().at(Setting(d)).code(original, analysed) for d in (16, 64, 256, 1024)]
    sizes = [len(row.data) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    quality = [psnr(original.pixels, row.picture.pixels) for row in rows]
    assert quality[0] > quality[-1]


def test_strips_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    original = picture(520, 70)
    whole = codec().at(Setting(128)).encode(original)
    monkeypatch.setattr("licodec.codec.programs.STRIP_PIXELS", 64 * 128)
    split = Codec(tiny.pack(), "reference")
    coded = split.at(Setting(128)).encode(original)
    assert coded.data == whole.data
    assert np.array_equal(split.decode(read_file(whole.data)).pixels, whole.picture.pixels)


def test_header_and_pack_must_agree() -> None:
    lic = read_file(codec().neutral.encode(picture(20, 20)).data)
    for change in (
        {"d_fraction_bits": 5},
        {"d": 5000},
        {"d": 1},
        {"backbone": "tcm"},
    ):
        with pytest.raises(CorruptFileError, match="disagrees with its pack"):
            codec().decode(replace(lic, header=replace(lic.header, **change)))
    with pytest.raises(CorruptFileError, match=r"precision plan.*disagrees"):
        codec().decode(replace(lic, plan=(4,) * len(lic.plan)))
    adapted = replace(lic.header, alpha=5, adapter_id=bytes(8))
    with pytest.raises(WeightsMissingError, match="adapter set 0000000000000000"):
        codec().decode(replace(lic, header=adapted))


def test_other_pixels_than_the_encoders_are_reported(tmp_path, monkeypatch) -> None:
    write_pack(tiny.pack(), tmp_path / "tiny.safetensors")
    monkeypatch.setenv("LICODEC_WEIGHTS", str(tmp_path))
    lic = read_file(codec().neutral.encode(picture(20, 20)).data)
    wrong = write_file(replace(lic, pixel_crc=lic.pixel_crc ^ 1))
    with pytest.raises(PixelChecksumError, match=f"{lic.pixel_crc ^ 1:08x} .backend reference"):
        Library("float32").decode(wrong)  # tried again on the reference before it is reported


def within_reach(kind: TargetKind, original: Picture) -> Target:
    middle = codec().at(Setting(300)).encode(original)
    value = {
        TargetKind.SIZE: len(middle.data) + 3,
        TargetKind.PSNR: psnr(original.pixels, middle.picture.pixels) - 0.01,
    }[kind]
    return Target(kind, value)


@pytest.mark.parametrize("kind", TargetKind)
def test_targets_are_met(kind: TargetKind) -> None:
    original = picture(64, 64)
    target = within_reach(kind, original)
    found = codec().encode_to_target(original, target)
    assert found.met
    if kind is TargetKind.SIZE:
        assert len(found.result.data) <= target.value
    else:
        assert psnr(original.pixels, found.result.picture.pixels) >= target.value


@pytest.mark.parametrize("kind", TargetKind)
def test_a_search_analyses_once_and_for_a_size_synthesises_once(
    kind: TargetKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, counts = picture(64, 64), Counter[str]()
    target = within_reach(kind, original)

    def counted(name: str) -> Callable[..., Any]:
        method = getattr(Session, name)

        def call(*arguments: Any) -> Any:
            counts[name] += 1
            return method(*arguments)

        return call

    for name in ("analyse", "code_latents", "synthesise"):
        monkeypatch.setattr(Session, name, counted(name))
    assert codec().encode_to_target(original, target).met
    assert counts["analyse"] == 1 < counts["code_latents"] <= 12
    assert counts["synthesise"] == (1 if kind is TargetKind.SIZE else counts["code_latents"])


def test_a_session_knows_its_setting() -> None:
    pack = tiny.adapted_pack()
    adapted = Codec(pack, "reference")
    assert adapted.neutral.setting == Setting(64)
    session = adapted.at(Setting(300, Gains(40000)))
    assert session.setting == Setting(300, Gains(40000), "mse")
    coded = session.encode(picture(20, 30))
    assert (coded.header.d, coded.header.gains) == (300, Gains(40000))
    assert coded.header.adapter_id == pack.adapter_ids["mse"]
    assert np.array_equal(session.decode(read_file(coded.data)).pixels, coded.picture.pixels)
    assert setting_of(pack, read_file(coded.data)) == session.setting


def test_a_target_out_of_reach_gives_the_nearest_file() -> None:
    original = picture(64, 64)
    for target, d in ((Target(TargetKind.SIZE, 10), 64.0), (Target(TargetKind.PSNR, 90), 0.25)):
        found = codec().encode_to_target(original, target)
        assert not found.met
        assert found.result.d == d
