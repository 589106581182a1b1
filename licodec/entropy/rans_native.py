"""rANS in native code: ``licodec/exact/native/rans.c``, which checks all that it is given."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_int64, c_uint64, c_void_p
from typing import ClassVar

import numpy as np

from licodec.container.file import Stream
from licodec.entropy.coder_tables import (
    CUT_OFF,
    STATE_BYTES,
    STATE_LOW,
    WORD,
    WORDS_LEFT,
    CoderTables,
)
from licodec.entropy.escapes import BYTES_LEFT, DAMAGED, LARGEST_BYTES
from licodec.errors import CorruptFileError
from licodec.exact import native
from licodec.exact.native.arrays import INT32, address

BUCKETS = 256  # RANS_BUCKETS of rans.h, whose structures follow
FAULTS = {4: CUT_OFF, 5: DAMAGED}  # of enum rans_fault; the others are mistakes of a caller

Fields = tuple[tuple[str, type], ...]


class _Tables(ctypes.Structure):
    _fields_ = (
        ("count", c_int64),
        ("total", c_int64),
        ("frequencies", c_void_p),
        ("lengths", c_void_p),
        ("offsets", c_void_p),
        ("sums", c_void_p),
        ("starts", c_void_p),
        ("firsts", c_void_p),
    )


class _Buffers(ctypes.Structure):
    """rans_writer, and the beginning of rans_reader."""

    _fields_: ClassVar[Fields] = (
        ("words", c_void_p),
        ("words_size", c_int64),
        ("words_position", c_int64),
        ("escapes", c_void_p),
        ("escapes_size", c_int64),
        ("escapes_position", c_int64),
    )


class _Reader(_Buffers):
    _fields_ = (("state", c_uint64), ("fault", c_int64))


class _Writer(_Buffers):
    _fields_ = (("fault", c_int64),)


_TABLES = POINTER(_Tables)
_DECODE = (_TABLES, POINTER(_Reader), INT32, c_int64, INT32)
_ENCODE = (_TABLES, POINTER(_Writer), INT32, c_int64, INT32)


class NativeCoder:
    """A :class:`licodec.entropy.coder_tables.Coder`. Raises ValueError for illegal tables."""

    def __init__(self, tables: CoderTables) -> None:
        count, total = len(tables.lengths), len(tables.frequencies)
        # The structure has their addresses, and they live as long as it does.
        self._arrays = (
            tables,
            np.empty(total + count, np.uint32),
            np.empty(count, np.int64),
            np.empty((count, BUCKETS), np.uint16),
        )
        _, sums, starts, firsts = self._arrays
        self.tables = _Tables(
            count,
            total,
            address(tables.frequencies, np.int32),
            address(tables.lengths, np.int32),
            address(tables.offsets, np.int32),
            address(sums, np.uint32),
            address(starts, np.int64),
            address(firsts, np.uint16),
        )
        if (illegal := native.function("rans_prepare", c_int64, _TABLES)(self.tables)) >= 0:
            raise ValueError(f"frequency table {illegal} is not legal")

    def encode(self, values: np.ndarray, indexes: np.ndarray) -> Stream:
        values, indexes = (np.ascontiguousarray(array, np.int32) for array in (values, indexes))
        words = np.empty(STATE_BYTES + WORD * len(values), np.uint8)
        escapes = np.empty(LARGEST_BYTES * len(values), np.uint8)
        writer = _Writer(
            address(words, np.uint8), len(words), 0, address(escapes, np.uint8), len(escapes), 0, 0
        )
        run = native.function("rans_encode", c_int64, *_ENCODE)
        done = run(self.tables, writer, indexes, len(indexes), values)
        if writer.fault:
            raise ValueError(f"integer {done} cannot be coded: fault {writer.fault}")
        return Stream(
            words[writer.words_position :].tobytes(), escapes[: writer.escapes_position].tobytes()
        )

    def decoder(self, stream: Stream) -> NativeDecoder:
        return NativeDecoder(self, stream)


class NativeDecoder:
    """A :class:`licodec.entropy.coder_tables.Decoder`."""

    def __init__(self, coder: NativeCoder, stream: Stream) -> None:
        self._coder = coder
        self._arrays = tuple(
            np.frombuffer(part, np.uint8) for part in (stream.rans, stream.escapes)
        )
        words, escapes = self._arrays
        self._reader = _Reader(
            address(words, np.uint8),
            len(words),
            STATE_BYTES,
            address(escapes, np.uint8),
            len(escapes),
            0,
            int.from_bytes(stream.rans[:STATE_BYTES], "little"),
        )

    def read(self, indexes: np.ndarray) -> np.ndarray:
        indexes = np.ascontiguousarray(indexes, np.int32)
        values = np.empty(len(indexes), np.int32)
        run = native.function("rans_decode", c_int64, *_DECODE)
        done = run(self._coder.tables, self._reader, indexes, len(indexes), values)
        if fault := self._reader.fault:
            if fault in FAULTS:
                raise CorruptFileError(FAULTS[fault])
            raise ValueError(f"integer {done} cannot be decoded: fault {fault}")
        return values

    def require_end(self) -> None:
        reader = self._reader
        if reader.escapes_position != reader.escapes_size:
            raise CorruptFileError(BYTES_LEFT)
        if reader.words_position != reader.words_size or reader.state != STATE_LOW:
            raise CorruptFileError(WORDS_LEFT)
