"""Files of a simulated host by SFTP and SCP, under the container's own names for its folders."""

from __future__ import annotations

import asyncssh
from typing_extensions import override

_HOMES = (b"/root", b"/~", b"~")


class Files(asyncssh.SFTPServer):
    """Serves one session from the container's home, as OpenSSH's sftp-server would."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], home: str) -> None:
        super().__init__(channel, chroot=home.encode())
        self._session = channel

    @override
    def map_path(self, path: bytes) -> bytes:
        """Find a file where a shell of the container finds it."""
        for name in _HOMES:
            if path == name or path.startswith(name + b"/"):
                path = path[len(name) :] or b"/"
                break
        return super().map_path(path)

    @override
    def exit(self) -> None:
        """End with a status: without one, OpenSSH's scp says that it failed."""
        self._session.exit(0)
