"""The exact forms of stf and tcm: files that decode, and what they cost in precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from licodec.codec import Codec
from licodec.container import read_file
from licodec.exact.backends import float32, reference
from licodec.exact.bounds import CheckedProgram, check
from licodec.exact.program import Program
from licodec.images import Picture
from licodec.packing.published import PIXELS
from licodec.packing.registry import form_of
from licodec.packs import Pack, read_pack, write_pack
from licodec.rate.setting import Setting
from tests import tiny_published as tiny
from tests.conformance import second_decoder

BACKBONES = ("stf", "tcm")
FINER = 2**10  # than pixels, to see the synthesis before it is rounded


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("size", "d"), [((64, 64), 64), ((129, 200), 200), ((64, 64), 32)])
def test_round_trip_is_the_same_on_two_backends(
    backbone: str, size: tuple[int, int], d: int
) -> None:
    pack = tiny.pack(backbone)
    fast, slow = Codec(pack, "float32"), Codec(pack, "reference")
    coded = fast.at(Setting(d)).encode(tiny.picture(*size))
    assert coded.picture.pixels.shape == (*size, 3)
    decoded = slow.decode(read_file(coded.data))
    np.testing.assert_array_equal(decoded.pixels, coded.picture.pixels)
    assert slow.at(Setting(d)).encode(tiny.picture(*size)).data == coded.data


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_pack_is_read_as_it_was_written(backbone: str, tmp_path: Path) -> None:
    pack, path = tiny.pack(backbone), tmp_path / "pack.safetensors"
    write_pack(pack, path)
    found = read_pack(path)
    assert found.weights_id == pack.weights_id
    assert found.backbone == backbone
    assert found.schedule.alignment == {"stf": 64, "tcm": 128}[backbone]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_second_decoder_gives_the_same_pixels(backbone: str, tmp_path: Path) -> None:
    coded = Codec(tiny.pack(backbone), "float32").at(Setting(96)).encode(tiny.picture(40, 64))
    write_pack(tiny.pack(backbone), tmp_path / "pack.safetensors")
    pack = tmp_path / "pack.safetensors"
    pixels = second_decoder.decode_to_pixels(coded.data, pack, tmp_path)
    np.testing.assert_array_equal(pixels, coded.picture.pixels)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_larger_d_makes_smaller_files(backbone: str) -> None:
    codec = Codec(tiny.pack(backbone), "float32")
    analysed = codec.neutral.analyse(tiny.picture(64, 64))
    y = analysed.latents * 16  # the random networks' latents are near 0
    sizes = [
        len(codec.at(Setting(d)).code(tiny.picture(64, 64), replace(analysed, latents=y)).data)
        for d in (32, 256)
    ]
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_encoder_finds_the_float_network_s_latents(backbone: str) -> None:
    """Up to the edges: what convolutions are padded with is black, and medians are kept."""
    network, pixels = tiny.network(backbone), tiny.picture(128, 128).pixels
    analysed = Codec(tiny.pack(backbone, 16), "float32").neutral.analyse(Picture(pixels))
    with torch.no_grad():
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        y = network.analysis(x)
        z = network.hyper_analysis(y)[0]
    np.testing.assert_allclose(analysed.latents / 64, y[0].numpy(), atol=0.02)
    rest = form_of(network).rests
    expected = torch.round(z - rest[:, None, None]).numpy()
    assert np.mean(analysed.hyper_latents == expected) > 0.9
    assert np.abs(analysed.hyper_latents - expected).max() <= 1


def unrounded(program: Program, pack: Pack) -> CheckedProgram:
    """The synthesis with its last rounding on a grid FINER times, and without its limits."""
    tensors, operations = dict(pack.tensors), []
    last = max(i for i, o in enumerate(program.operations) if o.kind == "requantize")
    for i, operation in enumerate(program.operations):
        if i == last:
            name = operation.tensors["multiplier"]
            tensors[name] = pack.tensors[name] * np.float32(FINER)
            operation = replace(operation, attributes={"low": 1 - 2**24, "high": 2**24 - 1})
        operations.append(operation)
    return check(replace(program, operations=tuple(operations)), tensors)


def decibels(backbone: str, latents: torch.Tensor, width: int) -> float:
    """Exact synthesis against the float one, from the same latents (1, M, h, w)."""
    pack = tiny.pack(backbone, width)
    checked = unrounded(pack.programs["synthesis"], pack)
    integers = torch.round(latents * 64).clamp(-(2**15), 2**15 - 1)
    run = float32.prepare(checked)
    (found,) = run({"latents": integers[0].numpy().astype(np.int32)}).values()
    with torch.no_grad():
        expected = tiny.network(backbone).synthesis(integers / 64)[0].numpy()
    error = found * (PIXELS.step / FINER) - expected
    return float(10 * np.log10(expected.var() / np.mean(error**2)))


def coded_latents(backbone: str) -> torch.Tensor:
    network = tiny.network(backbone)
    with torch.no_grad():
        y = network.analysis(tiny.pictures()[0])
        z_hat, _ = network.entropy_bottleneck(network.hyper_analysis(y))
        return network.code_latents(y, z_hat)[0]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("width", "least"), [(8, 25), (16, 50)])
def test_synthesis_follows_the_float_one(backbone: str, width: int, least: float) -> None:
    noise = torch.randn((1, tiny.network(backbone).latents, 8, 8),
                        generator=torch.Generator().manual_seed(9))  # fmt: skip
    assert decibels(backbone, noise, width) > least
    assert decibels(backbone, coded_latents(backbone), width) > least


@pytest.mark.parametrize("backbone", BACKBONES)
def test_means_and_scales_follow_the_float_ones(backbone: str) -> None:
    """Hyper-synthesis and every slice, STF's later ones with the first slices alone."""
    pack, network = tiny.pack(backbone, 16), tiny.network(backbone)
    generator = torch.Generator().manual_seed(6)
    rest = form_of(network).rests
    medians = torch.round(network.entropy_bottleneck.medians.ravel())
    z = torch.randint(-3, 4, (1, 16, 4, 4), generator=generator) + medians[:, None, None]
    previous = torch.round(32 * torch.randn((1, network.latents, 16, 16), generator=generator)) / 64
    run = reference.prepare(pack.checked["hyper_synthesis"])
    outputs = run({"hyper_latents": z[0].numpy().astype(np.int32)})
    size = network.latents // network.slices
    with torch.no_grad():
        features = network.hyper_synthesis(z + rest[:, None, None])
    for i in range(network.slices):
        program = pack.programs[f"parameters.{i}"]
        names = pack.programs["hyper_synthesis"].outputs
        ports = dict(zip(("means", "scales"), (outputs[n] for n in names), strict=True))
        if i:
            ports["previous"] = (previous[0, : i * size] * 64).numpy().astype(np.int32)
        found = float32.prepare(check(program, pack.tensors))(ports)
        seen = (previous[:, : min(i, network.supports) * size],) if i else ()
        with torch.no_grad():
            mean, scale, _ = network.slice_parameters(i)(*features, *seen)
        np.testing.assert_allclose(found[program.outputs[0]] / 64, mean[0].numpy(), atol=0.02)
        np.testing.assert_allclose(found[program.outputs[1]] / 1024, scale[0].numpy(), atol=0.005)
