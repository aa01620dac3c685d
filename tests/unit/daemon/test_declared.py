"""What a reload says that it has changed."""

from dataclasses import replace
from typing import Any

import pytest

from keeper.alerts.dispatch import Numbers
from keeper.core.model import Desired
from keeper.daemon.declared import Declared, Pulse, changes

BEFORE = Declared(desired=Desired(streams=()), workloads={}, channel_marks={"ops": "a1"})


def test_the_same_declaration_changes_nothing() -> None:
    assert changes(BEFORE, replace(BEFORE)) == ()


@pytest.mark.parametrize(
    "given",
    [
        {"channel_marks": {"ops": "b2"}},
        {"alert_numbers": Numbers(repeat_s=60.0)},
        {"pulse": Pulse(url="https://beat.example/1", interval_s=60.0)},
    ],
    ids=lambda given: next(iter(given)),
)
def test_whom_keeper_tells_is_a_change(given: dict[str, Any]) -> None:
    """An operator who had changed a channel was answered that nothing had changed."""
    assert changes(BEFORE, replace(BEFORE, **given)) == ("changed alerts",)
