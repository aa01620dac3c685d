"""Small pieces from which worlds are made, with one moment that everything is counted from.

Each builder gives something plausible and healthy; a test changes what its sentence is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from keeper.core.decisions import Act, Decision, Destroy, Plan
from keeper.core.events import OrphanCleared, OrphanSeen
from keeper.core.labels import label_for
from keeper.core.model import (
    Condemned,
    Condition,
    ConditionKind,
    Desired,
    FleetPolicy,
    HostId,
    Instance,
    InstanceId,
    Intent,
    IntentId,
    IntentKind,
    MachineId,
    MarketState,
    Mode,
    Offer,
    OfferId,
    OfferNeeds,
    Policy,
    Port,
    Quarantine,
    Reading,
    RentalSpec,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    StreamName,
    Subject,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from keeper.core.world import (
    Listing,
    OfferBook,
    Order,
    OrderKind,
    Outcome,
    OutcomeKind,
    Pause,
    World,
)

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
KEEPER_ID = "k1"
DUEL = StreamName("duel")
SLOT = SlotId("duel/0")
HOST = InstanceId(7001)

_REASON_WHEN_TRUE = {
    ConditionKind.RENTED: Reason.RUNNING,
    ConditionKind.REACHABLE: Reason.LINK_UP,
    ConditionKind.DEPLOYED: Reason.DEPLOYED,
    ConditionKind.RUNNING: Reason.PROCESS_UP,
    ConditionKind.STREAMING: Reason.LIVE,
}


def ago(seconds: float) -> datetime:
    """Return a moment so many seconds before NOW."""
    return NOW - timedelta(seconds=seconds)


def ahead(seconds: float) -> datetime:
    """Return a moment so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


# --- desired ----------------------------------------------------------------------------------------


def a_stream(name: str = "duel", **changes: Any) -> Stream:
    stream = Stream(
        name=StreamName(name),
        replicas=1,
        mode=Mode.ACT,
        needs=OfferNeeds(),
        rental=RentalSpec(image="duel:1", disk_gb=120.0, ports=(Port(container_port=3333),)),
        policy=Policy(),
    )
    return replace(stream, **changes)


def with_policy(stream: Stream, **numbers: Any) -> Stream:
    return replace(stream, policy=replace(stream.policy, **numbers))


def a_desire(*streams: Stream, **fleet: Any) -> Desired:
    return Desired(streams=streams or (a_stream(),), fleet=FleetPolicy(**fleet))


# --- seen -------------------------------------------------------------------------------------------


def an_offer(number: int = 1, **changes: Any) -> Offer:
    offer = Offer(
        offer_id=OfferId(100 + number),
        machine_id=MachineId(200 + number),
        host_id=HostId(300 + number),
        gpu_name="RTX 4090",
        gpu_count=1,
        gpu_ram_gb=24.0,
        gpu_display_active=True,
        verified=True,
        rentable=True,
        reliability=0.99,
        disk_space_gb=500.0,
        inet_up_mbps=500.0,
        inet_down_mbps=800.0,
        inet_up_dollars_per_gb=0.01,
        inet_down_dollars_per_gb=0.01,
        dollars_per_hour=0.40 + number / 100.0,
        gpu_dollars_per_hour=0.35,
        disk_dollars_per_hour=0.05,
        direct_port_count=10,
        duration_s=30 * 86_400.0,
        geolocation="SE",
        cuda_max=12.6,
    )
    return replace(offer, **changes)


def a_book(*offers: Offer, age_s: float = 1.0) -> OfferBook:
    return OfferBook(offers=offers, at=ago(age_s))


def an_instance(instance_id: int = HOST, label: str = "", **changes: Any) -> Instance:
    instance = Instance(
        instance_id=InstanceId(instance_id),
        label=label or label_for(KEEPER_ID, SLOT, 1),
        state=MarketState.RUNNING,
        is_meant_to_run=True,
        has_daemon_error=False,
        status_text="success, running",
        machine_id=MachineId(201),
        host_id=HostId(301),
        gpu_name="RTX 4090",
        ssh_host="ssh1.example.net",
        ssh_port=10_000,
        public_ip="192.0.2.7",
        ports={"22/tcp": 40_022, "3333/tcp": 43_333},
        dollars_per_hour=0.41,
        started_at=ago(3600),
        ends_at=None,
    )
    return replace(instance, **changes)


def a_listing(*instances: Instance, age_s: float = 5.0) -> Listing:
    return Listing(instances=instances, at=ago(age_s))


def a_reading(
    subject: Subject,
    status: Status = Status.TRUE,
    reason: Reason = Reason.LIVE,
    *,
    age_s: float = 0.0,
    instance_id: int = HOST,
    **more: Any,
) -> Reading:
    return Reading(
        instance_id=InstanceId(instance_id),
        subject=subject,
        status=status,
        reason=reason,
        at=ago(age_s),
        **more,
    )


def bad_pictures(count: int = 3, reason: Reason = Reason.FROZEN) -> tuple[Reading, ...]:
    """Pictures as one probe after the other saw them, 10 s apart, the latest now."""
    return tuple(
        a_reading(Subject.PICTURE, Status.FALSE, reason, age_s=10.0 * left)
        for left in reversed(range(count))
    )


def good_pictures(count: int = 2) -> tuple[Reading, ...]:
    return tuple(a_reading(Subject.PICTURE, age_s=10.0 * left) for left in reversed(range(count)))


def all_heard(age_s: float = 1.0, instance_id: int = HOST) -> dict[Any, datetime]:
    return {(InstanceId(instance_id), subject): ago(age_s) for subject in Subject}


# --- remembered -------------------------------------------------------------------------------------


def a_condition(
    kind: ConditionKind,
    status: Status = Status.TRUE,
    reason: Reason | None = None,
    *,
    for_s: float = 3000.0,
    bad: int = 0,
    good: int = 0,
) -> Condition:
    if reason is None:
        reason = _REASON_WHEN_TRUE.get(kind, Reason.NOT_ASKED)
    return Condition(
        kind=kind,
        status=status,
        reason=reason,
        since=ago(for_s),
        bad_streak=bad,
        good_streak=good,
    )


def conditions(**said: tuple[Status, Reason] | Condition) -> tuple[Condition, ...]:
    """All conditions of a host on air, but for those that are said, by their kind's name."""
    found = []
    for kind in ConditionKind:
        word = said.get(kind.value)
        if isinstance(word, Condition):
            found.append(word)
        elif word is not None:
            status, reason = word
            bad = 3 if status is Status.FALSE else 0
            found.append(a_condition(kind, status, reason, bad=bad))
        elif kind in _REASON_WHEN_TRUE:
            good = {ConditionKind.REACHABLE: 1, ConditionKind.STREAMING: 2}.get(kind, 0)
            found.append(a_condition(kind, good=good))
        else:
            found.append(a_condition(kind, Status.UNKNOWN, Reason.NOT_ASKED))
    return tuple(found)


def a_tenure(**changes: Any) -> Tenure:
    """A host that was rented an hour ago and has been on air for 50 minutes."""
    tenure = Tenure(
        label=label_for(KEEPER_ID, SLOT, 1),
        attempt=1,
        offer_id=OfferId(101),
        machine_id=MachineId(201),
        host_id=HostId(301),
        gpu_name="RTX 4090",
        dollars_per_hour=0.41,
        requested_at=ago(3602),
        instance_id=HOST,
        rented_at=ago(3600),
        running_at=ago(3400),
        deployed_at=ago(3200),
        first_live_at=ago(3000),
        listed_at=ago(3590),
        booting_since=ago(3600),
        booted_at=ago(3390),
        acted_at=ago(3200),
        warm_at=ago(3000),
        warmup_s=200.0,
        conditions=conditions(),
        process_identity="41:1",
        process_restarts=0,
        good_in_a_row=6,
        network="192.0.0.0/16",
    )
    return replace(tenure, **changes)


def a_fresh_tenure(**changes: Any) -> Tenure:
    """A host that was rented 100 s ago and of which nothing is known yet."""
    tenure = Tenure(
        label=label_for(KEEPER_ID, SLOT, 1),
        attempt=1,
        offer_id=OfferId(101),
        machine_id=MachineId(201),
        host_id=HostId(301),
        gpu_name="RTX 4090",
        dollars_per_hour=0.41,
        requested_at=ago(102),
        instance_id=HOST,
        rented_at=ago(100),
        booting_since=ago(100),
    )
    return replace(tenure, **changes)


def an_asked_tenure(**changes: Any) -> Tenure:
    """A create that left 10 s ago and has not been answered."""
    return a_fresh_tenure(
        **{
            "requested_at": ago(10),
            "instance_id": None,
            "rented_at": None,
            "booting_since": None,
            **changes,
        }
    )


def a_record(tenure: Tenure | None = None, slot: SlotId = SLOT, **changes: Any) -> SlotRecord:
    record = SlotRecord(slot=slot, attempt=1 if tenure else 0, serial=3, tenure=tenure)
    if tenure is not None and tenure.first_live_at is not None:
        record = replace(
            record,
            ever_on_air=True,
            healthy_since=ago(3000),
            last_decision="wait",
            last_reason=Reason.HEALTHY,
        )
    return replace(record, **changes)


def an_intent(kind: IntentKind = IntentKind.RENT, **changes: Any) -> Intent:
    intent = Intent(
        intent_id=IntentId("duel/0#3"),
        kind=kind,
        slot=SLOT,
        label=label_for(KEEPER_ID, SLOT, 1),
        instance_id=None if kind is IntentKind.RENT else HOST,
        opened_at=ago(10),
        reason=Reason.VACANT,
    )
    return replace(intent, **changes)


def an_outcome(intent: Intent, kind: OutcomeKind = OutcomeKind.DONE, **changes: Any) -> Outcome:
    outcome = Outcome(
        intent_id=intent.intent_id,
        intent=intent.kind,
        kind=kind,
        slot=intent.slot,
        at=ago(1),
        duration_s=9.0,
        instance_id=intent.instance_id,
    )
    return replace(outcome, **changes)


def a_condemned(instance_id: int = HOST, **changes: Any) -> Condemned:
    condemned = Condemned(
        label=label_for(KEEPER_ID, SLOT, 1),
        instance_id=InstanceId(instance_id),
        slot=SLOT,
        reason=Reason.LADDER_SPENT,
        condemned_at=ago(60),
        dollars_per_hour=0.41,
        rented_at=ago(3600),
        listed_at=ago(3590),
        tries=1,
        next_try_at=ahead(30),
        accepted_at=ago(55),
    )
    return replace(condemned, **changes)


def a_quarantine(machine_id: int, **changes: Any) -> Quarantine:
    quarantine = Quarantine(
        machine_id=MachineId(machine_id),
        host_id=HostId(machine_id + 100),
        strikes=1,
        until=ahead(3600),
        reason=Reason.BOOT_STUCK,
    )
    return replace(quarantine, **changes)


def a_pause(until_s: float | None = None) -> Pause:
    until = None if until_s is None else ahead(until_s)
    return Pause(since=ago(60), until=until, actor="ada", reason="maintenance")


def an_order(kind: OrderKind, slot: SlotId | None = SLOT) -> Order:
    return Order(order_id="o1", kind=kind, slot=slot, actor="ada", reason="because", at=ago(1))


def a_world(*records: SlotRecord, **changes: Any) -> World:
    """A readable market, everything heard a second ago, and the records' rentals all listed."""
    by_slot = {record.slot: record for record in records}
    rentals = [
        (tenure.instance_id, tenure)
        for record in records
        for tenure in (record.tenure, record.incoming)
        if tenure is not None and tenure.instance_id is not None
    ]
    heard: dict[Any, datetime] = {}
    for instance_id, _ in rentals:
        heard |= all_heard(instance_id=instance_id)
    world = World(
        keeper_id=KEEPER_ID,
        records=by_slot,
        listing=a_listing(
            *(
                an_instance(
                    instance_id,
                    tenure.label,
                    machine_id=tenure.machine_id,
                    host_id=tenure.host_id,
                    dollars_per_hour=tenure.dollars_per_hour,
                )
                for instance_id, tenure in rentals
            )
        ),
        heard_at=heard,
        started_at=ago(7200),
    )
    return replace(world, **changes)


def healthy_world(**changes: Any) -> World:
    """One slot that has been on air for 50 minutes."""
    return a_world(a_record(a_tenure()), **changes)


# --- answers ----------------------------------------------------------------------------------------


def decide(world: World, desired: Desired | None = None, now: datetime = NOW) -> Plan:
    return reconcile(world, desired or a_desire(), now)


def decision_for(plan: Plan, slot: SlotId = SLOT) -> Decision:
    """Return the one decision of a slot; when its host ends, that destroy."""
    found = [decision for decision in plan.decisions if decision.slot == slot]
    assert found, f"no decision for {slot}: {plan}"
    others = [decision for decision in found if not isinstance(decision, Destroy)]
    return others[0] if others else found[0]


def acts_in(plan: Plan) -> tuple[Act, ...]:
    return plan.acts


def events_of(plan: Plan, *kinds: type) -> list[Any]:
    return [event for event in plan.events if isinstance(event, kinds)]


def record_after(world: World, plan: Plan, slot: SlotId = SLOT) -> SlotRecord:
    changed = {record.slot: record for record in plan.records}
    return changed.get(slot) or world.records[slot]


def applied(world: World, plan: Plan, **changes: Any) -> World:
    """The world right after the shell has committed a plan and begun its acts."""
    records = {**world.records, **{record.slot: record for record in plan.records}}
    for slot in plan.slots_forgotten:
        records.pop(slot, None)
    closed = set(plan.intents_closed)
    intents = tuple(
        intent
        for intent in (*world.intents, *plan.intents_opened)
        if intent.intent_id not in closed
    )
    quarantine: Mapping[MachineId, Quarantine] = {
        machine_id: each
        for machine_id, each in (
            dict(world.quarantine) | {q.machine_id: q for q in plan.quarantine}
        ).items()
        if machine_id not in plan.quarantine_forgotten
    }
    seen = {event.instance_id for event in events_of(plan, OrphanSeen)}
    cleared = {event.instance_id for event in events_of(plan, OrphanCleared)}
    destroys = {act.instance_id for act in plan.acts if isinstance(act, Destroy)}
    slots = {
        act.slot
        for act in plan.acts
        if act.name in {"rent", "deploy", "restart", "swap", "reboot", "rebid"}
    }
    after = replace(
        world,
        records=records,
        condemned=plan.condemned,
        intents=intents,
        outcomes=(),
        readings=(),
        orders=(),
        shown={},
        quarantine=quarantine,
        in_flight=world.in_flight | {slot for slot in slots if slot is not None},
        in_flight_instances=world.in_flight_instances | destroys,
        orphans_known=(world.orphans_known | seen) - cleared,
        fuses_known=frozenset(plan.fuses),
        causes_known=plan.suspected,
        meter=plan.meter or world.meter,
    )
    return replace(after, **changes)


def shuffled_world(world: World, order: Iterable[int]) -> World:
    """The same facts, told in another order."""
    keys = list(order)

    def mixed(values: Iterable[Any]) -> tuple[Any, ...]:
        items = list(values)
        ranks = [keys[i % len(keys)] if keys else 0 for i in range(len(items))]
        return tuple(
            item for _, _, item in sorted(zip(ranks, range(len(items)), items, strict=True))
        )

    listing = world.listing
    return replace(
        world,
        records=dict(mixed(world.records.items())),
        listing=None if listing is None else replace(listing, instances=mixed(listing.instances)),
        condemned=mixed(world.condemned),
        intents=mixed(world.intents),
        outcomes=mixed(world.outcomes),
        offers={name: replace(b, offers=mixed(b.offers)) for name, b in world.offers.items()},
        quarantine=dict(mixed(world.quarantine.items())),
    )
