"""What the daemon holds between two ticks: the store's content, and nothing that the store lacks.

Only a committed batch changes it, so that after any crash the store tells the same story.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from keeper.core.decisions import Plan
from keeper.core.meter import Meter, caught_up, reopened, shifted
from keeper.core.model import (
    Condemned,
    InstanceId,
    Intent,
    IntentId,
    MachineId,
    Quarantine,
    Revision,
    SlotId,
    SlotRecord,
    StreamName,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.silences import Silence
from keeper.core.world import Outcome, Pause
from keeper.ports import Batch, Saved


@dataclass(slots=True, kw_only=True)
class Memory:
    """The durable state, as last committed, and what has arrived since."""

    keeper_id: str
    records: dict[SlotId, SlotRecord]
    condemned: tuple[Condemned, ...]
    intents: dict[IntentId, Intent]
    quarantine: dict[MachineId, Quarantine]
    pause: Pause | None
    slot_pauses: dict[SlotId, Pause]
    alert_state: Mapping[str, Any]
    started_at: datetime  # of this process, or of its latest return from being away
    meter: Meter
    revisions: Mapping[StreamName, tuple[Revision, ...]] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    # Not durable: rebuilt by looking again.
    outcomes: list[Outcome] = field(default_factory=list)
    orphans_seen_at: Mapping[InstanceId, datetime] = field(default_factory=dict)  # told of then
    fuses_known: frozenset[Reason] = frozenset()
    causes_known: frozenset[tuple[str, str]] = frozenset()
    held_until: dict[SlotId, datetime] = field(default_factory=dict)
    has_moved: bool = False  # with a clock that was set, and is not written like that yet

    @staticmethod
    def of(saved: Saved, started_at: datetime) -> Memory:
        """Take up what the store holds."""
        return Memory(
            keeper_id=saved.keeper_id,
            records={record.slot: record for record in saved.records},
            condemned=saved.condemned,
            intents={intent.intent_id: intent for intent in saved.intents},
            quarantine={each.machine_id: each for each in saved.quarantine},
            pause=saved.pause,
            slot_pauses=dict(saved.slot_pauses),
            alert_state=saved.alert_state,
            started_at=started_at,
            meter=reopened(saved.meter, started_at),
            revisions=saved.revisions,
            silences=saved.silences,
        )

    def clock_stepped(self, step_s: float, now: datetime) -> None:
        """Let what is counted and waited for be as long ago, or ahead, as it was before the step.

        Else a jump ahead would forget what was used of a cap, and a jump back hold up every wait. What
        was spent until the step is of the day that the clock showed then.
        """
        by, self.has_moved = timedelta(seconds=step_s), True
        ahead = timedelta(seconds=max(0.0, step_s))
        self.meter = shifted(caught_up(self.meter, now - by, self.started_at), step_s)
        self.records = {
            slot: _sick_as_long(_moved(record, by), ahead) for slot, record in self.records.items()
        }
        # A slot that was dark before a change was declared still is.
        self.revisions = {
            name: tuple(replace(each, declared_at=each.declared_at + ahead) for each in known)
            for name, known in self.revisions.items()
        }
        # A restart is found again by the moment of its intent.
        self.intents = {
            i: replace(intent, opened_at=intent.opened_at + by)
            for i, intent in self.intents.items()
        }
        self.quarantine = {
            m: replace(each, until=each.until + by) for m, each in self.quarantine.items()
        }

    def in_full(self, batch: Batch, meter: Meter) -> Batch:
        """Return a batch that also writes all that has moved: the next process must find it so."""
        records = {**self.records, **{each.slot: each for each in batch.records}}
        intents = {**self.intents, **{each.intent_id: each for each in batch.intents_opened}}
        machines = {**self.quarantine, **{each.machine_id: each for each in batch.quarantine}}
        return replace(
            batch,
            records=tuple(r for s, r in records.items() if s not in batch.records_deleted),
            intents_opened=tuple(i for n, i in intents.items() if n not in batch.intents_closed),
            quarantine=tuple(q for m, q in machines.items() if m not in batch.quarantine_deleted),
            revisions={**self.revisions, **batch.revisions},
            meter=meter,
        )

    def absorb(self, plan: Plan) -> None:
        """Take over what a plan changed; only after its commit."""
        # Replaced, never changed in place: snapshots of earlier ticks hold the old mappings.
        self.has_moved = False
        if plan.records or plan.slots_forgotten:
            records = {**self.records, **{record.slot: record for record in plan.records}}
            for slot in plan.slots_forgotten:
                records.pop(slot, None)
            self.records = records
        self.condemned = plan.condemned
        if plan.intents_opened or plan.intents_closed:
            opened = {intent.intent_id: intent for intent in plan.intents_opened}
            closed = frozenset(plan.intents_closed)
            self.intents = {
                i: intent for i, intent in (self.intents | opened).items() if i not in closed
            }
        if plan.quarantine or plan.quarantine_forgotten:
            added = {each.machine_id: each for each in plan.quarantine}
            forgotten = frozenset(plan.quarantine_forgotten)
            self.quarantine = {
                m: each for m, each in (self.quarantine | added).items() if m not in forgotten
            }
        if plan.meter is not None:
            self.meter = plan.meter
        if plan.revisions:
            self.revisions = {n: r for n, r in {**self.revisions, **plan.revisions}.items() if r}
        self.fuses_known = frozenset(plan.fuses)
        self.causes_known = plan.suspected


def _moved(record: SlotRecord, by: timedelta) -> SlotRecord:
    return replace(
        record,
        remedies=tuple(replace(use, at=use.at + by) for use in record.remedies),
        replaced_at=tuple(at + by for at in record.replaced_at),
        forgiven_at=tuple(at + by for at in record.forgiven_at),
        next_rent_at=_later(record.next_rent_at, by),
        outbid_at=_later(record.outbid_at, by),
    )


def _sick_as_long(record: SlotRecord, ahead: timedelta) -> SlotRecord:
    """Let a sickness have lasted as long as it had before the clock leapt ahead.

    Else the hour that nobody was sick is counted: a mass failure of four minutes was over, and a host
    that had been down for a moment was given up. What a clock that was set back leaves in the future
    begins anew where it is judged.
    """
    if not ahead:
        return record
    return replace(
        record,
        dark_since=_later(record.dark_since, ahead),
        wanted_since=_later(record.wanted_since, ahead),
        failures=tuple(replace(each, at=each.at + ahead) for each in record.failures),
        tenure=None if record.tenure is None else _judged_as_long(record.tenure, ahead),
        incoming=None if record.incoming is None else _judged_as_long(record.incoming, ahead),
    )


def _judged_as_long(tenure: Tenure, ahead: timedelta) -> Tenure:
    return replace(
        tenure,
        dead_since=_later(tenure.dead_since, ahead),
        missing_since=_later(tenure.missing_since, ahead),
        conditions=tuple(
            replace(
                each,
                since=each.since + ahead,
                streak_since=_later(each.streak_since, ahead),
                reason_since=_later(each.reason_since, ahead),
            )
            for each in tenure.conditions
        ),
        lull=tenure.lull and replace(tenure.lull, since=tenure.lull.since + ahead),
    )


def _later(at: datetime | None, by: timedelta) -> datetime | None:
    return None if at is None else at + by
