"""What can be typed to make packs; as in `commands`, the work is imported when one is called."""

from __future__ import annotations

from licodec.cli import options
from licodec.cli.pack_options import (
    Checkpoint,
    ImportOptions,
    PublishedCheckpoint,
    QuantizeOptions,
    parse_pack_size,
)
from licodec.exact.backends.torch_loading import require_torch


def quantize(
    *, checkpoint: Checkpoint, asked: QuantizeOptions, said: options.VerbosityOptions
) -> int:
    """Make a weights pack of a given size from a checkpoint of any backbone (FMPQ).

    Searches how many bits each layer needs: it measures what quantizing one layer alone does
    to rate and distortion on calibration pictures. An interrupted search goes on where it was
    when the same command is given again.
    """
    wanted, verbosity = parse_pack_size(asked.size), said.chosen()

    require_torch("quantize")
    from licodec.cli.quantize import quantize as run

    return run(checkpoint, wanted, asked, verbosity)


def models_import(
    *, checkpoint: PublishedCheckpoint, asked: ImportOptions, said: options.VerbosityOptions
) -> int:
    """Make a weights pack from a published checkpoint of stf, tcm, icm or cheng-attn.

    Every key and shape is checked, the ranges of all values are measured on pictures, and the
    network is compiled into exact arithmetic. Adapters, in the checkpoint or in --adapters (which
    may be given twice), become the pack's adapter set.
    """
    verbosity = said.chosen()

    require_torch("models import")
    from licodec.cli.models_import import import_checkpoint

    return import_checkpoint(checkpoint, asked, verbosity)
