#!/usr/bin/env python3
"""Show that files decode to the same pixels under every setting of a machine.

    scripts/exactness.py photo.png --generate
    scripts/exactness.py --generate --python other/bin/python --only 'threads|python'
    scripts/exactness.py --generate --alphas 0.3,1 --betas 0,1
    scripts/exactness.py --model cheng.safetensors --sizes 384x256,64x64 --ds 1 --alphas 0.5

Pictures are encoded once, at every d of --ds and, by each adapter set of the pack, at every alpha
and beta, under the baseline (no variables set, the
backend that licodec chooses). Then one process per setting decodes all files: thread counts,
the instruction sets that torch and oneDNN may use, oneDNN's reduced-precision mode, each
backend, other interpreters (--python, where licodec's dependencies must be installed), and
format/reference_decoder.py. Some settings encode the pictures again, and their files must be
the baseline's byte for byte; so every file that was made under one of them is decoded under
all the others.

Each decoded picture is compared by SHA-256 with what the encoder promised. A backend that
cannot run, or that its self-test finds inexact, is refused: it is reported, with the reason,
and is not a failure, since no pixel comes from it. Exits with 1 on any difference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from licodec.codec import Codec
from licodec.container import read_file
from licodec.errors import LicodecError
from licodec.exact import native
from licodec.exact.interpreter import set_threads
from licodec.exact.native.levels import LEVEL_VARIABLE, NONE, levels
from licodec.images import Picture, encode_picture, read_picture
from licodec.library import Library
from licodec.packs import Pack, choose_pack, read_name, read_pack
from licodec.rate.modes import Rate, RateMode

REPOSITORY = Path(__file__).resolve().parent.parent
SECOND_DECODER = "format/reference_decoder.py"
REFERENCE_DECODER = REPOSITORY / SECOND_DECODER
BASELINE = "baseline"
CPU_BACKENDS = ("native", "int8", "float32")
# Removed from the environment of every process, so that a setting is the only one there.
VARIABLES = (
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE"),
    LEVEL_VARIABLE,
)


@dataclass(frozen=True)
class Setting:
    """One way to run licodec: what differs from the baseline.

    encodes  whether it also encodes every picture, to be compared with the baseline's files
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    backend: str | None = None
    python: str = sys.executable
    encodes: bool = False


@dataclass(frozen=True)
class Row:
    """What one setting gave.

    backend   the one used, with torch's version; empty where none could be
    decoded   files that gave the promised pixels, of `files`
    encoded   pictures that gave the baseline's file, or None where none was encoded
    digest    SHA-256 over the names and pixel hashes of all files
    refused   why faster backends, or the one asked for, were not used, by name
    problems  one line for every difference
    """

    setting: str
    backend: str
    files: int
    decoded: int
    encoded: int | None
    digest: str
    refused: Mapping[str, str]
    problems: tuple[str, ...]
    seconds: float


def native_levels() -> list[str]:
    """Of instructions that native code can be kept to here; all but the best, the baseline's."""
    names = [] if native.library() is None else [level.name for level in levels()[:-1]]
    return [NONE, *names]


def settings(pythons: list[str]) -> list[Setting]:
    """The matrix: settings varied one at a time."""

    def variable(name: str, value: str, **more: Any) -> Setting:
        """A variable of torch, which native code would not heed."""
        label = "".join(f", {what} {which}" for what, which in more.items() if what == "backend")
        return Setting(f"{name}={value}{label}", {name: value, LEVEL_VARIABLE: NONE}, **more)

    fpmath = "ONEDNN_DEFAULT_FPMATH_MODE"
    return [
        Setting(BASELINE),
        Setting("threads 1", threads=1, encodes=True),
        Setting("threads 2", threads=2),
        *(Setting(f"{LEVEL_VARIABLE}={name}", {LEVEL_VARIABLE: name}) for name in native_levels()),
        *(variable("ATEN_CPU_CAPABILITY", level) for level in ("default", "avx2", "avx512")),
        variable("ONEDNN_MAX_CPU_ISA", "SSE41"),
        variable("ONEDNN_MAX_CPU_ISA", "AVX2", encodes=True),
        variable("ONEDNN_MAX_CPU_ISA", "AVX512_CORE"),
        variable("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI"),
        variable(fpmath, "BF16"),
        variable(fpmath, "BF16", backend="float32"),
        Setting("backend reference", backend="reference", encodes=True),
        Setting("backend float32", backend="float32", encodes=True),
        Setting("backend int8", backend="int8"),
        Setting("backend cuda", backend="cuda", encodes=True),
        *(Setting(f"python {python}", python=python, encodes=True) for python in pythons),
    ]


# Pictures ----------------------------------------------------------------------------------


def generated_pictures() -> dict[str, Picture]:
    """Odd sizes, grey, alpha, noise and saturated edges, by name; the same on every run."""
    random = np.random.default_rng(2)

    def noise(height: int, width: int) -> np.ndarray:
        return random.integers(0, 256, (height, width, 3), np.uint8)

    checker = np.indices((100, 100)).sum(0) // 7 % 2 * 255
    alpha = np.broadcast_to(np.arange(80, dtype=np.uint8) * 3, (60, 80))
    return {
        "1x1": Picture(noise(1, 1)),
        "17x33": Picture(textured(33, 17)),
        "511x769": Picture(textured(769, 511)),
        "130x70 noise": Picture(noise(70, 130)),
        "100x100 checker": Picture(np.repeat(checker.astype(np.uint8)[:, :, None], 3, 2)),
        "65x190 grey": Picture(textured(190, 65)[:, :, :1].copy()),
        "80x60 alpha": Picture(textured(60, 80), np.ascontiguousarray(alpha)),
    }


def textured(height: int, width: int) -> np.ndarray:
    """Waves of growing frequency under light noise, uint8 (height, width, 3)."""
    random = np.random.default_rng((height, width))
    rows, columns = np.ogrid[:height, :width]
    planes = [
        127
        + 80 * np.sin(rows * rows / (40.0 + 9 * c) / height * 8 + c)
        + 40 * np.sin(columns * (0.02 + columns / width / 3) + 2 * c)
        for c in range(3)
    ]
    noisy = np.stack(planes, 2) + random.normal(0, 3, (height, width, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def pixel_hash(picture: Picture) -> str:
    """SHA-256 over interleaved samples, then alpha, as the pixel checksum is taken."""
    digest = hashlib.sha256(np.ascontiguousarray(picture.pixels).data)
    if picture.alpha is not None:
        digest.update(np.ascontiguousarray(picture.alpha).data)
    return digest.hexdigest()


# The worker: one process under one setting ---------------------------------------------------


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Encode and decode what `job` names; runs in a process of its own.

    `job` holds backend and threads (or null), pack (a path), encode ([picture, rate, target]
    lists, rates as :func:`rate_to_json` gives them) and decode (paths). Files are decoded without
    the retry on the reference backend that applications get, so that nothing hides a wrong
    backend.
    """
    if job["threads"] is not None:
        set_threads(job["threads"])
    library = Library(job["backend"])
    try:
        codec = library.open(read_name(Path(job["pack"]))).fastest
        if job["encode"]:
            codec.prepare_encoding()
    except LicodecError as error:
        return {"refused": {job["backend"]: str(error)}}
    encoded = {}
    for name, rate, target in job["encode"]:
        picture = read_picture(Path(name), name)
        coded = codec.encode_at(picture, rate_from_json(rate)).result
        Path(target).write_bytes(coded.data)
        encoded[target] = pixel_hash(coded.picture)
    decoded = {path: _decoded_hash(library, Path(path)) for path in job["decode"]}
    return {
        "backend": _backend_name(codec),
        "refused": codec.interpreter.rejected,
        "encoded": encoded,
        "decoded": decoded,
    }


def _decoded_hash(library: Library, path: Path) -> str:
    """The hash of a file's pixels, or the error in its place."""
    try:
        lic = read_file(path.read_bytes())
        return pixel_hash(library.codecs_for(lic).fastest.decode(lic))
    except LicodecError as error:
        return f"error: {error}"


def _backend_name(codec: Codec) -> str:
    torch = sys.modules.get("torch")
    return codec.backend + (f", torch {torch.__version__}" if torch else "")


def run_worker(setting: Setting, job: Mapping[str, Any]) -> dict[str, Any]:
    """`work(job)` in a process under `setting`."""
    environment = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    environment |= setting.environment
    if setting.backend != "cuda":  # else it would be chosen, and the other settings idle
        environment["CUDA_VISIBLE_DEVICES"] = ""
    # Threads that sleep while they wait: on a busy machine the run takes half the time.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    paths = [str(REPOSITORY), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    done = subprocess.run(
        [setting.python, __file__, "--worker"],
        input=json.dumps({**job, "backend": setting.backend, "threads": setting.threads}),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return {"failure": last[0]}


# The matrix --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Files:
    """The files under test.

    pictures  (picture, rate as JSON, file) for each
    promised  hash of the pixels that the encoder promised, by file
    """

    pack: str
    pictures: tuple[tuple[str, list[Any], str], ...]
    promised: Mapping[str, str]


def make_files(pack: str, pictures: list[Path], rates: list[Rate], folder: Path) -> Files:
    """Encode every picture at every rate under the baseline. Exits where that fails."""
    jobs = tuple(
        (str(picture), rate_to_json(rate), str(folder / f"{index:02} {picture.stem} {rated}.lic"))
        for index, picture in enumerate(pictures)
        for rated, rate in ((rate_in_words(rate), rate) for rate in rates)
    )
    answer = run_worker(Setting(BASELINE), {"pack": pack, "encode": jobs, "decode": []})
    if "encoded" not in answer:
        reason = answer.get("failure") or "; ".join(answer["refused"].values())
        sys.exit(f"the pictures could not be encoded: {reason}")
    return Files(pack, jobs, answer["encoded"])


def rates_of(pack: Pack, ds: list[float], alphas: list[float], betas: list[float]) -> list[Rate]:
    """Every d, and for each adapter set every alpha with every beta that it has."""
    rates = [Rate(RateMode.D, d) for d in ds]
    for own in pack.adapter_rates:
        scaled = betas if "beta" in own.modes else [0.0]
        rates += [Rate(RateMode.ALPHA, a, b, None, own.objective) for a in alphas for b in scaled]
    return rates


def rate_to_json(rate: Rate) -> list[Any]:
    return [rate.mode.value, rate.value, rate.beta, rate.objective]


def rate_from_json(data: list[Any]) -> Rate:
    mode, value, beta, objective = data
    return Rate(RateMode(mode), value, beta, None, objective)


def rate_in_words(rate: Rate) -> str:
    """For a file's name: "d=2", "mse alpha=0.5", "perceptual alpha=0.5 beta=1"."""
    words = [rate.objective, f"{rate.mode.value}={rate.value:g}"]
    return " ".join(filter(None, [*words, f"beta={rate.beta:g}" if rate.beta else None]))


def check(setting: Setting, files: Files, folder: Path) -> Row:
    """Decode all files under `setting`, and encode the pictures again where it says so."""
    started = time.monotonic()
    again = [(picture, r, str(folder / Path(file).name)) for picture, r, file in files.pictures]
    job = {
        "pack": files.pack,
        "encode": again if setting.encodes else [],
        "decode": list(files.promised),
    }
    if setting.encodes:
        folder.mkdir()
    answer = run_worker(setting, job)
    problems = [answer["failure"]] if "failure" in answer else []
    decoded = answer.get("decoded", {})
    problems += differences(files.promised, decoded)
    of_interest = (setting.backend, *CPU_BACKENDS)
    encoded = None
    if "encoded" in answer and setting.encodes:
        others = [
            file
            for (_, _, file), (_, _, mine) in zip(files.pictures, again, strict=True)
            if Path(file).read_bytes() != Path(mine).read_bytes()
        ]
        encoded = len(again) - len(others)
        problems += [f"{Path(file).name}: encodes to another file" for file in others]
    return Row(
        setting.name,
        answer.get("backend", ""),
        len(files.promised),
        sum(files.promised.get(path) == found for path, found in decoded.items()),
        encoded,
        joint_digest(decoded) if decoded else "",
        {name: why for name, why in answer.get("refused", {}).items() if name in of_interest},
        tuple(problems),
        time.monotonic() - started,
    )


def check_reference_decoder(files: Files) -> Row:
    """Decode all files by format/reference_decoder.py, which prints its pixels' SHA-256."""
    started = time.monotonic()
    decoded = {}
    for path in files.promised:
        command = [sys.executable, str(REFERENCE_DECODER), path, "--weights", files.pack]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        error = (done.stderr.strip().splitlines() or ["no message"])[-1]
        decoded[path] = done.stdout.strip() if done.returncode == 0 else f"error: {error}"
    return Row(
        SECOND_DECODER,
        "NumPy",
        len(files.promised),
        sum(files.promised[path] == found for path, found in decoded.items()),
        None,
        joint_digest(decoded),
        {},
        tuple(differences(files.promised, decoded)),
        time.monotonic() - started,
    )


def differences(promised: Mapping[str, str], decoded: Mapping[str, str]) -> list[str]:
    """One line for every file whose pixels are not the promised ones."""
    lines = []
    for path, found in decoded.items():
        if found != promised[path]:
            what = found if found.startswith("error") else "other pixels"
            lines.append(f"{Path(path).name}: {what}")
    return lines


def joint_digest(hashes: Mapping[str, str]) -> str:
    """One SHA-256 for the pixel hashes of all files."""
    lines = sorted(f"{Path(path).name} {found}\n" for path, found in hashes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_refusal(row: Row) -> bool:
    """Whether the setting asked for a backend that cannot be used here."""
    return not row.backend and not row.problems


# The command -------------------------------------------------------------------------------


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs="*", help="picture files")
    parser.add_argument("--generate", action="store_true", help="add seven generated pictures")
    parser.add_argument("--sizes", help="add textured pictures of these sizes: 384x256,64x64")
    parser.add_argument("--ds", default="0.5,1,3,8", help="values of d, separated by commas")
    parser.add_argument("--alphas", default="", help="of alpha, for each adapter set of the pack")
    parser.add_argument("--betas", default="0", help="of beta, for those that have it")
    parser.add_argument("--model", default="lite", help="a backbone, or the path of a pack")
    parser.add_argument("--plan", default="standard")
    parser.add_argument(
        "--python", action="append", default=[], help="another interpreter to run, repeatable"
    )
    parser.add_argument("--only", help="run the settings whose name this expression matches")
    parser.add_argument("--skip", help="leave out those whose name this expression matches")
    parser.add_argument("--list", action="store_true", help="list the settings and stop")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def chosen(names: list[str], only: str | None, skip: str | None) -> list[str]:
    """The names that `only` matches, if given, and `skip` does not; the expressions are
    searched for, without regard to case."""
    return [
        name
        for name in names
        if (only is None or re.search(only, name, re.IGNORECASE))
        and (skip is None or not re.search(skip, name, re.IGNORECASE))
    ]


def run_matrix(arguments: argparse.Namespace) -> list[Row]:
    matrix = {setting.name: setting for setting in settings(arguments.python)}
    names = chosen([*matrix, SECOND_DECODER], arguments.only, arguments.skip)
    if arguments.list:
        print("\n".join(names))
        sys.exit(0)
    if not (arguments.pictures or arguments.generate or arguments.sizes):
        sys.exit("no pictures: name some, or add --generate or --sizes")
    ds, alphas, betas = (
        [float(value) for value in values.split(",") if value]
        for values in (arguments.ds, arguments.alphas, arguments.betas)
    )
    pack = str(choose_pack(arguments.model, arguments.plan).path)
    rates = rates_of(read_pack(Path(pack)), ds, alphas, betas)
    rows = []
    with tempfile.TemporaryDirectory(prefix="exactness-") as scratch:
        folder = Path(scratch)
        pictures = list(arguments.pictures)
        generated = generated_pictures() if arguments.generate else {}
        for size in arguments.sizes.split(",") if arguments.sizes else ():
            width, _, height = size.partition("x")
            generated[size] = Picture(textured(int(height), int(width)))
        for name, picture in generated.items():
            path = folder / f"{name}.png"
            path.write_bytes(encode_picture(picture, "PNG"))
            pictures.append(path)
        at = ", ".join(map(rate_in_words, rates))
        print(f"encoding {len(pictures)} pictures at {at}", file=sys.stderr)
        files = make_files(pack, pictures, rates, folder)
        for index, name in enumerate(names):
            print(f"{index + 1}/{len(names)}  {name}", file=sys.stderr)
            setting = matrix.get(name)
            rows.append(
                check(setting, files, folder / str(index))
                if setting
                else check_reference_decoder(files)
            )
    return rows


def print_rows(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table("setting", "backend used", "pixels right", "files equal", "s", "SHA-256")
    for row in rows:
        if is_refusal(row):
            table.add_row(row.setting, "refused", "", "", f"{row.seconds:.0f}", "")
            continue
        table.add_row(
            row.setting,
            row.backend,
            f"{row.decoded} of {row.files}",
            "" if row.encoded is None else f"{row.encoded} of {row.files}",
            f"{row.seconds:.0f}",
            row.digest[:12],
        )
    console.print(table)
    refusals: dict[str, list[str]] = {}
    for row in rows:
        for backend, reason in row.refused.items():
            refusals.setdefault(f"{backend} refused: {reason}", []).append(row.setting)
    for refusal, under in refusals.items():
        print(f"{refusal} (under {'; '.join(under)})")
    for row in rows:
        for problem in row.problems:
            print(f"DIFFERENCE  {row.setting}: {problem}")
    for digest in dict.fromkeys(row.digest for row in rows if row.digest):
        count = sum(row.digest == digest for row in rows)
        print(f"SHA-256 of all pixels, {count} settings: {digest}")


def main() -> None:
    arguments = parse_arguments()
    if arguments.worker:
        json.dump(work(json.load(sys.stdin)), sys.stdout)
        return
    try:
        rows = run_matrix(arguments)
    except LicodecError as error:
        sys.exit(str(error))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print_rows(rows)
    if any(row.problems for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
