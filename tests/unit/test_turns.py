"""The order in which several workers take the tests: nothing is lost, groups hold, the longest begin."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import turns
from tests.components import REPOSITORY


class _Item:
    """As much of a collected test as its turn depends on."""

    def __init__(self, nodeid: str, group: str = "") -> None:
        self.nodeid, self.group = nodeid, group

    def iter_markers(self, name: str) -> Iterator[pytest.Mark]:
        if self.group:
            yield pytest.Mark(name, (self.group,), {}, _ispytest=True)


def _in_turns(*items: _Item) -> list[str]:
    found: list[Any] = turns.in_turns(items)  # type: ignore[arg-type]
    return [each.nodeid for each in found]


def test_pytest_xdist_knows_every_group(request: pytest.FixtureRequest) -> None:
    """With pytest 9.2 it knew none: fixtures were made on every worker, and what is one was many."""
    if not getattr(request.config.option, "loadgroup", False):
        return
    lost = [
        item.nodeid
        for item in request.session.items
        if (group := turns.group_of(item)) and not item.nodeid.endswith(f"@{group}")
    ]
    assert lost == []


def test_every_test_has_its_turn_and_a_group_is_not_torn() -> None:
    items = [
        _Item("tests/unit/test_a.py::one"),
        _Item("tests/e2e/test_demo.py::one"),
        _Item("tests/integration/test_b.py::one", "b"),
        _Item("tests/sim/test_story.py::one"),
        _Item("tests/integration/test_b.py::two"),
        _Item("tests/integration/test_b.py::three", "b"),
        _Item("tests/property/test_plan.py::one"),
    ]
    found = _in_turns(*items)
    assert sorted(found) == sorted(item.nodeid for item in items)
    at = found.index("tests/integration/test_b.py::one")
    assert found[at + 1] == "tests/integration/test_b.py::three"


def test_those_that_wait_and_those_that_compute_begin_together_and_the_longest_first() -> None:
    waiting = [_Item(f"tests/e2e/test_new.py::{n}") for n in range(4)]
    computing = [_Item(f"tests/sim/test_story.py::{n}") for n in range(4)]
    found = _in_turns(
        _Item("tests/unit/test_a.py::short"),
        *waiting,
        *computing,
        _Item("tests/e2e/test_demo.py::long"),
    )
    assert found[0] == "tests/e2e/test_demo.py::long"
    assert found[1] == "tests/sim/test_story.py::0"
    assert found[-1] == "tests/unit/test_a.py::short"


def test_each_file_in_the_table_is_there() -> None:
    for path in turns._BY_FILE:
        assert (REPOSITORY / "tests" / path).is_file(), path
