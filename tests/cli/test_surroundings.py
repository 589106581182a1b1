"""Odd surroundings: no home, no working directory, no permission, no descriptors, no space."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from functools import cache
from pathlib import Path

import pytest

from licodec import packs
from licodec.container import read_file
from licodec.errors import LicodecError, UsageError
from licodec.exact.interpreter import set_threads
from licodec.exact.threads import MOST_THREADS
from tests.cli.conftest import ON_REFERENCE as REFERENCE
from tests.cli.conftest import Run, one_error, png
from tests.cli.shell import ON_REFERENCE, sh

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions and limits of a Unix")

UNREADABLE = Path("/proc/self/mem")  # opens as a file does, and fails to be read
needs_unreadable = pytest.mark.skipif(
    not UNREADABLE.exists(), reason="this system has no file that fails to be read"
)
NAME_MAX = 255


@cache
def without_rights() -> str:
    """What a command begins with to have the rights that permission bits give, and no more."""
    if os.geteuid() != 0:
        return ""
    dropped = "-dac_override,-dac_read_search"
    command = ["setpriv", f"--inh-caps={dropped}", f"--bounding-set={dropped}"]
    if shutil.which("setpriv") is None or subprocess.run([*command, "true"]).returncode:
        pytest.skip("root, and no way to drop its rights")
    return " ".join(command)


def restricted(arguments: str) -> str:
    return f'{without_rights()} "$PYTHON" -m licodec {arguments}'


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that may not be entered, with a file in it."""
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "photo.lic").write_bytes(b"")
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


# Home -----------------------------------------------------------------------------------------


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(Path, "home", fail)


def test_a_user_without_a_home(run: Run, photo: Path, pack_path: Path, homeless: None) -> None:
    assert run("encode", "photo.png", *REFERENCE).exit_code == 0
    assert run("models").exit_code == 0
    with pytest.raises(LicodecError, match="name one for weights packs in XDG_DATA_HOME"):
        packs.user_folder()


def test_nothing_is_installed_without_a_home(
    run: Run, pack_path: Path, homeless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("licodec.cli.models.installed_packs", lambda: iter(()))
    result = run("models", "install", str(pack_path))
    assert result.exit_code == 1
    assert "this user has no home folder" in one_error(result)


def test_a_home_that_only_completion_asks_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        Path("~someone-who-is-not-there").expanduser()

    monkeypatch.setattr("licodec.cli.info.info_text", fail)
    result = run("info", "a.lic")
    assert result.exit_code == 1
    assert one_error(result).startswith("error: this user has no home folder")


@pytest.mark.parametrize("variable", ["HOME", "XDG_DATA_HOME", "LICODEC_WEIGHTS"])
def test_a_folder_of_packs_that_may_not_be_entered(
    photo: Path, closed: Path, variable: str, pack_path: Path
) -> None:
    places = {"HOME": None, "XDG_DATA_HOME": None} | {variable: str(closed)}
    for command in (f"encode photo.png {ON_REFERENCE}", "info photo.lic", "verify photo.lic"):
        done = sh(restricted(command), photo.parent, **places)
        assert (done.code, done.errors) == (0, "")


def test_a_pack_that_may_not_be_read_is_named_where_it_is_missed(photo: Path, closed: Path) -> None:
    script = restricted("encode photo.png --model other")
    for place in (closed, closed / "other.safetensors"):
        done = sh(script, photo.parent, LICODEC_WEIGHTS=str(place))
        assert done.code == 2
        assert done.error.endswith(f"; {place}: cannot be looked into: Permission denied")


# Permission ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("decode closed/photo.lic", 3, "closed/photo.lic: permission to read it is denied"),
        ("encode closed/photo.png", 3, "closed/photo.png: permission to read it is denied"),
        ("verify closed/photo.lic --threads 1", 3, "permission to read it is denied"),
        ("info closed/photo.lic", 3, "closed/photo.lic: permission to read it is denied"),
        ("decode good.lic -o closed/", 1, r"closed/good\.png: .*closed is not writable"),
        ("decode good.lic -o closed/new/a.png", 1, "closed/new/a.png: .* is not writable"),
        ("encode good.png good.png -o closed/new", 1, "cannot be made: Permission denied"),
        ("encode good.png -o readonly/a.lic", 1, "readonly is not writable; name another"),
        ("batch closed", 1, "closed: cannot be read: Permission denied"),
        ("batch closed/photos", 3, "closed/photos: cannot be opened: Permission denied"),
        ("batch . -o closed/out", 1, "closed/out: cannot be opened: Permission denied"),
        ("models verify closed/a.safetensors", 3, "cannot be read: Permission denied"),
        ("models install closed/a.safetensors", 3, "cannot be read: Permission denied"),
        ("encode good.png --model closed/a.safetensors", 3, "cannot be read: Permission denied"),
    ],
)
def test_what_is_denied_is_one_line(
    tmp_path: Path, closed: Path, encoded: bytes, arguments: str, code: int, message: str
) -> None:
    (tmp_path / "good.lic").write_bytes(encoded)
    (tmp_path / "good.png").write_bytes(png())
    (tmp_path / "readonly").mkdir(mode=0o555)
    done = sh(restricted(arguments), tmp_path)
    assert done.code == code
    assert re.search(message, done.error)
    assert sorted(os.listdir(tmp_path)) == ["closed", "good.lic", "good.png", "readonly"]


def test_what_is_denied_does_not_stop_the_rest(tmp_path: Path, closed: Path) -> None:
    (tmp_path / "good.png").write_bytes(png())
    done = sh(restricted(f"encode closed/bad.png good.png {ON_REFERENCE}"), tmp_path)
    assert done.code == 3 and "closed/bad.png: permission" in done.error
    assert (tmp_path / "good.lic").is_file()
    done = sh(restricted("info --json closed/photo.lic good.lic"), tmp_path)
    bad, good = json.loads(done.output)
    assert (done.code, bad["exit_code"], good["width"]) == (3, 3, 17)


# Files that fail to be read -----------------------------------------------------------------------


@needs_unreadable
@pytest.mark.parametrize(
    ("arguments", "name", "made"),
    [
        (("encode", "bad", "photo.png", *REFERENCE), "bad", "photo.lic"),
        (("decode", "bad", "good.lic", *REFERENCE), "bad", "good.png"),
        (("verify", "bad", "good.lic", *REFERENCE), "bad", None),
        (("info", "bad", "good.lic"), "bad", None),
    ],
)
def test_a_read_error_is_one_line_and_the_rest_is_done(
    run: Run,
    photo: Path,
    encoded: bytes,
    arguments: tuple[str, ...],
    name: str,
    made: str | None,
) -> None:
    (photo.parent / "bad").symlink_to(UNREADABLE)
    (photo.parent / "good.lic").write_bytes(encoded)
    result = run(*arguments)
    assert result.exit_code == 3
    assert one_error(result) == "error: bad: cannot be read: Input/output error"
    assert made is None or (photo.parent / made).is_file()
    assert "good.lic" in result.stdout or "photo.lic" in result.stdout


@pytest.mark.parametrize("place", [0, 16, 60])
def test_a_read_error_in_the_middle_of_a_picture(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """Wherever it comes: at once, after the magic, among the pixels."""
    import builtins
    import io

    class Failing(io.FileIO):
        def readinto(self, buffer) -> int:
            if self.tell() >= place:
                raise OSError(5, "Input/output error")
            return super().readinto(memoryview(buffer)[: place - self.tell()])

    def failing_open(path, mode="r", *arguments, **options):
        if str(path).endswith("bad.png") and mode == "rb":
            return io.BufferedReader(Failing(path), 8)
        return opened(path, mode, *arguments, **options)

    opened = builtins.open
    (photo.parent / "bad.png").write_bytes(png())
    monkeypatch.setattr(builtins, "open", failing_open)
    result = run("encode", "bad.png", "photo.png", *REFERENCE)
    assert result.exit_code == 3
    assert one_error(result) == "error: bad.png: cannot be read: Input/output error"
    assert (photo.parent / "photo.lic").is_file()


@needs_unreadable
def test_a_batch_with_a_file_that_fails_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to(UNREADABLE)
    (tmp_path / "in" / "b.png").write_bytes(png())
    done = sh(f"licodec batch in -o out --jobs 1 {ON_REFERENCE}", tmp_path)
    assert done.code == 1
    first, *_ = done.errors.splitlines()  # then a warning: so small a picture has a larger .lic
    assert first == "error: in/a.png: cannot be read: Input/output error"
    assert [p.name for p in (tmp_path / "out").glob("[!.]*")] == ["b.lic"]


# Working directory --------------------------------------------------------------------------------

GONE = 'here=$PWD; mkdir gone; cd gone; rmdir "$here/gone";'


def test_without_a_working_directory_whole_paths_work(photo: Path) -> None:
    done = sh(f'{GONE} licodec encode "$here/photo.png" {ON_REFERENCE}', photo.parent)
    assert (done.code, done.errors) == (0, "")
    assert read_file((photo.parent / "photo.lic").read_bytes()).header.width == 17
    done = sh(f'{GONE} licodec decode "$here/photo.lic" -o "$here/a.png"', photo.parent)
    assert (done.code, done.errors) == (0, "")


def test_torch_is_imported_without_a_working_directory(tmp_path: Path) -> None:
    """Its libraries would end the process. Afterwards paths begin where they did."""
    loading = "from licodec.exact.backends import torch_loading as t"
    program = f"{loading}; t.import_torch(); t.os.stat('../file')"
    (tmp_path / "file").touch()
    done = sh(f'{GONE} "$PYTHON" -c "{program}"', tmp_path)
    assert (done.code, done.errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("encode photo.png", 3, "photo.png: no such file"),
        ('encode "$here/photo.png" -o a.lic', 1, "a.lic: cannot be written: No such file"),
        ('encode "$here/photo.png" "$here/b.png" -o new', 1, "new: the folder cannot be made"),
        ('batch "$here" -o "$here/out" --jobs 1', 1, "the working directory does not exist any"),
        ('quantize a.pt --size 5M -o "$here/a.safetensors"', 3, "a.pt: no such file"),
    ],
)
def test_without_a_working_directory_others_are_one_line(
    photo: Path, arguments: str, code: int, message: str
) -> None:
    done = sh(f"{GONE} licodec {arguments}", photo.parent)
    assert done.code == code
    assert message in done.error


# Limits -----------------------------------------------------------------------------------------


def test_few_descriptors_do(photo: Path) -> None:
    done = sh(f"ulimit -n 20; licodec encode photo.png {ON_REFERENCE}", photo.parent)
    assert (done.code, done.errors) == (0, "")
    done = sh("ulimit -n 20; licodec info photo.lic && licodec models", photo.parent)
    assert (done.code, done.errors) == (0, "")


def test_no_descriptor_left_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("licodec.cli.info.info_text", fail)
    result = run("info", "a.lic")
    assert result.exit_code == 1
    assert one_error(result) == "error: Too many open files"


def test_a_limit_on_the_size_of_files(lic: Path) -> None:
    """The signal that comes with it must not end the program with a file half written."""
    done = sh(f"ulimit -f 1; licodec decode photo.lic -o a.ppm {ON_REFERENCE}", lic.parent)
    assert done.code == 1
    assert done.error == "error: a.ppm: cannot be written: File too large"
    assert os.listdir(lic.parent) == ["photo.lic"]


@pytest.mark.parametrize(("ignored", "code"), [("", 128 + signal.SIGHUP), ("trap '' HUP;", 0)])
def test_a_terminal_that_is_closed_ends_it_in_order(
    tmp_path: Path, ignored: str, code: int
) -> None:
    """As Ctrl-C does, so that nothing is left behind; nohup keeps it from ending at all."""
    program = """
import os, signal, sys
from licodec import cli
from licodec.cli import info

def hang_up(*arguments: object) -> int:
    try:
        os.kill(os.getpid(), signal.SIGHUP)
    finally:
        print("cleared up")
    return 0

info.info_text = hang_up
sys.argv[1:] = ["info", "a.lic"]
cli.main()
"""
    (tmp_path / "program.py").write_text(program)
    done = sh(f'{ignored} "$PYTHON" program.py', tmp_path)
    assert (done.code, done.output, done.errors) == (code, b"cleared up\n", "")


@pytest.mark.parametrize("count", ["0", "-1", str(MOST_THREADS + 1), "100000", "2147483648"])
def test_threads_are_limited(run: Run, photo: Path, lic: Path, count: str) -> None:
    for command in (("encode", "photo.png"), ("decode", "photo.lic"), ("verify", "photo.lic")):
        result = run(*command, "--backend", "int8", "--threads", count)
        assert result.exit_code == 2
        assert "--threads" in one_error(result)
    batch = run("batch", ".", "--jobs", count)
    assert batch.exit_code == 2 and "--jobs" in one_error(batch)
    with pytest.raises(UsageError, match=f"at most {MOST_THREADS}"):
        set_threads(int(count))


# Names ------------------------------------------------------------------------------------------


def test_the_longest_names(run: Run, tmp_path: Path) -> None:
    stem = "a" * (NAME_MAX - len(".png"))
    (tmp_path / f"{stem}.png").write_bytes(png())
    assert run("encode", f"{stem}.png", *REFERENCE).exit_code == 0
    assert run("decode", f"{stem}.lic", "-o", f"{stem}.bmp", *REFERENCE).exit_code == 0
    result = run("decode", f"{stem}.lic", *REFERENCE)  # beside the .png there is no room
    assert result.exit_code == 1
    assert f"{stem}.decoded.png: cannot be written: File name too long" in one_error(result)
    assert "name a shorter one with -o, or rename the input" in one_error(result)
    assert len(os.listdir(tmp_path)) == 3


def test_names_without_room_for_a_suffix(run: Run, photo: Path) -> None:
    name = "é" * (NAME_MAX // 2)  # of two bytes each
    (photo.parent / name).write_bytes(png())
    result = run("encode", name, "photo.png", *REFERENCE)
    assert result.exit_code == 1
    assert f"{name}.lic: cannot be written: File name too long" in one_error(result)
    assert (photo.parent / "photo.lic").is_file()
    assert run("encode", name, "-o", "b.lic", *REFERENCE).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("info", "{}"), 3),
        (("encode", "photo.png", "-o", "{}.lic"), 1),
        (("encode", "photo.png", "photo.png", "-o", "{}/"), 1),
        (("encode", "photo.png", "--model", "{}.safetensors"), 3),
        (("models", "verify", "{}.safetensors"), 3),
        (("models", "install", "{}.safetensors"), 3),
        (("quantize", "a.pt", "--size", "5M", "-o", "{}.safetensors"), 1),
    ],
)
def test_names_that_are_too_long(
    run: Run, photo: Path, arguments: tuple[str, ...], code: int
) -> None:
    result = run(*(argument.format("a" * (NAME_MAX + 1)) for argument in arguments))
    assert result.exit_code == code
    assert ": File name too long" in one_error(result)
    assert ("with -o" in one_error(result)) == ("-o" in arguments)


def test_two_ways_to_one_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for name in ("a.png", "a.bmp"):
        (tmp_path / "real" / name).write_bytes(png())
    result = run("encode", "real/a.png", "link/a.bmp", "-f", *REFERENCE)
    assert result.exit_code == 2
    assert "real/a.png and link/a.bmp would both become link/a.lic" in one_error(result)
