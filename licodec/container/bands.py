"""The `BAND` chunk: how the planes of a large picture are cut into bands, each a stream.

Normative in format/SPEC.md, "Bands". Which planes a group has, the pack says.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import construct

from licodec.container.fields import VarInt, parse_fields
from licodec.container.limits import MAX_BAND_CHANNELS, MAX_SIDE, MAX_STREAMS
from licodec.errors import CorruptFileError, LimitError

VALUE_LIMIT = 2**24  # of a scale's magnitude


@dataclass(frozen=True)
class Bands:
    """How planes are cut.

    columns   whether bands stand side by side, instead of one below the other
    groups    for the planes of each group: the length of its bands in rows (or columns), and by
              how much less the first one has
    extremes  of each latent channel the least and the largest scale, where steps depend on them
    """

    columns: bool
    groups: tuple[tuple[int, int], ...]
    extremes: tuple[tuple[int, int], ...] = ()

    @property
    def axis(self) -> int:
        """That of planes (C, H, W) along which they are cut."""
        return 2 if self.columns else 1

    def cuts(self, group: int, size: int) -> list[tuple[int, int]]:
        """Where the bands of a group begin and end, for planes of `size` rows (or columns)."""
        length, less = self.groups[group]
        starts = [0, *range(length - less, size, length)]
        return list(zip(starts, [*starts[1:], size], strict=True))

    def band_at(self, group: int, place: int) -> tuple[int, int]:
        """Where the band that holds a row (or column) begins, and where the next one does."""
        length, less = self.groups[group]
        number = (place + less) // length
        return max(0, number * length - less), (number + 1) * length - less


_GROUP = construct.Struct("band_length" / VarInt, "band_offset" / VarInt)
_EXTREMES = construct.Struct("least_scale" / VarInt, "span_of_scales" / VarInt)
_HEAD = construct.Struct("direction" / construct.Byte, "group_count" / VarInt)


def pack_bands(bands: Bands) -> bytes:
    """The data of the `BAND` chunk. Raises CorruptFileError or LimitError as `unpack_bands`."""
    _check(bands)
    parts = [_HEAD.build({"direction": int(bands.columns), "group_count": len(bands.groups)})]
    parts += [_GROUP.build({"band_length": n, "band_offset": less}) for n, less in bands.groups]
    parts.append(VarInt.build(len(bands.extremes)))
    for least, largest in bands.extremes:
        folded = 2 * least if least >= 0 else -2 * least - 1
        parts.append(_EXTREMES.build({"least_scale": folded, "span_of_scales": largest - least}))
    return b"".join(parts)


def unpack_bands(data: bytes) -> Bands:
    """Parse and check the data of a `BAND` chunk. Raises CorruptFileError, and LimitError."""
    source = BytesIO(data)
    head = parse_fields(_HEAD, source, "BAND")
    if head.direction > 1:
        raise CorruptFileError(f"chunk BAND: direction is {head.direction}, neither 0 nor 1")
    _check_count("groups", head.group_count, MAX_STREAMS)
    groups = parse_fields(construct.Array(head.group_count, _GROUP), source, "BAND")
    count = parse_fields(construct.Struct("scale_count" / VarInt), source, "BAND").scale_count
    _check_count("channels", count, MAX_BAND_CHANNELS)
    layout = construct.Struct("pairs" / construct.Array(count, _EXTREMES), construct.Terminated)
    extremes = []
    for pair in parse_fields(layout, source, "BAND").pairs:
        half = pair.least_scale >> 1
        least = -half - 1 if pair.least_scale & 1 else half
        extremes.append((least, least + pair.span_of_scales))
    lengths = tuple((group.band_length, group.band_offset) for group in groups)
    bands = Bands(head.direction == 1, lengths, tuple(extremes))
    _check(bands)
    return bands


def _check_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise LimitError(f"chunk BAND has {count} {what}, over the limit of {most}")


def _check(bands: Bands) -> None:
    _check_count("groups", len(bands.groups), MAX_STREAMS)
    _check_count("channels", len(bands.extremes), MAX_BAND_CHANNELS)
    if not bands.groups:
        raise CorruptFileError("chunk BAND has no group")
    if any(not 0 <= less < length <= MAX_SIDE for length, less in bands.groups):
        raise CorruptFileError("chunk BAND: a band has no rows, or lacks more than it has")
    if any(not -VALUE_LIMIT < least <= largest < VALUE_LIMIT for least, largest in bands.extremes):
        raise CorruptFileError("chunk BAND: scales that are out of range")
