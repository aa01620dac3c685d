"""The fewest faults, and the shortest run, that still break a promise. Delta debugging over the plan.

A plan is halved, then cut ever finer, for as long as what is left breaks one of the same promises
(Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002). It is bounded: when
the time is over, the best that was found is the answer. Pure but for the clock and the runs that it is
given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from keeper.sim.faults import Fault

DAY_S = 86_400.0
_DAYS_GRAIN = 0.01

Plan = tuple[Fault, ...]
# Runs a plan for so many days; says which invariants it breaks.
Run = Callable[[Plan, float], frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """What is left, and what it took."""

    plan: Plan
    days: float
    invariants: frozenset[str]  # which it still breaks, of those that the whole plan broke
    faults_before: int
    runs: int
    took_s: float
    is_minimal: bool  # no single fault can be left out; else the time was over

    def sentence(self) -> str:
        """Say it in one line."""
        least = "the fewest" if self.is_minimal else "the fewest so far"
        return (
            f"{len(self.plan)} of {self.faults_before} faults are left, {least} that break"
            f" {', '.join(sorted(self.invariants))} ({self.runs} runs in {self.took_s:.0f} s)"
        )


class _Shrinker:
    def __init__(
        self,
        run: Run,
        wanted: frozenset[str],
        *,
        limit_s: float,
        tell: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._run = run
        self._wanted = wanted
        self._clock = clock
        self._began_s = clock()
        self._limit_s = limit_s
        self._tell = tell
        self.runs = 0
        self.invariants = wanted

    @property
    def took_s(self) -> float:
        return self._clock() - self._began_s

    @property
    def is_over(self) -> bool:
        return self.took_s >= self._limit_s

    def breaks(self, plan: Plan, days: float) -> bool:
        """Run a plan; whether it breaks one of the promises that are looked for."""
        self._tell(f"{len(plan)} faults, {days:g} days, {self.runs} runs, {self.took_s:.0f} s")
        self.runs += 1
        found = self._run(plan, days) & self._wanted
        if found:
            self.invariants = found
        return bool(found)

    def fewer(self, plan: Plan, days: float) -> tuple[Plan, bool]:
        """Leave out what can be left out; says whether nothing more can."""
        parts = 2
        while len(plan) > 1:
            size = -(-len(plan) // parts)
            chunks = [plan[at : at + size] for at in range(0, len(plan), size)]
            smaller = self._smaller(chunks, days)
            if smaller is not None:
                plan, parts = smaller, max(2, min(parts - 1, len(smaller)))
            elif self.is_over:
                return plan, False
            elif size == 1:
                return plan, True
            else:
                parts = min(len(plan), parts * 2)
        if plan and not self.is_over and self.breaks((), days):
            return (), True
        return plan, not self.is_over

    def _smaller(self, chunks: Sequence[Plan], days: float) -> Plan | None:
        if len(chunks) == 1:
            return None
        for chunk in chunks if len(chunks) > 2 else ():
            if self.is_over:
                return None
            if self.breaks(chunk, days):
                return chunk
        for left_out in range(len(chunks) - 1, -1, -1):
            if self.is_over:
                return None
            rest = tuple(f for at, chunk in enumerate(chunks) if at != left_out for f in chunk)
            if self.breaks(rest, days):
                return rest
        return None

    def shorter(self, plan: Plan, days: float, days_for: Callable[[Plan], float]) -> float:
        """Shorten the run as far as it still holds the plan and breaks what it broke."""
        least = min(days, _rounded_up(days_for(plan)))
        for tried in (least, _rounded_up((least + days) / 2)):
            if tried < days and not self.is_over and self.breaks(plan, tried):
                return tried
        return days

    def milder(self, plan: Plan, days: float) -> Plan:
        """Let each fault hit once, where that is enough."""
        for at, fault in enumerate(plan):
            if fault.count is not None and fault.count > 1 and not self.is_over:
                once = (*plan[:at], replace(fault, count=1), *plan[at + 1 :])
                if self.breaks(once, days):
                    plan = once
        return plan


def shrink(
    plan: Plan,
    days: float,
    wanted: frozenset[str],
    run: Run,
    *,
    days_for: Callable[[Plan], float],
    first_broken_s: float = float("inf"),
    limit_s: float = 120.0,
    tell: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Shrunk:
    """Shrink a plan that breaks ``wanted`` in a run of ``days``.

    ``days_for`` says how long a run must be to hold a plan; ``first_broken_s`` when the first promise
    was broken: what came later can hardly be guilty.
    """
    whole = plan
    shrinker = _Shrinker(run, wanted, limit_s=limit_s, tell=tell, clock=clock)
    earlier = tuple(fault for fault in plan if fault.at <= first_broken_s)
    if len(earlier) < len(plan) and shrinker.breaks(earlier, days):
        plan = earlier
    days = shrinker.shorter(plan, days, days_for)
    plan, is_minimal = shrinker.fewer(plan, days)
    days = shrinker.shorter(plan, days, days_for)
    plan = shrinker.milder(plan, days)
    return Shrunk(
        plan=plan,
        days=days,
        invariants=shrinker.invariants,
        faults_before=len(whole),
        runs=shrinker.runs,
        took_s=shrinker.took_s,
        is_minimal=is_minimal,
    )


def _rounded_up(days: float) -> float:
    return round(-(-days // _DAYS_GRAIN) * _DAYS_GRAIN, 4)
