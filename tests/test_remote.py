"""Files by URLs: in memory, through a temporary name, and in an S3 server that runs here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import paramiko
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import licodec
from licodec import remote
from licodec.cli.app import app
from licodec.errors import BadInputError, LicodecError, UsageError
from licodec.images import Picture, encode_picture
from licodec.remote import check_target, is_url, open_url, save_url, split
from tests.scripts.conftest import textured
from tests.sftp_server import served


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_SECONDS_TO_WAIT", (0, 0, 0))


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A bucket "pictures" in a server of this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "some")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "key")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        system.mkdir("pictures")
        yield system
    server.stop()


def png() -> bytes:
    return encode_picture(Picture(textured(40, 56, 3)), "PNG")


def content(url: str) -> bytes:
    with open_url(url) as stream:
        return stream.read()


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        app(list(arguments), prog_name="licodec")
    return int(ended.value.code or 0)


@pytest.mark.parametrize("url", ["s3://bucket/a.png", "sftp://host/a", "memory://a", "file:///a"])
def test_urls(url: str) -> None:
    assert is_url(url)
    before, path = split(url)
    assert before + str(path) == url


@pytest.mark.parametrize("name", ["a.png", "/a/b", "C:\\a.png", "c://a", "-", "", "a:b", "//a/b"])
def test_names_that_are_no_urls(name: str) -> None:
    assert not is_url(name)
    assert not is_url(Path(name))


def test_commands_over_a_store(
    memory: MemoryFileSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    memory.pipe_file("/in/a.png", png())
    assert run("encode", "memory://in/a.png", "--no-lossless") == 0
    assert run("info", "memory://in/a.lic") == run("verify", "memory://in/a.lic") == 0
    assert run("decode", "memory://in/a.lic", "-o", "memory://out/") == 0
    assert sorted(memory.find("/")) == ["/in/a.lic", "/in/a.png", "/out/a.png"]
    decoded = licodec.decode("memory://in/a.lic")
    assert licodec.read_info("memory://in/a.lic")["width"] == 56
    np.testing.assert_array_equal(
        licodec.decode(memory.cat_file("/in/a.lic")).pixels, decoded.pixels
    )
    assert licodec.encode("memory://in/a.png", lossless=False) == memory.cat_file("/in/a.lic")
    said = capsys.readouterr()
    assert "memory://in/a.png -> memory://in/a.lic" in said.err + said.out


def test_several_inputs_go_into_a_folder(memory: MemoryFileSystem) -> None:
    for name in ("a", "b"):
        memory.pipe_file(f"/in/{name}.png", png())
    assert run("encode", "memory://in/a.png", "memory://in/b.png", "-o", "memory://out") == 0
    assert sorted(memory.find("/out")) == ["/out/a.lic", "/out/b.lic"]


def test_what_exists_is_replaced_only_when_told_to(
    memory: MemoryFileSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    memory.pipe_file("/a.png", png())
    memory.pipe_file("/a.lic", b"another")
    assert run("encode", "memory://a.png") == 1
    assert "memory://a.lic: exists already" in capsys.readouterr().err
    assert memory.cat_file("/a.lic") == b"another"
    assert run("encode", "memory://a.png", "-f") == 0
    assert memory.cat_file("/a.lic") != b"another"


def test_schemes_in_capitals(memory: MemoryFileSystem) -> None:
    memory.pipe_file("/a.png", png())
    assert run("encode", "Memory://a.png") == 0
    assert sorted(memory.find("/")) == ["/a.lic", "/a.png"]


def test_what_is_missing(memory: MemoryFileSystem, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("decode", "memory://none.lic") == 3
    assert "memory://none.lic: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("nosuch://a/b", UsageError, "no such kind of place"),
        ("sftp://me:secret@host/a", UsageError, "can see a password"),
        ("memory://a/", LicodecError, "a folder"),
    ],
)
def test_urls_that_are_refused(url: str, error: type[LicodecError], message: str) -> None:
    with pytest.raises(error, match=message) as refused:
        check_target(url, True)
    assert "secret" not in str(refused.value)


def test_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(LicodecError, match=r"s3:// needs fsspec: pip install 'licodec\[remote\]'"):
        check_target("s3://a/b", True)


def test_files_of_other_systems_get_their_names_when_whole(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/a.bin"
    save_url(url, b"one", overwrite=False)
    with pytest.raises(LicodecError, match="exists already"):
        save_url(url, b"two", overwrite=False)
    save_url(url, b"three", overwrite=True)
    assert os.listdir(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"three"
    with pytest.raises(LicodecError, match="no such file, bucket or folder"):
        save_url(f"file://{tmp_path}/none/a.bin", b"", overwrite=False)


class _Failing(MemoryFileSystem):
    """Fails so often, then works; what it has written it may not say."""

    protocol = "failing"
    failures = 0
    writes_first = False

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        def write() -> None:
            super(_Failing, self).pipe_file(path, value, mode=mode, **options)

        self._fail(write)

    def _open(self, *arguments: Any, **options: Any) -> Any:
        self._fail(lambda: None)
        return super()._open(*arguments, **options)

    def _fail(self, write: Any) -> None:
        if self.writes_first:
            write()
        if type(self).failures:
            type(self).failures -= 1
            raise ConnectionError("the store is busy")
        if not self.writes_first:
            write()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, memory: MemoryFileSystem) -> type[_Failing]:
    fsspec.register_implementation("failing", _Failing, clobber=True)
    monkeypatch.setattr(remote, "_STORES", frozenset(("failing",)))
    return _Failing


def test_what_fails_is_tried_again(failing: type[_Failing]) -> None:
    failing.failures = 3
    save_url("failing://a", b"data", overwrite=True)
    failing.failures = 3
    assert content("failing://a") == b"data"


def test_what_goes_on_failing_is_said(failing: type[_Failing]) -> None:
    failing.failures = 4
    with pytest.raises(LicodecError, match="failing://a: cannot be written: the store is busy"):
        save_url("failing://a", b"data", overwrite=True)
    failing.failures = 4
    with pytest.raises(BadInputError, match="failing://a: cannot be read: the store is busy"):
        content("failing://a")
    failing.failures = 0


def test_an_answer_that_was_lost_is_no_collision(
    failing: type[_Failing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failing, "writes_first", True)
    failing.failures = 1
    save_url("failing://a", b"data", overwrite=False)
    assert content("failing://a") == b"data"


def test_s3(s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    s3.pipe_file("pictures/in/a.png", png())
    assert run("encode", "s3://pictures/in/a.png", "-o", "s3://pictures/out/") == 0
    assert run("encode", "s3://pictures/in/a.png", "-o", "s3://pictures/out/") == 1
    assert "s3://pictures/out/a.lic: exists already" in capsys.readouterr().err
    assert run("verify", "s3://pictures/out/a.lic") == 0
    target = tmp_path / "a.png"
    assert run("decode", "s3://pictures/out/a.lic", "-o", str(target)) == 0
    expected = licodec.decode(licodec.encode(png())).pixels
    np.testing.assert_array_equal(licodec.decode("s3://pictures/out/a.lic").pixels, expected)
    assert run("info", "s3://pictures/out/none.lic", "s3://none/a.lic") == 3
    assert capsys.readouterr().err.count("no such file, bucket or folder") == 2


def test_sftp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, root = tmp_path / "home", tmp_path / "root"
    for folder in (home / ".ssh", root / "in", root / "out"):
        folder.mkdir(parents=True)
    key = paramiko.RSAKey.generate(2048)
    key.write_private_key_file(str(home / ".ssh" / "id_rsa"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (root / "in" / "a.png").write_bytes(png())
    with served(root, key) as port:
        base = f"sftp://someone@127.0.0.1:{port}"
        assert run("encode", f"{base}/in/a.png", "-o", f"{base}/out/") == 0
        assert run("verify", f"{base}/out/a.lic") == 0
        assert os.listdir(root / "out") == ["a.lic"]  # and no temporary file
        first = (root / "out" / "a.lic").read_bytes()
        assert run("encode", f"{base}/in/a.png", "-o", f"{base}/out/a.lic", "-d", "8") == 1
        assert (root / "out" / "a.lic").read_bytes() == first
        assert "exists already" in capsys.readouterr().err
        assert run("encode", f"{base}/in/a.png", "-o", f"{base}/out/a.lic", "-d", "8", "-f") == 0
        assert (root / "out" / "a.lic").read_bytes() != first
        assert run("info", f"{base}/out/none.lic") == 3
        assert run("decode", f"{base}/out/a.lic", "-o", f"{base}/none/a.png") == 1
        said = capsys.readouterr().err
        assert said.count("no such file, bucket or folder") == 2


def test_batch_takes_no_urls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("batch", "s3://pictures", "-o", str(tmp_path / "out")) == 2
    assert "batch takes folders of this machine" in capsys.readouterr().err
