"""Prepare a folder of training pictures as CALICE's was.

    scripts/train.py prepare imagenet/train --largest 8000 -o pictures
    scripts/train.py prepare clic2020/train -o pictures

CALICE trains on the 8,000 largest pictures of ImageNet and 584 of CLIC 2020, prepared as for
QVRF (bytedance/QRAF, whose values are the defaults): the largest by area are taken; uniform
noise from [0, 1) is added to every 8-bit sample and the sum cut to an integer; pictures whose
shorter side is above 512 pixels are then halved each way, bicubically, so that what an earlier
JPEG left is gone; the result is a PNG.

Noise below 1 never changes an integer that it is added to and cut off again, so the published
noise changes nothing. `--noise` gives it a width that does, in levels of 8 bits.

Any folder of pictures will do, subfolders included. The same folder and seed give the same
files on every machine with the same Pillow. What is there already is left alone, so an
interrupted run can be repeated, and pictures that cannot be read are named and passed over.
"""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from command import require_positive
from PIL import Image

from licodec.errors import UsageError
from training.pictures import picture_paths

LARGEST = 255


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("pictures", type=Path, help="folder of pictures")
    add("-o", "--output", type=Path, required=True, help="folder for the prepared ones")
    add("--largest", type=int, metavar="N", help="only the N largest by area; by default all")
    add("--halve-above", type=int, default=512, metavar="SIDE",
        help="shorter side above which pictures are halved (QVRF: %(default)s)")  # fmt: skip
    add("--noise", type=float, default=1.0, help="width of the noise (QVRF: %(default)s)")
    add("--seed", type=int, default=1)
    add("--jobs", type=int, default=os.cpu_count() or 1)


def area(path: Path) -> int | None:
    """Pixels of a picture, from its header alone; None where it cannot be read."""
    try:
        with Image.open(path) as picture:
            return picture.width * picture.height
    except (OSError, Image.DecompressionBombError):
        return None


def largest_pictures(paths: Sequence[Path], count: int | None) -> list[Path]:
    """The `count` readable pictures of the largest area, in name order; among equals the first
    by name. All of them without a count."""
    sizes = {path: size for path in paths if (size := area(path)) is not None}
    for path in paths:
        if path not in sizes:
            print(f"{path}: cannot be read, left out", file=sys.stderr)
    chosen = sorted(sizes, key=lambda path: (-sizes[path], path))[:count]
    return sorted(chosen)


def output_names(paths: Sequence[Path], folder: Path) -> Iterator[tuple[Path, str]]:
    """Each picture and a name for it that says where below `folder` it lay.

    Raises UsageError where two pictures would get one name.
    """
    names: dict[str, Path] = {}
    for path in paths:
        name = "-".join(path.relative_to(folder).with_suffix("").parts) + ".png"
        if name in names:
            raise UsageError(f"{path} and {names[name]} would both become {name}: rename one")
        names[name] = path
        yield path, name


def with_noise(pixels: np.ndarray, width: float, seed: Sequence[int]) -> np.ndarray:
    """uint8 samples plus uniform noise from [0, width), cut to uint8."""
    noise = np.random.default_rng(seed).uniform(0, width, pixels.shape)
    return np.minimum(pixels + noise, LARGEST).astype(np.uint8)


def prepared(picture: Image.Image, side: int, noise: float, seed: Sequence[int]) -> Image.Image:
    """`picture` as RGB with noise, halved where its shorter side is above `side`."""
    noisy = Image.fromarray(with_noise(np.asarray(picture.convert("RGB")), noise, seed))
    if min(noisy.size) <= side:
        return noisy
    return noisy.resize((noisy.width // 2, noisy.height // 2), Image.Resampling.BICUBIC)


def prepare(task: tuple[Path, str], arguments: argparse.Namespace) -> str | None:
    """Write one prepared picture; what was wrong with it, or None."""
    path, name = task
    target = arguments.output / name
    if target.exists():
        return None
    # A picture's noise does not depend on which others are there.
    seed = (arguments.seed, zlib.crc32(name.encode()))
    try:
        with Image.open(path) as picture:
            result = prepared(picture, arguments.halve_above, arguments.noise, seed)
    except (OSError, Image.DecompressionBombError) as error:
        return f"{path}: cannot be read, left out ({error})"
    partial_file = target.with_suffix(".partial")
    result.save(partial_file, "PNG")
    partial_file.replace(target)
    return None


def run(arguments: argparse.Namespace) -> None:
    require_positive(arguments, "largest", "halve_above", "jobs")
    if not 0 <= arguments.noise <= LARGEST:
        raise UsageError(f"--noise: give 0 to {LARGEST}")
    if not arguments.pictures.is_dir():
        raise UsageError(f"{arguments.pictures}: no such folder")
    chosen = largest_pictures(picture_paths(arguments.pictures), arguments.largest)
    tasks = list(output_names(chosen, arguments.pictures))
    arguments.output.mkdir(parents=True, exist_ok=True)
    work = partial(prepare, arguments=arguments)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        problems = [problem for problem in pool.map(work, tasks) if problem]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(tasks) - len(problems)} pictures in {arguments.output}")
