"""Standard streams that are closed, full, without a reader, narrow, or carry data."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from licodec.cli import rendering, streams
from licodec.cli.rendering import Reporter, Verbosity
from licodec.cli.streams import Channel
from licodec.container import read_file
from licodec.errors import LicodecError
from tests.cli.conftest import png
from tests.cli.shell import ON_REFERENCE, sh

pytestmark = pytest.mark.skipif(os.name != "posix", reason="streams as a shell redirects them")
needs_full_device = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="this system has no device that is always full"
)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with a.png and b.png."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png())
    return tmp_path


def test_a_closed_stream_can_be_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    streams.abandon(Channel.OUTPUT)
    assert streams.carrying_data(["picture.png"]) == frozenset()


# Streams that take nothing -----------------------------------------------------------------------


@needs_full_device
def test_a_full_output_costs_no_file(two: Path) -> None:
    done = sh(f"licodec encode a.png b.png {ON_REFERENCE} > /dev/full", two)
    assert done.code == 1
    assert done.error == "error: standard output: cannot be written: No space left on device"
    assert {path.name for path in two.glob("*.lic")} == {"a.lic", "b.lic"}


@needs_full_device
@pytest.mark.parametrize(
    "arguments", ["info photo.lic", "info --json photo.lic", "models", "--help", "--version"]
)
def test_what_is_to_be_read_needs_a_place(lic: Path, arguments: str) -> None:
    done = sh(f"licodec {arguments} > /dev/full", lic.parent)
    assert done.code == 1
    assert done.error == "error: standard output: cannot be written: No space left on device"


@needs_full_device
def test_a_full_output_does_not_hide_a_worse_code(lic: Path) -> None:
    done = sh("licodec info none.lic photo.lic > /dev/full", lic.parent)
    assert done.code == 3
    assert done.errors.splitlines()[0] == "error: none.lic: no such file; check the name"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_cost_no_file(two: Path, closed: str) -> None:
    done = sh(f"licodec encode a.png b.png {ON_REFERENCE} {closed}", two)
    assert (done.code, done.errors) == (0, "")
    for name in ("a.lic", "b.lic"):
        assert read_file((two / name).read_bytes()).header.width == 17


@pytest.mark.parametrize("command", ["info photo.lic", "info --json photo.lic", "models"])
def test_what_is_to_be_read_needs_an_open_output(lic: Path, command: str) -> None:
    done = sh(f"licodec {command} >&-", lic.parent)
    assert done.code == 1
    assert done.error == "error: standard output is closed; redirect it to a file"


def test_data_needs_an_open_output(two: Path) -> None:
    for target in ("-", "/dev/stdout"):
        done = sh(f"licodec encode a.png -o {target} >&-", two)
        assert done.code == 2
        assert done.error == "error: standard output is closed; name a file with -o"


def test_an_error_without_a_place_to_say_it_has_its_code(two: Path) -> None:
    assert sh("licodec info none.lic 2>&-", two).code == 3
    assert sh("licodec nonsense 2>&-", two).code == 2


def test_a_reader_that_goes_away_costs_no_file(two: Path) -> None:
    done = sh(f"licodec encode a.png b.png {ON_REFERENCE} | true; echo ${{PIPESTATUS[0]}}", two)
    assert (done.output, done.errors) == (b"0\n", "")
    assert (two / "b.lic").is_file()


def test_the_descriptors_of_closed_streams_are_given_to_no_file(two: Path) -> None:
    """What a library says on the standard error must not end up in a file of that number."""
    program = (
        "import os, sys; from licodec.cli import streams; streams.prepare(); "
        "n = open('a.png').fileno(); os.write(2, b'a warning'); sys.exit(n)"
    )
    done = sh(f'"$PYTHON" -c "{program}" <&- >&- 2>&-', two)
    assert done.code > 2


# Streams that carry data --------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_a_result_goes_where_the_data_does_not(two: Path, encoded: bytes, target: str) -> None:
    (two / "link").symlink_to("/dev/stdout")
    if target.startswith("/proc") and not os.path.exists(target):
        pytest.skip("no /proc")
    done = sh(f"licodec encode a.png -o {target} {ON_REFERENCE} | cat", two)
    assert read_file(done.output).header.width == 17
    assert done.error.startswith("a.png -> standard output: ")
    assert (two / "link").is_symlink()


def test_a_picture_goes_to_a_descriptor_as_png(lic: Path) -> None:
    done = sh(f"licodec decode photo.lic -o /dev/stdout {ON_REFERENCE} | cat", lic.parent)
    assert done.output.startswith(b"\x89PNG") and done.output.endswith(b"IEND\xaeB`\x82")
    assert done.error.startswith("photo.lic -> standard output: 17x33, ")


def test_both_streams_in_one_pipe_carry_data_alone(two: Path) -> None:
    script = f"licodec encode a.png -o /dev/stdout --target-psnr 99 -v {ON_REFERENCE} 2>&1 | cat"
    assert read_file(sh(script, two).output).header.width == 17


def test_data_on_the_standard_error(two: Path) -> None:
    options = f"--target-psnr 99 --no-lossless {ON_REFERENCE}"
    script = f"licodec encode a.png -o /dev/stderr {options} 2> out.lic"
    done = sh(script, two)
    assert read_file((two / "out.lic").read_bytes()).header.width == 17
    warning, result = done.output.decode().splitlines()
    assert warning.startswith("warning: a.png: --target-psnr 99 is out of reach")
    assert result.startswith("a.png -> /dev/stderr: ")


def test_a_pipe_with_a_name_that_is_the_output_too(two: Path) -> None:
    script = f"mkfifo pipe; cat pipe > out.lic & licodec encode a.png -o pipe {ON_REFERENCE} > pipe"
    done = sh(f"{script}; wait", two)
    assert done.error.startswith("a.png -> pipe: ")
    assert read_file((two / "out.lic").read_bytes()).header.width == 17


def test_a_pipe_is_written_to_and_stays(two: Path) -> None:
    script = f"mkfifo pipe; cat pipe > out.lic & licodec encode a.png -o pipe -f {ON_REFERENCE}"
    done = sh(f"{script}; wait; test -p pipe", two)
    assert (done.code, done.errors) == (0, "")
    assert done.output.startswith(b"a.png -> pipe: ")
    assert read_file((two / "out.lic").read_bytes()).header.width == 17


def test_a_file_that_is_open_is_continued(two: Path, encoded: bytes) -> None:
    script = f"echo first > out; licodec encode a.png -o /dev/stdout {ON_REFERENCE} >> out"
    assert sh(script, two).code == 0
    first, data = (two / "out").read_bytes().split(b"\n", 1)
    assert first == b"first" and read_file(data).header.width == 17


def test_a_descriptor_of_any_number(two: Path) -> None:
    done = sh(f"licodec encode a.png -o /dev/fd/7 {ON_REFERENCE} 7> out.lic", two)
    assert (done.code, done.errors) == (0, "")
    assert done.output.startswith(b"a.png -> /dev/fd/7: ")
    assert read_file((two / "out.lic").read_bytes()).header.width == 17
    closed = sh("licodec encode a.png -o /dev/fd/7", two)
    assert closed.code == 2
    assert closed.error == "error: /dev/fd/7: not an open descriptor; name a file with -o"
    unwritable = sh(f"licodec encode a.png -o /dev/fd/7 {ON_REFERENCE} 7< a.png", two)
    assert unwritable.code == 2 and "output and input are one file" in unwritable.error


def test_inputs_without_a_name(two: Path) -> None:
    done = sh(f"licodec encode <(cat a.png) {ON_REFERENCE}", two)
    assert read_file(done.output).header.width == 17
    done = sh(f"licodec encode /dev/stdin {ON_REFERENCE} < a.png", two)
    assert done.error.startswith("standard input -> standard output: ")
    several = sh("licodec encode <(cat a.png) b.png -o out", two)
    assert several.code == 2 and "cannot be one of several inputs" in several.error
    folder = sh("licodec encode <(cat a.png) -o ./", two)
    assert folder.code == 2 and "has no name to use in the folder" in folder.error


@pytest.mark.parametrize("source", ["- < a.png", "a.png -o -", "/dev/stdin -o /dev/stdout < a.png"])
def test_nothing_is_appended_to_what_is_read(two: Path, source: str) -> None:
    done = sh(f"licodec encode {source} >> a.png", two)
    assert done.code == 2 and "output and input are one file" in done.error
    assert (two / "a.png").read_bytes() == png()


# Pipes that do not block --------------------------------------------------------------------------


def test_an_input_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = subprocess.Popen(
        [sys.executable, "-m", "licodec", "encode", "-", *ON_REFERENCE.split()],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(reading)
    data = png()

    def write_slowly() -> None:
        with open(writing, "wb", buffering=0) as pipe:
            for start in range(0, len(data), 400):
                pipe.write(data[start : start + 400])
                threading.Event().wait(0.2)

    threading.Thread(target=write_slowly).start()
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert read_file(output).header.width == 17


def test_an_output_that_is_full_for_a_while_is_waited_for(lic: Path) -> None:
    """More bytes than a pipe holds, and a reader that takes its time."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    program = "from licodec.files import write_bytes; write_bytes('-', bytes(10**6), False)"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=writing)
    os.close(writing)
    process_ended = process.poll()
    with open(reading, "rb") as pipe:
        assert len(pipe.read()) == 10**6
    assert (process_ended, process.wait(timeout=300)) == (None, 0)


# Encodings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437:strict"])
def test_names_that_an_encoding_lacks_are_escaped(tmp_path: Path, encoding: str) -> None:
    for name in ("写真.png", "b.png"):
        (tmp_path / name).write_bytes(png())
    script = f"licodec encode 写真.png 無.png b.png -o out/ {ON_REFERENCE}"
    done = sh(script, tmp_path, PYTHONIOENCODING=encoding)
    assert done.code == 3
    assert done.error == r"error: \u7121.png: no such file; check the name"
    assert [line.split(b": ")[0] for line in done.output.splitlines()] == [
        rb"\u5199\u771f.png -> out/\u5199\u771f.lic",
        b"b.png -> out/b.lic",
    ]
    assert sorted(os.listdir(tmp_path / "out")) == ["b.lic", "写真.lic"]


def test_tables_and_help_in_a_narrow_encoding(tmp_path: Path, pack_path: Path) -> None:
    (tmp_path / "包.safetensors").symlink_to(pack_path)
    variables = {"PYTHONIOENCODING": "ascii", "LICODEC_WEIGHTS": "包.safetensors"}
    for command in ("models", "models verify 包.safetensors", "encode --help"):
        done = sh(f"licodec {command}", tmp_path, **variables)
        assert (done.code, done.errors) == (0, "")
        assert done.output.isascii()
        assert (rb"\u5305.safetensors" in done.output) == (command != "encode --help")


# The parts ----------------------------------------------------------------------------------------


def test_a_reporter_keeps_off_streams_with_data(capsys: pytest.CaptureFixture[str]) -> None:
    for data, expected in (
        (frozenset(), ("result\n", "warning: warned\n")),
        (frozenset({Channel.OUTPUT}), ("", "warning: warned\nresult\n")),
        (frozenset({Channel.ERROR}), ("warning: warned\nresult\n", "")),
        (frozenset(Channel), ("", "")),
    ):
        reporter = Reporter(Verbosity.NORMAL, data)
        reporter.warnings(["warned"])
        reporter.result("result")
        assert tuple(capsys.readouterr()) == expected
        assert reporter.exit_code == 0


def test_a_failure_of_the_output_is_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(line: str, channel: Channel) -> None:
        if channel is Channel.OUTPUT:
            raise LicodecError("standard output: full")
        streams.say(line, channel)

    monkeypatch.setattr(rendering, "say", fail)
    reporter = Reporter(Verbosity.NORMAL)
    reporter.result("result")
    assert capsys.readouterr().err == "error: standard output: full\n"
    assert reporter.exit_code == 1


@needs_full_device
def test_a_batch_goes_on_where_its_lines_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.png").write_bytes(png())
    for options in ("", "--json"):
        out = f"out{options}"
        command = f"licodec batch in -o {out} --jobs 1 {options} {ON_REFERENCE} > /dev/full"
        assert sh(command, tmp_path).code == 1
        assert sorted(p.name for p in (tmp_path / out).glob("*.lic")) == ["a.lic", "b.lic"]
