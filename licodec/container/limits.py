"""How large a .lic file and its picture may be, and the checks.

Normative in format/SPEC.md, "Limits". Every size that a file declares passes through here
before anything of that size is allocated.
"""

from __future__ import annotations

from licodec.errors import LimitError

# The largest side that JPEG, TIFF readers and image viewers reliably take.
MAX_SIDE = 65_535

# 268 megapixels: 768 MiB of RGB samples, what a desktop machine holds once.
MAX_PIXELS = 2**28

# Seven types are defined; the rest is room for ancillary chunks of later versions.
MAX_CHUNKS = 64

# All ancillary chunks together: the largest ICC profile that a JPEG can carry (255 segments).
MAX_METADATA_BYTES = 2**24

# 64 runs describe any hand-made plan and most searched ones; a longer plan lives in its pack.
MAX_PLAN_BYTES = 64

# Keeps magic, header and framing within 96 bytes whatever the other header fields are.
MAX_BACKBONE_BYTES = 15

# Streams are cut at about 2^20 symbols, and 2 symbols a pixel of the largest picture make 512 of
# them; tiles make as many as this, at 9 bytes each.
MAX_STREAMS = 2048

# Symbols of a tile, which is decoded at once; ours have half of it at most.
MAX_TILE_SYMBOLS = 2**24

# Latent channels whose scales a chunk TILE states: as many as a program's value may have.
MAX_TILE_CHANNELS = 2**13

# What WebP holds; and decoding a piece takes some 20 bytes of memory a pixel, coding it 30.
MAX_PIECE_SIDE = 16_383
MAX_PIECE_PIXELS = 2**25

# The largest picture needs 5 x 5 pieces; the rest is room for writers that cut finer.
MAX_PIECES = 1024

# The largest alignment of a backbone: latents cover the picture padded to it.
MAX_ALIGNMENT = 128

# 2 symbols a pixel (a published backbone has 1.3), each at most 2 bytes of rANS (its
# frequencies have 16 bits) and 4 of escape.
MAX_PAYLOAD_BYTES_PER_PIXEL = 12

# What the payload takes however small the picture is: checksum, stream index, coder states.
MAX_PAYLOAD_BYTES_FIXED = 64

# An incompressible plane stored as it is, with PNG's filter bytes and framing, at any shape.
MAX_ALPHA_BYTES_PER_PIXEL = 2
MAX_ALPHA_BYTES_FIXED = 1024

# The largest payload, alpha plane and metadata come to 3.8 GB.
MAX_LIC_FILE_BYTES = 2**32


def check_picture_size(width: int, height: int) -> None:
    """Refuse a picture of `width` by `height` pixels that is over the limits.

    Raises LimitError.
    """
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise LimitError(
            f"picture of {width}x{height} pixels is over the limit of {MAX_SIDE} a side "
            f"and {MAX_PIXELS} in all; cut or scale it"
        )


def check_payload_size(size: int, width: int, height: int) -> None:
    """Refuse a payload of `size` bytes that is more than any coding of the picture takes.

    Raises LimitError. The exact check against the latent grid needs the pack.
    """
    padded = _align(width) * _align(height)
    most = MAX_PAYLOAD_BYTES_FIXED + MAX_PAYLOAD_BYTES_PER_PIXEL * padded
    if size > most:
        raise LimitError(
            f"payload of {size} bytes is over the limit of {most} for {width}x{height} pixels"
        )


def check_alpha_size(size: int, width: int, height: int) -> None:
    """Refuse a compressed alpha plane of `size` bytes that is more than storing it takes.

    Raises LimitError.
    """
    most = MAX_ALPHA_BYTES_FIXED + MAX_ALPHA_BYTES_PER_PIXEL * width * height
    if size > most:
        raise LimitError(
            f"alpha plane of {size} bytes is over the limit of {most} for {width}x{height} pixels"
        )


def check_metadata_size(size: int) -> None:
    """Refuse ancillary chunks that hold more than `MAX_METADATA_BYTES` together.

    Raises LimitError.
    """
    if size > MAX_METADATA_BYTES:
        raise LimitError(
            f"metadata of {size} bytes is over the limit of {MAX_METADATA_BYTES}; "
            "leave some of it out (--metadata)"
        )


def _align(side: int) -> int:
    return -(-side // MAX_ALIGNMENT) * MAX_ALIGNMENT
