"""What a person who waits for a stream is told, and when waiting is of no use."""

from dataclasses import replace

import pytest

from keeper.cli import stages
from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.stages import Step
from keeper.core.model import (
    ConditionKind,
    InstanceId,
    MachineId,
    OfferId,
    SlotId,
    SlotRecord,
    Status,
    Subject,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.world import Listing, SearchRefused, Snapshot
from keeper.web.shapes import SlotStatus
from keeper.web.status import status_of
from tests.snapshots import (
    NOW,
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
DARK = (Status.FALSE, Reason.FROZEN)
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
        (Reason.MAINTENANCE_WINDOW, ExitCode.REFUSED),
        (Reason.SUGGEST_ONLY, ExitCode.REFUSED),
        (Reason.BAD_DEPLOY, ExitCode.REFUSED),
        (Reason.UNAUTHORIZED, ExitCode.UNAUTHORIZED),
        (Reason.OUT_OF_CREDIT, ExitCode.FAILED),
        (Reason.SEARCH_QUOTA_SPENT, ExitCode.TRY_AGAIN),
    ],
)
def test_waiting_is_given_up_when_a_person_must_act(reason: Reason, code: ExitCode) -> None:
    seen = snapshot(VACANT, decisions=[hold("duel/0", reason)])
    found = stages.hopeless_stream(seen, stream())
    assert found is not None
    assert found.code is code
    assert found.cure


@pytest.mark.parametrize("where", ["search", "create"])
def test_a_refused_key_is_told_with_what_it_lacks(where: str) -> None:
    said = "Unauthorized: HTTP 403; give the key the right instance_write"
    vacant = replace(VACANT, rent_reason=Reason.UNAUTHORIZED, rent_detail=said)
    refused = SearchRefused(reason=Reason.UNAUTHORIZED, until=None, error=said)
    held = [hold("duel/0", Reason.UNAUTHORIZED)]
    seen = (
        snapshot(VACANT, decisions=held, search_refused=refused)
        if where == "search"
        else snapshot(vacant, decisions=held)
    )
    found = stages.hopeless_stream(seen, stream())
    assert found is not None
    assert said in found.what


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


def test_what_was_on_air_when_the_last_keeper_looked_is_looked_at_again() -> None:
    """A provision once ended before the first listing, and knew no address to connect to."""
    seen = {(InstanceId(7001), Subject.PICTURE): picture()}
    frozen = {key: replace(each, status=Status.FALSE) for key, each in seen.items()}
    fresh = snapshot(record(), latest=seen)
    assert stages.is_seen(fresh, stream())
    assert stages.stage_of_stream(fresh, stream()) == "duel/0: instance 7001 is on air"
    for stale in (
        snapshot(record()),
        snapshot(record(), latest=frozen),
        snapshot(record(), latest=seen, listing=None),
    ):
        assert stages.is_settled(stale, stream())
        assert not stages.is_seen(stale, stream())
        assert stages.stage_of_stream(stale, stream()) == (
            "duel: every slot was on air; looking again"
        )
    two = snapshot(record(), record("duel/1", tenure=tenure(2)), latest=seen)
    assert not stages.is_seen(two, stream(replicas=2))


# --- what a running keeper shows --------------------------------------------------------------------


def shown(seen: Snapshot) -> SlotStatus:
    return status_of(seen, NOW).streams[0].slots[0]


@pytest.mark.parametrize(
    ("found", "at"),
    [
        (replace(YOUNG, instance_id=None), Step.RENTING),
        (YOUNG, Step.BOOTING),
        (replace(YOUNG, running_at=NOW), Step.REACHING),
        (replace(YOUNG, running_at=NOW, conditions=conditions()), Step.DEPLOYING),
        (
            replace(YOUNG, running_at=NOW, deployed_at=NOW, conditions=conditions()),
            Step.WARMING,
        ),
        (tenure(), Step.ON_AIR),
        (
            replace(tenure(), outbid_since=NOW, conditions=conditions(streaming=DARK)),
            Step.OUTBID,
        ),
        (replace(tenure(), conditions=conditions(streaming=DARK)), Step.DARK),
    ],
)
def test_a_step_is_the_same_from_a_snapshot_and_from_the_api(found: Tenure, at: Step) -> None:
    seen = seen_with(found)
    assert stages.step(seen, SLOT) is at
    assert stages.step_shown(shown(seen)) is at
    # The API has the price of the contract, where the listing tells another than the offer's.
    words = stages.stage(seen, SLOT).replace("0.420", "0.450")
    assert stages.stage_shown(shown(seen)).replace("0.420", "0.450") == words


def test_a_vacant_slot_is_told_in_the_words_of_the_running_keeper() -> None:
    vacant = shown(snapshot(VACANT, decisions=[waiting("duel/0", Reason.OFFERS_STALE)]))
    assert stages.step_shown(vacant) is Step.LOOKING
    assert stages.stage_shown(vacant) == f"duel/0: {vacant.why}"


def test_the_slot_that_is_waited_for_gives_the_step_of_the_stream() -> None:
    two = stream(replicas=2)
    young = SlotRecord(slot=SlotId("duel/1"), tenure=YOUNG)
    assert stages.step_of_stream(snapshot(record(), young), two) is Step.BOOTING
    gone = snapshot(record(), condemned=(condemned(),))
    assert stages.step_of_stream(gone, stream()) is Step.ENDING


# --- the offer that was asked for -------------------------------------------------------------------

WISH = OfferId(101)


def both(seen: Snapshot, wish: OfferId = WISH) -> list[Stopped | None]:
    return [
        stages.wish_refused(seen, SLOT, wish),
        stages.wish_refused_shown(shown(seen), wish),
    ]


def test_a_wish_that_is_not_decided_yet_is_waited_for() -> None:
    assert both(snapshot(replace(VACANT, offer_asked=WISH))) == [None, None]
    assert both(seen_with(replace(YOUNG, instance_id=None))) == [None, None]
    assert both(seen_with(YOUNG)) == [None, None]


@pytest.mark.parametrize(
    ("reason", "detail", "code"),
    [
        (Reason.NO_SUITABLE_OFFER, "offer 101 is not on the market", ExitCode.NOT_FOUND),
        (Reason.NO_SUITABLE_OFFER, "offer 101 does not suit: 0 of 1", ExitCode.REFUSED),
        (Reason.OFFER_GONE, "offer 101 could not be rented: no_such_ask", ExitCode.TRY_AGAIN),
        (Reason.OUT_OF_CREDIT, "offer 101 could not be rented: no credit", ExitCode.FAILED),
        (Reason.UNAUTHORIZED, "offer 101 could not be rented: no", ExitCode.UNAUTHORIZED),
    ],
)
def test_a_wish_that_was_dropped_ends_the_waiting_with_its_reason(
    reason: Reason, detail: str, code: ExitCode
) -> None:
    dropped = replace(VACANT, rent_reason=reason, rent_detail=detail)
    for no in both(snapshot(dropped, decisions=[waiting("duel/0", reason)])):
        assert no is not None
        assert (no.code, no.what) == (code, detail)
        assert no.cure


def test_a_rental_of_another_offer_is_not_what_was_asked_for() -> None:
    for no in both(snapshot(record()), OfferId(999)):
        assert no is not None
        assert no.code is ExitCode.FAILED
        assert no.what == "duel/0 has instance 7001 of offer 101: that is not offer 999"


def test_a_contract_on_another_machine_is_not_what_was_asked_for() -> None:
    listing = Listing(instances=(instance(machine_id=MachineId(666)),), at=NOW)
    seen = snapshot(record(), listing=listing)
    no = stages.wish_refused(seen, SLOT, WISH)
    assert no is not None
    assert no.what == "duel/0 has instance 7001 of machine 666, not 4001: that is not offer 101"
