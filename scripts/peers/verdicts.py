"""The verdict on a file: licodec's reading of it against second readers' opinions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from licodec.errors import LicodecError
from licodec.images import Picture, read_picture
from peers.comparison import (
    LOSSY,
    Difference,
    comparable,
    fault_of_pixels,
    fault_of_silence,
    is_truthful,
    reasons_to_refuse,
)
from peers.readers import Reader, Reading, UnableError

OUTCOMES = ("right", "refused", "only one reader", "WRONG")
RIGHT, REFUSED, ALONE, WRONG = OUTCOMES


@dataclass(frozen=True)
class Verdict:
    """What became of a file, and why where it is not plainly right."""

    outcome: str
    why: str = ""


def judge(
    path: Path,
    readers: Sequence[Reader],
    tolerance: Difference,
    corrupt: bool,
    references: Sequence[Reader] = (),
) -> Verdict:
    """Read a file with licodec and with second readers, and compare.

    `corrupt` says that it has to be refused; `references` are asked first what its pixels are.
    """
    try:
        picture = read_picture(path, path.name)
    except LicodecError as error:
        return _judge_refusal(path, str(error).removeprefix(f"{path.name}: "), readers)
    except Exception as error:
        return Verdict(WRONG, f"{type(error).__name__}, not an error of licodec's: {error}")
    if corrupt:
        return Verdict(WRONG, "is corrupt by its name, and read")
    return _judge_picture(path, picture, (*references, *readers), tolerance)


def _judge_picture(
    path: Path, picture: Picture, readers: Sequence[Reader], tolerance: Difference
) -> Verdict:
    """Right by the first reader that agrees and has nothing to complain of."""
    faults: list[str] = []
    doubts: list[str] = []
    agreed = False
    for reader in readers:
        try:
            second = reader.read(path)
        except UnableError as error:
            doubts.append(f"{reader.name}: {error}")
            continue
        if second.lossy:
            tolerance = LOSSY
        if not comparable(second):
            doubts.append(f"{reader.name}: {second.samples.dtype} samples, {second.colours}")
            continue
        fault = fault_of_pixels(picture, second, tolerance)
        if second.complaint:
            agreed = agreed or not fault
            doubts.append(f"{reader.name}, {fault or 'same pixels'}: {second.complaint}")
        elif fault:
            faults.append(f"{reader.name}: {fault}")
        else:
            silence = fault_of_silence(picture, second)
            return Verdict(WRONG, f"{reader.name}: {silence}") if silence else Verdict(RIGHT)
    return Verdict(WRONG if faults and not agreed else ALONE, "; ".join(faults + doubts))


def _judge_refusal(path: Path, refusal: str, readers: Sequence[Reader]) -> Verdict:
    """Wrong where some reader reads the file and none knows the refusal's reason."""
    outcome, opinions = REFUSED, []
    for reader in readers:
        try:
            second = reader.read(path)
        except UnableError as error:
            opinions.append(f"{reader.name}: {error}")
            continue
        opinions.append(f"{reader.name}: {_described(second)}")
        if is_truthful(refusal, second):
            outcome = REFUSED
            break
        outcome = WRONG
    return Verdict(outcome, f"refused, {refusal}; {'; '.join(opinions)}")


def _described(second: Reading) -> str:
    height, width, channels = second.samples.shape
    reasons = ", ".join(reasons_to_refuse(second)) or "nothing wrong"
    what = f"{width}x{height}, {channels} of {second.samples.dtype}, {second.colours}"
    return f"{what}, {reasons} {second.complaint}".rstrip()
