"""`licodec compare`: licodec beside other codecs, as figures and as a page to look at."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import licodec
from licodec.choice import encode_with_network
from licodec.cli import machine
from licodec.cli.options import Machine, ModelOptions
from licodec.cli.reading import read_source, source_name
from licodec.cli.rendering import Reporter, Verbosity, about, print_table, progress
from licodec.cli.streams import Channel, carrying_data, require_output
from licodec.compare.codecs import CODECS, PeerCodec, open_codec, parse_codecs
from licodec.compare.comparison import LICODEC, Compared, Plan, compare
from licodec.compare.crops import crop_within, parse_crop
from licodec.compare.figures import groups_of, mean_groups, measured, to_json
from licodec.compare.measures import require_ssimulacra2
from licodec.compare.page import Report, render
from licodec.descriptors import STANDARD_STREAM
from licodec.errors import LicodecError, UsageError
from licodec.files import check_output, write_bytes
from licodec.images import Picture
from licodec.library import Library, PackCodecs
from licodec.packs import choose_pack, require_encoder
from licodec.rate.modes import Rate, RateMode

if TYPE_CHECKING:
    from licodec.cli.compare_options import CompareOptions


@dataclass(frozen=True)
class _Subject:
    """licodec with one pack: what `compare` calls for each coding."""

    codecs: PackCodecs
    machine: Machine
    reporter: Reporter
    lossless: bool | None

    def __call__(self, picture: Picture, d: float) -> tuple[bytes, float | None, np.ndarray]:
        rate = Rate(RateMode.D, d, lossless=self.lossless)
        codec = self.codecs.to_encode(picture.width, picture.height, rate)
        self.reporter.notice(machine.notice(codec, self.machine))
        coded = encode_with_network(codec, picture, rate).coded
        return coded.data, coded.d, coded.picture.pixels

    @property
    def library(self) -> str:
        pack = self.codecs.pack
        return f"{licodec.__version__}, {pack.title}, {pack.weights_id.hex()}"


def compare_files(
    sources: list[str],
    ds: tuple[float, ...],
    asked: CompareOptions,
    pack: ModelOptions,
    on: Machine,
    as_json: bool,
    verbosity: Verbosity,
) -> int:
    """Compare on each picture at each of `ds`, print figures, `as_json` or as a table, and write
    the page; returns the exit code, the highest of the pictures'.

    Raises UsageError and LicodecError before anything is coded where the options, the output or
    a codec that was asked for will not do.
    """
    output = asked.output
    data = carrying_data([] if output is None else [output])
    on_output = Channel.OUTPUT not in data
    if as_json:
        require_output()
        if not on_output:
            raise UsageError("--json and -o - exclude each other; name a file with -o")
    if output is not None:
        check_output(output, asked.force)
    reporter = Reporter(verbosity, data)
    subject = _open_subject(ds, pack, on, False if asked.no_lossless else None, reporter)
    plan = _plan(ds, asked, len(sources), reporter)
    outcomes = _compare_all(sources, subject, plan, verbosity)
    failures = [outcome for outcome in outcomes if isinstance(outcome, LicodecError)]
    done = tuple(outcome for outcome in outcomes if isinstance(outcome, Compared))
    if as_json:
        reporter.show(json.dumps(_as_json(sources, outcomes), indent=2))
    else:
        for failure in failures:
            reporter.failure(failure)
        if done and on_output and verbosity is not Verbosity.QUIET:
            _print_figures(done)
    if output is not None and done:
        libraries = {LICODEC: subject.library, **{peer.name: peer.library for peer in plan.peers}}
        page = render(Report(done, plan.equal, f"licodec {licodec.__version__}", libraries))
        write_bytes(output, page.encode(), asked.force)
    return max([reporter.exit_code, *(failure.exit_code for failure in failures)])


def _open_subject(
    ds: tuple[float, ...],
    pack: ModelOptions,
    on: Machine,
    lossless: bool | None,
    reporter: Reporter,
) -> _Subject:
    """licodec, ready. Raises UsageError for a d that the pack lacks, and what opening it raises."""
    machine.prepare(on)
    codecs = Library(on.backend).open(choose_pack(pack.model, pack.plan))
    require_encoder(codecs.pack)
    for d in ds:
        try:
            codecs.pack.rate_scale.setting(Rate(RateMode.D, d))
        except UsageError as error:
            raise UsageError(f"--ds: {error}") from None
    return _Subject(codecs, on, reporter, lossless)


def _plan(ds: tuple[float, ...], asked: CompareOptions, pictures: int, reporter: Reporter) -> Plan:
    """What each picture is coded with; what there is not here is left out with a warning.

    Raises UsageError, LimitError, and LicodecError for a codec that was asked for by name.
    """
    names = CODECS if asked.codecs is None else parse_codecs(asked.codecs)
    wanted = None if asked.crop is None else parse_crop(asked.crop)
    peers: list[PeerCodec] = []
    for name in names:
        try:
            peers.append(open_codec(name))
        except LicodecError as error:
            if asked.codecs is not None:
                raise LicodecError(f"--codecs {name}: {error}") from None
            reporter.warnings([f"{name} is left out: {error}"])
    perceptual = True
    try:
        require_ssimulacra2()
    except LicodecError as error:
        perceptual = False
        reporter.warnings([f"not measured: {error}"])
    crop = crop_within(wanted, pictures * (1 + len(ds) * (1 + len(peers))))
    return Plan(ds, peers, asked.at_equal, crop, perceptual)


def _compare_all(
    sources: list[str], subject: _Subject, plan: Plan, verbosity: Verbosity
) -> list[Compared | LicodecError]:
    """What became of each picture; notes are said as they come."""
    outcomes: list[Compared | LicodecError] = []
    with progress(len(sources) * plan.codings, verbosity) as advance:
        for source in sources:
            try:
                compared = _compare_one(source, subject, plan, advance)
            except LicodecError as error:
                outcomes.append(error)
            else:
                subject.reporter.warnings([f"{compared.name}: {note}" for note in compared.notes])
                outcomes.append(compared)
    return outcomes


def _compare_one(
    source: str, subject: _Subject, plan: Plan, advance: Callable[[], None]
) -> Compared:
    with machine.memory_errors():
        picture = read_source(source)
    with about(source_name(source)), machine.memory_errors():
        return compare(picture, source_name(source), subject, plan, advance)


def _as_json(sources: list[str], outcomes: Sequence[Compared | LicodecError]) -> list[Any]:
    """An object for each input, in order: its figures, or "error" and "exit_code"; "file" is the
    name as it was given."""
    objects = []
    for source, outcome in zip(sources, outcomes, strict=True):
        file = source_name(source) if source == STANDARD_STREAM else source
        if isinstance(outcome, Compared):
            objects.append({"file": file, **to_json(outcome)})
        else:
            objects.append({"file": file, "error": str(outcome), "exit_code": outcome.exit_code})
    return objects


def _print_figures(pictures: Sequence[Compared]) -> None:
    """A table with a row for each coding, and for means where there are several pictures."""
    sections = [(picture.name, groups_of(picture)) for picture in pictures]
    if len(pictures) > 1:
        sections.append((f"mean of {len(pictures)}", mean_groups(pictures)))
    measures = measured([group for _, groups in sections for group in groups])
    headings = ["picture", "codec", "setting", "bytes", "bpp", *(m.name for m in measures)]
    print_table(
        headings,
        [
            [name, row.codec, row.setting, f"{row.size:.0f}", f"{row.bpp:.3f}"]
            + [measure.text(row.quality) for measure in measures]
            for name, groups in sections
            for group in groups
            for row in group.rows
        ],
    )
