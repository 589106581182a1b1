"""The program as a whole: help, version, usage errors, and the options' small parsers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import typer

import licodec
from licodec.cli import options, threads
from licodec.cli.app import app
from licodec.cli.peers import OURS
from licodec.cli.rate_options import option_name, parse_size
from licodec.errors import UsageError
from licodec.exact import native
from licodec.exact.interpreter import BACKENDS
from licodec.images import METADATA_KINDS
from licodec.rate.modes import RateMode
from tests.cli.conftest import Run, one_error


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert result.stdout.rstrip() == run("--help").stdout.rstrip()


def test_the_help_names_commands_and_exit_codes(run: Run) -> None:
    result = run("-h")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    for word in ("encode", "decode", "batch", "info", "verify", "models", "Exit codes: 0 done"):
        assert word in text


@pytest.mark.parametrize("command", ["encode", "decode", "batch", "info", "verify", "models"])
def test_every_command_has_help(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0 and f"Usage: licodec {command}" in result.stdout


@pytest.mark.parametrize("command", ["encode", "batch"])
def test_every_rate_mode_is_an_option(run: Run, command: str) -> None:
    text = run(command, "--help").stdout
    assert all(option_name(mode) in text for mode in RateMode)
    assert "--objective" in text


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(run: Run, option: str) -> None:
    result = run(option)
    assert (result.exit_code, result.stdout) == (0, f"licodec {licodec.__version__}\n")


@pytest.mark.parametrize("arguments", [("--version", "-v"), ("-v", "--version")])
def test_the_version_says_whether_native_code_is_there(
    run: Run, arguments: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "reason", lambda: None)
    result = run(*arguments)
    version = f"licodec {licodec.__version__}"
    assert (result.exit_code, result.stdout) == (0, f"{version}\nnative code: yes\n")
    monkeypatch.setattr(native, "reason", lambda: "no compiler")
    lines = run(*arguments).stdout.splitlines()
    assert lines[1].startswith("native code: none, no compiler; ") and "longer" in lines[1]


def test_verbosity_goes_behind_the_command(run: Run) -> None:
    result = run("-v", "models")
    assert result.exit_code == 2 and "behind its name" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("encode",), "Missing argument"),
        (("encode", "--nonsense", "x.png"), "No such option"),
        (("encode", "x.png", "-d", "much"), "'-d' / '--d': 'much' is not a number; see"),
        (("decode", "x.lic", "--thumbnail", "5.5"), "'--thumbnail': '5.5' is not a whole number"),
        (("encode", "x.png", "--threads", "0"), "--threads"),
        (("decode", "x.lic", "--backend", "abacus"), "abacus"),
        (("batch", "x", "--jobs", "0"), "--jobs"),
        (("encoed", "x.png"), "encoed"),
    ],
)
def test_usage_errors_are_one_line_with_a_hint(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    line = one_error(result)
    assert message in line and "; see 'licodec" in line


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("encode", "-quality", "75", "x.png"), "--quality"),
        (("encode", "-lossless", "x.png"), "--lossless"),
        (("encode", "x.png", "-no-lossless"), "--no-lossless"),
        (("decode", "-crop", "1x1+0+0", "x.lic"), "--crop"),
        (("models", "verify", "-quiet"), "--quiet"),
        (("-version",), "--version"),
    ],
)
def test_long_options_with_one_dash(run: Run, arguments: tuple[str, ...], option: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert one_error(result).endswith(f"; long options have two dashes: {option}")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("encode -size 5000 x.png", "in the place of -size there is --target-size"),
        ("encode -psnr 40 x.png", "in the place of -psnr there is --target-psnr"),
        ("encode x.png -resize 20 20", "long options have two dashes: --resize"),
        ("encode x.png -z 9", "in the place of -z there is --lossless"),
        ("encode -l x.png", "in the place of -l there is --lossless"),
        ("encode x.png --distance=2", "in the place of --distance there is --d"),
        ("encode -exact x.png", "in the place of -exact there is --keep-hidden-colors"),
        ("encode x.png -m 6", "-m: there is no effort to choose, it is always the most"),
        ("encode x.png --speed=4", "--speed: there is no effort to choose, it is always the most"),
        ("batch x -j 4", "in the place of -j there is --threads"),
        ("decode x.lic -q 90", "in the place of -q there is --output-quality"),
        ("decode x.lic -resize 20 20", "in the place of -resize there is --scale"),
        ("decode x.lic --downsampling=2", "in the place of --downsampling there is --scale"),
        ("decode x.lic -ppm", "in the place of -ppm there is --format"),
        ("decode x.lic --png-compress 3", "in the place of --png-compress there is --compress"),
        ("info -q x.lic", "see 'licodec info --help'"),
    ],
)
def test_options_of_peers(run: Run, line: str, hint: str) -> None:
    result = run(*line.split())
    assert result.exit_code == 2
    assert one_error(result).endswith(f"; {hint}")


def test_what_peers_options_are_called_here() -> None:
    program: Any = typer.main.get_command(app)
    commands = [program.get_command(None, name) for name in ("encode", "decode")]
    assert set(OURS.values()) <= {n for c in commands for option in c.params for n in option.opts}


@pytest.mark.parametrize("command", ["encode", "decode"])
@pytest.mark.parametrize("name", [".", "/", "./", ".."])
def test_a_folder_in_the_place_of_a_file(run: Run, command: str, name: str) -> None:
    result = run(command, name)
    assert result.exit_code == 3
    assert one_error(result).startswith(f"error: {name}: a directory, not a file")


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_empty_names(run: Run, command: str, tmp_path: Path) -> None:
    missing = run(command, "")
    assert missing.exit_code == 3
    assert one_error(missing).startswith("error: '': no such file")
    for inputs in (("a.png",), ("a", "b")):  # as of -o "$OUT" where OUT is not set
        result = run(command, *inputs, "-o", "")
        assert result.exit_code == 2 and "-o: the name is empty" in one_error(result)
    assert not list(tmp_path.iterdir())


def test_interrupts_and_lack_of_memory_have_their_codes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, code in ((KeyboardInterrupt, 130), (MemoryError, 6)):

        def fail(*arguments: object, error: type[BaseException] = error) -> None:
            raise error

        monkeypatch.setattr("licodec.cli.info.info_text", fail)
        result = run("info", "x.lic")
        assert result.exit_code == code
        one_error(result)


def test_names_that_are_repeated_for_a_light_start() -> None:
    assert tuple(backend.value for backend in options.Backend) == BACKENDS
    assert options.METADATA_KINDS == METADATA_KINDS
    assert app.info.name == "licodec"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20000", 20_000),
        ("50k", 50_000),
        ("50 KB", 50_000),
        ("1.5M", 1_500_000),
        ("1.5mb", 1_500_000),
        ("64Ki", 65_536),
        (".5MiB", 524_288),
        ("2g", 2_000_000_000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", [*("", "k", "-5", "1e3", "5kk", "7i", "0.4", "nan", "5 k k"), "9" * 400, "\uff15k"]
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


def test_threads_are_said_before_numpy_and_torch_load(run: Run, photo: Path) -> None:
    result = run("encode", "photo.png", "-d", "999", "--threads", "3")
    assert result.exit_code == 2
    assert {os.environ[variable] for variable in threads.VARIABLES} == {"3"}


def test_devices() -> None:
    cuda = options.MachineOptions(None, options.Device.CUDA, 3).chosen()
    assert (cuda.backend, cuda.hide_gpu, cuda.threads) == ("cuda", False, 3)
    cpu = options.MachineOptions(None, options.Device.CPU).chosen()
    assert (cpu.backend, cpu.hide_gpu) == (None, True)
    both = options.MachineOptions(options.Backend.INT8, options.Device.CPU).chosen()
    assert (both.backend, both.hide_gpu) == ("int8", True)
