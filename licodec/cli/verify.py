"""`licodec verify`: whether files are whole and decode to the pixels they promise."""

from __future__ import annotations

import time

from licodec.cli import machine
from licodec.cli.options import Machine
from licodec.cli.reading import read_lic, source_name
from licodec.cli.rendering import Reporter, Verbosity, about, counted
from licodec.container import Header, read_file
from licodec.errors import CorruptFileError, LicodecError
from licodec.library import Library


def verify_files(sources: list[str], chosen: Machine, verbosity: Verbosity) -> int:
    """Check each file in memory; returns the exit code, the highest of the files'."""
    reporter = Reporter(verbosity)
    machine.prepare(chosen)
    library = Library(chosen.backend)
    good = 0
    for source in sources:
        try:
            line = _verify(source, library, chosen, reporter)
        except LicodecError as error:
            reporter.failure(error)
        else:
            reporter.result(line)
            good += 1
    if len(sources) > 1:
        failed = len(sources) - good
        reporter.result(f"{counted(len(sources), 'file')}: {good} ok, {failed} failed")
    return reporter.exit_code


def _verify(source: str, library: Library, chosen: Machine, reporter: Reporter) -> str:
    """The result line of a file that is right. Raises LicodecError.

    Container, agreement with the pack and the pixels' checksum are checked, and here a damaged
    ancillary chunk is an error too, though the pixels do not depend on it.
    """
    name = source_name(source)
    data = read_lic(source)
    with about(name), machine.memory_errors():
        lic = read_file(data)
        codec = library.codec_for(lic)
        reporter.notice(machine.notice(codec, chosen))
        start = time.perf_counter()
        library.decode_with(codec, lic)
        if lic.damaged:
            chunks = ", ".join(chunk.name for chunk in lic.damaged)
            raise CorruptFileError(f"metadata damaged (chunk {chunks}); the pixels are right")
    header = lic.header
    seconds = time.perf_counter() - start
    by = header.backbone if isinstance(header, Header) else "lossless"
    return f"{name}: ok, {header.width}x{header.height}, {by}, {seconds:.2f} s"
