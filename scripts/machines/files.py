"""Show that files decode to the same pixels under every setting of a machine.

    scripts/exactness.py files photo.png --generate
    scripts/exactness.py files --generate --python other/bin/python --only 'threads|python'
    scripts/exactness.py files --sizes 33x17,96x64 --ds 0.5,1,8 --python /tmp/arm64/python
    scripts/exactness.py files --generate --alphas 0.3,1 --betas 0,1
    scripts/exactness.py files --model cheng.safetensors --sizes 384x256,64x64 --ds 1 --alphas 0.5

Pictures are encoded once, at every d of --ds and, by each adapter set of the pack, at every alpha
and beta, under the baseline (no variables set, the
backend that licodec chooses). Then one process per setting decodes all files: thread counts,
each level of instructions of native code, the instruction sets that torch and oneDNN may use,
oneDNN's reduced-precision mode, each backend, other interpreters (--python: perhaps one that
`scripts/make.py python` has made), and format/reference_decoder.py. Some settings encode the
pictures again, and their files must be the baseline's byte for byte; so every file that was made
under one of them is decoded under all the others.

Each decoded picture is compared by SHA-256 with what the encoder promised. A backend that
cannot run, or that its self-test finds inexact, is refused: it is reported, with the reason,
and is not a failure, since no pixel comes from it. An interpreter that cannot read packs runs
the second decoder alone. A second table has what `exactness.py arithmetic` says of all of them.
Exits with 1 on any difference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from command import numbers
from pictures import pixel_hash, textured
from rates import in_words, swept
from tables import table

from licodec.container import read_file
from licodec.errors import LicodecError
from licodec.exact.interpreter import set_threads
from licodec.exact.native import LEVEL_VARIABLE, NONE
from licodec.exact.native.levels import best_level
from licodec.images import Picture, encode_picture, read_picture
from licodec.library import Library
from licodec.packs import choose_pack, read_name, read_pack
from licodec.rate.modes import Rate, RateMode
from machines import arithmetic

REPOSITORY = Path(__file__).resolve().parents[2]
SECOND_DECODER = "format/reference_decoder.py"
Json = dict[str, Any]
BASELINE = "baseline"
CPU_BACKENDS = ("native", "int8", "float32")
# Removed from the environment of every process, so that a setting is the only one there.
FPMATH = "ONEDNN_DEFAULT_FPMATH_MODE"
VARIABLES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", FPMATH, LEVEL_VARIABLE)


@dataclass(frozen=True)
class Setting:
    """One way to run licodec: what differs from the baseline.

    encodes  whether it also encodes every picture, to be compared with the baseline's files
    decoder  licodec, or SECOND_DECODER, which decodes alone
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    backend: str | None = None
    python: str = sys.executable
    encodes: bool = False
    decoder: str = "licodec"


@dataclass(frozen=True)
class Row:
    """What one setting gave.

    backend   the one used, with its level or torch's version, and the processor; empty: none
    decoded   files that gave the promised pixels, of `files`
    encoded   pictures that gave the baseline's file, or None where none was encoded
    digest    SHA-256 over the names and pixel hashes of all files
    coded     SHA-256 over the names and bytes of all files that it made; empty: none
    refused   why faster backends, or the one asked for, were not used, by name
    problems  one line for every difference
    """

    setting: str
    backend: str
    files: int
    decoded: int
    encoded: int | None
    digest: str
    coded: str
    refused: Mapping[str, str]
    problems: tuple[str, ...]
    seconds: float


def settings(told: Mapping[str, Json]) -> list[Setting]:
    """The matrix: settings varied one at a time. `told` are the reports on arithmetic of each
    interpreter, this one the first."""

    def variable(name: str, value: str, **more: Any) -> Setting:
        """A variable of torch, which native code would not heed."""
        label = "".join(f", {what} {which}" for what, which in more.items() if what == "backend")
        return Setting(f"{name}={value}{label}", {name: value, LEVEL_VARIABLE: NONE}, **more)

    def of_python(python: str) -> list[Setting]:
        """Another interpreter at each level of native code."""
        own, where = told[python], f"python {python}"
        levels = {f"{where}, {LEVEL_VARIABLE}={n}": {LEVEL_VARIABLE: n} for n in own["kernels"]}
        packages = levels or {where: {}} if own["packs"] else {}
        second = Setting(f"{SECOND_DECODER}, {where}", python=python, decoder=SECOND_DECODER)
        return [*(Setting(n, v, python=python, encodes=True) for n, v in packages.items()), second]

    here, *others = told
    return [
        Setting(BASELINE, encodes=True),
        Setting("threads 1", threads=1, encodes=True),
        Setting("threads 2", threads=2),
        *(
            Setting(f"{LEVEL_VARIABLE}={name}", {LEVEL_VARIABLE: name}, encodes=True)
            for name in (NONE, *told[here]["kernels"])
        ),
        *(variable("ATEN_CPU_CAPABILITY", level) for level in ("default", "avx2", "avx512")),
        variable("ONEDNN_MAX_CPU_ISA", "SSE41"),
        variable("ONEDNN_MAX_CPU_ISA", "AVX2", encodes=True),
        variable("ONEDNN_MAX_CPU_ISA", "AVX512_CORE"),
        variable("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI"),
        variable(FPMATH, "BF16"),
        variable(FPMATH, "BF16", backend="float32"),
        variable(LEVEL_VARIABLE, NONE, backend="reference", encodes=True),
        Setting("backend reference", backend="reference", encodes=True),
        Setting("backend float32", backend="float32", encodes=True),
        Setting("backend int8", backend="int8"),
        Setting("backend cuda", backend="cuda", encodes=True),
        Setting(SECOND_DECODER, decoder=SECOND_DECODER),
        *(setting for python in others for setting in of_python(python)),
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


# The worker: one process under one setting ---------------------------------------------------


def work(job: Mapping[str, Any]) -> Json:
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
    torch, backend = sys.modules.get("torch"), codec.backend
    if backend == "native":
        backend += f" {best_level().name}"
    elif torch:
        backend += f", torch {torch.__version__}"
    return {
        "backend": f"{backend}, {platform.machine()}",
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


def _environment(setting: Setting) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    environment |= setting.environment
    if setting.backend != "cuda":  # else it would be chosen, and the other settings idle
        environment["CUDA_VISIBLE_DEVICES"] = ""
    # Threads that sleep while they wait: on a busy machine the run takes half the time.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    paths = [str(REPOSITORY), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment


def run_worker(setting: Setting, job: Mapping[str, Any]) -> Json:
    """`work(job)` in a process under `setting`."""
    done = subprocess.run(
        [setting.python, str(arithmetic.COMMAND), "files", "--worker"],
        input=json.dumps({**job, "backend": setting.backend, "threads": setting.threads}),
        env=_environment(setting),
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
    pictures: tuple[tuple[str, Json, str], ...]
    promised: Mapping[str, str]


def make_files(pack: str, pictures: list[Path], rates: list[Rate], folder: Path) -> Files:
    """Encode every picture at every rate under the baseline. Exits where that fails."""
    jobs = tuple(
        (str(picture), rate_to_json(rate), str(folder / f"{index:02} {picture.stem} {rated}.lic"))
        for index, picture in enumerate(pictures)
        for rated, rate in ((in_words(rate), rate) for rate in rates)
    )
    answer = run_worker(Setting(BASELINE), {"pack": pack, "encode": jobs, "decode": []})
    if "encoded" not in answer:
        reason = answer.get("failure") or "; ".join(answer["refused"].values())
        sys.exit(f"the pictures could not be encoded: {reason}")
    return Files(pack, jobs, answer["encoded"])


def rate_to_json(rate: Rate) -> Json:
    return {**asdict(rate), "mode": rate.mode.value}


def rate_from_json(data: Json) -> Rate:
    return Rate(**{**data, "mode": RateMode(data["mode"])})


def check(setting: Setting, files: Files, folder: Path) -> Row:
    """Decode all files under `setting`, and encode the pictures again where it says so."""
    started = time.monotonic()
    again = [(picture, r, str(folder / Path(file).name)) for picture, r, file in files.pictures]
    encode = again if setting.encodes else []
    if encode:
        folder.mkdir()
    if setting.decoder == SECOND_DECODER:
        answer = run_second_decoder(setting.python, files)
    else:
        job = {"pack": files.pack, "encode": encode, "decode": list(files.promised)}
        answer = run_worker(setting, job)
    decoded = answer.get("decoded", {})
    made = {mine: _hash_of(mine) for _, _, mine in encode if decoded}
    others = [
        Path(file).name
        for (_, _, file), mine in zip(files.pictures, made.values(), strict=False)
        if _hash_of(file) != mine
    ]
    of_interest = (setting.backend, *CPU_BACKENDS)
    return Row(
        setting.name,
        answer.get("backend", ""),
        len(files.promised),
        sum(files.promised[path] == found for path, found in decoded.items()),
        len(encode) - len(others) if encode and decoded else None,
        joint_digest(decoded) if decoded else "",
        joint_digest(made) if made else "",
        {name: why for name, why in answer.get("refused", {}).items() if name in of_interest},
        (
            *([answer["failure"]] if "failure" in answer else []),
            *(
                f"{Path(path).name}: {found if found.startswith('error') else 'other pixels'}"
                for path, found in decoded.items()
                if found != files.promised[path]
            ),
            *(f"{name}: encodes to another file" for name in others),
        ),
        time.monotonic() - started,
    )


def _hash_of(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def run_second_decoder(python: str, files: Files) -> Json:
    """What format/reference_decoder.py decodes all files to: it prints its pixels' SHA-256."""
    decoded = {}
    for path in files.promised:
        command = [python, str(REPOSITORY / SECOND_DECODER), path, "--weights", files.pack]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        error = (done.stderr.strip().splitlines() or ["no message"])[-1]
        decoded[path] = done.stdout.strip() if done.returncode == 0 else f"error: {error}"
    return {"backend": "NumPy", "decoded": decoded}


def joint_digest(hashes: Mapping[str, str]) -> str:
    """One SHA-256 for the hashes of all files."""
    lines = sorted(f"{Path(path).name} {found}\n" for path, found in hashes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_refusal(row: Row) -> bool:
    """Whether the setting asked for a backend that cannot be used here."""
    return not row.backend and not row.problems


# The command -------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("pictures", type=Path, nargs="*", help="picture files")
    add("--generate", action="store_true", help="add seven generated pictures")
    add("--sizes", default="", help="add textured pictures of these sizes: 384x256,64x64")
    add("--ds", type=numbers, default=(0.5, 1, 3, 8), help="values of d, separated by commas")
    add("--alphas", type=numbers, default=(), help="of alpha, for each adapter set of the pack")
    add("--betas", type=numbers, default=(0.0,), help="of beta, for those that have it")
    add("--model", default="lite", help="a backbone, or the path of a pack")
    add("--plan", default="standard")
    add("--python", action="append", default=[], help="another interpreter to run, repeatable")
    add("--only", default="", help="run the settings whose name this expression matches")
    add("--skip", default="$^", help="leave out those whose name this expression matches")
    add("--list", action="store_true", help="list the settings and stop")
    add("--json", type=Path, help="write the rows here")
    add("--worker", action="store_true", help=argparse.SUPPRESS)


def chosen(arguments: argparse.Namespace, told: Mapping[str, Json]) -> list[Setting]:
    """The settings that --only matches and --skip does not, without regard to case."""
    only, skip = (re.compile(own, re.IGNORECASE) for own in (arguments.only, arguments.skip))
    return [s for s in settings(told) if only.search(s.name) and not skip.search(s.name)]


def pictures_of(arguments: argparse.Namespace, folder: Path) -> list[Path]:
    """Those named, and in the folder those generated. Exits where there are none."""
    generated = generated_pictures() if arguments.generate else {}
    for size in filter(None, arguments.sizes.split(",")):
        width, _, height = size.partition("x")
        generated[size] = Picture(textured(int(height), int(width)))
    found = list(arguments.pictures)
    for name, picture in generated.items():
        found.append(folder / f"{name}.png")
        found[-1].write_bytes(encode_picture(picture, "PNG"))
    return found or sys.exit("no pictures: name some, or add --generate or --sizes")


def run_matrix(arguments: argparse.Namespace, matrix: list[Setting]) -> list[Row]:
    """Raises LicodecError."""
    path = choose_pack(arguments.model, arguments.plan).path
    rates = swept(read_pack(path).adapter_rates, arguments.ds, arguments.alphas, arguments.betas)
    rows = []
    with tempfile.TemporaryDirectory(prefix="exactness-") as scratch:
        folder = Path(scratch)
        pictures = pictures_of(arguments, folder)
        at = ", ".join(map(in_words, rates))
        print(f"encoding {len(pictures)} pictures at {at}", file=sys.stderr)
        files = make_files(str(path), pictures, rates, folder)
        for index, setting in enumerate(matrix):
            print(f"{index + 1}/{len(matrix)}  {setting.name}", file=sys.stderr)
            rows.append(check(setting, files, folder / str(index)))
    return rows


def print_rows(rows: list[Row]) -> None:
    headings = ("setting", "used", "pixels right", "files equal", "s", "pixels", "files")
    cells = (
        (
            row.setting,
            "refused" if is_refusal(row) else row.backend,
            "" if is_refusal(row) else f"{row.decoded} of {row.files}",
            "" if row.encoded is None else f"{row.encoded} of {row.files}",
            f"{row.seconds:.0f}",
            row.digest[:12],
            row.coded[:12],
        )
        for row in rows
    )
    print(table(headings, cells))
    refusals: dict[str, list[str]] = {}
    for row in rows:
        for backend, reason in row.refused.items():
            refusals.setdefault(f"{backend} refused: {reason}", []).append(row.setting)
    for refusal, under in refusals.items():
        print(f"{refusal} (under {'; '.join(under)})")
    for row in rows:
        for problem in row.problems:
            print(f"DIFFERENCE  {row.setting}: {problem}")
    for what, name in (("pixels", "digest"), ("files", "coded")):
        for digest, count in Counter(filter(None, (getattr(row, name) for row in rows))).items():
            print(f"SHA-256 of all {what}, {count} settings: {digest}")


def run(arguments: argparse.Namespace) -> None:
    """Raises LicodecError."""
    if arguments.worker:
        json.dump(work(json.load(sys.stdin)), sys.stdout)
        return
    environment = _environment(Setting(BASELINE))
    pythons = (sys.executable, *arguments.python)
    told = {python: arithmetic.told_by(python, environment) for python in pythons}
    matrix = chosen(arguments, told)
    if arguments.list:
        print(*(setting.name for setting in matrix), sep="\n")
        return
    rows = run_matrix(arguments, matrix)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print_rows(rows)
    print(arithmetic.compared(told.values()))
    if not arithmetic.alike(told.values()) or any(row.problems for row in rows):
        sys.exit(1)
