"""Worlds for the table of decisions: a slot in some trouble, or none, and a row about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from keeper.core.model import (
    Condition,
    ConditionKind,
    Desired,
    IntentKind,
    Makeable,
    MarketState,
    RemedyUse,
    RentalSpec,
    Revision,
    Rung,
    SlotId,
    Status,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.world import OutcomeKind, World
from tests.builders import (
    DUEL,
    HOST,
    SLOT,
    a_book,
    a_condition,
    a_desire,
    a_fresh_tenure,
    a_listing,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    an_asked_tenure,
    an_instance,
    an_intent,
    an_offer,
    an_outcome,
    conditions,
    healthy_world,
)
from tests.unit.core.test_suspects import a_fleet, frozen

GONE_PROCESS = (Status.FALSE, Reason.PROCESS_GONE)
FROZEN = (Status.FALSE, Reason.FROZEN)
NO_LINK = (Status.FALSE, Reason.DIAL_REFUSED)
LOST_LINK = (Status.UNKNOWN, Reason.LINK_LOST)
UNSEEN = (Status.UNKNOWN, Reason.NOT_ASKED)


NOBODY = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.UNREACHABLE, for_s=95, bad=3)
NOBODY_YET = replace(NOBODY, since=ago(5))


def refused_for(seconds: float) -> Condition:
    return a_condition(
        ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED, for_s=seconds, bad=3
    )


@dataclass(frozen=True, kw_only=True)
class Row:
    sentence: str
    world: World
    decision: str
    reason: Reason
    wanted: str = ""
    until: datetime | None = None
    rung: Rung | None = None
    desired: Desired | None = None


def dark(**said: object) -> World:
    """On air until a minute ago; the picture has been bad ever since."""
    frozen = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=60, bad=3)
    told = {"streaming": frozen, **said}
    record = a_record(a_tenure(conditions=conditions(**told)), dark_since=ago(60))  # type: ignore[arg-type]
    return a_world(record)


def not_heard_for(seconds: float, streaming: Condition, **said: object) -> World:
    """The link is said to be up; the process was spoken of so long ago."""
    world = with_record(dark(streaming=streaming, **said), dark_since=streaming.since)
    tenure = world.records[SLOT].tenure
    assert tenure is not None
    assert tenure.instance_id is not None
    host = tenure.instance_id
    heard_at = {(host, subject): ago(1) for subject in Subject}
    return replace(world, heard_at={**heard_at, (host, Subject.PROCESS): ago(seconds)})


def elsewhere(*, listed_s: float, good: int = 0) -> World:
    """Another key is shown, and nobody answers for three minutes; he looked 12 s ago, where a list said."""
    nobody = a_condition(
        ConditionKind.STREAMING, Status.FALSE, Reason.UNREACHABLE, for_s=190, bad=3, good=good
    )
    key = a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.HOST_KEY_CHANGED)
    world = with_record(dark(streaming=nobody, reachable=key), dark_since=nobody.since)
    tenure = world.records[SLOT].tenure
    assert tenure is not None
    assert tenure.instance_id is not None
    assert world.listing is not None
    listing = replace(world.listing, at=ago(listed_s))
    heard_at = {**world.heard_at, (tenure.instance_id, Subject.PICTURE): ago(12)}
    return replace(world, listing=listing, heard_at=heard_at)


def with_record(world: World, **changes: object) -> World:
    return replace(world, records={SLOT: replace(world.records[SLOT], **changes)})  # type: ignore[arg-type]


def with_tenure(world: World, **changes: object) -> World:
    tenure = world.records[SLOT].tenure
    assert tenure is not None
    return with_record(world, tenure=replace(tenure, **changes))  # type: ignore[arg-type]


def beside_a_handover(world: World) -> World:
    """Another slot of the stream has two hosts."""
    other = SlotId("duel/1")
    between = a_record(
        a_tenure(instance_id=HOST + 1, label=f"keeper:k1:{other}:1"),
        slot=other,
        incoming=a_fresh_tenure(instance_id=HOST + 2, label=f"keeper:k1:{other}:2"),
    )
    return replace(world, records={**world.records, other: between})


def used(*uses: tuple[Rung, float]) -> tuple[RemedyUse, ...]:
    return tuple(RemedyUse(rung=rung, at=ago(age_s)) for rung, age_s in uses)


SPENT = used(
    (Rung.RESTART_PROCESS, 900), (Rung.RESTART_PROCESS, 800), (Rung.RESTART_PROCESS, 700),
    (Rung.RESTART_WORKLOAD, 600), (Rung.REBOOT, 500),
)  # fmt: skip


def dark_for(seconds: float, **said: object) -> World:
    frozen = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=seconds, bad=3)
    return with_record(dark(**{"streaming": frozen, **said}), dark_since=ago(seconds))


def spent() -> World:
    return with_record(dark_for(900), remedies=SPENT)


def booted(**changes: object) -> World:
    """Up for ten seconds and empty."""
    said = conditions(
        deployed=(Status.FALSE, Reason.NOT_DEPLOYED), running=UNSEEN, streaming=UNSEEN
    )
    tenure = a_fresh_tenure(
        listed_at=ago(90), running_at=ago(20), booted_at=ago(10), conditions=said
    )
    return a_world(a_record(replace(tenure, **changes)))  # type: ignore[arg-type]


def booting(**changes: object) -> World:
    tenure = replace(a_fresh_tenure(listed_at=ago(90)), **changes)  # type: ignore[arg-type]
    world = a_world(a_record(tenure))
    instance = an_instance(HOST, tenure.label, state=MarketState.PENDING)
    return replace(world, listing=a_listing(instance), heard_at={})


def listed_as(world: World, **changes: object) -> World:
    assert world.listing is not None
    instances = tuple(replace(i, **changes) for i in world.listing.instances)  # type: ignore[arg-type]
    return replace(world, listing=replace(world.listing, instances=instances))


def with_terms(world: World, **terms: object) -> World:
    """A slot that serves, a fresh offer for its successor, and terms of its contract."""
    return replace(with_tenure(world, **terms), offers={DUEL: a_book(an_offer())})


def outbid(stopped_for_s: float = 40, **terms: object) -> World:
    """A host whose bid of 0.35 was beaten; the floor is 0.45 now."""
    world = listed_as(
        dark(reachable=NO_LINK), state=MarketState.STOPPED, is_meant_to_run=False, is_bid=True,
        min_bid_dollars_per_hour=0.45, disk_dollars_per_hour=0.06,
    )  # fmt: skip
    return with_tenure(
        world,
        **{
            "is_bid": True,
            "bid_dollars_per_hour": 0.35,
            "dead_since": ago(stopped_for_s),
            "outbid_since": ago(stopped_for_s),
            **terms,
        },
    )


def warming(age_s: float = 60, **said: object) -> World:
    told = conditions(**{"running": UNSEEN, "streaming": UNSEEN, **said})  # type: ignore[arg-type]
    tenure = a_fresh_tenure(
        rented_at=ago(600), listed_at=ago(590), running_at=ago(400), booted_at=ago(390),
        booting_since=ago(600), deployed_at=ago(age_s), acted_at=ago(age_s), conditions=told,
    )  # fmt: skip
    return a_world(a_record(tenure))


def vacant(**changes: object) -> World:
    return a_world(a_record(), offers={DUEL: a_book(an_offer(1))}, **changes)


def vacated(count: int, last_s: float = 3000.0, **changes: object) -> World:
    """A slot that was on air and has given up so many hosts, the last one so long ago."""
    times = tuple(ago(last_s + 200 * (count - 1 - i)) for i in range(count))
    record = a_record(ever_on_air=True, attempt=count, dark_since=ago(last_s), replaced_at=times)
    return a_world(record, offers={DUEL: a_book(an_offer(1))}, **changes)


def missing(listings: int, **changes: object) -> World:
    """The rental is absent from the last listings, 40 s apart."""
    world = dark_for(200) if not changes else healthy_world()
    world = replace(world, listing=a_listing(age_s=1))
    if listings > 1:
        world = with_tenure(world, missing_since=ago(41), missing_listed_at=ago(41))
    return world


def two_sick() -> tuple[World, Desired]:
    sick = conditions(streaming=FROZEN)
    records = [
        a_record(a_tenure(conditions=sick), dark_since=ago(60)),
        a_record(
            a_tenure(instance_id=HOST + 1, label="keeper:k1:duel/1:1", conditions=sick),
            slot="duel/1", dark_since=ago(60),  # type: ignore[arg-type]
        ),
    ]  # fmt: skip
    return a_world(*records), a_desire(a_stream(replicas=2))


def two_alike() -> tuple[World, Desired]:
    return a_fleet(frozen(0), frozen(1))


def handing_over(**changes: object) -> World:
    """On air, and a replacement that has booted 100 s ago and is deployed."""
    incoming = a_fresh_tenure(
        instance_id=HOST + 1, label="keeper:k1:duel/0:2", attempt=2, machine_id=202,
        rented_at=ago(300), booting_since=ago(300), listed_at=ago(290), running_at=ago(120),
        booted_at=ago(100), deployed_at=ago(60), acted_at=ago(60),
        conditions=conditions(streaming=UNSEEN),
    )  # fmt: skip
    incoming = replace(incoming, **changes)  # type: ignore[arg-type]
    return a_world(a_record(a_tenure(), attempt=2, incoming=incoming, replace_asked_at=ago(300)))


RENT_INTENT = an_intent(IntentKind.RENT)


def refused(reason: Reason | None, **more: object) -> World:
    outcome = an_outcome(RENT_INTENT, OutcomeKind.FAILED, reason=reason, error="no", **more)
    return a_world(
        a_record(an_asked_tenure()),
        intents=(RENT_INTENT,),
        outcomes=(outcome,),
        offers={DUEL: a_book(an_offer(1), an_offer(2))},
    )


R1, R2 = (Revision(stream=DUEL, name=name, declared_at=ago(9000)) for name in ("r1", "r2"))
PROVEN_R1 = replace(R1, proven_at=ago(8000))
MADE_R1 = {DUEL: {"r1": Makeable(rental=RentalSpec(image="duel:1", disk_gb=120.0), rungs=())}}


def rolling_out() -> World:
    """On air with r1, and r2 is declared."""
    return a_world(a_record(a_tenure(revision="r1")), revisions={DUEL: (PROVEN_R1, R2)})


def rolling_back() -> World:
    """r2 came, and the picture went."""
    frozen = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=60, bad=3)
    tenure = a_tenure(revision="r2", conditions=conditions(streaming=frozen), acted_at=ago(300))
    record = a_record(tenure, dark_since=ago(60))
    return a_world(record, revisions={DUEL: (PROVEN_R1, R2)}, makeable=MADE_R1)


# Room for two hosts, one of them dear.
DEAR = a_desire(a_stream(spend_max_dollars_per_hour=10.0))
