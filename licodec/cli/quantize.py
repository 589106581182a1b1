"""`licodec quantize`: a checkpoint made into a weights pack of a given size, by FMPQ."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from licodec.cli.models_import import check_objective
from licodec.cli.pack_options import PackSize, QuantizeOptions
from licodec.cli.rendering import Reporter, Verbosity, progress_console
from licodec.cli.streams import Channel
from licodec.errors import UsageError
from licodec.exact.interpreter import set_threads
from licodec.files import check_output, display_name
from licodec.fmpq.allocation import Allocation, Report, float_bits
from licodec.fmpq.search import Found, PlanSearch, widths_of
from licodec.packing.calibration import example_picture, read_pictures, trial_crops
from licodec.packing.packs import bytes_beside_weights, packed_size
from licodec.packing.searchables import load_searchable
from licodec.packs import SUFFIX, Pack, write_pack
from licodec.packs.plans import CARD_KEY

STATE_SUFFIX = ".search.json"
CALIBRATION_SIDE = 512  # of the centre crops that ranges and tables are made on
_BITS = 8  # in a byte
_CARD_BYTES = 1024  # for the figures of a search, which a pack's card gets at its end

_NO_CALIBRATION = (
    "calibrated on one built-in photograph; a few dozen pictures of your own (--calibrate DIR) "
    "make a better pack"
)


def quantize(
    checkpoint: str, wanted: PackSize, settings: QuantizeOptions, verbosity: Verbosity
) -> int:
    """Search a plan and write the pack, of the size `wanted`; returns the exit code 0.

    Raises LicodecError. An interrupted search leaves its state file and says how to go on.
    """
    reporter = Reporter(verbosity)
    start, output = time.perf_counter(), settings.output
    if not output.endswith(SUFFIX):
        raise UsageError(f"-o {display_name(output)}: a pack's name ends in {SUFFIX}")
    check_objective(settings.objective)
    check_output(output, settings.force)
    if settings.threads is not None:
        set_threads(settings.threads)
    adapters = tuple(settings.adapters or ())
    searched = load_searchable(Path(checkpoint), settings.backbone, adapters, settings.objective)
    source = settings.calibrate or example_picture()
    pictures = read_pictures(source, settings.pictures, CALIBRATION_SIDE)
    crops = trial_crops(
        pictures, settings.crops, settings.crop_size, settings.seed, searched.alignment
    )
    if settings.calibrate is None:
        reporter.warnings([_NO_CALIBRATION])
    state = settings.state or Path(output + STATE_SUFFIX)
    with _resumable(state, reporter):
        search = PlanSearch(searched, crops, searched.settings, state)
        layers = search.layers
        if wanted.share is not None:
            budget = search.budget(wanted.share)
        else:
            rest = bytes_beside_weights(searched, layers, pictures)
            budget = _BITS * (wanted.size - rest - _CARD_BYTES)
        with _search_progress(float_bits(layers), search, verbosity) as report:
            found, pack = _fitting(search, budget, wanted.size, pictures, settings, report)
        write_pack(pack, Path(output))
    if settings.state is None:
        state.unlink(missing_ok=True)
    size = Path(output).stat().st_size
    share = found.allocation.bits / float_bits(layers)
    measured, predicted = (100 * zeta for zeta in (found.measured_zeta, found.allocation.zeta))
    reporter.result(
        f"{display_name(output)}: {pack.backbone} ({pack.plan_name}, {pack.weights_id.hex()}), "
        f"{size} bytes, weights {100 * share:.2f} % of float32, "
        f"loss {measured:+.2f} % (predicted {predicted:+.2f} %), "
        f"{found.evaluations} evaluations (naive search: {found.naive_evaluations}), "
        f"{time.perf_counter() - start:.0f} s"
    )
    return 0


def _fitting(
    search: PlanSearch,
    budget: int,
    most: int | None,
    pictures: Sequence[np.ndarray],
    settings: QuantizeOptions,
    report: Report,
) -> tuple[Found, Pack]:
    """A plan of at most `budget` bits and its pack, of at most so many bytes.

    Tables are as large as the ranges that they serve, which follow the plan: so a pack's size is
    certain only when it is there, and a pack that is too large is made again with fewer bits.
    """
    while True:
        found = search.find(budget, settings.rule.value, report)
        final = search.corrected(found.plan)
        card = {**final.card, CARD_KEY: _figures(found, search, settings)}
        pack = final.pack(pictures, settings.plan_name, widths_of(found.plan), card)
        if most is None or (size := packed_size(pack)) <= most:
            return found, pack
        budget = found.allocation.bits - _BITS * (size - most)


@contextlib.contextmanager
def _resumable(state: Path, reporter: Reporter) -> Iterator[None]:
    """Say how to go on where the search is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        if state.exists():
            name = display_name(state)
            reporter.error(f"what was measured is in {name}; the same command again resumes")
        raise


def _figures(found: Found, search: PlanSearch, settings: QuantizeOptions) -> dict[str, object]:
    """What the pack's card says of the search."""
    tolerance = found.allocation.tolerance
    stated = tolerance is not None and math.isfinite(tolerance)
    return {
        "rule": settings.rule.value,
        "tolerance": tolerance if stated else None,
        "weights_bytes": found.allocation.bits // _BITS,
        "share_of_float32": round(found.allocation.bits / float_bits(search.layers), 5),
        "predicted_loss": round(found.allocation.zeta, 6),
        "measured_loss": round(found.measured_zeta, 6),
        "evaluations": found.evaluations,
        "naive_evaluations": found.naive_evaluations,
        "seed": settings.seed,
        "crops": [settings.crops, settings.crop_size],
        "plan": dict(found.plan),
    }


@contextlib.contextmanager
def _search_progress(whole: int, search: PlanSearch, verbosity: Verbosity) -> Iterator[Report]:
    """On a terminal a line on the standard error: evaluations, and the present plan's size and
    loss. Yields what the search reports to."""
    if verbosity is Verbosity.QUIET or not Channel.ERROR.is_live:
        yield lambda allocation: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=progress_console(), transient=True) as bar:
        task = bar.add_task("0 evaluations")

        def report(allocation: Allocation) -> None:
            bar.update(
                task,
                description=(
                    f"{search.curves.evaluations} evaluations, "
                    f"size {100 * allocation.bits / whole:.2f} %, "
                    f"loss {100 * allocation.zeta:+.2f} %"
                ),
            )

        yield report
