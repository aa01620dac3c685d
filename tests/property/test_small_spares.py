"""Every small world with spares: one owner each, no cap crossed, no slot made to wait, a reason for all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from keeper.core.decisions import Hold, Plan, Promote, Rent, Start, Wait
from keeper.core.model import (
    ConditionKind,
    Desired,
    Instance,
    SlotId,
    SlotRecord,
    Status,
    Tenure,
)
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.reconcile import reconcile
from keeper.core.spare import SpareKind
from keeper.core.spend import record_dollars_per_hour
from keeper.core.world import World
from tests.builders import (
    NOW,
    SLOT,
    a_condition,
    a_fresh_tenure,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    ago,
    ahead,
    an_asked_tenure,
    applied,
    conditions,
)
from tests.unit.core.decision_worlds import SPENT
from tests.unit.core.spares import (
    PLACE,
    SECOND,
    SPARE_HOST,
    a_place,
    a_spare,
    a_spared_world,
    a_wish,
    with_spares,
)
from tests.unit.core.standing_spares import (
    Shown,
    a_standing_spare,
    a_starting_spare,
    a_stopping_spare,
    queued,
    running,
    standing,
)

_FROZEN = conditions(
    streaming=a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=900, bad=3)
)
SLOTS = {
    "on air": a_record(a_tenure()),
    "vacant": a_record(None, attempt=3, ever_on_air=True, dark_since=ago(60)),
    "never filled": SlotRecord(slot=SLOT),
    "given up": a_record(a_tenure(conditions=_FROZEN), dark_since=ago(900), remedies=SPENT),
    "ending": a_record(a_tenure(ends_at=ahead(3000), ending_since=ago(90))),
    "in doubt": a_record(an_asked_tenure()),
}


def spares(place: SlotId) -> dict[str, Tenure | None]:
    ready = a_spare(place)
    mine = {
        "label": ready.label, "instance_id": ready.instance_id, "machine_id": ready.machine_id,
        "host_id": ready.host_id,
    }  # fmt: skip
    return {
        "none": None,
        "asked for": an_asked_tenure(**{**mine, "instance_id": None}),
        "booting": a_fresh_tenure(**mine),
        "ready": ready,
        "dark": replace(ready, conditions=_FROZEN),
        "old": replace(ready, rented_at=ago(700_000)),
        "ending": replace(ready, ends_at=ahead(3000), ending_since=ago(90)),
    }


FLEET: dict[str, dict[str, Any]] = {
    "free": {},
    "paused": {"pause": a_pause()},
    "blind": {"own_network": Status.FALSE},
    "unreadable": {"unreadable_since": ago(5)},
}
WISHES = {
    "rich": a_wish(with_spares(a_stream(spend_max_dollars_per_hour=9.0), count=2, max_dollars_per_hour=2.0)),
    "poor": a_wish(with_spares(a_stream(spend_max_dollars_per_hour=1.0), count=2, max_dollars_per_hour=0.7)),
}  # fmt: skip


def still(place: SlotId) -> dict[str, tuple[Tenure | None, Shown]]:
    """What a spare that is to stand still may be, and how the marketplace lists it."""
    ready = a_spare(place)
    return {
        "none": (None, running),
        "ready": (ready, running),
        "stopping": (a_stopping_spare(60, place=place), running),
        "not stopping": (a_stopping_spare(200, place=place), running),
        "standing": (a_standing_spare(place), standing),
        "found running": (a_standing_spare(place), running),
        "refused": (a_standing_spare(place, start_refused=Reason.SPARE_NOT_STARTED), standing),
        "starting": (a_starting_spare(60, place), queued),
        "not starting": (a_starting_spare(130, place), queued),
    }


STILL_WISHES = {
    name: replace(wish, streams=(replace(s, spares=replace(s.spares, kind=SpareKind.STOPPED)),))
    for name, wish in WISHES.items()
    for s in wish.streams
}


def every_still_world() -> list[tuple[str, World, Desired]]:
    found = []
    seconds = ("none", "standing")  # both places are decided by the same rules
    for slot, first, second, fleet, wish in product(
        SLOTS, still(PLACE), seconds, FLEET, STILL_WISHES
    ):
        (one, one_shown), (two, two_shown) = still(PLACE)[first], still(SECOND)[second]
        shown = {int(SPARE_HOST): one_shown, int(SPARE_HOST) + 1: two_shown}

        def listed(instance: Instance, shown: dict[int, Shown] = shown) -> Instance | None:
            return shown[instance.instance_id](instance)

        world = a_spared_world(
            a_place(one), a_place(two, place=SECOND), record=SLOTS[slot],
            shown=listed, **FLEET[fleet],
        )  # fmt: skip
        name = f"slot {slot}; spares {first}, {second}; {fleet}; {wish}"
        found.append((name, world, STILL_WISHES[wish]))
    return found


@pytest.mark.timeout(120)
def test_nor_in_any_with_spares_that_stand_still() -> None:
    worlds = every_still_world()
    assert len(worlds) == 6 * 9 * 2 * 4 * 2
    seen: set[str] = set()
    complaints = [
        f"{name}: {what}"
        for name, world, desired in worlds
        for plan in (reconcile(world, desired, NOW),)
        for what in (*_broken(world, desired, plan, seen), *_doubled(world, plan))
    ]
    assert complaints[:5] == []
    assert seen >= {
        "stop", "start", "destroy", "spare_stands", "spare_starting", "spare_proven", "promote",
    }  # fmt: skip


def _doubled(world: World, plan: Plan) -> list[str]:
    """One slot never has two on their way: a start, a rental, or a spare that takes over."""
    coming = [
        place
        for place in (PLACE, SECOND)
        if (tenure := world.records[place].tenure) is not None
        and tenure.start_asked_at is not None
        and tenure.start_asked_at > ago(120)
    ]
    begun = [
        act
        for act in plan.acts
        if isinstance(act, Start | Promote) or (isinstance(act, Rent) and act.slot == SLOT)
    ]
    found = [] if len(begun) <= 1 else [f"{len(begun)} are begun for one slot"]
    # One that is ready now is quicker than one that starts; the start goes on beside it.
    hasty = [act for act in begun if coming and not isinstance(act, Promote)]
    return found + [f"{act.name} beside {coming}" for act in hasty]


def every_world() -> list[tuple[str, World, Desired]]:
    found = []
    for slot, first, second, fleet, wish in product(
        SLOTS, spares(PLACE), spares(SECOND), FLEET, WISHES
    ):
        world = a_spared_world(
            a_place(spares(PLACE)[first]), a_place(spares(SECOND)[second], place=SECOND),
            record=SLOTS[slot], **FLEET[fleet],
        )  # fmt: skip
        name = f"slot {slot}; spares {first}, {second}; {fleet}; {wish}"
        found.append((name, world, WISHES[wish]))
    return found


@pytest.mark.timeout(120)
def test_no_promise_is_broken_in_any_small_world_with_spares() -> None:
    worlds = every_world()
    assert len(worlds) == 6 * 7 * 7 * 4 * 2
    seen: set[str] = set()
    complaints = [
        f"{name}: {what}"
        for name, world, desired in worlds
        for what in _broken(world, desired, reconcile(world, desired, NOW), seen)
    ]
    assert complaints[:5] == []
    # Else it would have looked at nothing: each of these happens somewhere.
    assert seen >= {
        "promote", "rent", "destroy", "spare_ready", "spare_waits", "budget", "paused",
        "create_unsettled",
    }  # fmt: skip


def _broken(world: World, desired: Desired, plan: Plan, seen: set[str]) -> list[str]:
    for each in plan.decisions:
        if each.slot in (PLACE, SECOND) or isinstance(each, Promote):
            seen.add(each.reason.value if isinstance(each, Wait | Hold) else each.name)
    after = {**world.records, **{record.slot: record for record in plan.records}}
    ending = {each.instance_id for each in plan.condemned}
    found = []
    for tenure in _tenures(world.records.values()):
        owners = sum(other.label == tenure.label for other in _tenures(after.values()))
        if owners + (tenure.instance_id in ending) != 1:
            found.append(f"{tenure.label} has {owners} owners, or is owned and condemned")
    rents = [act for act in plan.acts if isinstance(act, Rent)]
    host = after[SLOT].tenure  # a spare may have become it in this very tick
    is_filled = host is not None and host.listed_at is not None
    of_spares = [act for act in rents if act.slot != SLOT]
    if of_spares and not is_filled:
        found.append("a spare is rented before the slot")
    if (rents or any(isinstance(act, Promote) for act in plan.acts)) and (
        world.pause or world.own_network is Status.FALSE or world.unreadable_since
    ):
        found.append("something is begun with hands tied")
    (stream,) = desired.streams
    total = sum(record_dollars_per_hour(record) for record in after.values())
    total += sum(each.dollars_per_hour for each in plan.condemned)
    kept = sum(record_dollars_per_hour(after[place]) for place in stream.spare_places)
    if rents and total > stream.spend_max_dollars_per_hour + 1e-9:
        found.append(f"{total:.3f} $/h are committed")
    if of_spares and kept > stream.spares.max_dollars_per_hour + 1e-9:
        found.append(f"{kept:.3f} $/h are committed to spares")
    decided = [each.slot for each in plan.decisions if each.slot in (PLACE, SECOND)]
    found += [f"{place} is decided twice" for place in (PLACE, SECOND) if decided.count(place) > 2]
    found += [f"{each.reason} says nothing" for each in plan.decisions if not SENTENCE[each.reason]]
    return found + _thrashing(world, desired, plan)


def _thrashing(world: World, desired: Desired, plan: Plan) -> list[str]:
    """Nothing is rented a second time, and nothing is promoted back, when all is as it was decided."""
    busy = frozenset(act.slot for act in plan.acts if act.slot is not None)
    again = reconcile(applied(world, plan, in_flight=busy), desired, NOW)
    twice = [act.slot for act in again.acts if isinstance(act, Rent | Promote) and act.slot in busy]
    return [f"{slot} is acted for twice" for slot in twice]


def _tenures(records: Iterable[SlotRecord]) -> list[Tenure]:
    return [
        tenure
        for record in records
        for tenure in (record.tenure, record.incoming)
        if tenure is not None
    ]
