"""An empty account: nothing is spent, no host is blamed, and what must end still ends (Q23)."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from keeper.core.credit import ACCOUNT_STALE_S
from keeper.core.decisions import Destroy, Hold, Rebid, Rent
from keeper.core.events import FuseReset, FuseTripped, MachineQuarantined
from keeper.core.model import (
    InstanceId,
    MachineId,
    MarketState,
    OfferNeeds,
    Pricing,
    SlotId,
    Status,
)
from keeper.core.reasons import Reason
from keeper.core.spend import burn_dollars_per_hour, runway_s
from keeper.core.world import AccountSeen, OrderKind, World
from tests.builders import (
    DUEL,
    HOST,
    SLOT,
    a_book,
    a_condemned,
    a_desire,
    a_fresh_tenure,
    a_listing,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    acts_in,
    ago,
    an_instance,
    an_offer,
    an_order,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
    healthy_world,
    record_after,
)


def account(dollars: float, age_s: float = 10.0, empty_s: float | None = None) -> AccountSeen:
    return AccountSeen(
        spendable_dollars=dollars,
        at=ago(age_s),
        empty_at=None if empty_s is None else ago(empty_s),
    )


EMPTY = account(0.0, empty_s=10.0)


NO_LINK = (Status.FALSE, Reason.LINK_LOST)
BLACK = (Status.FALSE, Reason.UNREACHABLE)
DARK = conditions(reachable=NO_LINK, streaming=BLACK)


def stopped_hosts(count: int = 1, **changes: object) -> World:
    """Hosts that had a picture and were stopped by the marketplace long ago."""
    tenures = [
        a_tenure(
            instance_id=InstanceId(HOST + n),
            label=f"keeper:k1:duel/{n}:1",
            machine_id=MachineId(201 + n),
            dead_since=ago(1000),
            conditions=DARK,
        )
        for n in range(count)
    ]
    rows = [
        an_instance(
            tenure.instance_id or 0,
            tenure.label,
            machine_id=tenure.machine_id,
            state=MarketState.STOPPED,
            is_meant_to_run=False,
        )
        for tenure in tenures
    ]
    records = [
        a_record(tenure, SlotId(f"duel/{n}"), dark_since=ago(1000))
        for n, tenure in enumerate(tenures)
    ]
    return a_world(
        *records,
        listing=a_listing(*rows),
        offers={DUEL: a_book(an_offer(11), an_offer(12))},
        **changes,
    )


@pytest.mark.parametrize(
    ("seen", "rents"),
    [
        (None, True),  # the key may not ask: not knowing is not empty
        (account(25.0), True),
        (account(0.0), False),
        (account(-3.5), False),
        (account(-3.5, age_s=ACCOUNT_STALE_S + 1), True),
    ],
)
def test_a_vacant_slot_is_filled_unless_the_account_is_known_to_be_empty(
    seen: AccountSeen | None, rents: bool
) -> None:
    world = a_world(a_record(), offers={DUEL: a_book(an_offer(1))}, account=seen)
    plan = decide(world)
    assert any(isinstance(act, Rent) for act in acts_in(plan)) is rents
    if not rents:
        held = decision_for(plan)
        assert isinstance(held, Hold)
        assert held.reason is Reason.OUT_OF_CREDIT
        assert [event.reason for event in events_of(plan, FuseTripped)] == [Reason.OUT_OF_CREDIT]


def test_hosts_that_were_stopped_for_lack_of_credit_are_neither_ended_nor_blamed() -> None:
    """Q23."""
    plan = decide(stopped_hosts(account=EMPTY))
    assert acts_in(plan) == ()
    assert plan.condemned == ()
    assert plan.quarantine == ()
    held = decision_for(plan)
    assert isinstance(held, Hold)
    assert held.reason is Reason.OUT_OF_CREDIT


def test_when_credit_is_back_they_are_replaced_at_once_and_their_machines_stay_welcome() -> None:
    """Without the known cause, two hosts that went down at once would be held as a mass failure."""
    two = a_desire(a_stream(replicas=2), spend_max_dollars_per_hour=10.0)
    unknown = decide(stopped_hosts(2), two)
    assert unknown.fuses == (Reason.MASS_FAILURE,)
    refilled = account(20.0, empty_s=60.0)
    plan = decide(
        stopped_hosts(2, account=refilled, fuses_known=frozenset({Reason.OUT_OF_CREDIT})), two
    )
    assert plan.fuses == ()
    assert [event.reason for event in events_of(plan, FuseReset)] == [Reason.OUT_OF_CREDIT]
    assert any(each.instance_id == HOST for each in plan.condemned)
    assert events_of(plan, MachineQuarantined) == []


def test_a_rental_that_the_marketplace_deleted_for_lack_of_credit_is_not_blamed_on_its_host() -> (
    None
):
    """Stopped rentals of an empty account are deleted in the end; their machines did nothing."""
    tenure = a_tenure(
        dead_since=ago(1000), missing_since=ago(200), missing_listed_at=ago(200), conditions=DARK
    )
    for seen, is_blamed in ((account(9.0), True), (account(9.0, empty_s=100.0), False)):
        world = a_world(
            a_record(tenure, dark_since=ago(1000)),
            listing=a_listing(),
            shown={HOST: None},
            account=seen,
        )
        plan = decide(world)
        assert record_after(world, plan).tenure is None
        assert bool(events_of(plan, MachineQuarantined)) is is_blamed


def handing_over(is_host_down: bool, incoming_id: int | None = 905, down_s: float = 1000) -> World:
    """A slot with two rentals, of which the marketplace has stopped the second, or both."""
    world = stopped_hosts(account=EMPTY)
    record = world.records[SLOT]
    tenure = record.tenure
    assert tenure is not None
    if not is_host_down:
        tenure = replace(tenure, dead_since=None, conditions=conditions())
    second = a_fresh_tenure(
        instance_id=None if incoming_id is None else InstanceId(incoming_id),
        label="keeper:k1:duel/0:9",
        machine_id=MachineId(905),
        listed_at=ago(2000),
        dead_since=ago(down_s),
    )
    stopped = {"state": MarketState.STOPPED, "is_meant_to_run": False}
    rows = [an_instance(HOST, tenure.label, machine_id=201, **(stopped if is_host_down else {}))]
    if incoming_id is not None:
        rows.append(an_instance(incoming_id, second.label, machine_id=905, **stopped))
    records = {SLOT: replace(record, tenure=tenure, incoming=second)}
    return replace(world, records=records, listing=a_listing(*rows))


def test_a_replacement_that_was_stopped_for_lack_of_credit_ends_and_its_host_stays() -> None:
    """Both disks cost, of an account that owes; what never was on air needs no successor."""
    world = handing_over(is_host_down=False)
    plan = decide(world)
    assert [(each.instance_id, each.reason) for each in plan.condemned] == [
        (905, Reason.BOOT_FAILED)
    ]
    record = record_after(world, plan)
    assert record.tenure is not None
    assert record.tenure.instance_id == HOST
    assert plan.quarantine == ()
    assert not [act for act in acts_in(plan) if isinstance(act, Rent)]


def test_of_two_that_were_stopped_for_lack_of_credit_one_ends_and_one_stays() -> None:
    world = handing_over(is_host_down=True)
    plan = decide(world)
    assert len(plan.condemned) == 1
    again = decide(applied(world, plan))
    assert again.condemned == plan.condemned, "the last one is held"
    assert decision_for(again).reason is Reason.OUT_OF_CREDIT
    assert plan.quarantine == again.quarantine == ()


def test_a_host_beside_one_that_may_not_exist_is_held() -> None:
    """Its create is in doubt: it may leave nothing."""
    assert decide(handing_over(is_host_down=True, incoming_id=None)).condemned == ()


@pytest.mark.parametrize(
    ("seen", "is_blamed"),
    [
        (account(0.0, age_s=37.0, empty_s=37.0), False),
        (account(0.0, age_s=ACCOUNT_STALE_S + 60.0, empty_s=ACCOUNT_STALE_S + 60.0), True),
        (account(0.01, age_s=25.0, empty_s=40.0), True),
    ],
)
def test_what_goes_down_while_the_latest_answer_says_empty_is_not_blamed(
    seen: AccountSeen, *, is_blamed: bool
) -> None:
    """Empty 37 s ago, down a second later: the next answer has not come yet."""
    world = replace(handing_over(is_host_down=False, down_s=36), account=seen)
    plan = decide(world)
    assert [each.instance_id for each in plan.condemned] == [905]
    assert bool(plan.quarantine) is is_blamed


def test_what_was_condemned_still_ends() -> None:
    world = a_world(
        a_record(),
        condemned=(a_condemned(next_try_at=ago(1)),),
        listing=a_listing(an_instance(state=MarketState.STOPPED, is_meant_to_run=False)),
        account=EMPTY,
    )
    assert any(isinstance(act, Destroy) for act in acts_in(decide(world)))


def test_a_stream_that_is_taken_away_ends_in_spite_of_an_empty_account() -> None:
    plan = decide(healthy_world(account=EMPTY), a_desire(a_stream("other")))
    assert any(each.reason is Reason.STREAM_REMOVED for each in plan.condemned)


def test_an_operator_who_orders_a_destroy_is_obeyed() -> None:
    world = stopped_hosts(account=EMPTY, orders=(an_order(OrderKind.DESTROY),))
    plan = decide(world)
    assert any(each.reason is Reason.OPERATOR_ASKED for each in plan.condemned)


def test_no_bid_is_raised_without_credit() -> None:
    stream = a_stream(
        needs=OfferNeeds(pricing=Pricing.INTERRUPTIBLE), spend_max_dollars_per_hour=10.0
    )
    for seen, bids in ((account(9.0), True), (EMPTY, False)):
        world = stopped_hosts(account=seen)
        record = world.records[SLOT]
        assert record.tenure is not None
        tenure = replace(
            record.tenure,
            is_bid=True,
            bid_dollars_per_hour=0.35,
            outbid_since=ago(1000),
        )
        row = an_instance(
            HOST,
            tenure.label,
            machine_id=tenure.machine_id,
            state=MarketState.STOPPED,
            is_meant_to_run=False,
            is_bid=True,
            min_bid_dollars_per_hour=0.45,
            disk_dollars_per_hour=0.06,
        )
        world = replace(
            world, records={SLOT: replace(record, tenure=tenure)}, listing=a_listing(row)
        )
        plan = decide(world, a_desire(stream))
        assert any(isinstance(act, Rebid) for act in acts_in(plan)) is bids


def test_a_stream_on_air_is_left_alone_by_an_empty_account() -> None:
    """The last seconds of credit still show a picture; nobody ends them early."""
    world = healthy_world(account=EMPTY)
    assert acts_in(decide(world)) == ()


# --- how long it lasts ------------------------------------------------------------------------------


def test_the_burn_counts_every_rental_of_the_account_and_what_stands_still_by_its_disk() -> None:
    tenure = a_tenure(traffic_dollars_per_hour=0.05)
    record = a_record(tenure)
    world = a_world(
        record,
        listing=a_listing(
            an_instance(dollars_per_hour=0.40, disk_dollars_per_hour=0.02),
            an_instance(901, dollars_per_hour=1.00, label="somebody else's"),
            an_instance(
                902,
                state=MarketState.STOPPED,
                dollars_per_hour=0.50,
                disk_dollars_per_hour=0.03,
            ),
        ),
    )
    assert burn_dollars_per_hour(world, world.records) == pytest.approx(0.40 + 0.05 + 1.00 + 0.03)
    assert burn_dollars_per_hour(a_world(record, listing=None), {}) is None


@pytest.mark.parametrize(
    ("seen", "burn", "expected_s"),
    [
        (account(10.0), 2.0, 18_000.0),
        (account(10.0), 0.0, inf),
        (account(0.0), 0.0, 0.0),
        (account(-1.0), 2.0, 0.0),
        (None, 2.0, None),
        (account(10.0), None, None),
    ],
)
def test_the_runway_is_what_is_left_by_what_burns(
    seen: AccountSeen | None, burn: float | None, expected_s: float | None
) -> None:
    assert runway_s(seen, burn) == expected_s


def test_a_bid_rental_that_starved_is_replaced_as_stopped_and_not_bid_for_again() -> None:
    stream = a_stream(needs=OfferNeeds(pricing=Pricing.INTERRUPTIBLE))
    world = stopped_hosts(account=account(9.0, empty_s=100.0))
    record = world.records[SLOT]
    assert record.tenure is not None
    tenure = replace(record.tenure, is_bid=True, bid_dollars_per_hour=0.35)
    world = replace(world, records={SLOT: replace(record, tenure=tenure)})
    plan = decide(world, a_desire(stream))
    assert [each.reason for each in plan.condemned] == [Reason.MARKET_STOPPED_IT]
