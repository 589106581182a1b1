"""The exact form of cheng-attn: latents decoded by wavefronts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from licodec.codec import Codec
from licodec.container import read_file
from licodec.entropy.wavefronts import NeighbourPlanes, wavefronts
from licodec.errors import CorruptFileError
from licodec.exact.backends import float32
from licodec.exact.program import Operation
from licodec.exact.schedule import schedule_from_json, schedule_to_json
from licodec.networks import cheng_attn
from licodec.packing.published import neighbours_of
from licodec.packing.registry import form_of
from licodec.packs import read_pack, write_pack
from licodec.rate.gains import Gains
from licodec.rate.modes import Rate, RateMode
from licodec.rate.targets import Target, TargetKind
from tests import tiny_published as tiny
from tests.conformance import second_decoder
from tests.packing.test_published_exact import coded_latents, decibels

BACKBONE = "cheng-attn"


@pytest.mark.parametrize("size", [(1, 9), (9, 1), (2, 3), (5, 4), (7, 12)])
@pytest.mark.parametrize("reach", [1, 2, 3])
def test_neighbours_are_decoded_before_what_reads_them(size: tuple[int, int], reach: int) -> None:
    rows, columns = size
    when = np.full((rows + reach, columns + 2 * reach), -1)
    inside = when[reach:, reach : reach + columns]
    fronts = list(wavefronts(rows, columns, reach))
    assert len(fronts) == columns + (reach + 1) * (rows - 1)
    for i, (row, column) in enumerate(fronts):
        assert np.all(inside[row, column] == -1)
        assert np.all(np.diff(row) > 0)
        inside[row, column] = i
    assert np.all(inside >= 0)
    before = 2 * reach * (reach + 1)
    for row, column in np.ndindex(rows, columns):
        square = when[row : row + reach + 1, column : column + 2 * reach + 1].ravel()
        assert np.all(square[:before] < square[before])


def test_wavefronts_are_the_float_network_s() -> None:
    ours, theirs = wavefronts(5, 9, cheng_attn.REACH), cheng_attn.wavefronts(5, 9)
    for (row, column), (rows, columns) in zip(ours, theirs, strict=True):
        assert row.tolist() == rows.tolist()
        assert column.tolist() == columns.tolist()


def test_neighbours_are_those_of_the_whole_plane() -> None:
    latents = np.random.default_rng(1).integers(-99, 99, (3, 5, 6)).astype(np.int16)
    planes = NeighbourPlanes(3, 5, 6, cheng_attn.REACH)
    row, column = (place.ravel() for place in np.indices((5, 6)))
    planes.put(row, column, latents.reshape(3, 1, -1))
    np.testing.assert_array_equal(planes.latents(), latents)
    whole = neighbours_of(torch.from_numpy(latents)[None].float())[0].numpy()
    found = planes.neighbours(row, column)
    np.testing.assert_array_equal(found[:, 0], whole.reshape(len(whole), -1))


def test_means_and_scales_follow_the_published_context_model() -> None:
    pack, network = tiny.pack(BACKBONE, 16), tiny.network(BACKBONE)
    generator = torch.Generator().manual_seed(6)
    decoded = torch.round(64 * torch.randn((1, 12, 8, 8), generator=generator)) / 64
    rest = form_of(network).rests
    analysed = Codec(pack, "float32").neutral.analyse(tiny.picture(128, 128))
    z = torch.from_numpy(analysed.hyper_latents)[None].float()
    hyper = float32.prepare(pack.checked["hyper_synthesis"])
    (features,) = hyper({"hyper_latents": z[0].numpy().astype(np.int32)}).values()
    neighbours = (64 * neighbours_of(decoded)[0]).numpy().astype(np.int32)
    program = pack.programs["parameters"]
    run = float32.prepare(pack.checked["parameters"])
    found = run({"features": features, "neighbours": neighbours})
    with torch.no_grad():
        known = network.hyper_synthesis(z + rest[:, None, None])
        mean, scale = network.context_parameters(known, decoded)
    np.testing.assert_allclose(found[program.outputs[0]] / 64, mean[0].numpy(), atol=0.02)
    np.testing.assert_allclose(found[program.outputs[1]] / 1024, scale[0].numpy(), atol=0.005)


@pytest.mark.parametrize("size", [(64, 64), (129, 200)])
def test_round_trip_is_the_same_everywhere(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    write_pack(tiny.pack(BACKBONE), path)
    fast, slow = Codec(tiny.pack(BACKBONE), "float32"), Codec(read_pack(path), "reference")
    coded = fast.neutral.encode(tiny.picture(*size))
    decoded = slow.decode(read_file(coded.data))
    np.testing.assert_array_equal(decoded.pixels, coded.picture.pixels)
    pixels = second_decoder.decode_to_pixels(coded.data, path, tmp_path)
    np.testing.assert_array_equal(pixels, coded.picture.pixels)


def test_the_decoded_latents_are_the_float_network_s() -> None:
    """Coding by wavefronts follows the network: the same integers where none is on a tie."""
    network, codec = tiny.network(BACKBONE), Codec(tiny.pack(BACKBONE, 16), "float32")
    analysed = codec.neutral.analyse(tiny.picture(64, 128))
    # Those of random networks are small.
    larger = replace(analysed, latents=np.int16(64 * analysed.latents / analysed.latents.std()))
    found = codec.neutral.code_latents(larger).latents
    z = torch.from_numpy(analysed.hyper_latents)[None].float()
    rest = form_of(network).rests
    with torch.no_grad():
        features = network.hyper_synthesis(z + rest[:, None, None])
        y = torch.from_numpy(larger.latents)[None] / 64
        expected = network.decoded_from(y, features)[0].numpy()
    assert np.abs(expected).max() > 2
    assert np.mean(np.abs(found / 64 - expected) < 0.1) > 0.95


@pytest.mark.parametrize(("width", "least"), [(8, 25), (16, 50)])
def test_synthesis_follows_the_float_one(width: int, least: float) -> None:
    noise = torch.randn((1, 12, 8, 8), generator=torch.Generator().manual_seed(9))
    assert decibels(BACKBONE, noise, width) > least
    assert decibels(BACKBONE, coded_latents(BACKBONE), width) > least


def test_alpha_and_targets_over_it() -> None:
    pack = tiny.adapted_pack("cheng_8_1_all")
    assert pack.rate_modes == ("alpha",)
    codec, picture = Codec(pack, "float32"), tiny.picture(64, 64)
    coded = codec.encode_at(picture, Rate(RateMode.QUALITY, 60)).result
    assert (coded.header.d, coded.header.alpha) == (64, 26214)
    decoded = Codec(pack, "reference").decode(read_file(coded.data))
    np.testing.assert_array_equal(decoded.pixels, coded.picture.pixels)
    found = codec.encode_to_target(picture, Target(TargetKind.SIZE, 10))
    assert not found.met
    assert found.setting.gains == Gains(65535)


def test_damaged_wavefronts_are_refused(tmp_path: Path) -> None:
    pack = tiny.pack(BACKBONE)
    described = schedule_to_json(pack.schedule)
    assert schedule_from_json(described) == pack.schedule
    (step,) = described["steps"]
    for change in (
        {"steps": [step | {"reach": 0}]},
        {"steps": [step | {"reach": 8}]},
        {"steps": [step | {"reach": 2.0}]},
        {"steps": [step, step | {"start": 12, "stop": 24}]},
        {"steps": [step | {"residual": "parameters"}]},
        {"d_high": 65},
    ):
        with pytest.raises(CorruptFileError, match="coding schedule"):
            schedule_from_json(described | change)
    for reach in (1, 3):
        schedule = schedule_from_json(described | {"steps": [step | {"reach": reach}]})
        with pytest.raises(CorruptFileError, match="parameters does not fit"):
            write_pack(replace(pack, schedule=schedule), tmp_path / "p.safetensors")
    program = pack.programs["parameters"]
    shuffles = tuple(
        Operation(kind, (name,), output, {}, {"factor": 2})
        for kind, name, output in (
            ("pixel_unshuffle", program.outputs[0], "apart"),
            ("pixel_shuffle", "apart", "together"),
        )
    )
    wide = replace(
        program,
        operations=program.operations + shuffles,
        outputs=("together", program.outputs[1]),
    )
    with pytest.raises(CorruptFileError, match="parameters does not fit"):
        write_pack(
            replace(pack, programs={**pack.programs, "parameters": wide}),
            tmp_path / "p.safetensors",
        )


def test_a_file_with_another_d_is_corrupt() -> None:
    codec = Codec(tiny.pack(BACKBONE), "float32")
    lic = read_file(codec.neutral.encode(tiny.picture(20, 20)).data)
    with pytest.raises(CorruptFileError, match=r"\(d\) disagrees"):
        codec.decode(replace(lic, header=replace(lic.header, d=65)))
