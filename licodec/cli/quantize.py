"""`licodec quantize`: a checkpoint made into a weights pack of a given size, by FMPQ."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from licodec.cli.models_import import prepare
from licodec.cli.pack_options import PackSize, QuantizeOptions
from licodec.cli.rendering import Reporter, Verbosity, progress_console
from licodec.cli.streams import Channel
from licodec.files import display_name
from licodec.fmpq.allocation import Allocation, Report, float_bits
from licodec.fmpq.packing import PlanRequest, searched_pack
from licodec.fmpq.search import PlanSearch
from licodec.packing.calibration import example_picture, read_pictures, trial_crops
from licodec.packing.searchable import load_searchable
from licodec.packs import write_pack

STATE_SUFFIX = ".search.json"
CALIBRATION_SIDE = 512  # of the centre crops that ranges and tables are made on

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
    prepare(settings)
    adapters = tuple(settings.adapters or ())
    searched = load_searchable(Path(checkpoint), settings.backbone, adapters, settings.objective)
    source = settings.calibrate or example_picture()
    pictures = read_pictures(source, settings.pictures, CALIBRATION_SIDE)
    crops = trial_crops(
        pictures, settings.crops, settings.crop_size, settings.seed, searched.network.ALIGNMENT
    )
    if settings.calibrate is None:
        reporter.warnings([_NO_CALIBRATION])
    state = settings.state or Path(output + STATE_SUFFIX)
    request = PlanRequest(
        settings.plan_name,
        settings.rule.value,
        wanted.share,
        wanted.size,
        settings.seed,
        (settings.crops, settings.crop_size),
    )
    with _resumable(state, reporter):
        search = PlanSearch(searched, crops, searched.settings, state)
        with _search_progress(search, verbosity) as report:
            found, pack = searched_pack(search, pictures, request, report)
        write_pack(pack, Path(output))
    if settings.state is None:
        state.unlink(missing_ok=True)
    size = Path(output).stat().st_size
    share = found.allocation.bits / float_bits(search.layers)
    measured, predicted = (100 * zeta for zeta in (found.measured_zeta, found.allocation.zeta))
    reporter.result(
        f"{display_name(output)}: {pack.backbone} ({pack.plan_name}, {pack.weights_id.hex()}), "
        f"{size} bytes, weights {100 * share:.2f} % of float32, "
        f"loss {measured:+.2f} % (predicted {predicted:+.2f} %), "
        f"{found.evaluations} evaluations (naive search: {found.naive_evaluations}), "
        f"{time.perf_counter() - start:.0f} s"
    )
    return 0


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


@contextlib.contextmanager
def _search_progress(search: PlanSearch, verbosity: Verbosity) -> Iterator[Report]:
    """On a terminal a line on the standard error: evaluations, and the present plan's size and
    loss. Yields what the search reports to."""
    if verbosity is Verbosity.QUIET or not Channel.ERROR.is_live:
        yield lambda allocation: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    whole = float_bits(search.layers)
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
