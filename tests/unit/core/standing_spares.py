"""Worlds with a spare that stands still, is being stopped or is being started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from keeper.core.model import (
    Instance,
    MarketState,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.spare import SpareKind
from keeper.core.world import World
from tests.builders import a_record, ago, conditions
from tests.unit.core.spares import (
    PLACE,
    a_place,
    a_spare,
    a_spared_world,
    a_wish,
    with_spares,
)

UNSEEN = (Status.UNKNOWN, Reason.NOT_ASKED)
NOT_ASKED = conditions(
    rented=(Status.UNKNOWN, Reason.SPARE_STANDS), reachable=UNSEEN, running=UNSEEN,
    streaming=UNSEEN, has_gpu=UNSEEN, has_room=UNSEEN,
)  # fmt: skip
STARTING = conditions(
    rented=(Status.UNKNOWN, Reason.PENDING), reachable=UNSEEN, running=UNSEEN, streaming=UNSEEN,
    has_gpu=UNSEEN, has_room=UNSEEN, deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
)  # fmt: skip
# What it costs while it stands, of 0.41.
DISK = 0.02

Shown = Callable[[Instance], Instance | None]


def stopped_kind(stream: Stream | None = None, **changes: Any) -> Stream:
    return with_spares(stream, **{"kind": SpareKind.STOPPED, **changes})


ONE = a_wish(stopped_kind())


def a_standing_spare(place: SlotId = PLACE, **changes: Any) -> Tenure:
    """One that was stopped long ago, and was seen to stand."""
    tenure = a_spare(
        place, stop_asked_at=ago(3000), stop_tries=1, stopped_at=ago(2990), good_in_a_row=0,
        disk_dollars_per_hour=DISK, conditions=NOT_ASKED,
    )  # fmt: skip
    return replace(tenure, **changes)


def a_stopping_spare(
    since_s: float, tries: int = 1, place: SlotId = PLACE, **changes: Any
) -> Tenure:
    """One that was told to stop, and was not seen to stand since."""
    return a_standing_spare(
        place, **{"stop_asked_at": ago(since_s), "stop_tries": tries, "stopped_at": None, **changes}
    )


def a_starting_spare(since_s: float, place: SlotId = PLACE, **changes: Any) -> Tenure:
    """One that was told to start, and was not seen to run since."""
    started = {
        "start_asked_at": ago(since_s), "booting_since": ago(since_s), "acted_at": ago(since_s),
        "running_at": None, "booted_at": None, "deployed_at": None, "warm_at": None,
        "prepared_at": ago(since_s), "conditions": STARTING,
    }  # fmt: skip
    return a_standing_spare(place, **{**started, **changes})


def standing(instance: Instance) -> Instance:
    return replace(
        instance, state=MarketState.STOPPED, is_meant_to_run=False, disk_dollars_per_hour=DISK
    )


def queued(instance: Instance) -> Instance:
    return replace(standing(instance), is_meant_to_run=True)


def running(instance: Instance) -> Instance:
    return replace(instance, disk_dollars_per_hour=DISK)


def vacant(**changes: Any) -> SlotRecord:
    """Its host was given up a moment ago."""
    record = a_record(
        None, attempt=4, ever_on_air=True, dark_since=ago(200), last_act="destroy",
        last_act_reason=Reason.LADDER_SPENT, last_act_at=ago(1), replaced_at=(ago(150),),
    )  # fmt: skip
    return replace(record, **changes)


def resting(tenure: Tenure | None = None, shown: Shown = standing, **changes: Any) -> World:
    """A stream that is well, beside a spare that stands still."""
    place = a_place(
        a_standing_spare() if tenure is None else tenure,
        last_decision="wait", last_reason=Reason.SPARE_STANDS,
    )  # fmt: skip
    return a_spared_world(place, shown=shown, **changes)


def needing(tenure: Tenure | None = None, shown: Shown = standing, **changes: Any) -> World:
    """A slot without a host, beside a spare that stands still."""
    return resting(tenure, shown, **{"record": vacant(), **changes})
