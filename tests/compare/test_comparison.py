"""A picture beside other codecs, at equal size and at equal quality, and its figures."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from licodec.compare.comparison import LICODEC, THUMBNAIL_SIDE, Compared, compare
from licodec.compare.figures import groups_of, mean_groups, measured, setting_in_words, to_json
from licodec.compare.matching import Equal
from licodec.compare.measures import Quality
from licodec.errors import UsageError
from licodec.images import Picture, psnr
from licodec.images.views import Crop
from tests.compare.samples import GridCodec, coarse, compared, plan, subject, textured


def test_at_equal_size() -> None:
    picture = compared()
    assert [level.d for level in picture.levels] == [1, 4]
    (ours, theirs), (_, later) = (level.codings for level in picture.levels)
    assert (ours.codec, ours.setting, ours.size) == (LICODEC, {"d": 1.0}, 1000)
    assert (theirs.codec, theirs.setting, theirs.size) == ("Grid", {"quality": 50}, 1000)
    assert (later.setting, later.size) == ({"quality": 13}, 260)  # nearer to 250 by ratio than 240


def test_at_equal_quality() -> None:
    picture = compared(of=plan(equal=Equal.QUALITY, ds=(0.5, 1.0)))
    # licodec's grids are of 4 and of 8; the peer has those at 97 and at 93.
    assert [level.codings[1].setting["quality"] for level in picture.levels] == [97, 93]
    for level in picture.levels:
        ours, theirs = (coding.quality.psnr for coding in level.codings)
        assert theirs == ours


def test_at_equal_quality_by_ssimulacra2() -> None:
    pytest.importorskip("ssimulacra2")
    picture = compared(of=plan(equal=Equal.QUALITY, perceptual=True, ds=(2.0,)))
    ours, theirs = picture.levels[0].codings
    assert theirs.setting == {"quality": 85}
    assert theirs.quality.ssimulacra2 == ours.quality.ssimulacra2 < 100


def test_measures_are_of_the_whole_picture_and_crops_of_the_box() -> None:
    picture = compared(of=plan(crop=Crop(16, 12, 3, 5)))
    pixels = textured(24, 40)
    decoded = coarse(pixels, 32)
    coding = picture.levels[1].codings[0]
    assert np.array_equal(coding.crop, decoded[5:17, 3:19])
    assert np.array_equal(picture.crop, pixels[5:17, 3:19])
    assert coding.quality == Quality(psnr(pixels, decoded), None, None)
    assert any("MS-SSIM is left out" in note for note in picture.notes)


def test_a_crop_outside_of_the_picture() -> None:
    with pytest.raises(UsageError, match="--crop"):
        compared(of=plan(crop=Crop(11, 5, 30, 0)))


def test_a_codec_that_cannot_is_left_out_and_progress_goes_on() -> None:
    steps = []
    peers = [GridCodec("Narrow", limit=30), GridCodec()]
    given = Picture(textured(24, 40), np.zeros((24, 40), np.uint8), notes=("16 bits reduced",))
    picture = compare(given, "photo.png", subject, plan(peers=peers), lambda: steps.append(1))
    for level in picture.levels:
        assert [coding.codec for coding in level.codings] == [LICODEC, "Grid"]
    assert len(steps) == plan(peers=peers).codings == 6
    assert picture.notes[0] == "16 bits reduced"
    assert picture.notes[1] == "alpha is left out of the comparison"
    assert picture.notes.count("Narrow cannot code this picture (too wide)") == 1


@pytest.mark.parametrize("shape", [(1, 700, 3), (600, 250, 1), (240, 240, 3)])
def test_thumbnails_are_small(shape: tuple[int, int, int]) -> None:
    alone = plan(peers=[], ds=(1.0,))
    picture = compare(Picture(textured(*shape)), "photo.png", subject, alone, lambda: None)
    assert max(picture.thumbnail.shape[:2]) <= THUMBNAIL_SIDE
    assert picture.thumbnail.shape[2] == shape[2]


# Figures ---------------------------------------------------------------------------------------


def test_rows_and_means() -> None:
    pictures = [compared(), compared(of=plan(peers=[GridCodec(), GridCodec("Other")]))]
    (first, _), means = groups_of(pictures[0]), mean_groups(pictures)
    assert first.rows[0].bpp == pytest.approx(8 * 1000 / (24 * 40))
    assert [row.codec for row in means[0].rows] == [LICODEC, "Grid"]  # the other lacks a picture
    assert means[0].rows[1].size == 1000
    assert means[0].rows[0].quality.psnr == pytest.approx(first.rows[0].quality.psnr)
    assert [measure.name for measure in measured(means)] == ["PSNR (dB)"]


def test_settings_in_words() -> None:
    assert setting_in_words([{"d": 4.0}]) == "d 4"
    assert setting_in_words([{"quality": 61}, {"quality": 40}]) == "quality 40 to 61"


def test_json_has_null_for_what_there_is_not() -> None:
    picture = compared(of=plan(ds=(0.125,), peers=[]))  # a grid of 1 keeps all
    assert picture.levels[0].codings[0].quality.psnr == math.inf
    data = json.loads(json.dumps(to_json(picture), allow_nan=False))
    assert data["levels"][0]["codings"] == [
        {
            "codec": "licodec",
            "d": 0.125,
            "size": 8000,
            "bpp": pytest.approx(66.67, abs=0.01),
            "psnr": None,
            "ms_ssim": None,
            "ssimulacra2": None,
        }
    ]
    assert data["crop"].keys() == {"left", "top", "width", "height"}
    assert isinstance(picture, Compared) and data["width"] == 40
