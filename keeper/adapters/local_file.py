"""Big files of this box: read in pieces and in threads, and known by their digests.

A digest is made once for a file as it is (its inode, size and time of change), however often it is asked
for. A file that becomes another one meanwhile is found out, by its looks and by what was read of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from keeper.ports import LocalFileUnfit

MIB = 1024 * 1024
# A piece is what a host is asked to compare, and the least that is sent again. So many of them at most:
# their digests fit into one answer, and ten gigabytes come in pieces of twenty megabytes.
PIECES_MAX = 512
_READ_BYTES = 4 * MIB
# A share of another box that hangs lets a read hang with it.
_READ_S = 60.0
_KNOWN_MAX = 64
_T = TypeVar("_T")

Told = Callable[[int, int], Awaitable[None]]
"""Is told how many bytes of how many were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What tells one state of a file from another without reading it."""

    inode: int
    size_bytes: int
    changed_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """What a file was when it was read from its beginning to its end."""

    looks: Looks
    whole: str
    piece_bytes: int
    pieces: tuple[str, ...]  # the last one may be shorter

    @property
    def size_bytes(self) -> int:
        """How big it is."""
        return self.looks.size_bytes


class LocalFile:
    """One file, open for reading. Raises LocalFileUnfit."""

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    async def read(self, offset: int, length: int) -> bytes:
        """Read exactly so much; less means that it was cut short meanwhile."""
        data = await _in_thread(self._path, lambda: os.pread(self._descriptor, length, offset))
        if len(data) != length:
            raise changed(self._path)
        return data

    async def looks(self) -> Looks:
        """Say how it looks now, whatever stands under its name."""
        return await _in_thread(self._path, lambda: _looks_of(os.fstat(self._descriptor)))

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


class LocalFiles:
    """The files of this box, and the digests that were made of them."""

    def __init__(self) -> None:
        self._known: dict[str, Digests] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def open(self, path: str) -> LocalFile:
        """Open a file; whoever opens it closes it. Raises LocalFileUnfit."""
        return LocalFile(path, await _in_thread(path, lambda: _opened(path)))

    async def digests(self, path: str, told: Told) -> Digests:
        """Return a file's digests; made once while it stays as it is. Raises LocalFileUnfit."""
        async with self._reading.setdefault(path, asyncio.Lock()):
            file = await self.open(path)
            try:
                looks = await file.looks()
                known = self._known.get(path)
                if known is not None and known.looks == looks:
                    return known
                made = await _digests_of(file, looks, told)
                if await file.looks() != looks:
                    raise changed(path)
            finally:
                file.close()
            self._known.pop(path, None)
            self._known = {**dict(list(self._known.items())[-_KNOWN_MAX + 1 :]), path: made}
            return made


def changed(path: str) -> LocalFileUnfit:
    """Word that a file is not what it was a moment ago."""
    return LocalFileUnfit(
        f"{path} on keeper's box was changed while it was read: put another archive under another"
        " name, or move it there when it is whole"
    )


async def _digests_of(file: LocalFile, looks: Looks, told: Told) -> Digests:
    piece_bytes = piece_of(looks.size_bytes)
    whole, pieces = hashlib.sha256(), []
    for begin in range(0, looks.size_bytes, piece_bytes):
        piece = hashlib.sha256()
        end = min(begin + piece_bytes, looks.size_bytes)
        for offset in range(begin, end, _READ_BYTES):
            await told(offset, looks.size_bytes)
            data = await file.read(offset, min(_READ_BYTES, end - offset))
            await asyncio.to_thread(_take_in, data, whole, piece)
        pieces.append(piece.hexdigest())
    return Digests(
        looks=looks, whole=whole.hexdigest(), piece_bytes=piece_bytes, pieces=tuple(pieces)
    )


def piece_of(size_bytes: int) -> int:
    """Return how big the pieces of a file are: whole MiB."""
    return max(1, -(-size_bytes // (PIECES_MAX * MIB))) * MIB


def _take_in(data: bytes, *digests: hashlib._Hash) -> None:
    for digest in digests:
        digest.update(data)


def _opened(path: str) -> int:
    # Not to wait for ever for somebody to write into a pipe of that name.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LocalFileUnfit(f"{path} on keeper's box is no file: give the archive itself")
    return descriptor


def _looks_of(told: os.stat_result) -> Looks:
    return Looks(inode=told.st_ino, size_bytes=told.st_size, changed_at_ns=told.st_mtime_ns)


async def _in_thread(path: str, work: Callable[[], _T]) -> _T:
    """Do something with a file in a thread. A thread that hangs is left behind."""
    try:
        async with asyncio.timeout(_READ_S):
            return await asyncio.to_thread(work)
    except TimeoutError as error:
        raise LocalFileUnfit(
            f"{path} on keeper's box cannot be read: its disk has not answered for {_READ_S:.0f} s"
        ) from error
    except OSError as error:
        user = (
            "" if not isinstance(error, PermissionError) else " (as the user that keeper runs as)"
        )
        raise LocalFileUnfit(
            f"{path} on keeper's box cannot be read{user}: {error.strerror}; put the archive there"
            " again"
        ) from error
