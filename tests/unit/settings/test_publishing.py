"""One publisher: nothing may be declared that would publish beside it, or that keeper could not end."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.core.model import Publishers
from keeper.settings.desired import to_desired
from keeper.settings.publishing import publisher_problems
from keeper.settings.tree import Settings

COMMAND = {
    "kind": "command", "image": "x", "start": "sleep 1", "view": {"kind": "http", "port": 80},
}  # fmt: skip


def declared(**stream: Any) -> Settings:
    return Settings.model_validate(
        {"streams": [{"name": "duel", "publishers": "one", "workload": COMMAND, **stream}]}
    )


def test_several_may_publish_unless_it_is_said() -> None:
    settings = Settings.model_validate({"streams": [{"name": "duel", "workload": COMMAND}]})
    assert to_desired(settings).streams[0].publishers is Publishers.SEVERAL
    assert to_desired(declared()).streams[0].publishers is Publishers.ONE
    assert list(publisher_problems(declared())) == []


@pytest.mark.parametrize(
    ("stream", "key"),
    [
        ({"replicas": 2}, "replicas"),
        ({"spares": {"count": 1}}, "is_started"),
        ({"workload": {**COMMAND, "manager": {"kind": "none"}}}, "manager"),
    ],
    ids=["two replicas", "a spare that is started", "nobody can end it"],
)
def test_what_contradicts_it_is_named(stream: dict[str, Any], key: str) -> None:
    ((places, what),) = publisher_problems(declared(**stream))
    assert places[0][-1] == key
    assert "duel" in what


def test_a_spare_that_is_not_started_is_none() -> None:
    assert list(publisher_problems(declared(spares={"count": 1, "is_started": False}))) == []
    assert list(publisher_problems(declared(publishers="several", replicas=2))) == []
