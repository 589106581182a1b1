"""The walk of `encode` and `decode` over the files that were named."""

from __future__ import annotations

from licodec.batches.converter import Converter
from licodec.cli.naming import Job
from licodec.cli.rendering import Reporter, Verbosity
from licodec.cli.streams import carrying_data
from licodec.errors import LicodecError
from licodec.files import check_input, check_output, write_bytes


def convert_files(
    converter: Converter, jobs: tuple[Job, ...], overwrite: bool, verbosity: Verbosity
) -> int:
    """Read, convert and write one file after the other; returns the exit code, the highest of
    theirs. `overwrite` says whether outputs may exist."""
    reporter = Reporter(verbosity, carrying_data(job.target for job in jobs))
    for job in jobs:
        try:
            check_input(job.source)
            check_output(job.target, overwrite)
            made = converter.make(job.source, job.target)
            write_bytes(job.target, made.data, overwrite)
        except LicodecError as error:
            reporter.failure(error)
        else:
            reporter.notice(made.report.notice)
            reporter.warnings(made.report.warnings)
            reporter.result(made.report.line())
    return reporter.exit_code
