"""What an end costs, takes and is confirmed by, in words that hold with and without a daemon."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keeper.cli.endings import (
    Loss,
    ended_of,
    expected_s,
    left_of,
    losses_of,
    told_expected,
    untouched,
)
from keeper.core.model import FleetPolicy
from keeper.web.shapes import CondemnedStatus, FleetStatus, OrphanStatus, OthersStatus, SlotStatus
from tests.unit.cli.fleets import DARK, ENDING, NOW, ON_AIR, RENTING, SICK, VACANT, WELL, ago

POLICY = FleetPolicy()


def of(*slots: SlotStatus, **given: Any) -> FleetStatus:
    return replace(WELL, streams=(replace(WELL.streams[0], slots=slots),), **given)


def only(loss_of: FleetStatus, *, is_live: bool = True) -> Loss:
    (loss,) = losses_of(loss_of, is_live=is_live)
    return loss


def condemned(**given: Any) -> CondemnedStatus:
    return replace(SICK.condemned[0], **{"instance_id": 24_817_301, "slot": "duel/0", **given})


def test_says_what_is_lost_what_it_cost_and_who_is_watching() -> None:
    loss = only(of(ON_AIR))
    assert loss.instance_ids == (24_817_301,)
    assert loss.what == (
        "instance 24817301, RTX 4090 24 GB, rented for 4h00m",
        (
            "everything on its disk of 120 GB; about 1.65 $ were spent; it costs 0.463 $/h"
            " (GPU 0.380, disk 0.033, traffic 0.050)"
        ),
        "its picture is ON AIR now",
    )


@pytest.mark.parametrize(
    ("slot", "is_live", "said"),
    [
        (DARK, True, "its picture has been dark for 12s"),
        (RENTING, True, "it is not on air yet: renting"),
        (ON_AIR, False, "nobody watches its picture now; it was on air when keeper last looked"),
        (DARK, False, "nobody watches its picture now; it was not on air when keeper last looked"),
    ],
)
def test_says_of_the_picture_what_is_known(slot: SlotStatus, is_live: bool, said: str) -> None:
    assert only(of(slot), is_live=is_live).what[-1] == said


def test_a_host_that_is_about_to_follow_is_lost_too() -> None:
    loss = only(of(ENDING))
    assert loss.instance_ids == (24_817_303,)
    assert any(line.startswith("a host being rented, RTX 4090") for line in loss.what)


def test_a_vacant_slot_loses_nothing() -> None:
    assert only(of(VACANT)).what == ()


def test_what_is_ordered_already_is_only_followed() -> None:
    asked = replace(ON_AIR, destroy_asked_at=ago(seconds=3))
    assert only(of(asked)).is_ordered
    found = losses_of(of(VACANT, condemned=(condemned(),)), is_live=True)
    assert [loss.is_ordered for loss in found] == [False, True]
    assert "which is being ended already" in found[1].what[0]


def test_what_is_not_keepers_stays_and_is_said() -> None:
    fleet = of(
        ON_AIR,
        others=OthersStatus(instance_ids=tuple(range(1, 8)), dollars_per_hour=2.0),
        orphans=(OrphanStatus(instance_id=9, label="keeper:x\x1b[2J", dollars_per_hour=0.2),),
    )
    said = untouched(fleet)
    assert said[0] == "instances 1, 2, 3, 4, 5 and 2 more (2.000 $/h): not keeper's, so not touched"
    assert said[1].startswith("instance 9 (0.200 $/h): carries keeper's label keeper:x\\x1b[2J")
    assert untouched(of(ON_AIR)) == ()


def test_takes_as_long_as_the_spacing_and_the_two_looks_need() -> None:
    one = tuple(losses_of(of(ON_AIR), is_live=True))
    assert expected_s(one, POLICY) == 30 + 2 * 5 + 2 * 2
    # One more destroy three seconds later, and one more look at an id after two.
    assert expected_s(one * 2, POLICY) == expected_s(one, POLICY) + 3 + 2
    assert "destroys are sent 3 s apart" in told_expected(one * 2, POLICY)
    assert told_expected(one, POLICY) == (
        "It takes about 44s: each end is confirmed by two complete listings 30s apart and a look"
        " at its id."
    )


LOSSES = tuple(losses_of(of(ON_AIR), is_live=True))


@pytest.mark.parametrize(
    ("fleet", "said"),
    [
        (of(ON_AIR), "duel/0: the order is being taken"),
        (
            of(replace(ON_AIR, destroy_asked_at=NOW)),
            "duel/0: the order is taken; all is well",
        ),
        (
            of(VACANT, condemned=(condemned(tries=0),)),
            "instance 24817301: waits for its turn to be destroyed",
        ),
        (
            of(VACANT, condemned=(condemned(tries=2),)),
            "instance 24817301: destroy sent, try 2",
        ),
        (
            of(VACANT, condemned=(condemned(accepted_at=ago(seconds=2)),)),
            (
                "instance 24817301: the marketplace took the destroy at 02:59:58 UTC; looking"
                " whether it is gone"
            ),
        ),
        (
            of(VACANT, condemned=(condemned(absent_since=ago(seconds=4)),)),
            (
                "instance 24817301: missing from the complete listing of 02:59:56 UTC; a second"
                " one, from 03:00:26 on, has to agree"
            ),
        ),
    ],
)
def test_says_how_far_an_end_is(fleet: FleetStatus, said: str) -> None:
    assert list(left_of(fleet, LOSSES, POLICY).values()) == [said]


def test_is_over_only_when_neither_slot_nor_list_of_ends_holds_it() -> None:
    assert left_of(of(VACANT), LOSSES, POLICY) == {}
    other = of(VACANT, condemned=(condemned(instance_id=5, slot="sd/0"),))
    assert left_of(other, LOSSES, POLICY) == {}


def test_a_rental_whose_answer_was_lost_is_followed_by_its_slot() -> None:
    """Its id is not known when the end is ordered."""
    asked = replace(RENTING, slot="duel/0")
    losses = tuple(losses_of(of(asked), is_live=True))
    assert losses[0].instance_ids == ()
    fleet = of(VACANT, condemned=(condemned(instance_id=77),))
    assert list(left_of(fleet, losses, POLICY)) == ["instance 77"]


def test_what_was_ended_before_is_followed_though_its_slot_has_a_new_host() -> None:
    losses = tuple(losses_of(of(VACANT, condemned=(condemned(instance_id=5),)), is_live=True))
    ordered = tuple(loss for loss in losses if loss.what)
    new = of(replace(ON_AIR, slot="sd/1"), condemned=())
    assert left_of(new, ordered, POLICY) == {}


FACTS = {
    "instance_id": 24_817_301,
    "slot": "duel/0",
    "dollars": 1.654,
    "absent_since": (NOW + timedelta(seconds=1)).isoformat(),
    "absent_again_at": (NOW + timedelta(seconds=31)).isoformat(),
    "by_id_absent_at": (NOW + timedelta(seconds=33)).isoformat(),
}


def test_an_end_names_the_moments_of_both_confirmations() -> None:
    (ended,) = ended_of([("instance.destroying", FACTS), ("instance.ended", FACTS)])
    assert ended.sentence() == (
        "duel/0: instance 24817301 is confirmed gone: missing from the complete listings of 03:00:01"
        " and 03:00:31 UTC, unknown by its id at 03:00:33; it cost about 1.65 $"
    )


def test_an_end_that_an_older_keeper_wrote_down_lacks_the_moments() -> None:
    (ended,) = ended_of([("instance.ended", {"instance_id": 5, "slot": None, "dollars": 0.1})])
    assert ended.sentence() == "(no slot): instance 5 is confirmed gone; it cost about 0.10 $"
