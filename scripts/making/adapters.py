"""Adapter sets put into packs of `lite`.

    scripts/make.py adapters weights/lite-standard.safetensors --calibrate PICTURES \\
        --adapters mse=alpha.pt ms-ssim=alpha-msssim.pt perceptual=beta.pt -o lite.safetensors

NAME is the objective by which encoders choose a set: `mse`, `ms-ssim`, `perceptual`. The states are
those of `scripts/train.py adapters`, trained on the network of one of these packs or on the one
that they were made of. A pack keeps its id, and files that were encoded with it stay good; each set
has an id of its own. One for the same objective makes place.

Several packs go into a folder, under the names they have.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from licodec.errors import UsageError
from licodec.packing.added_adapters import add_adapters
from licodec.packing.checkpoints import load_network
from licodec.packs import is_objective, read_pack, write_pack
from making import calibration


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("packs", type=Path, nargs="+", metavar="PACK")
    add("--adapters", nargs="+", required=True, metavar="NAME=FILE", help="sets by objective")
    calibration.add_options(parser)
    add("-o", "--output", type=Path, required=True, help="file, or folder for several packs")


def adapter_states(entries: list[str]) -> dict[str, Path]:
    """State files by objective. Raises UsageError."""
    found: dict[str, Path] = {}
    for entry in entries:
        name, sign, file = entry.partition("=")
        if not sign or not file or not is_objective(name) or name in found:
            raise UsageError(
                f"--adapters {entry}: give NAME=FILE, each NAME once, of lower-case letters, "
                "digits and hyphens"
            )
        found[name] = Path(file)
    return found


def places(packs: list[Path], output: Path) -> list[Path]:
    """Where each of `packs` goes; makes the folder. Raises UsageError."""
    if len(packs) == 1 and not output.is_dir():
        return [output]
    if len({path.name for path in packs}) < len(packs):
        raise UsageError("two of the packs have the same name; give them one by one")
    output.mkdir(parents=True, exist_ok=True)
    return [output / path.name for path in packs]


def run(arguments: argparse.Namespace) -> None:
    """Make and write every pack. Raises LicodecError."""
    states = adapter_states(arguments.adapters)
    adapted = {name: load_network(file) for name, file in states.items()}
    packs = [read_pack(path) for path in arguments.packs]
    pictures = calibration.pictures_of(arguments)
    for pack, path in zip(packs, places(arguments.packs, arguments.output), strict=True):
        grown = add_adapters(pack, adapted, pictures)
        write_pack(grown, path)
        print(f"{path}: id {grown.weights_id.hex()}, {path.stat().st_size:,} bytes")
        for objective, identifier in grown.adapter_ids.items():
            print(f"{path}: adapters for {objective}, id {identifier.hex()}", flush=True)
