"""The `TILE` chunk: how the planes of a large picture are cut into tiles, each a stream.

Normative in format/SPEC.md, "Tiles". Which planes a group has, the pack says.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import construct

from licodec.container.fields import VarInt, parse_fields
from licodec.container.limits import MAX_SIDE, MAX_STREAMS, MAX_TILE_CHANNELS
from licodec.errors import CorruptFileError, LimitError

VALUE_LIMIT = 2**24  # of a scale's magnitude


@dataclass(frozen=True)
class Tiles:
    """How planes are cut, rows and columns alike.

    groups    for the planes of each group: the rows and columns of a tile, and by how many less
              the first ones have
    extremes  of each latent channel the least and the largest scale, where steps depend on them
    """

    groups: tuple[tuple[int, int], ...]
    extremes: tuple[tuple[int, int], ...] = ()

    def cuts(self, group: int, size: int) -> list[tuple[int, int]]:
        """Where the tiles of a group begin and end, among `size` rows or columns."""
        length, less = self.groups[group]
        starts = [0, *range(length - less, size, length)]
        return list(zip(starts, [*starts[1:], size], strict=True))

    def count(self, group: int, rows: int, columns: int) -> int:
        """How many tiles a group has, without a list of them."""
        length, less = self.groups[group]
        return -(-(rows + less) // length) * -(-(columns + less) // length)

    def tile_at(self, group: int, place: int) -> tuple[int, int]:
        """Where the tile that holds a row or column begins, and where the next one does."""
        length, less = self.groups[group]
        number = (place + less) // length
        return max(0, number * length - less), (number + 1) * length - less


_GROUP = construct.Struct("tile_length" / VarInt, "tile_offset" / VarInt)
_EXTREMES = construct.Struct("least_scale" / VarInt, "span_of_scales" / VarInt)
_COUNT = construct.Struct("count" / VarInt)


def pack_tiles(tiles: Tiles) -> bytes:
    """The data of the `TILE` chunk. Raises CorruptFileError or LimitError as `unpack_tiles`."""
    _check(tiles)
    parts = [VarInt.build(len(tiles.groups))]
    parts += [_GROUP.build({"tile_length": n, "tile_offset": less}) for n, less in tiles.groups]
    parts.append(VarInt.build(len(tiles.extremes)))
    for least, largest in tiles.extremes:
        folded = 2 * least if least >= 0 else -2 * least - 1
        parts.append(_EXTREMES.build({"least_scale": folded, "span_of_scales": largest - least}))
    return b"".join(parts)


def unpack_tiles(data: bytes) -> Tiles:
    """Parse and check the data of a `TILE` chunk. Raises CorruptFileError, and LimitError."""
    source = BytesIO(data)
    count = parse_fields(_COUNT, source, "TILE").count
    _check_count("groups", count, MAX_STREAMS)
    groups = parse_fields(construct.Array(count, _GROUP), source, "TILE")
    count = parse_fields(_COUNT, source, "TILE").count
    _check_count("channels", count, MAX_TILE_CHANNELS)
    layout = construct.Struct("pairs" / construct.Array(count, _EXTREMES), construct.Terminated)
    extremes = []
    for pair in parse_fields(layout, source, "TILE").pairs:
        half = pair.least_scale >> 1
        least = -half - 1 if pair.least_scale & 1 else half
        extremes.append((least, least + pair.span_of_scales))
    lengths = tuple((group.tile_length, group.tile_offset) for group in groups)
    tiles = Tiles(lengths, tuple(extremes))
    _check(tiles)
    return tiles


def _check_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise LimitError(f"chunk TILE has {count} {what}, over the limit of {most}")


def _check(tiles: Tiles) -> None:
    _check_count("groups", len(tiles.groups), MAX_STREAMS)
    _check_count("channels", len(tiles.extremes), MAX_TILE_CHANNELS)
    if not tiles.groups:
        raise CorruptFileError("chunk TILE has no group")
    if any(not 0 <= less < length <= MAX_SIDE for length, less in tiles.groups):
        raise CorruptFileError("chunk TILE: a tile has no rows, or lacks more than it has")
    if any(not -VALUE_LIMIT < least <= largest < VALUE_LIMIT for least, largest in tiles.extremes):
        raise CorruptFileError("chunk TILE: scales that are out of range")
