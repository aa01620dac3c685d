"""Forgetting a condemned rental takes two listings apart *and* its id: any one of them lies (I7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from keeper.core.events import InstanceEnded
from keeper.core.world import Listing
from tests.builders import (
    a_condemned,
    a_record,
    a_tenure,
    a_world,
    ago,
    decide,
    events_of,
    record_after,
)


@pytest.mark.parametrize(
    ("changes", "is_forgotten"),
    [
        pytest.param(
            {"absent_since": ago(40), "absent_listed_at": ago(5), "by_id_absent_at": ago(1)},
            True,
            id="absent twice, far enough apart, and by id",
        ),
        pytest.param(
            {"absent_since": ago(10), "absent_listed_at": ago(5), "by_id_absent_at": ago(1)},
            False,
            id="the two listings are too close: one lag can hide it from both",
        ),
        pytest.param(
            {"absent_since": ago(40), "absent_listed_at": ago(5), "by_id_absent_at": None},
            False,
            id="nobody has asked for it by id",
        ),
        pytest.param(
            {"absent_since": None, "absent_listed_at": None, "by_id_absent_at": ago(1)},
            False,
            id="its id is unknown, but no listing has missed it",
        ),
        pytest.param(
            {
                "absent_since": ago(40),
                "absent_listed_at": ago(5),
                "by_id_absent_at": ago(1),
                "tries": 0,
            },
            False,
            id="its end was never asked for: it may only be late to appear",
        ),
    ],
)
def test_a_condemned_rental_is_forgotten_only_on_three_witnesses(
    changes: dict[str, Any], is_forgotten: bool
) -> None:
    plan = decide(a_world(condemned=(a_condemned(**changes),)))
    assert (plan.condemned == ()) is is_forgotten
    assert bool(events_of(plan, InstanceEnded)) is is_forgotten


@pytest.mark.parametrize(
    ("came", "since"),
    [
        pytest.param(None, ago(40), id="answered at once"),
        pytest.param(ago(36), ago(40), id="answered within seconds"),
        pytest.param(ago(6), ago(6), id="it had to wait for its turn"),
    ],
)
def test_what_is_missed_is_missed_from_the_answer_on(
    came: datetime | None, since: datetime
) -> None:
    """A list waited for half a minute while the marketplace refused; the next one came 5 s after it.

    The two counted as half a minute apart, and a rental was forgotten.
    """
    late = Listing(instances=(), at=ago(40), came_at=came)
    world = a_world(a_record(a_tenure()), listing=late)
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    assert (tenure.missing_since, tenure.missing_listed_at) == (since, ago(40))
    condemned = a_world(condemned=(a_condemned(condemned_at=ago(50)),), listing=late)
    (each,) = decide(condemned).condemned
    assert (each.absent_since, each.absent_listed_at) == (since, ago(40))
