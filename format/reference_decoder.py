#!/usr/bin/env python3
"""The second licodec decoder: one file, NumPy and the standard library, written from SPEC.md.

    python format/reference_decoder.py FILE.lic --weights PACK.safetensors [-o OUT.ppm]

A lossless file takes no weights, and Pillow for the WebP in it.

Prints the SHA-256 of the decoded samples (the bytes that the pixel checksum is taken over) and
writes them as PGM (grey), PPM (colour) or PAM (with alpha). A file or pack that breaks the
specification gives one line on stderr and exit code 3.

Read it from top to bottom; its sections follow SPEC.md: container, alpha, programs, weights
packs, entropy coding, coding schedule. It is made to be understood and to be right; the decoder
that is made to be fast is the package licodec.
"""

from __future__ import annotations

import argparse
import bisect
import hashlib
import io
import itertools
import json
import math
import re
import struct
import sys
import zlib
from collections.abc import Callable, Collection
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Json = dict[str, Any]
Stream = tuple[bytes, bytes]
Planes = np.ndarray  # int64 (channels, rows, columns)


class Fault(Exception):
    """What is wrong with the file or the pack, in one line."""


def require(condition: bool, fault: str, kind: str = "corrupt file") -> None:
    """End the decoding with one of the errors of SPEC.md unless `condition` holds."""
    if not condition:
        raise Fault(f"{kind}: {fault}")


# Container -----------------------------------------------------------------------------------

MAGIC = b"\x89LIC\r\n\x1a\n"
CRITICAL_ORDER = {b"LHDR": 0, b"PLAN": 1, b"TILE": 2, b"ALPH": 3, b"DATA": 5}
ANCILLARY_PLACE = 4
METADATA = (b"icCp", b"exIf", b"xmPp")
WIDTHS = (2, 3, 4, 5, 6, 7, 8, 16)  # of weights, by their code in PLAN

MAX_SIDE, MAX_PIXELS = 65535, 2**28
MAX_CHUNKS, MAX_METADATA, MAX_PLAN, MAX_STREAMS = 64, 2**24, 64, 2048
MAX_TILE_CHANNELS, MAX_TILE_SYMBOLS, MAX_SCALE = 2**13, 2**24, 2**24
MAX_PIECES, MAX_PIECE_SIDE, MAX_PIECE_PIXELS = 1024, 16383, 2**25


class Cursor:
    """Reads the fields of a chunk, or of what else `where` names, one after the other."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where, self.position = data, where, 0

    def take(self, count: int) -> bytes:
        self.position += count
        require(self.position <= len(self.data), f"{self.where} ends inside a field")
        return self.data[self.position - count : self.position]

    def u8(self) -> int:
        return self.take(1)[0]

    def varint(self, longest: int = 5) -> int:
        digits = [self.u8()]
        while digits[-1] >= 128 and len(digits) < longest:
            digits.append(self.u8())
        value = sum((digit & 127) << 7 * i for i, digit in enumerate(digits))
        shortest = 0 < digits[-1] < 128 or digits == [0]
        require(shortest and value < 2**32, f"{self.where} has an illegal varint")
        return value

    def finish(self) -> None:
        require(self.position == len(self.data), f"{self.where} goes on after its last field")


class Header(NamedTuple):
    width: int
    height: int
    channels: int
    has_alpha: bool
    backbone: str
    weights_id: bytes
    d_fraction_bits: int
    d: int  # in units of 2^-d_fraction_bits
    gains: dict[str, int]  # alpha and beta, in units of 1/65535
    adapter_id: bytes | None


class Tiles(NamedTuple):
    groups: list[tuple[int, int]]  # of each group the sides of its tiles, and their offset
    extremes: list[tuple[int, int]]  # of each latent channel the least and the largest scale


class Piece(NamedTuple):
    """A part of a lossless picture, and the WebP file that holds it."""

    left: int
    top: int
    width: int
    height: int
    webp: bytes


class File(NamedTuple):
    header: Header
    plan: tuple[int, ...] | None
    tiles: Tiles | None
    alpha: np.ndarray | None  # uint8 (height, width); of a lossless file in its pieces
    checksum: int
    streams: list[Stream]  # of each stream its rANS bytes and its escapes
    pieces: list[Piece]  # of a lossless file, which has no streams


def read_file(data: bytes) -> File:
    """Everything in a .lic file that can be read without its pack."""
    require(data.startswith(MAGIC), "it does not begin with the magic of .lic")
    header, chunks = None, {}
    position, place, metadata_size, count = len(MAGIC), 0, 0, 0
    while b"DATA" not in chunks:
        kind, content, intact = read_chunk(data, position)
        name, critical = kind.decode("ascii"), kind[:1].isupper()
        position += 12 + len(content)
        count += 1
        require(count <= MAX_CHUNKS, f"more than {MAX_CHUNKS} chunks", "over a limit")
        require(intact or not critical, f"chunk {name} is damaged")
        known = kind in CRITICAL_ORDER if critical else kind.upper() not in CRITICAL_ORDER
        require(known, f"unknown chunk {name}; a newer decoder may be needed")
        metadata_size += 0 if critical else len(content)
        require(metadata_size <= MAX_METADATA, "too much metadata", "over a limit")
        in_order = CRITICAL_ORDER.get(kind, ANCILLARY_PLACE) >= place
        require(in_order and (kind == b"LHDR") == (count == 1), f"chunk {name} is out of order")
        place = CRITICAL_ORDER.get(kind, ANCILLARY_PLACE)
        if critical or (intact and kind in METADATA):
            require(kind not in chunks, f"a second chunk {name}")
            chunks[kind] = content
        if header is None:
            header = read_header(content)  # at once: the picture may be over the limits
    require(position == len(data), "bytes follow the chunk DATA")
    if not header.backbone:
        lossless = not {b"PLAN", b"TILE", b"ALPH"} & set(chunks)
        require(lossless, "a lossless file has a chunk PLAN, TILE or ALPH")
        return File(header, None, None, None, *read_pieces(chunks[b"DATA"], header))
    checksum, streams = read_payload(chunks[b"DATA"], header)
    plan = read_plan(chunks[b"PLAN"]) if b"PLAN" in chunks else None
    tiles = read_tiles(chunks[b"TILE"]) if b"TILE" in chunks else None
    require(header.has_alpha == (b"ALPH" in chunks), "header and chunk ALPH disagree")
    alpha = read_alpha(chunks[b"ALPH"], header) if header.has_alpha else None
    return File(header, plan, tiles, alpha, checksum, streams, [])


def read_chunk(data: bytes, position: int) -> tuple[bytes, bytes, bool]:
    """Type and data of the chunk at `position`, and whether its CRC is right."""
    require(len(data) - position >= 12, "it is truncated")
    length, kind = struct.unpack_from(">I4s", data, position)
    require(kind.isalpha(), f"the type of a chunk is {kind.hex(' ')}")
    require(length <= len(data) - position - 12, "it is truncated")
    content = data[position + 8 : position + 8 + length]
    (crc,) = struct.unpack_from(">I", data, position + 8 + length)
    return kind, content, crc == zlib.crc32(kind + content)


def read_header(data: bytes) -> Header:
    cursor = Cursor(data, "chunk LHDR")
    require(cursor.u8() == 1, "another format version than 1; a newer decoder is needed")
    width, height = cursor.varint(), cursor.varint()
    bit_depth, channels, has_alpha = cursor.u8(), cursor.u8(), cursor.u8()
    backbone = cursor.take(cursor.u8()).decode("latin-1")
    small = max(width, height) <= MAX_SIDE and width * height <= MAX_PIXELS
    require(small, f"a picture of {width}x{height} pixels", "over a limit")
    samples = width >= 1 and height >= 1 and bit_depth == 8 and channels in (1, 3)
    require(samples and has_alpha <= 1, "illegal size or kind of samples")
    if not backbone:
        coding = cursor.u8()
        require(coding == 1, f"unknown lossless coding {coding}; a newer decoder is needed")
        cursor.finish()
        return Header(width, height, channels, has_alpha == 1, "", b"", 0, 0, {}, None)
    profile, weights_id, d_fraction_bits = cursor.u8(), cursor.take(8), cursor.u8()
    d, alpha, beta = cursor.varint(), cursor.varint(), cursor.varint()
    adapter_id = cursor.take(8) if alpha or beta else None
    cursor.finish()
    require(re.fullmatch("[a-z][a-z0-9-]{0,14}", backbone) is not None, "illegal backbone name")
    require(profile == 1, f"unknown arithmetic profile {profile}; a newer decoder is needed")
    mode = d_fraction_bits <= 15 and 1 <= d <= 65535 and max(alpha, beta) <= 65535
    require(mode, "illegal d, alpha or beta")
    return Header(width, height, channels, has_alpha == 1, backbone, weights_id,
                  d_fraction_bits, d, {"alpha": alpha, "beta": beta}, adapter_id)  # fmt: skip


def read_plan(data: bytes) -> tuple[int, ...]:
    """The width of each weighted operation, from runs."""
    require(len(data) >= 1, "chunk PLAN is empty")
    require(len(data) <= MAX_PLAN, "chunk PLAN is too long", "over a limit")
    for first, second in itertools.pairwise(data):
        require(first & 7 != second & 7 or first >> 3 == 31, "chunk PLAN: runs not merged")
    return tuple(WIDTHS[run & 7] for run in data for _ in range((run >> 3) + 1))


def read_tiles(data: bytes) -> Tiles:
    cursor = Cursor(data, "chunk TILE")
    count = cursor.varint()
    require(count >= 1, "chunk TILE: no groups")
    require(count <= MAX_STREAMS, "chunk TILE: too many groups", "over a limit")
    groups = [(cursor.varint(), cursor.varint()) for _ in range(count)]
    legal = all(offset < length <= MAX_SIDE for length, offset in groups)
    require(legal, "chunk TILE: length or offset of a tile")
    count = cursor.varint()
    require(count <= MAX_TILE_CHANNELS, "chunk TILE: too many channels", "over a limit")
    extremes = []
    for _ in range(count):
        folded, span = cursor.varint(), cursor.varint()
        least = -(folded + 1) // 2 if folded % 2 else folded // 2
        legal = least > -MAX_SCALE and least + span < MAX_SCALE
        require(legal, "chunk TILE: scales out of range")
        extremes.append((least, least + span))
    cursor.finish()
    return Tiles(groups, extremes)


def read_payload(data: bytes, header: Header) -> tuple[int, list[Stream]]:
    """The pixel checksum and the streams."""
    width, height = (-(-side // 128) * 128 for side in (header.width, header.height))
    require(len(data) <= 64 + 12 * width * height, "chunk DATA is too long", "over a limit")
    cursor = Cursor(data, "chunk DATA")
    checksum, count = int.from_bytes(cursor.take(4), "big"), cursor.varint()
    require(count >= 1, "chunk DATA has no stream")
    require(count <= MAX_STREAMS, f"{count} streams", "over a limit")
    lengths = [(cursor.varint(), cursor.varint()) for _ in range(count)]
    streams = [(cursor.take(rans), cursor.take(escapes)) for rans, escapes in lengths]
    cursor.finish()
    return checksum, streams


def read_pieces(data: bytes, header: Header) -> tuple[int, list[Stream], list[Piece]]:
    """The pixel checksum, no streams, and the pieces of a lossless file."""
    width, height = header.width, header.height
    padded = (-(-width // 128) * 128) * (-(-height // 128) * 128)
    require(len(data) <= 64 + 12 * padded, "chunk DATA is too long", "over a limit")
    cursor = Cursor(data, "chunk DATA")
    checksum = int.from_bytes(cursor.take(4), "big")
    columns, rows = cursor.varint(), cursor.varint()
    require(1 <= columns <= width and 1 <= rows <= height, f"{columns}x{rows} pieces")
    require(columns * rows <= MAX_PIECES, f"{columns * rows} pieces", "over a limit")
    lengths = [cursor.varint() for _ in range(columns * rows)]
    pieces = []
    for number, length in enumerate(lengths):
        row, column = divmod(number, columns)
        left, right = (n * width // columns for n in (column, column + 1))
        top, bottom = (n * height // rows for n in (row, row + 1))
        piece = Piece(left, top, right - left, bottom - top, cursor.take(length))
        check_webp(piece, header)
        pieces.append(piece)
    cursor.finish()
    return checksum, [], pieces


def check_webp(piece: Piece, header: Header) -> None:
    """Refuse all but one lossless WebP picture of the piece's size, before anything is decoded."""
    data, sides = piece.webp, (piece.width, piece.height)
    small = max(sides) <= MAX_PIECE_SIDE and piece.width * piece.height <= MAX_PIECE_PIXELS
    require(small, "a piece is too large")
    require(len(data) >= 25, "a piece is shorter than any WebP file")
    riff, size, webp, chunk, length, signature, bits = struct.unpack_from("<4sI4s4sIBI", data)
    require(riff + webp + chunk == b"RIFFWEBPVP8L", "a piece is no plain lossless WebP file")
    whole = size == len(data) - 8 and length + length % 2 == len(data) - 20
    require(whole, "a piece is cut short or has bytes after its picture")
    require(signature == 0x2F and bits >> 29 == 0, "a piece is of another version of WebP")
    stated = (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    require(stated == sides, "a piece states another size than its own")
    require(header.has_alpha or not bits >> 28 & 1, "a piece has alpha, and the header has none")


# Alpha ---------------------------------------------------------------------------------------


def read_alpha(data: bytes, header: Header) -> np.ndarray:
    """The samples, uint8 (height, width), of a PNG that is nothing but 8-bit grey."""
    height, width = header.height, header.width
    require(len(data) <= 1024 + 2 * width * height, "chunk ALPH is too long", "over a limit")
    require(data.startswith(b"\x89PNG\r\n\x1a\n"), "the alpha plane is no PNG")
    inflater, lines, size = zlib.decompressobj(), b"", height * (width + 1)
    position, expected = 8, [b"IHDR"]
    while expected:
        kind, content, intact = read_chunk(data, position)
        position += 12 + len(content)
        require(intact and kind in expected, "the alpha plane has a wrong or damaged chunk")
        if kind == b"IHDR":
            stated = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
            require(content == stated, "the alpha plane is not 8-bit grey of the picture's size")
        elif kind == b"IDAT":
            try:
                lines += inflater.decompress(content, size + 1 - len(lines))
            except zlib.error:
                raise Fault("corrupt file: the alpha plane is damaged") from None
        else:
            require(not content, "the alpha plane has data in its end chunk")
        expected = {b"IHDR": [b"IDAT"], b"IDAT": [b"IDAT", b"IEND"], b"IEND": []}[kind]
        require(len(lines) <= size, "the alpha plane has too many samples")
    whole = inflater.eof and len(lines) == size
    require(whole and not inflater.unused_data, "the alpha plane has a wrong number of samples")
    require(position == len(data), "bytes follow the alpha plane")
    return undo_png_filters(np.frombuffer(lines, np.uint8).reshape(height, width + 1))


def undo_png_filters(lines: np.ndarray) -> np.ndarray:
    """Each line is the number of its filter, then the samples less a prediction."""
    plane = np.zeros((len(lines) + 1, lines.shape[1] - 1), np.uint8)  # one line of zeros above
    for row, line in enumerate(lines, 1):
        kind, coded, above = int(line[0]), line[1:], plane[row - 1]
        require(kind <= 4, "the alpha plane has an unknown filter")
        if kind < 3:  # nothing, left, above
            plane[row] = (coded, np.cumsum(coded, dtype=np.uint8), coded + above)[kind]
            continue
        left = upper_left = 0
        for column, (sample, up) in enumerate(zip(coded.tolist(), above.tolist(), strict=True)):
            guess = left + up - upper_left
            paeth = min((left, up, upper_left), key=lambda n, guess=guess: abs(guess - n))
            left = (sample + ((left + up) // 2 if kind == 3 else paeth)) % 256
            plane[row, column], upper_left = left, up
    return plane[1:]


# Programs ------------------------------------------------------------------------------------
#
# One function for each kind of operation. It takes the operation's tensors t, its attributes a,
# and what is known of its operands; it refuses what is not legal, and returns what its result can
# be and the function that computes it. Sums are binary64 matrix products: exact, because every
# one of them is proved to be below 2^53.

Tensors = dict[str, np.ndarray]
Attributes = dict[str, int]
VALUE_LIMIT, SUM_LIMIT, DIVIDEND_LIMIT, ROOT_LIMIT = 2**24, 2**53, 2**52, 2**24
MAX_OPERATIONS, MAX_CHANNELS, MAX_KERNEL, MAX_FACTOR, MAX_TABLE = 2**12, 2**13, 32, 64, 2**16
MAX_WINDOW = 16
MAX_EXPANSION, MAX_ALIVE = 2**15, 2**17  # numbers for each position of a program's inputs


class Value(NamedTuple):
    """What is known of a value before anything is computed; rate: rows per row of the inputs."""

    channels: int
    low: int
    high: int
    rate: Fraction = Fraction(1)
    is_sum: bool = False
    is_number: bool = False

    @property
    def largest(self) -> int:
        return max(-self.low, self.high)


Run = Callable[..., Planes]


def require_narrow(x: Value, kind: str) -> None:
    narrow = x.low >= -(2**15) and x.high < 2**16 and x.high - x.low < 2**16
    require(narrow, f"{kind}: operand of more than 16 bits")


def conv2d(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    weight, bias = t["weight"], t["bias"].astype(np.int64)
    stride, padding, groups = a["stride"], a["padding"], a["groups"]
    require(weight.ndim == 4 and weight.dtype in (np.int8, np.int16), "conv2d: type of weight")
    outputs, inputs, kernel, columns = weight.shape
    shaped = outputs >= 1 and 1 <= kernel == columns <= MAX_KERNEL and bias.shape == (outputs,)
    require(shaped and t["bias"].dtype == np.int32, "conv2d: weight or bias")
    grouped = groups >= 1 and outputs % groups == 0 and inputs * groups == x.channels
    whole = stride >= 1 and padding >= 0 and kernel - stride <= 2 * padding < kernel
    require(grouped and whole, "conv2d: stride, padding, groups or channels")
    require_narrow(x, "conv2d")
    magnitudes = np.abs(weight.astype(np.int64)).reshape(outputs, -1).sum(1)
    bound = int((np.abs(bias) + magnitudes * max(-x.low, x.high)).max())

    def run(x: Planes) -> Planes:
        rows, columns = x.shape[1] // stride, x.shape[2] // stride
        padded = np.pad(x.astype(np.float64), ((0, 0), (padding, padding), (padding, padding)))
        results = []
        for w, planes in zip(np.split(weight, groups), np.split(padded, groups), strict=True):
            total = np.zeros((len(w), rows * columns))
            for i, j in itertools.product(range(kernel), repeat=2):
                tap = planes[:, i : i + stride * rows : stride, j : j + stride * columns : stride]
                total += w[:, :, i, j].astype(np.float64) @ tap.reshape(len(tap), -1)
            results.append(total.reshape(len(w), rows, columns))
        return np.concatenate(results).astype(np.int64) + bias[:, None, None]

    return Value(outputs, -bound, bound, x.rate / stride, is_sum=True), run


def requantize(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    for m in t.values():
        shaped = m.shape in ((1,), (x.channels,)) and m.dtype == np.float32
        legal = shaped and np.all((m >= 0) & (m < VALUE_LIMIT))  # which a NaN is not either
        require(bool(legal), "requantize: multiplier")
    positive = t["multiplier"][:, None, None]
    negative = t.get("negative_multiplier", t["multiplier"])[:, None, None]

    def run(x: Planes) -> Planes:
        product = x.astype(np.float32) * np.where(x < 0, negative, positive)  # binary32, both
        return np.clip(np.rint(product), a["low"], a["high"]).astype(np.int64)

    return Value(x.channels, a["low"], a["high"], x.rate), run


def add(t: Tensors, a: Attributes, x: Value, z: Value) -> tuple[Value, Run]:
    require(x.channels == z.channels and x.rate == z.rate, "add: operands of different shapes")
    value = Value(x.channels, a["low"], a["high"], x.rate)
    return value, lambda x, z: np.clip(x + z, a["low"], a["high"])


def product(kind: str) -> Callable[..., tuple[Value, Run]]:
    """mul, of two values, and scale, of a value and a number."""

    def bind(t: Tensors, a: Attributes, x: Value, z: Value) -> tuple[Value, Run]:
        alike = z.is_number or (x.channels == z.channels and x.rate == z.rate)
        require(alike, f"{kind}: operands of different shapes")
        ends = [i * j for i in (x.low, x.high) for j in (z.low, z.high)]
        return Value(x.channels, min(ends), max(ends), x.rate, is_sum=True), lambda x, z: x * z

    return bind


def clamp(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    value = Value(x.channels, a["low"], a["high"], x.rate)
    return value, lambda x: np.clip(x, a["low"], a["high"])


def table(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    entries = t["table"].astype(np.int64)
    shaped = entries.ndim == 1 and t["table"].dtype == np.int32 and 1 <= len(entries) <= MAX_TABLE
    require(shaped and abs(a["low"]) < VALUE_LIMIT, "table: shape, type or low")
    value = Value(x.channels, int(entries.min()), int(entries.max()), x.rate)
    return value, lambda x: entries[np.clip(x - a["low"], 0, len(entries) - 1)]


def divide_rne(a: np.ndarray | int, b: np.ndarray | int) -> Any:
    """rne(a / b), b > 0."""
    quotient, rest = a // b, a % b
    return quotient + ((2 * rest > b) | ((2 * rest == b) & (quotient % 2 == 1)))


def exact_root(v: np.ndarray) -> np.ndarray:
    """The largest integers whose squares are not above v, 0 <= v < 2^52."""
    root = np.sqrt(v.astype(np.float64)).astype(np.int64)
    root -= root * root > v
    return root + ((root + 1) ** 2 <= v)


def normalization(t: Tensors, a: Attributes, x: Value, kind: str) -> tuple[int, Run]:
    """What gdn and igdn share: the largest root, and the function that computes the roots."""
    weight, bias = t["weight"], t["bias"].astype(np.int64)
    shaped = weight.shape == (x.channels, x.channels) and bias.shape == (x.channels,)
    typed = weight.dtype in (np.int8, np.int16) and t["bias"].dtype == np.int32
    require(shaped and typed and weight.min() >= 0 <= bias.min(), f"{kind}: weight or bias")
    require_narrow(x, kind)
    bits = [a[key] for key in ("bias_bits", "root_bits", "fraction_bits") if key in a]
    require(all(0 <= n < 32 for n in bits), f"{kind}: bits")
    constant, k = bias << a["bias_bits"], a["root_bits"]
    most = int((constant + weight.sum(1, dtype=np.int64) * x.largest**2).max())
    require(most << 2 * k < ROOT_LIMIT**2, f"{kind}: a root that may reach {ROOT_LIMIT}")

    def roots(x: Planes) -> Planes:
        squares = (x * x).reshape(len(x), -1).astype(np.float64)
        sums = (weight.astype(np.float64) @ squares).astype(np.int64).reshape(x.shape)
        return exact_root((sums + constant[:, None, None]) << 2 * k)

    return int(exact_root(np.array(most << 2 * k))), roots


def igdn(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    most, roots = normalization(t, a, x, "igdn")
    bound = x.largest * most
    return Value(x.channels, -bound, bound, x.rate, is_sum=True), lambda x: x * roots(x)


def gdn(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    _, roots = normalization(t, a, x, "gdn")
    shift = a["root_bits"] + a["fraction_bits"]
    require(x.largest << shift < DIVIDEND_LIMIT, "gdn: dividend")

    def run(x: Planes) -> Planes:
        return np.clip(divide_rne(x << shift, np.maximum(roots(x), 1)), a["low"], a["high"])

    return Value(x.channels, a["low"], a["high"], x.rate), run


def layernorm(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    gain, bias, k, f = t["gain"], t["bias"].astype(np.int64), a["root_bits"], a["fraction_bits"]
    shaped = gain.shape == bias.shape == (x.channels,)
    require(shaped and gain.dtype == np.float32 and t["bias"].dtype == np.int32, "layernorm: types")
    legal = np.all(np.abs(gain) < VALUE_LIMIT) and np.all(np.abs(bias) < VALUE_LIMIT)
    require(bool(legal), "layernorm: gain or bias")
    require(0 <= k < 32 and 0 <= f < 32 and a["epsilon"] >= 0, "layernorm: bits or epsilon")
    require((x.channels * x.largest) ** 2 < SUM_LIMIT, "layernorm: sum of squares")
    span, others = x.high - x.low, x.channels - 1
    radicand = ((x.channels * span) ** 2 // 4 + a["epsilon"]) << 2 * k
    require(max(radicand, others * span << k + f) < DIVIDEND_LIMIT, "layernorm: root or dividend")
    require(others << 2 * f + 2 < 2**46, "layernorm: fraction bits")

    def run(x: Planes) -> Planes:
        total = x.sum(0)
        deviations = len(x) * x - total
        variance = len(x) * (x * x).sum(0) - total * total + a["epsilon"]
        normal = divide_rne(deviations << k + f, np.maximum(exact_root(variance << 2 * k), 1))
        product = np.rint(normal.astype(np.float32) * gain[:, None, None]).astype(np.int64)
        return np.clip(product + bias[:, None, None], a["low"], a["high"])

    return Value(x.channels, a["low"], a["high"], x.rate), run


def window_attention(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    multiplier, bias, table = t["multiplier"], t["bias"], t["table"].astype(np.int64)
    heads, w, shift = a["heads"], a["window"], a["shift"]
    shaped = heads >= 1 and x.channels % (3 * heads) == 0
    require(shaped and 0 <= shift < w <= MAX_WINDOW, "window_attention: window, shift or heads")
    require_narrow(x, "window_attention")
    depth = x.channels // (3 * heads)
    legal = multiplier.shape in ((1,), (heads,)) and multiplier.dtype == np.float32
    legal = legal and bool(np.all((multiplier >= 0) & (multiplier < VALUE_LIMIT)))
    require(legal, "window_attention: multiplier")
    score = Fraction(float(multiplier.max())) * depth * x.largest**2
    legal = bias.shape == (heads, 2 * w - 1, 2 * w - 1) and bias.dtype == np.int32
    legal = legal and bool(np.all((bias > -(2**21)) & (bias < 2**21)))
    require(legal and score <= 2**21, "window_attention: bias, or scores too large")
    legal = table.ndim == 1 and t["table"].dtype == np.int32 and 1 <= len(table) <= MAX_TABLE
    require(legal and table[0] >= 1 and table.min() >= 0, "window_attention: table")
    require(w**2 * int(table.max()) * x.largest < DIVIDEND_LIMIT, "window_attention: dividend")
    factor = np.broadcast_to(multiplier, heads)[:, None, None]

    def attend(block: Planes) -> Planes:
        """What is inside of one window, all of whose positions see one another."""
        _, rows, columns = block.shape
        q, k, v = block.reshape(3, heads, depth, rows * columns).astype(np.float64)
        row, column = (place.ravel() for place in np.indices((rows, columns)))
        near = bias[:, row[:, None] - row + w - 1, column[:, None] - column + w - 1]
        products = q.transpose(0, 2, 1) @ k  # (heads, queries, keys)
        scores = np.rint(products.astype(np.float32) * factor).astype(np.int64) + near
        below = scores.max(2, keepdims=True) - scores
        weights = np.where(below < len(table), table[np.minimum(below, len(table) - 1)], 0)
        totals = (v @ weights.transpose(0, 2, 1).astype(np.float64)).astype(np.int64)
        return divide_rne(totals, weights.sum(2)[:, None]).reshape(-1, rows, columns)

    def run(x: Planes) -> Planes:
        _, rows, columns = x.shape
        result = np.empty((heads * depth, rows, columns), np.int64)
        for top, left in itertools.product(range(shift - w, rows, w), range(shift - w, columns, w)):
            window = (slice(None), slice(max(top, 0), max(top + w, 0)),
                      slice(max(left, 0), max(left + w, 0)))  # fmt: skip
            if x[window].size:
                result[window] = attend(x[window])
        return result

    return Value(heads * depth, x.low, x.high, x.rate), run


def concat(t: Tensors, a: Attributes, *xs: Value) -> tuple[Value, Run]:
    require(len({x.rate for x in xs}) == 1, "concat: operands of different rates")
    low, high = min(x.low for x in xs), max(x.high for x in xs)
    value = Value(sum(x.channels for x in xs), low, high, xs[0].rate)
    return value, lambda *xs: np.concatenate(xs)


def split(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    start, stop = a["start"], a["stop"]
    require(0 <= start < stop <= x.channels, "split: start or stop")
    return x._replace(channels=stop - start), lambda x: x[start:stop]


def pixel_shuffle(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    f = a["factor"]
    require(1 <= f <= MAX_FACTOR and x.channels % f**2 == 0, "pixel_shuffle: factor")
    channels = x.channels // f**2

    def run(x: Planes) -> Planes:
        _, rows, columns = x.shape
        split = x.reshape(channels, f, f, rows, columns)  # channel, a, b, row, column
        return split.transpose(0, 3, 1, 4, 2).reshape(channels, rows * f, columns * f)

    return Value(channels, x.low, x.high, x.rate * f), run


def pixel_unshuffle(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    f, channels = a["factor"], x.channels
    require(1 <= f <= MAX_FACTOR, "pixel_unshuffle: factor")

    def run(x: Planes) -> Planes:
        rows, columns = x.shape[1] // f, x.shape[2] // f
        split = x.reshape(channels, rows, f, columns, f)  # channel, row, a, column, b
        return split.transpose(0, 2, 4, 1, 3).reshape(channels * f**2, rows, columns)

    return Value(channels * f**2, x.low, x.high, x.rate / f), run


def phase(t: Tensors, a: Attributes, x: Value) -> tuple[Value, Run]:
    f, row, column = a["factor"], a["row"], a["column"]
    require(2 <= f <= MAX_FACTOR and 0 <= row < f and 0 <= column < f, "phase: factor or place")
    return x._replace(rate=x.rate / f), lambda x: x[:, row::f, column::f]


class Kind(NamedTuple):
    """One kind of operation; attributes have their default, or None where they have none."""

    operands: int | None  # None: one or more
    bind: Callable[..., tuple[Value, Run]]
    attributes: dict[str, int | None]
    tensors: tuple[str, ...] = ()
    optional_tensors: tuple[str, ...] = ()


RANGE = {"low": None, "high": None}
CONVOLUTION = {"stride": 1, "padding": 0, "groups": 1}
NORMALIZATION = {"bias_bits": 0, "root_bits": 0}
ATTENTION = {"heads": None, "window": None, "shift": 0}
LAYERNORM = {"epsilon": 0, "root_bits": 0, "fraction_bits": 0}
KINDS = {
    "conv2d": Kind(1, conv2d, CONVOLUTION, ("weight", "bias")),
    "requantize": Kind(1, requantize, RANGE, ("multiplier",), ("negative_multiplier",)),
    "add": Kind(2, add, RANGE),
    "mul": Kind(2, product("mul"), {}),
    "scale": Kind(2, product("scale"), {}),
    "clamp": Kind(1, clamp, RANGE),
    "table": Kind(1, table, {"low": None}, ("table",)),
    "igdn": Kind(1, igdn, NORMALIZATION, ("weight", "bias")),
    "gdn": Kind(1, gdn, NORMALIZATION | {"fraction_bits": 0} | RANGE, ("weight", "bias")),
    "layernorm": Kind(1, layernorm, LAYERNORM | RANGE, ("gain", "bias")),
    "window_attention": Kind(1, window_attention, ATTENTION, ("multiplier", "bias", "table")),
    "concat": Kind(None, concat, {}),
    "split": Kind(1, split, {"start": None, "stop": None}),
    "pixel_shuffle": Kind(1, pixel_shuffle, {"factor": None}),
    "pixel_unshuffle": Kind(1, pixel_unshuffle, {"factor": None}),
    "phase": Kind(1, phase, {"factor": None, "row": 0, "column": 0}),
}
WEIGHTED = ("conv2d", "gdn", "igdn")

Ends = tuple[np.ndarray, np.ndarray]  # of a condition: its tensors at beta 0 and 65535
Conditions = dict[str, Ends]  # by the name of what is conditioned
STEP_CONDITIONS = ("steps", "hyper_steps")
MULTIPLIERS = ("multiplier", "negative_multiplier")
CONDITION_BOUNDS = {("conv2d", "bias"): (-(2**30), 2**30),
                    **dict.fromkeys((("requantize", role) for role in MULTIPLIERS),
                                    (0, 2**24 - 1))}  # fmt: skip


def check_fields(entry: Json, what: str, needed: dict[str, type],
                 optional: dict[str, type] | None = None) -> None:  # fmt: skip
    """The keys of a JSON object are these, and their values of these types; strings are names."""
    require(isinstance(entry, dict) and set(needed) <= set(entry), f"{what}: a field is missing")
    for key, value in entry.items():
        kind = (needed | (optional or {})).get(key)
        require(kind is not None, f"{what}: unknown field {key}; a newer decoder is needed")
        legal = type(value) is kind
        if legal and kind is str:
            legal = value != "" and value.isascii() and value.isprintable()
        require(legal, f"{what}: malformed {key}")


def check_operation(operation: Json) -> None:
    """The JSON form of one operation."""
    name = operation.get("kind")
    require(name in KINDS, f"unknown operation {name}; a newer decoder is needed")
    kind = KINDS[name]
    defaults = {key for key, default in kind.attributes.items() if default is not None}
    needed = {"kind": str, "inputs": list, "output": str, **dict.fromkeys(kind.tensors, str),
              **dict.fromkeys(set(kind.attributes) - defaults, int)}  # fmt: skip
    optional = dict.fromkeys(kind.optional_tensors, str) | dict.fromkeys(defaults, int)
    check_fields(operation, name, needed, optional)
    count = len(operation["inputs"])
    require(count >= 1 and kind.operands in (None, count), f"{name}: number of operands")


def largest_constant(place: tuple[str, str], ends: Ends, stored: np.ndarray | None,
                     channels: int) -> np.ndarray:  # fmt: skip
    """What a constant with conditions counts as in proofs: `place` is the kind of operation and
    the role of the tensor there, `channels` are the operand's."""
    fault = f"conditions of a {place[1]} of {place[0]}"
    require(place in CONDITION_BOUNDS and (stored is None) == (place[1] == "bias"), fault)
    low, high = CONDITION_BOUNDS[place]
    rows = np.concatenate(ends)
    require(bool(np.all((low <= rows) & (rows <= high))), fault)
    if stored is None:
        return np.abs(rows).max(0)
    fit = stored.dtype == np.float32 and stored.shape == rows.shape[1:] == (channels,)
    require(fit, fault)
    with np.errstate(over="ignore", invalid="ignore"):  # which is refused then
        return stored * rows.max(0).astype(np.float32)


class Program:
    """A program that has been checked and can be run.

    It is checked for all that `conditions` let its constants be, and can be run where there are
    none.

    values        what is known of each value, by its name
    tensor_names  the tensors that it uses, and weight_names those of weighted operations
    canonical     its JSON form without the attributes that have their default
    """

    def __init__(
        self, program: Json, tensors: Tensors, conditions: Conditions | None = None
    ) -> None:
        check_fields(program, "program", {"inputs": list, "operations": list, "outputs": list})
        require(len(program["operations"]) <= MAX_OPERATIONS, "too many operations")
        self.values: dict[str, Value] = {}
        self.steps: list[tuple[Run, list[str], str]] = []
        self.tensor_names: list[str] = []
        self.weight_names: list[str] = []
        self.canonical = program | {"operations": []}
        for port in program["inputs"]:
            stated = {"name": str, "low": int, "high": int}
            check_fields(port, "input", stated, {"channels": int})
            number = "channels" not in port
            value = Value(port.get("channels", 1), port["low"], port["high"], is_number=number)
            self.note(port["name"], value)
        self.inputs, self.outputs = list(self.values), program["outputs"]
        self.sums_read: set[str] = set()
        self.pointwise = True
        for operation in program["operations"]:
            check_operation(operation)
            self.add(operation, KINDS[operation["kind"]], tensors, conditions or {})
        for name in self.outputs:
            value = self.values.get(name)
            legal = value is not None and not value.is_sum and not value.is_number
            require(legal, f"{name} cannot be an output")
        self.check_memory()

    def add(self, operation: Json, kind: Kind, tensors: Tensors, conditions: Conditions) -> None:
        inputs, output = operation["inputs"], operation["output"]
        for i, name in enumerate(inputs):
            require(name in self.values, f"{name} is read before it is made")
            takes_number = operation["kind"] == "scale" and i == 1
            fit = self.values[name].is_number == takes_number
            require(fit, f"{operation['kind']}: operand {name} is a number or is none")
            if self.values[name].is_sum:
                once = operation["kind"] == "requantize" and name not in self.sums_read
                require(once, f"the sum {name} is not read by one requantize alone")
                self.sums_read.add(name)
        roles = [r for r in kind.tensors + kind.optional_tensors if r in operation]
        own = {}
        for role in roles:
            name = operation[role]
            own[role] = tensors.get(name)
            if name in conditions:
                channels = self.values[inputs[0]].channels
                require(name not in STEP_CONDITIONS, f"an operation names {name}")
                place = (operation["kind"], role)
                own[role] = largest_constant(place, conditions[name], own[role], channels)
            require(own[role] is not None, f"{operation['kind']}: a tensor is missing")
        attributes = {key: operation.get(key, n) for key, n in kind.attributes.items()}
        value, run = kind.bind(own, attributes, *(self.values[name] for name in inputs))
        self.note(output, value)
        wide = operation["kind"] == "conv2d" and own["weight"].shape[2] > 1
        self.pointwise &= not wide and operation["kind"] != "window_attention"
        self.steps.append((run, inputs, output))
        self.tensor_names += [operation[role] for role in roles]
        self.weight_names += [operation["weight"]] if operation["kind"] in WEIGHTED else []
        stated = {k: v for k, v in operation.items() if kind.attributes.get(k) != v}
        self.canonical["operations"].append(stated)

    @property
    def planes(self) -> list[str]:
        """The names of the inputs that are planes."""
        return [name for name in self.inputs if not self.values[name].is_number]

    @property
    def gains(self) -> list[str]:
        """The names of the inputs that are numbers."""
        return [name for name in self.inputs if self.values[name].is_number]

    def is_pointwise(self) -> bool:
        """Whether each position of the results depends on that of the inputs alone."""
        return self.pointwise and all(value.rate == 1 for value in self.values.values())

    def note(self, name: str, value: Value) -> None:
        require(name not in self.values, f"{name} is made twice")
        require(1 <= value.channels <= MAX_CHANNELS, f"{name} has {value.channels} channels")
        require(value.low <= value.high, f"{name} has an empty range")
        limit = SUM_LIMIT if value.is_sum else VALUE_LIMIT
        require(max(-value.low, value.high) < limit, f"{name} is not proved to be below {limit}")
        self.values[name] = value

    def needless_after(self) -> list[set[str]]:
        """For each step the values that nothing needs when it is done."""
        steps = [{*names, output} for _, names, output in self.steps]
        last = {name: i for i, names in enumerate(steps) for name in names}
        return [
            {name for name in names if last[name] == i} - set(self.outputs)
            for i, names in enumerate(steps)
        ]

    def check_memory(self) -> None:
        """Values are limited, one by one and together, in numbers a position of the inputs."""
        sizes = {
            name: 0 if value.is_number else value.channels * value.rate**2
            for name, value in self.values.items()
        }
        require(max(sizes.values(), default=0) <= MAX_EXPANSION, "a value is too large")
        live = most = sum(sizes[name] for name in self.inputs)
        for (_, _, output), needless in zip(self.steps, self.needless_after(), strict=True):
            live += sizes[output]
            most = max(most, live)
            live -= sum(sizes[name] for name in needless)
        require(most <= MAX_ALIVE, "too many values at a time")

    def __call__(self, **inputs: Planes) -> list[Planes]:
        """The outputs in order."""
        live = {name: inputs[name].astype(np.int64) for name in self.inputs}
        for (run, names, output), needless in zip(self.steps, self.needless_after(), strict=True):
            live[output] = run(*(live[name] for name in names))
            for name in needless:
                del live[name]
        return [live[name] for name in self.outputs]


# Weights packs -------------------------------------------------------------------------------

STORED_TYPES = {"I8": "<i1", "I16": "<i2", "I32": "<i4", "F32": "<f4", "U8": "<u1"}


class Tables(NamedTuple):
    """Table i codes the integers offsets[i], offsets[i] + 1, ..., and last the escape."""

    frequencies: list[np.ndarray]
    offsets: list[int]


class AdapterSet(NamedTuple):
    """An adapter set with what it leaves to its pack."""

    programs: dict[str, Program]  # stand-ins in their places
    conditions: Conditions
    gains: set[str]
    step_shares: list[list[int]]  # from beta 0 to 65535


class Pack(NamedTuple):
    backbone: str
    plan: tuple[int, ...]
    weights_id: bytes
    schedule: Json
    programs: dict[str, Program]  # those that the schedule names
    tensors: Tensors
    conditions: Conditions  # of what these programs use, and of steps
    hyper: Tables
    latent: Tables
    medians: np.ndarray
    thresholds: np.ndarray
    adapters: dict[bytes, AdapterSet]  # by id
    step_shares: list[int]  # of the adapter set in force; empty: steps are AQVR's or by channel
    steps: np.ndarray | None = None  # by channel, at the picture's d; None where there are no knots
    hyper_steps: np.ndarray | int = 1


def read_safetensors(data: bytes) -> tuple[Json, Tensors]:
    """The metadata and the tensors of a safetensors file."""
    size = int.from_bytes(data[:8], "little")
    require(size <= len(data) - 8, "the pack is truncated")
    head, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    metadata, tensors = head.pop("__metadata__", {}), {}
    for name, form in head.items():
        (begin, end), kind = form["data_offsets"], np.dtype(STORED_TYPES[form["dtype"]])
        require(0 <= begin <= end <= len(body), f"the pack's tensor {name} is truncated")
        stored = np.frombuffer(body[begin:end], kind).reshape(form["shape"])
        tensors[name] = stored.astype(kind.newbyteorder("="), copy=False)  # of this machine
        require(list(tensors[name].shape) == form["shape"], f"shape of the pack's tensor {name}")
    return metadata, tensors


def unpack_bits(data: np.ndarray, width: int, shape: list[int]) -> np.ndarray:
    """int8 from integers of `width` bits without gaps, each stored as v + 2^(width - 1)."""
    count = int(np.prod(shape))
    require(data.dtype == np.uint8 and data.shape == (-(-count * width // 8),), "packed weights")
    bits = np.unpackbits(data)[: count * width].reshape(count, width).astype(np.int64)
    unsigned = bits @ (1 << np.arange(width)[::-1])
    return (unsigned - (1 << (width - 1))).astype(np.int8).reshape(shape)


def read_pack(data: bytes) -> Pack:
    """A weights pack, with everything checked that a decoder must check."""
    try:
        metadata, tensors = read_safetensors(data)
        description = json.loads(metadata["licodec"])
        known = description["format"] == 1 and description["profile"] == "int-1"
        require(known, "the pack is of another format or profile; a newer decoder is needed")
        widths = {}
        for name in tensors.keys() - description["weights"].keys():
            if tensors[name].dtype == np.int16:
                tensors[name] = tensors[name].astype(np.int32)
        for name, form in description["weights"].items():
            width, shape = form["width"], form["shape"]
            require(type(width) is int and width in WIDTHS, f"weight {name} of {width} bits")
            if width < 8:
                tensors[name] = unpack_bits(tensors[name], width, shape)
            whole = tensors[name].dtype == (np.int16 if width == 16 else np.int8)
            require(whole and list(tensors[name].shape) == shape, f"weight {name}: type or shape")
            widths[name] = width
        schedule, programs = description["schedule"], description["programs"]
        pack = assemble_pack(description["backbone"], schedule, programs, tensors, widths)
        stated = description.get("adapters", [])
        sets = [adapter_set(pack, own, programs, widths) for own in stated]
        for own, (identity, _) in zip(stated, sets, strict=True):
            require(identity.hex() == own["id"], "an adapter id of the pack is not its own")
        for key in ("id", "objective"):
            require(len({own[key] for own in stated}) == len(stated), f"two sets of one {key}")
        pack = pack._replace(adapters=dict(sets))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Fault(f"corrupt file: the pack is malformed ({error!r})") from None
    require(pack.weights_id.hex() == description["weights_id"], "the pack's id is not its own")
    return pack


def assemble_pack(backbone: str, schedule: Json, programs: dict[str, Json], tensors: Tensors,
                  widths: dict[str, int]) -> Pack:  # fmt: skip
    """Check that all parts of a pack fit together, and compute its plan and its id."""
    check_schedule(schedule)
    conditions = read_conditions(tensors, schedule)
    programs = {name: Program(programs[name], tensors, conditions)
                for name in program_order(schedule)}  # fmt: skip
    weights = [name for program in programs.values() for name in program.weight_names]
    require(set(weights) <= set(widths), "a weight has no stated width")
    plan = tuple(widths[name] for name in weights)
    hyper, latent = read_tables(tensors, "hyper"), read_tables(tensors, "latent")
    medians = vector(tensors, "tables.hyper.medians")
    thresholds = vector(tensors, "tables.latent.thresholds")
    matched = len(medians) * (1 + len(hyper_bands(schedule))) == len(hyper.offsets)
    require(bool(matched and np.all(np.abs(medians) < 2**15)), "medians, or tables by band")
    matched = len(thresholds) == len(latent.offsets) - 1 and np.all(thresholds < 2**24)
    require(bool(matched and np.all(np.diff(thresholds, prepend=0) > 0)), "thresholds")
    check_interfaces(schedule, programs, len(medians))
    conditions = used_conditions(conditions, programs)
    check_step_conditions(conditions, schedule, len(medians))

    default = {"features": ["features"], "hyper_bands": [],
               "d_fraction_bits": schedule["latent_fraction_bits"]}  # fmt: skip
    head = {
        "backbone": backbone,
        "profile": "int-1",
        "plan": list(plan),
        "schedule": {k: v for k, v in schedule.items() if default.get(k) != v},
        "programs": {name: program.canonical for name, program in programs.items()},
    }
    used = {name for name in tensors if name.startswith("tables.")}
    used.update(f"conditions.{name}" for name in STEP_CONDITIONS if name in conditions)
    used.update(stored_names(programs, tensors))
    return Pack(backbone, plan, identifier(head, used, tensors), schedule, programs, tensors,
                conditions, hyper, latent, medians, thresholds, {}, [])  # fmt: skip


def read_conditions(tensors: Tensors, schedule: Json) -> Conditions:
    """All conditions of a pack, which beta does not change."""
    prefix, knots = "conditions.", schedule.get("knots", [])
    found = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    for name, t in found.items():
        formed = t.dtype == np.int32 and t.ndim == 2 and len(t) == len(knots)
        require(formed, f"tensor conditions.{name}")
    return {name: (t, t) for name, t in found.items()}


def used_conditions(conditions: Conditions, programs: dict[str, Program]) -> Conditions:
    """Those of the tensors that `programs` name, and those of steps."""
    used = {name for program in programs.values() for name in program.tensor_names}
    used.update(STEP_CONDITIONS)
    return {name: ends for name, ends in conditions.items() if name in used}


def check_step_conditions(conditions: Conditions, schedule: Json, hyper_channels: int) -> None:
    channels = {"steps": latent_channels(schedule), "hyper_steps": hyper_channels}
    for name in STEP_CONDITIONS if "knots" in schedule else ():
        require(name in conditions, f"no tensor conditions.{name}")
        rows = np.concatenate(conditions[name])
        legal = rows.shape[1] == channels[name] and rows.min() >= 1 and rows.max() <= 2**15
        require(bool(legal), f"conditions of {name}: channels or range")


def stored_names(programs: dict[str, Program], tensors: Tensors) -> set[str]:
    """The tensors of a pack that operations name, and their conditions."""
    names = {name for program in programs.values() for name in program.tensor_names}
    return tensors.keys() & (names | {f"conditions.{name}" for name in names})


ADAPTER_SET = {"id": str, "objective": str, "programs": dict, "d": int}
STEP_SHARES = {"step_shares": list, "beta_step_shares": list}  # in the order of beta
SHARE_ONE = 65535


def adapter_set(pack: Pack, description: Json, programs: dict[str, Json],
                widths: dict[str, int]) -> tuple[bytes, AdapterSet]:  # fmt: skip
    """The id of an adapter set, and what decodes with it."""
    check_fields(description, "adapters", ADAPTER_SET, STEP_SHARES | {"conditions": dict})
    schedule, tensors = pack.schedule, pack.tensors
    stated = {key: description[key] for key in STEP_SHARES if key in description}
    for shares in stated.values():
        legal = all(type(share) is int and 0 <= share <= SHARE_ONE for share in shares)
        sliced = len(shares) == len(schedule["steps"])
        even = "reach" not in schedule["steps"][0] and "knots" not in schedule
        require(legal and sliced and even, "step shares")
    objective = re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", description["objective"])
    in_range = schedule["d_low"] <= description["d"] <= schedule["d_high"]
    require(objective is not None and in_range, "the objective or the d of an adapter set")

    conditions, others = read_conditions(tensors, schedule), description.get("conditions", {})
    require("conditions" not in description or len(others) > 0, "an adapter set's conditions")
    for name, other in others.items():
        known = name in conditions and other in tensors
        require(known, f"an adapter set's conditions of {name}")
        (first, _), second = conditions[name], tensors[other]
        require(second.dtype == np.int32 and second.shape == first.shape, f"tensor {other}")
        conditions[name] = (first, second)
    own = {
        plain: Program(programs[description["programs"][plain]], tensors, conditions)
        for plain in program_order(schedule)
        if plain in description["programs"]
    }
    whole = pack.programs
    if others:  # which let the constants of the pack's own programs be more
        whole = {plain: Program(program.canonical, tensors, conditions)
                 for plain, program in whole.items()}  # fmt: skip
    whole = whole | own
    check_interfaces(schedule, whole, len(pack.medians), stand_ins=set(own))
    conditions = used_conditions(conditions, whole)
    check_step_conditions(conditions, schedule, len(pack.medians))
    used = {name: other for name, other in others.items() if name in conditions}

    gains = {gain for program in own.values() for gain in program.gains}
    gains |= {"beta"} if others else set()
    require(bool(gains), "an adapter set without alpha and beta")
    bent = "beta_step_shares" in stated
    require(not bent or ("step_shares" in stated and "beta" in gains), "step shares of beta")
    weights = [name for program in own.values() for name in program.weight_names]
    require(set(weights) <= set(widths), "a weight has no stated width")
    head = {
        "plan": [widths[name] for name in weights],
        "programs": {plain: program.canonical for plain, program in own.items()},
        "weights_id": pack.weights_id.hex(),
        **stated,
        **({"conditions": used} if others else {}),
    }
    names = stored_names(own, tensors) | set(used.values())
    return identifier(head, names, tensors), AdapterSet(
        whole, conditions, gains, list(stated.values())
    )


def identifier(head: Json, names: set[str], tensors: Tensors) -> bytes:
    """The first bytes of the SHA-256 over a JSON object and some of the tensors."""
    digest = hashlib.sha256(json.dumps(head, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(names, key=str.encode):
        tensor = tensors[name]
        shape = ",".join(str(length) for length in tensor.shape)
        digest.update(f"\n{name} {tensor.dtype.name} {shape}\n".encode())
        digest.update(tensor.astype(tensor.dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:8]


def vector(tensors: Tensors, name: str) -> np.ndarray:
    found = tensors[name]
    require(found.ndim == 1 and found.dtype == np.int32, f"tensor {name}")
    return found.astype(np.int64)


def read_tables(tensors: Tensors, family: str) -> Tables:
    """The frequency tables of one family."""
    joined, lengths, offsets = (
        vector(tensors, f"tables.{family}.{part}") for part in ("frequencies", "lengths", "offsets")
    )
    sized = 1 <= len(lengths) == len(offsets) and np.all((lengths >= 2) & (lengths <= 4096))
    require(bool(sized and lengths.sum() == len(joined)), f"lengths of the {family} tables")
    require(bool(np.all(np.abs(offsets) < 2**15)), f"offsets of the {family} tables")
    frequencies = np.split(joined, np.cumsum(lengths)[:-1])
    legal = bool(np.all(joined >= 1)) and all(f.sum() == 2**16 for f in frequencies)
    require(legal, f"frequencies of the {family} tables")
    return Tables(frequencies, offsets.tolist())


# Entropy coding ------------------------------------------------------------------------------

SYMBOLS_PER_STREAM = 2**20
STATE_LOW, STATE_HIGH = 2**31, 2**63
MAX_ESCAPE = 32767


def stream_lengths(total: int) -> list[int]:
    """Symbols in each stream of a picture of `total` symbols."""
    count = max(1, total // SYMBOLS_PER_STREAM)
    return [SYMBOLS_PER_STREAM] * (count - 1) + [total - SYMBOLS_PER_STREAM * (count - 1)]


class SymbolReader:
    """Decodes the integers of a picture in coding order, from one stream after the other.

    Tables are counted through `families`: those of the second follow those of the first.
    """

    def __init__(
        self, streams: list[Stream], families: list[Tables], lengths: list[int]
    ) -> None:
        self.sums = [  # of each table: 0, f_0, f_0 + f_1, ..., 2^16
            [0, *np.cumsum(f).tolist()] for family in families for f in family.frequencies
        ]
        self.offsets = [offset for family in families for offset in family.offsets]
        require(len(streams) == len(lengths), "a wrong number of streams")
        self.waiting = list(zip(streams, lengths, strict=True))
        for (rans, _), length in self.waiting:
            size, state = len(rans), int.from_bytes(rans[:8], "little")
            require(size % 4 == 0 and 8 <= size <= 8 + 4 * length, "the length of a stream")
            require(STATE_LOW <= state < STATE_HIGH, "the first state of a stream")
        self.left = 0  # symbols of the present stream

    def read(self, indexes: np.ndarray) -> np.ndarray:
        """The next integers, int64 (n,), one with each of the tables `indexes` (n,)."""
        return np.array([self.read_one(index) for index in indexes.tolist()], np.int64)

    def read_one(self, index: int) -> int:
        if self.left == 0:
            (rans, escapes), self.left = self.waiting.pop(0)
            self.words, self.position = np.frombuffer(rans, "<u4").tolist(), 2
            self.state = self.words[0] + (self.words[1] << 32)
            self.escapes = Cursor(escapes, "the escapes of a stream")
        sums, low = self.sums[index], self.state % 2**16
        symbol = bisect.bisect_right(sums, low) - 1
        frequency = sums[symbol + 1] - sums[symbol]
        self.state = frequency * (self.state >> 16) + low - sums[symbol]
        if self.state < STATE_LOW:
            require(self.position < len(self.words), "a stream ends too early")
            self.state = (self.state << 32) + self.words[self.position]
            self.position += 1
        value = self.offsets[index] + symbol
        if symbol == len(sums) - 2:  # the last symbol of the table
            value = self.read_escape(self.offsets[index], value - 1)
        self.left -= 1
        if self.left == 0:
            finished = self.position == len(self.words) and self.state == STATE_LOW
            require(finished, "a stream does not end with its last symbol")
            self.escapes.finish()
        return value

    def read_escape(self, low: int, high: int) -> int:
        """An integer outside of [low, high]."""
        code = self.escapes.varint(longest=3)
        value = high + 1 + code // 2 if code % 2 == 0 else low - 1 - code // 2
        require(abs(value) <= MAX_ESCAPE, "an escape is out of range")
        return value


def step_range(d: int, unit: int, step: int, count: int) -> tuple[int, int]:
    """(lo, hi): the least and the largest quantization step of step `step` of `count`."""
    if d >= unit:
        return unit, unit + divide_rne((d - unit) * (step + 1), count)
    return d + divide_rne((unit - d) * step, count), unit


def share_between(share: int, other: int, beta: int) -> int:
    """The step share at a beta, from those at 0 and at 65535."""
    return share + int(divide_rne((other - share) * beta, SHARE_ONE))


def even_step(d: int, unit: int, share: int) -> int:
    """The quantization step of a whole slice, with an adapter set's step share."""
    return unit + divide_rne((d - unit) * share, SHARE_ONE)


def quantization_steps(scale: Planes, lo: int, hi: int,
                       limits: list[tuple[int, int]] | None = None) -> Planes:  # fmt: skip
    """The step of every position: the finer, the larger its scale is within its channel, or within
    what the file states of it."""
    least, largest = scale.min((1, 2), keepdims=True), scale.max((1, 2), keepdims=True)
    if limits is not None:
        least, largest = np.array(limits, np.int64).T[..., None, None]
        scale = np.clip(scale, least, largest)
    span = np.maximum(largest - least, 1)  # where it is 0 the numerator is 0 too
    return hi - divide_rne((scale - least) * (hi - lo), span)


def scale_indexes(scale: Planes, steps: Planes, unit: int, thresholds: np.ndarray) -> Planes:
    """The number of thresholds T with scale * unit > T * step."""
    return np.searchsorted(thresholds, (scale * unit - 1) // steps, side="right")


# Coding schedule -----------------------------------------------------------------------------

LATENT_LOW, LATENT_HIGH = -(2**15), 2**15 - 1
GAINS, GAIN_ONE = ("alpha", "beta"), 65535
SCHEDULE_NUMBERS = ("alignment", "latent_stride", "hyper_stride", "latent_fraction_bits",
                    "scale_fraction_bits", "d_low", "d_high")  # fmt: skip
SCHEDULE = {**dict.fromkeys(SCHEDULE_NUMBERS, int), "hyper_synthesis": str, "synthesis": str,
            "steps": list}  # fmt: skip
SCHEDULE_OPTIONAL = {"features": list, "d_fraction_bits": int, "knots": list,
                     "hyper_bands": list, "residual": str}  # fmt: skip
SLICE = {"start": int, "stop": int, "parameters": str}
PHASE_STEP = {"phases": list, "count": int, "parameters": str}
PHASES = 4


def program_order(schedule: Json) -> list[str]:
    """The names of the decoder's programs in the order in which they first run."""
    keys = ("parameters", "residual")
    parts = [*schedule["steps"], schedule]
    middle = [part[key] for part in parts for key in keys if key in part]
    return list(dict.fromkeys([schedule["hyper_synthesis"], *middle, schedule["synthesis"]]))


def feature_names(schedule: Json) -> list[str]:
    """What the outputs of the hyper-synthesis are called."""
    return schedule.get("features", ["features"])


def d_fraction_bits(schedule: Json) -> int:
    return schedule.get("d_fraction_bits", schedule["latent_fraction_bits"])


def hyper_bands(schedule: Json) -> list[int]:
    """The d at which the hyper-latents' tables change."""
    return schedule.get("hyper_bands", [])


def by_phases(schedule: Json) -> bool:
    return any("phases" in step for step in schedule["steps"])


def latent_channels(schedule: Json) -> int:
    return sum(step["count"] if "phases" in step else step["stop"] - step["start"]
               for step in schedule["steps"])  # fmt: skip


def ascending(numbers: list[Any]) -> bool:
    whole = all(type(number) is int for number in numbers)
    return whole and all(first < second for first, second in itertools.pairwise(numbers))


def check_schedule(schedule: Json) -> None:
    """The form of a coding schedule, and its numbers."""
    check_fields(schedule, "coding schedule", SCHEDULE, SCHEDULE_OPTIONAL)
    alignment, latent, hyper, g, s, d_low, d_high = (schedule[key] for key in SCHEDULE_NUMBERS)
    strides = latent >= 1 and hyper >= 1 and hyper % latent == 0
    require(strides and 1 <= alignment <= 4096 and alignment % hyper == 0, "alignment or strides")
    require(0 <= g <= 10 and 0 <= s <= 12, "fraction bits")
    knotted, bits, bands = "knots" in schedule, d_fraction_bits(schedule), hyper_bands(schedule)
    require(0 <= bits <= 15 and (knotted or bits == g), "fraction bits of d")
    require(1 <= d_low <= 2**bits <= d_high <= (65535 if knotted else 2**15), "range of d")
    if knotted:
        knots = schedule["knots"]
        legal = 2 <= len(knots) <= 64 and ascending(knots)
        require(legal and (knots[0], knots[-1]) == (d_low, d_high), "knots")
    legal = len(bands) <= 63 and ascending([d_low, *bands]) and max(bands, default=0) <= d_high
    require(legal and (knotted or not bands), "bands of hyper-latents")
    names, reserved = feature_names(schedule), {"", "previous", "latents"}
    legal = all(isinstance(name, str) and name.isascii() and name.isprintable() for name in names)
    require(legal and 0 < len(names) == len({*names} - reserved), "names of features")
    require(len(schedule["steps"]) > 0, "no steps")
    phased = by_phases(schedule)
    require(not phased or (knotted and alignment // latent % 2 == 0), "knots or rows for phases")
    require(phased or "residual" not in schedule, "a residual of slices together")
    stop, grid = 0, []
    for step in schedule["steps"]:
        if "phases" in step:
            grid.append(step)
            continue
        wavefront = "reach" in step
        last = {"reach": int} if wavefront else {} if phased else {"residual": str}
        check_fields(step, "step of the coding schedule", SLICE | last)
        alone = len(schedule["steps"]) == 1 and 1 <= step.get("reach", 1) <= 7
        require(not wavefront or (alone and d_low == d_high), "a wavefront step")
        in_order = not grid and step["start"] == stop < step["stop"] < 2**20
        require(in_order, "channels of the steps")
        stop = step["stop"]
    for step in grid:
        check_fields(step, "step of the coding schedule", PHASE_STEP)
        legal = len(step["phases"]) == PHASES and all(type(n) is int for n in step["phases"])
        require(legal and 1 <= step["count"] < 2**20, "a step by phases")
    for phase in range(PHASES):
        end = stop
        for first, count in sorted((step["phases"][phase], step["count"]) for step in grid):
            require(first == end, "steps by phases do not code each channel once")
            end = first + count


def check_interfaces(schedule: Json, programs: dict[str, Program], hyper_channels: int,
                     stand_ins: Collection[str] = ()) -> None:  # fmt: skip
    """Each program has the inputs and outputs that the schedule connects, and behind the inputs,
    where it is one of the `stand_ins`, gains."""

    def ends(name: str, stride: int, inputs: list[str], count: int) -> list[Value]:
        """The inputs of a program, which have these names, and its outputs, this many."""
        program, rows = programs[name], schedule["alignment"] // stride
        whole = all(rows % value.rate.denominator == 0 for value in program.values.values())
        gains = [gain for gain in GAINS if gain in program.inputs and name in stand_ins]
        fit = whole and program.inputs == [*inputs, *gains] and len(program.outputs) == count
        require(fit, f"{name}: inputs, outputs or parts of rows")
        number = Value(1, 0, GAIN_ONE, is_number=True)
        require(all(program.values[gain] == number for gain in gains), f"{name}: gains")
        return [program.values[end] for end in (*inputs, *program.outputs)]

    def holds(port: Value, value: Value) -> bool:
        return port.channels == value.channels and port.low <= value.low <= value.high <= port.high

    def latents(channels: int) -> Value:
        return Value(channels, LATENT_LOW, LATENT_HIGH)

    def corrects(name: str, corrected: str, context: Value, channels: int) -> bool:
        """Whether a program predicts residuals of what it reads by the name `corrected`."""
        port, decoded, correction = ends(name, stride, ["context", corrected], 1)
        fit = holds(port, context) and decoded == latents(channels)
        return fit and correction.channels == channels and correction.rate == 1

    stride, hyper_stride = schedule["latent_stride"], schedule["hyper_stride"]
    names = feature_names(schedule)
    port, *outputs = ends(schedule["hyper_synthesis"], hyper_stride, ["hyper_latents"], len(names))
    fit = holds(latents(hyper_channels), port)
    fit &= all(output.rate == hyper_stride // stride for output in outputs)
    features = dict(zip(names, outputs, strict=True))
    for step in schedule["steps"]:
        phased, reach, start = "phases" in step, step.get("reach", 0), step.get("start", 0)
        channels = PHASES * step["count"] if phased else step["stop"] - start
        before = {}  # what it reads of latents
        if phased:
            before["latents"] = latents(latent_channels(schedule))
        elif reach:
            before["neighbours"] = latents(2 * reach * (reach + 1) * channels)
        elif start > 0:
            before["previous"] = latents(start)
        read = [name for name in programs[step["parameters"]].inputs if name in features]
        has_context = phased or "residual" in step
        ports = ends(step["parameters"], stride, [*read, *before], 3 if has_context else 2)
        mean, scale, *context = ports[len(read) + len(before) :]
        fit &= len(read) > 0 and ports[len(read) :][: len(before)] == [*before.values()]
        fit &= all(holds(port, features[name]) for name, port in zip(read, ports, strict=False))
        fit &= holds(latents(channels), mean) and scale.channels == channels
        fit &= mean.rate == scale.rate == (Fraction(1, 2) if phased else 1)
        fit &= all(value.rate == 1 for value in context)
        fit &= not reach or programs[step["parameters"]].is_pointwise()
        if "residual" in step:
            fit &= corrects(step["residual"], "decoded", context[0], channels)
    if "residual" in schedule:
        fit &= corrects(schedule["residual"], "latents", context[0], latent_channels(schedule))
    port, samples = ends(schedule["synthesis"], stride, ["latents"], 1)
    fit &= port == latents(latent_channels(schedule))
    fit &= samples.channels == 3 and samples.low >= 0 and samples.high <= 255
    fit &= samples.rate == stride
    require(fit, "programs and coding schedule do not fit together")


Runs = dict[str, Callable[..., list[Planes]]]  # the programs by name, with the picture's gains


def group_shapes(schedule: Json, hyper: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Channels, rows and columns of the groups of planes in coding order; of the hyper-latents
    these are `hyper`."""
    finer = schedule["hyper_stride"] // schedule["latent_stride"]
    rows, columns = finer * hyper[1], finer * hyper[2]
    shapes = [hyper]
    for step in schedule["steps"]:
        if "phases" in step:
            shapes += [(step["count"], rows // 2, columns // 2)] * PHASES
        else:
            shapes.append((step["stop"] - step["start"], rows, columns))
    return shapes


def tile_edges(tiles: Tiles, group: int, size: int) -> list[tuple[int, int]]:
    """Where the tiles of a group begin and end, among so many rows or columns."""
    length, offset = tiles.groups[group]
    edges = [0, *range(length - offset, size, length), size]
    return list(itertools.pairwise(edges))


def tile_boxes(tiles: Tiles, group: int, rows: int, columns: int) -> list[tuple[slice, slice]]:
    """The rows and columns of each tile of a group."""
    down, across = (tile_edges(tiles, group, size) for size in (rows, columns))
    require(len(down) * len(across) <= MAX_STREAMS, "more tiles than there can be streams")
    return [(slice(*own), slice(*other)) for own in down for other in across]


def tile_lengths(tiles: Tiles, shapes: list[tuple[int, int, int]], schedule: Json,
                 adaptive: bool) -> list[int]:  # fmt: skip
    """Symbols of each stream of a picture with tiles."""
    scales = latent_channels(schedule) if adaptive else 0
    fit = len(tiles.groups) == len(shapes) and len(tiles.extremes) == scales
    fit &= "reach" not in schedule["steps"][0]
    require(fit, "chunk TILE is not for the pack")
    lengths = [
        channels * (down.stop - down.start) * (across.stop - across.start)
        for group, (channels, rows, columns) in enumerate(shapes)
        for down, across in tile_boxes(tiles, group, rows, columns)
    ]
    require(max(lengths) <= MAX_TILE_SYMBOLS, "a tile has too many symbols", "over a limit")
    return lengths


def decode_latents(pack: Pack, runs: Runs, streams: list[Stream], rows: int, columns: int,
                   d: int, tiles: Tiles | None = None) -> Planes:  # fmt: skip
    """All latents, corrected, of a picture with hyper-latent planes of rows x columns."""
    schedule, unit = pack.schedule, 2 ** pack.schedule["latent_fraction_bits"]
    hyper_channels, channels = len(pack.medians), latent_channels(schedule)
    shapes = group_shapes(schedule, (hyper_channels, rows, columns))
    if tiles is None:
        lengths = stream_lengths(sum(math.prod(shape) for shape in shapes))
    else:
        lengths = tile_lengths(tiles, shapes, schedule, not pack.step_shares and pack.steps is None)
    reader = SymbolReader(streams, [pack.hyper, pack.latent], lengths)
    groups = itertools.count()  # of planes, in coding order

    def read_group(tables: np.ndarray) -> np.ndarray:
        """The integers of the next group's planes, one with each of the tables."""
        group = next(groups)
        if tiles is None:
            return reader.read(tables.ravel()).reshape(tables.shape)
        by_row = tables.swapaxes(0, 1)  # (rows, channels, columns)
        symbols = np.empty(by_row.shape, np.int64)
        for rows, columns in tile_boxes(tiles, group, *tables.shape[1:]):
            own = by_row[rows, :, columns]
            symbols[rows, :, columns] = reader.read(own.ravel()).reshape(own.shape)
        return symbols.swapaxes(0, 1)

    # Hyper-latents: each channel has a table of its own in each band of d, around its median.
    band = bisect.bisect_right(hyper_bands(schedule), d)
    tables = np.repeat(band * hyper_channels + np.arange(hyper_channels), rows * columns)
    symbols = read_group(tables.reshape(hyper_channels, rows, columns))
    hyper_latents = (symbols.T * pack.hyper_steps + pack.medians).T
    hyper_synthesis = pack.programs[schedule["hyper_synthesis"]]
    port = hyper_synthesis.values["hyper_latents"]
    legal = port.low <= hyper_latents.min() and hyper_latents.max() <= port.high
    require(legal, "a hyper-latent is out of range")
    outputs = runs[schedule["hyper_synthesis"]](hyper_latents=hyper_latents)
    seen = dict(zip(feature_names(schedule), outputs, strict=True))

    if "reach" in schedule["steps"][0]:
        return decode_wavefronts(pack, runs, reader, seen)

    # Latents: each step is predicted from the hyper-latents and from the steps before it.
    latents = np.zeros((channels, *outputs[0].shape[1:]), np.int64)
    for i, step in enumerate(schedule["steps"]):
        places = coded_places(step)
        seen["previous"], seen["latents"] = latents[: step.get("start")], latents
        read = pack.programs[step["parameters"]].planes
        mean, scale, *context = runs[step["parameters"]](**{name: seen[name] for name in read})
        if pack.steps is not None:
            steps = np.concatenate([pack.steps[own] for own, _, _ in places])[:, None, None]
        elif pack.step_shares:
            steps = np.array(even_step(d, unit, pack.step_shares[i]))
        else:
            limits = None if tiles is None else tiles.extremes[places[0][0]]
            spread = step_range(d, unit, i, len(schedule["steps"]))
            steps = quantization_steps(scale, *spread, limits)
        indexes = scale_indexes(scale, steps, unit, pack.thresholds) + len(pack.hyper.offsets)
        q = np.concatenate([read_group(part) for part in np.split(indexes, len(places))])
        decoded = np.clip(q * steps + mean, LATENT_LOW, LATENT_HIGH)
        if "residual" in step:
            (correction,) = runs[step["residual"]](context=context[0], decoded=decoded)
            decoded = np.clip(decoded + correction, LATENT_LOW, LATENT_HIGH)
        for place, planes in zip(places, np.split(decoded, len(places)), strict=True):
            latents[place] = planes
    if "residual" in schedule:
        (correction,) = runs[schedule["residual"]](context=context[0], latents=latents)
        latents = np.clip(latents + correction, LATENT_LOW, LATENT_HIGH)
    return latents


def coded_places(step: Json) -> list[tuple[slice, slice, slice]]:
    """Channels, rows and columns of the latents that a step codes, in the order of its mean."""
    if "phases" not in step:
        return [(slice(step["start"], step["stop"]), slice(None), slice(None))]
    return [
        (slice(first, first + step["count"]), slice(phase // 2, None, 2), slice(phase % 2, None, 2))
        for phase, first in enumerate(step["phases"])
    ]


def wavefronts(rows: int, columns: int, reach: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the positions of each wavefront."""
    fronts = []
    for front in range(columns + (reach + 1) * (rows - 1)):
        r = np.array([r for r in range(rows) if 0 <= front - (reach + 1) * r < columns])
        fronts.append((r, front - (reach + 1) * r))
    return fronts


def square(reach: int) -> list[tuple[int, int]]:
    """Row and column in the square around a position of each of its neighbours."""
    places = itertools.product(range(reach + 1), range(2 * reach + 1))
    return list(itertools.islice(places, 2 * reach * (reach + 1)))  # as far as the position itself


def decode_wavefronts(pack: Pack, runs: Runs, reader: SymbolReader,
                      features: dict[str, Planes]) -> Planes:  # fmt: skip
    """All latents, where each position is predicted from those above and to the left of it.

    A wavefront is computed as if it were a plane of one row.
    """
    (step,), unit = pack.schedule["steps"], 2 ** pack.schedule["latent_fraction_bits"]
    reach, channels, program = step["reach"], step["stop"], step["parameters"]
    read = [name for name in pack.programs[program].planes if name != "neighbours"]
    rows, columns = features[read[0]].shape[1:]
    latents = np.zeros((channels, rows + reach, columns + 2 * reach), np.int64)  # with a border
    for r, c in wavefronts(rows, columns, reach):
        near = np.concatenate([latents[:, r + down, c + right] for down, right in square(reach)])
        seen = {name: features[name][:, r, c][:, None] for name in read}
        mean, scale = runs[program](**seen, neighbours=near[:, None])
        indexes = scale_indexes(scale, np.array(unit), unit, pack.thresholds)
        q = reader.read(indexes.ravel() + len(pack.hyper.offsets)).reshape(indexes.shape)
        values = np.clip(q * unit + mean, LATENT_LOW, LATENT_HIGH)
        latents[:, r + reach, c + reach] = values[:, 0]
    return latents[:, reach:, reach : reach + columns]


def with_adapters(pack: Pack, header: Header) -> Pack:
    """The pack with the stand-ins of the adapter set that the header names, if it names one."""
    if header.adapter_id is None:
        return pack
    own = pack.adapters[header.adapter_id]
    known = {name for name, gain in header.gains.items() if gain} <= own.gains
    require(known, "the header's alpha or beta is not one of the adapter set's")
    shares = list(own.step_shares[0]) if own.step_shares else []
    if len(own.step_shares) == 2:
        pairs, beta = zip(*own.step_shares, strict=True), header.gains["beta"]
        shares = [share_between(*pair, beta) for pair in pairs]
    return pack._replace(programs=own.programs, conditions=own.conditions, step_shares=shares)


def interpolate(ends: Ends, knots: list[int], d: int, beta: int) -> np.ndarray:
    """What conditions are worth at d and beta, int64 (C,), from their tensors."""
    i = min(bisect.bisect_right(knots, d) - 1, len(knots) - 2)
    low, high = knots[i : i + 2]
    at_d = [t[i].astype(np.int64) * (high - d) + t[i + 1].astype(np.int64) * (d - low)
            for t in ends]  # fmt: skip
    dividend = (GAIN_ONE - beta) * at_d[0] + beta * at_d[1]  # below 2^62
    return divide_rne(dividend, GAIN_ONE * (high - low))


def conditioned(stored: np.ndarray | None, worth: np.ndarray) -> np.ndarray:
    """The constant of an operation: a multiplier that is stored, or a bias that is not."""
    return worth.astype(np.int32) if stored is None else stored * worth.astype(np.float32)


def with_conditions(pack: Pack, header: Header) -> Pack:
    """The pack with the constants of the header's d and beta in its programs."""
    if "knots" not in pack.schedule:
        return pack
    knots, beta = pack.schedule["knots"], header.gains["beta"]
    worth = {name: interpolate(ends, knots, header.d, beta)
             for name, ends in pack.conditions.items()}  # fmt: skip
    steps, hyper_steps = (worth.pop(name) for name in STEP_CONDITIONS)
    own = {name: conditioned(pack.tensors.get(name), v) for name, v in worth.items()}
    programs = {name: Program(program.canonical, pack.tensors | own)
                for name, program in pack.programs.items()}  # fmt: skip
    return pack._replace(programs=programs, steps=steps, hyper_steps=hyper_steps)


def decode(file: File, pack: Pack) -> np.ndarray:
    """The picture, uint8 (height, width, channels), with its checksum compared."""
    header, schedule = file.header, pack.schedule
    wanted = f"the file needs the pack {header.backbone} {header.weights_id.hex()}"
    require(header.weights_id == pack.weights_id, wanted, "weights missing")
    missing = f"the file needs the adapter set {(header.adapter_id or b'').hex()}"
    known = header.adapter_id is None or header.adapter_id in pack.adapters
    require(known, missing, "weights missing")
    require(header.backbone == pack.backbone, "the header's backbone is not the pack's")
    require(file.plan in (None, pack.plan), "the precision plan is not the pack's")
    same_unit = header.d_fraction_bits == d_fraction_bits(schedule)
    in_range = schedule["d_low"] <= header.d <= schedule["d_high"]
    require(same_unit and in_range, "the header's d is not one of the pack's")

    alignment = schedule["alignment"]
    rows, columns = (
        -(-side // alignment) * alignment // schedule["hyper_stride"]
        for side in (header.height, header.width)
    )
    pack = with_conditions(with_adapters(pack, header), header)
    runs = {
        name: partial(program, **{gain: np.array(header.gains[gain]) for gain in program.gains})
        for name, program in pack.programs.items()
    }
    latents = decode_latents(pack, runs, file.streams, rows, columns, header.d, file.tiles)
    (samples,) = runs[schedule["synthesis"]](latents=latents)
    samples = samples[:, : header.height, : header.width]
    if header.channels == 1:
        samples = (2 * samples.sum(0, keepdims=True) + 3) // 6
    pixels = samples.transpose(1, 2, 0).astype(np.uint8)
    matches = zlib.crc32(checked_bytes(pixels, file.alpha)) == file.checksum
    require(matches, "these are not the encoder's pixels", "pixel checksum mismatch")
    return pixels


def decode_lossless(file: File) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels uint8 (height, width, channels) and alpha (height, width), or None."""
    from PIL import Image  # only here: decoding by a network does without Pillow

    Image.MAX_IMAGE_PIXELS = None  # the sizes are checked
    header = file.header
    samples = np.empty((header.height, header.width, 4), np.uint8)
    for left, top, width, height, webp in file.pieces:
        try:
            with Image.open(io.BytesIO(webp), formats=("WEBP",)) as image:
                part = np.asarray(image.convert("RGBA"))
        except (OSError, ValueError, SyntaxError, MemoryError):
            raise Fault("corrupt file: the WebP of a piece is damaged") from None
        samples[top : top + height, left : left + width] = part
    pixels, alpha = samples[:, :, :3], samples[:, :, 3] if header.has_alpha else None
    if header.channels == 1:
        require(bool((pixels == pixels[:, :, :1]).all()), "a piece of a grey picture has colours")
        pixels = pixels[:, :, :1]
    matches = zlib.crc32(checked_bytes(pixels, alpha)) == file.checksum
    require(matches, "these are not the encoder's pixels", "pixel checksum mismatch")
    return pixels, alpha


# The command ---------------------------------------------------------------------------------


def checked_bytes(pixels: np.ndarray, alpha: np.ndarray | None) -> bytes:
    """What the pixel checksum is taken over: samples row by row, then the alpha plane."""
    return pixels.tobytes() + (b"" if alpha is None else alpha.tobytes())


def netpbm(pixels: np.ndarray, alpha: np.ndarray | None) -> bytes:
    """The picture as PGM, PPM, or with alpha PAM."""
    height, width, channels = pixels.shape
    if alpha is None:
        return f"P{5 if channels == 1 else 6}\n{width} {height}\n255\n".encode() + pixels.tobytes()
    kind = "GRAYSCALE_ALPHA" if channels == 1 else "RGB_ALPHA"
    head = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels + 1}\nMAXVAL 255\n"
    return f"{head}TUPLTYPE {kind}\nENDHDR\n".encode() + np.dstack([pixels, alpha]).tobytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="the picture to decode")
    parser.add_argument("--weights", type=Path, help="the pack it names; none if it is lossless")
    parser.add_argument("-o", "--output", type=Path, help="where to write PGM, PPM or PAM")
    arguments = parser.parse_args()
    try:
        file = read_file(arguments.file.read_bytes())
        alpha = file.alpha
        if file.header.backbone:
            require(arguments.weights is not None, "name its pack by --weights", "weights missing")
            pixels = decode(file, read_pack(arguments.weights.read_bytes()))
        else:
            pixels, alpha = decode_lossless(file)
        if arguments.output:
            arguments.output.write_bytes(netpbm(pixels, alpha))
    except (Fault, OSError) as error:
        print(f"{arguments.file}: {error}", file=sys.stderr)
        return 3
    print(hashlib.sha256(checked_bytes(pixels, alpha)).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
