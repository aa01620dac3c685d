"""The strips of verdicts of all slots, and of the hosts that only prove themselves.

A slot's strip goes on when its host changes: viewers do not care which host they saw. A host to come,
or a spare, shows its picture to nobody: it has a strip of its own, for those who ask later why it ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keeper.core.model import InstanceId, Reading, SlotId
from keeper.core.strip import NOTHING_SEEN, SPAN, Strip, looked, moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a rental is looked at."""

    slot: SlotId | None = None  # whose viewers see it; None: nobody's
    stale_s: float = 45.0  # so long a look counts


def nowhere(_: InstanceId) -> Place:
    """Know of no slot: the look counts for nobody's strip but the rental's own."""
    return Place()


class Strips:
    """Bounded by the number of slots and rentals, and of runs in each strip."""

    def __init__(self, place_of: Callable[[InstanceId], Place] = nowhere) -> None:
        self._place_of = place_of
        self._strips: dict[SlotId | InstanceId, Strip] = {}
        self._place: dict[InstanceId, tuple[SlotId | InstanceId, float]] = {}  # of its latest look

    def look(self, reading: Reading) -> None:
        """Take a look at a picture."""
        instance_id = reading.instance_id
        place = self._place_of(instance_id)
        key = instance_id if place.slot is None else place.slot
        before = self._strips.get(key)
        if before is None:
            before = NOTHING_SEEN
            self._drop_old(reading.at)
        self._strips[key] = looked(before, reading, place.stale_s)
        self._place[instance_id] = key, place.stale_s
        if key != instance_id:
            self._strips.pop(instance_id, None)  # it has proved itself

    def stands(self, instance_id: InstanceId, until: datetime) -> None:
        """Let the latest look at a rental count as if it were made at this moment."""
        key, stale_s = self._place.get(instance_id, (instance_id, 0.0))
        strip = self._strips.get(key)
        if strip is None or strip.latest is None or strip.latest.instance_id != instance_id:
            return
        self._strips[key] = replace(strip, stands_until=until + timedelta(seconds=stale_s))

    def of_slot(self, slot: SlotId) -> Strip:
        """Return what viewers of a slot saw."""
        return self._strips.get(slot, NOTHING_SEEN)

    def of_rental(self, instance_id: InstanceId) -> Strip:
        """Return what was seen of a rental: that of its slot, if viewers saw it."""
        key, _ = self._place.get(instance_id, (instance_id, 0.0))
        return self._strips.get(key, NOTHING_SEEN)

    def forget(self, instance_id: InstanceId) -> None:
        """Look at a rental no more. What its slot's viewers saw of it stays."""
        self._place.pop(instance_id, None)
        self._strips.pop(instance_id, None)

    def clock_stepped(self, step_s: float, now: datetime) -> None:
        """Move everything along with the clock."""
        step = timedelta(seconds=step_s)
        self._strips = {key: moved(strip, step, now) for key, strip in self._strips.items()}

    def _drop_old(self, now: datetime) -> None:
        """Drop the strips of slots that nobody has looked at for longer than a strip is."""
        over = [
            key
            for key, strip in self._strips.items()
            if strip.stands_until is not None and strip.stands_until < now - SPAN
        ]
        for key in over:
            del self._strips[key]
