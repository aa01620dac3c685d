"""The rare turns: what happens seldom is decided as carefully as what happens daily."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

import pytest
from typing_extensions import override

from keeper.core import events as facts_of
from keeper.core.conditions import status_of
from keeper.core.model import (
    ConditionKind,
    IntentKind,
    MachineId,
    MarketState,
    Mode,
    Offer,
    Reading,
    SlotId,
    Status,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.world import OfferBook, OutcomeKind, World
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
    a_quarantine,
    a_reading,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    all_heard,
    an_asked_tenure,
    an_instance,
    an_intent,
    an_offer,
    an_outcome,
    applied,
    bad_pictures,
    conditions,
    decide,
    decision_for,
    events_of,
    healthy_world,
    record_after,
    with_policy,
)

FROZEN = (Status.FALSE, Reason.FROZEN)
UNSEEN = (Status.UNKNOWN, Reason.NOT_ASKED)


# --- fuses ------------------------------------------------------------------------------------------


def test_a_fuse_is_told_when_it_trips_and_when_it_resets() -> None:
    world = healthy_world(pause=a_pause(until_s=100))
    plan = decide(world)
    assert plan.fuses == (Reason.PAUSED,)
    assert [event.reason for event in events_of(plan, facts_of.FuseTripped)] == [Reason.PAUSED]
    held = applied(world, plan)
    assert decide(held).events == ()
    resumed = replace(held, pause=None)
    assert [e.reason for e in events_of(decide(resumed), facts_of.FuseReset)] == [Reason.PAUSED]


def test_an_unreadable_marketplace_is_a_fuse_only_after_some_missed_listings() -> None:
    listing = a_listing(an_instance(), age_s=80)
    world = healthy_world(listing=listing, unreadable_since=ago(50), unreadable_error="502")
    assert decide(world).fuses == ()
    plan = decide(replace(world, listing=replace(listing, at=ago(91))))
    assert plan.fuses == (Reason.MARKET_UNREADABLE,)
    assert events_of(plan, facts_of.FuseTripped)[0].detail == "502"
    assert decide(replace(world, listing=None)).fuses == (Reason.MARKET_UNREADABLE,)


def test_many_sick_slots_are_named() -> None:
    records = [
        a_record(
            a_tenure(
                instance_id=HOST + n, label=f"keeper:k1:duel/{n}:1",
                conditions=conditions(streaming=FROZEN),
            ),
            slot=SlotId(f"duel/{n}"), dark_since=ago(60),
        )
        for n in range(3)
    ]  # fmt: skip
    plan = decide(a_world(*records), a_desire(a_stream(replicas=10)))
    assert plan.fuses == (Reason.MASS_FAILURE,)
    detail = events_of(plan, facts_of.FuseTripped)[0].detail
    assert detail == "3 of 10 slots are sick: duel/0, duel/1, duel/2"
    two = decide(a_world(*records[:2]), a_desire(a_stream(replicas=10)))
    assert two.fuses == ()


@pytest.mark.parametrize(
    ("tenure", "is_sick"),
    [
        (a_tenure(conditions=conditions(streaming=UNSEEN)), False),
        (a_tenure(conditions=conditions(streaming=UNSEEN), dead_since=ago(9)), True),
        (a_tenure(conditions=conditions(streaming=UNSEEN,
                                        reachable=(Status.FALSE, Reason.DIAL_REFUSED))), True),
        (a_tenure(first_live_at=None), False),
        (None, False),
    ],
)  # fmt: skip
def test_a_slot_is_sick_by_evidence_on_a_host_that_was_good(tenure: object, is_sick: bool) -> None:
    """A slot that has given its host up is under repair, and does not stop another's repair."""
    dark = a_record(
        a_tenure(instance_id=HOST + 1, label="keeper:k1:duel/1:1",
                 conditions=conditions(streaming=FROZEN)),
        slot=SlotId("duel/1"), dark_since=ago(60),
    )  # fmt: skip
    other = a_record(tenure, ever_on_air=True, attempt=1)  # type: ignore[arg-type]
    world = a_world(other, dark)
    if tenure is not None and getattr(tenure, "dead_since", None):
        assert world.listing is not None
        first, second = world.listing.instances
        offline = replace(first, state=MarketState.OFFLINE)
        world = replace(world, listing=a_listing(offline, second))
    plan = decide(world, a_desire(a_stream(replicas=2)))
    assert (Reason.MASS_FAILURE in plan.fuses) is is_sick


def test_no_more_than_some_slots_are_between_two_hosts() -> None:
    booting = [
        a_record(
            a_fresh_tenure(instance_id=HOST + n, label=f"keeper:k1:duel/{n}:1", listed_at=ago(9)),
            slot=SlotId(f"duel/{n}"), ever_on_air=True,
        )
        for n in range(1, 4)
    ]  # fmt: skip
    vacant = a_record(ever_on_air=True, attempt=1, replaced_at=(ago(500),))
    world = a_world(vacant, *booting, offers={DUEL: a_book(an_offer(9))})
    desired = a_desire(a_stream(replicas=4))
    assert decision_for(decide(world, desired)).reason is Reason.TOO_MANY_REPLACEMENTS_IN_FLIGHT
    first_rental = replace(vacant, ever_on_air=False, replaced_at=())
    world = replace(world, records={**world.records, SLOT: first_rental})
    assert decision_for(decide(world, desired)).name == "rent"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("duel/1", ("hold", Reason.ANOTHER_HANDS_OVER)),
        ("turbo/0", ("rent", Reason.HANDOVER)),
    ],
)
def test_one_slot_of_a_stream_hands_over_at_a_time(other: str, said: tuple[str, Reason]) -> None:
    """Two had one host more each, and the stream two more than declared (I5)."""
    asked = a_record(a_tenure(), replace_asked_at=ago(5))
    between = a_record(
        a_tenure(instance_id=HOST + 1, label=f"keeper:k1:{other}:1"),
        slot=SlotId(other),
        incoming=a_fresh_tenure(
            instance_id=HOST + 2, label=f"keeper:k1:{other}:2", listed_at=ago(9)
        ),
    )
    books = {DUEL: a_book(an_offer(9))}
    desired = a_desire(a_stream(replicas=2), a_stream(name="turbo"))
    plan = decide(a_world(asked, between, offers=books), desired)
    assert (decision_for(plan).name, decision_for(plan).reason) == said


def test_an_allowance_of_none_is_never_used() -> None:
    stream = with_policy(a_stream(), replacements_max=0)
    vacated = a_record(ever_on_air=True, attempt=1, replaced_at=(ago(500),))
    world = a_world(vacated, offers={DUEL: a_book(an_offer(1))})
    decision = decision_for(decide(world, a_desire(stream)))
    assert decision.reason is Reason.REPLACEMENTS_SPENT
    assert decision.until == ahead(21_600 - 500)  # type: ignore[union-attr]


def test_a_replacement_counts_from_when_it_is_rented_however_long_that_took() -> None:
    """One that waited for offers for longer than the window let a sixth one through."""
    vacated = a_record(ever_on_air=True, attempt=1, replaced_at=(ago(2000), ago(500)))
    world = a_world(vacated, offers={DUEL: a_book(an_offer(1))})
    plan = decide(world)
    assert decision_for(plan).name == "rent"
    assert record_after(world, plan).replaced_at == (ago(2000), ago(0))
    first = a_record(ever_on_air=False)
    world = a_world(first, offers={DUEL: a_book(an_offer(1))})
    assert record_after(world, decide(world)).replaced_at == ()


# --- machines ---------------------------------------------------------------------------------------


def lost(machine_id: int = 201) -> World:
    unsure = conditions(streaming=(Status.UNKNOWN, Reason.SILENT))
    tenure = a_tenure(
        missing_since=ago(60), missing_listed_at=ago(20), conditions=unsure, machine_id=machine_id
    )
    return a_world(a_record(tenure), listing=a_listing(age_s=1), shown={HOST: None})


def test_a_machine_that_fails_again_is_avoided_for_longer() -> None:
    """Q25."""
    struck = [
        decide(replace(lost(), quarantine=known)).quarantine[0]
        for known in (
            {},
            {MachineId(201): a_quarantine(201, until=ago(5))},
            {MachineId(201): a_quarantine(201, strikes=9)},
        )
    ]
    assert [each.until for each in struck] == [ahead(21_600), ahead(86_400), ahead(604_800)]


def test_a_machine_that_was_never_told_is_not_struck() -> None:
    assert decide(lost(machine_id=0)).quarantine == ()


def test_a_machine_that_others_hold_is_not_struck_for_it() -> None:
    """After a higher bid it may wait for its turn for longer than a boot may take."""
    for rebids, strikes in ((0, 1), (1, 0)):
        tenure = a_fresh_tenure(
            rented_at=ago(901), requested_at=ago(901), booting_since=ago(901), listed_at=ago(890),
            is_bid=True, bid_dollars_per_hour=0.3, rebids=rebids,
        )  # fmt: skip
        row = an_instance(HOST, tenure.label, state=MarketState.PENDING, is_bid=True)
        plan = decide(a_world(a_record(tenure), listing=a_listing(row), heard_at={}))
        assert [each.reason for each in plan.condemned] == [Reason.BOOT_STUCK]
        assert len(plan.quarantine) == strikes


def test_strikes_are_forgotten_long_after_the_last_quarantine() -> None:
    kept = {
        MachineId(1): a_quarantine(1, until=ago(604_800)),
        MachineId(2): a_quarantine(2, until=ago(604_799)),
    }
    assert decide(healthy_world(quarantine=kept)).quarantine_forgotten == (1,)


# --- renting ----------------------------------------------------------------------------------------


def test_two_slots_do_not_want_the_same_offer() -> None:
    world = a_world(offers={DUEL: a_book(an_offer(1), an_offer(2))})
    plan = decide(world, a_desire(a_stream(replicas=2)))
    assert sorted(act.offer_id for act in plan.acts) == [101, 102]  # type: ignore[union-attr]
    alone = a_world(offers={DUEL: a_book(an_offer(1))})
    plan = decide(alone, a_desire(a_stream(replicas=2)))
    assert [act.slot for act in plan.acts] == [SLOT]


def test_a_fruitless_search_is_explained() -> None:
    world = a_world(a_record(), offers={DUEL: a_book(an_offer(1, reliability=0.5))})
    plan = decide(world)
    searched = events_of(plan, facts_of.OffersSearched)[0]
    assert (searched.found, searched.suitable) == (1, 0)
    assert "1 by reliability" in searched.detail
    after = record_after(world, plan)
    assert after.offer_misses == 1
    assert after.next_rent_at is not None
    assert plan.next_check_at == after.next_rent_at


class _Counted(tuple[Offer, ...]):
    """Offers that count how often somebody goes through them."""

    __slots__ = ()
    walks: ClassVar[int] = 0

    @override
    def __iter__(self) -> Iterator[Offer]:
        _Counted.walks += 1
        return super().__iter__()


def test_many_vacant_slots_of_a_stream_explain_one_shortage_once() -> None:
    """A thousand of them took three seconds, in which nothing else ran."""
    found: list[int] = []
    for replicas in (2, 20):
        _Counted.walks = 0
        book = OfferBook(offers=_Counted((an_offer(1, verified=False),)), at=ago(1))
        world = a_world(offers={DUEL: book})
        plan = decide(world, a_desire(a_stream(replicas=replicas)))
        assert len({record.rent_detail for record in plan.records}) == 1
        assert all("1 by verification" in record.rent_detail for record in plan.records)
        found.append(_Counted.walks)
    assert found[0] == found[1]


def test_a_rental_is_written_down_before_it_is_asked_for() -> None:
    world = a_world(a_record(attempt=6), offers={DUEL: a_book(an_offer(1))})
    plan = decide(world)
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert (tenure.label, tenure.attempt) == ("keeper:k1:duel/0:7", 7)
    assert [intent.label for intent in plan.intents_opened] == ["keeper:k1:duel/0:7"]
    assert plan.wants.listing_by is not None


@pytest.mark.parametrize(
    ("readings", "heard_at"),
    [
        (bad_pictures(1, Reason.UNREACHABLE), all_heard()),
        ((a_reading(Subject.LINK, Status.UNKNOWN, Reason.LINK_LOST),), all_heard()),
    ],
    ids=["the picture", "the link"],
)
def test_where_a_host_is_is_asked_for_as_soon_as_nobody_answers_there(
    readings: tuple[Reading, ...], heard_at: dict[Any, datetime]
) -> None:
    """Ports moved, the old address refused three looks, and a good process was restarted."""
    assert decide(healthy_world()).wants.listing_by is None
    plan = decide(healthy_world(readings=readings, heard_at=heard_at))
    assert plan.wants.listing_by is not None
    assert plan.acts == ()


def unanswered(*, linked_s: float = 50.0, dark_s: float = 130.0, **changes: Any) -> World:
    """Viewers have found nobody for a while; the link came back a moment ago."""
    said = conditions(
        streaming=a_condition(
            ConditionKind.STREAMING, Status.FALSE, Reason.UNREACHABLE, for_s=dark_s, bad=9
        ),
        reachable=a_condition(ConditionKind.REACHABLE, for_s=linked_s, good=1),
    )
    record = a_record(a_tenure(conditions=said), dark_since=ago(dark_s), ever_on_air=True)
    return a_world(record, **{"heard_at": all_heard(1.0)} | changes)


@pytest.mark.parametrize(
    ("asked_s", "came_s", "looked_s", "is_treated"),
    [
        (60.0, 60.0, 1.0, False),
        (50.0, 50.0, 1.0, False),
        (20.0, 20.0, 21.0, False),
        (20.0, 20.0, 16.0, False),
        (20.0, 20.0, 1.0, True),
        (20.0, 12.0, 7.0, False),
        (20.0, 12.0, 6.9, True),
    ],
    ids=["no list since", "one of the same moment", "no look since", "a look that had begun", "looked where it is",
         "looked while it was asked", "looked when it had come"],
)  # fmt: skip
def test_nobody_at_an_old_address_is_no_sickness(
    asked_s: float, came_s: float, looked_s: float, *, is_treated: bool
) -> None:
    """The marketplace could not be read while ports moved: a good host was rebooted for it.

    And a good process restarted for a look that fell into the reading of the list, or had begun.
    """
    listing = replace(a_listing(an_instance(), age_s=asked_s), came_at=ago(came_s))
    world = unanswered(listing=listing, heard_at=all_heard(looked_s))
    assert bool(decide(world).acts) is is_treated


@pytest.mark.parametrize(
    ("placed_s", "looked_s", "is_treated"),
    [(40.0, 1.0, True), (40.0, 35.0, False), (3.0, 1.0, False)],
)
def test_a_list_that_says_the_same_each_five_seconds_makes_no_look_too_early(
    placed_s: float, looked_s: float, *, is_treated: bool
) -> None:
    """Another slot had lists read each 5 s, no look was ever late enough, and a host stayed dark for hours."""
    listing = replace(
        a_listing(an_instance(), age_s=3.0), came_at=ago(3.0), placed_at=ago(placed_s)
    )
    world = unanswered(listing=listing, heard_at=all_heard(looked_s))
    assert bool(decide(world).acts) is is_treated


@pytest.mark.parametrize(("looked_s", "is_treated"), [(22.0, False), (20.0, False), (19.0, True)])
def test_a_look_that_was_made_while_everything_was_cut_off_says_nothing(
    looked_s: float, *, is_treated: bool
) -> None:
    """This box's own network was away for less than its canary needs, and a good process was restarted.

    Links came back, then a list that said what lists had said for hours; the viewer had not looked yet.
    """
    listing = replace(a_listing(an_instance(), age_s=3.0), came_at=ago(3.0), placed_at=ago(9000.0))
    looked = {key: at for key, at in all_heard(looked_s).items() if key[1] is Subject.PICTURE}
    world = unanswered(linked_s=20.0, listing=listing, heard_at=all_heard() | looked)
    assert bool(decide(world).acts) is is_treated


@pytest.mark.parametrize(
    ("linked_s", "dark_s", "until_s"),
    [
        (35.0, 5.0, 115.0),
        (65.0, 5.0, 115.0),
        (149.0, 119.0, 1.0),
        (150.0, 120.0, None),
        (66.0, 5.0, None),
    ],
    ids=[
        "dark a moment ago",
        "a minute after its link",
        "lists may lag so far",
        "no list does",
        "its link was not cut",
    ],
)
def test_a_list_may_be_an_old_one_that_is_told_again(
    linked_s: float, dark_s: float, until_s: float | None
) -> None:
    """Ports moved, lists told where they had been for 40 s more, and a good process was restarted."""
    listing = replace(a_listing(an_instance(), age_s=3.0), came_at=ago(3.0), placed_at=ago(9000.0))
    plan = decide(unanswered(linked_s=linked_s, dark_s=dark_s, listing=listing))
    if until_s is None:
        assert decision_for(plan).name == "restart"
    else:
        assert decision_for(plan).reason is Reason.UNKNOWN_IS_NOT_UNHEALTHY
        assert decision_for(plan).until == ahead(until_s)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "is_treated"),
    [
        ({"booted_at": ago(35)}, True),
        ({"booted_at": ago(36)}, False),
        ({"booted_at": ago(35), "booting_since": ago(100)}, False),
    ],
    ids=["its first link", "a later one", "the first one since a reboot"],
)
def test_the_first_link_of_a_host_was_never_cut(
    changes: dict[str, Any], *, is_treated: bool
) -> None:
    """A new host fell dark in its first minute, and its hung process was left alone for two."""
    listing = replace(a_listing(an_instance(), age_s=3.0), came_at=ago(3.0), placed_at=ago(9000.0))
    world = unanswered(linked_s=35.0, dark_s=5.0, listing=listing)
    record = world.records[SLOT]
    assert record.tenure is not None
    record = replace(record, tenure=replace(record.tenure, **changes))
    assert bool(decide(replace(world, records={SLOT: record})).acts) is is_treated


def test_for_a_list_that_cannot_be_read_no_moment_is_waited_for() -> None:
    listing = a_listing(an_instance(), age_s=170.0)
    decision = decision_for(decide(unanswered(linked_s=160.0, listing=listing)))
    assert decision.reason is Reason.UNKNOWN_IS_NOT_UNHEALTHY
    assert decision.until is None  # type: ignore[union-attr]


# --- deciding ---------------------------------------------------------------------------------------


def test_a_deploy_is_repeated_when_its_pause_is_over() -> None:
    said = conditions(
        deployed=(Status.FALSE, Reason.NOT_DEPLOYED), running=UNSEEN, streaming=UNSEEN
    )
    tenure = a_fresh_tenure(
        listed_at=ago(90), running_at=ago(60), booted_at=ago(50), conditions=said,
        deploy_failures=1, acted_at=ago(10),
    )  # fmt: skip
    assert decision_for(decide(a_world(a_record(tenure)))).name == "deploy"


def never_live(**said: object) -> World:
    """Deployed long ago, and no picture has ever been seen in this slot."""
    told = conditions(**{"streaming": FROZEN, **said})  # type: ignore[arg-type]
    tenure = a_tenure(first_live_at=None, warm_at=None, warmup_s=None, conditions=told)
    return a_world(a_record(tenure, ever_on_air=False))


def test_the_darkness_of_a_host_that_never_was_on_air_is_counted_from_what_is_seen() -> None:
    bad = a_condition(ConditionKind.STREAMING, *FROZEN, for_s=100, bad=3)
    retrying = (Status.UNKNOWN, Reason.MANAGER_RETRYING)
    decision = decision_for(decide(never_live(streaming=bad, running=retrying)))
    assert decision.reason is Reason.INNER_SUPERVISOR_AT_WORK
    assert decision.until == ahead(80)  # type: ignore[union-attr]
    gone = a_condition(ConditionKind.RUNNING, Status.FALSE, Reason.PROCESS_GONE, for_s=100)
    spent = with_policy(a_stream(), restarts_max=0, workload_restarts_max=0, reboots_max=0)
    plan = decide(never_live(streaming=UNSEEN, running=gone), a_desire(spent))
    assert decision_for(plan).reason is Reason.LADDER_SPENT
    assert decision_for(plan).until == ahead(80)  # type: ignore[union-attr]


def test_a_world_without_a_start_has_no_earlier_process() -> None:
    world = never_live()
    assert decision_for(decide(replace(world, started_at=None))).name == "restart"
    unreachable = a_condition(
        ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED, for_s=301, bad=3
    )
    silent = (Status.UNKNOWN, Reason.SILENT)
    world = a_world(
        a_record(a_tenure(conditions=conditions(reachable=unreachable, streaming=silent,
                                                running=UNSEEN))), started_at=None,
    )  # fmt: skip
    assert decision_for(decide(world)).reason is Reason.UNREACHABLE_TOO_LONG
    stuck = a_fresh_tenure(
        requested_at=ago(901), rented_at=ago(901), booting_since=ago(901), listed_at=ago(890)
    )
    pending = a_listing(an_instance(state=MarketState.PENDING))
    world = a_world(a_record(stuck), started_at=None, listing=pending)
    assert decision_for(decide(world)).reason is Reason.BOOT_STUCK


def test_a_handover_in_a_world_without_a_start_has_its_deadline() -> None:
    incoming = a_fresh_tenure(
        instance_id=HOST + 1, label="keeper:k1:duel/0:2", listed_at=ago(9), running_at=ago(9),
        booted_at=ago(900), deployed_at=ago(800), conditions=conditions(streaming=UNSEEN),
    )  # fmt: skip
    world = a_world(a_record(a_tenure(), attempt=2, incoming=incoming), started_at=None)
    assert decision_for(decide(world)).reason is Reason.NO_PICTURE_EVER


def test_a_workload_may_leave_rungs_out() -> None:
    world = never_live()
    stream = replace(a_stream(), rungs=())
    assert decision_for(decide(world, a_desire(stream))).reason is Reason.LADDER_SPENT


def test_a_listing_that_confirms_nothing_new_writes_nothing() -> None:
    ended = a_condemned(absent_since=ago(5), absent_listed_at=ago(5))
    world = a_world(a_record(), condemned=(ended,), listing=a_listing(age_s=5))
    plan = decide(world)
    assert plan.condemned is world.condemned


def test_settling_one_create_leaves_the_intents_of_others_open() -> None:
    mine = an_intent(IntentKind.RENT)
    busy = an_intent(IntentKind.RESTART, intent_id="other", slot=SlotId("duel/1"))
    world = a_world(
        a_record(an_asked_tenure()), intents=(mine, busy), in_flight=frozenset({"duel/1"}),
        listing=a_listing(an_instance(), age_s=1),
    )  # fmt: skip
    plan = decide(world, a_desire(a_stream(replicas=2)))
    assert plan.intents_closed == (mine.intent_id,)


def test_an_answer_for_no_slot_is_closed() -> None:
    intent = an_intent(IntentKind.RENT, slot=None)
    outcome = an_outcome(intent, OutcomeKind.DONE, instance_id=HOST + 5)
    world = a_world(a_record(), intents=(intent,), outcomes=(outcome,))
    plan = decide(world)
    assert plan.intents_closed == (intent.intent_id,)
    assert [(each.instance_id, each.slot) for each in plan.condemned] == [(HOST + 5, None)]


def test_a_rental_is_condemned_once() -> None:
    intent = an_intent(IntentKind.RENT)
    outcome = an_outcome(intent, OutcomeKind.DONE, instance_id=HOST)
    world = a_world(a_record(), intents=(intent,), outcomes=(outcome,), condemned=(a_condemned(),))
    plan = decide(world)
    assert len(plan.condemned) == 1
    assert events_of(plan, facts_of.InstanceCondemned) == []


def test_a_single_bad_picture_seen_while_blind_does_not_count_afterwards() -> None:
    world = healthy_world(readings=bad_pictures(1), own_network=Status.FALSE)
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    streaming = tenure.conditions[4]
    assert (streaming.status, streaming.bad_streak) == (Status.TRUE, 0)


def test_a_doubtful_create_of_a_handover_is_settled_like_any_other() -> None:
    asked = an_asked_tenure(
        label="keeper:k1:duel/0:2", attempt=2, acted_at=ago(5), missing_since=ago(2),
        missing_listed_at=ago(2),
    )  # fmt: skip
    record = a_record(a_tenure(), attempt=2, incoming=asked)
    world = a_world(record, listing=a_listing(an_instance(), age_s=2))
    plan = decide(world)
    assert decision_for(plan).reason is Reason.CREATE_UNSETTLED
    assert record_after(world, plan).incoming == asked


def test_a_slot_adopts_one_rental_a_tick() -> None:
    two = a_record(
        an_asked_tenure(),
        attempt=2,
        incoming=an_asked_tenure(label="keeper:k1:duel/0:2", attempt=2),
    )
    found = a_listing(an_instance(9001), an_instance(9002, "keeper:k1:duel/0:2"), age_s=1)
    world = a_world(two, listing=found)
    plan = decide(world)
    assert [act.name for act in plan.acts] == ["adopt"]
    again = decide(applied(world, plan))
    assert [act.name for act in again.acts] == ["adopt"]
    assert again.condemned == ()


def test_suggesting_is_not_acting() -> None:
    world = healthy_world(readings=bad_pictures(3))
    plan = decide(world, a_desire(a_stream(mode=Mode.SUGGEST)))
    assert decision_for(plan).reason is Reason.SUGGEST_ONLY
    assert plan.acts == ()
    assert status_of(record_after(world, plan).tenure, ConditionKind.STREAMING) is Status.FALSE
