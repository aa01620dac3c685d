"""The folder in which keeper keeps what must outlive it, and the two keys that it makes there itself.

What lies in it is of its owner alone. The store and the archive put their own files there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import asyncssh

from keeper.ports import StoreError, StoreFull

_FOLDER_MODE = 0o700
_KEY_MODE = 0o600


def make(folder: Path) -> None:
    """Make the folder if it is not there. Raises StoreError and StoreFull."""
    with _said(folder):
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)


def ssh_key_file(folder: Path) -> Path:
    """Return where keeper's own SSH key is; made at first use, for operators who have none to give.

    Raises StoreError and StoreFull.
    """
    path = folder / "id_ed25519"
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519", comment="keeper")
        _write(path, key.export_private_key())
    return path


def marks_key(folder: Path) -> bytes:
    """Return the key with which secrets are marked; made at first use, beside the store.

    Raises StoreError and StoreFull.
    """
    path = folder / "marks.key"
    if not path.exists():
        _write(path, secrets.token_bytes(32))
    with _said(path):
        return path.read_bytes()


def marks_key_if_any(folder: Path) -> bytes:
    """Return the same key, or nothing: who may look at the store need not have it."""
    with contextlib.suppress(OSError):
        return (folder / "marks.key").read_bytes()
    return b""


def _write(path: Path, content: bytes) -> None:
    """Write a file that is of its owner alone, whole or not at all, and lasting."""
    new = path.with_suffix(".new")
    with _said(path):
        new.unlink(missing_ok=True)
        new.touch(mode=_KEY_MODE, exist_ok=False)
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(
                file.fileno()
            )  # else a box that loses power may keep the name and lose the key
        new.rename(path)


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    """Say what is wrong with the state folder as the store would."""
    try:
        yield
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}): state_dir must be a folder that belongs "
            "to the user that keeper runs as"
        ) from error
    except OSError as error:
        raise StoreFull(
            f"{path} cannot be written ({error.strerror}): free space on that disk, or give another "
            "state_dir"
        ) from error
