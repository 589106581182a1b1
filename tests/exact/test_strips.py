"""Strips give the very integers of the whole plane."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.exact.backends import reference
from licodec.exact.bounds import check
from licodec.exact.program import Program
from licodec.exact.strips import plane_size, run_in_strips, strip_geometry
from tests.exact.programs import Builder, RandomBuilder, synthesis


def geometry_of(program: Program, tensors):
    return strip_geometry(check(program, tensors))


def assert_strips_equal_the_whole(program: Program, tensors, inputs, rows: int) -> list[int]:
    """Returns the number of input rows that each run saw."""
    run, seen = reference.prepare(check(program, tensors)), []

    def counted(planes):
        seen.append(plane_size(planes)[0])
        return run(planes)

    whole = run(inputs)
    strips = list(run_in_strips(counted, geometry_of(program, tensors), inputs, rows))
    for name, plane in whole.items():
        joined = np.concatenate([strip[name] for strip in strips], axis=1)
        np.testing.assert_array_equal(joined, plane, err_msg=name)
    return seen


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 40), times=st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_random_programs(seed, rows, times):
    builder = RandomBuilder(seed)
    program, tensors = builder.random_program()
    unit = geometry_of(program, tensors).unit
    inputs = {
        name: np.tile(plane, (1, times * unit, 1)) if plane.ndim else plane
        for name, plane in builder.planes().items()
    }
    assert_strips_equal_the_whole(program, tensors, inputs, rows)


def test_a_synthesis():
    program, tensors = synthesis(8, (8, 8, 8), (2, 2, 2))
    latents = np.random.default_rng(0).integers(-(2**15), 2**15, (8, 40, 3))
    seen = assert_strips_equal_the_whole(program, tensors, {"latents": latents}, 8)
    # A row for each 3x3 kernel: 2 at 1/16, 2 at 1/8, 2 and the last layer at 1/4.
    reach = 2 * 1 + 2 / 2 + 3 / 4
    geometry = geometry_of(program, tensors)
    assert (geometry.unit, geometry.halo) == (1, int(np.ceil(reach)))
    assert seen == [8 + geometry.halo, *[8 + 2 * geometry.halo] * 3, 8 + geometry.halo]


def test_units_and_halos():
    builder = Builder("down")
    x = builder.port("x", 3, 0, 255)
    folded = builder.operation("pixel_unshuffle", (x,), 48, factor=4)
    y = builder.layer(folded, 4, 3, -100, 100, 128)
    program, tensors = builder.build(builder.shuffle(y, 2))
    geometry = geometry_of(program, tensors)
    assert (geometry.unit, geometry.halo) == (4, 4)


def test_every_change_to_a_coarser_grid_costs_a_whole_row():
    """A quarter of a row at each of three levels, but every level reads whole rows of the next."""
    builder = Builder("zigzag")
    y = builder.port("x", 16, -2000, 2000)
    for _ in range(3):
        fine = builder.layer(builder.shuffle(y, 4), 1, 3, -2000, 2000, 1000)
        y = builder.operation("pixel_unshuffle", (fine,), 16, factor=4)
    program, tensors = builder.build(y)
    assert geometry_of(program, tensors).halo == 3
    plane = np.random.default_rng(0).integers(-2000, 2001, (16, 30, 5))
    assert_strips_equal_the_whole(program, tensors, {"x": plane}, 4)


def test_what_an_output_does_not_need_adds_no_halo():
    builder = Builder("dead")
    x = builder.port("x", 1, 0, 255)
    builder.layer(x, 1, 3, -100, 100, 128)
    kept = builder.layer(x, 1, 1, -100, 100, 128)
    assert geometry_of(*builder.build(kept)).halo == 0


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_a_plane_that_fits_one_strip_is_run_whole(rows):
    program, tensors = synthesis(8, (8, 8, 8), (0, 0, 0))
    latents = np.zeros((8, 2, 3), np.int32)
    seen = assert_strips_equal_the_whole(program, tensors, {"latents": latents}, rows)
    assert sum(seen) >= 2
