"""Packs that are installed: where they are looked for, and which one a file or a user means."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from licodec.errors import CorruptFileError, LicodecError, UsageError, WeightsMissingError
from licodec.files import is_missing
from licodec.packs.storage import SUFFIX, ForeignFileError, PackName, read_name, read_name_of

SEARCH_VARIABLE = "LICODEC_WEIGHTS"


def search_folders() -> tuple[Path, ...]:
    """Where packs are looked for, in order: LICODEC_WEIGHTS, the user's, the embedded ones."""
    named = os.environ.get(SEARCH_VARIABLE, "")
    folders = [Path(part) for part in named.split(os.pathsep) if part]
    with contextlib.suppress(LicodecError):  # a user without a home has no packs there
        folders.append(user_folder())
    return (*folders, embedded_folder())


def user_folder() -> Path:
    """Where `licodec models install` puts packs. Raises LicodecError for a user without a home."""
    base = os.environ.get("XDG_DATA_HOME")
    try:
        folder = Path(base) if base else Path.home() / ".local" / "share"
    except RuntimeError:
        raise LicodecError(
            "this user has no home folder; name one for weights packs in XDG_DATA_HOME"
        ) from None
    return folder / "licodec" / "weights"


def embedded_folder() -> Path:
    """The packs that ship with licodec: installed beside the package, or in its checkout."""
    package = Path(__file__).parent.parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def found_packs() -> Iterator[PackName | CorruptFileError]:
    """Every pack in search order, or what is wrong with one that cannot be read.

    Folders that cannot be looked into are passed over, and files that are no packs.
    """
    for path in _pack_files():
        try:
            yield read_name(path)
        except ForeignFileError:
            continue
        except CorruptFileError as error:
            yield error


def _pack_files() -> Iterator[Path]:
    for folder in search_folders():
        if folder.suffix == SUFFIX:
            paths = [folder]
        else:
            names = _listed(folder)
            paths = [folder / name for name in sorted(names) if name.endswith(SUFFIX)]
        yield from filter(os.path.isfile, paths)


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def installed_packs() -> Iterator[PackName]:
    """Every readable pack, in search order."""
    return (found for found in found_packs() if isinstance(found, PackName))


def _passed_over() -> str:
    """What an error for a pack that was not found adds: which ones could not be read."""
    problems = [str(found) for found in found_packs() if not isinstance(found, PackName)]
    for folder in search_folders():
        try:
            os.stat(folder) if folder.suffix == SUFFIX else os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problems.append(f"{folder}: cannot be looked into: {error.strerror}")
    return "".join(f"; {problem}" for problem in problems)


def find_pack(weights_id: bytes, backbone: str, adapter_id: bytes | None = None) -> PackName:
    """The pack with this id, and with this adapter set where one is named.

    Raises WeightsMissingError naming what to install, and the backbone's other packs.
    """
    for path in _pack_files():
        with contextlib.suppress(CorruptFileError):
            found = read_name_of(path, weights_id)
            if found is not None and found.has_adapters(adapter_id):
                return found
    others, sets = [], []
    for name in installed_packs():
        if name.weights_id == weights_id:
            sets += [own.adapter_id.hex() for own in name.adapters] or ["none"]
        elif name.backbone == backbone:
            others.append(f"{name.plan_name} ({name.weights_id.hex()})")
    if adapter_id is not None and sets:
        raise WeightsMissingError(
            f"the file needs the adapter set {adapter_id.hex()}, which no installed "
            f"{backbone} pack {weights_id.hex()} has (adapter sets there: "
            f"{', '.join(dict.fromkeys(sets))}): install the pack that it was encoded with"
            f"{_passed_over()}"
        )
    installed = f", only {', '.join(dict.fromkeys(others))}" if others else ""
    raise WeightsMissingError(
        f"no installed weights pack has the id {weights_id.hex()} (backbone {backbone})"
        f"{installed}: run 'licodec models install PACK' on the pack's file, or name its folder in "
        f"{SEARCH_VARIABLE}; 'licodec models' lists what is installed{_passed_over()}"
    )


def choose_pack(model: str | os.PathLike[str], plan: str) -> PackName:
    """The pack to encode with: `model` is a backbone's name or a pack's path.

    Raises UsageError where there is none.
    """
    model = os.fspath(model) if isinstance(model, os.PathLike) else model
    if isinstance(model, str) and model.endswith(SUFFIX):
        if is_missing(model):
            raise UsageError(f"{model}: no such weights pack")
        return read_name(Path(model))
    packs = list(installed_packs())
    for name in packs:
        if name.backbone == model and name.plan_name == plan:
            return name
    known = sorted({f"{p.backbone} ({p.plan_name})" for p in packs})
    raise UsageError(
        f"no weights pack for model {model!r} with plan {plan!r}; "
        f"installed: {', '.join(known) or 'none'}{_passed_over()}"
    )
