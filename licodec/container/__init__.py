"""The .lic container: reading, writing and describing files, without decoding a pixel.

Normative in format/SPEC.md. Nothing here imports torch.
"""

from licodec.container.bands import Bands
from licodec.container.chunks import MAGIC, Chunk
from licodec.container.file import (
    LicFile,
    Metadata,
    Stream,
    pixel_checksum,
    read_file,
    write_file,
)
from licodec.container.header import Header
from licodec.container.limits import (
    MAX_LIC_FILE_BYTES,
    MAX_METADATA_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    MAX_STREAMS,
    check_picture_size,
)
from licodec.container.plan import storable_plan
from licodec.container.summary import describe

__all__ = [
    "MAGIC",
    "MAX_LIC_FILE_BYTES",
    "MAX_METADATA_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "MAX_STREAMS",
    "Bands",
    "Chunk",
    "Header",
    "LicFile",
    "Metadata",
    "Stream",
    "check_picture_size",
    "describe",
    "pixel_checksum",
    "read_file",
    "storable_plan",
    "write_file",
]
