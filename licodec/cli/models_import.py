"""`licodec models import`: a published checkpoint made into a weights pack."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from licodec.cli.pack_options import ImportOptions, QuantizeOptions
from licodec.cli.rendering import Reporter, Verbosity
from licodec.errors import UsageError
from licodec.exact.interpreter import set_threads
from licodec.files import check_output, display_name
from licodec.packing.calibration import built_in_pictures, read_pictures
from licodec.packing.checkpoints import load_network
from licodec.packing.packs import PackSettings, compile_pack
from licodec.packing.registry import PUBLISHED
from licodec.packing.searchable import card_of
from licodec.packs import SUFFIX, is_objective, write_pack

CALIBRATION_SIDE = 384  # of the centre crops that ranges are measured on

_NO_CALIBRATION = (
    "calibrated on built-in pictures; a dozen of your own (--calibrate DIR) make a better pack"
)


def import_checkpoint(checkpoint: str, settings: ImportOptions, verbosity: Verbosity) -> int:
    """Write the pack of a published checkpoint; returns the exit code 0.

    Raises UsageError, and BadInputError for what is no checkpoint of an importable backbone.
    """
    reporter = Reporter(verbosity)
    start, output = time.perf_counter(), settings.output
    bits, adapters = int(settings.bits), tuple(settings.adapters or ())
    prepare(settings)
    name = Path(checkpoint).name
    network = load_network(Path(checkpoint), settings.backbone, adapters, PUBLISHED)
    pictures = _pictures(settings)
    if settings.calibrate is None:
        reporter.warnings([_NO_CALIBRATION])
    card = card_of(name, network, adapters) | {"weight_bits": bits}
    pack = compile_pack(
        network,
        pictures,
        PackSettings(
            settings.plan_name, card, lambda layer: bits, objective=settings.objective, name=name
        ),
    )
    write_pack(pack, Path(output))
    modes = ", ".join(pack.rate_modes) or "none"
    reporter.result(
        f"{display_name(output)}: {pack.backbone} ({pack.plan_name}, {pack.weights_id.hex()}), "
        f"{Path(output).stat().st_size} bytes, {card['parameters']} parameters, "
        f"weights of {bits} bits, rate modes {modes}, "
        f"{time.perf_counter() - start:.0f} s"
    )
    return 0


def prepare(settings: ImportOptions | QuantizeOptions) -> None:
    """Check what the commands that make packs have in common, and take the threads. Raises
    UsageError for what cannot name a pack or an objective, and LicodecError for an output that
    must not be replaced."""
    output, objective = settings.output, settings.objective
    if not output.endswith(SUFFIX):
        raise UsageError(f"-o {display_name(output)}: a pack's name ends in {SUFFIX}")
    if objective is not None and not is_objective(objective):
        raise UsageError(f"--objective {objective!a}: give lower-case letters, digits and hyphens")
    check_output(output, settings.force)
    if settings.threads is not None:
        set_threads(settings.threads)


def _pictures(settings: ImportOptions) -> list[np.ndarray]:
    if settings.calibrate is None:
        return built_in_pictures(CALIBRATION_SIDE)
    return read_pictures(settings.calibrate, settings.pictures, CALIBRATION_SIDE)
