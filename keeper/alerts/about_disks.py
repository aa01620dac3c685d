"""Alerts about a host's disk: room for logs and caches is a person's to make, best before there is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import dollars
from keeper.core.conditions import condition_of
from keeper.core.model import ConditionKind, Status, Subject, stream_of
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.text import plain
from keeper.core.world import Snapshot

_DETAIL_MAX = 100


def disk_full(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A host that serves has little room left, or none.

    Also while the picture is well: what writes there next may be what makes it. keeper does nothing
    about it by itself, for what is on the disk is the workload's.
    """
    for slot, record in snapshot.records.items():  # a slot that is well may sit on one
        tenure = record.tenure
        if tenure is None or tenure.instance_id is None or tenure.first_live_at is None:
            continue
        has_room = condition_of(tenure, ConditionKind.HAS_ROOM)
        if has_room is None or has_room.reason not in {Reason.DISK_FULL, Reason.DISK_LOW}:
            continue
        is_full = has_room.status is Status.FALSE
        reading = snapshot.latest.get((tenure.instance_id, Subject.DISK))
        detail = "" if reading is None else plain(reading.detail, _DETAIL_MAX)
        yield Alert(
            name="KeeperDiskFull",
            key=f"KeeperDiskFull:{slot}",
            severity=Severity.CRITICAL if is_full else Severity.WARNING,
            slot=slot,
            stream=stream_of(slot),
            summary=f"the disk of {slot} is {'full' if is_full else 'nearly full'}",
            why=SENTENCE[has_room.reason] + (f": {detail}" if detail else ""),
            did="keeper spends nothing on it while the picture is good; what it keeps on a host itself is"
            " bounded (two logs of its own server, and the logs of deploys)",
            needs_human=f"Look what has grown, and make room: `keeper ssh {slot}`, `df -h`, `du -x -d2 -h /`."
            f" Or move to a larger disk: raise disk_gb of the workload, then `keeper replace {slot}`.",
            # When it began to be low is not written down.
            since=has_room.since if is_full else now,
            dollars=dollars(record),
            labels={"stream": stream_of(slot), "slot": slot},
            reason=has_room.reason,
            over=f"the disk of {slot} has room again",
        )
