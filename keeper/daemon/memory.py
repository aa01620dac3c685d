"""What the daemon holds between two ticks: the store's content, and nothing that the store lacks.

Only a committed batch changes it, so that after any crash the store tells the same story.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keeper.core.decisions import Plan
from keeper.core.model import (
    Condemned,
    InstanceId,
    Intent,
    IntentId,
    MachineId,
    Quarantine,
    SlotId,
    SlotRecord,
)
from keeper.core.reasons import Reason
from keeper.core.world import Order, Outcome, Pause
from keeper.ports import Saved


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
    started_at: datetime
    # Not durable: rebuilt by looking again.
    outcomes: list[Outcome] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    orphans_known: frozenset[InstanceId] = frozenset()
    fuses_known: frozenset[Reason] = frozenset()
    held_until: dict[SlotId, datetime] = field(default_factory=dict)

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
        )

    def absorb(self, plan: Plan) -> None:
        """Take over what a plan changed; only after its commit."""
        for record in plan.records:
            self.records[record.slot] = record
        for slot in plan.slots_forgotten:
            self.records.pop(slot, None)
        self.condemned = plan.condemned
        for intent in plan.intents_opened:
            self.intents[intent.intent_id] = intent
        for intent_id in plan.intents_closed:
            self.intents.pop(intent_id, None)
        for each in plan.quarantine:
            self.quarantine[each.machine_id] = each
        for machine_id in plan.quarantine_forgotten:
            self.quarantine.pop(machine_id, None)
        self.fuses_known = frozenset(plan.fuses)
