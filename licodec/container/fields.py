"""What the chunks' declarations share: the variable-length integer and readable errors."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import construct

from licodec.errors import CorruptFileError

MAX_VARINT_BYTES = 5
MAX_VARINT = 2**32 - 1


class _VarInt(construct.Construct):  # type: ignore[misc]  # construct has no types
    """Unsigned LEB128 below 2^32 in its shortest form, the only one that is legal.

    construct's own VarInt takes padded forms and numbers of any length.
    """

    def _parse(self, stream: BytesIO, context: Any, path: str) -> int:
        value = 0
        for index in range(MAX_VARINT_BYTES):
            byte = construct.stream_read(stream, 1, path)[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if byte == 0 and index > 0:
                    raise construct.ValidationError("is not in its shortest form", path)
                if value > MAX_VARINT:
                    raise construct.ValidationError("is 2^32 or more", path)
                return value
        raise construct.ValidationError(f"is longer than {MAX_VARINT_BYTES} bytes", path)

    def _build(self, value: int, stream: BytesIO, context: Any, path: str) -> int:
        if not 0 <= value <= MAX_VARINT:
            raise construct.ValidationError(f"is {value}, outside 0 to 2^32 - 1", path)
        rest = value
        while rest >= 0x80:
            construct.stream_write(stream, bytes([rest & 0x7F | 0x80]), 1, path)
            rest >>= 7
        construct.stream_write(stream, bytes([rest]), 1, path)
        return value


VarInt = _VarInt()


def parse_fields(layout: construct.Construct, stream: BytesIO, chunk: str) -> Any:
    """Parse `layout` from where `stream` stands and leave it after the last field.

    Raises CorruptFileError in one line that names `chunk` and the field.
    """
    try:
        return layout.parse_stream(stream)
    except construct.StreamError as error:
        raise CorruptFileError(f"chunk {chunk} ends inside its {_field(error)}") from error
    except construct.TerminatedError as error:
        raise CorruptFileError(f"chunk {chunk} goes on after its last field") from error
    except construct.ValidationError as error:
        reason = str(error).splitlines()[-1]
        raise CorruptFileError(f"chunk {chunk}: {_field(error)} {reason}") from error


def _field(error: construct.ConstructError) -> str:
    """Name of the field in which construct stopped, from its "(parsing) -> outer -> inner"."""
    name = (error.path or "").split(" -> ")[-1]
    return name.replace("_", " ").strip() or "fields"
