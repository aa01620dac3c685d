"""The alert about a hand-over that was taken back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import dollars, to_read
from keeper.core.model import stream_of
from keeper.core.moments import elapsed_s
from keeper.core.reasons import SENTENCE
from keeper.core.world import Snapshot

# So long it is news.
_NEWS_S = 1800.0


def handover_undone(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A new host showed no picture in the old one's place, and viewers saw nothing while it tried.

    That they did was decided on, for a while, so it is told as dark only when it lasts; and when the
    old host is back at once, nothing else says that every planned change of hosts fails like this.
    """
    for slot, record in snapshot.records.items():
        if record.undone_at is None or elapsed_s(record.undone_at, now) >= _NEWS_S:
            continue
        kept = to_read(snapshot, slot)
        yield Alert(
            name="KeeperHandoverUndone",
            key=f"KeeperHandoverUndone:{slot}",
            severity=Severity.WARNING,
            slot=slot,
            stream=stream_of(slot),
            summary=f"a hand-over of {slot} was undone",
            why=SENTENCE[record.undone_for],
            did="the old host publishes again; the new one is given up, and its machine avoided"
            + (f"; {kept}" if kept else ""),
            needs_human="Once is the host's fault, most likely. If the next one goes the same way:"
            f" `keeper events --slot {slot}`, and what the ingest says of the new publisher.",
            since=record.undone_at,
            dollars=dollars(record),
            labels={"stream": stream_of(slot), "slot": slot},
            reason=record.undone_for,
            case=record.undone_at.isoformat(),
            over=f"no hand-over of {slot} was undone for a while",
        )
