"""Every error licodec raises on purpose, with the exit code the command line gives it.

A message is one line: what is wrong, where, and what to do about it.
"""

from __future__ import annotations


class LicodecError(Exception):
    """Base of all deliberate errors; exit code 1 (anything without a code of its own)."""

    exit_code = 1


class UsageError(LicodecError):
    """The request itself makes no sense: an option out of range, a mode a pack lacks."""

    exit_code = 2


class BadInputError(LicodecError):
    """An input that is not what it should be: a corrupt file, a picture that cannot be read."""

    exit_code = 3


class CorruptFileError(BadInputError):
    """A .lic file or weights pack that breaks its format (chunk CRCs included)."""


class WeightsMissingError(LicodecError):
    """No weights pack with the id that a file names is installed."""

    exit_code = 4


class PixelChecksumError(LicodecError):
    """The decoded pixels are not those the encoder saw."""

    exit_code = 5


class LimitError(LicodecError):
    """Something is larger than licodec's stated limits."""

    exit_code = 6
