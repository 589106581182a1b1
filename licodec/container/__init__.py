"""The .lic container: reading, writing and describing files, without decoding a pixel.

Normative in format/SPEC.md. Nothing here imports torch.
"""

from licodec.container.chunks import MAGIC, Chunk
from licodec.container.file import (
    LicFile,
    LosslessFile,
    Metadata,
    Stream,
    pixel_checksum,
    read_file,
    write_file,
)
from licodec.container.header import Header, LosslessHeader, PictureHeader
from licodec.container.limits import (
    MAX_LIC_FILE_BYTES,
    MAX_METADATA_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    MAX_STREAMS,
    check_picture_size,
)
from licodec.container.pieces import Grid, Piece, smallest_grid
from licodec.container.plan import storable_plan
from licodec.container.summary import describe
from licodec.container.tiles import Tiles

__all__ = [
    "MAGIC",
    "MAX_LIC_FILE_BYTES",
    "MAX_METADATA_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "MAX_STREAMS",
    "Chunk",
    "Grid",
    "Header",
    "LicFile",
    "LosslessFile",
    "LosslessHeader",
    "Metadata",
    "PictureHeader",
    "Piece",
    "Stream",
    "Tiles",
    "check_picture_size",
    "describe",
    "pixel_checksum",
    "read_file",
    "smallest_grid",
    "storable_plan",
    "write_file",
]
