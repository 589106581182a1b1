"""The second decoder gives licodec's pixels, or says in one line why not."""

from __future__ import annotations

import ast
import hashlib
import json
import struct
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licodec.codec import Codec
from licodec.container import read_file
from licodec.entropy import rans
from licodec.exact.backends import reference
from licodec.exact.bounds import analyse, check
from licodec.exact.program import program_to_json
from licodec.packs import read_pack, write_pack
from licodec.rate.setting import Setting
from tests.conformance import adverse, second_decoder
from tests.conformance.second_decoder import decoder
from tests.exact.programs import RANGES, WIDE_RANGES, RandomBuilder

NAMES = list(adverse.pictures())


@pytest.fixture(scope="module")
def adverse_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packs") / "adverse.safetensors"
    write_pack(adverse.pack(), path)
    return path


@cache
def codec(path: Path) -> Codec:
    return Codec(read_pack(path), "reference")


def encode(path: Path, name: str, d: float) -> tuple[bytes, str]:
    """A file made with the pack at `path`, and the hash of the pixels it must decode to."""
    unit = 1 << codec(path).pack.schedule.latent_fraction_bits
    coded = codec(path).at(Setting(round(d * unit))).encode(adverse.pictures()[name])
    picture = coded.picture
    alpha = b"" if picture.alpha is None else picture.alpha.tobytes()
    return coded.data, hashlib.sha256(picture.pixels.tobytes() + alpha).hexdigest()


@pytest.fixture(params=["adverse", "lite"])
def any_pack(request: pytest.FixtureRequest) -> Path:
    name = "adverse_path" if request.param == "adverse" else "pack_path"
    return request.getfixturevalue(name)


@pytest.mark.parametrize("d", [0.5, 3.0])
@pytest.mark.parametrize("name", NAMES)
def test_same_pixels(any_pack: Path, name: str, d: float, tmp_path: Path) -> None:
    data, expected = encode(any_pack, name, d)
    source, target = tmp_path / "picture.lic", tmp_path / "picture.pnm"
    source.write_bytes(data)
    done = second_decoder.run(source, "--weights", any_pack, "-o", target)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == expected + "\n"
    picture = codec(any_pack).decode(read_file(data))
    head, samples = {
        "colour 17x33": (b"P6\n33 17\n255\n", picture.pixels),
        "grey 40x70 with alpha": (
            b"P7\nWIDTH 70\nHEIGHT 40\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n",
            picture.pixels
            if picture.alpha is None
            else np.concatenate([picture.pixels, picture.alpha[:, :, None]], 2),
        ),
    }[name]
    assert target.read_bytes() == head + samples.tobytes()


@given(seed=st.integers(0, 2**32 - 1), ranges=st.sampled_from([RANGES, WIDE_RANGES]))
@settings(max_examples=60)
def test_random_programs(seed: int, ranges: tuple[tuple[int, int], ...]) -> None:
    builder = RandomBuilder(seed, ranges)
    program, tensors = builder.random_program()
    inputs = builder.planes()
    second = decoder.Program(program_to_json(program), tensors)
    for name, info in analyse(program, tensors).items():
        other = second.values[name]
        assert (other.low, other.high, other.rate) == (info.low, info.high, info.rate)
    expected = reference.prepare(check(program, tensors))(inputs).values()
    for found, plane in zip(second(**inputs), expected, strict=True):
        np.testing.assert_array_equal(found, plane)


def test_the_adverse_pack_is_adverse(adverse_path: Path) -> None:
    """Its files have escapes in all parts, and its pictures are not flat."""
    for name in NAMES:
        data, _ = encode(adverse_path, name, 1.0)
        lic = read_file(data)
        assert len(lic.streams[0].escapes) > 20
        assert codec(adverse_path).decode(lic).pixels.std() > 10
    assert set(adverse.pack().plan) == {2, 3, 4, 5, 6, 7, 8, 16}
    kinds = {o.kind for p in adverse.pack().programs.values() for o in p.operations}
    # Numbers are for adapters, which the programs of a pack alone do not have; the phases are
    # those of tests/conformance/conditioned.py.
    assert kinds == set(decoder.KINDS) - {"scale", "phase"}


def test_streams_are_cut_alike(adverse_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rans, "SYMBOLS_PER_STREAM", 100)
    monkeypatch.setattr(decoder, "SYMBOLS_PER_STREAM", 100)
    data, expected = encode(adverse_path, NAMES[1], 1.5)
    assert len(read_file(data).streams) > 10
    assert decoded_hash(data, adverse_path) == expected


def test_it_needs_numpy_and_for_webp_pillow() -> None:
    tree = ast.parse(second_decoder.PATH.read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported - sys.stdlib_module_names == {"numpy", "PIL"}
    (lossless,) = (n for n in tree.body if getattr(n, "name", "") == "decode_lossless")
    assert "PIL" in ast.unparse(lossless)
    tree.body.remove(lossless)
    assert "PIL" not in ast.unparse(tree)


# What it must refuse ---------------------------------------------------------------------------


@cache
def second_pack(path: Path) -> object:
    return decoder.read_pack(path.read_bytes())


def decoded_hash(data: bytes, pack_path: Path) -> str:
    file = decoder.read_file(data)
    pixels = decoder.decode(file, second_pack(pack_path))
    return hashlib.sha256(decoder.checked_bytes(pixels, file.alpha)).hexdigest()


def with_right_checksums(data: bytes) -> bytes:
    """`data` with the CRC of each chunk that can still be told made right again."""
    out, position = bytearray(data), 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", out, end, zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return bytes(out)


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x21]) + data[position + 1 :]


def damaged(data: bytes) -> Iterator[bytes]:
    """Cut short, and with a changed byte: everywhere up to the symbols, and here and there in
    them; with the CRCs as they were and made right."""
    symbols = data.index(b"DATA")
    places = [*range(symbols + 12), *range(symbols + 12, len(data), 29)]
    for position in places:
        yield data[:position]
        yield flip(data, position)
        yield with_right_checksums(flip(data, position))


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(adverse_path: Path, name: str) -> None:
    data, expected = encode(adverse_path, name, 2.0)
    refused = 0
    for changed in damaged(data):
        try:
            assert decoded_hash(changed, adverse_path) == expected
        except decoder.Fault as fault:
            refused += 1
            assert "\n" not in str(fault)
    assert refused > 200


def test_damaged_packs(adverse_path: Path) -> None:
    data = adverse_path.read_bytes()
    size = 8 + int.from_bytes(data[:8], "little")
    places = [*range(0, 12), *range(12, size, 97), *range(size, len(data), 211)]
    for changed in [flip(data, place) for place in places] + [data[:p] for p in places]:
        try:
            pack = decoder.read_pack(changed)
        except decoder.Fault as fault:
            assert "\n" not in str(fault)
        else:  # a change of the card, of the encoder, or of what pads a tensor
            assert pack.weights_id == adverse.pack().weights_id


def test_exit_codes(adverse_path: Path, tmp_path: Path) -> None:
    data, _ = encode(adverse_path, NAMES[0], 1.0)
    payload = data.index(b"DATA") + 4
    other_pixels = with_right_checksums(data[:payload] + bytes(4) + data[payload + 4 :])
    other_weights = with_right_checksums(data.replace(adverse.pack().weights_id, b"unknown!"))
    cases = [
        (b"", "magic"),
        (data[:-1], "truncated"),
        (flip(data, len(data) // 2), "damaged"),
        (data + b"\0", "bytes follow"),
        (other_pixels, "pixel checksum mismatch"),
        (other_weights, "weights missing"),
    ]
    path = tmp_path / "damaged.lic"
    for changed, message in cases:
        path.write_bytes(changed)
        done = second_decoder.run(path, "--weights", adverse_path)
        assert (done.returncode, done.stdout) == (3, "")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    path.write_bytes(data)
    for weights_path in (path, tmp_path / "missing.safetensors"):
        done = second_decoder.run(path, "--weights", weights_path)
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1


def test_tensors_of_the_other_order_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a big-endian machine sees those of a pack."""
    other = ">" if sys.byteorder == "little" else "<"
    monkeypatch.setattr(decoder, "STORED_TYPES", {"I16": f"{other}i2"})
    form = {"a": {"dtype": "I16", "shape": [1, 2], "data_offsets": [0, 4]}}
    head = json.dumps(form).encode()
    numbers = np.array([1, -300], f"{other}i2").tobytes()
    _, tensors = decoder.read_safetensors(struct.pack("<Q", len(head)) + head + numbers)
    assert tensors["a"].dtype == np.int16
    assert tensors["a"].tolist() == [[1, -300]]
