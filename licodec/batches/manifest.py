"""The manifest: what was made of what, as JSON lines in a file beside the outputs.

    {"batch": 1, "status": "done", "root": "/home/me/photos",
     "source": {"path": "sub/a.png", "size": ..., "mtime_ns": ..., "ctime_ns": ..., "inode": ...,
                "sha256": "..."},
     "output": {"path": "sub/a.lic", ...}, "settings": {...}, "weights_id": "...",
     "licodec": "0.1.0", "message": ""}

`root` is the absolute folder that the source's path starts from; the output's starts from the
folder of the manifest. An output has a line of status "writing" before it appears, so that
whatever interrupts the work, what exists is known by its hash, and one of status "done" when it
is there. "failed" says why there is none. Later lines replace earlier ones of the same output;
a line that was cut off as it was written counts for nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from licodec.batches.content import Content, Stamp
from licodec.errors import BadInputError, LicodecError
from licodec.files import display_name, open_input, read_bytes, save_atomically

NAME = ".licodec-batch.jsonl"
VERSION = 1
_MOST_LINE_BYTES = 2**20  # two paths of 4096 bytes, escaped, and the rest take a tenth
_MOST_BYTES = 2**32


class Status(StrEnum):
    """How far an output has come."""

    WRITING = "writing"
    DONE = "done"
    FAILED = "failed"


def _own_version() -> str:
    from licodec import __version__  # looked up when it is written down, which few commands do

    return __version__


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the manifest, of an output that is not there.

    root        the absolute folder that `source` starts from
    source      path of the source
    output      path of the output from the manifest's folder
    settings    all of the request that changes the output, in JSON's types
    weights_id  of the networks, in hexadecimal; None where none were used
    message     why it failed
    licodec     version that made it
    """

    root: str
    source: str
    output: str
    settings: Mapping[str, Any]
    weights_id: str | None = None
    message: str = ""
    licodec: str = field(default_factory=_own_version)
    status: Status = Status.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Entry):
    """A line of an output that is there, or about to be.

    made_from  what the source held
    made       what the output holds
    """

    status: Status = Status.DONE
    made_from: Content
    made: Content


@dataclass(frozen=True, slots=True)
class History:
    """What is known of one output: the last entry of each status, in the order of the work.

    done     the output as it was last completed
    writing  what may have replaced that since
    failed   the last attempt, if nothing came of it
    """

    done: Output | None = None
    writing: Output | None = None
    failed: Entry | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(e for e in (self.done, self.writing, self.failed) if e is not None)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The entries that the output may be of, the likeliest first."""
        return tuple(e for e in (self.writing, self.done) if e is not None)

    def then(self, entry: Entry) -> History:
        if not isinstance(entry, Output):
            return replace(self, failed=entry)
        if entry.status is Status.WRITING:
            return replace(self, writing=entry, failed=None)
        return History(done=entry)


class Manifest:
    """The manifest of a folder. One process at a time may write it, see `lock`."""

    def __init__(self, folder: Path) -> None:
        """Read it; a folder without one has an empty one.

        Raises BadInputError where it cannot be read or is of a later version.
        """
        self.path = folder / NAME
        self._histories: dict[str, History] = {}
        self._lines = 0  # that say something
        self._damaged = 0  # that do not
        self._whole = True  # whether the last line has its end
        if os.path.lexists(self.path):
            self._read()

    @property
    def histories(self) -> Mapping[str, History]:
        """What is known of every output, by its path."""
        return self._histories

    @property
    def is_damaged(self) -> bool:
        """Whether there are lines that say nothing, but for a last one that was cut off."""
        return self._damaged > 0

    def history(self, output: str) -> History:
        return self._histories.get(output, History())

    def append(self, entry: Entry) -> None:
        """Add an entry. Raises LicodecError where it cannot be written."""
        line = _to_line(entry)
        data = line if self._whole else b"\n" + line
        try:
            with open(self.path, "ab", buffering=0) as stream:
                self._whole = False
                self._whole = stream.write(data) == len(data)
        except OSError as error:
            raise LicodecError(f"{self.name}: cannot be written: {error.strerror}") from error
        if not self._whole:
            raise LicodecError(f"{self.name}: cannot be written: no space left")
        self._add(entry)

    def compact(self) -> None:
        """Leave out the lines that others have replaced. Raises LicodecError."""
        kept = [entry for history in self._histories.values() for entry in history.entries]
        if self._lines > len(kept) or self._damaged or not self._whole:
            save_atomically(self.path, b"".join(map(_to_line, kept)), overwrite=True)
            self._lines, self._damaged, self._whole = len(kept), 0, True

    def set_aside(self) -> Path:
        """Keep the file as it is under another name, which is returned, and go on with the lines
        that say something. Raises LicodecError."""
        names = (self.path.with_name(f"{NAME}.damaged-{number}") for number in count(1))
        aside = next(name for name in names if not os.path.lexists(name))
        save_atomically(aside, read_bytes(self.path, _MOST_BYTES), overwrite=False)
        self.compact()
        return aside

    @property
    def name(self) -> str:
        """For messages."""
        return display_name(self.path)

    def _add(self, entry: Entry) -> None:
        self._histories[entry.output] = self.history(entry.output).then(entry)
        self._lines += 1

    def _read(self) -> None:
        if not self.path.is_file():
            raise BadInputError(
                f"{self.name}: not a file, and a batch keeps its manifest there; move it away"
            )
        with open_input(self.path) as stream:
            try:
                for line in iter(partial(stream.readline, _MOST_LINE_BYTES), b""):
                    self._whole = line.endswith(b"\n")
                    if line.strip():
                        self._read_line(line)
            except OSError as error:
                raise BadInputError(f"{self.name}: cannot be read: {error.strerror}") from error

    def _read_line(self, line: bytes) -> None:
        try:
            data = json.loads(line)
            if data["batch"] > VERSION:
                raise BadInputError(
                    f"{self.name}: written by a later licodec; use that one, or move the file "
                    "away to have all outputs checked"
                )
            entry = _from_json(data)
        except (ValueError, TypeError, LookupError, RecursionError):
            self._damaged += self._whole  # the last one is merely cut off
        else:
            self._add(entry)


def _to_line(entry: Entry) -> bytes:
    made_from, made = (entry.made_from, entry.made) if isinstance(entry, Output) else (None, None)
    data = {
        "batch": VERSION,
        "status": entry.status,
        "root": entry.root,
        "source": _file_to_json(entry.source, made_from),
        "output": _file_to_json(entry.output, made),
        "settings": entry.settings,
        "weights_id": entry.weights_id,
        "licodec": entry.licodec,
        "message": entry.message,
    }
    # ASCII, for names that are no UTF-8 have no other form.
    return json.dumps(data, ensure_ascii=True).encode("ascii") + b"\n"


def _file_to_json(path: str, content: Content | None) -> dict[str, Any]:
    known = {} if content is None else asdict(content.stamp) | {"sha256": content.sha256}
    return {"path": path, **known}


def _from_json(data: Mapping[str, Any]) -> Entry:
    """Raises ValueError, TypeError or LookupError for what is no entry."""
    source, made_from = _file_from_json(data["source"])
    output, made = _file_from_json(data["output"])
    weights_id, settings = data["weights_id"], data["settings"]
    status = Status(data["status"])
    if not isinstance(settings, dict):
        raise TypeError
    stated = (
        _text(data["root"]),
        source,
        output,
        settings,
        None if weights_id is None else _text(weights_id),
        _text(data["message"]),
        _text(data["licodec"]),
    )
    if status is Status.FAILED:
        return Entry(*stated)
    if made is None or made_from is None:
        raise ValueError
    return Output(*stated, status=status, made_from=made_from, made=made)


def _file_from_json(data: Mapping[str, Any]) -> tuple[str, Content | None]:
    path = _text(data["path"])
    if "sha256" not in data:
        return path, None
    numbers = {field.name: data[field.name] for field in fields(Stamp)}
    if not all(type(number) is int for number in numbers.values()):
        raise TypeError
    return path, Content(Stamp(**numbers), _text(data["sha256"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
