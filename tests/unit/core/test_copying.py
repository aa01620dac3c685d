import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from keeper.core.copying import replace
from tests.builders import a_record, a_stream, a_tenure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Single:
    only: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """What a constructor adds to what it is given, it adds to a copy too."""

    given: int
    twice: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.given)


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (a_tenure(), {}),
        (a_tenure(), {"attempt": 7, "good_in_a_row": 3}),
        (a_record(a_tenure()), {"tenure": None}),
        (a_stream(), {"replicas": 4}),
        (_Single(only=1), {"only": 2}),
        (_Counted(given=1), {"given": 5}),
    ],
    ids=lambda each: type(each).__name__ if dataclasses.is_dataclass(each) else "-".join(each),
)
def test_copy_is_the_one_that_the_standard_library_makes(value: Any, changes: Any) -> None:
    before = repr(value)
    copy = replace(value, **changes)
    assert copy == dataclasses.replace(value, **changes)
    assert copy is not value
    assert repr(value) == before
    assert all(getattr(copy, name) is given for name, given in changes.items())


def test_field_that_is_not_there_is_refused() -> None:
    with pytest.raises((KeyError, TypeError)):
        replace(a_tenure(), colour="red")  # type: ignore[call-arg]


def test_copy_is_as_frozen_as_the_original() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        replace(a_tenure(), attempt=2).attempt = 3  # type: ignore[misc]
