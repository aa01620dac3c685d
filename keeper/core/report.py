"""The day in numbers, one line a stream, from what the journal holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keeper.core.events import StreamReported
from keeper.core.model import SlotId, SlotRecord, StreamName, is_spare, stream_of
from keeper.core.moments import elapsed_s


@dataclass(slots=True)
class _Sum:
    slots: int = 0
    on_air: int = 0
    dark_s: float = 0.0
    incidents: int = 0
    remedies: int = 0
    rentals: int = 0
    dollars_per_hour: float = 0.0


# What counts as a remedy that was carried out.
_REMEDIES = frozenset({"workload.restarted", "instance.rebooted"})
_RENTALS = frozenset({"instance.rented", "instance.adopted"})
# What a report reads of the journal.
COUNTED = frozenset({"stream.on_air", "incident.opened", *_REMEDIES, *_RENTALS})


def report(
    facts: Iterable[tuple[str, SlotId | None, Mapping[str, Any]]],
    records: Mapping[SlotId, SlotRecord],
    *,
    since: datetime,
    now: datetime,
) -> tuple[StreamReported, ...]:
    """Sum the facts (name, slot, values) of a period up, for every stream that has a slot.

    A darkness counts when it ends, and as far as it has come when it has not.
    """
    sums: dict[StreamName, _Sum] = {}
    for slot, record in records.items():
        if is_spare(slot):
            continue
        total = sums.setdefault(stream_of(slot), _Sum())
        total.slots += 1
        tenure = record.tenure
        if tenure is not None:
            total.dollars_per_hour += tenure.dollars_per_hour
            total.on_air += tenure.first_live_at is not None and record.dark_since is None
        if record.dark_since is not None:
            total.dark_s += elapsed_s(max(record.dark_since, since), now)
    for name, of, values in facts:
        counted = None if of is None or is_spare(of) else sums.get(stream_of(of))
        if counted is None:
            continue
        if name == "stream.on_air":
            counted.dark_s += float(values.get("duration_s", 0.0))
        counted.incidents += name == "incident.opened"
        counted.remedies += name in _REMEDIES
        counted.rentals += name in _RENTALS
    period_s = elapsed_s(since, now)
    return tuple(
        StreamReported(
            stream=stream,
            slots=total.slots,
            on_air=total.on_air,
            dark_s=min(total.dark_s, total.slots * period_s),
            incidents=total.incidents,
            remedies=total.remedies,
            rentals=total.rentals,
            dollars=total.dollars_per_hour,
            duration_s=period_s,
        )
        for stream, total in sorted(sums.items())
    )
