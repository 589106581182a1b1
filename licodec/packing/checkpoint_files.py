"""Checkpoint files: what torch.save wrote, or safetensors; which one says their content, not their
name. Nothing is unpickled but tensors and plain values.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from licodec.errors import BadInputError
from licodec.files import open_input
from licodec.packs import is_pack

ZIP_START = b"PK\x03\x04"
PICKLE_START = b"\x80"
SAFETENSORS_START = re.compile(rb"[\s\S]{5}\0{3}\{")  # the length of a JSON object, and the object
DAMAGED = "truncated or damaged: download or copy the checkpoint again"


def read_checkpoint(path: Path) -> object:
    """What a file that torch.save wrote holds: tensors and plain values; or one of safetensors.

    Raises BadInputError, which says what the file is instead, or what is wrong with it.
    """
    with open_input(path) as file:
        start = file.read(512)
    try:
        if SAFETENSORS_START.match(start):
            return _read_safetensors(path)
        if (other := _what_else(path, start)) is not None:
            raise BadInputError(other)
        return _read_saved(path)
    except BadInputError as error:
        raise BadInputError(f"{path.name}: {error}") from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises BadInputError."""
    if is_pack(path):
        raise BadInputError(
            "a weights pack, which is imported already: put it in place with "
            "'licodec models install'"
        )
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError):
        raise BadInputError(DAMAGED) from None


def _read_saved(path: Path) -> object:
    """What torch.save wrote. Raises BadInputError."""
    try:
        with open_input(path) as file:  # by its name torch.load would judge what it is
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInputError(_refusal(str(error))) from None
    except MemoryError:
        raise BadInputError("asks for more memory than there is") from None
    except Exception:  # what the reader raises depends on where the file stops making sense
        raise BadInputError(DAMAGED) from None


def _what_else(path: Path, start: bytes) -> str | None:
    """What a file with these first bytes is, if it is nothing that torch.save wrote."""
    if not start:
        return "the file is empty"
    if start.startswith(ZIP_START):
        if not zipfile.is_zipfile(path):
            return "truncated: the archive has no end; download or copy it again"
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return "the archive is damaged; download it again"
        saved = any(re.fullmatch(r"[^/]+/data\.pkl", member) for member in members)
        without = "a zip archive without tensors, not a checkpoint that torch.save wrote"
        return None if saved else without
    if start.startswith(PICKLE_START):
        return None
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        return (
            "a web page, not a checkpoint: open the link in a browser and download the file itself"
        )
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the checkpoint itself: run 'git lfs pull'"
    if all(byte in b"\t\n\r\f" or byte >= 0x20 for byte in start):
        return "a text file, not a checkpoint"
    return "not a checkpoint: no file that torch.save writes starts so"


def _refusal(message: str) -> str:
    """What to say of a pickle that weights_only does not load."""
    match = re.search(r"GLOBAL ([\w.]+)", message)
    if match:
        return (
            f"refused: it names {match[1]}, which could run code; licodec loads tensors only "
            "(save a plain state dict from a source that you trust)"
        )
    if re.search(r"Unsupported|not allowed|Trying to|[Cc]an only|disallowed", message):
        return "refused: it holds more than tensors and could run code; save a plain state dict"
    return DAMAGED
