"""A tiny honest market for the small worlds: what was asked is done, fails, or is done unheard.

It feeds a plan's result back, tick after tick, with evidence that never changes. Whatever does not come
to rest then is keeper's own doing. It keeps the ledger that the promises about rest are read from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from keeper.core.decisions import Act, Destroy, Plan, Rent
from keeper.core.model import (
    Desired,
    Instance,
    InstanceId,
    IntentKind,
    MachineId,
    OfferId,
    Reading,
    SlotId,
    Status,
    Subject,
    Tenure,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from keeper.core.world import Listing, OfferBook, Outcome, OutcomeKind, World
from tests.builders import NOW, an_instance, applied
from tests.property.small_worlds import (
    STREAM,
    Health,
    Host,
    Shown,
    Small,
    build,
)

HORIZON_S = 7.0 * 3600.0
_STEP_MIN_S, _STEP_MAX_S = 5.0, 300.0
_RESTED_S = 3900.0
_KINDS = {
    "rent": IntentKind.RENT, "deploy": IntentKind.DEPLOY, "restart": IntentKind.RESTART,
    "reboot": IntentKind.REBOOT, "rebid": IntentKind.REBID, "destroy": IntentKind.DESTROY,
}  # fmt: skip


class Fate(StrEnum):
    """What becomes of every act, for ever."""

    DONE = "done"
    FAILED = "failed"  # refused, and so it says
    UNHEARD = "unheard"  # done, but the answer is lost
    LOST = "lost"  # not done, and no answer


@dataclass(frozen=True, slots=True)
class Tale:
    """A small world, what becomes of every act in it, and what every later host is like."""

    start: Small
    fate: Fate
    next_health: Health


@dataclass(slots=True)
class Told:
    """One tick of a tale."""

    at: datetime
    plan: Plan
    live: int  # rentals of ours that bill
    on_air: bool  # every slot has a serving host that shows a picture


@dataclass(slots=True)
class Ledger:
    """What the marketplace and the hosts have seen."""

    ticks: list[Told] = field(default_factory=list)
    rented: list[tuple[datetime, SlotId]] = field(default_factory=list)  # rentals that came to be
    acts: list[tuple[datetime, Act]] = field(default_factory=list)


class Market:
    """The rentals there are, and the witnesses' view of them."""

    def __init__(self, tale: Tale, world: World) -> None:
        self.tale = tale
        assert world.listing is not None
        self.listed: dict[InstanceId, Instance] = {
            row.instance_id: row for row in world.listing.instances
        }
        self.skipped = {i: row for i, row in world.shown.items() if row is not None}
        self.health: dict[InstanceId, Health] = {}
        for slot, record in world.records.items():
            place = tale.start.slots[int(slot.rpartition("/")[2])]
            for seated, what in ((record.tenure, place.serving), (record.incoming, place.incoming)):
                if seated is not None and seated.instance_id is not None:
                    assert isinstance(what, Host)
                    is_there = what.shown is not Shown.GONE
                    self.health[seated.instance_id] = what.health if is_there else Health.UNKNOWN
        self.ours = {i for i, row in self.listed.items() if row.label.startswith("keeper:k1:")}
        self.ours |= set(self.skipped)
        self.number = 0
        self.ledger = Ledger()

    def carry_out(self, plan: Plan, at: datetime) -> tuple[Outcome, ...]:
        """Do what a plan asks, as the tale has it, and answer."""
        return tuple(
            self._answer(act, at) for act in plan.acts if act.name in _KINDS and act.name != "adopt"
        )

    def _answer(self, act: Act, at: datetime) -> Outcome:
        self.ledger.acts.append((at, act))
        fate = self.tale.fate
        made: InstanceId | None = None
        if fate in (Fate.DONE, Fate.UNHEARD):
            made = self._effect(act, at)
        kind = {Fate.DONE: OutcomeKind.DONE, Fate.FAILED: OutcomeKind.FAILED}.get(
            fate, OutcomeKind.UNCERTAIN
        )
        is_rent = isinstance(act, Rent)
        named = None if is_rent else getattr(act, "instance_id", None)
        return Outcome(
            intent_id=act.intent_id,  # type: ignore[union-attr]
            intent=_KINDS[act.name],
            kind=kind,
            slot=act.slot,
            at=later(at, 1.0),
            duration_s=1.0,
            instance_id=made if fate is Fate.DONE and is_rent else named,
            error="" if fate is Fate.DONE else fate.value,
        )

    def _effect(self, act: Act, at: datetime) -> InstanceId | None:
        if isinstance(act, Rent):
            self.number += 1
            made = InstanceId(20_000 + self.number)
            self.listed[made] = an_instance(
                made, act.label, machine_id=act.machine_id, dollars_per_hour=act.dollars_per_hour,
                disk_dollars_per_hour=0.05, started_at=at,
            )  # fmt: skip
            self.health[made] = self.tale.next_health
            self.ours.add(made)
            self.ledger.rented.append((at, act.slot))
            return made
        if isinstance(act, Destroy):
            self.listed.pop(act.instance_id, None)
            self.skipped.pop(act.instance_id, None)
            self.ours.discard(act.instance_id)
        return None

    def seen(self, world: World, plan: Plan, at: datetime) -> World:
        """Show the world what is there at a moment."""
        known = {**self.skipped, **self.listed}
        before = later(at, -1.0)
        readings: list[Reading] = []
        heard: dict[tuple[InstanceId, Subject], datetime] = {}
        for record in world.records.values():
            for seated in (record.tenure, record.incoming):
                if seated is None or seated.instance_id is None:
                    continue
                for reading in self._readings(seated, seated.instance_id, before):
                    readings.append(reading)
                    heard[reading.instance_id, reading.subject] = reading.at
        book = world.offers[STREAM]
        # Whatever was rented from it, the market stays as it is: other machines, the same prices.
        offers = tuple(
            replace(
                offer,
                offer_id=OfferId(1000 + 10 * self.number + number),
                machine_id=offer.machine_id
                if offer.machine_id in world.quarantine and offer.machine_id < 300
                else MachineId(5000 + 10 * self.number + number),
            )
            for number, offer in enumerate(book.offers)
        )
        return replace(
            world,
            listing=Listing(instances=tuple(self.listed.values()), at=before),
            shown={i: known.get(i) for i in plan.wants.show_ids},
            offers={STREAM: OfferBook(offers=offers, at=before)},
            readings=tuple(readings),
            heard_at=heard,
        )

    def _readings(self, seated: Tenure, instance_id: InstanceId, at: datetime) -> Iterator[Reading]:
        health = self.health.get(instance_id, Health.UNKNOWN)
        if health is Health.UNKNOWN:
            return
        yield _reading(instance_id, Subject.LINK, Status.TRUE, Reason.LINK_UP, at)
        if seated.deployed_at is None:
            return
        yield _reading(instance_id, Subject.PROCESS, Status.TRUE, Reason.PROCESS_UP, at)
        is_good = health is Health.GOOD
        status, reason = (Status.TRUE, Reason.LIVE) if is_good else (Status.FALSE, Reason.FROZEN)
        for back in (2.0, 1.0, 0.0):
            when = at - timedelta(seconds=back / 10.0)
            yield _reading(instance_id, Subject.PICTURE, status, reason, when)

    def has_rested(self, now: datetime) -> bool:
        """Whether nothing but "all is well" was said for more than an hour."""
        for told in reversed(self.ledger.ticks):
            if any(each.reason is not Reason.HEALTHY for each in told.plan.decisions):
                return False
            if elapsed_s(told.at, now) > _RESTED_S:
                return True
        return False

    def is_on_air(self, world: World) -> bool:
        return all(
            record.tenure is not None
            and record.tenure.instance_id is not None
            and record.tenure.deployed_at is not None
            and self.health.get(record.tenure.instance_id) is Health.GOOD
            and record.tenure.instance_id in {**self.listed, **self.skipped}
            for record in world.records.values()
        )


def _reading(
    instance_id: InstanceId, subject: Subject, status: Status, reason: Reason, at: datetime
) -> Reading:
    return Reading(
        instance_id=instance_id, subject=subject, status=status, reason=reason, at=at,
        identity="41:1" if subject is Subject.PROCESS else "",
    )  # fmt: skip


def tell(tale: Tale, horizon_s: float = HORIZON_S) -> tuple[Ledger, Desired]:
    """Live through a tale and return what was seen."""
    world, desired = build(tale.start)
    market = Market(tale, world)
    now, end = NOW, later(NOW, horizon_s)
    while now < end:
        plan = reconcile(world, desired, now)
        outcomes = market.carry_out(plan, now)
        world = applied(world, plan, in_flight=frozenset(), in_flight_instances=frozenset())
        market.ledger.ticks.append(
            Told(
                at=now,
                plan=plan,
                live=len(market.ours),
                on_air=market.is_on_air(world),
            )
        )
        if market.has_rested(now):
            break  # all is well, and nothing that changes is left
        step_s = _STEP_MIN_S
        if not plan.acts:
            wake_at = plan.next_check_at or later(now, _STEP_MAX_S)
            step_s = min(max((wake_at - now).total_seconds(), _STEP_MIN_S), _STEP_MAX_S)
            if plan.wants.listing_by is not None:
                step_s = min(step_s, desired.fleet.list_interval_s)
        now = later(now, step_s)
        seen_at = {i: world.orphans_seen_at.get(i, later(now, -40.0)) for i in world.orphans_known}
        world = replace(market.seen(world, plan, now), outcomes=outcomes, orphans_seen_at=seen_at)
    return market.ledger, desired
