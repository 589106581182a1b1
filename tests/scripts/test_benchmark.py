"""scripts/benchmark.py."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from licodec.codec import Codec
from licodec.container import read_file
from licodec.images import Picture
from licodec.packing.calibration import built_in_pictures
from licodec.packing.packs import PackSettings, compile_pack
from tests import tiny, tiny_published
from tests.scripts.conftest import script, textured


@pytest.mark.parametrize("bits", [0.2, 1.0, 3.0])
def test_deviation_for_an_entropy(bits: float) -> None:
    deviation = script("benchmarking.rivals").deviation_for(bits)
    values = np.rint(np.random.default_rng(0).normal(0, deviation, 200_000))
    _, counts = np.unique(values, return_counts=True)
    share = counts / counts.sum()
    assert -(share * np.log2(share)).sum() == pytest.approx(bits, rel=0.02)


def test_ratios_are_taken_within_rounds() -> None:
    benchmark = script("benchmarking.codecs")
    ours = benchmark.Timing("ours", 1, (2.0, 4.0, 2.0), (1.0, 2.0, 1.0))
    theirs = benchmark.Timing("theirs", 1, (3.0, 6.0), (5.0, 6.0))
    decode, both = benchmark.ratios([ours, theirs]).values()
    assert (decode, both) == ([5.0, 3.0], [4.0, 3.0])
    assert benchmark.spread((5.0, 3.0, 3.5), 1) == "3.0  3.5  5.0"


def test_profile_charges_all_of_a_decode() -> None:
    profiling = script("benchmarking.profiling")
    codec = Codec(tiny.pack(), "float32")
    data = codec.neutral.encode(Picture(textured(64, 64))).data
    coded = read_file(data)
    seconds = profiling.profile(lambda: codec.decode(coded), 2)
    assert {"exact", "entropy"} <= {name.split("/")[0] for name in seconds}
    assert all(s >= 0 for s in seconds.values())
    assert any(name.startswith("exact/backends/") for name in seconds)
    assert 0 < max(seconds.values()) < seconds.total()


def allocate(job: dict[str, int]) -> dict[str, int]:
    return {"size": len(np.ones(job["size"], np.uint8).tobytes())}


def test_memory_is_measured_in_another_process() -> None:
    measured = script("benchmarking.memory").measured
    small, large = (measured(allocate, {"size": size}) for size in (1, 2**26))
    assert large.result == {"size": 2**26}
    assert large.peak > small.peak + 2**26 and large.seconds > 0


def test_noise_of_the_synthesis_at_every_setting_that_a_network_takes() -> None:
    noise, picture = script("benchmarking.synthesis_noise"), script("benchmarking.published")
    network = copy.deepcopy(tiny_published.adapted_network("cheng_8_1_all"))
    pack = compile_pack(network, built_in_pictures(64), PackSettings("standard", {}))
    found = list(noise.ratios(pack, network, picture.formula_picture(64, 64), "float32"))
    assert [name for name, *_ in found] == ["anchor", "alpha 0.5", "alpha 1"]
    for _, latents, white in found:
        assert min(latents, white) > 25
        assert max(latents, white) < 60  # of weights of 8 bits
