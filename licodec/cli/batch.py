"""`licodec batch`: a tree of pictures into a mirrored tree of .lic files, or back.

What is done already is skipped, so that an interrupted batch goes on where it stopped:

    encode  the output is a whole .lic file and no older than its picture
    decode  the output is no older than its .lic file

An output that is an older or damaged .lic file is made anew; any other that exists is an error
without --force, for it may be somebody's original.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from licodec.cli.decode import Decoder, DecodeResult, DecodeSettings, suffix_of
from licodec.cli.encode import Encoder, EncodeResult, EncodeSettings, Made
from licodec.cli.naming import (
    LIC_SUFFIX,
    Job,
    decoded_name,
    distinct_names,
    encoded_name,
    make_folder,
)
from licodec.cli.options import Machine
from licodec.cli.reading import read_lic
from licodec.cli.rendering import Reporter, Verbosity, decibels, print_table, progress
from licodec.cli.workers import Died, Open, run_in_processes
from licodec.container import MAGIC, read_file
from licodec.errors import BadInputError, LicodecError
from licodec.files import display_name
from licodec.images import INPUT_FORMATS_TEXT, INPUT_SUFFIXES

MOST_JOBS = 8  # by default: each holds a model and a picture in memory

Result = EncodeResult | DecodeResult


@dataclass(frozen=True)
class Failure:
    """A file that was not converted, and why in one line."""

    message: str


# Which files -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Direction:
    """What tells the files of encoding and decoding apart.

    suffixes     of the inputs
    what         the inputs in words
    derive       an input's output, beside it
    suffix       of outputs, for those whose derived names would not be distinct
    folder_tail  makes the default output folder's name of the input's
    """

    suffixes: frozenset[str]
    what: str
    derive: Callable[[Path], Path]
    suffix: str
    folder_tail: str


ENCODING = Direction(
    INPUT_SUFFIXES, f"pictures ({INPUT_FORMATS_TEXT})", encoded_name, LIC_SUFFIX, "-lic"
)


def decoding(chosen: str | None) -> Direction:
    """The direction of decoding into a format, the default one for None."""
    suffix = suffix_of(chosen)
    derive = partial(decoded_name, suffix=suffix)
    return Direction(frozenset({LIC_SUFFIX}), ".lic files", derive, suffix, "-decoded")


def find_jobs(folder: str, output: str | None, direction: Direction) -> tuple[list[Job], list[str]]:
    """Every input below a folder with its output in the mirrored tree, and what is unreadable.

    Names that begin with a dot are passed over, and links to folders are not followed. Raises
    BadInputError where there is no such folder or nothing in it, LicodecError where the output
    is a file.
    """
    root = Path(folder)
    name = display_name(folder)
    if not root.is_dir():
        file = "a file, not a folder; `licodec encode` and `decode` take files"
        problem = file if root.exists() else "no such folder; check the name"
        raise BadInputError(f"{name}: {problem}")
    target_root = _default_output(root, direction) if output is None else Path(output)
    if target_root.exists() and not target_root.is_dir():
        raise LicodecError(f"{display_name(target_root)}: a file, not a folder; choose one with -o")
    errors: list[str] = []

    def unreadable(error: OSError) -> None:
        errors.append(f"{display_name(error.filename)}: cannot be read: {error.strerror}")

    jobs: list[Job] = []
    for parent, folders, files in os.walk(root, onerror=unreadable):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        sources = [Path(file) for file in sorted(files) if _is_input(file, direction)]
        targets = distinct_names(sources, direction.derive, direction.suffix)
        mirrored = target_root / Path(parent).relative_to(root)
        jobs += [Job(str(Path(parent, s)), str(mirrored / t)) for s, t in targets.items()]
    if not jobs and not errors:
        raise BadInputError(f"{name}: no {direction.what} in it or below it")
    return jobs, errors


def _is_input(file: str, direction: Direction) -> bool:
    return not file.startswith(".") and Path(file).suffix.lower() in direction.suffixes


def _default_output(root: Path, direction: Direction) -> Path:
    """photos -> photos-lic beside it, however the folder is written (".", "photos/")."""
    whole = root if root.name not in ("", "..") else root.resolve()
    return whole.with_name((whole.name or "root") + direction.folder_tail)


# What is done already ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """The work of a batch.

    jobs      what is to be done
    skipped   how many files are done already
    warnings  about those
    errors    why others cannot be done, one line each
    """

    jobs: tuple[Job, ...]
    skipped: int = 0
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    def with_errors(self, errors: list[str]) -> Plan:
        return replace(self, errors=(*errors, *self.errors))


def plan_encoding(jobs: list[Job], encoder: Encoder) -> Plan:
    """Sort out what is done, what may be made anew and what is in the way."""
    ahead: list[Job] = []
    errors: list[str] = []
    others = 0
    for job in jobs:
        if not os.path.lexists(job.target):
            ahead.append(job)
            continue
        data = _content(job.target)
        if not data.startswith(MAGIC):
            errors.append(f"{display_name(job.target)}: exists and is no .lic file; see --force")
            continue
        made = _settings_of(data)
        if made is None or not _is_current(job):
            ahead.append(replace(job, overwrite=True))
        elif made != (encoder.made or made) or made.weights_id != encoder.pack.weights_id:
            others += 1
    skipped = len(jobs) - len(ahead) - len(errors)
    warnings = [f"{others} of the skipped files have another rate or pack; see --force"]
    return Plan(tuple(ahead), skipped, tuple(warnings if others else ()), tuple(errors))


def plan_decoding(jobs: list[Job]) -> Plan:
    """Sort out what is done and what is in the way."""
    ahead = [job for job in jobs if not os.path.lexists(job.target)]
    errors = [
        f"{display_name(job.target)}: exists and is older than its .lic file; see --force"
        for job in jobs
        if os.path.lexists(job.target) and not _is_current(job)
    ]
    return Plan(tuple(ahead), len(jobs) - len(ahead) - len(errors), (), tuple(errors))


def _content(path: str) -> bytes:
    """What `read_lic` gives, or nothing where the file cannot be read."""
    try:
        return read_lic(path)
    except LicodecError:
        return b""


def _settings_of(data: bytes) -> Made | None:
    """How a whole .lic file was made; None where it is damaged or cut short."""
    try:
        header = read_file(data).header
    except LicodecError:
        return None
    return Made(header.weights_id, header.d, header.gains, header.adapter_id)


def _is_current(job: Job) -> bool:
    """Whether the output is no older than its input."""
    try:
        return os.stat(job.target).st_mtime_ns >= os.stat(job.source).st_mtime_ns
    except OSError:
        return False


# The work --------------------------------------------------------------------------------------


def encode_tree(
    folder: str,
    output: str | None,
    settings: EncodeSettings,
    jobs: int | None,
    verbosity: Verbosity,
) -> int:
    """Encode every picture below a folder; returns the exit code."""
    found, errors = find_jobs(folder, output, ENCODING)
    encoder = Encoder(settings)  # refuses an impossible rate or model before any process starts
    plan = _everything(found) if settings.overwrite else plan_encoding(found, encoder)
    processes, chosen = share_cores(jobs, len(plan.jobs), settings.machine)
    tools = partial(_open_encoder, replace(settings, machine=chosen))
    return _run(plan.with_errors(errors), tools, processes, chosen, verbosity)


def decode_tree(
    folder: str,
    output: str | None,
    settings: DecodeSettings,
    jobs: int | None,
    verbosity: Verbosity,
) -> int:
    """Decode every .lic file below a folder; returns the exit code."""
    found, errors = find_jobs(folder, output, decoding(settings.format))
    plan = _everything(found) if settings.overwrite else plan_decoding(found)
    processes, chosen = share_cores(jobs, len(plan.jobs), settings.machine)
    tools = partial(_open_decoder, replace(settings, machine=chosen))
    return _run(plan.with_errors(errors), tools, processes, chosen, verbosity)


def _everything(jobs: list[Job]) -> Plan:
    return Plan(tuple(replace(job, overwrite=True) for job in jobs))


def share_cores(jobs: int | None, files: int, chosen: Machine) -> tuple[int, Machine]:
    """The number of processes, and the machine of each with its share of the threads."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    processes = max(1, min(jobs or min(cores, MOST_JOBS), files))
    return processes, replace(chosen, threads=chosen.threads or max(1, cores // processes))


def _open_encoder(settings: EncodeSettings) -> Callable[[Job], Result | Failure]:
    encoder = Encoder(settings)
    encoder.codecs.require_backend()  # a machine that cannot run it ends the batch, not each file
    return partial(_attempt, encoder.encode)


def _open_decoder(settings: DecodeSettings) -> Callable[[Job], Result | Failure]:
    return partial(_attempt, Decoder(settings).decode)


def _attempt(convert: Callable[[Job], Result], job: Job) -> Result | Failure:
    try:
        make_folder(Path(job.target).parent)
        return convert(job)
    except LicodecError as error:
        return Failure(str(error))


def _run(plan: Plan, tools: Open, processes: int, chosen: Machine, verbosity: Verbosity) -> int:
    """Do the work, one line a file, then print the table; returns the exit code."""
    start = time.perf_counter()
    reporter = Reporter(verbosity)
    for message in plan.errors:
        reporter.error(message)
    done: list[Result] = []
    with progress(len(plan.jobs), verbosity) as advance:
        for job, outcome in run_in_processes(tools, plan.jobs, processes, chosen.threads or 1):
            advance()
            match outcome:
                case Died():
                    reporter.error(f"{display_name(job.source)}: {outcome}")
                case Failure(message):
                    reporter.error(message)
                case _:
                    reporter.notice(outcome.notice)
                    reporter.warnings(outcome.warnings)
                    reporter.result(outcome.line())
                    done.append(outcome)
    reporter.warnings(plan.warnings)
    failed = len(plan.errors) + len(plan.jobs) - len(done)
    if verbosity is not Verbosity.QUIET:
        columns = _totals(done)
        columns |= {"skipped": str(plan.skipped), "failed": str(failed)}
        columns["time"] = f"{time.perf_counter() - start:.1f} s"
        print_table(tuple(columns), [tuple(columns.values())])
    return 1 if failed else reporter.exit_code


def _totals(done: list[Result]) -> dict[str, str]:
    """Columns of the table over what was converted; bytes are those of the .lic files."""
    pixels, size = sum(result.pixels for result in done), sum(result.size for result in done)
    columns = {"files": str(len(done)), "pixels": str(pixels), "bytes": str(size)}
    columns["bpp"] = f"{8 * size / pixels:.3f}" if pixels else "-"
    psnrs = [r.psnr for r in done if isinstance(r, EncodeResult) and r.psnr is not None]
    if psnrs:
        columns["mean PSNR"] = decibels(sum(psnrs) / len(psnrs))
    return columns
