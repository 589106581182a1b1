"""What the tests of exact arithmetic share."""

from __future__ import annotations

import pytest

from tests.exact.agreement import PREPARE, Prepare, int8_is_exact_here


@pytest.fixture(params=PREPARE)
def prepare(request: pytest.FixtureRequest) -> Prepare:
    """Each torch backend's function of that name."""
    if request.param == "int8" and not int8_is_exact_here():
        pytest.skip("this processor has no exact 8-bit products")
    return PREPARE[request.param]
