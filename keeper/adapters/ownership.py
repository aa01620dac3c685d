"""One process per store: an advisory lock beside the file, for as long as the store is open.

SQLite's own locks last for a transaction; two keepers would take turns and both believe that they
own the fleet. The kernel lets this lock go when the process dies, however it dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from keeper.ports import StoreError, StoreFull, StoreLocked

# What a wrong state_dir answers; everything else is the disk's.
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}


class Ownership:
    """The right to write one store."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock_path = path.with_name(f"{path.name}.lock")
        self._descriptor: int | None = None

    def take(self) -> None:
        """Become the owner, making the folder if need be. Raises StoreLocked, StoreError."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # The store is for its owner's eyes; SQLite would make it as open as the umask allows.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreLocked(
                f"{self._path} is in use by another keeper, process {holder}: stop that one "
                "(systemctl stop keeper), or give this one another state_dir"
            ) from error
        self._descriptor = descriptor
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except OSError as error:
            self.release()
            raise self._unusable(error) from error

    def release(self) -> None:
        """Let go. The lock file stays: removing it would race with the next owner. Repeatable."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _unusable(self, error: OSError) -> StoreError:
        if error.errno in _NOT_OURS:
            return StoreError(
                f"{self._path} cannot be opened ({error.strerror}): state_dir must be a folder "
                "that belongs to the user that keeper runs as"
            )
        return StoreFull(
            f"{self._path} cannot be written ({error.strerror}): free space on that disk, or give "
            "another state_dir"
        )
