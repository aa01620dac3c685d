"""What a look at a playlist or at single pictures keeps for the next one, besides the pictures' grids.

It travels as bytes through whoever asks for looks (``PictureSample.memory``), behind the grids, and never
leaves this process: addresses in it may hold tokens. Moments are seconds of the running loop's clock.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

import msgspec

from keeper.ports import PictureSample
from keeper.probes.grid import LENGTH, recall

_ADDRESS_MAX = 16_384
_PIECES_MAX = 8
_END_BYTES = 16_384


class Kept(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Of one source, from look to look."""

    source: str = ""  # of whom: what was kept of another one counts for nothing
    playlist: str = ""  # the rendition that was chosen; the master is not asked again
    sound: str = ""  # where its sound is, when it is apart
    newest: str = ""  # the newest segment or picture
    since_s: float = 0.0  # when that was first seen
    pieces: list[bytes] = msgspec.field(default_factory=list)  # what was looked at last, as marks
    sample: PictureSample | None = None  # what it came to
    is_shown: bool = False  # and it was handed out as a small picture

    def forget_rendition(self) -> None:
        """Have all renditions asked for again: a stream that begins anew may do so at new addresses."""
        self.playlist = self.sound = ""

    def has_seen(self, marks: list[bytes]) -> bool:
        """Whether all of this was looked at before: a playlist that repeats itself is no live one."""
        return bool(marks) and all(mark in self.pieces for mark in marks)

    def note(self, marks: list[bytes]) -> None:
        """Remember what is looked at."""
        self.pieces = [*self.pieces, *marks][-_PIECES_MAX:]


def recalled(memory: bytes, source: str) -> Kept:
    """Read what ``written`` wrote for this source; anything else is as if there was no look before."""
    try:
        kept = msgspec.msgpack.decode(memory[_start(memory) :], type=Kept)
    except (msgspec.DecodeError, ValueError):
        kept = Kept()
    return kept if kept.source == digest_of(source.encode()).hex() else Kept()


def grids_of(memory: bytes) -> bytes:
    """Return what the comparison of pictures has kept."""
    return memory[: _start(memory)]


def written(kept: Kept, grids: bytes, source: str) -> bytes:
    """Return the memory for the next look."""
    kept.source = digest_of(source.encode()).hex()
    if len(kept.playlist) + len(kept.sound) + len(kept.newest) > _ADDRESS_MAX:
        kept.playlist = kept.sound = ""
    if kept.sample is not None:
        kept.sample = replace(kept.sample, newest_frame=b"", memory=b"")
    return grids + msgspec.msgpack.encode(kept)


def digest_of(data: bytes) -> bytes:
    """Return the digest of some bytes: equal ones have equal digests."""
    return blake2b(data, digest_size=12).digest()


def mark_of(segment: bytes) -> bytes:
    """Return the digest of a segment's size and ends.

    All of its megabytes would take longer to digest than to decode; and where anything in a segment
    differs, its size does, or its end.
    """
    size = len(segment).to_bytes(8, "big")
    return digest_of(size + segment[:_END_BYTES] + segment[_END_BYTES:][-_END_BYTES:])


def _start(memory: bytes) -> int:
    return LENGTH if recall(memory) is not None else 0
