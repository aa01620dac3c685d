"""The board on which faults are armed."""

from typing import Any

import pytest

from keeper.sim.faults import Aim, Fault, FaultBoard, FaultKind, is_hit


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("*", True),
        ("instance:7", True),
        ("instance:8", False),
        ("machine:40", True),
        ("k:duel/*", True),
        ("k:other/*", False),
    ],
)
def test_targets(target: str, expected: bool) -> None:
    fault = Fault(kind=FaultKind.SSH_HANG, target=target)
    assert is_hit(fault, Aim(label="k:duel/0:1", instance_id=7, machine_id=40)) is expected


def test_one_shot_by_default_and_any_number_while_it_lasts() -> None:
    board = FaultBoard()
    board.arm(Fault(kind=FaultKind.HTTP_502), 0)
    assert board.take(FaultKind.HTTP_502, Aim(), 0)
    assert board.take(FaultKind.HTTP_502, Aim(), 0) is None
    board.arm(Fault(kind=FaultKind.HTTP_502, at=10, for_s=5), 0)
    hits = [at for at in range(20) if board.take(FaultKind.HTTP_502, Aim(), at)]
    assert hits == [10, 11, 12, 13, 14]
    board.arm(Fault(kind=FaultKind.HTTP_502, for_s=5, count=2), 20)
    assert sum(bool(board.take(FaultKind.HTTP_502, Aim(), 21)) for _ in range(5)) == 2


def test_the_searches_of_a_day_are_of_that_day() -> None:
    """One that nobody ran into held until the next search, in the calm, and took that day as well."""
    board, noon, midnight = FaultBoard(), 43_200.0, 86_400.0
    board.arm(Fault(kind=FaultKind.SEARCH_QUOTA, at=noon, count=1), 0.0)
    hits = [
        bool(board.active(FaultKind.SEARCH_QUOTA, Aim(), at))
        for at in (noon - 1.0, noon, midnight - 1.0, midnight)
    ]
    assert hits == [False, True, True, False]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"kind": "rain"}, "no fault is called"),
        ({}, "no fault is called"),
        ({"kind": "http_502", "colour": "red"}, "has no"),
    ],
)
def test_says_what_is_wrong_with_a_fault(value: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Fault.parse(value)


def test_reads_a_fault_back() -> None:
    value = {"kind": "latency", "at": 5, "for_s": 60, "params": {"delay_s": 3}}
    assert Fault.parse(value) == Fault(
        kind=FaultKind.LATENCY, at=5.0, for_s=60.0, params={"delay_s": 3}
    )
