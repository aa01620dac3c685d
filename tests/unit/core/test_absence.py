"""Forgetting a condemned rental takes two listings apart *and* its id: any one of them lies (I7)."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.core.events import InstanceEnded
from tests.builders import a_condemned, a_world, ago, decide, events_of


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
