"""Alerts about what several failures have in common: too many at once, alike, or sharing a trait."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from math import fsum

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import dollars, names
from keeper.core.cause import AVOIDABLE
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.text import plain
from keeper.core.world import Snapshot

_MASS = (Reason.MASS_FAILURE, Reason.OWN_NETWORK_DOWN, Reason.COMMON_CAUSE)
_OVER = {
    Reason.MASS_FAILURE: "keeper acts again: the sickness is no longer everywhere",
    Reason.OWN_NETWORK_DOWN: "keeper's own network is back",
    Reason.COMMON_CAUSE: "keeper acts again: no fault is on several hosts any more",
}
_DETAIL_MAX = 600
# A name costs an offer only its rank, so one in twenty may be luck. Seven traits are asked for day and night,
# and a person is not called for that: in simulated weeks of five slots six such names of seven were luck.
_LUCK_TOLD_MAX = 0.025


def mass_failure(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """Too many slots are sick at once or alike, or this box cannot see: suspect a common cause."""
    reason = next((each for each in _MASS if each in snapshot.plan.fuses), None)
    if reason is None:
        return
    records = snapshot.records.values()
    ill = [record for record in records if record.incident is not None]
    sick = [record.slot for record in ill]
    opened = [record.incident.opened_at for record in records if record.incident is not None]
    is_alike = reason is Reason.COMMON_CAUSE
    alike = plain(snapshot.plan.alike, _DETAIL_MAX)
    yield Alert(
        name="KeeperMassFailure",
        key="KeeperMassFailure",
        severity=Severity.CRITICAL,
        slot=None,
        stream=None,
        summary="keeper's own network is down"
        if reason is Reason.OWN_NETWORK_DOWN
        else "several hosts failed alike within minutes"
        if is_alike
        else f"{len(sick)} of {len(snapshot.records)} slots are sick at once",
        why=alike if is_alike and alike else SENTENCE[reason],
        did="keeper restarts what it can, and rents, reboots and ends nothing"
        if is_alike
        else "keeper has stopped everything destructive and keeps watching",
        needs_human="Look for what they share: this box's network, the image, the ingest, "
        "the marketplace. If the hosts really are gone: `keeper replace SLOT`.",
        since=max(opened, default=now),
        dollars=fsum(dollars(record) for record in ill),
        labels={"slots": names(sorted(sick))},
        reason=reason,
        over=_OVER[reason],
    )


def common_cause(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """Failed hosts share what the healthy ones lack: named once, with its numbers."""
    causes = tuple(each for each in snapshot.plan.causes if each.luck <= _LUCK_TOLD_MAX)
    if not causes:
        return
    failures = [each for record in snapshot.records.values() for each in record.failures]
    since = min((each.at for each in failures), default=now)
    for cause in causes[:1]:
        is_avoided = cause.trait in AVOIDABLE
        others = "; ".join(each.sentence() for each in causes[1:3])
        yield Alert(
            name="KeeperCommonCause",
            key=f"KeeperCommonCause:{cause.trait}",
            severity=Severity.WARNING,
            slot=None,
            stream=None,
            summary=f"what fails has one {cause.trait} in common: {plain(cause.value, 100)}",
            why=plain(
                cause.sentence() + (f". It could as well be: {others}" if others else ""),
                _DETAIL_MAX,
            ),
            did="keeper takes such offers last, until these failures are old"
            if is_avoided
            else "keeper goes on; it cannot avoid this by itself",
            needs_human=""
            if is_avoided
            else "Look at what was changed last: the image, the workload's settings.",
            since=since,
            labels={"trait": cause.trait.value},
            over=f"one {cause.trait} is no longer suspected",
        )
