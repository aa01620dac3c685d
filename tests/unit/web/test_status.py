"""What a person reads about a snapshot."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from keeper.core.conditions import after_reboot
from keeper.core.decisions import Decision
from keeper.core.meter import TOTAL, Meter, Tally, day_ends_at, day_of
from keeper.core.model import (
    Condition,
    ConditionKind,
    Desired,
    HostId,
    Incident,
    Instance,
    InstanceId,
    MachineId,
    OfferId,
    Remedy,
    RemedyUse,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    Subject,
    Symptom,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.world import AccountSeen, Listing, Pause, Snapshot
from keeper.web.explain import explain
from keeper.web.shapes import HostStatus
from keeper.web.status import plan_of, slot_status, status_of
from keeper.web.tone import Tone
from tests.snapshots import (
    NOW,
    ago,
    condemned,
    conditions,
    dark,
    hold,
    instance,
    picture,
    record,
    snapshot,
    stream,
    tenure,
    waiting,
)

SLOT = SlotId("duel/0")
NEW = record(ever_on_air=False, healthy_since=None, tenure=None)
BOOTING = tenure(booted_at=None, deployed_at=None, warm_at=None, first_live_at=None, conditions=())
INSTALLING = replace(BOOTING, booted_at=ago(minutes=1))
WARMING = replace(INSTALLING, deployed_at=ago(minutes=1))
UNSEEN = conditions(streaming=(Status.UNKNOWN, Reason.SILENT))

GONE_TO_A_BIDDER = tenure(is_bid=True, outbid_since=ago(seconds=9), conditions=UNSEEN)

# sentence, record, decision, (state, tone, on air)
ROWS: list[tuple[str, SlotRecord, Decision, tuple[str, Tone, bool]]] = [
    ("well", record(), waiting(SLOT), ("On air", Tone.GOOD, True)),
    (
        "on air while nobody can look",
        record(tenure=tenure(conditions=UNSEEN)),
        waiting(SLOT, Reason.UNKNOWN_IS_NOT_UNHEALTHY),
        ("On air, not confirmed", Tone.WARN, True),
    ),
    (
        "handing over",
        record(incoming=tenure(2, first_live_at=None)),
        waiting(SLOT, Reason.HANDOVER),
        ("On air, changing host", Tone.WARN, True),
    ),
    (
        "sick and still on air",
        record(
            incident=Incident(
                incident_id="i", opened_at=NOW, reason=Reason.STUTTERING, dark_since=None
            )
        ),
        waiting(SLOT, Reason.NOT_ENOUGH_EVIDENCE),
        ("On air, in repair", Tone.WARN, True),
    ),
    ("dark", dark(), waiting(SLOT, Reason.BACKING_OFF), ("Dark, in repair", Tone.BAD, False)),
    (
        "dark and without a host",
        dark(tenure=None),
        waiting(SLOT, Reason.VACANT),
        ("Dark, looking for a host", Tone.BAD, False),
    ),
    ("new", NEW, waiting(SLOT, Reason.OFFERS_STALE), ("Looking for a host", Tone.WORK, False)),
    (
        "no offer",
        replace(NEW, offer_misses=3),
        waiting(SLOT, Reason.NO_SUITABLE_OFFER),
        ("No suitable offer", Tone.WARN, False),
    ),
    (
        "asked for",
        replace(NEW, tenure=replace(BOOTING, instance_id=None)),
        waiting(SLOT, Reason.CREATE_UNSETTLED),
        ("Renting a host", Tone.WORK, False),
    ),
    (
        "booting",
        replace(NEW, tenure=BOOTING),
        waiting(SLOT, Reason.BOOTING),
        ("Its host is booting", Tone.WORK, False),
    ),
    (
        "installing",
        replace(NEW, tenure=INSTALLING),
        waiting(SLOT, Reason.ACT_IN_FLIGHT),
        ("Installing the workload", Tone.WORK, False),
    ),
    (
        "warming up",
        replace(NEW, tenure=WARMING),
        waiting(SLOT, Reason.WARMING_UP),
        ("Warming up", Tone.WORK, False),
    ),
    (
        "outbid and dark",
        dark(tenure=tenure(is_bid=True, outbid_since=ago(minutes=1))),
        waiting(SLOT, Reason.OUTBID),
        ("Dark, outbid", Tone.BAD, False),
    ),
    (
        "outbid while nobody has missed the picture yet",
        record(tenure=tenure(is_bid=True, outbid_since=ago(seconds=1))),
        waiting(SLOT, Reason.OUTBID),
        ("Outbid", Tone.BAD, False),
    ),
    (
        "outbid, and a viewer saw the picture since",
        record(tenure=tenure(is_bid=True, outbid_since=ago(seconds=5))),
        waiting(SLOT, Reason.OUTBID),
        ("On air, outbid", Tone.WARN, True),
    ),
    (
        "outbid, and nobody sees a picture any more",
        record(tenure=GONE_TO_A_BIDDER),
        waiting(SLOT, Reason.OUTBID),
        ("Outbid", Tone.BAD, False),
    ),
    (
        "outbid before it ever ran",
        replace(NEW, tenure=replace(BOOTING, is_bid=True, outbid_since=ago(minutes=1))),
        waiting(SLOT, Reason.OUTBID),
        ("Outbid", Tone.WARN, False),
    ),
    (
        "the contract ends soon",
        record(tenure=tenure(ending_since=ago(minutes=1))),
        waiting(SLOT),
        ("On air, contract ending", Tone.WARN, True),
    ),
    (
        "held before it ever ran",
        replace(NEW, tenure=None),
        hold(SLOT, Reason.BUDGET),
        ("May not rent", Tone.WARN, False),
    ),
]


@pytest.mark.parametrize(
    ("given", "decision", "expected"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_says_how_a_slot_is(
    given: SlotRecord, decision: Decision, expected: tuple[str, Tone, bool]
) -> None:
    reading = picture()  # of four seconds ago
    latest = {(reading.instance_id, reading.subject): reading}
    found = slot_status(snapshot(given, decisions=[decision], latest=latest), SLOT, NOW)
    assert found is not None
    assert (found.state, found.tone, found.is_on_air) == expected
    assert found.why


def test_a_hold_says_what_it_refused_and_why() -> None:
    found = slot_status(
        snapshot(dark(), decisions=[hold(SLOT, Reason.REPLACEMENTS_SPENT, "replace")]), SLOT, NOW
    )
    assert found is not None
    assert found.why == (
        "would replace, but the replacement allowance is used up; a person must look"
    )
    assert found.decision is not None
    assert found.decision.wanted == "replace"


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([], "No stream is declared."),
        ([record()], "The stream is on air."),
        ([record(), record("duel/1")], "All 2 streams are on air."),
        ([record(), dark("duel/1")], "1 of 2 on air; duel/1 dark."),
        (
            [record(), dark("duel/1"), replace(NEW, slot=SlotId("duel/2"))],
            "1 of 3 on air; duel/1 dark; 1 on the way.",
        ),
        (
            [record(), replace(NEW, slot=SlotId("duel/1"), offer_misses=3)],
            "1 of 2 on air; 1 without a host.",
        ),
        (
            [record(), record("duel/1", tenure=GONE_TO_A_BIDDER), dark("duel/2")],
            "1 of 3 on air; duel/2 dark; duel/1 outbid.",
        ),
        (  # known from the list, while the viewer's last look is still a good one
            [record(tenure=tenure(is_bid=True, outbid_since=ago(seconds=1))), record("duel/1")],
            "1 of 2 on air; duel/0 outbid.",
        ),
        (
            [dark(f"duel/{n}") for n in range(5)],
            "0 of 5 on air; duel/0, duel/1, duel/2 and 2 more dark.",
        ),
    ],
)
def test_says_the_fleet_in_one_sentence(records: list[SlotRecord], sentence: str) -> None:
    assert status_of(snapshot(*records), NOW).sentence == sentence


def test_a_slot_that_is_held_without_a_host_is_not_on_its_way() -> None:
    held = replace(NEW, slot=SlotId("duel/1"))
    pause = Pause(since=NOW, until=None, actor="ada", reason="")
    fleet = status_of(snapshot(record(), held, slot_pauses={held.slot: pause}), NOW)
    assert fleet.sentence == "1 of 2 on air; 1 paused."


def test_orders_slots_as_people_count() -> None:
    fleet = status_of(snapshot(*(record(f"duel/{n}") for n in (10, 2, 0))), NOW)
    assert [slot.slot for slot in fleet.streams[0].slots] == ["duel/0", "duel/2", "duel/10"]


def full() -> Snapshot:
    return snapshot(
        dark(
            remedies=(RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(minutes=3)),),
            replaced_at=(ago(hours=1),),
        ),
        record("duel/1", incoming=tenure(2)),
        condemned=(condemned(), condemned(10, None)),
        orphans_known=frozenset({InstanceId(5)}),
        pause=Pause(since=ago(minutes=1), until=None, actor="ada", reason="x"),
        fuses=(Reason.PAUSED,),
        latest={(InstanceId(7001), Subject.PICTURE): picture(1)},
    )


def test_counts_what_is_paid_for() -> None:
    fleet = status_of(full(), NOW)
    # Three listed rentals at 0.45 and two condemned ones at 0.50.
    assert fleet.dollars_per_hour == pytest.approx(3 * 0.45 + 2 * 0.5)
    assert fleet.tone is Tone.BAD
    assert [each.reason for each in fleet.fuses] == ["paused"]
    assert fleet.orphans[0].instance_id == 5
    assert fleet.pause is not None


LISTED: dict[str, Any] = {
    "gpu_ram_gb": 24.564,
    "disk_gb": 118.0,
    "gpu_dollars_per_hour": 0.40,
    "disk_dollars_per_hour": 0.05,
}


def shown_host(given: Tenure, listed: Instance | None) -> HostStatus:
    """Show a rental as status does."""
    built = snapshot(record(tenure=given))
    listing = Listing(instances=(listed,) if listed is not None else (), at=NOW)
    found = slot_status(replace(built, world=replace(built.world, listing=listing)), SLOT, NOW)
    assert found is not None
    assert found.host is not None
    return found.host


def test_shows_the_parts_of_a_price_as_they_are_listed() -> None:
    host = shown_host(tenure(traffic_dollars_per_hour=0.07), instance(**LISTED))
    assert host.dollars_per_hour == 0.45
    assert (host.gpu_dollars_per_hour, host.disk_dollars_per_hour) == (0.40, 0.05)
    assert host.traffic_dollars_per_hour == 0.07
    assert (host.gpu_ram_gb, host.disk_gb) == (24.564, 118.0)
    assert not host.is_bid


def test_parts_that_are_not_told_are_not_made_up() -> None:
    host = shown_host(tenure(), instance())
    assert (host.gpu_dollars_per_hour, host.disk_dollars_per_hour) == (None, None)
    assert host.gpu_ram_gb is None
    assert host.disk_gb == 120, "as it was asked for"
    unlisted = shown_host(tenure(), None)
    assert unlisted.dollars_per_hour == 0.42, "as it was decided upon"


def test_what_was_rented_is_remembered_without_a_listing() -> None:
    """Nobody may be looking: after a one-shot provision, or while keeper is down."""
    host = shown_host(tenure(gpu_ram_gb=24.564, disk_dollars_per_hour=0.04), None)
    assert host.gpu_ram_gb == 24.564
    assert host.gpu_dollars_per_hour == pytest.approx(0.38)
    assert host.disk_dollars_per_hour == pytest.approx(0.04)


def test_a_bid_is_shown_as_one_with_what_it_would_take_now() -> None:
    listed = instance(is_bid=True, min_bid_dollars_per_hour=0.5)
    host = shown_host(tenure(is_bid=True, bid_dollars_per_hour=0.4), listed)
    assert host.is_bid
    assert host.gpu_dollars_per_hour == 0.4
    assert host.disk_dollars_per_hour == pytest.approx(0.05)
    assert host.min_bid_dollars_per_hour == 0.5


@pytest.mark.parametrize(
    ("given", "hours"),
    [
        ({}, (6.0, 5.95, 5.8)),
        ({"rented_at": None}, (0.0, 0.0, 0.0)),
        ({"running_at": None, "first_live_at": None}, (6.0, 0.0, 0.0)),
        ({"outbid_since": ago(hours=1)}, (6.0, 4.95, 4.8)),
        ({"rented_at": NOW, "running_at": NOW, "first_live_at": NOW}, (0.0, 0.0, 0.0)),
    ],
    ids=["runs", "asked for", "loads", "outbid", "new"],
)
def test_estimates_what_was_spent_by_what_is_billed_in_each_state(
    given: dict[str, Any], hours: tuple[float, float, float]
) -> None:
    """The disk from the create on, the GPU while it runs, the viewers' traffic once it was on air."""
    host = shown_host(tenure(traffic_dollars_per_hour=0.07, **given), instance(**LISTED))
    disk, gpu, live = hours
    assert host.spent_dollars == pytest.approx(disk * 0.05 + gpu * 0.40 + live * 0.07)


def test_what_earlier_runs_cost_stays_spent() -> None:
    """A reboot and a won bid begin a new run, and the sum on the screen must not go back."""
    before = tenure(dollars_per_hour=0.45, disk_dollars_per_hour=0.05)
    after = after_reboot(before, NOW)
    running = replace(after, running_at=NOW)
    spent = shown_host(before, instance(**LISTED)).spent_dollars
    assert shown_host(after, instance(**LISTED)).spent_dollars == pytest.approx(spent)
    assert shown_host(running, instance(**LISTED)).spent_dollars == pytest.approx(spent)
    outbid = after_reboot(replace(before, outbid_since=ago(hours=1)), NOW)
    assert shown_host(outbid, instance(**LISTED)).spent_dollars == pytest.approx(spent - 0.40)


def test_traffic_counts_as_the_budget_counts_it() -> None:
    given = snapshot(record(tenure=tenure(traffic_dollars_per_hour=0.07)))
    fleet = status_of(given, NOW)
    assert fleet.dollars_per_hour == pytest.approx(0.45 + 0.07)
    assert fleet.streams[0].dollars_per_hour == pytest.approx(0.45 + 0.07)


@pytest.mark.parametrize(
    ("spendable", "runway_h", "is_low"),
    [(45.0, 100.0, False), (4.5, 10.0, True), (0.0, 0.0, True), (-3.0, 0.0, True)],
)
def test_says_how_long_the_credit_lasts(spendable: float, runway_h: float, is_low: bool) -> None:
    seen = AccountSeen(spendable_dollars=spendable, at=NOW)
    account = status_of(snapshot(record(), account=seen), NOW).account
    assert account is not None
    assert account.dollars_per_hour == pytest.approx(0.45)
    assert account.runway_s == pytest.approx(runway_h * 3600)
    assert account.empty_at == NOW + timedelta(seconds=account.runway_s or 0)
    assert account.is_low is is_low


def test_runway_counts_from_when_the_account_was_asked() -> None:
    seen = AccountSeen(spendable_dollars=4.5, at=ago(hours=1))
    account = status_of(snapshot(record(), account=seen), NOW).account
    assert account is not None
    assert account.runway_s == pytest.approx(9 * 3600)


def test_an_account_without_rentals_lasts_for_ever() -> None:
    seen = AccountSeen(spendable_dollars=4.5, at=NOW)
    account = status_of(snapshot(account=seen), NOW).account
    assert account is not None
    assert (account.dollars_per_hour, account.runway_s, account.is_low) == (0.0, None, False)
    unlisted = status_of(snapshot(account=seen, listing=None), NOW).account
    assert unlisted is not None
    assert (unlisted.dollars_per_hour, unlisted.runway_s) == (None, None)
    assert status_of(snapshot(record()), NOW).account is None


def test_names_the_rentals_that_are_not_keepers() -> None:
    built = snapshot(record())
    assert built.world.listing is not None
    rows = (
        *built.world.listing.instances,
        instance(80, label="training"),
        instance(81, label=""),
        instance(82, label="keeper:other:duel/0:1"),
    )
    world = replace(built.world, listing=replace(built.world.listing, instances=rows))
    others = status_of(replace(built, world=world), NOW).others
    assert others is not None
    assert others.instance_ids == (7080, 7081)
    assert others.dollars_per_hour == pytest.approx(0.9)
    assert status_of(built, NOW).others is None


def test_mutes_what_a_louder_alert_says() -> None:
    fleet = status_of(snapshot(dark(), decisions=[hold(SLOT, Reason.REPLACEMENTS_SPENT)]), NOW)
    assert {a.name: a.is_muted for a in fleet.alerts} == {
        "KeeperStreamDark": False,
        "KeeperSlotHeld": True,
    }


def test_shapes_are_json() -> None:
    for value in (status_of(full(), NOW), plan_of(full()), explain(full(), SLOT, NOW)):
        assert orjson.loads(orjson.dumps(value))


def test_remote_text_is_plain_in_every_field() -> None:
    evil = "\x1b[2J\u202e<b>"
    given = snapshot(
        record(
            tenure=tenure(
                gpu_name=evil,
                machine_id=MachineId(1),
                host_id=HostId(1),
                offer_id=OfferId(1),
            )
        ),
        unreadable_since=ago(hours=1),
        unreadable_error=evil,
        pause=Pause(since=NOW, until=None, actor=evil, reason=evil),
    )
    evil_instance = replace(
        instance(), label=evil, status_text=evil, public_ip=evil, geolocation=evil
    )
    listing = given.world.listing
    assert listing is not None
    world = replace(
        given.world,
        listing=replace(listing, instances=(evil_instance,)),
        orphans_known=frozenset({evil_instance.instance_id}),
    )
    text = orjson.dumps(status_of(replace(given, world=world), NOW)).decode()
    assert "\\u001b" not in text
    assert "\u202e" not in text


def test_explains_readings_and_what_is_left_of_each_allowance() -> None:
    found = explain(full(), SLOT, NOW)
    assert found is not None
    assert [reading.subject for reading in found.readings] == [Subject.PICTURE]
    left = {allowed.name: (allowed.used, allowed.limit) for allowed in found.allowances}
    assert left["restart_process"] == (1, 3)
    assert left["reboot"] == (0, 1)
    assert left["replacements of the stream"] == (1, 5)
    assert left["dollars per hour of the fleet"][1] == 10.0
    restarts = next(a for a in found.allowances if a.name == "restart_process")
    assert restarts.more_at is not None
    assert restarts.more_at > NOW


def test_says_what_was_tried_before_a_person_is_asked() -> None:
    symptom = Symptom(code="deaf", sentence="no sound", remedy=Remedy.RESTART_PROCESS)
    working = Condition(
        kind=ConditionKind.WORKING, status=Status.FALSE, reason=Reason.SYMPTOM, since=NOW,
        symptom=symptom,
    )  # fmt: skip
    tried = RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(minutes=3), symptom="deaf")
    deaf = dark(remedies=(tried,))
    assert deaf.tenure is not None
    deaf = replace(deaf, tenure=replace(deaf.tenure, conditions=(working,)))
    found = slot_status(
        snapshot(deaf, decisions=[hold(SLOT, Reason.NEEDS_PERSON, "repair")]), SLOT, NOW
    )
    assert found is not None
    said = "keeper spends nothing on it (tried: restarted the process once)"
    assert found.why.endswith(said)
    assert found.decision is not None
    assert found.decision.because.endswith(said)


def test_knows_no_slot_that_is_not_there() -> None:
    assert explain(full(), SlotId("duel/9"), NOW) is None
    assert slot_status(full(), SlotId("nope/0"), NOW) is None


def test_a_stream_that_was_removed_is_shown_until_it_has_ended() -> None:
    fleet = status_of(snapshot(record(), desired=Desired(streams=(stream("new"),))), NOW)
    shown = {each.stream: each.is_declared for each in fleet.streams}
    assert shown == {"new": True, "duel": False}


def test_plan_lists_every_decision_with_its_reason() -> None:
    given = snapshot(dark(), decisions=[hold(SLOT, Reason.BUDGET), waiting(SLOT)])
    plan = plan_of(given)
    assert [(each.decision, each.reason) for each in plan.decisions] == [
        ("hold", "budget"),
        ("wait", "healthy"),
    ]
    assert all(each.because for each in plan.decisions)


def test_explains_what_is_left_of_each_cap_and_when_it_is_free_again() -> None:
    seen = full()
    streams = tuple(replace(s, spend_max_dollars_per_day=5.0) for s in seen.desired.streams)
    fleet = replace(seen.desired.fleet, spend_max_dollars_total=90.0)
    ledger = Meter(
        metered_at=NOW,
        tallies={period: {streams[0].name: Tally(dollars=4.0)} for period in (day_of(NOW), TOTAL)},
    )
    seen = replace(
        seen,
        desired=replace(seen.desired, streams=streams, fleet=fleet),
        world=replace(seen.world, meter=ledger),
    )
    found = explain(seen, SLOT, NOW)
    assert found is not None
    left = {
        allowed.name: (allowed.used, allowed.limit, allowed.more_at) for allowed in found.allowances
    }
    assert left["dollars of the stream this day"] == (4.0, 5.0, day_ends_at(NOW))
    assert left["dollars of the fleet"] == (4.0, 90.0, None)
