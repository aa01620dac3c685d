"""Whole lives of a slot, tick by tick, against a market and a host that do as they are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from keeper.core.decisions import Deploy, Destroy, Plan, Reboot, Rent, Restart
from keeper.core.model import (
    Desired,
    Instance,
    InstanceId,
    IntentKind,
    MarketState,
    Reading,
    Rung,
    Status,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from keeper.core.world import Listing, OfferBook, Order, OrderKind, Outcome, OutcomeKind, World
from tests.builders import KEEPER_ID, NOW, SLOT, a_desire, an_instance, an_offer, applied


class Life:
    """A world that answers: every act succeeds at once, every rental boots in 40 s."""

    def __init__(self, desired: Desired | None = None) -> None:
        self.desired = desired or a_desire()
        self.now = NOW
        self.world = World(keeper_id=KEEPER_ID, records={}, started_at=NOW)
        self.rentals: dict[InstanceId, tuple[Instance, datetime]] = {}
        self.next_id = 9000
        self.picture = Status.TRUE
        self.picture_of: dict[InstanceId, Status] = {}
        self.process_reason = Reason.PROCESS_UP
        self.link = Status.TRUE
        self.is_listed = True
        self.told: list[str] = []
        self.acts: list[str] = []
        self.costs: list[int] = []
        self.heals_on: str = "restart"
        self.readings: list[Reading] = []
        self.shown: dict[InstanceId, Instance | None] = {}

    def tick(self, seconds: float = 5.0, orders: tuple[Order, ...] = ()) -> Plan:
        self.now += timedelta(seconds=seconds)
        self._look()
        world = replace(self.world, orders=orders)
        plan = reconcile(world, self.desired, self.now)
        self.told += [event.name for event in plan.events]
        self.world = applied(world, plan, offers={}, readings=(), in_flight=frozenset())
        self._act(plan)
        self._fetch(plan)
        self.costs.append(len(self.rentals))
        return plan

    def run(self, seconds: float) -> None:
        ends_at = self.now + timedelta(seconds=seconds)
        while self.now < ends_at:
            self.tick()

    def _look(self) -> None:
        readings, heard = [], dict(self.world.heard_at)
        for record in self.world.records.values():
            for tenure in (record.tenure, record.incoming):
                if tenure is None or tenure.instance_id is None:
                    continue
                instance_id = tenure.instance_id
                if tenure.running_at is not None:
                    readings += self._inside(instance_id)
                if tenure.deployed_at is not None:
                    readings.append(self._picture(instance_id))
        for reading in readings:
            heard[reading.instance_id, reading.subject] = reading.at
        listing = self.world.listing
        if self.is_listed:
            listing = Listing(
                instances=tuple(self._instance(i) for i in sorted(self.rentals)), at=self.now
            )
        self.world = replace(
            self.world, readings=tuple(readings), heard_at=heard, listing=listing, shown=self.shown
        )
        self.shown = {}

    def _instance(self, instance_id: InstanceId) -> Instance:
        instance, made_at = self.rentals[instance_id]
        is_up = self.now - made_at > timedelta(seconds=40)
        return replace(instance, state=MarketState.RUNNING if is_up else MarketState.PENDING)

    def _inside(self, instance_id: InstanceId) -> list[Reading]:
        reason = Reason.LINK_UP if self.link is Status.TRUE else Reason.DIAL_REFUSED
        found = [self._reading(instance_id, Subject.LINK, self.link, reason)]
        if self.link is Status.TRUE:
            status = Status.TRUE if self.process_reason is Reason.PROCESS_UP else Status.FALSE
            found.append(
                self._reading(
                    instance_id, Subject.PROCESS, status, self.process_reason, is_certain=True
                )
            )
        return found

    def _picture(self, instance_id: InstanceId) -> Reading:
        status = self.picture_of.get(instance_id, self.picture)
        reason = Reason.LIVE if status is Status.TRUE else Reason.FROZEN
        return self._reading(instance_id, Subject.PICTURE, status, reason)

    def _reading(
        self, instance_id: InstanceId, subject: Subject, status: Status, reason: Reason, **more: Any
    ) -> Reading:
        return Reading(
            instance_id=instance_id, subject=subject, status=status, reason=reason, at=self.now,
            **more,
        )  # fmt: skip

    def _act(self, plan: Plan) -> None:
        outcomes = []
        for act in plan.acts:
            instance_id: InstanceId | None = getattr(act, "instance_id", None)
            kind: IntentKind
            match act:
                case Rent():
                    self.next_id += 1
                    instance_id = InstanceId(self.next_id)
                    self.rentals[instance_id] = (
                        an_instance(
                            instance_id, act.label, machine_id=act.machine_id,
                            dollars_per_hour=act.dollars_per_hour,
                        ),
                        self.now,
                    )  # fmt: skip
                    kind = IntentKind.RENT
                case Deploy():
                    kind = IntentKind.DEPLOY
                case Restart():
                    kind = IntentKind.RESTART
                case Reboot():
                    kind = IntentKind.REBOOT
                case Destroy():
                    kind = IntentKind.DESTROY
                    self.rentals.pop(act.instance_id, None)
                case _:
                    continue
            name = act.rung.value if isinstance(act, Restart) else act.name
            self.acts.append(name)
            if name == self.heals_on:
                self.picture, self.process_reason = Status.TRUE, Reason.PROCESS_UP
            outcomes.append(
                Outcome(
                    intent_id=act.intent_id, intent=kind, kind=OutcomeKind.DONE, slot=act.slot,
                    at=self.now, duration_s=1.0, instance_id=instance_id,
                )
            )  # fmt: skip
        self.world = replace(self.world, outcomes=tuple(outcomes), in_flight_instances=frozenset())

    def _fetch(self, plan: Plan) -> None:
        wants = plan.wants
        if wants.offers_for:
            offers = tuple(an_offer(number) for number in range(1, 9))
            book = OfferBook(offers=offers, at=self.now)
            self.world = replace(self.world, offers=dict.fromkeys(wants.offers_for, book))
        for instance_id in wants.show_ids:
            self.shown[instance_id] = (
                self._instance(instance_id) if instance_id in self.rentals else None
            )


def on_air() -> Life:
    life = Life()
    life.run(180)
    assert life.acts == ["rent", "deploy"]
    assert life.world.records[SLOT].tenure is not None
    assert life.world.records[SLOT].last_reason is Reason.HEALTHY
    return life


def test_brings_a_new_slot_on_air_with_two_acts() -> None:
    life = on_air()
    assert "stream.on_air" in life.told
    assert "stream.dark" not in life.told


def test_restarts_a_frozen_picture_and_tells_one_incident() -> None:
    life = on_air()
    life.picture, life.heals_on = Status.FALSE, Rung.RESTART_PROCESS.value
    life.run(120)
    assert life.acts[2:] == ["restart_process"]
    assert life.told.count("incident.opened") == life.told.count("incident.closed") == 1
    assert life.told.count("stream.on_air") == 2


def test_climbs_every_rung_and_then_replaces_the_host() -> None:
    life = on_air()
    life.picture, life.heals_on = Status.FALSE, "nothing"
    first = life.world.records[SLOT].tenure
    life.picture_of = {InstanceId(9002): Status.TRUE}
    life.run(1500)
    assert life.acts[2:] == [
        "restart_process", "restart_process", "restart_process", "restart_workload", "reboot",
        "deploy", "destroy", "rent", "deploy",
    ]  # fmt: skip
    record = life.world.records[SLOT]
    assert record.last_reason is Reason.HEALTHY
    assert record.tenure is not None
    assert first is not None
    assert record.tenure.machine_id != first.machine_id
    assert max(life.costs) == 1
    assert life.world.condemned == ()
    assert life.told.count("incident.opened") == life.told.count("incident.closed") == 1


def test_replaces_a_host_that_vanishes_from_the_market() -> None:
    life = on_air()
    life.rentals.clear()
    life.picture, life.link = Status.FALSE, Status.FALSE
    life.run(60)
    life.picture, life.link = Status.TRUE, Status.TRUE
    life.run(240)
    assert "instance.gone" in life.told
    assert [act for act in life.acts if act in {"rent", "destroy"}] == ["rent", "rent"]
    assert life.world.records[SLOT].last_reason is Reason.HEALTHY


def test_hands_over_without_a_dark_moment_when_ordered() -> None:
    life = on_air()
    order = Order(
        order_id="o", kind=OrderKind.REPLACE, slot=SLOT, actor="ada", reason="", at=life.now
    )
    life.tick(orders=(order,))
    life.run(300)
    assert life.acts[2:] == ["rent", "deploy", "destroy"]
    assert "stream.dark" not in life.told
    assert max(life.costs) == 2
    record = life.world.records[SLOT]
    assert record.incoming is None
    assert record.tenure is not None
    assert record.tenure.instance_id == 9002
    assert record.replace_asked_at is None


def test_an_ordered_destroy_leaves_nothing_behind_and_no_incident() -> None:
    life = on_air()
    order = Order(
        order_id="o", kind=OrderKind.DESTROY, slot=SLOT, actor="ada", reason="", at=life.now
    )
    life.desired = replace(life.desired, streams=())
    life.tick(orders=(order,))
    life.run(120)
    assert life.acts[2:] == ["destroy"]
    assert life.rentals == {}
    assert life.world.condemned == ()
    assert "incident.opened" not in life.told


def test_an_empty_listing_that_failed_costs_nothing() -> None:
    life = on_air()
    life.is_listed = False
    life.world = replace(life.world, unreadable_since=life.now, unreadable_error="502")
    life.run(600)
    assert life.acts == ["rent", "deploy"]
