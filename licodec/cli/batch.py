"""`licodec batch`: a tree of pictures into a mirrored tree of .lic files, or back.

What is done with each file, and how that is kept, is in `licodec.batches`; here it is made of
what was typed, and said.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from licodec.batches.converter import Converter
from licodec.batches.lock import locked
from licodec.batches.manifest import Manifest
from licodec.batches.plan import AHEAD, Action, Decision, Naming, Request, plan
from licodec.batches.running import run
from licodec.batches.selection import Selection
from licodec.batches.sources import Found, check_folders, find
from licodec.batches.work import Outcome, Record, Task, is_recognized, perform
from licodec.batches.workers import Ask, run_in_processes
from licodec.cli.batch_output import BatchOutput, JsonOutput, TextOutput
from licodec.cli.decode import DEFAULT_FORMAT, Decoder, DecodeSettings, check_coding, suffix_of
from licodec.cli.encode import Encoder, EncodeSettings
from licodec.cli.naming import LIC_SUFFIX, decoded_name, encoded_name
from licodec.cli.options import Machine
from licodec.cli.process import silence_libraries
from licodec.cli.reading import read_lic
from licodec.cli.rendering import Verbosity, progress
from licodec.cli.threads import limit_threads
from licodec.container.chunks import MAGIC, read_chunks
from licodec.errors import BadInputError, CorruptFileError, LicodecError
from licodec.files import display_name, make_folder
from licodec.images import INPUT_FORMATS_TEXT, INPUT_SUFFIXES

MOST_JOBS = 8  # by default: each holds a model and a picture in memory


@dataclass(frozen=True)
class BatchSettings:
    """What the options of `batch` ask for, whatever the direction.

    jobs  processes; None: as many as share_cores gives
    """

    selection: Selection
    jobs: int | None
    force: bool
    preserve: bool
    dry_run: bool
    json: bool
    verbosity: Verbosity


@dataclass(frozen=True)
class Direction:
    """What tells encoding and decoding apart.

    verb         what is done
    suffixes     of the inputs
    what         the inputs in words
    folder_tail  makes the default output folder's name of the input's
    naming       of the outputs
    """

    verb: str
    suffixes: frozenset[str]
    what: str
    folder_tail: str
    naming: Naming


def encoding() -> Direction:
    """The direction of encoding."""
    naming = Naming(encoded_name, LIC_SUFFIX, _is_damaged)
    return Direction("encode", INPUT_SUFFIXES, f"pictures ({INPUT_FORMATS_TEXT})", "-lic", naming)


def decoding(chosen: str | None) -> Direction:
    """The direction of decoding into a format, the default one for None."""
    suffix = suffix_of(chosen)
    naming = Naming(partial(decoded_name, suffix=suffix), suffix, lambda path: False)
    return Direction("decode", frozenset({LIC_SUFFIX}), ".lic files", "-decoded", naming)


def encode_tree(
    folder: str, output: str | None, settings: EncodeSettings, batch: BatchSettings
) -> int:
    """Encode every picture below a folder; returns the exit code."""
    direction = encoding()
    tree = find_tree(folder, output, direction, batch.selection)
    encoder = Encoder(settings)  # refuses an impossible rate or model before anything is made
    request = Request(
        tree.root,
        tree.folder,
        encoder.file_settings,
        encoder.weights_id,
        batch.force,
        batch.preserve,
    )
    tools = Tools(encoder, partial(_open_encoder, settings), settings.machine)
    return _run(tree.found, request, direction, tools, batch)


def decode_tree(
    folder: str, output: str | None, settings: DecodeSettings, batch: BatchSettings
) -> int:
    """Decode every .lic file below a folder; returns the exit code."""
    check_coding(settings, settings.format or DEFAULT_FORMAT, "the output")
    direction = decoding(settings.format)
    tree = find_tree(folder, output, direction, batch.selection)
    decoder = Decoder(settings)
    request = Request(
        tree.root, tree.folder, decoder.file_settings, None, batch.force, batch.preserve
    )
    tools = Tools(decoder, partial(_open_decoder, settings), settings.machine)
    return _run(tree.found, request, direction, tools, batch)


# Which files -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tree:
    """The folders of sources and of outputs, and what the first holds."""

    root: Path
    folder: Path
    found: Found


def find_tree(folder: str, output: str | None, direction: Direction, selection: Selection) -> Tree:
    """Raises BadInputError where there is no such folder or nothing in it, LicodecError where
    the output is a file, UsageError for a folder without a name."""
    check_folders(folder, output)
    root = Path(folder)
    target = _default_output(root, direction) if output is None else Path(output)
    check_folders(folder, str(target))
    found = find(root, target, direction.suffixes, selection)
    if not (found.sources or found.errors):
        left = " that the patterns leave" if selection != Selection() else ""
        raise BadInputError(f"{display_name(folder)}: no {direction.what} in it or below it{left}")
    return Tree(root, target, found)


def _default_output(root: Path, direction: Direction) -> Path:
    """photos -> photos-lic beside it, however the folder is written (".", "photos/")."""
    whole = root if root.name not in ("", "..") else root.resolve()
    return whole.parent / ((whole.name or "root") + direction.folder_tail)


def _is_damaged(path: Path) -> bool:
    """Whether a file was a .lic file and is cut short or has wrong CRCs, or is empty.

    One that a later licodec made, which this one does not understand, is whole.
    """
    data = read_lic(str(path))
    if not MAGIC.startswith(data[: len(MAGIC)]):
        return False
    try:
        deque(read_chunks(data), maxlen=0)
    except LicodecError as error:
        return isinstance(error, CorruptFileError)
    return False


# The work --------------------------------------------------------------------------------------

Handle = Callable[[Task, Ask], Outcome]


@dataclass(frozen=True)
class Tools:
    """What makes outputs.

    converter  for looking at files, in this process
    open       makes what handles tasks, in a process with a machine of its own
    machine    of all processes together
    """

    converter: Converter
    open: Callable[[Machine], Handle]
    machine: Machine


def _run(
    found: Found, request: Request, direction: Direction, tools: Tools, batch: BatchSettings
) -> int:
    """Do the work, or say what it would be; returns the exit code."""
    output = (JsonOutput if batch.json else TextOutput)(request, direction.verb, batch.verbosity)
    for path, message in found.errors.items():
        output.unreadable(path, message)
    for warning in found.warnings:
        output.warn(warning)
    if batch.dry_run:
        decisions = _rehearse(found, request, direction, tools, output)
    else:
        decisions = _work(found, request, direction, tools, batch, output)
    beside = os.path.realpath(request.root) == os.path.realpath(request.folder)
    outputs = {decision.output for decision in decisions} if beside else set()
    output.count_others(path for path in found.others if path not in outputs)
    output.summarize()
    return output.exit_code


def _rehearse(
    found: Found, request: Request, direction: Direction, tools: Tools, output: BatchOutput
) -> list[Decision]:
    """Say what would be done; returns what was decided."""
    manifest = Manifest(request.folder)
    if manifest.is_damaged:
        output.warn(f"{manifest.name}: damaged; outputs that it no longer knows would be checked")
    decisions = [*plan(found, manifest, request, direction.naming)]
    for decision in decisions:
        output.planned(_looked_at(decision, request, tools.converter))
    return decisions


def _looked_at(decision: Decision, request: Request, converter: Converter) -> Decision:
    """What a file that the manifest does not know looks like, where that decides."""
    if decision.action is not Action.CHECK:
        return decision
    source, target = request.root / decision.source, request.folder / decision.output
    try:
        if is_recognized(converter, str(source), str(target)):
            return replace(decision, action=Action.SKIP, reason="made without this manifest")
    except LicodecError as error:
        return replace(decision, action=Action.REFUSE, reason=str(error))
    return decision


def _work(
    found: Found,
    request: Request,
    direction: Direction,
    tools: Tools,
    batch: BatchSettings,
    output: BatchOutput,
) -> list[Decision]:
    """Do the work and say what becomes of it; returns what was decided."""
    if not found.sources:
        return []
    make_folder(request.folder)
    with locked(request.folder, output.warn):
        manifest = Manifest(request.folder)
        if manifest.is_damaged:
            aside = display_name(manifest.set_aside())
            output.warn(
                f"{manifest.name}: damaged; kept as {aside}, and outputs that it no longer knows "
                "are checked"
            )
        decisions = [*plan(found, manifest, request, direction.naming)]
        ahead = sum(decision.action in AHEAD for decision in decisions)
        processes, chosen = share_cores(batch.jobs, ahead, tools.machine)

        def execute(tasks: Iterable[Task], record: Record) -> Iterator[tuple[Task, Any]]:
            prepare = partial(_prepare_worker, chosen.threads)
            opened = partial(tools.open, chosen)
            return run_in_processes(opened, tasks, processes, prepare, record, output.warn)

        with progress(ahead, batch.verbosity) as advance:
            for decision, outcome in run(decisions, manifest, request, execute):
                if decision.action in AHEAD:
                    advance()
                output.became(decision, outcome)
    return decisions


def share_cores(jobs: int | None, files: int, chosen: Machine) -> tuple[int, Machine]:
    """The number of processes, and the machine of each with its share of the threads."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    processes = max(1, min(jobs or min(cores, MOST_JOBS), files))
    return processes, replace(chosen, threads=chosen.threads or max(1, cores // processes))


def _prepare_worker(threads: int | None) -> None:
    silence_libraries()
    limit_threads(threads)


def _open_encoder(settings: EncodeSettings, machine: Machine) -> Handle:
    encoder = Encoder(replace(settings, machine=machine))
    encoder.require_backend()  # a machine that cannot run it ends the batch, not each file
    return partial(perform, encoder)


def _open_decoder(settings: DecodeSettings, machine: Machine) -> Handle:
    return partial(perform, Decoder(replace(settings, machine=machine)))
