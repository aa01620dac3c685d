"""The decision table: a sentence, a world, and what keeper must decide in it, why, and until when."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

from keeper.core.meter import Dark, Meter
from keeper.core.model import (
    Condition,
    ConditionKind,
    Desired,
    IntentKind,
    Makeable,
    MarketState,
    Mode,
    RemedyUse,
    RentalSpec,
    Revision,
    Rung,
    SlotId,
    Status,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, Window
from keeper.core.world import AccountSeen, OrderKind, OutcomeKind, SearchRefused, World
from tests.builders import (
    DUEL,
    HOST,
    SLOT,
    a_book,
    a_condemned,
    a_condition,
    a_desire,
    a_fresh_tenure,
    a_listing,
    a_pause,
    a_reading,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    an_intent,
    an_offer,
    an_order,
    an_outcome,
    bad_pictures,
    conditions,
    decide,
    decision_for,
    good_pictures,
    healthy_world,
    record_after,
    with_policy,
)
from tests.unit.core.test_suspects import a_fleet, deployed, frozen

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

ROWS = (
    # --- well ---
    Row(
        sentence="a stream that viewers see is left alone",
        world=healthy_world(readings=good_pictures(1)), decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="the picture wins over a process manager that was never right before",
        world=a_world(a_record(a_tenure(conditions=conditions(running=GONE_PROCESS))),
                      readings=good_pictures(1)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="the picture wins over a marketplace that says exited",
        world=with_tenure(listed_as(healthy_world(), state=MarketState.STOPPED),
                          dead_since=ago(3000)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="two bad pictures are not three",
        world=healthy_world(readings=bad_pictures(2)), decision="wait", reason=Reason.HEALTHY,
    ),
    # --- vacant ---
    Row(
        sentence="a vacant slot with a fresh offer is rented for",
        world=vacant(), decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="old offers are not rented from",
        world=a_world(a_record(), offers={DUEL: a_book(an_offer(1), age_s=61)}),
        decision="wait", reason=Reason.OFFERS_STALE,
    ),
    Row(
        sentence="without a search there is no offer",
        world=a_world(a_record()), decision="wait", reason=Reason.OFFERS_STALE,
    ),
    Row(
        sentence="a quota that is spent is waited for, and said",
        world=a_world(a_record(), search_refused=SearchRefused(
            reason=Reason.SEARCH_QUOTA_SPENT, until=ahead(3600), error="no more today")),
        decision="wait", reason=Reason.SEARCH_QUOTA_SPENT, until=ahead(3600),
    ),
    Row(
        sentence="a quota that is back is asked again",
        world=a_world(a_record(), search_refused=SearchRefused(
            reason=Reason.SEARCH_QUOTA_SPENT, until=ago(1), error="no more today")),
        decision="wait", reason=Reason.OFFERS_STALE,
    ),
    Row(
        sentence="a refused search does not spoil offers that are fresh",
        world=vacant(search_refused=SearchRefused(
            reason=Reason.UNAUTHORIZED, until=None, error="no")),
        decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="a key that may not search is named",
        world=a_world(a_record(), search_refused=SearchRefused(
            reason=Reason.UNAUTHORIZED, until=None, error="no")),
        decision="wait", reason=Reason.UNAUTHORIZED,
    ),
    Row(
        sentence="a marketplace that answers no search is named",
        world=a_world(a_record(), search_refused=SearchRefused(
            reason=Reason.SEARCH_FAILS, until=None, error="no list")),
        decision="wait", reason=Reason.SEARCH_FAILS,
    ),
    Row(
        sentence="an empty account rents nothing",
        world=vacant(account=AccountSeen(spendable_dollars=0.0, at=ago(10))),
        decision="hold", reason=Reason.OUT_OF_CREDIT, wanted="rent",
    ),
    Row(
        sentence="a market without a display is searched again later",
        world=a_world(a_record(),
                      offers={DUEL: a_book(an_offer(1, gpu_display_active=False))}),
        decision="wait", reason=Reason.NO_SUITABLE_OFFER,
    ),
    Row(
        sentence="the pause after a fruitless search is kept",
        world=a_world(a_record(next_rent_at=ahead(20), rent_reason=Reason.NO_SUITABLE_OFFER),
                      offers={DUEL: a_book(an_offer(1))}),
        decision="wait", reason=Reason.NO_SUITABLE_OFFER, until=ahead(20),
    ),
    Row(
        sentence="a pause that the clock has left behind is over",
        world=a_world(a_record(next_rent_at=ahead(5000)), offers={DUEL: a_book(an_offer(1))}),
        decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="a lost race takes the next offer at once",
        world=refused(Reason.OFFER_GONE), decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="an empty account is not asked again at once",
        world=refused(Reason.OUT_OF_CREDIT), decision="wait", reason=Reason.OUT_OF_CREDIT,
    ),
    Row(
        sentence="a refused key is not tried again at once",
        world=refused(Reason.UNAUTHORIZED), decision="wait", reason=Reason.UNAUTHORIZED,
    ),
    Row(
        sentence="a marketplace that asks for patience gets it",
        world=refused(Reason.BACKING_OFF, retry_after_s=100.0),
        decision="wait", reason=Reason.BACKING_OFF, until=ahead(100),
    ),
    Row(
        sentence="no rental begins before the old one has heard of its end",
        world=vacant(condemned=(a_condemned(accepted_at=None),),
                     listing=a_listing(an_instance())),
        decision="wait", reason=Reason.CONDEMNED,
    ),
    Row(
        sentence="one rental that will not end does not keep the stream off air",
        world=vacant(condemned=(a_condemned(accepted_at=None, tries=3),)),
        decision="rent", reason=Reason.VACANT,
    ),
    # --- creates in doubt ---
    Row(
        sentence="a doubtful create is looked for before anything else",
        world=a_world(a_record(an_asked_tenure()), listing=a_listing(age_s=1),
                      intents=(RENT_INTENT,), offers={DUEL: a_book(an_offer(1))}),
        decision="wait", reason=Reason.CREATE_UNSETTLED,
    ),
    Row(
        sentence="a rental that carries the label of a lost answer is adopted",
        world=a_world(a_record(an_asked_tenure()), listing=a_listing(an_instance(), age_s=1),
                      intents=(RENT_INTENT,)),
        decision="adopt", reason=Reason.FOUND_BY_LABEL,
    ),
    Row(
        sentence="a create that no listing shows over the settle time is voided and rented anew",
        world=a_world(
            a_record(an_asked_tenure(requested_at=ago(200), acted_at=ago(150),
                                     missing_since=ago(100), missing_listed_at=ago(60))),
            listing=a_listing(age_s=1), intents=(RENT_INTENT,),
            offers={DUEL: a_book(an_offer(1))}),
        decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="a create with an id that never appears is destroyed all the same",
        world=a_world(
            a_record(a_fresh_tenure(rented_at=ago(200), requested_at=ago(200),
                                    missing_since=ago(100), missing_listed_at=ago(60))),
            listing=a_listing(age_s=1)),
        decision="destroy", reason=Reason.CREATE_NEVER_APPEARED,
    ),
    # --- boot ---
    Row(
        sentence="a booting host is waited for until its deadline",
        world=booting(), decision="wait", reason=Reason.BOOTING, until=ahead(800),
    ),
    Row(
        sentence="a machine that started late gets time to answer",
        world=booting(requested_at=ago(900), rented_at=ago(900), booting_since=ago(900),
                      running_at=ago(60)),
        decision="wait", reason=Reason.BOOTING, until=ahead(240),
    ),
    Row(
        sentence="a boot that ended while keeper was away has time to show it",
        world=replace(booting(requested_at=ago(2000), rented_at=ago(2000),
                              booting_since=ago(2000)), started_at=ago(10)),
        decision="wait", reason=Reason.BOOTING, until=ahead(290),
    ),
    Row(
        sentence="a boot that never ends is given up",
        world=booting(requested_at=ago(901), rented_at=ago(901), booting_since=ago(901)),
        decision="destroy", reason=Reason.BOOT_STUCK,
    ),
    Row(
        sentence="a container that cannot start is given up after some agreement",
        world=listed_as(booting(dead_since=ago(36)), has_daemon_error=True),
        decision="destroy", reason=Reason.BOOT_FAILED,
    ),
    Row(
        sentence="one listing with a daemon error is not agreement",
        world=listed_as(booting(), has_daemon_error=True),
        decision="wait", reason=Reason.BOOTING, until=ahead(800),
    ),
    Row(
        sentence="one listing with a price above the limit is only noted",
        world=listed_as(booting(), dollars_per_hour=2.6),
        decision="wait", reason=Reason.BOOTING, until=ahead(800),
    ),
    Row(
        sentence="a contract that costs more than the limit is given back before its first picture",
        world=listed_as(booting(dear_since=ago(36)), dollars_per_hour=2.6),
        decision="destroy", reason=Reason.PRICE_DRIFT,
    ),
    Row(
        sentence="a contract that costs much more than its own offer is given back too",
        world=listed_as(booting(dear_since=ago(36), offered_dollars_per_hour=0.4),
                        dollars_per_hour=0.51),
        decision="destroy", reason=Reason.PRICE_DRIFT,
    ),
    Row(
        sentence="a contract within the drift that is tolerated is kept",
        world=listed_as(booting(dear_since=ago(36), offered_dollars_per_hour=0.4),
                        dollars_per_hour=0.50),
        decision="wait", reason=Reason.BOOTING, until=ahead(800),
    ),
    Row(
        sentence="a serving host whose price rises above the stream's limit hands over",
        world=with_terms(listed_as(healthy_world(), dollars_per_hour=2.6), dear_since=ago(36)),
        desired=DEAR, decision="rent", reason=Reason.PRICE_DRIFT,
    ),
    Row(
        sentence="a serving host whose price rises within the stream's limit serves on",
        world=with_terms(listed_as(healthy_world(), dollars_per_hour=1.9), dear_since=ago(36),
                         offered_dollars_per_hour=0.4),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="one so dear that its successor does not fit the budget beside it is given up first",
        world=with_terms(listed_as(healthy_world(), dollars_per_hour=4.8), dear_since=ago(906)),
        decision="destroy", reason=Reason.PRICE_DRIFT,
    ),
    Row(
        sentence="but not before a person had a quarter of an hour to make room for both",
        world=with_terms(listed_as(healthy_world(), dollars_per_hour=4.8), dear_since=ago(895)),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    Row(
        sentence="nothing is given up for its price while nothing else suits",
        world=replace(with_terms(listed_as(healthy_world(), dollars_per_hour=4.8),
                                 dear_since=ago(906)), offers={DUEL: a_book()}),
        decision="wait", reason=Reason.NO_SUITABLE_OFFER,
    ),
    # --- the contract's end ---
    Row(
        sentence="a contract that ends in two hours is handed over while it serves",
        world=with_terms(listed_as(healthy_world(), ends_at=ahead(7200)), ending_since=ago(36),
                         rented_at=ago(86_400)),
        decision="rent", reason=Reason.CONTRACT_ENDING,
    ),
    Row(
        sentence="one listing with a near end moves nothing",
        world=with_terms(listed_as(healthy_world(), ends_at=ahead(7200)), rented_at=ago(86_400)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="a contract that was extended serves on",
        world=with_terms(listed_as(healthy_world(), ends_at=ahead(86_400)), ending_since=ago(36),
                         rented_at=ago(86_400)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="a short contract is not handed over as soon as it serves",
        world=with_terms(listed_as(healthy_world(), ends_at=ahead(7200)), ending_since=ago(36),
                         rented_at=ago(3600)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="an end before the beginning says nothing",
        world=with_terms(listed_as(healthy_world(), ends_at=ago(90_000)), ending_since=ago(36),
                         rented_at=ago(86_400)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="an ending contract whose host is dark is repaired like any other",
        world=with_tenure(listed_as(dark(), ends_at=ahead(7200)), ending_since=ago(36),
                          rented_at=ago(86_400)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    # --- bids ---
    Row(
        sentence="a bid that was beaten a moment ago is waited for",
        world=outbid(stopped_for_s=10),
        decision="wait", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a bid that was beaten is raised",
        world=outbid(), decision="rebid", reason=Reason.OUTBID,
    ),
    Row(
        sentence="both pictures of an outbid are understood",
        world=listed_as(outbid(), is_meant_to_run=True),
        decision="rebid", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a floor above the price limit ends the bidding",
        world=listed_as(outbid(), min_bid_dollars_per_hour=1.99),
        decision="destroy", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a floor that is not told ends the bidding",
        world=listed_as(outbid(), min_bid_dollars_per_hour=0.0),
        decision="destroy", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a host is bid for only so often",
        world=outbid(rebids=3, stopped_for_s=130), decision="destroy", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a raised bid that does not lift a host ends the bidding",
        world=outbid(rebids=1, stopped_for_s=130, bid_dollars_per_hour=0.5),
        decision="destroy", reason=Reason.OUTBID,
    ),
    Row(
        sentence="but one that may never have arrived is sent once more",
        world=outbid(rebids=1, stopped_for_s=130, bid_dollars_per_hour=0.5, is_bid_unsure=True),
        decision="rebid", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a raised bid is given time to start the container",
        world=outbid(rebids=1, stopped_for_s=60), decision="wait", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a bid that the budget does not allow gives the host up",
        world=outbid(), desired=a_desire(a_stream(spend_max_dollars_per_hour=0.42)),
        decision="destroy", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a paused slot bids nothing",
        world=replace(outbid(), pause=a_pause()),
        decision="hold", reason=Reason.PAUSED, wanted="rebid",
    ),
    Row(
        sentence="an observed stream bids nothing",
        world=outbid(), desired=a_desire(a_stream(mode=Mode.OBSERVE)),
        decision="hold", reason=Reason.OBSERVE_ONLY, wanted="rebid",
    ),
    Row(
        sentence="nothing is bid while the marketplace cannot be read",
        world=replace(outbid(), unreadable_since=ago(1)),
        decision="hold", reason=Reason.MARKET_UNREADABLE, wanted="rebid",
    ),
    Row(
        sentence="an on-demand rental that stands still was not outbid",
        world=with_tenure(listed_as(outbid(), is_bid=False), is_bid=False),
        decision="destroy", reason=Reason.MARKET_STOPPED_IT,
    ),
    Row(
        sentence="a fresh host that a listing does not show yet is not gone",
        world=replace(booting(listed_at=None), listing=a_listing(age_s=1)),
        decision="wait", reason=Reason.BOOTING, until=ahead(800),
    ),
    # --- deploy ---
    Row(
        sentence="an empty host that answers gets the workload",
        world=booted(), decision="deploy", reason=Reason.NOT_DEPLOYED,
    ),
    Row(
        sentence="an empty host that has lost its link is waited for",
        world=booted(conditions=conditions(deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
                                           reachable=LOST_LINK, running=UNSEEN,
                                           streaming=UNSEEN)),
        decision="wait", reason=Reason.NOT_DEPLOYED,
    ),
    Row(
        sentence="a deploy that failed is tried again after a pause",
        world=booted(deploy_failures=1, acted_at=ago(4)),
        decision="wait", reason=Reason.BACKING_OFF, until=ahead(6),
    ),
    Row(
        sentence="a deploy whose answer was lost is looked at before it is repeated",
        world=booted(deploy_failures=1, acted_at=ago(40), deploy_unsure_at=ago(40)),
        decision="wait", reason=Reason.DEPLOY_UNSETTLED, until=ahead(260),
    ),
    Row(
        sentence="a host on which the workload will not go is given up",
        world=booted(deploy_failures=2, acted_at=ago(4)),
        decision="destroy", reason=Reason.DEPLOY_FAILED,
    ),
    # --- warm-up ---
    Row(
        sentence="a workload that warms up is left alone",
        world=warming(), decision="wait", reason=Reason.WARMING_UP, until=ahead(240),
    ),
    Row(
        sentence="bad pictures while warming up are no reason to act",
        world=warming(streaming=FROZEN), decision="wait", reason=Reason.WARMING_UP,
        until=ahead(240),
    ),
    Row(
        sentence="a process that says it is starting has the longest grace",
        world=warming(700, running=(Status.UNKNOWN, Reason.PROCESS_STARTING)),
        decision="wait", reason=Reason.WARMING_UP, until=ahead(500),
    ),
    Row(
        sentence="a process that is gone is no warm-up",
        world=warming(running=GONE_PROCESS), decision="restart", reason=Reason.PROCESS_GONE,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a host that never shows a picture climbs the ladder",
        world=warming(301, running=(Status.TRUE, Reason.PROCESS_UP), streaming=FROZEN),
        decision="restart", reason=Reason.NO_PICTURE_EVER, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a second warm-up on the same host may take twice the first",
        world=with_tenure(warming(100, streaming=FROZEN), warmup_s=40.0,
                          first_live_at=ago(9000)),
        decision="restart", reason=Reason.NO_PICTURE_EVER, rung=Rung.RESTART_PROCESS,
    ),
    # --- not knowing ---
    Row(
        sentence="when nobody can look nobody acts",
        world=a_world(a_record(a_tenure(conditions=conditions(
            reachable=LOST_LINK, running=UNSEEN, streaming=(Status.UNKNOWN, Reason.SILENT))))),
        decision="wait", reason=Reason.UNKNOWN_IS_NOT_UNHEALTHY,
    ),
    Row(
        sentence="a host that refuses us while nobody sees the picture is waited for",
        world=a_world(a_record(a_tenure(conditions=conditions(
            reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED,
                                  for_s=100, bad=3),
            running=UNSEEN, streaming=(Status.UNKNOWN, Reason.SILENT))))),
        decision="wait", reason=Reason.UNKNOWN_IS_NOT_UNHEALTHY, until=ahead(200),
    ),
    Row(
        sentence="a host that refuses us for too long is replaced",
        world=a_world(a_record(a_tenure(conditions=conditions(
            reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED,
                                  for_s=301, bad=3),
            running=UNSEEN, streaming=(Status.UNKNOWN, Reason.SILENT))))),
        decision="destroy", reason=Reason.UNREACHABLE_TOO_LONG,
    ),
    Row(
        sentence="a keeper that has just started dials some times before it gives a host up",
        world=replace(a_world(a_record(a_tenure(conditions=conditions(
            reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED,
                                  for_s=301, bad=3),
            running=UNSEEN, streaming=(Status.UNKNOWN, Reason.SILENT))))), started_at=ago(10)),
        decision="wait", reason=Reason.UNKNOWN_IS_NOT_UNHEALTHY, until=ahead(35),
    ),
    Row(
        sentence="what an earlier process believed is looked at again first",
        world=replace(dark(), started_at=ago(5), heard_at={}),
        decision="wait", reason=Reason.STARTING_UP,
    ),
    # --- the ladder ---
    Row(
        sentence="three bad pictures restart the process",
        world=healthy_world(readings=bad_pictures(3)), decision="restart", reason=Reason.FROZEN,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a process that was seen alive and now is gone needs no third opinion",
        world=healthy_world(readings=(a_reading(Subject.PROCESS, Status.FALSE,
                                                Reason.PROCESS_GONE, is_certain=True),)),
        decision="restart", reason=Reason.PROCESS_GONE, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="somebody who stops the process on purpose is not fought",
        world=dark(running=(Status.FALSE, Reason.PROCESS_STOPPED_ON_PURPOSE)),
        decision="wait", reason=Reason.PROCESS_STOPPED_ON_PURPOSE,
    ),
    Row(
        sentence="two supervisors do not fight",
        world=dark(running=(Status.UNKNOWN, Reason.MANAGER_RETRYING)),
        decision="wait", reason=Reason.INNER_SUPERVISOR_AT_WORK, until=ahead(120),
    ),
    Row(
        sentence="an inner supervisor that does not succeed is no excuse for ever",
        world=dark_for(200, running=(Status.UNKNOWN, Reason.MANAGER_RETRYING)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="an inner supervisor that has given up is helped at once",
        world=dark(running=(Status.FALSE, Reason.MANAGER_GAVE_UP)),
        decision="restart", reason=Reason.MANAGER_GAVE_UP, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="after a restart the old evidence is spent",
        world=with_tenure(dark(streaming=a_condition(
            ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=60, bad=1)),
            acted_at=ago(30)),
        decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE, until=ahead(150),
    ),
    Row(
        sentence="a picture that comes and goes does not keep the ladder waiting for ever",
        world=with_tenure(dark_for(300, streaming=a_condition(
            ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=300, bad=1)),
            acted_at=ago(200)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="restarts keep their distance",
        world=with_tenure(with_record(dark(), remedies=used((Rung.RESTART_PROCESS, 6))),
                          acted_at=ago(6)),
        decision="wait", reason=Reason.BACKING_OFF, until=ahead(9),
    ),
    Row(
        sentence="a crash loop is restarted once",
        world=with_tenure(dark(running=(Status.FALSE, Reason.CRASH_LOOP)),
                          process_changed_at=(ago(90), ago(60), ago(30))),
        decision="restart", reason=Reason.CRASH_LOOP, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a crash loop that goes on after a restart needs the next rung",
        world=with_record(with_tenure(dark(running=(Status.FALSE, Reason.CRASH_LOOP)),
                                      process_changed_at=(ago(90), ago(60), ago(30))),
                          remedies=used((Rung.RESTART_PROCESS, 100))),
        decision="restart", reason=Reason.CRASH_LOOP, rung=Rung.RESTART_WORKLOAD,
    ),
    Row(
        sentence="a full disk is not cured by another start",
        world=dark(has_room=(Status.FALSE, Reason.DISK_FULL)), decision="restart",
        reason=Reason.FROZEN, rung=Rung.RESTART_WORKLOAD,
    ),
    Row(
        sentence="a link that was lost a moment ago is awaited",
        world=dark(reachable=a_condition(ConditionKind.REACHABLE, Status.UNKNOWN,
                                         Reason.LINK_LOST, for_s=10)),
        decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE, until=ahead(35),
    ),
    Row(
        sentence="a dark host that SSH cannot reach is rebooted",
        world=dark(reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE,
                                         Reason.DIAL_REFUSED, for_s=40, bad=3)),
        decision="reboot", reason=Reason.FROZEN,
    ),
    Row(
        sentence="where nobody is reached at all, this box's own network has time to be found out",
        world=dark(streaming=NOBODY, reachable=refused_for(89)),
        decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE, until=ahead(1),
    ),
    Row(
        sentence="a host that neither SSH nor the viewer reaches is rebooted after a minute and a half",
        world=dark(streaming=NOBODY, reachable=refused_for(90)),
        decision="reboot", reason=Reason.UNREACHABLE,
    ),
    Row(
        sentence="where the viewer finds nobody and the host is silent, too, it may be this box",
        world=not_heard_for(26, NOBODY_YET),
        decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE, until=ahead(85),
    ),
    Row(
        sentence="a host that was heard since the viewer found nobody is restarted",
        world=not_heard_for(24, NOBODY_YET), decision="restart", reason=Reason.UNREACHABLE,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="it is restarted where its process is gone, whoever is cut off",
        world=not_heard_for(26, NOBODY_YET, running=GONE_PROCESS),
        decision="restart", reason=Reason.PROCESS_GONE, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a host that is silent for a minute and a half, while its link holds, is restarted",
        world=not_heard_for(300, NOBODY), decision="restart", reason=Reason.UNREACHABLE,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="the last rung is the host itself",
        world=spent(), decision="destroy", reason=Reason.LADDER_SPENT,
    ),
    Row(
        sentence="a host is not replaced before the viewers have waited long enough",
        world=with_record(dark_for(100), remedies=SPENT),
        decision="wait", reason=Reason.LADDER_SPENT, until=ahead(80),
    ),
    Row(
        sentence="a dead GPU is not restarted",
        world=dark(has_gpu=(Status.FALSE, Reason.GPU_LOST)),
        decision="destroy", reason=Reason.GPU_LOST,
    ),
    Row(
        sentence="a GPU without a display is given back before its first picture",
        world=warming(has_gpu=(Status.FALSE, Reason.DISPLAY_LOST)),
        decision="destroy", reason=Reason.DISPLAY_LOST,
    ),
    Row(
        sentence="a host that shows another key is not touched",
        world=dark(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED)),
        decision="hold", reason=Reason.HOST_KEY_CHANGED, wanted="repair", until=ahead(120),
    ),
    Row(
        sentence="a host that shows another key and stays dark is replaced",
        world=dark_for(181, reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED)),
        decision="destroy", reason=Reason.HOST_KEY_CHANGED,
    ),
    Row(
        sentence="a host that shows another key is handed over before its contract ends",
        world=with_terms(listed_as(healthy_world(), ends_at=ahead(7200)), ending_since=ago(36),
                         rented_at=ago(86_400),
                         conditions=conditions(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))),
        decision="rent", reason=Reason.CONTRACT_ENDING,
    ),
    Row(
        sentence="a person hears of another host key even while the picture is fine",
        world=a_world(a_record(a_tenure(conditions=conditions(
            reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))))),
        decision="hold", reason=Reason.HOST_KEY_CHANGED, wanted="watch",
    ),
    Row(
        sentence="nor is it given up where no list has said since whether it has moved",
        world=elsewhere(listed_s=200), decision="hold", reason=Reason.HOST_KEY_CHANGED,
        wanted="repair", until=ahead(10),
    ),
    Row(
        sentence="nor before the viewer has looked where it is now",
        world=elsewhere(listed_s=15), decision="hold", reason=Reason.HOST_KEY_CHANGED,
        wanted="repair", until=ahead(10),
    ),
    Row(
        sentence="nor when he sees something there",
        world=elsewhere(listed_s=60, good=1), decision="hold", reason=Reason.HOST_KEY_CHANGED,
        wanted="repair", until=ahead(10),
    ),
    Row(
        sentence="when he finds nobody there either, it is",
        world=elsewhere(listed_s=60), decision="destroy", reason=Reason.HOST_KEY_CHANGED,
    ),
    Row(
        sentence="nor is it given up for a deploy in doubt whose picture viewers see",
        world=a_world(a_record(a_tenure(deployed_at=None, conditions=conditions(
            deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
            reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.HOST_KEY_CHANGED))))),
        decision="hold", reason=Reason.HOST_KEY_CHANGED, wanted="watch",
    ),
    Row(
        sentence="one on which nothing is deployed yet, and that nobody sees, is given up",
        world=a_world(a_record(a_tenure(deployed_at=None, conditions=conditions(
            deployed=(Status.FALSE, Reason.NOT_DEPLOYED), streaming=UNSEEN,
            reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.HOST_KEY_CHANGED))))),
        decision="destroy", reason=Reason.HOST_KEY_CHANGED,
    ),
    # --- the marketplace's word ---
    Row(
        sentence="one absence is a question",
        world=missing(1), decision="wait", reason=Reason.MISSING_FROM_LIST,
    ),
    Row(
        sentence="two absences without an answer by id are still a question",
        world=missing(2), decision="wait", reason=Reason.MISSING_FROM_LIST,
    ),
    Row(
        sentence="two absences and nothing by id free the slot",
        world=replace(missing(2), shown={HOST: None}),
        decision="wait", reason=Reason.OFFERS_STALE,
    ),
    Row(
        sentence="a rental that the answer by id still knows is not missing",
        world=replace(missing(2), shown={HOST: an_instance()}),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a host that was good may be offline for a while",
        world=with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.OFFLINE),
                          dead_since=ago(105)),
        decision="wait", reason=Reason.MARKET_SAYS_DEAD, until=ahead(195),
    ),
    Row(
        sentence="a host that stays offline is replaced",
        world=with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.OFFLINE),
                          dead_since=ago(306)),
        decision="destroy", reason=Reason.MARKET_SAYS_DEAD,
    ),
    Row(
        sentence="a rental that the marketplace stops is replaced",
        world=with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.STOPPED,
                                    is_meant_to_run=False), dead_since=ago(40)),
        decision="destroy", reason=Reason.MARKET_STOPPED_IT,
    ),
    Row(
        sentence="one that its dead man stopped while there was no keeper is replaced",
        world=replace(with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.STOPPED,
                                            is_meant_to_run=False), dead_since=ago(40),
                                  is_guarded=True), heard_at={}),
        decision="destroy", reason=Reason.DEAD_MAN_STOPPED,
    ),
    Row(
        sentence="one that was heard until it stopped was not stopped by its dead man",
        world=with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.STOPPED,
                                    is_meant_to_run=False), dead_since=ago(40), is_guarded=True),
        desired=a_desire(with_policy(a_stream(), dead_man_after_s=1800.0)),
        decision="destroy", reason=Reason.MARKET_STOPPED_IT,
    ),
    Row(
        sentence="exited while SSH works is repaired over SSH",
        world=with_tenure(listed_as(dark(), state=MarketState.STOPPED), dead_since=ago(40)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    # --- one thing at a time ---
    Row(
        sentence="an act under way is not doubled",
        world=replace(spent(), in_flight=frozenset({SLOT})),
        decision="wait", reason=Reason.ACT_IN_FLIGHT,
    ),
    Row(
        sentence="a slot that keeper has a bug with is left alone",
        world=replace(spent(), held_slots=frozenset({SLOT})),
        decision="hold", reason=Reason.SLOT_HELD_BY_BUG, wanted="watch",
    ),
    # --- fuses ---
    Row(
        sentence="a paused fleet is not touched",
        world=replace(dark(), pause=a_pause(until_s=300)),
        decision="hold", reason=Reason.PAUSED, wanted="restart", until=ahead(300),
    ),
    Row(
        sentence="a pause that has ended is none",
        world=replace(dark(), pause=a_pause(until_s=-1)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a paused slot is not touched",
        world=replace(dark(), slot_pauses={SLOT: a_pause()}),
        decision="hold", reason=Reason.PAUSED, wanted="restart",
    ),
    Row(
        sentence="a stream that is only observed is not touched",
        world=dark(), desired=a_desire(a_stream(mode=Mode.OBSERVE)),
        decision="hold", reason=Reason.OBSERVE_ONLY, wanted="restart",
    ),
    Row(
        sentence="a keeper without the lease only watches",
        world=replace(dark(), is_leader=False),
        decision="hold", reason=Reason.NOT_LEADER, wanted="restart",
    ),
    Row(
        sentence="a stream that suggests says what it would do",
        world=dark(), desired=a_desire(a_stream(mode=Mode.SUGGEST)),
        decision="hold", reason=Reason.SUGGEST_ONLY, wanted="restart",
    ),
    Row(
        sentence="a keeper that stops begins nothing",
        world=replace(dark(), is_stopping=True),
        decision="hold", reason=Reason.STOPPING, wanted="restart",
    ),
    Row(
        sentence="a box whose own network fails trusts nothing it sees",
        world=replace(dark(), own_network=Status.FALSE),
        decision="wait", reason=Reason.UNKNOWN_IS_NOT_UNHEALTHY,
    ),
    Row(
        sentence="a box whose own network fails rents nothing",
        world=replace(vacant(), own_network=Status.FALSE),
        decision="hold", reason=Reason.OWN_NETWORK_DOWN, wanted="rent",
    ),
    Row(
        sentence="two sick slots of two suspect the observer",
        world=two_sick()[0], desired=two_sick()[1],
        decision="hold", reason=Reason.MASS_FAILURE, wanted="restart",
    ),
    Row(
        sentence="one fault on two hosts of many suspects a common cause",
        world=two_alike()[0], desired=two_alike()[1],
        decision="hold", reason=Reason.COMMON_CAUSE, wanted="replace",
    ),
    Row(
        sentence="a revision that fails wherever it goes gets no other host",
        world=a_world(deployed(), offers={DUEL: a_book(an_offer(1))}),
        desired=a_desire(a_stream(revision="r2")),
        decision="hold", reason=Reason.BAD_DEPLOY, wanted="rent",
    ),
    Row(
        sentence="a changed workload is put on the host",
        world=rolling_out(), desired=a_desire(a_stream(revision="r2")),
        decision="deploy", reason=Reason.ROLLOUT,
    ),
    Row(
        sentence="a bad one is taken back where it went",
        world=rolling_back(), desired=a_desire(a_stream(revision="r2")),
        decision="deploy", reason=Reason.ROLLBACK,
    ),
    Row(
        sentence="a maintenance window holds what it does not allow, until it closes",
        world=replace(
            vacant(),
            windows=(
                Window(
                    name="works", since=ago(60), until=ahead(600), allow=Allowance.REPAIR
                ),
            ),
        ),
        decision="hold", reason=Reason.MAINTENANCE_WINDOW, wanted="rent", until=ahead(600),
    ),
    Row(
        sentence="a host that has served its time is followed by another",
        world=a_world(a_record(a_tenure()), offers={DUEL: a_book(an_offer(20))}),
        desired=a_desire(a_stream(recycle_after_s=3000.0)),
        decision="rent", reason=Reason.RECYCLE,
    ),
    Row(
        sentence="nothing is rented before the first listing",
        world=replace(vacant(), listing=None),
        decision="hold", reason=Reason.STARTING_UP, wanted="rent",
    ),
    Row(
        sentence="a listing of before the start does not count",
        world=replace(vacant(), started_at=ago(2)),
        decision="hold", reason=Reason.STARTING_UP, wanted="rent",
    ),
    Row(
        sentence="nothing is rented while the marketplace cannot be read",
        world=replace(vacant(), unreadable_since=ago(1), unreadable_error="502"),
        decision="hold", reason=Reason.MARKET_UNREADABLE, wanted="rent",
    ),
    Row(
        sentence="a listing that is too old is no listing",
        world=replace(vacant(), listing=a_listing(age_s=181)),
        decision="hold", reason=Reason.MARKET_UNREADABLE, wanted="rent",
    ),
    Row(
        sentence="SSH acts do not need the marketplace",
        world=replace(dark(), unreadable_since=ago(1)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="no host is given up while the marketplace cannot be read",
        world=replace(spent(), unreadable_since=ago(1)),
        decision="hold", reason=Reason.MARKET_UNREADABLE, wanted="replace",
    ),
    Row(
        sentence="a stream's spending limit is kept",
        world=vacant(), desired=a_desire(a_stream(spend_max_dollars_per_hour=0.40)),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    Row(
        sentence="the fleet's spending limit is kept",
        world=vacant(), desired=a_desire(a_stream(), spend_max_dollars_per_hour=0.40),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    Row(
        sentence="dollars that bought no picture end the renting until a person has looked",
        world=vacant(meter=Meter(metered_at=ago(0), dark={SLOT: Dark(dollars=5.01)})),
        decision="hold", reason=Reason.DARK_SPEND, wanted="rent",
    ),
    Row(
        sentence="a condemned rental still counts as spending",
        world=vacant(condemned=(a_condemned(dollars_per_hour=4.8),)),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    Row(
        sentence="a used-up allowance keeps the last host and asks for a person",
        world=with_record(spent(), replaced_at=tuple(ago(s) for s in (900, 800, 700, 600, 500))),
        decision="hold", reason=Reason.REPLACEMENTS_SPENT, wanted="replace",
        until=ahead(21_600 - 900),
    ),
    Row(
        sentence="two replacements keep their distance",
        world=with_record(spent(), replaced_at=(ago(100),)),
        decision="hold", reason=Reason.REPLACEMENT_TOO_SOON, wanted="replace", until=ahead(20),
    ),
    Row(
        sentence="the fifth replacement is still rented for",
        world=vacated(5), decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="hosts that fail one after the other end in a call for a person",
        world=vacated(6), decision="hold", reason=Reason.REPLACEMENTS_SPENT, wanted="rent",
        until=ahead(21_600 - 3800),
    ),
    Row(
        sentence="failed boots do not follow each other too fast",
        world=with_record(vacated(2), replaced_at=(ago(100), ago(1))),
        decision="hold", reason=Reason.REPLACEMENT_TOO_SOON, wanted="rent", until=ahead(20),
    ),
    Row(
        sentence="only so many slots are between two hosts at once",
        world=spent(),
        desired=a_desire(a_stream(), replacements_in_flight_max=0),
        decision="hold", reason=Reason.TOO_MANY_REPLACEMENTS_IN_FLIGHT, wanted="replace",
    ),
    Row(
        sentence="one slot of a stream hands over at a time",
        world=beside_a_handover(healthy_world(orders=(an_order(OrderKind.REPLACE),),
                                              offers={DUEL: a_book(an_offer(9))})),
        desired=a_desire(a_stream(replicas=2)),
        decision="hold", reason=Reason.ANOTHER_HANDS_OVER, wanted="rent",
    ),
    # --- orders ---
    Row(
        sentence="an operator's restart is done at once",
        world=healthy_world(orders=(an_order(OrderKind.RESTART),)),
        decision="restart", reason=Reason.OPERATOR_ASKED, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="an operator's restart is done while paused",
        world=healthy_world(orders=(an_order(OrderKind.RESTART),), pause=a_pause()),
        decision="restart", reason=Reason.OPERATOR_ASKED, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="an operator's destroy is done at once",
        world=healthy_world(orders=(an_order(OrderKind.DESTROY),),
                            slot_pauses={SLOT: a_pause()}),
        decision="destroy", reason=Reason.OPERATOR_ASKED,
    ),
    Row(
        sentence="a slot that was emptied on order stays empty",
        world=vacant(slot_pauses={SLOT: a_pause()}),
        decision="hold", reason=Reason.PAUSED, wanted="rent",
    ),
    Row(
        sentence="an ordered replacement of a good host is made before the old one is broken",
        world=healthy_world(orders=(an_order(OrderKind.REPLACE),),
                            offers={DUEL: a_book(an_offer(2))}),
        decision="rent", reason=Reason.HANDOVER,
    ),
    Row(
        sentence="an ordered replacement of a dark host breaks first",
        world=with_record(dark(running=(Status.UNKNOWN, Reason.MANAGER_RETRYING)),
                          replace_asked_at=ago(1)),
        decision="destroy", reason=Reason.OPERATOR_ASKED,
    ),
    # --- hand-over ---
    Row(
        sentence="a replacement proves itself for a while",
        world=handing_over(), decision="wait", reason=Reason.HANDOVER, until=ahead(800),
    ),
    Row(
        sentence="a replacement that has proven itself takes over",
        world=handing_over(conditions=conditions(), good_in_a_row=6),
        decision="destroy", reason=Reason.SUPERSEDED,
    ),
    Row(
        sentence="a replacement that is missing from the list takes nothing over yet",
        world=replace(handing_over(conditions=conditions(), good_in_a_row=6),
                      listing=a_listing(an_instance())),
        decision="wait", reason=Reason.MISSING_FROM_LIST,
    ),
    Row(
        sentence="a replacement that does not come up goes, and the old host stays",
        world=handing_over(booted_at=ago(901)), decision="destroy",
        reason=Reason.NO_PICTURE_EVER,
    ),
    # --- ends ---
    Row(
        sentence="the rentals of a removed stream end",
        world=healthy_world(), desired=a_desire(a_stream("other", replicas=0)),
        decision="destroy", reason=Reason.STREAM_REMOVED,
    ),
    Row(
        sentence="fewer replicas end what is too many",
        world=healthy_world(), desired=a_desire(a_stream(replicas=0)),
        decision="destroy", reason=Reason.STREAM_REMOVED,
    ),
    Row(
        sentence="fewer replicas end nothing where keeper only observes",
        world=healthy_world(), desired=a_desire(a_stream(replicas=0, mode=Mode.OBSERVE)),
        decision="hold", reason=Reason.OBSERVE_ONLY, wanted="replace",
    ),
    Row(
        sentence="nor where it only suggests",
        world=healthy_world(), desired=a_desire(a_stream(replicas=0, mode=Mode.SUGGEST)),
        decision="hold", reason=Reason.SUGGEST_ONLY, wanted="replace",
    ),
    Row(
        sentence="a removed stream is not touched while paused",
        world=healthy_world(pause=a_pause()), desired=a_desire(a_stream("other", replicas=0)),
        decision="hold", reason=Reason.PAUSED, wanted="replace",
    ),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_decides(row: Row) -> None:
    plan = decide(row.world, row.desired)
    decision = decision_for(plan)
    told = (decision.name, decision.reason)
    assert told == (row.decision, row.reason), plan.sentence()
    assert getattr(decision, "wanted", "") == row.wanted
    assert getattr(decision, "rung", None) == row.rung
    if row.until is not None:
        assert getattr(decision, "until", None) == row.until
        assert plan.next_check_at is not None
        assert plan.next_check_at <= max(row.until, ahead(1))
    if plan.next_check_at is not None:
        assert plan.next_check_at >= ahead(1)


# Given to readings and conditions, stated in facts, or said of rentals that no slot has any more;
# never the reason of a slot's decision. Each has its own test elsewhere in this folder.
NEVER_DECIDED = {
    Reason.LIVE, Reason.STATIC_BY_DESIGN, Reason.SLOW, Reason.LINK_UP, Reason.PROCESS_UP,
    Reason.NOT_ASKED, Reason.SILENT, Reason.LINK_LOST, Reason.DIAL_REFUSED, Reason.KEY_REFUSED,
    Reason.PROBE_FAILED, Reason.PROCESS_STARTING, Reason.MANAGER_RETRYING, Reason.DISK_FULL,
    Reason.PENDING, Reason.RUNNING, Reason.DEPLOYED, Reason.OFFER_GONE, Reason.GONE,
    Reason.STRAY_RENTAL, Reason.DUPLICATE_RENTAL, Reason.START_QUEUED,
}  # fmt: skip
# A bad picture's reason is passed on by the ladder as it is; one of them stands for all.
LIKE_FROZEN = {
    Reason.BLACK, Reason.NO_BYTES, Reason.CORRUPT, Reason.UNREACHABLE, Reason.HTTP_ERROR,
    Reason.MANAGER_DOWN,
}  # fmt: skip


# These have their own table in test_spares.py.
ABOUT_SPARES = {reason for reason in Reason if reason.value.startswith("spare_")}


def test_every_reason_that_can_be_decided_has_a_row() -> None:
    decided = {row.reason for row in ROWS}
    assert sorted(set(Reason) - decided - NEVER_DECIDED - LIKE_FROZEN - ABOUT_SPARES) == []
    assert sorted(decided & NEVER_DECIDED) == []


@pytest.mark.parametrize("reason", sorted(LIKE_FROZEN - {Reason.MANAGER_DOWN}))
def test_a_bad_picture_gives_the_restart_its_reason(reason: Reason) -> None:
    plan = decide(healthy_world(readings=bad_pictures(3, reason)))
    assert decision_for(plan).reason is reason


def test_a_host_that_is_given_up_for_its_price_is_not_said_to_have_been_rented() -> None:
    world = with_terms(listed_as(healthy_world(), dollars_per_hour=4.8), dear_since=ago(906))
    record = record_after(world, decide(world))
    assert record.tenure is None
    assert (record.last_act, record.last_act_reason) == ("destroy", Reason.PRICE_DRIFT)


def test_every_rule_says_why_in_a_sentence() -> None:
    from keeper.core.remedy import INCOMING_RULES, TENURE_RULES

    for rules in (TENURE_RULES, INCOMING_RULES):
        names = [rule.name for rule in rules]
        assert len(names) == len(set(names))
        for rule in rules:
            assert re.fullmatch(r"[A-Z].*\.", rule.why), rule.name
