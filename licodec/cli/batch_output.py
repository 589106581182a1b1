"""What `licodec batch` says: lines and a table, or JSON lines.

With --json there is an object for each file,

    {"file": ..., "output": ..., "status": "done", "reason": ..., "bytes": ..., ...}

whose status is "done", "skipped" or "failed" (with an "error"), or in a dry run "planned" (with
an "action": "make", "replace" or "check"); and last of all {"summary": {...}}. Bytes and bits
per pixel are those of the .lic files.
"""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from licodec.batches.manifest import Output
from licodec.batches.plan import Action, Decision, Request
from licodec.batches.running import Skipped
from licodec.batches.work import Converted, Failed, Kept, Outcome
from licodec.cli.decode import DecodeResult
from licodec.cli.encode import EncodeResult
from licodec.cli.rendering import Reporter, Verbosity, counted, print_table
from licodec.files import display_name
from licodec.wording import decibels

_MOST_KINDS = 20  # that text names; JSON has all

Result = EncodeResult | DecodeResult


class BatchOutput(ABC):
    """Says what becomes of each file, and adds it up.

    verb  what is done with files: "encode" or "decode"
    """

    def __init__(self, request: Request, verb: str, verbosity: Verbosity) -> None:
        self._request = request
        self._verb = verb
        self._verbosity = verbosity
        self._reporter = Reporter(verbosity)
        self._start = time.perf_counter()
        self._results: list[Result] = []
        self._counts: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._warnings: list[str] = []

    @property
    def exit_code(self) -> int:
        return 1 if self._counts["failed"] else self._reporter.exit_code

    def warn(self, line: str) -> None:
        """Something about the whole batch."""
        self._warnings.append(line)
        self._reporter.warnings([line])

    def count_others(self, paths: Iterable[str]) -> None:
        """Files of other kinds, which are passed over."""
        self._kinds.update(Path(path).suffix.lower() for path in paths)

    def unreadable(self, path: str, message: str) -> None:
        """A file or folder that cannot be looked at."""
        self._counts["failed"] += 1
        self._say_failed({"file": path}, message)

    def planned(self, decision: Decision) -> None:
        """What would be done."""
        if decision.action is Action.REFUSE:
            self.became(decision, Failed(decision.reason))
            return
        self._counts["skipped" if decision.action is Action.SKIP else "planned"] += 1
        self._say_planned(decision)

    def became(self, decision: Decision, outcome: Outcome | Skipped) -> None:
        """What was done."""
        match outcome:
            case Failed(message):
                self._counts["failed"] += 1
                self._say_failed(self._paths(decision), message)
            case Converted(entry, result):
                self._results.append(result)
                self._reporter.notice(result.notice)
                self._say_done(decision, result, [*result.warnings, *_too_large(result, entry)])
            case _:
                self._counts["skipped"] += 1
                self._counts["kept"] += isinstance(outcome, Kept)
                self._say_skipped(decision)

    def _paths(self, decision: Decision) -> dict[str, str]:
        return {
            "file": str(self._request.root / decision.source),
            "output": str(self._request.folder / decision.output),
        }

    def _totals(self) -> dict[str, Any]:
        """What was done in numbers; bpp and mean_psnr only where there are any."""
        pixels = sum(result.pixels for result in self._results)
        size = sum(result.size for result in self._results)
        encoded = (result for result in self._results if isinstance(result, EncodeResult))
        psnrs = [result.psnr for result in encoded if result.psnr is not None]
        totals: dict[str, Any] = {"files": len(self._results), "pixels": pixels, "bytes": size}
        totals |= {"bpp": 8 * size / pixels} if pixels else {}
        return totals | ({"mean_psnr": sum(psnrs) / len(psnrs)} if psnrs else {})

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self._start

    @abstractmethod
    def _say_failed(self, paths: Mapping[str, str], message: str) -> None: ...

    @abstractmethod
    def _say_planned(self, decision: Decision) -> None: ...

    @abstractmethod
    def _say_skipped(self, decision: Decision) -> None: ...

    @abstractmethod
    def _say_done(self, decision: Decision, result: Result, warnings: list[str]) -> None: ...

    @abstractmethod
    def summarize(self) -> None:
        """Say what it all comes to."""


class TextOutput(BatchOutput):
    """Lines, and a table at the end."""

    def _say_failed(self, paths: Mapping[str, str], message: str) -> None:
        self._reporter.error(message)

    def _say_planned(self, decision: Decision) -> None:
        verbs = {Action.SKIP: "skip", Action.CHECK: "check"}
        verb = verbs.get(decision.action, self._verb)
        self._reporter.result(f"would {verb} {self._about(decision)}: {decision.reason}")

    def _say_skipped(self, decision: Decision) -> None:
        if self._verbosity is Verbosity.VERBOSE:
            self._reporter.result(f"{self._about(decision)}: skipped, {decision.reason}")

    def _say_done(self, decision: Decision, result: Result, warnings: list[str]) -> None:
        self._reporter.warnings(warnings)
        self._reporter.result(result.line())

    def _about(self, decision: Decision) -> str:
        return " -> ".join(map(display_name, self._paths(decision).values()))

    def summarize(self) -> None:
        if self._counts["kept"]:
            self.warn(
                f"{self._counts['kept']} of the skipped files had been made without this manifest; "
                "they agree with their sources and settings as far as can be seen"
            )
        if self._verbosity is Verbosity.QUIET:
            return
        if self._kinds:
            self._reporter.result(_kinds_in_words(self._kinds))
        totals = self._totals()
        columns = {name: str(totals[name]) for name in ("files", "pixels", "bytes")}
        columns["bpp"] = f"{totals['bpp']:.3f}" if "bpp" in totals else "-"
        if "mean_psnr" in totals:
            columns["mean PSNR"] = decibels(totals["mean_psnr"])
        for count in ("planned", "skipped", "failed"):
            if count != "planned" or self._counts[count]:
                columns[count] = str(self._counts[count])
        columns["time"] = f"{self._seconds:.1f} s"
        print_table(tuple(columns), [tuple(columns.values())])


class JsonOutput(BatchOutput):
    """JSON lines."""

    def _say_failed(self, paths: Mapping[str, str], message: str) -> None:
        self._say_json({**paths, "status": "failed", "error": message})

    def _say_planned(self, decision: Decision) -> None:
        if decision.action is Action.SKIP:
            self._say_skipped(decision)
            return
        told = {"status": "planned", "action": decision.action.value, "reason": decision.reason}
        self._say_json(self._paths(decision) | told)

    def _say_skipped(self, decision: Decision) -> None:
        told = {"status": "skipped", "reason": decision.reason}
        self._say_json(self._paths(decision) | told)

    def _say_done(self, decision: Decision, result: Result, warnings: list[str]) -> None:
        told: dict[str, Any] = {"status": "done", "reason": decision.reason}
        told |= {"pixels": result.pixels, "bytes": result.size}
        told["bpp"] = 8 * result.size / result.pixels
        if isinstance(result, EncodeResult):
            told |= {"rate": result.rate, "psnr": result.psnr}
        else:
            told["written"] = result.written
        told |= {"seconds": result.seconds, "warnings": warnings}
        self._say_json(self._paths(decision) | told)

    def summarize(self) -> None:
        counts = {name: self._counts[name] for name in ("planned", "skipped", "kept", "failed")}
        summary = self._totals() | counts | {"other_kinds": self._kinds}
        summary |= {"seconds": self._seconds, "warnings": self._warnings}
        self._say_json({"summary": summary})

    def _say_json(self, data: Mapping[str, Any]) -> None:
        """One line; infinity, the PSNR of equal pictures, is null, for JSON has none."""
        finite = {
            key: None if isinstance(value, float) and math.isinf(value) else value
            for key, value in data.items()
        }
        self._reporter.show(json.dumps(finite))


def _too_large(result: Result, entry: Output) -> list[str]:
    """A warning where a .lic file is larger than its source."""
    before, after = entry.made_from.stamp.size, entry.made.stamp.size
    if isinstance(result, DecodeResult) or after <= before:
        return []
    name = display_name(result.job.source)
    return [f"{name}: the .lic file of {after} bytes is larger than its source of {before}"]


def _kinds_in_words(kinds: Counter[str]) -> str:
    names = [kind or "without a suffix" for kind in sorted(kinds)]
    more = f" and {len(names) - _MOST_KINDS} more" if len(names) > _MOST_KINDS else ""
    files = counted(kinds.total(), "file")
    return f"{files} of other kinds passed over: {', '.join(names[:_MOST_KINDS])}{more}"
