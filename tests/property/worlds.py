"""Generated worlds: any mixture of what records, markets, witnesses and operators can say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from keeper.core.flow import Rate
from keeper.core.labels import label_for
from keeper.core.meter import TOTAL, Meter, Tally, day_of, month_of
from keeper.core.model import (
    Condemned,
    Condition,
    ConditionKind,
    Desired,
    Instance,
    InstanceId,
    Intent,
    IntentId,
    IntentKind,
    Lull,
    MachineId,
    MarketState,
    Mode,
    OfferId,
    OfferNeeds,
    OrphanPolicy,
    Pricing,
    Reading,
    Remedy,
    RemedyUse,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Subject,
    Symptom,
    Tenure,
    stream_of,
)
from keeper.core.reasons import Reason
from keeper.core.world import (
    AccountSeen,
    LullLook,
    OfferBook,
    Order,
    OrderKind,
    Outcome,
    OutcomeKind,
    SearchRefused,
    World,
)
from tests.builders import (
    KEEPER_ID,
    NOW,
    a_condition,
    a_desire,
    a_fresh_tenure,
    a_listing,
    a_pause,
    a_quarantine,
    a_reading,
    a_stream,
    a_tenure,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    an_offer,
)

SECONDS = st.sampled_from(
    [0, 1, 5, 9, 16, 29, 31, 46, 61, 100, 125, 181, 301, 700, 901, 1900, 8000]
)
BAD = {
    ConditionKind.RENTED: (Reason.MARKET_SAYS_DEAD, Reason.MARKET_STOPPED_IT),
    ConditionKind.REACHABLE: (Reason.DIAL_REFUSED, Reason.HOST_KEY_CHANGED, Reason.KEY_REFUSED),
    ConditionKind.DEPLOYED: (Reason.NOT_DEPLOYED,),
    ConditionKind.RUNNING: (
        Reason.PROCESS_GONE, Reason.MANAGER_GAVE_UP, Reason.CRASH_LOOP,
        Reason.PROCESS_STOPPED_ON_PURPOSE,
    ),
    ConditionKind.STREAMING: (Reason.FROZEN, Reason.BLACK, Reason.NO_BYTES),
    ConditionKind.HAS_GPU: (Reason.GPU_LOST, Reason.DISPLAY_LOST),
    ConditionKind.HAS_ROOM: (Reason.DISK_FULL,),
    ConditionKind.WORKING: (Reason.SYMPTOM,),
}  # fmt: skip
UNSURE = {
    ConditionKind.REACHABLE: (Reason.LINK_LOST, Reason.SILENT),
    ConditionKind.RUNNING: (Reason.MANAGER_RETRYING, Reason.PROCESS_STARTING, Reason.NOT_ASKED),
}
SUBJECT_OF = {
    Subject.LINK: ConditionKind.REACHABLE,
    Subject.PROCESS: ConditionKind.RUNNING,
    Subject.PICTURE: ConditionKind.STREAMING,
    Subject.GPU: ConditionKind.HAS_GPU,
    Subject.DISK: ConditionKind.HAS_ROOM,
    Subject.WORKLOAD: ConditionKind.WORKING,
}
SYMPTOMS = tuple(
    Symptom(code=f"{remedy}_{wait_s:.0f}", sentence="it ails", remedy=remedy, wait_s=wait_s)
    for remedy in Remedy
    for wait_s in (0.0, 60.0)
)
# What no other host would cure: the ladder of each ends somewhere below.
BOUNDED = tuple(
    Symptom(
        code=f"{remedy}_to_{dearest}_{is_partial:d}", sentence="it ails, wherever it runs",
        remedy=remedy, dearest=dearest, is_partial=is_partial, spoils_view=True,
    )
    for remedy in (Remedy.NOTHING, Remedy.RESTART_PROCESS, Remedy.RESTART_WORKLOAD, Remedy.REBOOT)
    for dearest in (Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT)
    for is_partial in (False, True)
    if remedy is Remedy.NOTHING or tuple(Rung).index(Rung(remedy)) <= tuple(Rung).index(dearest)
)  # fmt: skip


ACCOUNTS = (
    None,
    None,
    AccountSeen(spendable_dollars=50.0, at=ago(60)),
    AccountSeen(spendable_dollars=50.0, at=ago(60), empty_at=ago(90)),
    AccountSeen(spendable_dollars=-0.5, at=ago(20), empty_at=ago(20)),
    AccountSeen(spendable_dollars=0.0, at=ago(9000), empty_at=ago(9000)),
)
PAUSES = (None, a_pause(), a_pause(50), a_pause(-5))
REFUSALS = (
    None,
    None,
    SearchRefused(reason=Reason.SEARCH_QUOTA_SPENT, until=ahead(3000), error="no more today"),
    SearchRefused(reason=Reason.UNAUTHORIZED, until=None, error="no"),
    SearchRefused(reason=Reason.SEARCH_FAILS, until=None, error="no list"),
)


def seldom(draw: st.DrawFn, others: int) -> bool:
    """Once in so many others. (Generated integers love their bounds: "== 0" would be often.)"""
    return draw(st.sampled_from([False] * others + [True]))


@st.composite
def condition(draw: st.DrawFn, kind: ConditionKind) -> Condition:
    status = draw(st.sampled_from([Status.TRUE, Status.TRUE, Status.FALSE, Status.UNKNOWN]))
    reason: Reason | None = None
    if status is Status.FALSE:
        reason = draw(st.sampled_from(BAD[kind]))
    elif status is Status.UNKNOWN:
        reason = draw(st.sampled_from(UNSURE.get(kind, (Reason.NOT_ASKED, Reason.SILENT))))
    bad = draw(st.integers(0, 3)) if status is not Status.TRUE else draw(st.integers(0, 2))
    found = a_condition(
        kind,
        status,
        reason,
        for_s=draw(SECONDS),
        bad=bad,
        good=0 if bad else draw(st.integers(0, 2)),
    )
    if reason is Reason.SYMPTOM:
        found = replace(found, symptom=draw(st.sampled_from(SYMPTOMS + BOUNDED)))
    return found


@st.composite
def lulls(draw: st.DrawFn) -> Lull:
    """A wait for viewers: under way, over, or given up for a while."""
    over_at = draw(st.none() | SECONDS.map(ago))
    return Lull(
        since=ago(draw(SECONDS)),
        bound_s=draw(st.sampled_from([0.0, 90.0, 300.0])),
        over_at=over_at,
        left_until=draw(st.none() | SECONDS.map(ahead)) if over_at is not None else None,
    )


@st.composite
def lull_looks(draw: st.DrawFn) -> LullLook:
    return LullLook(
        at=ago(draw(SECONDS)), is_there=draw(st.booleans()), is_hopeless=draw(st.booleans())
    )


@st.composite
def tenure(draw: st.DrawFn, slot: SlotId, number: int, attempt: int) -> Tenure:
    label = label_for(KEEPER_ID, slot, attempt)
    common: dict[str, Any] = {
        "label": label,
        "attempt": attempt,
        "machine_id": MachineId(200 + number),
    }
    shape = draw(st.sampled_from(["asked", "fresh", "up", "up", "up"]))
    if shape == "asked":
        return an_asked_tenure(
            **common,
            requested_at=ago(draw(SECONDS)),
            acted_at=draw(st.none() | SECONDS.map(ago)),
            missing_since=(missing := draw(st.none() | SECONDS.map(ago))),
            missing_listed_at=missing,
        )
    base = a_fresh_tenure if shape == "fresh" else a_tenure
    more: dict[str, Any] = {}
    if shape == "fresh":
        age_s = draw(SECONDS)
        more = {
            "requested_at": ago(age_s + 2), "rented_at": ago(age_s), "booting_since": ago(age_s),
            "listed_at": draw(st.none() | st.just(ago(age_s))),
            "running_at": draw(st.none() | st.just(ago(age_s // 2))),
        }  # fmt: skip
    else:
        if draw(st.booleans()):
            more["deployed_at"] = draw(st.none() | SECONDS.map(ago))
            more["warm_at"] = draw(st.none() | SECONDS.map(ago))
            more["first_live_at"] = draw(st.none() | SECONDS.map(ago))
        more["deploy_failures"] = draw(st.integers(0, 2))
        more["deploy_unsure_at"] = draw(st.none() | SECONDS.map(ago))
        more["acted_at"] = draw(st.none() | SECONDS.map(ago))
        more["good_in_a_row"] = draw(st.integers(0, 6))
        more["lull"] = draw(st.none() | st.none() | lulls())
        more["process_changed_at"] = tuple(sorted(draw(st.lists(SECONDS.map(ago), max_size=4))))
        more["conditions"] = tuple(draw(condition(kind)) for kind in ConditionKind)
    if seldom(draw, 4):
        missing = ago(draw(SECONDS))
        more["missing_since"], more["missing_listed_at"] = missing, max(missing, ago(30))
    if seldom(draw, 4):
        more["dead_since"] = ago(draw(SECONDS))
    if seldom(draw, 3):
        more["is_bid"] = True
        more["bid_dollars_per_hour"] = draw(st.sampled_from([0.05, 0.3, 1.9]))
        more["rebids"] = draw(st.integers(0, 3))
        more["is_bid_unsure"] = draw(st.booleans())
        if draw(st.booleans()):
            more["dead_since"] = more["outbid_since"] = ago(draw(SECONDS))
    more["offered_dollars_per_hour"] = draw(st.sampled_from([0.0, 0.41]))
    if seldom(draw, 3):
        more["ending_since"] = ago(draw(SECONDS))
    if seldom(draw, 5):
        more["dear_since"] = ago(draw(SECONDS))
    return base(instance_id=InstanceId(7000 + number), **{**common, **more})


@st.composite
def record(draw: st.DrawFn, slot: SlotId, number: int) -> SlotRecord:
    attempt = draw(st.integers(1, 5))
    seated = draw(st.none() | tenure(slot, number, attempt))
    incoming = None
    if seated is not None and seldom(draw, 4):
        attempt += 1
        incoming = draw(tenure(slot, number + 50, attempt))
    was_live = seated is not None and seated.first_live_at is not None
    ever = was_live or draw(st.booleans())
    return SlotRecord(
        slot=slot,
        attempt=attempt,
        serial=draw(st.integers(0, 50)),
        tenure=seated,
        incoming=incoming,
        remedies=tuple(
            RemedyUse(rung=rung, at=ago(age_s))
            for rung, age_s in draw(
                st.lists(st.tuples(st.sampled_from([*Rung][:3]), SECONDS), max_size=5)
            )
        ),
        replaced_at=tuple(sorted(draw(st.lists(SECONDS.map(ago), max_size=7))))
        if seldom(draw, 2)
        else (),
        ever_on_air=ever,
        dark_since=draw(st.none() | SECONDS.map(ago)) if ever else None,
        healthy_since=draw(st.none() | SECONDS.map(ago)) if ever else None,
        offer_misses=draw(st.integers(0, 3)),
        next_rent_at=ahead(draw(SECONDS)) if seldom(draw, 3) else None,
        offer_asked=draw(st.sampled_from([None, None, None, OfferId(102), OfferId(999)])),
        outbid_at=draw(st.none() | SECONDS.map(ago)),
        replace_asked_at=ago(5) if seldom(draw, 3) else None,
        restart_asked_at=ago(5) if seldom(draw, 3) else None,
        destroy_asked_at=ago(5) if seldom(draw, 5) else None,
    )


@st.composite
def streams(draw: st.DrawFn) -> tuple[Stream, ...]:
    names = draw(st.sampled_from([("duel",), ("duel", "turbo")]))
    modes = st.sampled_from([Mode.ACT] * 6 + [Mode.OBSERVE])
    limits = st.sampled_from([0.4, 1.0, 5.0, 5.0, 50.0])
    return tuple(
        a_stream(
            name,
            replicas=draw(st.integers(0, 3)),
            mode=draw(modes),
            lull_max_s=draw(st.sampled_from([0.0, 90.0, 300.0])),
            spend_max_dollars_per_hour=draw(limits),
            needs=OfferNeeds(
                pricing=draw(st.sampled_from(list(Pricing))),
                price_max_dollars_per_hour=draw(st.sampled_from([0.5, 2.0])),
                egress_gb_per_hour=draw(st.sampled_from([0.0, 4.5])),
            ),
        )
        for name in names
    )


@st.composite
def readings(draw: st.DrawFn, instance_ids: list[InstanceId]) -> tuple[Reading, ...]:
    if not instance_ids:
        return ()
    found: list[Reading] = []
    for _ in range(draw(st.integers(0, 8))):
        subject = draw(st.sampled_from(list(Subject)))
        status = draw(st.sampled_from(list(Status)))
        kind = SUBJECT_OF[subject]
        reason = Reason.LIVE
        if status is Status.FALSE:
            reason = draw(st.sampled_from(BAD[kind]))
        elif status is Status.UNKNOWN:
            reason = draw(st.sampled_from(UNSURE.get(kind, (Reason.PROBE_FAILED,))))
        found.append(
            a_reading(
                subject,
                status,
                reason,
                age_s=draw(st.integers(0, 20)),
                instance_id=draw(st.sampled_from(instance_ids)),
                is_certain=draw(st.booleans()),
                identity=draw(st.sampled_from(["", "41:1", "42:1"])),
                restarts=draw(st.integers(0, 4)),
                symptom=draw(st.sampled_from(SYMPTOMS + BOUNDED))
                if reason is Reason.SYMPTOM
                else None,
            )
        )
    return tuple(sorted(found, key=lambda reading: reading.at))


def rentals_of(world: World) -> list[tuple[SlotId, Tenure]]:
    return [
        (each.slot, seated)
        for each in world.records.values()
        for seated in (each.tenure, each.incoming)
        if seated is not None
    ]


@st.composite
def instances(draw: st.DrawFn, world: World) -> tuple[Instance, ...]:
    found: dict[InstanceId, Instance] = {}
    for _, seated in rentals_of(world):
        instance_id = seated.instance_id or InstanceId(8000 + seated.machine_id)
        if seldom(draw, 5):
            continue
        found[instance_id] = an_instance(
            instance_id,
            seated.label,
            machine_id=seated.machine_id,
            state=draw(st.sampled_from([MarketState.RUNNING] * 4 + list(MarketState))),
            is_meant_to_run=not seldom(draw, 5),
            has_daemon_error=seldom(draw, 5),
            dollars_per_hour=draw(st.sampled_from([seated.dollars_per_hour, 0.9, 9.0])),
            disk_dollars_per_hour=0.05,
            is_bid=seated.is_bid,
            min_bid_dollars_per_hour=draw(st.sampled_from([0.0, 0.1, 0.45, 3.0])),
            ends_at=draw(st.none() | SECONDS.map(ahead)),
            is_machine_listed=not seldom(draw, 5),
        )
    for each in world.condemned:
        if draw(st.booleans()):
            found[each.instance_id] = an_instance(each.instance_id, each.label)
    strangers = draw(
        st.lists(
            st.sampled_from(
                [
                    "", "keeper", "somebody's", "keeper:", "keeper:zz:duel/0:1",
                    f"keeper:{KEEPER_ID}:duel/0:1", f"keeper:{KEEPER_ID}:duel/0:99",
                    f"keeper:{KEEPER_ID}:gone/0:1", f"keeper:{KEEPER_ID}:turbo/1:2",
                ]
            ),
            max_size=3,
        )
    )  # fmt: skip
    for number, label in enumerate(strangers):
        instance_id = InstanceId(6000 + number)
        found[instance_id] = an_instance(instance_id, "", machine_id=999)
        found[instance_id] = replace(found[instance_id], label=label)
    return tuple(found.values())


@st.composite
def outcomes(draw: st.DrawFn, intents: tuple[Intent, ...]) -> tuple[Outcome, ...]:
    found: list[Outcome] = []
    for intent in intents:
        if draw(st.booleans()):
            continue
        kind = draw(st.sampled_from(list(OutcomeKind)))
        reason = None
        if kind is OutcomeKind.FAILED:
            reason = draw(
                st.sampled_from(
                    [None, Reason.OFFER_GONE, Reason.OUT_OF_CREDIT, Reason.UNAUTHORIZED]
                )
            )
        named = intent.instance_id
        if named is None:
            # New, or somebody else's: an answer may say anything.
            new = st.just(InstanceId(5000 + len(found)))
            named = draw(st.none() | new | new | st.just(InstanceId(6000)))
        found.append(
            Outcome(
                intent_id=intent.intent_id, intent=intent.kind, kind=kind, slot=intent.slot,
                at=ago(draw(st.integers(0, 9))), duration_s=3.0, instance_id=named, reason=reason,
                error="what",
            )
        )  # fmt: skip
    return tuple(found)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, Desired]:
    declared = draw(streams())
    fleet: dict[str, Any] = {
        "spend_max_dollars_per_hour": draw(st.sampled_from([0.4, 2.0, 10.0, 10.0])),
        "orphans": draw(st.sampled_from(list(OrphanPolicy))),
        "replacements_in_flight_max": draw(st.integers(0, 3)),
    }
    desired = a_desire(*declared, **fleet) if declared else a_desire(**fleet)
    slots = [slot for stream in declared for slot in stream.slots]
    if seldom(draw, 4):
        slots.append(SlotId("gone/0"))
    records = {}
    for number, slot in enumerate(slots):
        if not seldom(draw, 5):
            records[slot] = draw(record(slot, number))
    condemned = tuple(
        Condemned(
            label=label_for(KEEPER_ID, slot, 9),
            instance_id=InstanceId(7900 + number),
            slot=draw(st.sampled_from([slot, None])),
            reason=Reason.LADDER_SPENT,
            condemned_at=ago(age_s := draw(SECONDS)),
            dollars_per_hour=0.4,
            rented_at=ago(9000),
            tries=draw(st.integers(0, 4)),
            next_try_at=draw(st.none() | SECONDS.map(ahead)),
            absent_since=(absent := draw(st.none() | st.just(ago(age_s // 2)))),
            absent_listed_at=absent and draw(st.sampled_from([absent, max(absent, ago(3))])),
            by_id_absent_at=absent and draw(st.none() | st.just(ago(2))),
            accepted_at=draw(st.none() | st.just(ago(1))),
        )
        for number, slot in enumerate(slots)
        if seldom(draw, 4)
    )
    world = World(keeper_id=KEEPER_ID, records=records, condemned=condemned)
    intents = []
    for number, (slot, seated) in enumerate(rentals_of(world)):
        if seated.instance_id is None or seldom(draw, 4):
            kinds = [IntentKind.RENT]
            if seated.instance_id is not None:
                kinds = [
                    IntentKind.DEPLOY,
                    IntentKind.RESTART,
                    IntentKind.REBOOT,
                    IntentKind.DESTROY,
                ]
            intents.append(
                Intent(
                    intent_id=IntentId(f"{slot}#{number}"), kind=draw(st.sampled_from(kinds)),
                    slot=slot, label=seated.label, instance_id=seated.instance_id,
                    opened_at=seated.requested_at, reason=Reason.VACANT,
                )
            )  # fmt: skip
    ids = [seated.instance_id for _, seated in rentals_of(world) if seated.instance_id is not None]
    heard_s = draw(st.sampled_from([0, 1, 50]))
    # Most worlds are free to act: what a closed fleet may not do is soon said.
    is_calm = draw(st.sampled_from([True, True, True, False]))
    age_s = draw(st.sampled_from([0, 2, 30] if is_calm else [2, 200]))
    listing = a_listing(*draw(instances(world)), age_s=age_s)
    books = {
        stream.name: OfferBook(
            offers=tuple(
                an_offer(
                    n,
                    rentable=not seldom(draw, 4),
                    machine_id=MachineId(200 + n),
                    is_bid=seldom(draw, 2),
                )
                for n in range(draw(st.integers(0, 5)))
            ),
            at=ago(draw(st.sampled_from([1, 1, 59, 61]))),
            around=tuple(an_offer(n, machine_id=MachineId(200 + n)) for n in range(7, 9)),
            around_at=ago(draw(st.sampled_from([1, 59, 61, 119]))),
        )
        for stream in declared
        if not seldom(draw, 3)
    }
    quarantined = draw(st.lists(st.integers(200, 206), unique=True, max_size=2))
    orders = tuple(
        Order(order_id="o", kind=kind, slot=slot, actor="ada", reason="", at=ago(1))
        for slot in slots
        if seldom(draw, 7)
        for kind in [draw(st.sampled_from(list(OrderKind)))]
    )
    shown: dict[InstanceId, Instance | None] = {
        instance_id: None
        for instance_id in [*ids, *(each.instance_id for each in condemned)]
        if seldom(draw, 3)
    }
    world = replace(
        world,
        listing=listing if is_calm else draw(st.sampled_from([listing, None])),
        unreadable_since=None if is_calm else draw(st.sampled_from([None, ago(5), ago(500)])),
        shown=shown,
        offers=books,
        readings=draw(readings(ids)),
        heard_at={
            (instance_id, subject): ago(heard_s)
            for instance_id in ids
            for subject in Subject
            if not seldom(draw, 9)
        },
        lulls={instance_id: draw(lull_looks()) for instance_id in ids if draw(st.booleans())},
        intents=tuple(intents),
        outcomes=draw(outcomes(tuple(intents))),
        in_flight=frozenset(slot for slot in slots if seldom(draw, 7)),
        in_flight_instances=frozenset(
            each.instance_id for each in condemned if draw(st.booleans())
        ),
        quarantine={MachineId(m): a_quarantine(m, host_id=m % 2 + 1) for m in quarantined},
        orphans_known=frozenset(InstanceId(6000 + n) for n in range(3) if draw(st.booleans())),
        orphans_seen_at={InstanceId(6000 + n): ago(100) for n in range(3)},
        orders=orders,
        pause=None if is_calm else draw(st.sampled_from(PAUSES)),
        slot_pauses={slot: a_pause() for slot in slots if seldom(draw, 6)},
        held_slots=frozenset(slot for slot in slots if seldom(draw, 9)),
        is_leader=is_calm or not seldom(draw, 9),
        is_stopping=not is_calm and seldom(draw, 9),
        own_network=Status.TRUE if is_calm else draw(st.sampled_from(list(Status))),
        started_at=draw(st.sampled_from([None, ago(8000), ago(8000), ago(40), ago(3)])),
        account=draw(st.sampled_from(ACCOUNTS)),
        search_refused=draw(st.sampled_from(REFUSALS)),
    )
    answered = {outcome.intent_id for outcome in world.outcomes}
    busy = {i.slot for i in world.intents if i.intent_id in answered}
    return draw(with_money(replace(world, in_flight=world.in_flight - busy), desired))


@st.composite
def with_money(draw: st.DrawFn, world: World, desired: Desired) -> tuple[World, Desired]:
    """Now and then something was spent, under caps that leave room for it, or not."""
    if seldom(draw, 3):
        return world, desired
    dollars = st.sampled_from([0.0, 1.0, 4.5, 4.9, 5.0, 7.0])
    caps = st.sampled_from([None, None, 5.0, 6.0])
    tallies = {stream.name: Tally(dollars=draw(dollars)) for stream in desired.streams}
    meter = Meter(
        metered_at=ago(draw(st.sampled_from([0, 0, 5, 901]))),
        rates={stream.name: Rate(dollars_per_hour=0.41, on_air=1) for stream in desired.streams},
        tallies=dict.fromkeys((day_of(NOW), month_of(NOW), TOTAL), tallies),
    )
    declared = tuple(
        replace(
            stream,
            spend_max_dollars_per_day=draw(caps),
            spend_max_dollars_total=draw(caps),
        )
        for stream in desired.streams
    )
    fleet = replace(
        desired.fleet,
        spend_max_dollars_per_day=draw(caps),
        spend_max_dollars_per_month=draw(caps),
    )
    return replace(world, meter=meter), replace(desired, streams=declared, fleet=fleet)


@st.composite
def willing_worlds(draw: st.DrawFn) -> tuple[World, Desired]:
    """Vacant slots that want hosts: only prices, limits and the account can stand in the way."""
    limit = st.sampled_from([0.4, 0.45, 0.5, 1.0])
    declared = tuple(
        a_stream(
            name,
            replicas=draw(st.integers(1, 3)),
            spend_max_dollars_per_hour=draw(st.sampled_from([0.45, 1.0, 5.0])),
            needs=OfferNeeds(
                pricing=draw(st.sampled_from(list(Pricing))),
                price_max_dollars_per_hour=draw(limit),
                egress_gb_per_hour=draw(st.sampled_from([0.0, 4.5])),
            ),
        )
        for name in draw(st.sampled_from([("duel",), ("duel", "turbo")]))
    )
    desired = a_desire(*declared, spend_max_dollars_per_hour=draw(st.sampled_from([0.8, 10.0])))
    slots = [slot for stream in declared for slot in stream.slots]
    records = {
        slot: SlotRecord(
            slot=slot,
            offer_asked=draw(st.sampled_from([None, None, OfferId(102), OfferId(999)])),
            outbid_at=draw(st.none() | SECONDS.map(ago)),
        )
        for slot in slots
    }
    books = {
        stream.name: OfferBook(
            offers=tuple(
                an_offer(
                    n,
                    rentable=not seldom(draw, 4),
                    machine_id=MachineId(200 + n),
                    is_bid=draw(st.booleans()),
                    gpu_dollars_per_hour=draw(st.sampled_from([0.1, 0.35, 0.4, 0.9])),
                    dollars_per_hour=draw(st.sampled_from([0.15, 0.41, 0.46, 0.95])),
                )
                for n in range(draw(st.sampled_from([0, 1, 2, 6])))
            ),
            at=ago(1),
            around=tuple(an_offer(n, machine_id=MachineId(200 + n)) for n in range(7, 9)),
            around_at=ago(draw(st.sampled_from([1, 61]))),
        )
        for stream in declared
    }
    world = World(
        keeper_id=KEEPER_ID,
        records=records,
        listing=a_listing(age_s=2),
        offers=books,
        started_at=ago(8000),
        own_network=Status.TRUE,
        quarantine={MachineId(201): a_quarantine(201)} if draw(st.booleans()) else {},
        account=draw(st.sampled_from(ACCOUNTS)),
        search_refused=draw(st.sampled_from(REFUSALS)),
    )
    return draw(with_money(world, desired))


def names_of(desired: Desired) -> set[str]:
    return {stream.name for stream in desired.streams}


__all__ = ["BAD", "condition", "names_of", "rentals_of", "stream_of", "willing_worlds", "worlds"]
