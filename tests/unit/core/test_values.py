"""The quicker dataclasses behave like the standard library's."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import FrozenInstanceError, field

import pytest

from keeper.core.model import Condition, ConditionKind, SlotId, SlotRecord, Status
from keeper.core.reasons import Reason
from keeper.core.values import dataclass, replace
from tests.builders import NOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Point):
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    a: int
    seen: dict[str, int] = field(default_factory=dict, init=False, compare=False)
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.a)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    pass


def condition() -> Condition:
    return Condition(
        kind=ConditionKind.RENTED, status=Status.TRUE, reason=Reason.RUNNING, since=NOW
    )


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_value_is_frozen_however_it_was_made(*, is_replaced: bool) -> None:
    point = replace(Point(x=3), x=1) if is_replaced else Point(x=1)
    assert type(point) is Point
    with pytest.raises(FrozenInstanceError):
        point.x = 5  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del point.x
    with pytest.raises(AttributeError):
        object.__setattr__(point, "z", 5)


def test_defaults_are_as_declared_and_made_for_each() -> None:
    one, other = Point(x=1), Point(x=1)
    assert (one.x, one.y, one.tags) == (1, 2, [])
    assert one.tags is not other.tags
    assert Point(x=1, tags=["a"]).tags == ["a"]


def test_values_compare_hash_and_print_by_their_fields() -> None:
    assert Point(x=1) == Point(x=1) != Point(x=2)
    assert repr(Point(x=1)) == "Point(x=1, y=2, tags=[])"
    assert hash(condition()) == hash(condition())
    assert {condition()} == {replace(condition(), bad_streak=0)}


def test_wrong_arguments_are_refused() -> None:
    for wrong in ({}, {"x": 1, "z": 2}):
        for _ in range(2):  # the first value of a class is made in another way than the next
            with pytest.raises(TypeError):
                Point(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[call-arg]


def test_replace_changes_what_it_is_told_and_nothing_else() -> None:
    before = Point(x=1, y=5, tags=["a"])
    after = replace(before, x=2)
    assert (after.x, after.y, before.x) == (2, 5, 1)
    assert after.tags is before.tags
    with pytest.raises(AttributeError):
        replace(before, z=1)  # type: ignore[call-arg]


def test_a_class_may_build_on_another() -> None:
    place = Place(x=1, name="home")
    assert replace(place, y=7) == Place(x=1, y=7, name="home")
    assert (place.x, place.y, place.name) == (1, 2, "home")
    assert isinstance(place, Point)


def test_what_is_worked_out_from_fields_is_worked_out_again() -> None:
    made = Summed(a=2)
    made.seen["x"] = 1
    again = replace(made, a=3)
    assert (made.twice, again.twice, again.seen) == (4, 6, {})
    assert Nothing() == replace(Nothing())


def test_values_can_be_copied_pickled_and_inspected() -> None:
    record = SlotRecord(slot=SlotId("duel/0"), attempt=3)
    assert pickle.loads(pickle.dumps(record)) == copy.deepcopy(record) == record
    assert [each.name for each in dataclasses.fields(Point)] == ["x", "y", "tags"]
    assert list(inspect.signature(Point).parameters) == ["x", "y", "tags"]
    assert dataclasses.replace(record, attempt=4) == replace(record, attempt=4)
