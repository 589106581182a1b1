"""Conditions, steps by phases and all that goes with them, in the package.

The same vectors as in test_conditioned.py, which puts them to the second decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from licodec.codec import Codec
from licodec.container import read_file
from licodec.errors import CorruptFileError, WeightsMissingError
from licodec.images import Picture
from licodec.packs import Pack, read_pack, write_pack
from licodec.rate import conditions
from licodec.rate.gains import ANCHOR, Gains
from licodec.rate.setting import Setting
from tests.conformance.conditioned import PHASED, pack_case, pack_file, patched
from tests.conformance.second_decoder import decoder
from tests.conformance.test_vectors import Json, array, cases

Find = Callable[[str], Pack]


def written(data: bytes, folder: Path) -> Path:
    path = folder / "conditioned.safetensors"
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Find:
    """Reads a pack of packs.json by its name, once."""

    @cache
    def found(name: str) -> Pack:
        return read_pack(written(pack_file(pack_case(name)), tmp_path_factory.mktemp("packs")))

    return found


# Conditions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("conditions"))
def test_what_conditions_are_worth(case: Json) -> None:
    tensors, others = {"conditions.n": array(case["conditions"])}, {}
    if "set_conditions" in case:
        tensors["beside"], others = array(case["set_conditions"]), {"n": "beside"}
    place = conditions.place_at(tuple(case["knots"]), case["d"], case.get("beta", 0), others)
    assert conditions.value("n", tensors, place).tolist() == case["worth"]


# Packs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("packs", "conditioned"))
def test_ids_of_packs_with_conditions(case: Json, find: Find, tmp_path: Path) -> None:
    pack, path = find(case["name"]), tmp_path / "again.safetensors"
    write_pack(pack, path)
    for found in (pack, read_pack(path)):
        assert found.weights_id.hex() == case["weights_id"]
        ids = {own["objective"]: own["id"] for own in case["adapters"]}
        assert {name: one.hex() for name, one in found.adapter_ids.items()} == ids
    second = decoder.read_pack(path.read_bytes())
    assert second.weights_id == pack.weights_id
    assert list(second.adapters) == list(pack.adapter_ids.values())


@pytest.mark.parametrize("case", cases("refused", "packs"))
def test_refused_packs(case: Json, tmp_path: Path) -> None:
    """Their ids are right, and so not the reason."""
    with pytest.raises(CorruptFileError) as error:
        read_pack(written(pack_file(patched(case)), tmp_path))
    assert "\n" not in str(error.value)
    assert "match its id" not in str(error.value)


# Files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["reference", "float32", "int8"])
@pytest.mark.parametrize("case", cases("walks"))
def test_files_of_packs_with_conditions(case: Json, backend: str, find: Find) -> None:
    picture = Codec(find(case["pack"]), backend).decode(read_file(bytes.fromhex(case["file"])))
    np.testing.assert_array_equal(picture.pixels, array(case["pixels"]))


def test_one_codec_decodes_them_in_any_order(find: Find) -> None:
    """No file leaves its d or beta behind."""
    walks = [case.values[0] for case in cases("walks")]
    codec = Codec(find(PHASED), "reference")
    for case in [*walks, *reversed(walks)]:
        if case["pack"] == PHASED:
            picture = codec.decode(read_file(bytes.fromhex(case["file"])))
            np.testing.assert_array_equal(picture.pixels, array(case["pixels"]))


@pytest.mark.parametrize("case", cases("walks", "refused"))
def test_refused_files_of_packs_with_conditions(case: Json, find: Find) -> None:
    kind = WeightsMissingError if "lacks" in case["name"] else CorruptFileError
    with pytest.raises(kind):
        Codec(find(case["pack"]), "reference").decode(read_file(bytes.fromhex(case["file"])))


@pytest.mark.parametrize(
    ("d", "gains", "objective"),
    [
        (16, ANCHOR, None),
        (50, ANCHOR, None),
        (100, Gains(9, 0), "mse"),
        (400, Gains(0, 40000), "looks"),
        (768, Gains(65535, 65535), "both"),
    ],
)
def test_what_the_package_encodes_the_second_decoder_decodes(
    d: int, gains: Gains, objective: str | None, find: Find
) -> None:
    pixels = np.random.default_rng(d).integers(0, 256, (19, 21, 3), np.uint8)
    session = Codec(find(PHASED), "reference").at(Setting(d, gains, objective))
    coded = session.encode(Picture(pixels))
    assert read_file(coded.data).header.d == d
    found = decoder.decode(decoder.read_file(coded.data), decoder.read_pack(pack_file(pack_case())))
    np.testing.assert_array_equal(found, coded.picture.pixels)
