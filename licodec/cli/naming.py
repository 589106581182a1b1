"""Names of outputs: derived from the inputs, and never two inputs in one file.

    encode  photo.png      photo.lic
    decode  photo.lic      photo.png, or photo.decoded.png where photo.png exists
            photo.png.lic  the same, for the suffix is there already

Where inputs would share an output (a.png and a.jpg in one folder), `encode` and `decode` refuse
them; `batch` lets all of them keep their suffixes, a.png.lic and a.jpg.lic, see `batches.names`.
"""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path, PurePath

from licodec.batches.names import AnyPath, Derive, whole_name
from licodec.cli.reading import source_name, target_name
from licodec.descriptors import STANDARD_STREAM, input_descriptor, output_descriptor
from licodec.errors import UsageError
from licodec.files import display_name, make_folder
from licodec.images import INPUT_SUFFIXES
from licodec.remote import is_url, split

LIC_SUFFIX = ".lic"


@dataclass(frozen=True)
class Job:
    """One input and the output that becomes of it; either may be "-" or stand for a descriptor."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{source_name(self.source)} -> {target_name(self.target)}"


def encoded_name(source: AnyPath) -> AnyPath:
    """photo.png -> photo.lic; what is no picture's suffix stays: v1.2 -> v1.2.lic."""
    known = source.suffix.lower() in INPUT_SUFFIXES
    return source.with_suffix(LIC_SUFFIX) if known else whole_name(source, LIC_SUFFIX)


def decoded_name(source: AnyPath, suffix: str) -> AnyPath:
    """photo.lic -> photo.png for the suffix ".png"."""
    if source.suffix.lower() != LIC_SUFFIX:
        return whole_name(source, suffix)
    stem = source.with_suffix("")
    return stem if stem.suffix.lower() == suffix else whole_name(stem, suffix)


def aside(target: AnyPath) -> AnyPath:
    """photo.png -> photo.decoded.png."""
    return target.with_name(f"{target.stem}.decoded{target.suffix}")


def plan_jobs(sources: list[str], output: str | None, derive: Derive) -> tuple[Job, ...]:
    """Inputs with their outputs, given -o.

    One input: `output` is a file, "-", or a folder; None derives a name, and what has none, such
    as "-", goes to "-".
    Several: `output` is a folder, made where it is missing, or None. Raises UsageError.
    """
    if output == "":
        raise UsageError("-o: the name is empty; name a file or a folder, or . for the current one")
    if len(sources) == 1:
        (source,) = sources
        if output is not None and not _is_folder(output):
            return (_checked(Job(source, output)),)
        if _is_nameless(source):
            if output is None:
                return (_checked(Job(source, STANDARD_STREAM)),)
            raise UsageError(
                f"{source_name(source)} has no name to use in the folder {display_name(output)}; "
                "name the output file with -o"
            )
    for source in filter(_is_nameless, sources):
        raise UsageError(
            f"{source_name(source)} cannot be one of several inputs, as it has no name to use for "
            "an output; give it alone"
        )
    if output is not None:
        _make_folder(output, sources)
    jobs = [_checked(Job(source, _derived(source, output, derive))) for source in sources]
    _refuse_collisions(jobs)
    return tuple(jobs)


def _derived(source: str, output: str | None, derive: Derive) -> str:
    """The name of an output beside its source, or in a folder."""
    before, place = _placed(source)
    if output is not None:
        before, folder = _placed(output)
        place = folder / place.name
    return before + str(derive(place))


def _placed(name: str) -> tuple[str, PurePath]:
    """What stands before the path of a URL, and the path; of others "" and all of it."""
    return split(name) if is_url(name) else ("", Path(name))


def _is_nameless(source: str) -> bool:
    return input_descriptor(source) is not None


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or os.path.isdir(output)


def _make_folder(output: str, sources: list[str]) -> None:
    name = display_name(output)
    names_file = Path(output).suffix.lower() in INPUT_SUFFIXES | {LIC_SUFFIX}
    if not _is_folder(output) and (names_file or output_descriptor(output) is not None):
        # A second word for an option, as in cwebp's -resize W H, is taken for an input.
        missing = next((source for source in sources if not os.path.exists(source)), None)
        also = "" if missing is None else f"; there is no input {display_name(missing)}"
        raise UsageError(
            f"-o {name}: with several inputs -o names a folder, and this is a file{also}"
        )
    if not is_url(output):  # where names make folders, or the store knows none
        make_folder(Path(output))


def _checked(job: Job) -> Job:
    """The job, unless its output is its input."""
    source, target = input_descriptor(job.source), output_descriptor(job.target)
    try:
        read = os.stat(job.source if source is None else source)
        written = os.stat(job.target if target is None else target)
    except (OSError, ValueError):  # an input that is missing is reported when it is read
        return job
    # Sockets and devices may well be both.
    if os.path.samestat(read, written) and stat.S_ISREG(read.st_mode):
        raise UsageError(f"{source_name(job.source)}: output and input are one file")
    return job


def _refuse_collisions(jobs: list[Job]) -> None:
    sources: dict[str, str] = {}
    for job in jobs:
        # By way of the folder, which may be a link; the file may not be there yet.
        path = os.path.join(_whole_path(os.path.dirname(job.target)), os.path.basename(job.target))
        if path in sources:
            raise UsageError(
                f"{display_name(sources[path])} and {display_name(job.source)} would both become "
                f"{display_name(job.target)}; convert them one by one, with -o"
            )
        sources[path] = job.source


def _whole_path(folder: str) -> str:
    try:
        return os.path.realpath(folder)
    except OSError:  # the working directory is gone
        return os.path.normpath(folder)


def command_line(*words: str) -> str:
    """A command as a message may show it, quoted for a shell."""
    return shlex.join(words) if all(word.isprintable() for word in words) else ascii(words)
