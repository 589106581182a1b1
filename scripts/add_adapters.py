#!/usr/bin/env python3
"""Put adapter sets into packs of `lite`.

    scripts/add_adapters.py weights/lite-standard.safetensors --calibrate PICTURES \\
        --adapters mse=alpha.pt ms-ssim=alpha-msssim.pt perceptual=beta.pt -o lite.safetensors

NAME is the objective by which encoders choose a set: `mse`, `ms-ssim`, `perceptual`. The states are
those of scripts/train_adapters.py, trained on the network of one of these packs or on the one that
they were made of. A pack keeps its id, and files that were encoded with it stay good; each set has
an id of its own. One for the same objective makes place.

Several packs go into a folder, under the names they have.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from licodec.errors import LicodecError, UsageError
from licodec.packing.added_adapters import add_adapters
from licodec.packing.calibration import read_pictures
from licodec.packing.checkpoints import load_network
from licodec.packing.compiled import AdaptedNetwork
from licodec.packs import is_objective, read_pack, write_pack


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("packs", type=Path, nargs="+", metavar="PACK")
    parser.add_argument(
        "--adapters", nargs="+", required=True, metavar="NAME=FILE", help="sets by objective"
    )
    parser.add_argument("--calibrate", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=24, help="how many of them to use")
    parser.add_argument("--crop", type=int, default=512, help="largest side of the centre crop")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="file, or folder for several packs"
    )
    return parser.parse_args(argv)


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
    adapted = [AdaptedNetwork(name, load_network(file)) for name, file in states.items()]
    packs = [read_pack(path) for path in arguments.packs]
    pictures = read_pictures(arguments.calibrate, arguments.pictures, arguments.crop)
    for pack, path in zip(packs, places(arguments.packs, arguments.output), strict=True):
        grown = add_adapters(pack, adapted, pictures)
        write_pack(grown, path)
        print(f"{path}: id {grown.weights_id.hex()}, {path.stat().st_size:,} bytes")
        for objective, identifier in grown.adapter_ids.items():
            print(f"{path}: adapters for {objective}, id {identifier.hex()}", flush=True)


def main(argv: list[str] | None = None) -> None:
    arguments = parse_arguments(argv)
    try:
        run(arguments)
    except LicodecError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
