"""What holds of every plan, whatever the world: each property reads as a promise."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.caps import Cap, committed_to, every_cap, hours_ahead, key_of, used_dollars
from keeper.core.decisions import (
    Deploy,
    Destroy,
    Hold,
    Plan,
    Rebid,
    Reboot,
    Rent,
    Restart,
    Wait,
)
from keeper.core.flow import owed_dollars_per_hour
from keeper.core.labels import parse
from keeper.core.meter import caught_up
from keeper.core.model import (
    ConditionKind,
    Desired,
    IntentKind,
    Mode,
    Pricing,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    Subject,
    Tenure,
    stream_of,
)
from keeper.core.moments import elapsed_s
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from keeper.core.spend import committed_by_stream
from keeper.core.world import OrderKind, World
from tests.builders import KEEPER_ID, NOW, applied, shuffled_world
from tests.property.worlds import willing_worlds, worlds

WORLDS = worlds()
WILLING = willing_worlds()
DAY = timedelta(days=1)


def records_after(world: World, plan: Plan) -> dict[SlotId, SlotRecord]:
    return {**world.records, **{record.slot: record for record in plan.records}}


def ordered_slots(world: World) -> set[str]:
    """Slots an operator has asked something of."""
    slots = {order.slot for order in world.orders if order.slot is not None}
    for record in world.records.values():
        if record.restart_asked_at or record.destroy_asked_at or record.replace_asked_at:
            slots.add(record.slot)
    return {str(slot) for slot in slots}


@given(WORLDS)
def test_a_plan_is_the_same_twice(case: tuple[World, Desired]) -> None:
    world, desired = case
    assert reconcile(world, desired, NOW) == reconcile(world, desired, NOW)


@given(WORLDS, st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_the_order_of_facts_is_moot(case: tuple[World, Desired], order: list[int]) -> None:
    world, desired = case
    told = reconcile(world, desired, NOW)
    retold = reconcile(shuffled_world(world, order), desired, NOW)
    assert Counter(map(repr, retold.decisions)) == Counter(map(repr, told.decisions))
    assert sorted(map(repr, retold.records)) == sorted(map(repr, told.records))
    assert retold.condemned == told.condemned
    assert retold.next_check_at == told.next_check_at
    assert retold.wants == told.wants
    assert retold.quarantine == told.quarantine


@given(WORLDS)
@settings(max_examples=300)
def test_a_plan_on_its_own_result_is_quiet(case: tuple[World, Desired]) -> None:
    """Level-triggered: while the acts are under way nothing more is begun, and nothing is written."""
    world, desired = case
    plan = reconcile(world, desired, NOW)
    after = applied(world, plan)
    again = reconcile(after, desired, NOW)
    # An adoption is its slot's decision of the tick; and a sick slot that an operator ends may be
    # what the fleet was held for.
    is_excused = any(act.name == "adopt" for act in plan.acts) or again.fuses != plan.fuses
    if not is_excused:
        assert [act for act in again.acts if not isinstance(act, Destroy)] == []
    for _ in range(3):
        after, again = applied(after, again), reconcile(applied(after, again), desired, NOW)
    assert again.acts == ()
    assert [(after.records[record.slot], record) for record in again.records] == []
    assert again.intents_opened == ()
    assert again.condemned is after.condemned
    assert again.quarantine == ()


@given(WORLDS, st.floats(0.0, 1.0))
@settings(max_examples=300)
def test_nothing_is_done_before_the_next_check(case: tuple[World, Desired], share: float) -> None:
    """Whoever sleeps until ``next_check_at`` misses nothing, if no new fact comes."""
    world, desired = case
    world = applied(world, reconcile(world, desired, NOW))
    plan = reconcile(world, desired, NOW)
    world = applied(world, plan)
    wake_at = plan.next_check_at or NOW + timedelta(seconds=25)
    assert wake_at >= NOW + timedelta(seconds=1)
    # An unread marketplace goes stale by itself, and the shell reads it on its own beat.
    between = NOW + (min(wake_at, NOW + timedelta(seconds=25)) - NOW) * share * 0.999
    if plan.acts:
        return
    assert reconcile(world, desired, between).acts == ()


@given(WORLDS)
def test_each_slot_gets_one_decision_and_at_most_one_act(case: tuple[World, Desired]) -> None:
    world, desired = case
    plan = reconcile(world, desired, NOW)
    others = Counter(d.slot for d in plan.decisions if not isinstance(d, Destroy))
    assert all(count == 1 for count in others.values())
    acted = Counter(act.slot for act in plan.acts if not isinstance(act, Destroy))
    assert all(count == 1 for count in acted.values())
    for act in plan.acts:
        if not isinstance(act, Destroy) and act.name != "adopt":
            assert act.slot not in world.in_flight
            assert act.slot not in world.held_slots
    for stream in desired.streams:
        for slot in stream.slots:
            assert any(decision.slot == slot for decision in plan.decisions)


@given(WORLDS)
def test_every_act_has_its_intent_on_disk_and_every_label_is_new(
    case: tuple[World, Desired],
) -> None:
    world, desired = case
    plan = reconcile(world, desired, NOW)
    opened = {intent.intent_id: intent for intent in plan.intents_opened}
    ids = [act.intent_id for act in plan.acts if act.name != "adopt" and hasattr(act, "intent_id")]
    assert sorted(ids) == sorted(opened)
    assert not set(opened) & {intent.intent_id for intent in world.intents}
    for act in plan.acts:
        if isinstance(act, Rent):
            label = parse(act.label)
            assert label is not None
            assert (label.keeper_id, label.slot) == (KEEPER_ID, act.slot)
            before = world.records.get(act.slot)
            assert label.attempt > (before.attempt if before else 0)
            assert records_after(world, plan)[act.slot].attempt == label.attempt
            assert opened[act.intent_id].kind is IntentKind.RENT


@given(WORLDS)
@settings(max_examples=300)
def test_only_orders_and_ends_already_decided_pass_a_closed_fleet(
    case: tuple[World, Desired],
) -> None:
    """While paused, frozen, blind or not leading: no act but ordered ones and known ends (I12)."""
    world, desired = case
    plan = reconcile(world, desired, NOW)
    known_ends = {each.instance_id for each in world.condemned}
    named = {outcome.instance_id for outcome in world.outcomes}
    ordered = ordered_slots(world)
    paused = world.pause is not None and (world.pause.until is None or world.pause.until > NOW)
    is_closed = paused or world.own_network is Status.FALSE
    if not world.is_leader or world.is_stopping:
        assert [act for act in plan.acts if act.name != "adopt"] == []
    unasked = set()
    for act in plan.acts:
        if isinstance(act, Destroy):
            # A create that failed and still named a contract is an end by itself.
            is_known = act.instance_id in known_ends | named
            if not is_known and str(act.slot) not in ordered:
                unasked.add(act.slot)
        elif act.name != "adopt" and act.reason is not Reason.OPERATOR_ASKED:
            unasked.add(act.slot)
    if is_closed:
        assert unasked == set()
    if Reason.MASS_FAILURE in plan.fuses:
        assert len(unasked) <= 1  # the one that is tried


@given(WORLDS)
def test_a_mass_failure_is_seen_by_its_number(case: tuple[World, Desired]) -> None:
    world, desired = case
    plan = reconcile(world, desired, NOW)
    slots = [slot for stream in desired.streams for slot in stream.slots]
    dark = sum(
        any(
            c.kind is ConditionKind.STREAMING and c.status is Status.FALSE
            for c in record.tenure.conditions
        )
        for slot in slots
        if (record := records_after(world, plan).get(slot)) is not None
        and record.ever_on_air
        and slot not in world.held_slots
        and record.tenure is not None
        and record.tenure.first_live_at is not None
    )
    if dark > max(1, ceil(0.2 * len(slots))):
        assert Reason.MASS_FAILURE in plan.fuses


@given(WILLING | WORLDS)
@settings(max_examples=300)
def test_no_limit_is_crossed(case: tuple[World, Desired]) -> None:
    """What may bill after the plan stays within every cap that the plan had a say in (I4)."""
    world, desired = case
    plan = reconcile(world, desired, NOW)
    rented_for = {stream_of(act.slot) for act in plan.acts if isinstance(act, Rent)}
    if not rented_for:
        return
    spent = committed_by_stream(records_after(world, plan).values(), plan.condemned)
    assert sum(spent.values()) <= desired.fleet.spend_max_dollars_per_hour + 1e-9
    for stream in desired.streams:
        if stream.name in rented_for:
            assert spent[stream.name] <= stream.spend_max_dollars_per_hour + 1e-9
    ledger = caught_up(world.meter, NOW)
    for cap in every_cap(desired.fleet, desired.streams):
        if cap.stream is None or cap.stream in rented_for:
            hours = hours_ahead(cap, NOW, desired.fleet.spend_reserve_s)
            more = committed_to(cap, spent) * hours
            assert used_dollars(ledger, cap, NOW) + more <= cap.dollars + 1e-6


@given(WORLDS)
@settings(max_examples=200)
def test_what_runs_on_can_be_paid_for_until_it_is_ended(case: tuple[World, Desired]) -> None:
    """Whoever keeps a host beyond the edge of a cap has said why it cannot be ended (I4, I12)."""
    world, desired = case
    plan = reconcile(world, desired, NOW)
    ledger = caught_up(world.meter, NOW)
    records = records_after(world, plan)
    for cap in every_cap(desired.fleet, desired.streams):
        kept = committed_by_stream(records.values(), ())
        hours = hours_ahead(cap, NOW, desired.fleet.spend_end_s)
        used = used_dollars(ledger, cap, NOW)
        rate = committed_to(cap, kept)
        if rate == 0 or used + rate * hours < cap.dollars:
            continue
        meter = plan.meter or world.meter
        if key_of(cap, NOW) not in meter.stops:
            # One host alone is too dear: it goes as soon as its slot is free, and the cap is not used up.
            rate -= sum(owed_dollars_per_hour(t) for t in about_to_go(world, plan, cap))
            whose = [each for each in desired.streams if cap.stream in {None, each.name}]
            dearest = max(each.needs.price_max_dollars_per_hour for each in whose)
            assert used + (rate + dearest) * hours < cap.dollars
            assert plan.next_check_at is not None
            assert plan.next_check_at <= NOW + timedelta(seconds=5)
            continue
        still = set(plan.fuses) & {
            Reason.OWN_NETWORK_DOWN, Reason.MASS_FAILURE, Reason.COMMON_CAUSE, Reason.PAUSED,
            Reason.NOT_LEADER,
        }  # fmt: skip
        if still or world.is_stopping:
            continue
        # A slot has one act a tick: what it has beside a host that ends now ends in the next one.
        ended = {act.slot for act in plan.acts if isinstance(act, Destroy)}
        for stream in desired.streams:
            for slot in stream.slots:
                record = records[slot]
                seated = [t for t in (record.tenure, record.incoming) if t is not None]
                is_busy = slot in (world.in_flight | world.held_slots | world.slot_pauses.keys())
                adopted = any(act.name == "adopt" and act.slot == slot for act in plan.acts)
                if cap.stream not in {None, stream.name} or is_busy or adopted or slot in ended:
                    continue
                if stream.mode is Mode.ACT:
                    assert all(t.instance_id is None for t in seated)


def about_to_go(world: World, plan: Plan, cap: Cap) -> list[Tenure]:
    """What an act under way, an adoption of this tick or a create in doubt keeps for a moment."""
    adopted = {act.slot for act in plan.acts if act.name == "adopt"}
    return [
        seated
        for slot, record in records_after(world, plan).items()
        for seated in (record.tenure, record.incoming)
        if seated is not None
        and cap.stream in {None, stream_of(slot)}
        and (slot in world.in_flight | adopted or seated.instance_id is None)
    ]


@given(WILLING | WORLDS)
def test_nothing_lands_on_a_quarantined_machine(case: tuple[World, Desired]) -> None:
    """Q25."""
    world, desired = case
    plan = reconcile(world, desired, NOW)
    for act in plan.acts:
        if isinstance(act, Rent):
            assert act.machine_id not in world.quarantine
            book = world.offers[stream_of(act.slot)]
            assert elapsed_s(book.at, NOW) <= 60
            if act.offer_id not in {each.offer_id for each in book.offers}:
                assert book.around_at is not None
                assert elapsed_s(book.around_at, NOW) <= 60


@given(WILLING | WORLDS)
def test_a_slot_holds_no_more_than_one_host_but_while_handing_over(
    case: tuple[World, Desired],
) -> None:
    world, desired = case
    plan = reconcile(world, desired, NOW)
    for act in plan.acts:
        if isinstance(act, Rent):
            record = records_after(world, plan)[act.slot]
            before = world.records.get(act.slot)
            if record.incoming is not None and record.incoming.label == act.label:
                assert before is not None
                if act.reason in (Reason.CONTRACT_ENDING, Reason.PRICE_DRIFT):
                    continue  # the old host still serves, and will not for long
                assert act.reason is Reason.HANDOVER
                assert before.replace_asked_at or any(
                    order.kind is OrderKind.REPLACE for order in world.orders
                )
            else:
                assert record.incoming is None
            unsettled = [
                seated
                for seated in (record.tenure, record.incoming)
                if seated is not None and seated.instance_id is None
            ]
            assert [seated.label for seated in unsettled] == [act.label]  # I3, I10


@given(WORLDS)
def test_only_ours_is_ended(case: tuple[World, Desired]) -> None:
    """Q37: every end is of a rental that a record, an outcome or a journalled label names (I8)."""
    world, desired = case
    plan = reconcile(world, desired, NOW)
    ours = {each.instance_id for each in world.condemned}
    ours |= {outcome.instance_id for outcome in world.outcomes if outcome.instance_id}
    for record in records_after(world, plan).values():
        for seated in (record.tenure, record.incoming):
            if seated is not None and seated.instance_id is not None:
                ours.add(seated.instance_id)
    for record in world.records.values():
        for seated in (record.tenure, record.incoming):
            if seated is not None and seated.instance_id is not None:
                ours.add(seated.instance_id)
    listed = {i.instance_id: i for i in world.listing.instances} if world.listing else {}
    for each in plan.condemned:
        if each.instance_id in ours:
            continue
        label = parse(listed[each.instance_id].label) if each.instance_id in listed else None
        if each.instance_id in world.orphans_known:
            continue  # as configured, and seen in two listings
        assert label is not None
        assert label.keeper_id == KEEPER_ID
        assert label.attempt <= world.records[label.slot].attempt


@given(WORLDS)
@settings(max_examples=300)
def test_not_knowing_alone_never_climbs(case: tuple[World, Desired]) -> None:
    """With nothing but Unknown, and a marketplace that says all is well, no host is touched (I14)."""
    world, desired = case
    blank = {}
    for slot, record in world.records.items():
        seats = {}
        for name in ("tenure", "incoming"):
            seated = getattr(record, name)
            if seated is not None and seated.instance_id is not None:
                seated = replace(
                    seated,
                    booted_at=seated.booted_at or NOW,
                    deploy_failures=0,
                    missing_since=None,
                    missing_listed_at=None,
                    dead_since=None,
                    process_changed_at=(),
                    conditions=tuple(
                        replace(c, status=Status.UNKNOWN, reason=Reason.SILENT, bad_streak=0)
                        for c in seated.conditions
                    ),
                )
            seats[name] = seated
        blank[slot] = replace(
            record,
            tenure=seats["tenure"],
            incoming=None,
            replace_asked_at=None,
            restart_asked_at=None,
            destroy_asked_at=None,
        )
    readings = tuple(replace(r, status=Status.UNKNOWN) for r in world.readings)
    world = replace(
        world, records=blank, readings=readings, orders=(), shown={}, listing=None, outcomes=(),
        intents=(),
    )  # fmt: skip
    declared = {slot for stream in desired.streams for slot in stream.slots}
    plan = reconcile(world, desired, NOW)
    for act in plan.acts:
        if act.slot in declared and not isinstance(act, Rent):
            known = {each.instance_id for each in world.condemned}
            assert isinstance(act, Destroy), act
            assert act.instance_id in known or act.reason is Reason.BUDGET


@given(WORLDS)
def test_a_picture_that_viewers_see_protects_its_host(case: tuple[World, Desired]) -> None:
    """Only an order, a removal, a proven replacement or a hard stop ends a host on air (I11)."""
    world, desired = case
    plan = reconcile(world, desired, NOW)
    before = {each.instance_id for each in world.condemned}
    for each in plan.condemned:
        if each.instance_id in before or each.slot is None:
            continue
        record = world.records.get(each.slot)
        seated = record.tenure if record else None
        if seated is None or seated.instance_id != each.instance_id:
            continue
        streaming = next((c for c in seated.conditions if c.kind is ConditionKind.STREAMING), None)
        told_otherwise = any(r.instance_id == each.instance_id for r in world.readings)
        if streaming and streaming.status is Status.TRUE and not told_otherwise:
            heard = world.heard_at.get((each.instance_id, Subject.PICTURE))
            if heard is not None and elapsed_s(heard, NOW) < 45:
                assert each.reason in (
                    Reason.OPERATOR_ASKED, Reason.STREAM_REMOVED, Reason.SUPERSEDED,
                    Reason.HOST_KEY_CHANGED, Reason.BUDGET,
                ), each  # fmt: skip


@given(WORLDS)
def test_caps_of_the_ladder_hold(case: tuple[World, Desired]) -> None:
    world, desired = case
    plan = reconcile(world, desired, NOW)
    by_slot = {slot: stream for stream in desired.streams for slot in stream.slots}
    for act in plan.acts:
        if isinstance(act, Restart | Reboot) and act.reason is not Reason.OPERATOR_ASKED:
            policy = by_slot[act.slot].policy
            rung = act.rung if isinstance(act, Restart) else Rung.REBOOT
            cap, window_s = {
                Rung.RESTART_PROCESS: (policy.restarts_max, policy.restarts_window_s),
                Rung.RESTART_WORKLOAD: (
                    policy.workload_restarts_max, policy.workload_restarts_window_s,
                ),
                Rung.REBOOT: (policy.reboots_max, policy.reboots_window_s),
            }[rung]  # fmt: skip
            uses = records_after(world, plan)[act.slot].remedies
            recent = [u for u in uses if u.rung is rung and elapsed_s(u.at, NOW) < window_s]
            assert len(recent) <= cap
            assert recent[-1].at == NOW


@given(WORLDS)
def test_the_allowance_of_replacements_holds(case: tuple[World, Desired]) -> None:
    world, desired = case
    plan = reconcile(world, desired, NOW)
    by_slot = {slot: stream for stream in desired.streams for slot in stream.slots}
    for act in plan.acts:
        if isinstance(act, Rent):
            policy = by_slot[act.slot].policy
            uses = records_after(world, plan)[act.slot].replaced_at
            recent = [at for at in uses if elapsed_s(at, NOW) < policy.replacements_window_s]
            assert len(recent) <= policy.replacements_max


@given(WORLDS)
def test_nothing_condemned_is_forgotten_unconfirmed(case: tuple[World, Desired]) -> None:
    """Two separated complete listings and the answer by id, or it stays (I7)."""
    world, desired = case
    plan = reconcile(world, desired, NOW)
    left = {each.instance_id for each in plan.condemned}
    listed = {i.instance_id for i in world.listing.instances} if world.listing else set()
    for each in world.condemned:
        if each.instance_id not in left:
            assert each.instance_id not in listed
            assert each.absent_since is not None
            assert each.by_id_absent_at is not None or each.instance_id in world.shown


@given(WORLDS)
def test_a_rental_is_let_go_only_for_a_cause(case: tuple[World, Desired]) -> None:
    """Whatever leaves a record is condemned, or gone by three witnesses (I7, I9)."""
    world, desired = case
    plan = reconcile(world, desired, NOW)
    after = records_after(world, plan)
    condemned = {each.instance_id for each in plan.condemned}
    for slot, record in world.records.items():
        kept = {
            seated.instance_id
            for seated in (after[slot].tenure, after[slot].incoming)
            if seated is not None
        }
        for seated in (record.tenure, record.incoming):
            if seated is None or seated.instance_id is None or seated.instance_id in kept:
                continue
            if seated.instance_id not in condemned:
                assert world.listing is not None
                listed = {i.instance_id: i for i in world.listing.instances}.get(seated.instance_id)
                if listed is not None and seated.listed_at is None:
                    assert listed.label != seated.label  # somebody else's, at first sight
                    continue
                assert seated.instance_id not in {i.instance_id for i in world.listing.instances}
                assert world.shown[seated.instance_id] is None


@given(WORLDS)
def test_a_stream_that_is_only_observed_is_never_touched(case: tuple[World, Desired]) -> None:
    world, desired = case
    plan = reconcile(world, desired, NOW)
    observed = {stream.name for stream in desired.streams if stream.mode is Mode.OBSERVE}
    known = {each.instance_id for each in world.condemned}
    known |= {o.instance_id for o in world.outcomes if o.instance_id is not None}
    for act in plan.acts:
        if act.slot is None or stream_of(act.slot) not in observed or act.name == "adopt":
            continue
        is_known_end = isinstance(act, Destroy) and act.instance_id in known
        assert is_known_end or str(act.slot) in ordered_slots(world)


@given(WORLDS)
def test_a_no_says_what_was_wanted(case: tuple[World, Desired]) -> None:
    world, desired = case
    plan = reconcile(world, desired, NOW)
    assert plan.sentence()
    for decision in plan.decisions:
        if isinstance(decision, Hold):
            assert decision.wanted
        if isinstance(decision, Wait | Hold) and decision.until is not None:
            assert decision.until >= NOW - DAY
    for decision in plan.decisions:
        if isinstance(decision, Deploy):
            record = records_after(world, plan)[decision.slot]
            assert decision.instance_id in {
                seated.instance_id
                for seated in (record.tenure, record.incoming)
                if seated is not None
            }


@given(WORLDS, st.sampled_from([-3600, 3600, -60, 86_400]))
def test_a_clock_that_steps_breaks_nothing(case: tuple[World, Desired], step_s: int) -> None:
    world, desired = case
    then: datetime = NOW + timedelta(seconds=step_s)
    for _ in range(5):
        plan = reconcile(world, desired, then)
        world = applied(world, plan)
    assert reconcile(world, desired, then).acts == ()


@given(WORLDS)
@settings(max_examples=300)
def test_nothing_of_somebody_else_is_touched(case: tuple[World, Desired]) -> None:
    """Whatever a create's answer names: what is listed without keeper's label stays alone (I8)."""
    world, desired = case
    plan = reconcile(world, desired, NOW)
    strangers = {
        i.instance_id
        for i in (world.listing.instances if world.listing else ())
        if not i.label.startswith("keeper:")
    }
    assert not strangers & {each.instance_id for each in plan.condemned}
    assert not strangers & {getattr(act, "instance_id", None) for act in plan.acts}
    for record in plan.records:
        for seated in (record.tenure, record.incoming):
            assert seated is None or seated.instance_id not in strangers


@given(WILLING | WORLDS)
def test_an_empty_account_spends_nothing(case: tuple[World, Desired]) -> None:
    """Q23: nothing is rented, bid for or given up that could not be followed by anything."""
    world, desired = case
    is_empty = world.account is not None and world.account.spendable_dollars <= 0
    is_known = world.account is not None and elapsed_s(world.account.at, NOW) < 3600
    plan = reconcile(world, desired, NOW)
    assert (Reason.OUT_OF_CREDIT in plan.fuses) is (is_empty and is_known)
    if not (is_empty and is_known):
        return
    assert not [act for act in plan.acts if isinstance(act, Rent | Rebid)]


@given(WILLING | WORLDS)
@settings(max_examples=300)
def test_what_is_paid_for_a_host_is_what_the_stream_allows(case: tuple[World, Desired]) -> None:
    """A bid or a price, with the disk and the traffic, within the limit and on the asked basis."""
    world, desired = case
    streams = {stream.name: stream for stream in desired.streams}
    for act in reconcile(world, desired, NOW).acts:
        if not isinstance(act, Rent | Rebid):
            continue
        needs = streams[stream_of(act.slot)].needs
        if isinstance(act, Rent):
            book = world.offers[stream_of(act.slot)]
            known = (*book.offers, *book.around)
            offer = next(each for each in known if each.offer_id == act.offer_id)
            assert offer.is_bid is (act.bid_dollars_per_hour is not None)
            assert needs.pricing is not (
                Pricing.ON_DEMAND if offer.is_bid else Pricing.INTERRUPTIBLE
            )
            traffic = needs.egress_gb_per_hour * offer.inet_up_dollars_per_gb
            assert act.dollars_per_hour + traffic <= needs.price_max_dollars_per_hour + 1e-6
            asked = world.records[act.slot].offer_asked if act.slot in world.records else None
            named = [o.offer_id for o in world.orders if o.slot == act.slot and o.offer_id]
            assert asked in (None, act.offer_id) or named
        else:
            assert act.bid_dollars_per_hour + 0.05 <= needs.price_max_dollars_per_hour + 1e-6
