"""Looks into SQLite's write-ahead log before it is replayed, for commits that damage would hide.

SQLite replays the log up to the first frame whose checksum is wrong and forgets the rest without a
word. After a power cut that is right: the rest was never flushed, so nobody was told of it. But each
commit is flushed before the next begins, so two whole commits behind a bad frame mean that the disk
has lost what it had promised, and a keeper that believed the rest would rent what it has already.
Format: https://sqlite.org/fileformat2.html#walformat (read 2026-08). Reads only.
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = struct.Struct(">IIIIIIII")  # magic, version, page size, sequence, salts, checksum
_FRAME = struct.Struct(">IIIIII")  # page, size of the database after a commit or 0, salts, checksum
_MAGIC = 0x377F0682  # the last bit says in which byte order checksums are reckoned
_MASK = 0xFFFFFFFF


def commits_lost(log: Path) -> int:
    """Return how many commits lie behind a damaged frame, but for one that may never have been told.

    0: the log is whole, or ends as a power cut would have it. A log that is not there is whole.
    """
    try:
        told = log.read_bytes()
    except FileNotFoundError:
        return 0
    if len(told) < _HEADER.size:
        return 0
    magic, _, page_bytes, _, *salts, _, _ = _HEADER.unpack_from(told)
    if magic & ~1 != _MAGIC or not page_bytes:
        return 0  # SQLite does not believe it either, and has no frame to lose
    order = ">" if magic & 1 else "<"
    running = _checksum(order, told[:24], (0, 0))
    frame_bytes = _FRAME.size + page_bytes
    is_whole, behind = True, 0
    for start in range(_HEADER.size, len(told) - frame_bytes + 1, frame_bytes):
        _, committed, *marks = _FRAME.unpack_from(told, start)
        if marks[:2] != salts:
            is_whole = False  # left over from before the log was begun anew, as is all that follows
            continue
        if is_whole:
            running = _checksum(order, told[start : start + 8], running)
            page = told[start + _FRAME.size : start + frame_bytes]
            running = _checksum(order, page, running)
            is_whole = running == tuple(marks[2:])
        if not is_whole and committed:
            behind += 1
    return max(0, behind - 1)


def _checksum(order: str, data: bytes, before: tuple[int, int]) -> tuple[int, int]:
    first, second = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
