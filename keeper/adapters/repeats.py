"""How many of a stream's frames show something new. Runs in the decoder's process.

Encoders are given the same picture again where a source is slower than its stream, and write it down as "as
before" in a few bytes. So the sizes of packets tell, without decoding; where they leave a doubt, because what
is new may be small and what is repeated may be refined, a short run of frames is decoded and compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[np.float32]

# What an encoder puts where it must fill a bitrate: filler NAL units are 0xFF and end with 0x80 (ITU-T
# H.264, 7.3.2.7, and H.265 alike).
_FILLER = b"\xff\x80\x00"
_FILLER_ENDS = frozenset(_FILLER)
_START = b"\x00\x00\x01"
_PREFIX_BYTES = 4
_NALS_MAX = 64
# Of a frame that is as the one before: its head, the heads of its units (a delimiter, a slice or eight), and
# a hundredth of a byte for each block of 16 by 16. Measured with libx264 at six sizes, 2026-11: 17 to 154.
_HEAD_BYTES = 8
_NAL_BYTES = 14
_BLOCKS_A_BYTE = 100
_SMALL_MAX = 1_500
# When to doubt: fewer than this part seem new, or this part of the packets is far smaller than the others.
_NEW_SHARE_MIN = 0.6
_SMALL_SHARE = 0.4
_FAR_SMALLER = 0.4
_COUNT_MIN = 10
RUN_MAX = 25  # frames; as many as a second of film
_RUN_MIN = 6
# A cell is a mean of 25 samples: refining a frame that stands moves it by less, a mouth moves it by more.
_NEW_LEVELS = 0.75


class Repeats:
    """The packets of one track of pictures."""

    def __init__(self) -> None:
        self.blocks = 0  # of 16 by 16 samples, in a picture
        self.count = 0
        self.repeats = 0
        self._share: float | None = None  # of frames that were found to be new
        self._sizes: list[int] = []  # of those that only look back
        self._newest_pts: int | None = None

    def add(self, packet: Any) -> None:
        """Count one."""
        self.count += 1
        pts, newest = packet.pts, self._newest_pts
        looks_ahead = pts is not None and newest is not None and pts < newest
        if not looks_ahead:
            self._newest_pts = pts
        if packet.is_keyframe:
            return
        self.repeats += self.is_repeat(packet)
        if not looks_ahead:
            self._sizes.append(size_of(packet))

    def is_repeat(self, packet: Any) -> bool:
        """Whether a packet has no room for anything new."""
        if packet.is_keyframe:
            return False
        size = size_of(packet)
        if size > _SMALL_MAX + self.blocks // _BLOCKS_A_BYTE:
            return False
        return size <= _HEAD_BYTES + _NAL_BYTES * _nals(packet) + self.blocks // _BLOCKS_A_BYTE

    @property
    def unique(self) -> int:
        """How many show something new; the first one always does."""
        if self._share is not None:
            return max(1, round(self._share * self.count))
        return max(min(1, self.count), self.count - self.repeats)

    @property
    def is_doubtful(self) -> bool:
        """Whether sizes alone do not tell."""
        if self.count < _COUNT_MIN:
            return False
        if self.count - self.repeats < _NEW_SHARE_MIN * self.count:
            return True
        if len(self._sizes) < _COUNT_MIN:
            return False
        large = sorted(self._sizes)[len(self._sizes) * 9 // 10]
        small = sum(size < _FAR_SMALLER * large for size in self._sizes)
        return small >= _SMALL_SHARE * len(self._sizes)

    def settle(self, run: list[Cells]) -> None:
        """Count by a run of consecutive frames what is new among them."""
        if len(run) < _RUN_MIN:
            return
        shown, new = run[0], 1
        for cells in run[1:]:
            if float(np.abs(cells - shown).max()) >= _NEW_LEVELS:
                new, shown = new + 1, cells
        self._share = new / len(run)


def size_of(packet: Any) -> int:
    """Return how many bytes of a packet are no filling; of a keyframe, all."""
    size = int(packet.size)
    if packet.is_keyframe or not size or memoryview(packet)[-1] not in _FILLER_ENDS:
        return size
    return len(bytes(packet).rstrip(_FILLER))


def _nals(packet: Any) -> int:
    """Return how many units a small packet of H.264 or H.265 consists of; of another codec, about one."""
    data = bytes(packet).rstrip(_FILLER)
    starts = data.count(_START)
    if starts:
        return min(starts, _NALS_MAX)
    at = found = 0
    while at + _PREFIX_BYTES < len(data) and found < _NALS_MAX:
        length = int.from_bytes(data[at : at + _PREFIX_BYTES], "big")
        if not 0 < length <= packet.size:
            break
        at, found = at + _PREFIX_BYTES + length, found + 1
    return max(1, found)
