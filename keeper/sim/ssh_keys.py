"""The container's authorized_keys: what the marketplace puts there, and what sshd says to a key.

It is a real file in the container's home, so whoever spoils its modes is locked out, as with
OpenSSH's StrictModes; the reason then stands in the container's log and nowhere else. No sockets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

WRITABLE_BY_OTHERS = 0o022


class AuthorizedKeys:
    """One container's file. A new container begins without it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / ".ssh"
        self.path = self._folder / "authorized_keys"
        self._delivered: list[str] = []

    def deliver(self, keys: Sequence[str]) -> None:
        """Bring the file up to what the marketplace knows; lines of others and the modes stay."""
        if self._delivered == list(keys):
            return
        gone = set(self._delivered) - set(keys)
        self._delivered = list(keys)
        try:
            lines = self.path.read_text().splitlines()
        except FileNotFoundError:
            lines = []
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self.path.touch(mode=0o600)
        lines = [line for line in lines if line not in gone]
        lines += [key for key in keys if key not in lines]
        self.path.write_text("".join(f"{line}\n" for line in lines))

    def spoil(self) -> None:
        """Leave the file with modes that sshd refuses, as some images did (field reports)."""
        if self.path.exists():
            self.path.chmod(0o666)

    def mend(self) -> None:
        """Give it the modes that sshd insists on."""
        if self.path.exists():
            self._folder.chmod(0o700)
            self.path.chmod(0o600)

    def complaint(self) -> str:
        """Return why sshd does not read the file, in OpenSSH's words; "" when it does."""
        for path, kind, name in (
            (self._home, "directory", "/root"),
            (self._folder, "directory", "/root/.ssh"),
            (self.path, "file", "/root/.ssh/authorized_keys"),
        ):
            if path.exists() and path.stat().st_mode & WRITABLE_BY_OTHERS:
                return f"Authentication refused: bad ownership or modes for {kind} {name}"
        return ""

    def lines(self) -> list[str]:
        """Return what the file holds."""
        try:
            return self.path.read_text().splitlines()
        except OSError:
            return []

    def refusal(self, shown: str) -> str:
        """Return why this key may not come in, in OpenSSH's words; "" when it may."""
        if why := self.complaint():
            return why
        # A line may begin with options and end with a comment.
        if any(f" {shown} " in f" {line} " for line in self.lines() if not line.startswith("#")):
            return ""
        return "Failed publickey for root"
