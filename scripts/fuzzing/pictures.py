"""Read changed pictures of every input format: each must end in an error of ours or in a picture.

    scripts/fuzz.py pictures --changes 100000 --state fuzz.json --faults faults
    scripts/fuzz.py pictures --only 4711 --faults faults

Small honest files of every format that is read here, with alpha, metadata or wide samples where it
has them, are changed at random as `files` changes .lic files; what is read is also written as PNG.
Options, state and what a fault is are those of `files`. Where a library ends the process, the file
that it was given lies as last.pic in --faults.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import traceback
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
from pictures import textured
from PIL import Image

from fuzzing import running
from fuzzing.changes import Change, edited
from fuzzing.outcomes import Outcome, TooSlow, time_limit, wrong_with
from fuzzing.running import Tried
from licodec.cli.process import silence_libraries
from licodec.errors import BadInputError, LicodecError, LimitError
from licodec.images import INPUT_FORMATS, encode_picture, read_picture

SECONDS = 30.0
FURTHER = 0.4  # of the changes have another one behind them
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
HOLDS_METADATA = ("AVIF", "HEIF", "JPEG", "JXL", "PNG", "TIFF", "WEBP")
HOLDS_ALPHA = ("AVIF", "HEIF", "JPEG2000", "JXL", "PNG", "TIFF", "WEBP")
HOLDS_WIDE = ("JPEG2000", "PNG", "PPM", "TIFF")
OPTIONS: Mapping[str, Mapping[str, object]] = {
    "JPEG": {"quality": 90},
    "JXL": {"lossless": True, "use_container": True},
    "WEBP": {"lossless": True},
}


def honest_files() -> dict[str, bytes]:
    """Files by what they are."""
    colour = Image.fromarray(textured(23, 18))
    with_alpha = colour.copy()
    with_alpha.putalpha(Image.fromarray(textured(23, 18, 1)[:, :, 0]))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    metadata = {"exif": exif.tobytes(), "xmp": XMP}
    wide = Image.fromarray(textured(18, 23, 1)[:, :, 0].astype(np.uint16) * 257)
    made = {}
    for name in INPUT_FORMATS:
        if name == "MPO":  # JPEGs
            continue
        made[name] = _saved(colour, name)
        made[f"{name}, grey"] = _saved(colour.convert("L"), name)
        if name in HOLDS_METADATA:
            made[f"{name}, metadata"] = _saved(colour, name, **metadata)
        if name in HOLDS_ALPHA:
            made[f"{name}, alpha"] = _saved(with_alpha, name)
        if name in HOLDS_WIDE:
            made[f"{name}, 16 bits"] = _saved(wide, name)
    made["GIF, palette"] = _saved(colour.quantize(9), "GIF", transparency=3)
    made["JPEG, progressive"] = _saved(colour, "JPEG", progressive=True)
    made["JPEG2000, codestream"] = _saved(colour, "JPEG2000", no_jp2=True)
    made["PNG, palette"] = _saved(colour.quantize(9), "PNG", transparency=bytes([0, 90, 255]))
    made["TIFF, deflate"] = _saved(colour, "TIFF", compression="tiff_adobe_deflate")
    return made


def _saved(image: Image.Image, name: str, **options: object) -> bytes:
    with contextlib.suppress(ImportError):  # else the format is none of INPUT_FORMATS
        if name == "HEIF":
            import pillow_heif

            pillow_heif.register_heif_opener()
        if name == "JXL":
            import pillow_jxl  # noqa: F401  (registers itself)
    stream = io.BytesIO()
    image.save(stream, name, **{**OPTIONS.get(name, {}), **options})
    return stream.getvalue()


def change_number(index: int, seed: int, honest: Mapping[str, bytes]) -> tuple[str, Change]:
    """What is changed, and the change."""
    random = Random(f"{seed} {index}")
    name = list(honest)[index % len(honest)]
    change = edited(honest[name], random)
    while random.random() < FURTHER:
        further = edited(change.data, random)
        change = Change(f"{change.kind}, {further.kind}", further.data)
    return name, change


def outcome_of(data: bytes) -> Outcome:
    try:
        with time_limit(SECONDS), _without_warnings():
            picture = read_picture(data, "the file")
            if fault := _wrong_notes(picture.notes):
                return Outcome("a note", fault)
            encode_picture(picture, "PNG")
    except TooSlow:
        return Outcome("too slow", f"not done within {SECONDS:g} s of processor time")
    except LicodecError as error:
        return Outcome(type(error).__name__, wrong_with(error, (BadInputError, LimitError)))
    except Exception as error:
        return Outcome(type(error).__name__, traceback.format_exc())
    return Outcome("a picture")


def _wrong_notes(notes: tuple[str, ...]) -> str | None:
    wrong = [note for note in notes if not note.isprintable()]
    return f"a note that is no line: {wrong[0]!r}" if wrong else None


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Without Pillow's, which no command shows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def try_number(honest: Mapping[str, bytes], last: Path | None, seed: int, index: int) -> Tried:
    name, change = change_number(index, seed, honest)
    if last is not None:
        last.write_bytes(change.data)
    return Tried(name.split(",")[0], f"{name}: {change.kind}", change.data, outcome_of(change.data))


def add_options(parser: argparse.ArgumentParser) -> None:
    running.add_options(parser)


def run(arguments: argparse.Namespace) -> None:
    silence_libraries()
    honest = honest_files()
    digest = hashlib.sha256(b"".join(honest.values())).hexdigest()
    arguments.faults.mkdir(parents=True, exist_ok=True)
    tried = partial(try_number, honest, arguments.faults / "last.pic", arguments.seed)
    running.run_changes(arguments, digest, tried, ".pic")
