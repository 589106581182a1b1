"""Pixels to a .lic file, and back.

    encode:  pixels -> analysis -> y, z -> entropy model -> streams -> container
    decode:  container -> streams <-> entropy model -> latents -> synthesis -> pixels

Every network runs in exact arithmetic, the encoder's too, so that the same pixels and
settings give the same file on every machine, and a file the same pixels.
"""

from licodec.codec.codec import CUDA, REFERENCE, Codec
from licodec.codec.headers import rate_fields
from licodec.codec.lossless import decode_lossless, encode_lossless, quick_bytes
from licodec.codec.programs import pixels_per_position
from licodec.codec.search import SharedAnalysis
from licodec.codec.session import Analysed, Coded, Session

__all__ = [
    "CUDA",
    "REFERENCE",
    "Analysed",
    "Codec",
    "Coded",
    "Session",
    "SharedAnalysis",
    "decode_lossless",
    "encode_lossless",
    "pixels_per_position",
    "quick_bytes",
    "rate_fields",
]
