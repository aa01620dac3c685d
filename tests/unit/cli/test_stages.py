"""What a person who waits for a stream is told, and when waiting is of no use."""

from dataclasses import replace

import pytest

from keeper.cli import stages
from keeper.cli.exit_codes import ExitCode
from keeper.core.model import ConditionKind, SlotId, SlotRecord, Status, Tenure
from keeper.core.reasons import Reason
from keeper.core.world import Snapshot
from tests.snapshots import (
    NOW,
    condemned,
    conditions,
    dark,
    hold,
    record,
    snapshot,
    stream,
    tenure,
    waiting,
)

SLOT = SlotId("duel/0")
VACANT = SlotRecord(slot=SLOT)
YOUNG = tenure(first_live_at=None, deployed_at=None, running_at=None, conditions=())


def seen_with(found: Tenure) -> Snapshot:
    return snapshot(SlotRecord(slot=SLOT, tenure=found))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (replace(YOUNG, instance_id=None), "renting offer 101 (RTX 4090, 0.420 $/h)"),
        (YOUNG, "instance 7001 is booting (RTX 4090, 0.420 $/h)"),
        (replace(YOUNG, running_at=NOW), "instance 7001 runs; waiting for SSH"),
        (
            replace(YOUNG, running_at=NOW, conditions=conditions()),
            "instance 7001: putting the workload on it",
        ),
        (
            replace(YOUNG, running_at=NOW, deployed_at=NOW, conditions=conditions()),
            "instance 7001: the workload warms up",
        ),
        (tenure(), "instance 7001 is on air"),
    ],
)
def test_each_stage_has_its_words(found: Tenure, words: str) -> None:
    assert stages.stage(seen_with(found), SLOT) == f"duel/0: {words}"


def test_a_vacant_slot_says_what_it_waits_for() -> None:
    seen = snapshot(VACANT, decisions=[waiting("duel/0", Reason.OFFERS_STALE)])
    assert stages.stage(seen, SLOT) == (
        "duel/0: the offers known are too old; asking for fresh ones"
    )


def test_a_dark_slot_says_why() -> None:
    assert stages.stage(snapshot(dark()), SLOT) == (
        "duel/0: instance 7001 is dark: frames arrive, but it is always the same frame"
    )


def test_on_air_is_what_the_viewer_sees_now() -> None:
    assert stages.is_on_air(snapshot(record()), SLOT)
    assert not stages.is_on_air(snapshot(dark()), SLOT)
    assert not stages.is_on_air(snapshot(VACANT), SLOT)
    unknown = tenure(conditions=conditions(streaming=(Status.UNKNOWN, Reason.SILENT)))
    assert not stages.is_on_air(seen_with(unknown), SLOT)
    assert ConditionKind.STREAMING in {each.kind for each in unknown.conditions}


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.NO_SUITABLE_OFFER, ExitCode.NOT_FOUND),
        (Reason.BUDGET, ExitCode.REFUSED),
        (Reason.PAUSED, ExitCode.REFUSED),
        (Reason.REPLACEMENTS_SPENT, ExitCode.REFUSED),
        (Reason.UNAUTHORIZED, ExitCode.UNAUTHORIZED),
        (Reason.OUT_OF_CREDIT, ExitCode.FAILED),
    ],
)
def test_waiting_is_given_up_when_a_person_must_act(reason: Reason, code: ExitCode) -> None:
    seen = snapshot(VACANT, decisions=[hold("duel/0", reason)])
    found = stages.hopeless_stream(seen, stream())
    assert found is not None
    assert found.code is code
    assert found.cure


@pytest.mark.parametrize("reason", [Reason.OFFERS_STALE, Reason.BACKING_OFF, Reason.OFFER_GONE])
def test_waiting_goes_on_when_time_helps(reason: Reason) -> None:
    assert stages.hopeless_stream(
        snapshot(VACANT, decisions=[hold("duel/0", reason)]), stream()
    ) is (None)


def test_waiting_goes_on_while_something_is_rented() -> None:
    seen = snapshot(record(), decisions=[hold("duel/0", Reason.BUDGET)])
    assert stages.hopeless_stream(seen, stream()) is None


def test_nothing_is_given_up_while_a_failed_host_may_still_be_billed() -> None:
    """A provision once ended with the last host's destroy sent and nobody left to confirm it."""
    held = [hold("duel/0", Reason.REPLACEMENTS_SPENT)]
    seen = snapshot(VACANT, decisions=held, condemned=(condemned(),))
    assert stages.hopeless_stream(seen, stream()) is None
    assert stages.stage_of_stream(seen, stream()) == "duel: confirming that instance 7009 is gone"
    on_air = snapshot(record(), condemned=(condemned(),))
    assert not stages.is_settled(on_air, stream())
    assert stages.is_settled(snapshot(record(), condemned=(condemned(slot="sd/0"),)), stream())
