"""An SFTP server of this process, over a folder, for one key."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko


class _Session(paramiko.ServerInterface):
    """Lets a user in who has the key, and gives SFTP alone."""

    def __init__(self, key: paramiko.PKey) -> None:
        self._key = key

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key == self._key else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Handle(paramiko.SFTPHandle):
    """An open file."""

    def __init__(self, file: Any, flags: int) -> None:
        super().__init__(flags)
        self.readfile = self.writefile = file

    def stat(self) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


class _Folder(paramiko.SFTPServerInterface):
    """What clients ask for, below `root`."""

    root = Path()

    def _path(self, path: str) -> str:
        return str(self.root / self.canonicalize(path).lstrip("/"))

    def _answer(self, action: Any) -> Any:
        try:
            found = action()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return paramiko.SFTP_OK if found is None else found

    def list_folder(self, path: str) -> Any:
        def listed() -> list[paramiko.SFTPAttributes]:
            with os.scandir(self._path(path)) as entries:
                return [paramiko.SFTPAttributes.from_stat(e.stat(), e.name) for e in entries]

        return self._answer(listed)

    def stat(self, path: str) -> Any:
        return self._answer(lambda: paramiko.SFTPAttributes.from_stat(os.stat(self._path(path))))

    lstat = stat

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> Any:
        mode = "r+b" if flags & (os.O_WRONLY | os.O_RDWR) else "rb"

        def opened() -> _Handle:
            return _Handle(os.fdopen(os.open(self._path(path), flags, 0o666), mode), flags)

        return self._answer(opened)

    def remove(self, path: str) -> Any:
        return self._answer(lambda: os.remove(self._path(path)))

    def posix_rename(self, oldpath: str, newpath: str) -> Any:
        return self._answer(lambda: os.replace(self._path(oldpath), self._path(newpath)))


@contextlib.contextmanager
def served(root: Path, key: paramiko.PKey) -> Iterator[int]:
    """Serve a folder; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transports: list[paramiko.Transport] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # closed
                    return
                transport = paramiko.Transport(connection)
                transport.add_server_key(key)
                folder = type("_Served", (_Folder,), {"root": root})
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, folder)
                transport.start_server(server=_Session(key))
                transports.append(transport)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        for transport in transports:
            transport.close()
