"""Costs measured in turn: ours, theirs, ours, theirs, in one process of one run.

A figure is a ratio, because a machine that is shared or slow moves both sides alike; and it is the
median over pairs, because a neighbour's burst spoils single ones.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

PAIRS = 5

# One measurement of one side: what a unit of its work cost.
Side = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of results.json. Ours costs ``value`` times what stands beside it."""

    figure: str
    goal: float | None  # at most this; None: reported only
    value: float | None  # None: could not be measured here; the note says why
    floor: float | None  # median cost of the least that does the same, in ``unit``
    peer: float | None  # median cost of what a user would otherwise run, in ``unit``
    pairs: int
    unit: str
    at: str
    note: str
    at_least: bool = False  # the goal is a lower bound (a rate)

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None without a goal or a value."""
        if self.goal is None or self.value is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def plain(self) -> dict[str, Any]:
        """Give the row as it is written."""
        return asdict(self)


def now() -> str:
    """Say when, to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def absent(figure: str, goal: float | None, why: str) -> Row:
    """Report a figure that cannot be measured on this machine."""
    return Row(
        figure=figure,
        goal=goal,
        value=None,
        floor=None,
        peer=None,
        pairs=0,
        unit="",
        at=now(),
        note=why,
    )


async def in_turn(*sides: Side, pairs: int = PAIRS) -> list[list[float]]:
    """Measure the sides one after the other, ``pairs`` times; a first round warms up.

    Returns the costs of each side, in the order of the rounds.
    """
    for side in sides:
        await side()
    costs: list[list[float]] = [[] for _ in sides]
    for _ in range(pairs):
        for found, side in zip(costs, sides, strict=True):
            gc.collect()  # what one side left behind is not the other's to sweep
            found.append(await side())
    return costs


def against(
    figure: str,
    ours: list[float],
    theirs: list[float],
    *,
    goal: float | None,
    unit: str,
    note: str,
    is_peer: bool = False,
    at_least: bool = False,
) -> Row:
    """Make a row of two measured sides: the median of the ratios, pair by pair."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    other = _short(statistics.median(theirs))
    return Row(
        figure=figure,
        goal=goal,
        value=_short(statistics.median(ratios)),
        floor=None if is_peer else other,
        peer=other if is_peer else None,
        pairs=len(ratios),
        unit=unit,
        at=now(),
        note=f"{note}; keeper {_short(statistics.median(ours)):g}",
        at_least=at_least,
    )


class Cpu:
    """CPU time of this process, all of its threads, between entering and leaving."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._began = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.process_time() - self._began

    def us_each(self, count: int) -> float:
        """Return microseconds per unit of work."""
        return self.seconds / count * 1e6


def cpu_of_process_s(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> float:
    """Run a command to its end and return its CPU, user and system, with that of its children.

    What it prints goes nowhere. Raises CalledProcessError when it fails.
    """
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, list(command))
    return usage.ru_utime + usage.ru_stime


def _short(number: float) -> float:
    """Cut a number to what the noise leaves of it."""
    return float(f"{number:.3g}")
