"""The float network of `lite` out of a pack: the same integers again, and the same scales."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from licodec.errors import BadInputError
from licodec.networks.lite import LiteConfig, LiteNetwork
from licodec.packing.compiled import (
    CalibratedNetwork,
    calibrate_network,
    compile_network,
    prepared,
)
from licodec.packing.exact_form import with_ranges
from licodec.packing.lite_recovery import RecoveredLite, recover_lite
from licodec.packs import Pack
from tests import tiny

STEP = 1e-6  # of multipliers and tables: what the recovered steps lack in precision


def mixed_widths(layer: str) -> int:
    return 2 + sum(layer.encode()) % 7


def mixed_pack() -> Pack:
    calibrated = calibrate_network(tiny.network(), tiny.pictures())
    return compile_network(calibrated, plan_name="mixed", card={}, widths=mixed_widths)


def compiled_again(found: RecoveredLite) -> Pack:
    form = prepared(found.network)
    calibrated = CalibratedNetwork(form, with_ranges(form, found.ranges))
    return compile_network(calibrated, plan_name="again", card={}, widths=found.widths.__getitem__)


@pytest.mark.parametrize("make", [tiny.pack, mixed_pack])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_pack_compiles_again_to_its_own_integers(make, scaled: bool) -> None:
    pack = make()
    like = tiny.network() if scaled else None
    again = compiled_again(recover_lite(pack, like, tiny.CONFIG))
    for name, program in pack.programs.items():
        assert again.programs[name] == program
        for tensor in (t for o in program.operations for t in o.tensors.values()):
            own, expected = again.tensors[tensor], pack.tensors[tensor]
            assert own.dtype == expected.dtype and own.shape == expected.shape
            if tensor.endswith(".weight"):
                np.testing.assert_array_equal(own, expected)
            elif tensor.endswith(".table"):
                differing = np.abs(own - expected)
                assert differing.max() <= 1 and differing.mean() < 0.01
            else:
                np.testing.assert_allclose(
                    own, expected, rtol=STEP, atol=1.01 * (own.dtype.kind == "i")
                )
    assert {k: v for k, v in again.widths.items() if k in pack.widths} == pack.widths


def test_scales_are_those_of_the_network_given() -> None:
    expected = tiny.network().state_dict()

    def factors(like: LiteNetwork | None) -> list[float]:
        """By how much each kernel should be larger."""
        network = recover_lite(tiny.pack(), like, tiny.CONFIG).network
        pairs = ((own, expected[name]) for name, own in network.state_dict().items())
        return [float((a * b).sum() / a.square().sum()) for a, b in pairs if a.ndim == 4]

    np.testing.assert_allclose(factors(tiny.network()), 1, atol=0.02)
    assert not np.allclose(factors(None), 1, atol=0.2)


@torch.no_grad()
@pytest.mark.parametrize("d", [1.0, 5.0])
def test_the_recovered_network_codes_as_the_one_it_was(d: float) -> None:
    network = recover_lite(tiny.pack(), config=tiny.CONFIG).network
    picture = tiny.pictures()[1]
    own, expected = network(picture, d), tiny.network()(picture, d)
    assert not network.training
    error = (own["x_hat"] - expected["x_hat"]).square().mean().sqrt()
    assert 0 < error < 0.01
    for name, likelihood in own["likelihoods"].items():
        bits, wanted = (-x.log2().sum() for x in (likelihood, expected["likelihoods"][name]))
        assert abs(bits - wanted) < 0.03 * wanted, name


def test_what_is_no_pack_of_that_network_is_refused() -> None:
    pack = tiny.pack()
    with pytest.raises(BadInputError, match="is not of lite"):
        recover_lite(replace(pack, backbone="stf"))
    with pytest.raises(BadInputError, match="other slices"):
        recover_lite(pack)
    for changed in ({"context_width": 16}, {"synthesis_units": (1, 1, 2)}):
        config = LiteConfig(**{**vars(tiny.CONFIG), **changed})
        with pytest.raises(BadInputError, match="not of the form"):
            recover_lite(pack, config=config)


def test_recovery_leaves_the_generator_of_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    recover_lite(tiny.pack(), config=tiny.CONFIG)
    assert torch.equal(torch.rand(1), expected)
