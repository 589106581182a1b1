"""Weights packs: writing, reading, finding, and refusing damaged ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from licodec import packs
from licodec.container import read_file
from licodec.errors import CorruptFileError, UsageError, WeightsMissingError
from licodec.exact.program import Operation
from licodec.exact.schedule import schedule_from_json, schedule_to_json
from licodec.images import Picture
from licodec.library import PackCodecs
from licodec.packs import (
    Pack,
    choose_pack,
    find_pack,
    read_name,
    read_pack,
    require_encoder,
    write_pack,
)
from licodec.packs.bits import pack_bits, unpack_bits
from licodec.packs.plans import search_figures
from licodec.packs.storage import CHECKSUM_KEY, METADATA_KEY
from licodec.rate.modes import Rate
from tests import tiny


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_pack(tiny.pack(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@given(st.integers(2, 7), st.data())
def test_sub_byte_weights_come_back(width: int, data: st.DataObject) -> None:
    half = 1 << (width - 1)
    values = np.array(data.draw(st.lists(st.integers(-half, half - 1), max_size=40)), np.int8)
    packed = pack_bits(values, width)
    assert len(packed) == (len(values) * width + 7) // 8
    assert np.array_equal(unpack_bits(packed, width, values.shape), values)


def test_a_pack_comes_back_whole(path: Path) -> None:
    pack, again = tiny.pack(), read_pack(path)
    assert again.weights_id == pack.weights_id == read_name(path).weights_id
    assert again.plan == pack.plan
    assert again.schedule == pack.schedule
    assert {**again.programs} == {**pack.programs}
    assert again.tensors.keys() == pack.tensors.keys()
    for name, tensor in pack.tensors.items():
        assert np.array_equal(again.tensors[name], tensor), name
        assert again.tensors[name].dtype == tensor.dtype, name


@pytest.mark.parametrize("extreme", [2**15 - 1, -(2**15), 2**15, -(2**15) - 1])
def test_what_16_bits_hold_is_stored_in_them(tmp_path: Path, extreme: int) -> None:
    pack = tiny.pack()
    name = next(name for name in pack.tensors if name.endswith("bias"))
    bias = pack.tensors[name].copy()
    bias[-1] = extreme
    changed = replace(pack, tensors={**pack.tensors, name: bias})
    write_pack(changed, tmp_path / "p.safetensors")
    stored = safetensors.numpy.load_file(tmp_path / "p.safetensors")[name]
    assert stored.dtype == (np.int16 if -(2**15) <= extreme < 2**15 else np.int32)
    again = read_pack(tmp_path / "p.safetensors")
    assert again.weights_id == changed.weights_id
    assert again.tensors[name].dtype == np.int32
    assert np.array_equal(again.tensors[name], bias)


def test_the_id_covers_what_decoding_uses_and_nothing_else() -> None:
    pack = tiny.pack()
    for program, matters in (("synthesis", True), ("analysis", False)):
        operation = next(o for o in pack.programs[program].operations if o.kind == "conv2d")
        name = operation.tensors["bias"]
        changed = replace(pack, tensors={**pack.tensors, name: pack.tensors[name] + np.int32(1)})
        assert (changed.weights_id != pack.weights_id) == matters
    assert replace(pack, card={"other": 1}).weights_id == pack.weights_id


def rewritten(path: Path, change: object, tensors: object = lambda t: t) -> None:
    with safetensors.safe_open(path, "np") as file:
        metadata = json.loads(file.metadata()[METADATA_KEY])
    stored = safetensors.numpy.load_file(path)
    change(metadata)
    safetensors.numpy.save_file(
        tensors(stored), path, metadata={METADATA_KEY: json.dumps(metadata)}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=2), "another format"),
        (lambda m: m.pop("card"), "description is damaged"),
        (lambda m: m.update(weights_id="00" * 8), "does not match its id"),
        (lambda m: m["programs"].pop("synthesis"), "synthesis is missing"),
        (lambda m: m["programs"]["synthesis"]["operations"].pop(3), "read before"),
        (lambda m: m["programs"]["synthesis"]["operations"][0].update(kind="warp"), "warp"),
        (lambda m: m["schedule"].update(alignment=3), "not legal"),
        (lambda m: m["schedule"].update(features=[]), "not legal"),
        (lambda m: m["schedule"].update(features=["features", "features"]), "not legal"),
        (lambda m: m["schedule"].update(features=["features", "previous"]), "not legal"),
        (lambda m: m["schedule"].update(features="features"), "not legal"),
        (lambda m: m["schedule"].update(features=["features", ["means"]]), "not legal"),
        (lambda m: m["schedule"].update(features=["features", "means"]), "parameters.0 does not"),
        (lambda m: m["schedule"].pop("features"), "hyper_synthesis does not fit"),
        (lambda m: m["schedule"]["steps"].pop(0), "do not follow"),
    ],
)
def test_damaged_descriptions_are_refused(path: Path, change: object, message: str) -> None:
    rewritten(path, change)
    with pytest.raises(CorruptFileError, match=message):
        read_pack(path)


def with_program(pack: Pack, place: str, name: str) -> Pack:
    """`pack` with the program `name`, too, where the program `place` was."""
    program = replace(pack.programs[name], name=place)
    return replace(pack, programs={**pack.programs, place: program})


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("analysis", "hyper_analysis"),  # reads something else
        ("hyper_analysis", "synthesis"),  # gives something else
        ("hyper_analysis", "analysis"),
        ("analysis", "mse.analysis"),  # has a number, which only stand-ins may have
    ],
)
def test_programs_of_encoders_must_fit_to_encode(tmp_path: Path, place: str, name: str) -> None:
    pack = with_program(tiny.adapted_pack(), place, name)
    write_pack(replace(pack, adapters=()), tmp_path / "wrong.safetensors")
    wrong = read_pack(tmp_path / "wrong.safetensors")  # good enough for a decoder
    with pytest.raises(CorruptFileError, match=f"program {place} does not fit"):
        PackCodecs(wrong).to_encode(64, 64, Rate())
    assert PackCodecs(wrong, "reference").to_decode(1, 1).backend == "reference"


@pytest.mark.parametrize(("copies", "legal"), [(42, True), (43, False)])
def test_programs_of_encoders_may_not_ask_for_any_memory(copies: int, legal: bool) -> None:
    """A position of the latents is 16 x 16 pixels, of 3 samples each."""
    pack = tiny.pack()
    analysis = pack.programs["analysis"]
    bomb = Operation("concat", (analysis.inputs[0].name,) * copies, "bomb")
    whole = replace(analysis, operations=(bomb, *analysis.operations))
    large = replace(pack, programs={**pack.programs, "analysis": whole})
    if legal:
        require_encoder(large)
    else:
        with pytest.raises(CorruptFileError, match="program analysis does not fit"):
            require_encoder(large)


def test_a_set_s_programs_of_encoders_must_fit_to_encode() -> None:
    pack = tiny.adapted_pack()
    place = pack.adapters[0].programs["analysis"]
    wrong = with_program(pack, place, "synthesis")
    with pytest.raises(CorruptFileError, match=f"program {place} does not fit"):
        require_encoder(wrong, wrong.adapters[0])
    require_encoder(pack, pack.adapters[0])


def without_residual_prediction(pack: Pack) -> Pack:
    """Which only schedules with phases may do."""
    steps = tuple(replace(step, residual=None) for step in pack.schedule.slices)
    shorter = {
        step.parameters: replace(program, outputs=program.outputs[:2])
        for step in steps
        if (program := pack.programs[step.parameters])
    }
    schedule = replace(pack.schedule, steps=steps)
    return replace(pack, schedule=schedule, programs={**pack.programs, **shorter})


@pytest.mark.parametrize(
    "wrong",
    [
        without_residual_prediction(tiny.pack()),
        replace(tiny.pack(), schedule=replace(tiny.pack().schedule, d_low=0)),
        replace(tiny.pack(), distortion_weight=-1),
        replace(
            tiny.adapted_pack(),
            adapters=(replace(tiny.adapted_pack().adapters[0], objective="M S E"),),
        ),
    ],
)
def test_what_readers_refuse_is_not_written(tmp_path: Path, wrong: Pack) -> None:
    with pytest.raises(CorruptFileError):
        write_pack(wrong, tmp_path / "wrong.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_pack_may_decode_alone(tmp_path: Path) -> None:
    pack = tiny.pack()
    decoders = {n: p for n, p in pack.programs.items() if n not in packs.ENCODER_PROGRAMS}
    write_pack(replace(pack, programs=decoders), tmp_path / "decoder.safetensors")
    again = read_pack(tmp_path / "decoder.safetensors")
    assert again.weights_id == pack.weights_id
    with pytest.raises(UsageError, match=r"lite \(standard\) is for decoding alone"):
        PackCodecs(again).to_encode(64, 64, Rate())
    picture = Picture(np.full((20, 30, 3), 90, np.uint8))
    coded = PackCodecs(pack, "reference").fastest.neutral.encode(picture)
    decoded = PackCodecs(again).to_decode(30, 20).decode(read_file(coded.data))
    assert np.array_equal(decoded.pixels, coded.picture.pixels)
    half = {n: p for n, p in pack.programs.items() if n != "hyper_analysis"}
    with pytest.raises(CorruptFileError, match="program hyper_analysis is missing"):
        require_encoder(replace(pack, programs=half))


def test_the_usual_name_of_features_is_left_out() -> None:
    named = schedule_to_json(tiny.pack().schedule)
    assert named["features"] == ["features", "block_means"]
    usual = {key: value for key, value in named.items() if key != "features"}
    assert schedule_to_json(schedule_from_json({**usual, "features": ["features"]})) == usual
    assert schedule_from_json(usual).features == ("features",)


def test_a_changed_weight_is_refused(path: Path) -> None:
    def flip(stored: dict) -> dict:
        name = next(n for n in stored if n.startswith("synthesis") and n.endswith("weight"))
        stored[name] = stored[name] ^ 1
        return stored

    rewritten(path, lambda m: None, flip)
    with pytest.raises(CorruptFileError, match="does not match its id"):
        read_pack(path)


def test_a_pack_is_written_alike_every_time(path: Path) -> None:
    first = path.read_bytes()
    for _ in range(8):  # the library orders strings by chance
        write_pack(tiny.pack(), path)
        assert path.read_bytes() == first


def test_damage_in_what_no_id_covers_is_refused(path: Path) -> None:
    with safetensors.safe_open(path, "np") as file:
        texts = file.metadata()
    stored = safetensors.numpy.load_file(path)
    name = next(n for n in stored if n.startswith("analysis") and n.endswith("bias"))
    safetensors.numpy.save_file({**stored, name: stored[name] ^ 1}, path, metadata=texts)
    with pytest.raises(CorruptFileError, match=r"tiny.safetensors: .* match its checksum"):
        read_pack(path)
    changed = {**texts, METADATA_KEY: texts[METADATA_KEY].replace('"card": {', '"card": { ')}
    safetensors.numpy.save_file(stored, path, metadata=changed)
    with pytest.raises(CorruptFileError, match="match its checksum"):
        read_pack(path)
    texts.pop(CHECKSUM_KEY)  # as older packs are
    safetensors.numpy.save_file(stored, path, metadata=texts)
    assert read_pack(path).weights_id == tiny.pack().weights_id


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff" * 64, b"\x80\x04pickle."])
def test_what_is_not_a_pack_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pack.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="a directory, not a weights pack"):
        read_pack(tmp_path)
    with pytest.raises(CorruptFileError, match="not a readable weights pack"):
        read_name(path)


def test_packs_are_found_by_id_and_by_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs.finding, "user_folder", lambda: path.parent / "none")
    monkeypatch.setattr(packs.finding, "embedded_folder", lambda: path.parent / "none")
    pack_id = tiny.pack().weights_id
    monkeypatch.setenv(packs.SEARCH_VARIABLE, str(path.parent))
    assert find_pack(pack_id, "lite").path == path
    assert choose_pack("lite", "standard").path == path
    assert choose_pack(str(path), "any").path == path
    with pytest.raises(UsageError, match=r"installed: lite \(standard\)"):
        choose_pack("lite", "small")
    monkeypatch.setenv(packs.SEARCH_VARIABLE, "")
    with pytest.raises(WeightsMissingError, match=f"{pack_id.hex()} .backbone lite"):
        find_pack(pack_id, "lite")


def test_the_plans_of_lite_that_ship() -> None:
    """Each fills no more than its share of float32, states its loss, mixes widths, and has the
    adapter sets."""
    found = packs.installed_packs()
    shipped = {own.plan_name: own for own in found if own.path.parent == packs.embedded_folder()}
    shares = {"small": 0.125, "standard": 0.18, "precise": 0.265}
    assert shipped.keys() == shares.keys()
    for plan, largest in shares.items():
        figures = search_figures(shipped[plan].path)
        pack = read_pack(shipped[plan].path)
        stand_ins = {name for own in pack.adapters for name in own.programs.values()}
        anchor = (program for name, program in pack.programs.items() if name not in stand_ins)
        used = {t for own in anchor for o in own.operations for t in o.tensors.values()}
        widths = {name: width for name, width in pack.widths.items() if name in used}
        bits = sum(pack.tensors[name].size * width for name, width in widths.items())
        weights = sum(pack.tensors[name].size for name in widths)
        assert bits / (32 * weights) <= largest
        assert figures["weights_bytes"] == bits // 8
        assert abs(figures["measured_loss"]) < 0.03
        assert len(set(pack.plan)) > 1
        assert list(pack.adapter_ids) == ["mse", "ms-ssim", "perceptual"]
