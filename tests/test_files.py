"""Input files, standard streams, and outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from licodec import files
from licodec.errors import BadInputError, LicodecError, LimitError, UsageError
from licodec.files import (
    check_output,
    display_name,
    open_input,
    read_bytes,
    save_atomically,
    write_bytes,
)

needs_full_device = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="this system has no device that is always full"
)


class Terminal(io.TextIOWrapper):
    """A text stream that says it is a terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())

    def isatty(self) -> bool:
        return True


def failing_with(code: int):
    def fail(*arguments, **options):
        raise OSError(code, os.strerror(code))

    return fail


def assert_one_line(message: str, *parts: str) -> None:
    assert "\n" not in message
    for part in parts:
        assert part in message


# Saving


def test_a_new_file_is_written_whole_and_alone(tmp_path: Path) -> None:
    save_atomically(tmp_path / "a.lic", b"content", overwrite=False)
    assert (tmp_path / "a.lic").read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["a.lic"]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    save_atomically(tmp_path / "a.lic", b"content", overwrite=False)
    assert (tmp_path / "a.lic").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_an_existing_file_is_kept_without_overwrite(tmp_path: Path) -> None:
    target = tmp_path / "a.lic"
    target.write_bytes(b"old")
    with pytest.raises(LicodecError) as caught:
        save_atomically(target, b"new", overwrite=False)
    assert_one_line(str(caught.value), "a.lic", "exists already", "-f")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.lic"]


def test_an_existing_file_is_replaced_with_overwrite_and_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "a.lic"
    target.write_bytes(b"old")
    target.chmod(0o600)
    save_atomically(target, b"new", overwrite=True)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["a.lic"]


def test_a_file_that_appears_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.lic"

    def check_then_appear(path: Path, overwrite: bool) -> None:
        check_output(path, overwrite)
        target.write_bytes(b"theirs")

    monkeypatch.setattr(files, "check_output", check_then_appear)
    with pytest.raises(LicodecError, match="exists already"):
        save_atomically(target, b"ours", overwrite=False)
    assert target.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["a.lic"]


def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", failing_with(errno.EOPNOTSUPP))
    save_atomically(tmp_path / "a.lic", b"content", overwrite=False)
    assert (tmp_path / "a.lic").read_bytes() == b"content"
    monkeypatch.setattr(files, "check_output", lambda path, overwrite: None)
    with pytest.raises(LicodecError, match="exists already"):
        save_atomically(tmp_path / "a.lic", b"other", overwrite=False)
    assert (tmp_path / "a.lic").read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["a.lic"]


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.lic").write_bytes(b"old")
    (tmp_path / "link.lic").symlink_to("real.lic")
    with pytest.raises(LicodecError, match="exists already"):
        save_atomically(tmp_path / "link.lic", b"new", overwrite=False)
    save_atomically(tmp_path / "link.lic", b"new", overwrite=True)
    assert (tmp_path / "link.lic").is_symlink()
    assert (tmp_path / "real.lic").read_bytes() == b"new"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_as_target(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(LicodecError) as caught:
        save_atomically(tmp_path / "folder", b"content", overwrite)
    assert_one_line(str(caught.value), "folder", "a directory", "-o")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(LicodecError) as caught:
        save_atomically(tmp_path / "none" / "a.lic", b"content", overwrite=False)
    assert_one_line(str(caught.value), "a.lic", "none does not exist", "create it")
    assert os.listdir(tmp_path) == []


def test_a_file_as_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LicodecError) as caught:
        save_atomically(tmp_path / "file" / "a.lic", b"content", overwrite=False)
    assert_one_line(str(caught.value), "a part of the path is a file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(LicodecError, match="is not writable"):
            save_atomically(tmp_path / "a.lic", b"content", overwrite=False)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("code", "part"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "no space left"),
        (errno.EACCES, "is not writable; name another folder"),
        (errno.EROFS, "is not writable; name another folder"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
@pytest.mark.parametrize("place", ["open", "link"])
def test_failures_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, part: str, place: str
) -> None:
    if place == "open":
        monkeypatch.setattr(files, "open", failing_with(code), raising=False)
    else:
        monkeypatch.setattr(os, "link", failing_with(code))
        monkeypatch.setattr(os, "replace", failing_with(code))
    with pytest.raises(LicodecError) as caught:
        save_atomically(tmp_path / "a.lic", b"content", overwrite=False)
    assert_one_line(str(caught.value), "a.lic", part)
    assert caught.value.exit_code == 1
    assert os.listdir(tmp_path) == []


def test_no_space_in_the_middle_of_the_data(tmp_path: Path) -> None:
    # A limit on the file's size fails the write itself, as a full device does.
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from licodec.errors import LicodecError\n"
        "from licodec.files import save_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    save_atomically(Path(sys.argv[1]), bytes(10**6), overwrite=False)\n"
        "except LicodecError as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.lic")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])},
        check=True,
    )
    assert "a.lic: cannot be written: File too large" in ran.stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["link", "replace"])
def test_an_interrupt_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def interrupt(*arguments) -> None:
        assert len(os.listdir(tmp_path)) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(os, place, interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_atomically(tmp_path / "a.lic", b"content", overwrite=place == "replace")
    assert os.listdir(tmp_path) == []


def test_an_interrupt_while_the_data_is_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting(io.FileIO):
        def write(self, data) -> int:
            super().write(data[:3])
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "open", Interrupting, raising=False)
    with pytest.raises(KeyboardInterrupt):
        save_atomically(tmp_path / "a.lic", b"content", overwrite=False)
    assert os.listdir(tmp_path) == []


def test_devices_are_written_to_and_not_replaced() -> None:
    save_atomically(Path("/dev/null"), b"content", overwrite=False)
    save_atomically(Path("/dev/null"), b"content", overwrite=True)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@needs_full_device
def test_a_full_device() -> None:
    with pytest.raises(LicodecError, match="no space left"):
        save_atomically(Path("/dev/full"), b"content", overwrite=False)


def test_a_named_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = os.urandom(200_000)  # more than the pipe holds at once
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    save_atomically(pipe, content, overwrite=False)
    reader.join()
    assert received == [content]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", ["two\nlines.lic", "bell\a.lic", "\udcff.lic", "nul\0.lic"])
def test_messages_stay_on_one_line_whatever_the_name(tmp_path: Path, name: str) -> None:
    assert "\n" not in display_name(name)
    display_name(name).encode("ascii")
    with pytest.raises(LicodecError) as caught:
        save_atomically(tmp_path / "none" / name, b"content", overwrite=False)
    assert_one_line(str(caught.value))
    with pytest.raises(BadInputError) as caught, open_input(tmp_path / name):
        pass
    assert_one_line(str(caught.value))


def test_checking_an_output_writes_nothing(tmp_path: Path) -> None:
    check_output(tmp_path / "a.lic", overwrite=False)
    assert os.listdir(tmp_path) == []
    with pytest.raises(LicodecError, match="does not exist"):
        check_output(tmp_path / "none" / "a.lic", overwrite=False)
    with pytest.raises(LicodecError, match="a directory"):
        check_output(tmp_path, overwrite=True)


def test_checking_an_output_sees_an_unwritable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode, **options: False)
    with pytest.raises(LicodecError, match="is not writable"):
        check_output(tmp_path / "a.lic", overwrite=False)


# Reading


def test_reading_a_file(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)  # several blocks
    (tmp_path / "a.lic").write_bytes(content)
    assert read_bytes(tmp_path / "a.lic", len(content)) == content
    with pytest.raises(LimitError) as caught:
        read_bytes(tmp_path / "a.lic", len(content) - 1)
    assert_one_line(str(caught.value), "a.lic", "larger than the limit of 2999999 bytes")


def test_reading_an_endless_file_stops_at_the_limit() -> None:
    with pytest.raises(LimitError):
        read_bytes("/dev/zero", 10_000_000)


def test_reading_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.lic").write_bytes(b"")
    assert read_bytes(tmp_path / "a.lic", 0) == b""


def test_reading_what_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        read_bytes(tmp_path / "none.lic", 100)
    assert_one_line(str(caught.value), "none.lic: no such file")
    with pytest.raises(BadInputError) as caught:
        read_bytes(tmp_path, 100)
    assert_one_line(str(caught.value), str(tmp_path), "a directory", "batch")


@pytest.mark.parametrize(
    ("code", "part"),
    [(errno.EACCES, "permission"), (errno.EMFILE, os.strerror(errno.EMFILE))],
)
def test_reading_what_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, part: str
) -> None:
    monkeypatch.setattr(files, "open", failing_with(code), raising=False)
    with pytest.raises(BadInputError) as caught:
        read_bytes(tmp_path / "a.lic", 100)
    assert_one_line(str(caught.value), "a.lic", part)


def test_a_read_error(tmp_path: Path) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(BadInputError, match=r"a\.lic: cannot be read"):
        files.read_at_most(Broken(), 10, "a.lic")


# Standard streams


def test_reading_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"content")))
    assert read_bytes("-", 7) == b"content"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"content")))
    with pytest.raises(LimitError, match="standard input: larger"):
        read_bytes(Path("-"), 6)


@pytest.mark.parametrize("stream", [Terminal(), None])
def test_standard_input_that_is_no_file(monkeypatch: pytest.MonkeyPatch, stream) -> None:
    monkeypatch.setattr(sys, "stdin", stream)
    with pytest.raises(UsageError, match="standard input is"):
        read_bytes("-", 100)


def test_writing_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stream)
    check_output("-", overwrite=False)
    write_bytes("-", b"content", overwrite=False)
    assert stream.buffer.getvalue() == b"content"


def test_writing_a_named_file(tmp_path: Path) -> None:
    write_bytes(str(tmp_path / "a.lic"), b"content", overwrite=False)
    assert (tmp_path / "a.lic").read_bytes() == b"content"


@pytest.mark.parametrize("stream", [Terminal(), None])
def test_binary_output_to_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch, stream) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(UsageError, match=r"standard output.* -o"):
        check_output("-", overwrite=True)
    with pytest.raises(UsageError, match=r"standard output.* -o"):
        write_bytes("-", b"content", overwrite=True)
    if stream is not None:
        assert stream.buffer.getvalue() == b""


def test_a_terminal_device_as_target_is_refused() -> None:
    controller, terminal = os.openpty()
    try:
        with pytest.raises(UsageError, match="a terminal"):
            save_atomically(Path(os.ttyname(terminal)), b"content", overwrite=True)
    finally:
        os.close(controller)
        os.close(terminal)


@needs_full_device
@pytest.mark.parametrize(
    ("redirect", "part"),
    [("| true", "not all could be written"), (">/dev/full", "no space left")],
)
def test_standard_output_that_ends_early(tmp_path: Path, redirect: str, part: str) -> None:
    script = tmp_path / "write.py"
    script.write_text(
        "import sys\n"
        "from licodec.errors import LicodecError\n"
        "from licodec.files import write_bytes\n"
        "try:\n"
        "    write_bytes('-', bytes(10**6), overwrite=False)\n"
        "except LicodecError as error:\n"
        "    print(error, file=sys.stderr)\n"
    )
    ran = subprocess.run(
        f'"{sys.executable}" "{script}" {redirect}',
        shell=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])},
    )
    # One line and nothing after it: the interpreter has nothing left to complain about.
    assert len(ran.stderr.splitlines()) == 1
    assert part in ran.stderr
