"""Names of outputs within one folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licodec.batches.names import distinct_names, whole_name
from licodec.cli.naming import LIC_SUFFIX, decoded_name, encoded_name


@pytest.mark.parametrize(
    ("sources", "targets"),
    [
        (["a.png", "b.png"], ["a.lic", "b.lic"]),
        (["a.jpg", "a.png", "b.png"], ["a.jpg.lic", "a.png.lic", "b.lic"]),
        # What keeps its suffix may take the name that another would have had.
        (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg.lic", "a.png.lic", "a.jpg.png.lic"]),
        # Where letter case does not count, these would be one file.
        (["A.png", "a.jpg"], ["A.png.lic", "a.jpg.lic"]),
    ],
)
def test_distinct(sources: list[str], targets: list[str]) -> None:
    names = distinct_names([Path(s) for s in sources], encoded_name, LIC_SUFFIX, {})
    assert list(names.values()) == [Path(target) for target in targets]


def test_distinct_on_the_way_back() -> None:
    sources = [Path("a.lic"), Path("a.png.lic")]
    names = distinct_names(sources, partial(decoded_name, suffix=".png"), ".png", {})
    assert list(names.values()) == [Path("a.lic.png"), Path("a.png.lic.png")]


def test_accents_that_are_written_in_two_ways_are_one_name() -> None:
    sources = [Path("caf\u00e9.png"), Path("cafe\u0301.jpg")]
    names = distinct_names(sources, encoded_name, LIC_SUFFIX, {})
    assert [*names.values()] == [Path("caf\u00e9.png.lic"), Path("cafe\u0301.jpg.lic")]


def test_a_name_is_kept_whatever_comes_beside_it() -> None:
    known = {Path("a.jpg"): Path("a.lic")}
    sources = [Path("a.jpg"), Path("a.png"), Path("b.png")]
    names = distinct_names(sources, encoded_name, LIC_SUFFIX, known)
    assert [*names.values()] == [Path("a.lic"), Path("a.png.lic"), Path("b.lic")]


FILES = st.sampled_from([f"{a}{b}" for a in "aAb" for b in (".png", ".jpg", ".png.png", "")])


@given(st.lists(FILES, unique=True, max_size=8), st.sets(FILES, max_size=4))
def test_no_two_are_the_same(names: list[str], kept: set[str]) -> None:
    sources = [*map(Path, names)]
    known = {source: whole_name(source, LIC_SUFFIX) for source in sources if source.name in kept}
    outputs = distinct_names(sources, encoded_name, LIC_SUFFIX, known)
    assert [*outputs] == sources
    assert known.items() <= outputs.items()
    fresh = [output for source, output in outputs.items() if source not in known]
    assert len({*fresh}) == len(fresh)
