"""rANS streams, how many a picture has, and wavefronts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oracle.arrays import Json, Noise
from oracle.streams import Table, encode_values


def stream_case(
    name: str, shows: str, tables: Sequence[Table], indexes: Sequence[int], values: Sequence[int]
) -> Json:
    rans, escapes = encode_values(tables, indexes, values)
    return {
        "name": name,
        "shows": shows,
        "tables": [one.to_json() for one in tables],
        "indexes": list(indexes),
        "values": list(values),
        "rans": rans.hex(),
        "escapes": escapes.hex(),
    }


SPREAD = Table(-1, (16384, 32768, 16384))
SHARP = Table(5, (1, 65533, 1, 1))
LEAST = Table(-3, (65535, 1))


def stream_cases() -> Iterator[Json]:
    noise = Noise(6)
    example = (0, -1, 7, 0, 0)
    yield stream_case(
        "example", "section 'Example' of 'Entropy coding'", [SPREAD], [0] * 5, example
    )
    yield stream_case("three symbols", "nothing but the state", [SPREAD], [0] * 3, [0, 0, -1])
    yield stream_case(
        "rare symbols",
        "frequency 1: a word for every two symbols",
        [SHARP],
        [0] * 12,
        [5, 7, 6, 5, 5, 7, 7, 7, 5, 5, 7, 6],
    )
    yield stream_case(
        "certain symbols", "frequency 65533: no word for many symbols", [SHARP], [0] * 40, [6] * 40
    )
    edges = [
        LEAST.offset - 1,
        LEAST.high + 1,
        LEAST.high + 64,
        LEAST.high + 65,
        LEAST.offset - 64,
        LEAST.offset - 65,
        LEAST.high + 8192,
        LEAST.high + 8193,
        32767,
        -32767,
        -3,
    ]
    yield stream_case(
        "escapes",
        "one, two and three bytes, both signs, the largest magnitudes",
        [LEAST],
        [0] * len(edges),
        edges,
    )
    tables = [SPREAD, SHARP, LEAST]
    indexes = [noise.integer(0, 2) for _ in range(60)]
    values = [noise.integer(-4, 8) for _ in indexes]
    yield stream_case("several tables", "tables and escapes mixed", tables, indexes, values)


def damaged_stream_cases() -> Iterator[Json]:
    values = [0, -1, 7, 0, 0, 0, 0, -1, 9, 1]
    rans, escapes = encode_values([SPREAD], [0] * len(values), values)

    def damaged(name: str, rans: bytes, escapes: bytes) -> Json:
        return {
            "name": name,
            "tables": [SPREAD.to_json()],
            "indexes": [0] * len(values),
            "rans": rans.hex(),
            "escapes": escapes.hex(),
        }

    assert len(escapes) == 3
    yield damaged("no stream", b"", escapes)
    yield damaged("half a word less", rans[:-2], escapes)
    yield damaged("one state word", rans[:4], escapes)
    yield damaged("more than a word for each symbol", rans + bytes(48), escapes)
    yield damaged("first state below 2^31", rans[:4] + bytes(4) + rans[8:], escapes)
    yield damaged("first state of 2^63", rans[:4] + b"\0\0\0\x80" + rans[8:], escapes)
    yield damaged("an escape too few", rans, escapes[:-1])
    yield damaged("an escape too many", rans, escapes + b"\0")
    yield damaged("an escape that does not end", rans, escapes[:-1] + b"\x82")
    yield damaged("an escape in too many bytes", rans, escapes[:-1] + b"\x82\0")
    yield damaged("an escape of four bytes", rans, escapes[:-1] + b"\x80\x80\x80\x01")
    too_large = 2 * (32768 - 0 - 1)
    code = bytes([too_large % 128 + 128, too_large // 128 % 128 + 128, too_large // 128**2])
    yield damaged("an escape for 32768", rans, escapes[:-1] + code)


def stream_count_cases() -> Iterator[Json]:
    for total in (3, 5000, 2**20, 2**20 + 1, 2**21 - 1, 2**21, 2**21 + 3, 5 * 2**20 + 7):
        lengths, left = [], total
        while left >= 2**21:
            lengths.append(2**20)
            left -= 2**20
        yield {"name": str(total), "symbols": total, "streams": [*lengths, left]}


def wavefront_cases() -> Iterator[Json]:
    for rows, columns, reach in ((1, 1, 2), (4, 9, 2), (5, 3, 1), (3, 2, 3), (8, 8, 2)):
        places = [(row, column) for row in range(rows) for column in range(columns)]
        fronts: dict[int, list[list[int]]] = {}
        for row, column in places:
            fronts.setdefault(column + (reach + 1) * row, []).append([row, column])
        last = columns - 1 + (reach + 1) * (rows - 1)
        row, column = rows // 2, columns // 2
        square = [
            [row + down, column + right]
            for down in range(-reach, reach + 1)
            for right in range(-reach, reach + 1)
        ]
        yield {
            "name": f"{rows}x{columns}, reach {reach}",
            "rows": rows,
            "columns": columns,
            "reach": reach,
            "wavefronts": [fronts.get(front, []) for front in range(last + 1)],
            "position": [row, column],
            "neighbours": square[: square.index([row, column])],
        }
