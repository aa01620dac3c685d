"""The last pictures that the viewer saw of each rental: the newest for a page, a few before it for later.

Only what differs is kept: of a stream that stands still, the pictures from before it did. And whatever
came after it, the last one that was as it should be is among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from keeper.core.model import InstanceId

FRAMES_MAX = 5
# Of one rental's pictures together; the newest and the last good one are kept whatever their size, which
# the network bounds.
BYTES_MAX = 400_000
# Of all rentals together; beyond it only the newest of each is kept. A thousand streams of large pictures
# would hold four times as much.
ALL_BYTES_MAX = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A picture, and when it was seen first."""

    at: datetime
    jpeg: bytes
    is_good: bool | None = None  # as the look judged that saw it first; None: not yet


class LastFrames:
    """The last few of each rental."""

    def __init__(self) -> None:
        self._frames: dict[InstanceId, tuple[Frame, ...]] = {}
        self._bytes = 0

    def add(self, instance_id: InstanceId, jpeg: bytes, at: datetime) -> None:
        """Take the newest; one that is as the last one is not new."""
        before = self._frames.get(instance_id, ())
        if before and before[-1].jpeg == jpeg:
            return
        kept = [*before, Frame(at=at, jpeg=jpeg)]
        held = self._bytes - _size(before)
        bytes_max = BYTES_MAX if held < ALL_BYTES_MAX else 0
        while len(kept) > FRAMES_MAX or (
            _size(kept) > bytes_max and len(kept) > (1 if bytes_max == 0 else _least_count(kept))
        ):
            del kept[_least(kept)]
        self._frames[instance_id] = tuple(kept)
        self._bytes = held + _size(kept)

    def judged(self, instance_id: InstanceId, *, is_good: bool) -> None:
        """Note what the look that saw the newest made of it."""
        frames = self._frames.get(instance_id)
        if frames and frames[-1].is_good is None:
            self._frames[instance_id] = (*frames[:-1], replace(frames[-1], is_good=is_good))

    def newest(self, instance_id: InstanceId) -> Frame | None:
        """Return the newest; None: none was seen."""
        frames = self._frames.get(instance_id)
        return frames[-1] if frames else None

    def of(self, instance_id: InstanceId) -> tuple[Frame, ...]:
        """Return all that are kept of a rental, the oldest first."""
        return self._frames.get(instance_id, ())

    def forget(self, instance_id: InstanceId) -> None:
        """Drop a rental's."""
        self._bytes -= _size(self._frames.pop(instance_id, ()))

    def __iter__(self) -> Iterator[InstanceId]:
        """Go over the rentals of which something is kept."""
        return iter(self._frames)

    def __len__(self) -> int:
        """Count them."""
        return len(self._frames)


def _least(frames: Sequence[Frame]) -> int:
    """Say which one to drop: the oldest, or the next one where the oldest is the last good one."""
    if len(frames) <= 2 or not frames[0].is_good:  # noqa: PLR2004 - the newest always stays
        return 0
    return 0 if any(each.is_good for each in frames[1:]) else 1


def _least_count(frames: Sequence[Frame]) -> int:
    """Say how many are kept whatever their size: the newest, and the last good one before it."""
    return 2 if frames[0].is_good else 1


def _size(frames: Sequence[Frame]) -> int:
    return sum(len(each.jpeg) for each in frames)
