"""What could not be put on a host on which nothing goes is not bad for that: the machine is, and once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.decisions import Deploy, Destroy, Plan
from keeper.core.events import RevisionAcquitted, RevisionBad, RevisionPardoned
from keeper.core.model import (
    ConditionKind,
    Desired,
    InstanceId,
    MachineId,
    Revision,
    SlotId,
    SlotRecord,
    Status,
    Tenure,
)
from keeper.core.moments import later
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.verdicts import sentence_of
from keeper.core.world import OrderKind, Outcome, OutcomeKind, World
from tests.builders import (
    DUEL,
    NOW,
    SLOT,
    a_book,
    a_condition,
    a_fresh_tenure,
    a_listing,
    a_quarantine,
    a_record,
    ago,
    all_heard,
    an_instance,
    an_offer,
    an_order,
    an_outcome,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
)
from tests.unit.core.test_rollout import NEW, OLD, PROVEN, TRIED, a_case, a_host, dark, put

BARE = conditions(
    deployed=(Status.FALSE, Reason.DEPLOY_FAILED),
    running=(Status.UNKNOWN, Reason.NOT_ASKED), streaming=(Status.UNKNOWN, Reason.NOT_ASKED),
)  # fmt: skip
BAD = replace(TRIED, bad_at=ago(40), bad_reason=Reason.DEPLOY_FAILED, bad_slot=SLOT)


def fresh(revision: str = OLD, failures: int = 2, **changes: Any) -> SlotRecord:
    """A host that is up, on which something could not be put; its slot was dark before the change."""
    tenure = a_fresh_tenure(
        listed_at=ago(90), running_at=ago(80), booted_at=ago(70), acted_at=ago(15),
        conditions=BARE, revision=revision, deploy_failures=failures,
    )  # fmt: skip
    tenure = replace(tenure, **changes)
    return a_record(tenure, ever_on_air=True, dark_since=ago(1000), proven_revision=OLD)


def neither(bad: Revision = BAD, **changes: Any) -> tuple[World, Desired]:
    """What is declared could not be put there, nor can what worked before."""
    return a_case(fresh(**changes), kept=(PROVEN, bad))


def verdict_after(plan: Plan) -> Revision:
    (_, declared) = plan.revisions[DUEL]
    return declared


def test_a_host_that_takes_neither_is_to_blame_and_not_the_change() -> None:
    """A good deploy stayed off the air until a person came (seed 2476 of any fleet)."""
    plan = decide(*neither())
    gone = decision_for(plan)
    assert isinstance(gone, Destroy)
    assert gone.reason is Reason.DEPLOY_FAILED
    assert plan.quarantine
    (told,) = events_of(plan, RevisionAcquitted)
    assert (told.slot, told.stream, told.revision) == (SLOT, DUEL, NEW)
    assert verdict_after(plan) == replace(TRIED, acquitted_at=NOW)


KEPT: list[tuple[str, dict[str, Any]]] = [
    ("what has failed on two machines", {"bad": replace(BAD, acquitted_at=ago(3000))}),
    ("what was put there, and showed no picture",
     {"bad": replace(BAD, bad_reason=Reason.NO_PICTURE_EVER)}),
    ("what failed on another slot", {"bad": replace(BAD, bad_slot=SlotId("duel/1"))}),
    ("what failed on the host before", {"bad": replace(BAD, bad_at=ago(103))}),
    ("a host that had shown a picture, and took what worked", {"first_live_at": ago(30)}),
]  # fmt: skip


@pytest.mark.parametrize("case", [row[1] for row in KEPT], ids=[row[0] for row in KEPT])
def test_a_verdict_stays_for(case: dict[str, Any]) -> None:
    plan = decide(*neither(**case))
    assert isinstance(decision_for(plan), Destroy)
    assert not events_of(plan, RevisionAcquitted)
    assert not plan.revisions


def test_a_verdict_stays_until_what_worked_was_tried_as_often() -> None:
    plan = decide(*neither(failures=1))
    act = decision_for(plan)
    assert isinstance(act, Deploy)
    assert act.revision == OLD
    assert not plan.revisions


@pytest.mark.parametrize(
    ("revision", "failures", "kept"), [(OLD, 1, BAD), (OLD, 2, BAD), (NEW, 0, TRIED)]
)
def test_a_host_that_nobody_reaches_any_more_says_nothing_about_a_change(
    revision: str, failures: int, kept: Revision
) -> None:
    """Its link goes before, or while, something is put there."""
    gone = a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED, for_s=400, bad=3)
    asked = (Status.UNKNOWN, Reason.NOT_ASKED)
    said = conditions(
        deployed=(Status.FALSE, Reason.NOT_DEPLOYED), reachable=gone, running=asked, streaming=asked
    )
    world, desired = neither(
        kept, revision=revision, failures=failures, conditions=said, requested_at=ago(700),
        booted_at=ago(600),
    )  # fmt: skip
    plan = decide(world, desired)
    act = decision_for(plan)
    assert isinstance(act, Destroy)
    assert act.reason is Reason.UNREACHABLE_TOO_LONG
    assert not plan.revisions


def test_a_sound_host_on_which_nothing_goes_any_more_speaks_against_the_change() -> None:
    """What worked was on air there a minute ago: what was changed may have broken it."""
    bad = replace(BAD, bad_at=ago(60))
    record = dark(put(a_host(0, OLD, putting=OLD, deploy_failures=2), 300.0))
    plan = decide(*a_case(record, kept=(PROVEN, bad)))
    assert not events_of(plan, RevisionAcquitted)


def test_a_person_who_has_looked_lets_it_all_begin_anew() -> None:
    world, desired = neither(bad=replace(BAD, acquitted_at=ago(3000)))
    plan = decide(replace(world, orders=(an_order(OrderKind.DEPLOY),)), desired)
    assert events_of(plan, RevisionPardoned)
    assert verdict_after(plan) == TRIED


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (BAD, f"revision new failed on duel/0: {SENTENCE[Reason.DEPLOY_FAILED]}"),
        (replace(TRIED, bad_at=ago(40)), f"revision new failed: {SENTENCE[Reason.BAD_DEPLOY]}"),
    ],
)
def test_a_verdict_says_what_failed_and_where(bad: Revision, said: str) -> None:
    """One of an earlier keeper may lack both."""
    assert sentence_of(bad) == said


# --- a tale -----------------------------------------------------------------------------------------


class _Broken:
    """Hosts, one after the other, and what can be put on each."""

    def __init__(self) -> None:
        self.world, self.desired = a_case(fresh(NEW, failures=0))
        self.now = NOW
        self.story: list[tuple[int, str]] = []  # on which host what was put, or why it went
        self.verdicts: list[str] = []
        self.number = 1

    def play(self, takes: dict[int, set[str]], steps: int) -> None:
        for _ in range(steps):
            self._step(takes)

    def _step(self, takes: dict[int, set[str]]) -> None:
        self.now = later(self.now, 15.0)
        plan = decide(self._seen(), self.desired, self.now)
        self.verdicts += [type(each).__name__ for each in plan.events if _is_verdict(each)]
        outcomes: tuple[Outcome, ...] = ()
        for act in plan.decisions:
            if isinstance(act, Deploy):
                is_taken = act.revision in takes.get(self.number, set())
                self.story.append((self.number, act.revision))
                kind = OutcomeKind.DONE if is_taken else OutcomeKind.FAILED
                (opened,) = plan.intents_opened
                outcomes = (an_outcome(opened, at=self.now, kind=kind, error="no room"),)
            elif isinstance(act, Destroy):
                self.story.append((self.number, act.reason.value))
        self.world = applied(self.world, plan, outcomes=outcomes, in_flight=frozenset())
        known = {**self.world.revisions, **plan.revisions}
        self.world = replace(
            self.world, condemned=(), in_flight_instances=frozenset(), revisions=known
        )
        record = self.world.records[SLOT]
        if record.tenure is None:
            self._next_host(record)

    def _seen(self) -> World:
        tenure = self.world.records[SLOT].tenure
        assert tenure is not None
        assert tenure.instance_id is not None
        one = an_instance(instance_id=tenure.instance_id, label=tenure.label)
        return replace(
            self.world,
            listing=replace(a_listing(one), at=self.now),
            heard_at=dict.fromkeys(all_heard(instance_id=tenure.instance_id), self.now),
            offers={DUEL: a_book(an_offer(20))},
        )

    def _next_host(self, record: SlotRecord) -> None:
        """It was rented for what the core said, and is up."""
        self.number += 1
        tenure = fresh(NEW, failures=0).tenure
        assert tenure is not None
        at = later(self.now, -20.0)
        rented: Tenure = replace(
            tenure, label=f"keeper:k1:duel/0:{self.number}", attempt=self.number,
            instance_id=InstanceId(8000 + self.number), machine_id=MachineId(900 + self.number),
            requested_at=at, rented_at=at, booting_since=at, listed_at=at, running_at=at,
            booted_at=at, acted_at=at,
        )  # fmt: skip
        records = {SLOT: replace(record, tenure=rented)}
        self.world = replace(self.world, records=records)


def _is_verdict(event: object) -> bool:
    return isinstance(event, RevisionBad | RevisionAcquitted)


def test_the_next_machine_may_show_that_the_change_is_good() -> None:
    tale = _Broken()
    tale.play({2: {NEW, OLD}}, steps=6)
    assert tale.story == [
        (1, NEW), (1, NEW), (1, OLD), (1, OLD), (1, "deploy_failed"), (2, NEW),
    ]  # fmt: skip
    assert tale.verdicts == ["RevisionBad", "RevisionAcquitted"]


def test_what_ruins_a_second_machine_is_bad_and_costs_no_third_one() -> None:
    tale = _Broken()
    tale.play({3: {OLD}}, steps=11)
    one = [NEW, NEW, OLD, OLD, "deploy_failed"]
    assert tale.story == [*((1, what) for what in one), *((2, what) for what in one), (3, OLD)]
    assert tale.verdicts == ["RevisionBad", "RevisionAcquitted", "RevisionBad"]


@pytest.mark.parametrize(
    ("kept", "strikes", "until_s"),
    [
        pytest.param(TRIED, 2, 21_600.0, id="it never worked anywhere"),
        pytest.param(replace(TRIED, proven_at=ago(5000)), 3, 604_800.0, id="it works elsewhere"),
    ],
)
def test_what_never_worked_cannot_tell_which_machine_is_bad(
    kept: Revision, strikes: int, until_s: float
) -> None:
    """Seed 6375 of any fleet: one workload that fails everywhere had all machines of the market avoided
    for a week, and another stream stayed dark for want of one.
    """
    record = replace(fresh(NEW), proven_revision="")
    assert record.tenure is not None
    machine_id = record.tenure.machine_id
    assert machine_id is not None
    world, desired = a_case(record, kept=(kept,))
    known = a_quarantine(machine_id, strikes=2, until=ago(60))
    plan = decide(replace(world, quarantine={machine_id: known}), desired)
    (struck,) = plan.quarantine
    assert (struck.strikes, struck.until) == (strikes, later(NOW, until_s))


def test_a_machine_that_breaks_is_avoided_for_longer_whatever_runs_there() -> None:
    """That its card is lost is no workload's doing."""
    host = dark(put(a_host(0, NEW), 300.0))
    assert host.tenure is not None
    no_card = conditions(
        has_gpu=(Status.FALSE, Reason.GPU_LOST), streaming=(Status.FALSE, Reason.FROZEN)
    )
    record = replace(host, tenure=replace(host.tenure, conditions=no_card), proven_revision="")
    world, desired = a_case(record, kept=(TRIED,))
    known = a_quarantine(MachineId(201), strikes=2, until=ago(60))
    plan = decide(replace(world, quarantine={MachineId(201): known}), desired)
    assert [each.strikes for each in plan.quarantine] == [3]
