"""BMP: any header of Windows and OS/2, any masks, and run lengths, as a Pillow image.

Pillow takes some palettes of few greys for 8-bit grey whatever the bits of the indices, and
knows some masks alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from licodec.container.limits import check_picture_size
from licodec.errors import BadInputError
from licodec.images.formats import BMP_HEADERS
from licodec.images.metadata import Found
from licodec.images.samples import eight_bits, row_bands
from licodec.images.sources import from_start

_FILE_HEADER_BYTES = 14
_OS2_HEADERS = (12, 16, 64)  # version 1, version 2 without and with its last fields
_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_COMPRESSION_NAMES = {4: "JPEG", 5: "PNG", 11: "CMYK", 12: "CMYK", 13: "CMYK"}
_OS2_COMPRESSION_NAMES = {3: "Huffman", 4: "RLE24"}
_PLAIN_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_END_OF_PICTURE = b"\0\1"  # in run lengths
_TRUNCATED = "image file is truncated"
_CALIBRATED, _EMBEDDED, _LINKED = b"\0\0\0\0", b"DEBM", b"KNIL"  # the colour space's signature


@dataclass(frozen=True)
class _Header:
    """A BMP's header.

    compression  one of Windows'
    masks        of red, green, blue and alpha in a pixel of 16 or 32 bits
    palette      (colours, 3) uint8, red first
    offset       of the pixels
    """

    width: int
    height: int
    top_down: bool
    bits: int
    compression: int
    masks: tuple[int, int, int, int]
    palette: np.ndarray
    offset: int

    @property
    def direction(self) -> int:
        """1 where the top row comes first, else -1."""
        return 1 if self.top_down else -1


def read_bmp(stream: BinaryIO) -> tuple[Image.Image, Found]:
    """The picture, of mode P, RGB or RGBA, and the profile in its header.

    Raises BadInputError for what is damaged, cut short or of a kind that is not read, LimitError
    for a picture that is too large, before its pixels are decoded.
    """
    with from_start(stream):
        try:
            header, found = _header(stream)
            stream.seek(header.offset)
            decode = _palette_image if header.bits <= 8 else _colour_image
            image, notes = decode(stream, header)
        except (struct.error, ValueError) as error:
            raise BadInputError(f"a BMP file that is damaged or cut short ({error})") from error
    return image, Found(icc=found.icc, notes=(*found.notes, *notes))


def _header(stream: BinaryIO) -> tuple[_Header, Found]:
    start = stream.read(_FILE_HEADER_BYTES + 4)
    offset, size = struct.unpack_from("<II", start, 10)
    if size not in BMP_HEADERS:
        raise ValueError(f"a header of {size} bytes")
    fields = stream.read(size - 4)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", fields)
        compression, colours = _RGB, 0
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", fields)
        compression, _, _, _, colours = struct.unpack_from("<IIiiI", fields.ljust(36, b"\0"), 12)
    check_picture_size(width, abs(height))
    if width < 1 or not height:
        raise ValueError(f"{width}x{height} pixels")
    _check_kind(size, bits, compression)
    masks = _PLAIN_MASKS.get(bits, (0, 0, 0, 0))
    if compression in (_BITFIELDS, _ALPHA_BITFIELDS):
        # Behind the oldest header, inside of the later ones.
        count = 3 if size == 52 or (size == 40 and compression == _BITFIELDS) else 4
        given = stream.read(4 * count) if size == 40 else fields[36 : 36 + 4 * count]
        red, green, blue, alpha, *_ = (*struct.unpack(f"<{count}I", given), 0)
        masks = (red, green, blue, alpha)
    palette = np.zeros((0, 3), np.uint8)
    if bits <= 8:
        entry = 3 if size == 12 else 4
        stored = stream.read(entry * min(colours or 1 << bits, 1 << bits))
        palette = np.frombuffer(stored[: len(stored) // entry * entry], np.uint8)
        palette = palette.reshape(-1, entry)[:, 2::-1]
    if 0 < offset < _FILE_HEADER_BYTES + size:
        raise ValueError("its pixels begin in its header")
    header = _Header(
        width, abs(height), height < 0, bits, compression, masks, palette, offset or stream.tell()
    )
    return header, _found(stream, fields)


def _check_kind(size: int, bits: int, compression: int) -> None:
    """Refuse what is not read, by its name."""
    os2 = size in _OS2_HEADERS
    kinds = {
        _RGB: (1, 2, 4, 8, 16, 24, 32),
        _RLE8: (8,),
        _RLE4: (4,),
        **({} if os2 else dict.fromkeys((_BITFIELDS, _ALPHA_BITFIELDS), (16, 32))),
    }
    if bits not in kinds.get(compression, ()):
        names = _OS2_COMPRESSION_NAMES if os2 else _COMPRESSION_NAMES
        coding = names.get(compression, f"compression {compression}")
        kind = f"{bits}-bit pixels" if compression == _RGB else f"{coding} and {bits}-bit pixels"
        raise BadInputError(f"a BMP of {kind}, which is not read; convert it to 24 bits")


def _found(stream: BinaryIO, fields: bytes) -> Found:
    """The profile of a version 5 header; a note where a colour space stands otherwise."""
    space = fields[52:56]
    if len(fields) >= 120 and space == _EMBEDDED:
        offset, size = struct.unpack_from("<II", fields, 108)
        stream.seek(_FILE_HEADER_BYTES + offset)
        return Found(icc=stream.read(min(size, 2**24)) or None)
    if len(fields) >= 120 and space == _LINKED:
        return Found(notes=("the ICC profile is in another file, and left out",))
    if len(fields) >= 104 and space == _CALIBRATED and any(fields[56:104]):
        return Found(notes=("BMP colour endpoints and gamma left out",))
    return Found()


def _stride(header: _Header) -> int:
    """Bytes of a row, which are a multiple of 4."""
    return (header.width * header.bits + 31) // 32 * 4


def _stored(stream: BinaryIO, header: _Header) -> bytes:
    """The rows as they are stored; the padding of the last one may be missing in the file."""
    size = _stride(header) * header.height
    padding = _stride(header) - (header.width * header.bits + 7) // 8
    data = stream.read(size)
    if len(data) < size - padding:
        raise ValueError(_TRUNCATED)
    return data if len(data) == size else data.ljust(size, b"\0")


def _rows(data: bytes, header: _Header) -> np.ndarray:
    """The rows, (H, bytes) uint8, top row first."""
    rows = np.frombuffer(data, np.uint8).reshape(header.height, _stride(header))
    return rows if header.top_down else rows[::-1]


def _run_lengths(data: bytes, header: _Header) -> tuple[bytearray, list[str]]:
    """Indices of RLE8 or RLE4, row by row, and what is not as it should be; pixels that are
    skipped are 0."""
    width = header.width
    indices = bytearray(width * header.height)
    two = header.compression == _RLE4
    x, y, at = 0, header.height - 1, 0
    painted, too_long = 0, False
    while y >= 0:
        if y == 0 and x == width and at == len(data):
            break  # all that is missing is the end marker
        count, value = _pair(data, at)
        at += 2
        if count:
            run = bytes((value >> 4, value & 15)) * 128 if two else bytes((value,)) * count
        elif value > 2:
            count, length = value, (value + 1) // 2 if two else value
            run = data[at : at + length]
            if two:
                run = bytes(part for byte in run for part in (byte >> 4, byte & 15))
            if len(run) < count:
                raise ValueError(_TRUNCATED)
            at += length + length % 2
        elif value == 2:
            right, up = _pair(data, at)
            x, y, at = x + right, y - up, at + 2
            continue
        elif value == 1:
            at -= 2
            break
        else:
            x, y = 0, y - 1
            continue
        room = max(0, min(count, width - x))
        indices[y * width + x : y * width + x + room] = run[:room]
        painted += room
        too_long |= room < count
        x += count
    return indices, _run_length_notes(data[at : at + 2], too_long, len(indices) - painted)


def _pair(data: bytes, at: int) -> tuple[int, int]:
    if at + 2 > len(data):
        raise ValueError(_TRUNCATED)
    return data[at], data[at + 1]


def _run_length_notes(end: bytes, too_long: bool, skipped: int) -> list[str]:
    """What to say of run lengths, given where they end and how many pixels they skip."""
    damaged = "the BMP is damaged (run lengths beyond the {}): parts of the picture may be wrong"
    notes = {
        damaged.format("end of a row"): too_long,
        "the BMP's run lengths have no end marker": not end,
        damaged.format("last row"): end not in (b"", _END_OF_PICTURE),
        f"{skipped} pixels that the BMP's run lengths skip taken as its first colour": skipped,
    }
    return [note for note, is_so in notes.items() if is_so]


def _palette_image(stream: BinaryIO, header: _Header) -> tuple[Image.Image, list[str]]:
    """The image, grey where all colours are, as BMP has no other grey, and what to say of it.

    Beyond the palette is black.
    """
    size, notes = (header.width, header.height), list[str]()
    if header.compression == _RGB:
        raw = "P" if header.bits == 8 else f"P;{header.bits}"
        layout = (raw, _stride(header), header.direction)
        image = Image.frombuffer("P", size, _stored(stream, header), "raw", *layout)
    else:
        indices, notes = _run_lengths(stream.read(), header)
        image = Image.frombuffer("P", size, indices, "raw", "P", 0, -header.direction)
    if any(image.histogram()[len(header.palette) :]):
        notes.append("pixels of colours beyond the BMP's palette taken as black")
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(header.palette)] = header.palette
    if (header.palette == header.palette[:, :1]).all():
        return image.point(palette[:, 0].tolist(), "L"), notes
    image.putpalette(palette.tobytes())
    return image, notes


def _colour_image(stream: BinaryIO, header: _Header) -> tuple[Image.Image, list[str]]:
    """The image of pixels of 16, 24 or 32 bits, and what that loses."""
    data = _stored(stream, header)
    size = (header.width, header.height)
    if header.bits == 24:
        layout = ("BGR", _stride(header), header.direction)
        return Image.frombuffer("RGB", size, data, "raw", *layout), []
    rows = _rows(data, header)
    words = rows.view(f"<u{header.bits // 8}")[:, : header.width]
    masks = header.masks if header.masks[3] else header.masks[:3]
    channels = np.empty((header.height, header.width, len(masks)), np.uint8)
    notes = []
    fourth = rows[:, 3 : 4 * header.width : 4]
    if header.bits == 32 and header.compression == _RGB and fourth.min() != fourth.max():
        notes.append("samples of unspecified meaning left out")
    for channel, mask in enumerate(masks):
        if not mask and any(masks):  # a colour that the pixels do not have
            channels[:, :, channel] = 0
            continue
        shift = (mask & -mask).bit_length() - 1
        maximum = mask >> max(shift, 0)
        if not mask or maximum & (maximum + 1):
            raise ValueError(f"a colour mask of {mask:#x}")
        for band in row_bands(header.height, header.width):
            channels[band, :, channel] = eight_bits((words[band] & mask) >> shift, maximum)
    widest = max(mask.bit_count() for mask in masks)
    if widest > 8:
        notes.append(f"{widest}-bit samples reduced to 8")
    mode = "RGBA" if header.masks[3] else "RGB"
    return Image.frombuffer(mode, size, channels, "raw", mode, 0, 1), notes
