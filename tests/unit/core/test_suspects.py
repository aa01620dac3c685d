"""From failures to a fuse, a rank and a hold: what keeper does about a common cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from keeper.core.events import CauseCleared, CauseNamed, FuseTripped
from keeper.core.model import (
    ConditionKind,
    Desired,
    Failure,
    HostId,
    InstanceId,
    MachineId,
    RemedyUse,
    Rung,
    SlotId,
    SlotRecord,
    Status,
)
from keeper.core.reasons import Reason
from keeper.core.world import OrderKind, World
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
    a_book,
    a_condition,
    a_desire,
    a_quarantine,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_offer,
    an_order,
    applied,
    bad_pictures,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
)

SLOTS = 10
SPENT = tuple(
    RemedyUse(rung=rung, at=ago(400 + n))
    for n, rung in enumerate((*[Rung.RESTART_PROCESS] * 3, Rung.RESTART_WORKLOAD, Rung.REBOOT))
)


def slot(number: int) -> SlotId:
    return SlotId(f"duel/{number}")


def a_host(number: int, **changes: object) -> SlotRecord:
    """One of many slots, on air, each on a machine of another owner."""
    tenure = a_tenure(
        label=f"keeper:k1:duel/{number}:1", instance_id=InstanceId(HOST + number),
        machine_id=MachineId(200 + number), host_id=HostId(300 + number),
        network=f"10.{number}.0.0/16", driver="560.1", region=f"R{number}",
    )  # fmt: skip
    return a_record(replace(tenure, **changes), slot=slot(number))  # type: ignore[arg-type]


def frozen(number: int, for_s: float = 240.0, reason: Reason = Reason.FROZEN) -> SlotRecord:
    """The same, dark for so long, with every cheaper remedy used up."""
    bad = a_condition(ConditionKind.STREAMING, Status.FALSE, reason, for_s=for_s, bad=3)
    record = a_host(number, conditions=conditions(streaming=bad), acted_at=ago(for_s))
    failure = Failure(
        label=record.tenure.label if record.tenure else "", machine_id=MachineId(200 + number),
        at=ago(for_s), reason=reason, traits={"owner": str(300 + number)},
    )  # fmt: skip
    return replace(record, dark_since=ago(for_s), remedies=SPENT, failures=(failure,))


def a_fleet(*sick: SlotRecord, **changes: object) -> tuple[World, Desired]:
    """Ten slots, the first of which are these; the others are well."""
    records = [*sick, *(a_host(number) for number in range(len(sick), SLOTS))]
    desired = a_desire(
        a_stream(replicas=SLOTS, spend_max_dollars_per_hour=50.0), spend_max_dollars_per_hour=50.0
    )
    world = a_world(*records, offers={DUEL: a_book(an_offer(50))}, **changes)
    return world, desired


# --- the fuse ---------------------------------------------------------------------------------------

BURSTS = [
    ("one sick host of ten is replaced", [frozen(0)], "replace"),
    ("two with the same fault at once suspect one cause", [frozen(0), frozen(1)], "hold"),
    ("five minutes apart is still at once", [frozen(0), frozen(1, 540)], "hold"),
    ("longer apart is chance", [frozen(0), frozen(1, 541)], "replace"),
    ("another fault is another cause", [frozen(0), frozen(1, 240, Reason.BLACK)], "replace"),
]


@pytest.mark.parametrize(
    ("sick", "what"), [row[1:] for row in BURSTS], ids=[row[0] for row in BURSTS]
)
def test_the_same_fault_on_two_hosts_stops_what_destroys(sick: list[SlotRecord], what: str) -> None:
    world, desired = a_fleet(*sick)
    plan = decide(world, desired)
    assert (Reason.COMMON_CAUSE in plan.fuses) is (what == "hold")
    assert bool(plan.condemned) is (what == "replace")
    if what == "hold":
        assert decision_for(plan, slot(0)).reason is Reason.COMMON_CAUSE


def test_a_host_given_up_a_minute_ago_still_counts() -> None:
    """A bad deploy would else take one host after the other, each alone at its time."""
    gone = frozen(1, 200)
    gone = replace(gone, tenure=None, replaced_at=(ago(20),), next_rent_at=NOW + timedelta(hours=1))
    world, desired = a_fleet(frozen(0), gone)
    plan = decide(world, desired)
    assert plan.fuses == (Reason.COMMON_CAUSE,)
    assert plan.condemned == ()


def test_the_fuse_lets_a_process_be_restarted() -> None:
    """Nothing destructive; a restart may be the cure."""
    sick = [replace(frozen(number), remedies=()) for number in range(2)]
    world, desired = a_fleet(*sick)
    plan = decide(replace(world, readings=bad_pictures()), desired)
    assert plan.fuses == (Reason.COMMON_CAUSE,)
    assert decision_for(plan, slot(0)).name == "restart"


def test_the_fuse_says_what_they_share() -> None:
    alike = [
        replace(each, failures=(replace(each.failures[0], traits={"owner": "7", "image": "x"}),))
        for each in (frozen(0), frozen(1))
    ]
    world, desired = a_fleet(*alike)
    (told,) = events_of(decide(world, desired), FuseTripped)
    assert told.detail == (
        "duel/0, duel/1 failed alike within minutes; they share owner 7,"
        " image x (no healthy host to compare)"
    )


def test_one_of_them_is_treated_after_a_while() -> None:
    """A quarter of an hour after the second one failed, to the second."""
    world, desired = a_fleet(frozen(0, 900), frozen(1, 910))
    plan = decide(world, desired)
    assert plan.fuses == (Reason.COMMON_CAUSE,)
    assert [each.slot for each in plan.condemned] == [slot(1)]  # sick the longest
    after = applied(world, plan)
    assert decision_for(decide(after, desired), slot(0)).reason is Reason.COMMON_CAUSE


def test_others_are_not_held_for_ever() -> None:
    world, desired = a_fleet(frozen(0, 1000), frozen(1, 1010), frozen(2, 950, Reason.BLACK))
    desired = replace(desired, fleet=replace(desired.fleet, mass_failure_ratio=0.5))
    plan = decide(world, desired)
    assert slot(2) in {each.slot for each in plan.condemned}


def test_a_host_that_goes_dark_is_remembered_with_its_deepest_fault() -> None:
    world, desired = a_fleet()
    gone = (Status.FALSE, Reason.PROCESS_GONE)
    record = a_host(0, conditions=conditions(running=gone), driver="550.9")
    world = replace(world, records={**world.records, slot(0): record}, readings=bad_pictures())
    (failure,) = record_after(world, decide(world, desired), slot(0)).failures
    assert failure.reason is Reason.PROCESS_GONE
    assert failure.traits["driver"] == "550.9"
    assert failure.at == NOW


# --- what is named is avoided -----------------------------------------------------------------------


def a_bad_owner(count: int = 3) -> list[SlotRecord]:
    """Vacant slots whose hosts were all of owner 301, an hour ago and ten minutes apart."""
    return [
        replace(
            frozen(number, 3600 + 600 * number), tenure=None, dark_since=ago(3600),
            failures=(
                Failure(
                    label=f"keeper:k1:duel/{number}:1", machine_id=MachineId(200 + number),
                    at=ago(3600 + 600 * number), reason=Reason.FROZEN,
                    traits={"owner": "350", "driver": "560.1"},
                ),
            ),
        )
        for number in range(count)
    ]  # fmt: skip


def test_a_bad_owner_is_ranked_last_and_told() -> None:
    world, desired = a_fleet(*a_bad_owner())
    cheap, dear = an_offer(50), an_offer(51, dollars_per_hour=1.5)
    assert cheap.host_id == 350
    plan = decide(replace(world, offers={DUEL: a_book(cheap, dear)}), desired)
    rent = decision_for(plan, slot(0))
    assert (rent.name, getattr(rent, "offer_id", None)) == ("rent", dear.offer_id)
    (told,) = events_of(plan, CauseNamed)
    assert told.trait == "owner"
    assert "owner 350: 3 of 3 failed hosts, 0 of 7 healthy ones" in told.detail
    assert [each.trait.value for each in plan.causes] == ["owner"]


def test_a_suspect_is_taken_when_there_is_nobody_else() -> None:
    """A wrong name must never empty the market."""
    world, desired = a_fleet(*a_bad_owner())
    plan = decide(world, desired)
    rent = decision_for(plan, slot(0))
    assert (rent.name, getattr(rent, "offer_id", None)) == ("rent", an_offer(50).offer_id)


def test_a_machine_that_failed_is_no_witness_for_its_owner() -> None:
    """A host that came back after a restart would else acquit the owner of all three."""
    world, desired = a_fleet(*a_bad_owner())
    back = a_host(9, host_id=HostId(350), machine_id=MachineId(200))
    world = replace(world, records={**world.records, slot(9): back})
    assert [each.trait.value for each in decide(world, desired).causes] == ["owner"]


def test_a_cause_is_told_once_and_forgotten_with_its_failures() -> None:
    world, desired = a_fleet(*a_bad_owner())
    after = applied(world, decide(world, desired))
    assert events_of(decide(after, desired), CauseNamed) == []
    later = NOW + timedelta(seconds=21_600 - 3600)
    (cleared,) = events_of(decide(after, desired, now=later), CauseCleared)
    assert (cleared.trait, cleared.detail) == ("owner", "350")


def test_the_order_of_the_slots_does_not_matter() -> None:
    world, desired = a_fleet(*a_bad_owner())
    backwards = replace(world, records=dict(reversed(list(world.records.items()))))
    assert decide(world, desired).causes == decide(backwards, desired).causes


# --- a bad deploy -----------------------------------------------------------------------------------


def deployed(*, proven: str = "r1", failed: tuple[str, ...] = ("r2", "r2")) -> SlotRecord:
    """A vacant slot that was long on air with one revision, and whose hosts then failed."""
    failures = tuple(
        Failure(
            label=f"keeper:k1:duel/0:{number + 2}", machine_id=MachineId(900 + number),
            at=ago(3000 - 600 * number), reason=Reason.PROCESS_GONE, traits={"revision": revision},
        )
        for number, revision in enumerate(failed)
    )  # fmt: skip
    return a_record(
        attempt=4, ever_on_air=True, dark_since=ago(600), failures=failures, proven_revision=proven
    )


DEPLOYS = [
    ("two hosts of a new revision failed: no third one", deployed(), "r2", Reason.BAD_DEPLOY),
    ("one that failed may be a bad host", deployed(failed=("r2",)), "r2", Reason.VACANT),
    (
        "the revision that worked is not to blame",
        deployed(failed=("r1", "r1")),
        "r1",
        Reason.VACANT,
    ),
    ("nothing worked before: not a deploy that broke it", deployed(proven=""), "r2", Reason.VACANT),
    ("a newer revision has not failed yet", deployed(), "r3", Reason.VACANT),
    ("the old one is back", deployed(), "r1", Reason.VACANT),
]


@pytest.mark.parametrize(
    ("record", "revision", "reason"), [row[1:] for row in DEPLOYS], ids=[row[0] for row in DEPLOYS]
)
def test_a_bad_deploy_costs_one_replacement(
    record: SlotRecord, revision: str, reason: Reason
) -> None:
    world = a_world(record, offers={DUEL: a_book(an_offer(1))})
    decision = decision_for(decide(world, a_desire(a_stream(revision=revision))))
    assert decision.reason is reason
    assert decision.name == ("hold" if reason is Reason.BAD_DEPLOY else "rent")


def test_a_host_of_a_bad_deploy_is_kept_for_a_person_to_look_at() -> None:
    record = frozen(0, 400)
    tenure = replace(record.tenure, revision="r2") if record.tenure else None
    record = replace(record, tenure=tenure, proven_revision="r1", failures=deployed().failures)
    plan = decide(a_world(record), a_desire(a_stream(revision="r2")))
    assert decision_for(plan).reason is Reason.BAD_DEPLOY
    assert plan.condemned == ()


def test_a_host_that_never_served_failed_for_what_it_was_given_up_for() -> None:
    """Seen in the whole daemon: five hosts in a row were called stopped on purpose."""
    stopped = (Status.FALSE, Reason.PROCESS_STOPPED_ON_PURPOSE)
    tenure = a_tenure(
        deployed_at=None, first_live_at=None, warm_at=None, deploy_failures=2, revision="r2",
        conditions=conditions(running=stopped, streaming=(Status.UNKNOWN, Reason.NOT_ASKED)),
    )  # fmt: skip
    world = a_world(a_record(tenure, ever_on_air=False))
    (failure,) = record_after(world, decide(world)).failures
    assert (failure.reason, failure.traits["revision"]) == (Reason.DEPLOY_FAILED, "r2")


def test_a_bad_deploy_is_told_once_with_the_revision_that_worked() -> None:
    desired = a_desire(a_stream(revision="r2"))
    world = a_world(deployed(), offers={DUEL: a_book(an_offer(1))})
    plan = decide(world, desired)
    (told,) = events_of(plan, CauseNamed)
    assert (told.trait, told.detail) == (
        "deploy", "revision r2 of duel failed on 2 machines; r1 worked before",
    )  # fmt: skip
    assert events_of(decide(applied(world, plan), desired), CauseNamed) == []


def test_one_bad_machine_is_no_bad_deploy() -> None:
    record = deployed()
    record = replace(
        record, failures=tuple(replace(f, machine_id=MachineId(1)) for f in record.failures)
    )
    world = a_world(record, offers={DUEL: a_book(an_offer(1))})
    assert decision_for(decide(world, a_desire(a_stream(revision="r2")))).name == "rent"


def test_what_happened_to_the_host_is_not_blamed_on_its_workload() -> None:
    """Two hosts that vanish while a new revision is on them say nothing about it."""
    record = deployed()
    vanished = tuple(replace(f, reason=Reason.MARKET_SAYS_DEAD) for f in record.failures)
    world = a_world(replace(record, failures=vanished), offers={DUEL: a_book(an_offer(1))})
    assert decision_for(decide(world, a_desire(a_stream(revision="r2")))).name == "rent"


def test_who_orders_a_replacement_has_looked() -> None:
    world = a_world(
        deployed(), offers={DUEL: a_book(an_offer(1))}, orders=(an_order(OrderKind.REPLACE),)
    )
    plan = decide(world, a_desire(a_stream(revision="r2")))
    assert decision_for(plan).name == "rent"
    assert record_after(world, plan).failures == ()


def test_a_revision_is_proven_by_half_an_hour_on_air() -> None:
    record = a_record(a_tenure(revision="r1"), healthy_since=ago(1790))
    world = a_world(record)
    plan = decide(world)
    assert record_after(world, plan).proven_revision == ""
    assert plan.next_check_at == NOW + timedelta(seconds=10)
    later = decide(world, now=NOW + timedelta(seconds=10))
    assert record_after(world, later).proven_revision == "r1"


def test_a_deploy_says_which_revision_it_is() -> None:
    from keeper.core.decisions import Deploy

    tenure = a_tenure(
        deployed_at=None, first_live_at=None, warm_at=None,
        conditions=conditions(streaming=(Status.UNKNOWN, Reason.NOT_ASKED)),
    )  # fmt: skip
    world = a_world(a_record(tenure, ever_on_air=False))
    plan = decide(world, a_desire(a_stream(revision="r9")))
    assert any(isinstance(each, Deploy) for each in plan.decisions)
    after = record_after(world, plan, SLOT).tenure
    assert after is not None
    assert after.revision == "r9"


# --- too many at once -------------------------------------------------------------------------------


def a_fleet_of(slots: int, sick: int, ratio: float = 0.2) -> tuple[World, Desired]:
    """So many slots; the sick ones fell at different times, each with a fault of its own."""
    reasons = (Reason.FROZEN, Reason.BLACK, Reason.NO_BYTES, Reason.CORRUPT, Reason.HTTP_ERROR)
    bad = [frozen(n, 240 + 400.0 * n, reasons[n % len(reasons)]) for n in range(sick)]
    records = [*bad, *(a_host(n) for n in range(sick, slots))]
    desired = a_desire(
        a_stream(replicas=slots, spend_max_dollars_per_hour=500.0),
        spend_max_dollars_per_hour=500.0, mass_failure_ratio=ratio,
    )  # fmt: skip
    return a_world(*records), desired


# slots, the most that may be sick: max(1, ceil(20 %))
EDGES = [(1, 1), (2, 1), (4, 1), (5, 1), (6, 2), (10, 2), (11, 3), (15, 3), (16, 4), (20, 4)]


@pytest.mark.parametrize(("slots", "most"), EDGES)
def test_the_most_that_may_be_sick_is_a_fifth_rounded_up(slots: int, most: int) -> None:
    for sick in range(min(slots, most + 1) + 1):
        plan = decide(*a_fleet_of(slots, sick))
        assert (Reason.MASS_FAILURE in plan.fuses) is (sick > most), sick


def test_a_ratio_of_nothing_still_lets_one_be_sick() -> None:
    for sick, is_held in ((1, False), (2, True)):
        plan = decide(*a_fleet_of(10, sick, ratio=0.0))
        assert (Reason.MASS_FAILURE in plan.fuses) is is_held


def test_of_one_slot_one_may_be_sick_for_ever() -> None:
    """A fleet of one would otherwise never be repaired."""
    plan = decide(*a_fleet_of(1, 1))
    assert plan.fuses == ()
    assert plan.condemned != ()


@pytest.mark.parametrize(
    ("changes", "fuse"),
    [
        ({"unreadable_since": ago(91), "unreadable_error": "502"}, Reason.MARKET_UNREADABLE),
        ({"own_network": Status.FALSE}, Reason.OWN_NETWORK_DOWN),
    ],
)
def test_who_cannot_see_ends_nothing_and_says_so(changes: dict[str, object], fuse: Reason) -> None:
    world, desired = a_fleet_of(10, 1)
    assert decide(world, desired).condemned != ()
    blind = replace(world, **changes)  # type: ignore[arg-type]
    plan = decide(
        replace(blind, listing=world.listing and replace(world.listing, at=ago(91))), desired
    )
    assert fuse in plan.fuses
    assert plan.condemned == ()
    assert [each.reason for each in events_of(plan, FuseTripped)] == [fuse]


# --- quarantine decays ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "until_s", "strikes"),
    [
        (None, 21_600, 1),
        (1, 86_400, 2),
        (2, 604_800, 3),
        (7, 604_800, 8),
    ],
    ids=["the first time 6 h", "the second 24 h", "the third 7 d", "and no longer than that"],
)
def test_a_machine_is_avoided_for_longer_each_time(
    before: int | None, until_s: float, strikes: int
) -> None:
    world, desired = a_fleet(frozen(0))
    machine = MachineId(200)
    if before is not None:
        known = a_quarantine(200, strikes=before, until=ago(60))
        world = replace(world, quarantine={machine: known})
    (struck,) = decide(world, desired).quarantine
    assert (struck.machine_id, struck.strikes, struck.until) == (machine, strikes, ahead(until_s))


@pytest.mark.parametrize(("ended_s", "is_pardoned"), [(604_799, False), (604_800, True)])
def test_a_machine_that_stayed_away_for_the_longest_time_begins_anew(
    ended_s: float, is_pardoned: bool
) -> None:
    world, desired = a_fleet()
    world = replace(world, quarantine={MachineId(9): a_quarantine(9, until=ago(ended_s))})
    assert bool(decide(world, desired).quarantine_forgotten) is is_pardoned
