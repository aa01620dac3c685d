"""Why keeper does, or does not, act for a slot: facts, budgets left, the decision. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from keeper.core.caps import Span, caps_of, ends_at, used_dollars
from keeper.core.meter import caught_up
from keeper.core.model import (
    FleetPolicy,
    Policy,
    Rung,
    SlotId,
    SlotRecord,
    Stream,
    Subject,
    is_spare,
    stream_of,
)
from keeper.core.reasons import SENTENCE
from keeper.core.spend import committed_dollars_per_hour
from keeper.core.text import plain
from keeper.core.world import Snapshot
from keeper.ports import Looks
from keeper.web.shapes import AllowanceStatus, AuditionStatus, Explained, ReadingStatus
from keeper.web.status import slot_status
from keeper.web.view import NOBODY_LOOKS


def explain(
    snapshot: Snapshot, slot: SlotId, now: datetime, looks: Looks = NOBODY_LOOKS
) -> Explained | None:
    """Explain one slot; None when there is no such slot."""
    status = slot_status(snapshot, slot, now, looks)
    if status is None:
        return None
    record = snapshot.records[slot]
    declared = next((s for s in snapshot.desired.streams if s.name == stream_of(slot)), None)
    return Explained(
        at=snapshot.at,
        now=now,
        tick=snapshot.tick,
        slot=status,
        auditions=tuple(_auditions(record)),
        readings=tuple(_readings(snapshot, record)),
        allowances=tuple(_allowances(snapshot, record, declared, now)),
        fuses=tuple(SENTENCE[reason] for reason in snapshot.plan.fuses),
        is_act_in_flight=slot in snapshot.world.in_flight,
    )


def _auditions(record: SlotRecord) -> Iterator[AuditionStatus]:
    for tenure in (record.tenure, record.incoming):
        audition = None if tenure is None else tenure.audition
        if tenure is None or tenure.instance_id is None or audition is None:
            continue
        yield AuditionStatus(
            instance_id=tenure.instance_id,
            at=audition.at,
            meaning=audition.meaning or "",
            check=audition.check,
            saw=plain(audition.saw, 300),
            expected=plain(audition.expected, 300),
            passed=plain(audition.passed, 1000),
        )


def _readings(snapshot: Snapshot, record: SlotRecord) -> Iterator[ReadingStatus]:
    tenures = (record.tenure, record.incoming)
    ids = [t.instance_id for t in tenures if t is not None and t.instance_id is not None]
    for instance_id in ids:
        for subject in Subject:
            reading = snapshot.latest.get((instance_id, subject))
            if reading is None:
                continue
            yield ReadingStatus(
                instance_id=instance_id,
                subject=subject,
                status=reading.status,
                reason=reading.reason,
                because=SENTENCE[reading.reason],
                at=reading.at,
                detail=plain(reading.detail, 300),
                numbers=dict(reading.numbers),
            )


def _allowances(
    snapshot: Snapshot, record: SlotRecord, stream: Stream | None, now: datetime
) -> Iterator[AllowanceStatus]:
    """Say what each fuse of this slot still lets through, and when it lets through more."""
    policy = stream.policy if stream is not None else Policy()
    for rung, limit, window_s in (
        (Rung.RESTART_PROCESS, policy.restarts_max, policy.restarts_window_s),
        (Rung.RESTART_WORKLOAD, policy.workload_restarts_max, policy.workload_restarts_window_s),
        (Rung.REBOOT, policy.reboots_max, policy.reboots_window_s),
    ):
        if is_spare(record.slot):
            break  # nobody mends one
        used = tuple(use.at for use in record.remedies if use.rung is rung)
        yield _counted(rung.value, used, limit, window_s, now)
    siblings = tuple(
        at
        for other in snapshot.records.values()
        if stream_of(other.slot) == stream_of(record.slot)
        and is_spare(other.slot) == is_spare(record.slot)
        for at in other.replaced_at
    )
    yield _counted(
        "replacements of the stream's spares"
        if is_spare(record.slot)
        else "replacements of the stream",
        siblings,
        policy.replacements_max,
        policy.replacements_window_s,
        now,
    )
    records, condemned = snapshot.records, snapshot.plan.condemned
    if stream is not None:
        yield AllowanceStatus(
            name="dollars per hour of the stream",
            used=committed_dollars_per_hour(records, condemned, stream.name),
            limit=stream.spend_max_dollars_per_hour,
        )
        yield from _caps(snapshot, stream, now)
    yield AllowanceStatus(
        name="dollars per hour of the fleet",
        used=committed_dollars_per_hour(records, condemned),
        limit=snapshot.desired.fleet.spend_max_dollars_per_hour,
    )
    yield from _caps(snapshot, snapshot.desired.fleet, now)


def _caps(
    snapshot: Snapshot, whose: Stream | FleetPolicy, now: datetime
) -> Iterator[AllowanceStatus]:
    ledger = caught_up(snapshot.plan.meter or snapshot.world.meter, now)
    for cap in caps_of(whose):
        yield AllowanceStatus(
            name=f"dollars of {'the fleet' if cap.stream is None else 'the stream'}"
            + ("" if cap.span is Span.TOTAL else f" this {cap.span}"),
            used=used_dollars(ledger, cap, now),
            limit=cap.dollars,
            more_at=ends_at(cap.span, now),
        )


def _counted(
    name: str, used_at: tuple[datetime, ...], limit: int, window_s: float, now: datetime
) -> AllowanceStatus:
    window = timedelta(seconds=window_s)
    recent = sorted(at for at in used_at if at > now - window)
    return AllowanceStatus(
        name=name,
        used=len(recent),
        limit=limit,
        window_s=window_s,
        more_at=recent[0] + window if recent else None,
    )
