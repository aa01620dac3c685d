"""Digests of big files: made once for a file as it is, and again when it is another one."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from keeper.adapters.local_file import MIB, PIECES_MAX, Digests, LocalFiles, piece_of
from keeper.ports import LocalFileUnfit


class Reader:
    """Asks for digests, and counts how often the file is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self.files = LocalFiles()
        self.path = path
        self.reads = 0

    async def digests(self) -> Digests:
        return await self.files.digests(str(self.path), self._told)

    async def _told(self, done: int, _total: int) -> None:
        self.reads += done == 0


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    path = tmp_path / "game.zip"
    path.write_bytes(os.urandom(2 * MIB + 5))
    return Reader(path)


async def test_a_file_is_read_once_however_many_hosts_get_it(reader: Reader) -> None:
    """Ten hosts that were rented at once would each have had it read."""
    content = reader.path.read_bytes()
    one, *others = await asyncio.gather(*(reader.digests() for _ in range(10)))
    assert reader.reads == 1
    assert all(each is one for each in others)
    assert one.whole == hashlib.sha256(content).hexdigest()
    pieces = (content[:MIB], content[MIB : 2 * MIB], content[2 * MIB :])
    assert one.pieces == tuple(hashlib.sha256(each).hexdigest() for each in pieces)


async def test_another_file_under_its_name_is_read_again(reader: Reader, tmp_path: Path) -> None:
    first = await reader.digests()
    other = tmp_path / "other"
    other.write_bytes(reader.path.read_bytes())
    told = reader.path.stat()
    os.utime(other, ns=(told.st_atime_ns, told.st_mtime_ns))
    other.rename(reader.path)  # as old and as big: only the inode tells
    assert (await reader.digests()).whole == first.whole
    assert reader.reads == 2
    reader.path.write_bytes(b"shorter")
    assert (await reader.digests()).whole != first.whole


async def test_one_that_grows_while_it_is_read_is_not_believed(reader: Reader) -> None:
    async def grow(done: int, _total: int) -> None:
        if done == 0:
            with reader.path.open("ab") as file:
                file.write(b"more")

    with pytest.raises(LocalFileUnfit, match="was changed while"):
        await reader.files.digests(str(reader.path), grow)


def test_pieces_are_few_enough_for_one_answer() -> None:
    for size in (0, 1, MIB, MIB + 1, 10**9, 10**10 + 7, 10**12):
        piece = piece_of(size)
        assert piece % MIB == 0
        assert -(-size // piece) <= PIECES_MAX
