"""The `LHDR` chunk: everything needed to decode the payload, besides the pack it names.

Normative in format/SPEC.md, "Header". A lossless file names no backbone, and has other fields from
there on.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from io import BytesIO
from typing import Any

import construct

from licodec.container.fields import VarInt, parse_fields
from licodec.container.limits import MAX_BACKBONE_BYTES, check_picture_size
from licodec.errors import CorruptFileError
from licodec.rate.gains import GAIN_ONE, Gains

FORMAT_VERSION = 1
IDENTIFIER_BYTES = 8
MAX_STEP = 2**16 - 1
MAX_STEP_FRACTION_BITS = 15

_PROFILE_NUMBERS = {"int-1": 1}
_PROFILE_NAMES = {number: name for name, number in _PROFILE_NUMBERS.items()}
_BACKBONE = re.compile(rf"[a-z][a-z0-9-]{{0,{MAX_BACKBONE_BYTES - 1}}}")
_CODING_NUMBERS = {"webp": 1}
_CODING_NAMES = {number: name for name, number in _CODING_NUMBERS.items()}
_NEWER = "a newer licodec may be needed"


@dataclass(frozen=True)
class PictureHeader:
    """What every header says of its picture.

    width, height    pixels of the picture, unpadded
    channels         1 (greyscale) or 3 (RGB)
    has_alpha        whether the picture has alpha: in an `ALPH` chunk, or in lossless pieces
    """

    width: int
    height: int
    channels: int
    has_alpha: bool


@dataclass(frozen=True)
class LosslessHeader(PictureHeader):
    """The header of a lossless file.

    coding     how the pieces are coded: "webp"
    bit_depth  bits of a sample; 8
    """

    coding: str = "webp"
    bit_depth: int = 8


@dataclass(frozen=True)
class Header(PictureHeader):
    """The header of a picture coded by a network, in the file's own integers.

    backbone         network family: a lower-case letter, then letters, digits and hyphens
    weights_id       8 bytes that name the pack
    d                rate mode, in units of 2^-d_fraction_bits; neutral is 2^d_fraction_bits
    alpha, beta      rate mode of adapters: 0 is neutral, 65535 is 1.0
    adapter_id       8 bytes that name the adapter set, exactly where alpha or beta is not 0
    profile          the arithmetic of section "Arithmetic"
    bit_depth        bits of a sample; 8
    """

    backbone: str
    weights_id: bytes
    d_fraction_bits: int
    d: int
    alpha: int = 0
    beta: int = 0
    adapter_id: bytes | None = None
    profile: str = "int-1"
    bit_depth: int = 8

    @property
    def d_value(self) -> float:
        """d as a number: 1.0 is neutral."""
        return self.d / (1 << self.d_fraction_bits)

    @property
    def gains(self) -> Gains:
        return Gains(self.alpha, self.beta)


_PICTURE_LAYOUT = construct.Struct(
    "format_version" / construct.Const(FORMAT_VERSION, construct.Byte),
    "width" / VarInt,
    "height" / VarInt,
    "bit_depth" / construct.Byte,
    "channels" / construct.Byte,
    "has_alpha" / construct.Byte,
    "backbone" / construct.Prefixed(construct.Byte, construct.GreedyBytes),
)
_LOSSLESS_LAYOUT = construct.Struct("coding" / construct.Byte, construct.Terminated)
_NETWORK_LAYOUT = construct.Struct(
    "profile" / construct.Byte,
    "weights_id" / construct.Bytes(IDENTIFIER_BYTES),
    "d_fraction_bits" / construct.Byte,
    "d" / VarInt,
    "alpha" / VarInt,
    "beta" / VarInt,
    "adapter_id"
    / construct.If(lambda fields: fields.alpha or fields.beta, construct.Bytes(IDENTIFIER_BYTES)),
    construct.Terminated,
)


def pack_header(header: Header | LosslessHeader) -> bytes:
    """The data of the `LHDR` chunk.

    Raises as `unpack_header` does, so that no header is written that cannot be read.
    """
    _check_picture(header)
    if isinstance(header, LosslessHeader):
        if header.coding not in _CODING_NUMBERS:
            raise CorruptFileError(f"chunk LHDR: lossless coding {header.coding!a} is not known")
        fields = asdict(header) | {"backbone": b"", "coding": _CODING_NUMBERS[header.coding]}
        return _PICTURE_LAYOUT.build(fields) + _LOSSLESS_LAYOUT.build(fields)
    _check(header)
    fields = asdict(header) | {
        "backbone": header.backbone.encode("ascii"),
        "profile": _PROFILE_NUMBERS[header.profile],
    }
    return _PICTURE_LAYOUT.build(fields) + _NETWORK_LAYOUT.build(fields)


def unpack_header(data: bytes) -> Header | LosslessHeader:
    """Parse and check the data of an `LHDR` chunk.

    Raises CorruptFileError, and LimitError for a picture over the limits.
    """
    # First of all: the fields of another version may stand in another order.
    if data and data[0] != FORMAT_VERSION:
        raise CorruptFileError(
            f"file has format version {data[0]}, this licodec reads {FORMAT_VERSION}; {_NEWER}"
        )
    stream = BytesIO(data)
    fields = parse_fields(_PICTURE_LAYOUT, stream, "LHDR")
    if fields.has_alpha > 1:
        raise CorruptFileError(f"chunk LHDR: has alpha is {fields.has_alpha}, neither 0 nor 1")
    fields["has_alpha"] = fields.has_alpha == 1
    if not fields.backbone:
        return _lossless_header(fields | parse_fields(_LOSSLESS_LAYOUT, stream, "LHDR"))
    return _network_header(fields | parse_fields(_NETWORK_LAYOUT, stream, "LHDR"))


def _lossless_header(fields: dict[str, Any]) -> LosslessHeader:
    if fields["coding"] not in _CODING_NAMES:
        raise CorruptFileError(
            f"file needs lossless coding {fields['coding']}, this licodec has "
            f"{', '.join(_CODING_NUMBERS)}; {_NEWER}"
        )
    read = {"coding": _CODING_NAMES[fields["coding"]]}
    header = LosslessHeader(**_named(LosslessHeader, fields) | read)
    _check_picture(header)
    return header


def _network_header(fields: dict[str, Any]) -> Header:
    if fields["profile"] not in _PROFILE_NAMES:
        raise CorruptFileError(
            f"file needs arithmetic profile {fields['profile']}, this licodec has "
            f"{', '.join(_PROFILE_NUMBERS)}; {_NEWER}"
        )
    # Every byte is a Latin-1 character, and _check refuses those that may not be there.
    read = {
        "backbone": fields["backbone"].decode("latin-1"),
        "profile": _PROFILE_NAMES[fields["profile"]],
    }
    header = Header(**_named(Header, fields) | read)
    _check_picture(header)
    _check(header)
    return header


def _named(kind: type[PictureHeader], fields: dict[str, Any]) -> dict[str, Any]:
    return {own.name: fields[own.name] for own in dataclass_fields(kind)}


def _check_picture(header: Header | LosslessHeader) -> None:
    """Refuse a picture that the format does not allow. Raises CorruptFileError or LimitError."""
    if header.width < 1 or header.height < 1:
        raise CorruptFileError(f"chunk LHDR: picture of {header.width}x{header.height} pixels")
    check_picture_size(header.width, header.height)
    if header.bit_depth != 8:
        raise CorruptFileError(f"chunk LHDR: bit depth is {header.bit_depth}, not 8; {_NEWER}")
    if header.channels not in (1, 3):
        raise CorruptFileError(
            f"chunk LHDR: channels are {header.channels}, neither 1 nor 3; {_NEWER}"
        )


def _check(header: Header) -> None:
    """Refuse what the format does not allow of a network's file. Raises CorruptFileError."""
    if not _BACKBONE.fullmatch(header.backbone):
        raise CorruptFileError(
            f"chunk LHDR: backbone {header.backbone!a} is not a name of 1 to "
            f"{MAX_BACKBONE_BYTES} lower-case letters, digits and hyphens"
        )
    if header.profile not in _PROFILE_NUMBERS:
        raise CorruptFileError(f"chunk LHDR: arithmetic profile {header.profile!a} is not known")
    if not 0 <= header.d_fraction_bits <= MAX_STEP_FRACTION_BITS:
        raise CorruptFileError(
            f"chunk LHDR: d has {header.d_fraction_bits} fraction bits, over "
            f"{MAX_STEP_FRACTION_BITS}"
        )
    if not 1 <= header.d <= MAX_STEP:
        raise CorruptFileError(f"chunk LHDR: d is {header.d} units, outside 1 to {MAX_STEP}")
    for name, value in (("alpha", header.alpha), ("beta", header.beta)):
        if not 0 <= value <= GAIN_ONE:
            raise CorruptFileError(f"chunk LHDR: {name} is {value}, outside 0 to {GAIN_ONE}")
    if (header.adapter_id is not None) != (header.alpha != 0 or header.beta != 0):
        raise CorruptFileError("chunk LHDR: an adapter id stands only where alpha or beta is not 0")
    for name, identifier in (("weights", header.weights_id), ("adapter", header.adapter_id)):
        if identifier is not None and len(identifier) != IDENTIFIER_BYTES:
            raise CorruptFileError(
                f"chunk LHDR: {name} id has {len(identifier)} bytes, not {IDENTIFIER_BYTES}"
            )
