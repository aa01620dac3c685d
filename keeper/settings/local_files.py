"""Whether the files of this box that workloads name are there, and what they should be.

Said when a configuration is checked or read again, never at a start: a box that comes up before one of
its disks must still look after what is on air. Whoever sends the file compares it once more.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keeper.ports import Parcel
from keeper.settings.scenes import SceneFile, unreadable

_HEAD_BYTES = 512
_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this box that a workload names, and where it is named."""

    where: str  # "file:line:col", or another source
    key: str
    parcel: Parcel


NamedFile = LocalFile | SceneFile


def unfit(files: tuple[NamedFile, ...], *, is_thorough: bool = False) -> tuple[str, ...]:
    """Say what is wrong with files. ``is_thorough``: they are read whole, which takes a while."""
    return tuple(
        f"{file.where}: {file.key}: {problem}"
        for file in files
        for problem in _of(file, is_thorough=is_thorough)
    )


def _of(file: NamedFile, *, is_thorough: bool) -> Iterator[str]:
    match file:
        case LocalFile(parcel=parcel):
            return _problems(parcel, is_thorough=is_thorough)
        case SceneFile():
            return unreadable(file)


def _problems(parcel: Parcel, *, is_thorough: bool) -> Iterator[str]:
    path = Path(parcel.local_path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            yield f"{path} is no file: name the archive itself"
            return
        if not found.st_size:
            yield f"{path} is empty: put the archive there"
            return
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        yield f"{path} is not on this box: put the archive there, or correct the path"
        return
    except OSError as error:
        yield f"{path} cannot be read ({error.strerror}): let the user that runs keeper read it"
        return
    if parcel.heads and not any(head.startswith(mark, at) for at, mark in parcel.heads):
        yield f"{path} is no archive that can be unpacked: it must be {parcel.heads_said}"
    elif is_thorough and (digest := _digest(path)) != parcel.sha256:
        yield f"the sha256 of {path} is {digest}, and {parcel.sha256} is declared: correct one of them"


def _digest(path: Path) -> str:
    """Read a file whole, for a person who waits; "" when it cannot be."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                digest.update(data)
    except OSError:
        return ""
    return digest.hexdigest()
