"""Decode changed .lic files: each must end in a documented error or in the right pixels.

    scripts/fuzz.py files --changes 100000 --state fuzz.json --faults faults
    scripts/fuzz.py files --only 4711 --faults faults

Small honest files of every kind (grey, RGB, an alpha plane, metadata, adapters, escapes, several
streams, tiles, lossless pieces, ...) are changed at random: bits, bytes, runs, numbers, lengths and
whole chunks. Every second change has its lengths and checksums made right again, so that it reaches
what lies behind them. Decoding is done in this process, on the reference backend, within limits of
time and memory; what is decoded is also written in every format, and a crop or a reduction of each
file is decoded and compared with the same of the whole.

Change n is the same on every machine. With --state the same command again goes on where it was
stopped. Faults are files that decode to other pixels, errors that are not documented, messages
that are no short line, and whatever takes too long or too much memory; they are shown, and kept
in --faults. Exits with 1 where there are any.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from functools import partial
from random import Random

from fuzzing import running
from fuzzing.changes import Change, changed, changed_and_repaired
from fuzzing.outcomes import Outcome, outcome_of
from fuzzing.running import Tried
from fuzzing.subjects import Subject, streams_of, subjects
from licodec.cli.process import silence_libraries
from licodec.codec import REFERENCE
from licodec.images.views import WHOLE, Crop, View
from licodec.library import Library
from licodec.packs import choose_pack

MOST_PIXELS = 1 << 18
SECONDS = 30.0


def change_number(index: int, seed: int, honest: Sequence[Subject]) -> tuple[Subject, bool, Change]:
    """Which file is changed, whether it is repaired, and the change."""
    random = Random(f"{seed} {index}")
    turn, which = divmod(index, len(honest))
    repaired = turn % 2 == 1
    change = changed_and_repaired if repaired else changed
    subject = honest[which]
    return subject, repaired, change(subject.data, [one.data for one in honest], random)


def view_number(index: int, seed: int, subject: Subject) -> View:
    """What of the changed file is decoded beside the whole: a part, a reduction, or both."""
    random = Random(f"{seed} {index} view")
    crop, scale = None, random.choice([1, 1, 2, 4, 8])
    if scale == 1 or random.random() < 0.5:
        width, height = subject.picture.width, subject.picture.height
        left, top = random.randrange(width), random.randrange(height)
        crop = Crop(random.randint(1, width - left), random.randint(1, height - top), left, top)
    return View(crop, scale)


def try_change(subject: Subject, change: Change, library: Library, view: View = WHOLE) -> Outcome:
    with streams_of(subject.stream):
        return outcome_of(change.data, subject.picture, library, MOST_PIXELS, SECONDS, view)


def try_number(honest: Sequence[Subject], library: Library, seed: int, index: int) -> Tried:
    subject, repaired, change = change_number(index, seed, honest)
    outcome = try_change(subject, change, library, view_number(index, seed, subject))
    group = "repaired" if repaired else "as they are"
    return Tried(group, f"{subject.name}: {change.kind}", change.data, outcome)


def add_options(parser: argparse.ArgumentParser) -> None:
    running.add_options(parser)
    parser.add_argument("--model", default="lite", help="a backbone, or the path of a pack")


def run(arguments: argparse.Namespace) -> None:
    """Raises LicodecError where the pack cannot be opened."""
    silence_libraries()
    library = Library(REFERENCE)
    honest = subjects(library.open(choose_pack(arguments.model, "standard")).fastest)
    digest = hashlib.sha256(b"".join(subject.data for subject in honest)).hexdigest()
    tried = partial(try_number, honest, library, arguments.seed)
    running.run_changes(arguments, digest, tried, ".lic")
