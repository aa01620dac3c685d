"""The last pictures that the viewer saw of each rental: the newest for a page, a few before it for later.

Only what differs is kept: of a stream that stands still, the pictures from before it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from keeper.core.model import InstanceId

FRAMES_MAX = 5
# Of one rental's pictures together; the newest is kept whatever its size, which the network bounds.
BYTES_MAX = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A picture, and when it was seen first."""

    at: datetime
    jpeg: bytes


class LastFrames:
    """The last few of each rental."""

    def __init__(self) -> None:
        self._frames: dict[InstanceId, tuple[Frame, ...]] = {}

    def add(self, instance_id: InstanceId, jpeg: bytes, at: datetime) -> None:
        """Take the newest; one that is as the last one is not new."""
        before = self._frames.get(instance_id, ())
        if before and before[-1].jpeg == jpeg:
            return
        kept = [*before, Frame(at=at, jpeg=jpeg)][-FRAMES_MAX:]
        while len(kept) > 1 and sum(len(each.jpeg) for each in kept) > BYTES_MAX:
            del kept[0]
        self._frames[instance_id] = tuple(kept)

    def newest(self, instance_id: InstanceId) -> Frame | None:
        """Return the newest; None: none was seen."""
        frames = self._frames.get(instance_id)
        return frames[-1] if frames else None

    def of(self, instance_id: InstanceId) -> tuple[Frame, ...]:
        """Return all that are kept of a rental, the oldest first."""
        return self._frames.get(instance_id, ())

    def forget(self, instance_id: InstanceId) -> None:
        """Drop a rental's."""
        self._frames.pop(instance_id, None)

    def __iter__(self) -> Iterator[InstanceId]:
        """Go over the rentals of which something is kept."""
        return iter(self._frames)

    def __len__(self) -> int:
        """Count them."""
        return len(self._frames)
