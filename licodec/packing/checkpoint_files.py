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
    if SAFETENSORS_START.match(start):
        return _read_safetensors(path)
    _require_checkpoint(path.name, path, start)
    return _read_saved(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises BadInputError."""
    if is_pack(path):
        raise BadInputError(
            f"{path.name}: a weights pack, which is imported already: put it in place with "
            "'licodec models install'"
        )
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError):
        raise BadInputError(f"{path.name}: {DAMAGED}") from None


def _read_saved(path: Path) -> object:
    """What torch.save wrote. Raises BadInputError."""
    try:
        with open_input(path) as file:  # by its name torch.load would judge what it is
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInputError(f"{path.name}: {_refusal(str(error))}") from None
    except MemoryError:
        raise BadInputError(f"{path.name}: asks for more memory than there is") from None
    except (
        RuntimeError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        AssertionError,
        OSError,
        UnicodeDecodeError,
        zipfile.BadZipFile,
    ):
        # What the reader raises depends on where the file stops making sense.
        raise BadInputError(f"{path.name}: {DAMAGED}") from None


def _require_checkpoint(name: str, path: Path, start: bytes) -> None:
    """Raise BadInputError where the first bytes are those of something else."""
    if not start:
        raise BadInputError(f"{name}: the file is empty")
    if start.startswith(ZIP_START):
        if not zipfile.is_zipfile(path):
            raise BadInputError(
                f"{name}: truncated: the archive has no end; download or copy it again"
            )
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            raise BadInputError(f"{name}: the archive is damaged; download it again") from None
        if not any(re.fullmatch(r"[^/]+/data\.pkl", member) for member in members):
            raise BadInputError(
                f"{name}: a zip archive without tensors, not a checkpoint that torch.save wrote"
            )
        return
    if start.startswith(PICKLE_START):
        return
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        raise BadInputError(
            f"{name}: a web page, not a checkpoint: open the link in a browser and download "
            "the file itself"
        )
    if text.startswith(b"version https://git-lfs"):
        raise BadInputError(
            f"{name}: a Git LFS pointer, not the checkpoint itself: run 'git lfs pull'"
        )
    if all(byte in b"\t\n\r\f" or byte >= 0x20 for byte in start):
        raise BadInputError(f"{name}: a text file, not a checkpoint")
    raise BadInputError(f"{name}: not a checkpoint: no file that torch.save writes starts so")


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
