"""What keeper can decide, one frozen value each, and the plan that carries one tick's decisions.

A decision says what to do and why. Acts (Rent … Destroy) have an intent on disk before they are
executed; the quiet ones (Wait, Hold) explain why nothing is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from keeper.core.cause import Cause
from keeper.core.events import Event
from keeper.core.meter import Meter
from keeper.core.model import (
    Condemned,
    InstanceId,
    Intent,
    IntentId,
    MachineId,
    OfferId,
    Quarantine,
    RentalSpec,
    Revision,
    Rung,
    SlotId,
    SlotRecord,
    StreamName,
)
from keeper.core.reasons import SENTENCE, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Rent:
    """Rent one offer under one unique label. Sent once; never repeated."""

    name: ClassVar[str] = "rent"
    slot: SlotId
    reason: Reason
    intent_id: IntentId
    label: str
    offer_id: OfferId
    machine_id: MachineId
    dollars_per_hour: float
    spec: RentalSpec
    bid_dollars_per_hour: float | None = None  # None: on demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """Take a rental found by its label into the slot that asked for it. Touches nothing outside."""

    name: ClassVar[str] = "adopt"
    slot: SlotId
    reason: Reason
    instance_id: InstanceId
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """Make a spare the slot's host. Touches nothing outside: both records change in one commit."""

    name: ClassVar[str] = "promote"
    slot: SlotId
    reason: Reason
    instance_id: InstanceId
    label: str
    spare: SlotId


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """Put the workload on a host and start it. Idempotent: may be repeated after a crash."""

    name: ClassVar[str] = "deploy"
    slot: SlotId
    reason: Reason
    intent_id: IntentId
    instance_id: InstanceId
    revision: str = ""  # "": what is declared
    is_first: bool = True  # nothing of ours runs there yet: the host must show what it can


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Put the workload on a spare and leave it unstarted. Idempotent like a deploy."""

    name: ClassVar[str] = "prepare"
    slot: SlotId
    reason: Reason
    intent_id: IntentId
    instance_id: InstanceId
    revision: str = ""  # "": the declared one


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Restart the process (first rung) or the whole workload (second) over SSH."""

    name: ClassVar[str] = "restart"
    slot: SlotId
    reason: Reason
    intent_id: IntentId
    instance_id: InstanceId
    rung: Rung
    attempt: int
    revision: str = ""  # of what is on the host; "": what is declared
    symptom: str = ""  # the code of what is to be cured, where the workload has named it
    is_planned: bool = False  # viewers watch: they are to see the end of what they watch first


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """End the workload on one host for certain, then start it on another. Twice is like once."""

    name: ClassVar[str] = "swap"
    slot: SlotId
    reason: Reason
    intent_id: IntentId
    instance_id: InstanceId  # who is to publish
    revision: str
    leaving_id: InstanceId  # who must have ended first
    leaving_revision: str
    within_s: float  # what is started must be up within this, or the other is started again


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot:
    """Reboot the container through the marketplace; the GPU stays ours."""

    name: ClassVar[str] = "reboot"
    slot: SlotId
    reason: Reason
    intent_id: IntentId
    instance_id: InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Let a rental stand still: its disk stays, its GPU is free for others. Twice is like once."""

    name: ClassVar[str] = "stop"
    slot: SlotId
    reason: Reason
    intent_id: IntentId
    instance_id: InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start a rental that stands still; where its GPU is let, the order waits and may bill later."""

    name: ClassVar[str] = "start"
    slot: SlotId
    reason: Reason
    intent_id: IntentId
    instance_id: InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebid:
    """Raise the bid of an interrupted rental. The same bid twice is the same as once."""

    name: ClassVar[str] = "rebid"
    slot: SlotId
    reason: Reason
    intent_id: IntentId
    instance_id: InstanceId
    bid_dollars_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy:
    """End a condemned rental. Safe to repeat; absence is confirmed by listings, not by the answer."""

    name: ClassVar[str] = "destroy"
    slot: SlotId | None
    reason: Reason
    intent_id: IntentId
    instance_id: InstanceId
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to do for this slot until ``until`` or until something changes."""

    name: ClassVar[str] = "wait"
    slot: SlotId
    reason: Reason
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A fuse said no to something that was wanted."""

    name: ClassVar[str] = "hold"
    slot: SlotId
    reason: Reason
    wanted: str  # the name of the decision that was refused
    wanted_reason: Reason
    until: datetime | None = None


Act = (
    Rent
    | Adopt
    | Promote
    | Deploy
    | Prepare
    | Restart
    | Swap
    | Reboot
    | Stop
    | Start
    | Rebid
    | Destroy
)
Decision = Act | Wait | Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What the next observation should fetch."""

    offers_for: tuple[StreamName, ...] = ()
    listing_by: datetime | None = None  # a fresh listing is wanted not later than this
    # From when on a listing is news also if it says the same as the one before; None: it never is.
    counting_from: datetime | None = None
    show_ids: tuple[InstanceId, ...] = ()  # by-id reads that would settle something


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One tick's answer: decisions, what to remember, what happened, when to look again."""

    decisions: tuple[Decision, ...]
    records: tuple[SlotRecord, ...] = ()  # changed ones only
    slots_forgotten: tuple[SlotId, ...] = ()  # of removed streams, once nothing of theirs is left
    condemned: tuple[Condemned, ...] = ()  # the whole new list
    intents_opened: tuple[Intent, ...] = ()
    intents_closed: tuple[IntentId, ...] = ()
    quarantine: tuple[Quarantine, ...] = ()  # changed ones only
    quarantine_forgotten: tuple[MachineId, ...] = ()
    events: tuple[Event, ...] = ()
    fuses: tuple[Reason, ...] = ()  # fleet-wide fuses that are tripped now
    causes: tuple[Cause, ...] = ()  # what failed hosts share, the clearest first
    suspected: frozenset[tuple[str, str]] = frozenset()  # trait and value of what has been told
    alike: str = ""  # who failed alike within minutes, and what they share
    wants: Wants = field(default_factory=Wants)
    next_check_at: datetime | None = None
    next_check_if_heard_at: datetime | None = None  # the same if no witness falls silent until then
    meter: Meter | None = None  # the ledger as of now; None: nothing to write
    # The whole new list of each stream whose revisions have changed.
    revisions: Mapping[StreamName, tuple[Revision, ...]] = field(default_factory=dict)

    @property
    def acts(self) -> tuple[Act, ...]:
        """The decisions that do something."""
        return tuple(d for d in self.decisions if not isinstance(d, Wait | Hold))

    def sentence(self) -> str:
        """Say in one sentence what this tick decided."""
        if self.acts:
            parts = [
                f"{d.name} {d.slot or d.label if isinstance(d, Destroy) else d.slot}"
                f" because {SENTENCE[d.reason]}"
                for d in self.acts
            ]
            return "; ".join(parts)
        held = [d for d in self.decisions if isinstance(d, Hold)]
        if held:
            return "; ".join(f"would {d.wanted} {d.slot}, but {SENTENCE[d.reason]}" for d in held)
        sick = [d for d in self.decisions if d.reason is not Reason.HEALTHY]
        if sick:
            return "; ".join(f"waiting on {d.slot}: {SENTENCE[d.reason]}" for d in sick)
        return "all is well"
