"""No history of ticks, crashes, clock steps and creates crosses a cap (I4, I6).

A small marketplace keeps its own books. Whatever happens to keeper, what they say stays below every cap
at every instant, and the ledger never says less than they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.decisions import Deploy, Destroy, Plan, Rent
from keeper.core.labels import parse
from keeper.core.meter import TOTAL, Meter, caught_up, day_of, reopened, shifted, spent
from keeper.core.model import (
    Condemned,
    Desired,
    Instance,
    InstanceId,
    Intent,
    IntentId,
    IntentKind,
    OfferId,
    Reading,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
    Subject,
    stream_of,
)
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from keeper.core.world import Listing, OfferBook, Outcome, OutcomeKind, World
from tests.builders import KEEPER_ID, NOW, a_desire, a_reading, a_stream, an_instance, an_offer

_HOUR_S = 3600.0
_TICK_S = 30.0
_PRICES = {OfferId(101): 0.6, OfferId(102): 1.1, OfferId(103): 2.0}
_GRAIN = 1e-6


@dataclass(slots=True)
class Market:
    """What really happens: rentals that bill, by the true time."""

    true_s: float = 0.0
    live: dict[InstanceId, tuple[str, float]] = field(default_factory=dict)  # label, $/h
    dollars: dict[tuple[str, StreamName], float] = field(default_factory=dict)
    made: int = 0
    deaf_s: float = 0.0  # until then no destroy is heard

    def bill(self, seconds: float, day: str) -> None:
        """Charge what lives for some time."""
        self.true_s += seconds
        for label, price in self.live.values():
            named = parse(label)
            assert named is not None
            for period in (day, TOTAL):
                key = (period, stream_of(named.slot))
                self.dollars[key] = self.dollars.get(key, 0.0) + price * seconds / _HOUR_S

    def spent(self, period: str, stream: StreamName | None = None) -> float:
        return sum(
            dollars
            for (when, whose), dollars in self.dollars.items()
            if when == period and stream in {None, whose}
        )

    def listing(self, at: datetime) -> Listing:
        return Listing(instances=tuple(self._rows()), at=at)

    def _rows(self) -> list[Instance]:
        return [
            an_instance(instance_id, label, dollars_per_hour=price, machine_id=instance_id)
            for instance_id, (label, price) in self.live.items()
        ]


@dataclass(slots=True)
class Keeper:
    """keeper's durable memory, and one process after the other on it."""

    market: Market
    desired: Desired
    off_s: float = 0.0  # of the wall clock, from the true time
    records: dict[SlotId, SlotRecord] = field(default_factory=dict)
    condemned: tuple[Condemned, ...] = ()
    intents: dict[IntentId, Intent] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)
    outcomes: list[Outcome] = field(default_factory=list)
    show: tuple[InstanceId, ...] = ()
    started_at: datetime = NOW
    quiet_s: float = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.market.true_s + self.off_s)

    def tick(self, *, dies: str = "") -> None:
        """Decide once; ``dies`` before the commit, or after it and before anything is done."""
        now = self.now()
        world = World(
            keeper_id=KEEPER_ID,
            records=dict(self.records),
            listing=self.market.listing(now),
            shown={each: None for each in self.show if each not in self.market.live},
            offers={
                stream.name: OfferBook(
                    offers=tuple(
                        an_offer(int(offer) - 100, dollars_per_hour=price)
                        for offer, price in _PRICES.items()
                    ),
                    at=now,
                )
                for stream in self.desired.streams
            },
            condemned=self.condemned,
            intents=tuple(self.intents.values()),
            outcomes=tuple(self.outcomes),
            readings=tuple(self._seen(now)),
            heard_at={(each, subject): now for each in self.market.live for subject in Subject},
            started_at=self.started_at,
            meter=self.meter,
        )
        plan = reconcile(world, self.desired, now)
        if dies == "before the commit":
            return
        self.commit(plan)
        if dies != "after the commit":
            self.execute(plan)

    def _seen(self, now: datetime) -> Iterator[Reading]:
        """Every host has its picture but each third, so that some are tried in vain."""
        for instance_id in self.market.live:
            is_lit = instance_id % 3 != 0
            picture = (Status.TRUE, Reason.LIVE) if is_lit else (Status.FALSE, Reason.FROZEN)
            for subject, (status, reason) in (
                (Subject.LINK, (Status.TRUE, Reason.LINK_UP)),
                (Subject.PROCESS, (Status.TRUE, Reason.PROCESS_UP)),
                (Subject.PICTURE, picture),
            ):
                reading = a_reading(subject, status, reason, instance_id=instance_id)
                yield replace(reading, at=now)

    def commit(self, plan: Plan) -> None:
        self.records |= {record.slot: record for record in plan.records}
        self.condemned = plan.condemned
        self.intents |= {intent.intent_id: intent for intent in plan.intents_opened}
        for intent_id in plan.intents_closed:
            self.intents.pop(intent_id, None)
        self.meter = plan.meter or self.meter
        self.outcomes.clear()
        self.show = plan.wants.show_ids

    def execute(self, plan: Plan) -> None:
        market = self.market
        for act in plan.acts:
            done, named = OutcomeKind.DONE, None
            if isinstance(act, Rent):
                market.made += 1
                named = InstanceId(9000 + market.made)
                market.live[named] = (act.label, _PRICES[act.offer_id])
                kind = IntentKind.RENT
            elif isinstance(act, Destroy):
                kind = IntentKind.DESTROY
                if market.true_s < market.deaf_s:
                    done = OutcomeKind.FAILED
                else:
                    market.live.pop(act.instance_id, None)
            elif isinstance(act, Deploy):
                kind = IntentKind.DEPLOY
            else:
                continue
            self.outcomes.append(
                Outcome(
                    intent_id=act.intent_id,
                    intent=kind,
                    kind=done,
                    slot=act.slot,
                    at=self.now(),
                    duration_s=0.1,
                    instance_id=named,
                    reason=Reason.BACKING_OFF if done is OutcomeKind.FAILED else None,
                )
            )

    def crash(self, down_s: float) -> None:
        """The process is gone with all that it had not written down; after a while there is another."""
        self.outcomes.clear()
        self.show = ()
        self.market.bill(down_s, day_of(self.now()))
        self.started_at = self.now()
        self.meter = reopened(self.meter, self.now())

    def step_clock(self, seconds: float) -> None:
        self.off_s += seconds
        self.meter = shifted(self.meter, seconds)
        self.started_at = self.now()


_STEPS = st.one_of(
    st.tuples(st.just("run"), st.sampled_from([1.0, 10.0, 40.0, 120.0])),  # minutes
    st.tuples(st.just("crash"), st.sampled_from([1.0, 60.0, 500.0])),  # seconds down
    st.tuples(st.sampled_from(["before the commit", "after the commit"]), st.just(5.0)),
    st.tuples(st.just("deaf"), st.sampled_from([30.0, 200.0])),
)
_CLOCK = st.tuples(st.just("clock"), st.sampled_from([-3600.0, 3600.0, -600.0]))


def play(keeper: Keeper, steps: list[tuple[str, float]]) -> None:
    market = keeper.market
    for what, number in steps:
        match what:
            case "run":
                for _ in range(max(1, round(number * 60 / _TICK_S))):
                    keeper.tick()
                    market.bill(_TICK_S, day_of(keeper.now()))
                    judge(keeper)
            case "crash":
                keeper.crash(number)
            case "clock":
                keeper.step_clock(number)
            case "deaf":
                market.deaf_s = market.true_s + number
            case _:
                keeper.tick(dies=what)
                keeper.crash(number)
        judge(keeper)


def judge(keeper: Keeper) -> None:
    market, fleet = keeper.market, keeper.desired.fleet
    ledger = caught_up(keeper.meter, keeper.now())
    true, counted = market.spent(TOTAL), spent(ledger, TOTAL).dollars
    assert counted >= true - _GRAIN, "the ledger must not say less than the bill"
    if fleet.spend_max_dollars_total is not None:
        assert true <= fleet.spend_max_dollars_total
    for stream in keeper.desired.streams:
        cap = stream.spend_max_dollars_per_day
        if cap is not None:
            assert market.spent(day_of(keeper.now()), stream.name) <= cap


@settings(max_examples=20)
@given(st.lists(_STEPS | _CLOCK, min_size=3, max_size=9))
def test_no_history_crosses_a_total(steps: list[tuple[str, float]]) -> None:
    desired = a_desire(
        a_stream(replicas=2, spend_max_dollars_per_hour=5.0),
        a_stream("turbo", spend_max_dollars_per_hour=5.0),
        spend_max_dollars_total=4.0,
    )
    keeper = Keeper(market=Market(), desired=desired)
    play(keeper, [*steps, ("run", 150.0)])
    assert spent(keeper.meter, TOTAL).dollars > 2.0  # and much of it was used


@settings(max_examples=20)
@given(st.sampled_from([0.0, 10.5, 11.8]), st.lists(_STEPS, min_size=3, max_size=9))
def test_no_history_crosses_a_day(hour: float, steps: list[tuple[str, float]]) -> None:
    """It begins at noon, or so that midnight comes within it."""
    desired = a_desire(
        a_stream(replicas=2, spend_max_dollars_per_day=3.0), a_stream("turbo", replicas=0)
    )
    keeper = Keeper(market=Market(true_s=hour * _HOUR_S), desired=desired)
    keeper.started_at = keeper.now()
    play(keeper, [*steps, ("run", 150.0)])


@settings(max_examples=15)
@given(st.lists(_STEPS, min_size=2, max_size=8))
def test_without_a_clock_that_leaps_the_ledger_is_the_bill(steps: list[tuple[str, float]]) -> None:
    """What is more is what was asked for and never made, and what was ended until it is confirmed."""
    desired = a_desire(a_stream(spend_max_dollars_per_hour=5.0))
    keeper = Keeper(market=Market(), desired=desired)
    play(keeper, [*steps, ("run", 150.0)])
    true = keeper.market.spent(TOTAL)
    counted = spent(caught_up(keeper.meter, keeper.now()), TOTAL).dollars
    doubts = sum(what == "after the commit" for what, _ in steps)
    ends = keeper.market.made - len(keeper.market.live) + 1
    slack = (doubts * 300.0 + ends * 300.0) * max(_PRICES.values()) / _HOUR_S
    assert true - _GRAIN <= counted <= true + slack
