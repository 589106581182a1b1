"""`licodec models`: which weights packs there are, whether they are whole, and one more."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from licodec.cli.rendering import Reporter, Verbosity, print_table
from licodec.cli.streams import Channel, require_output, say
from licodec.errors import BadInputError, CorruptFileError
from licodec.files import (
    display_name,
    is_missing,
    make_folder,
    read_bytes,
    save_atomically,
)
from licodec.packs import (
    LARGEST_PACK,
    SUFFIX,
    AdaptersName,
    Pack,
    PackName,
    embedded_folder,
    found_packs,
    installed_packs,
    read_pack,
    search_folders,
    user_folder,
)
from licodec.packs.plans import CARD_KEY

_NAME_CHARACTERS = re.compile(r"[^A-Za-z0-9.-]+")


def list_text() -> int:
    """Print a table of the installed packs, those that `encode` takes marked with a star."""
    require_output()
    packs = _installed_and_warned()
    if not packs:
        folders = ", ".join(display_name(folder) for folder in search_folders())
        say(f"no weights packs are installed; looked in {folders}", Channel.ERROR)
        return 0
    first = {(pack.backbone, pack.plan_name): pack for pack in reversed(packs)}
    rows = [
        (
            "*" if first[pack.backbone, pack.plan_name] is pack else "",
            pack.backbone,
            pack.plan_name,
            pack.weights_id.hex(),
            f"{pack.size / 1e6:.1f} MB",
            _measured_loss(pack),
            _adapters(pack.adapters) or "",
            _whereabouts(pack),
        )
        for pack in packs
    ]
    print_table(("", "model", "plan", "weights id", "size", "loss", "adapters", "file"), rows)
    return 0


def list_json() -> int:
    """Print a JSON array of the installed packs in the order in which they are searched.

    Bytes of a path that are no text are lone surrogates, see `licodec.cli.info.info_json`.
    """
    require_output()
    packs = [
        {
            "model": pack.backbone,
            "plan": pack.plan_name,
            "weights_id": pack.weights_id.hex(),
            "adapters": [
                {
                    "objective": own.objective,
                    "adapter_id": own.adapter_id.hex(),
                    "modes": list(own.modes),
                }
                for own in pack.adapters
            ],
            "size": pack.size,
            "path": str(pack.path),
            "card": dict(pack.card),
        }
        for pack in _installed_and_warned()
    ]
    say(json.dumps(packs, indent=2))
    return 0


def _installed_and_warned() -> list[PackName]:
    """The installed packs; those that cannot be read are named in warnings."""
    found = list(found_packs())
    damaged = [str(error) for error in found if isinstance(error, CorruptFileError)]
    Reporter(Verbosity.NORMAL).warnings([f"{problem}; passed over" for problem in damaged])
    return [pack for pack in found if isinstance(pack, PackName)]


def _measured_loss(pack: PackName) -> str:
    """What quantization changed of the RD-loss, in percent of the float network's; empty where
    the pack's card does not say."""
    figures = pack.card.get(CARD_KEY)
    loss = figures.get("measured_loss") if isinstance(figures, dict) else None
    return f"{100 * loss:+.2f} %" if isinstance(loss, float) else ""


def _adapters(adapters: Sequence[AdaptersName]) -> str:
    """Objectives of adapter sets, and what each scales by."""
    return ", ".join(f"{own.objective} ({', '.join(own.modes)})" for own in adapters)


def _whereabouts(pack: PackName) -> str:
    embedded = pack.path.parent == embedded_folder()
    return f"{pack.path.name} (embedded)" if embedded else str(pack.path)


def verify_packs(names: list[str], verbosity: Verbosity) -> int:
    """Read each pack whole; `names` are paths, models or weights ids, none means all.

    Returns the exit code, the highest of the packs'.
    """
    reporter = Reporter(verbosity)
    for name in names:
        try:
            paths = _paths(name)
        except BadInputError as error:
            reporter.failure(error)
        else:
            for path in paths:
                _verify(path, reporter)
    for found in () if names else found_packs():
        if isinstance(found, PackName):
            _verify(found.path, reporter)
        else:
            reporter.failure(found)
    return reporter.exit_code


def _verify(path: Path, reporter: Reporter) -> None:
    try:
        pack = read_pack(path)
    except CorruptFileError as error:
        reporter.failure(error)
        return
    reporter.result(
        f"{display_name(path)}: ok, {pack.backbone} ({pack.plan_name}), "
        f"{pack.weights_id.hex()}, rate modes {', '.join(pack.rate_modes) or 'none'}"
        + "".join(f", adapters {o.hex()} ({n})" for n, o in pack.adapter_ids.items())
    )


def _paths(name: str) -> list[Path]:
    """The pack files that a path, a model's name or a weights id means. Raises BadInputError."""
    if name.endswith(SUFFIX) or os.path.isfile(name):
        if is_missing(name):
            raise BadInputError(f"{display_name(name)}: no such weights pack; check the name")
        return [Path(name)]
    found = [p.path for p in installed_packs() if name in (p.backbone, p.weights_id.hex())]
    if not found:
        raise BadInputError(
            f"{display_name(name)}: neither a file nor the model or weights id of an installed "
            "pack; 'licodec models' lists them"
        )
    return found


def _includes(installed: PackName, pack: Pack) -> bool:
    """Whether `installed` serves every file that `pack` serves."""
    return installed.weights_id == pack.weights_id and all(
        map(installed.has_adapters, pack.adapter_ids.values())
    )


def install_pack(name: str, verbosity: Verbosity) -> int:
    """Check a pack and copy it into the user's folder; returns the exit code 0.

    Raises BadInputError, CorruptFileError, LicodecError.
    """
    path = Path(name)
    if is_missing(path):
        raise BadInputError(f"{display_name(name)}: no such weights pack; check the name")
    pack = read_pack(path)
    reporter = Reporter(verbosity)
    title = f"{pack.backbone} ({pack.plan_name}, {pack.weights_id.hex()})"
    same = next((p for p in installed_packs() if _includes(p, pack)), None)
    if same is not None:
        reporter.result(f"{title} is installed already: {display_name(same.path)}")
        return 0
    # Packs of one anchor may have different adapter sets, and files need theirs.
    ids = (pack.weights_id, *pack.adapter_ids.values())
    parts = (pack.backbone, pack.plan_name, *(own.hex() for own in ids))
    stem = "-".join(_NAME_CHARACTERS.sub("_", part) for part in parts)
    target = user_folder() / (stem + SUFFIX)
    make_folder(target.parent)
    save_atomically(target, read_bytes(path, LARGEST_PACK), overwrite=False)
    reporter.result(f"{title} installed: {display_name(target)}")
    return 0
