"""The working copy of one tick: what will be remembered, told and asked for.

Every step of reconcile reads and writes it; ``plan`` turns it into the answer. It lives for one call,
so the whole stays a function of its arguments. It decides nothing. What is not changed stays the same
object, so that the shell writes nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum

from keeper.core.cause import Cause
from keeper.core.conditions import symptom_behind
from keeper.core.copying import replace
from keeper.core.credit import was_starved
from keeper.core.decisions import Decision, Hold, Plan, Wait, Wants
from keeper.core.events import DecisionMade, Event, InstanceCondemned, MachineQuarantined
from keeper.core.market import Funnel
from keeper.core.meter import Meter, caught_up
from keeper.core.model import (
    Condemned,
    Desired,
    Failure,
    Instance,
    InstanceId,
    Intent,
    IntentId,
    IntentKind,
    MachineId,
    Offer,
    OfferId,
    Policy,
    Quarantine,
    Reading,
    Revision,
    SlotId,
    SlotRecord,
    Stream,
    StreamName,
    Tenure,
    is_spare,
    stream_of,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.standing import Sound, Standing
from keeper.core.world import World

_DEFAULT_POLICY = Policy()  # for slots whose stream is no longer declared
_NO_WANTS = Wants()
# A check that is due now is due in a moment: the tick after this one must be able to differ.
_SOONEST_S = 1.0


class Seat(StrEnum):
    """The two places of a slot that a tenure can have."""

    TENURE = "tenure"
    INCOMING = "incoming"


class Draft:
    """One tick's records, events, decisions and wishes, while they are being made."""

    def __init__(
        self, world: World, desired: Desired, now: datetime, standing: Standing | None = None
    ) -> None:
        self.world = world
        self.fleet = desired.fleet
        self.streams = desired.streams
        self.now = now
        self.standing = Standing() if standing is None else standing
        self.slots: Mapping[SlotId, Stream] = self.standing.answer(_by_slot, desired.streams)
        self.spares: Mapping[SlotId, Stream] = self.standing.answer(_by_place, desired.streams)
        self.records: dict[SlotId, SlotRecord] = dict(world.records)
        for declared in (self.slots, self.spares):
            if not declared.keys() <= self.records.keys():
                new = [slot for slot in declared if slot not in self.records]
                self.records |= {slot: SlotRecord(slot=slot, wanted_since=now) for slot in new}
        self.condemned: dict[InstanceId, Condemned] = {c.instance_id: c for c in world.condemned}
        self.listed: Mapping[InstanceId, Instance] = (
            {i.instance_id: i for i in world.listing.instances} if world.listing else {}
        )
        self.readings: dict[InstanceId, list[Reading]] = {}  # oldest first
        for reading in world.readings:
            self.readings.setdefault(reading.instance_id, []).append(reading)
        self.undisturbed: dict[SlotId, Sound] = {}  # slots that need no look
        self.unbound: list[tuple[Instance, SlotId | None, Reason]] = []  # ours, and to be ended
        self.decisions: list[Decision] = []
        self.decided: set[SlotId] = set()  # by an earlier step than decide
        self.awaited: dict[SlotId, SlotId] = {}  # spares that start, by their place: for which slot
        self.events: list[Event] = []
        self.opened: list[Intent] = []
        self.closed: set[IntentId] = set()
        self.struck: dict[MachineId, Quarantine] = {}
        self.forgotten: list[SlotId] = []
        self.fuses: tuple[Reason, ...] = ()
        self.failures: tuple[Failure, ...] = ()  # that still count, the oldest first
        self.troubled: set[SlotId] | None = None  # slots that are not well; None: not looked yet
        self.suspected: frozenset[tuple[str, str]] = frozenset()  # what is told of: trait and value
        self.alike = ""
        self.causes: tuple[Cause, ...] = ()
        self.revisions: dict[StreamName, tuple[Revision, ...]] = {}  # of streams where some changed
        self.carriers: dict[StreamName, set[SlotId]] = {}  # slots that have what is declared
        self.unsettled: dict[StreamName, set[SlotId]] = {}  # slots that a rollout waits for
        self.rolling: set[StreamName] = set()  # streams of which a slot gets another deploy now
        self.bad_deploys: dict[StreamName, tuple[Failure, ...]] = {}  # what convicts each
        self.bursts: dict[SlotId, tuple[Failure, ...]] = {}  # sick slots whose fault is not alone
        self.short_of: set[StreamName | None] = set()  # whose limit holds a slot back; None: all's
        self.offers_for: set[StreamName] = set()
        self.offers_taken: set[OfferId] = set()
        # What was asked of the market, and what was found: a thousand vacant slots of a stream need not
        # look a thousand times.
        self.looks: dict[Hashable, tuple[Funnel, str]] = {}
        self.suiting: dict[Hashable, tuple[Offer, ...]] = {}
        self.show_ids: set[InstanceId] = set()
        self.meter_after: Meter | None = None  # what is to be written of the ledger
        self._ledger: Meter | None = None
        self.is_curious = False  # a fresh listing that says something else would settle something
        self._counting_from: datetime | None = (
            None  # from then on one that says the same would, too
        )
        self._wake_at: datetime | None = None
        self._silent_at: datetime | None = None

    # --- reading ----------------------------------------------------------------------------------

    def declared(self, slot: SlotId) -> Stream | None:
        """Return the stream that declares a slot, or the place of a spare."""
        return self.slots.get(slot) or self.spares.get(slot)

    def policy(self, slot: SlotId) -> Policy:
        """Return the numbers of a slot's stream, or the defaults when it is not declared."""
        stream = self.declared(slot)
        return _DEFAULT_POLICY if stream is None else stream.policy

    @property
    def undeclared(self) -> tuple[SlotId, ...]:
        """The slots that are remembered and no longer declared."""
        if len(self.records) == len(self.slots) + len(self.spares):  # each of these is remembered
            return ()
        return tuple(slot for slot in self.records if self.declared(slot) is None)

    def attended(self) -> Iterator[tuple[SlotId, Seat, Tenure]]:
        """Yield what is seated in the slots that need a look."""
        return self._seats([slot for slot in self.records if slot not in self.undisturbed])

    def seated(self) -> Iterator[tuple[SlotId, Seat, Tenure]]:
        """Yield every tenure that keeper may work on: those of slots held by a bug are left out."""
        return self._seats(self.records)

    def _seats(self, slots: Iterable[SlotId]) -> Iterator[tuple[SlotId, Seat, Tenure]]:
        held = self.world.held_slots
        for slot in slots:
            record = self.records[slot]
            if record.tenure is None and record.incoming is None:
                continue
            if slot in held:
                continue
            if record.tenure is not None:
                yield slot, Seat.TENURE, record.tenure
            if record.incoming is not None:
                yield slot, Seat.INCOMING, record.incoming

    def host(self, slot: SlotId, seat: Seat = Seat.TENURE) -> tuple[Tenure, InstanceId]:
        """Return what is seated in a slot, and its id: whatever is done to a host has both."""
        record = self.records[slot]
        tenure = record.tenure if seat is Seat.TENURE else record.incoming
        assert tenure is not None
        assert tenure.instance_id is not None
        return tenure, tenure.instance_id

    def seat_of_label(self, slot: SlotId | None, label: str) -> tuple[Seat, Tenure] | None:
        """Find the tenure of a slot that carries a label."""
        record = None if slot is None else self.records.get(slot)
        if record is not None:
            if record.tenure is not None and record.tenure.label == label:
                return Seat.TENURE, record.tenure
            if record.incoming is not None and record.incoming.label == label:
                return Seat.INCOMING, record.incoming
        return self._seat_of_promoted(slot, label) if slot is not None and is_spare(slot) else None

    def seat_of_host(self, intent: Intent) -> tuple[SlotId, Seat, Tenure] | None:
        """Find the rental that an intent is about, in the slot that it was for."""
        record = None if intent.slot is None else self.records.get(intent.slot)
        if record is None:
            return None
        for seat, tenure in ((Seat.TENURE, record.tenure), (Seat.INCOMING, record.incoming)):
            if tenure is not None and tenure.instance_id == intent.instance_id:
                return record.slot, seat, tenure
        return None

    def _seat_of_promoted(self, place: SlotId, label: str) -> tuple[Seat, Tenure] | None:
        """Find a rental that was rented for this place and has taken over in a slot since."""
        name = stream_of(place)
        for slot, record in self.records.items():
            if stream_of(slot) != name:
                continue
            for seat, tenure in ((Seat.TENURE, record.tenure), (Seat.INCOMING, record.incoming)):
                if tenure is not None and tenure.label == label:
                    return seat, tenure
        return None

    @property
    def ledger(self) -> Meter:
        """What was spent up to now. Counted once a tick, and only when somebody asks."""
        if self._ledger is None:
            self._ledger = caught_up(self.world.meter, self.now, self.world.started_at)
        return self._ledger

    # --- remembering ------------------------------------------------------------------------------

    def put(self, slot: SlotId, seat: Seat, tenure: Tenure | None) -> None:
        """Seat a tenure, or empty the seat; what sits there already changes nothing."""
        record = self.records[slot]
        if seat is Seat.TENURE:
            if record.tenure is not tenure:
                self.records[slot] = replace(record, tenure=tenure)
        elif record.incoming is not tenure:
            self.records[slot] = replace(record, incoming=tenure)

    def note(self, ledger: Meter) -> None:
        """Remember something in the ledger: it is written with this tick."""
        self._ledger = self.meter_after = ledger

    def condemn(
        self, instance_id: InstanceId, *, slot: SlotId | None, label: str, reason: Reason,
        dollars_per_hour: float, rented_at: datetime | None, listed_at: datetime | None = None,
        spent_dollars: float | None = None, symptom: str = "",
    ) -> None:  # fmt: skip
        """Put a rental on the list of those that must end. Once is enough."""
        if instance_id in self.condemned:
            return
        self.condemned[instance_id] = Condemned(
            label=label,
            instance_id=instance_id,
            slot=slot,
            reason=reason,
            condemned_at=self.now,
            dollars_per_hour=dollars_per_hour,
            rented_at=rented_at,
            spent_dollars=spent_dollars,
            listed_at=listed_at,
        )
        self.tell(
            InstanceCondemned(
                slot=slot, instance_id=instance_id, label=label, reason=reason, symptom=symptom
            )
        )

    def strike(self, tenure: Tenure, reason: Reason, *, is_doubtful: bool = False) -> None:
        """Quarantine the machine of a tenure, longer each time; where it is in doubt, as for once."""
        if not tenure.machine_id or was_starved(self.world.account, tenure):
            return
        before = self.struck.get(tenure.machine_id) or self.world.quarantine.get(tenure.machine_id)
        strikes = before.strikes if before else 0
        strikes = max(strikes, 1) if is_doubtful else strikes + 1
        steps = self.fleet.quarantine_s
        seconds = steps[0] if is_doubtful else steps[min(strikes, len(steps)) - 1]
        self.struck[tenure.machine_id] = Quarantine(
            machine_id=tenure.machine_id,
            host_id=tenure.host_id,
            strikes=strikes,
            until=later(self.now, seconds),
            reason=reason,
        )
        self.tell(
            MachineQuarantined(machine_id=tenure.machine_id, reason=reason, duration_s=seconds)
        )

    def open_intent(
        self, kind: IntentKind, slot: SlotId, label: str, instance_id: InstanceId | None,
        reason: Reason,
    ) -> IntentId:  # fmt: skip
        """Write down an effect before it is tried; returns its unique id."""
        record = self.records[slot]
        serial = record.serial + 1
        self.records[slot] = replace(record, serial=serial)
        # The moment is in it because a slot that was forgotten begins to count anew.
        intent_id = IntentId(f"{slot}#{serial}@{self.now:%Y%m%dT%H%M%S}")
        self.opened.append(
            Intent(
                intent_id=intent_id,
                kind=kind,
                slot=slot,
                label=label,
                instance_id=instance_id,
                opened_at=self.now,
                reason=reason,
            )
        )
        return intent_id

    # --- telling and asking -----------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """State a fact."""
        self.events.append(event)

    def wake(self, at: datetime | None) -> None:
        """Ask for a look at a moment; the earliest wins."""
        if at is not None and (self._wake_at is None or at < self._wake_at):
            self._wake_at = at

    def wake_if_silent(self, at: datetime | None) -> None:
        """Ask for a look at a moment, unless the witnesses go on to speak until then."""
        if at is not None and (self._silent_at is None or at < self._silent_at):
            self._silent_at = at

    def count_listings(self, from_at: datetime | None = None) -> None:
        """Ask for fresh listings; from a moment on also one that says the same settles something."""
        self.is_curious = True
        from_at = from_at or self.now
        if self._counting_from is None or from_at < self._counting_from:
            self._counting_from = from_at

    def would_wake(self, at: datetime) -> bool:
        """Say whether a look at a moment, or soon after it, is earlier than any asked for."""
        return self._wake_at is None or at < self._wake_at

    def conclude(self, slot: SlotId, name: str, reason: Reason, detail: str = "") -> None:
        """Remember a slot's decision; state it when it differs from the one before."""
        record = self.records[slot]
        if record.last_decision == name and record.last_reason is reason:
            return
        self.records[slot] = replace(record, last_decision=name, last_reason=reason)
        symptom = symptom_behind(reason, record.tenure)
        self.tell(
            DecisionMade(slot=slot, decision=name, reason=reason, detail=detail, symptom=symptom)
        )

    def decide(self, slot: SlotId, decision: Decision, detail: str = "") -> None:
        """Add a slot's decision to the plan."""
        self.decisions.append(decision)
        if isinstance(decision, Wait | Hold):
            self.wake(decision.until)
            if isinstance(decision, Hold) and not detail:
                detail = f"wanted to {decision.wanted}: {decision.wanted_reason}"
        self.conclude(slot, decision.name, decision.reason, detail)

    # --- the answer -------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Turn the draft into the tick's answer."""
        before = self.world.records
        condemned = self.world.condemned
        if self.condemned or condemned:
            condemned = tuple(self.condemned[i] for i in sorted(self.condemned))
            if condemned == self.world.condemned:
                condemned = self.world.condemned
        return Plan(
            decisions=tuple(self.decisions),
            records=tuple(r for slot, r in self.records.items() if before.get(slot) is not r),
            slots_forgotten=tuple(sorted(self.forgotten)),
            condemned=condemned,
            intents_opened=tuple(self.opened),
            intents_closed=tuple(sorted(self.closed)),
            quarantine=tuple(self.struck[m] for m in sorted(self.struck)),
            quarantine_forgotten=self._pardoned(),
            events=tuple(self.events),
            fuses=self.fuses,
            causes=self.causes,
            alike=self.alike,
            suspected=self.suspected,
            wants=self._wants(),
            next_check_at=self._soon(
                min((at for at in (self._wake_at, self._silent_at) if at), default=None)
            ),
            next_check_if_heard_at=self._soon(self._wake_at),
            meter=self.meter_after,
            revisions=self.revisions,
        )

    def _wants(self) -> Wants:
        if not (self.is_curious or self.offers_for or self.show_ids):
            return _NO_WANTS
        listing_by = None
        if self.is_curious:
            listing = self.world.listing
            listing_by = later(listing.at, self.fleet.list_interval_busy_s) if listing else self.now
        return Wants(
            offers_for=tuple(sorted(self.offers_for)),
            listing_by=listing_by,
            counting_from=self._counting_from,
            show_ids=tuple(sorted(self.show_ids)),
        )

    def _soon(self, at: datetime | None) -> datetime | None:
        return None if at is None else max(at, later(self.now, _SOONEST_S))

    def _pardoned(self) -> tuple[MachineId, ...]:
        """Forget strikes once the longest quarantine has passed after the last one ended."""
        if not self.world.quarantine:
            return ()
        longest_s = max(self.fleet.quarantine_s)
        return tuple(
            sorted(
                machine_id
                for machine_id, each in self.world.quarantine.items()
                if machine_id not in self.struck and elapsed_s(each.until, self.now) >= longest_s
            )
        )


def _by_slot(streams: tuple[Stream, ...]) -> Mapping[SlotId, Stream]:
    return {slot: stream for stream in streams for slot in stream.slots}


def _by_place(streams: tuple[Stream, ...]) -> Mapping[SlotId, Stream]:
    return {place: stream for stream in streams for place in stream.spare_places}
