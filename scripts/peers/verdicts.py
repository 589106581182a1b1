"""The verdict on a file: licodec's reading of it against second readers' opinions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from licodec.errors import LicodecError
from licodec.images import Picture, read_picture
from peers import comparison
from peers.comparison import LOSSY, Difference
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


def _readings(
    path: Path, readers: Sequence[Reader], opinions: list[str]
) -> Iterator[tuple[Reader, Reading]]:
    """Of the readers that are able; why others are not goes to `opinions`."""
    for reader in readers:
        try:
            yield reader, reader.read(path)
        except UnableError as error:
            opinions.append(f"{reader.name}: {error}")


def _judge_picture(
    path: Path, picture: Picture, readers: Sequence[Reader], tolerance: Difference
) -> Verdict:
    """Right by the first reader that agrees and has nothing to complain of."""
    faults: list[str] = []
    doubts: list[str] = []
    agreed = False
    for reader, second in _readings(path, readers, doubts):
        if second.lossy:
            tolerance = LOSSY
        if not comparison.comparable(second):
            doubts.append(f"{reader.name}: {second.samples.dtype} samples, {second.colours}")
            continue
        fault = comparison.fault_of_pixels(picture, second, tolerance)
        if second.complaint:
            agreed = agreed or not fault
            doubts.append(f"{reader.name}, {fault or 'same pixels'}: {second.complaint}")
        elif fault:
            faults.append(f"{reader.name}: {fault}")
        else:
            silence = comparison.fault_of_silence(picture, second)
            return Verdict(WRONG, f"{reader.name}: {silence}") if silence else Verdict(RIGHT)
    return Verdict(WRONG if faults and not agreed else ALONE, "; ".join(faults + doubts))


def _judge_refusal(path: Path, refusal: str, readers: Sequence[Reader]) -> Verdict:
    """Wrong where some reader reads the file and none knows the refusal's reason."""
    outcome = REFUSED
    opinions: list[str] = []
    for reader, second in _readings(path, readers, opinions):
        opinions.append(f"{reader.name}: {_described(second)}")
        if comparison.is_truthful(refusal, second):
            outcome = REFUSED
            break
        outcome = WRONG
    return Verdict(outcome, f"refused, {refusal}; {'; '.join(opinions)}")


def _described(second: Reading) -> str:
    height, width, channels = second.samples.shape
    reasons = ", ".join(comparison.reasons_to_refuse(second)) or "nothing wrong"
    what = f"{width}x{height}, {channels} of {second.samples.dtype}, {second.colours}"
    return f"{what}, {reasons} {second.complaint}".rstrip()
