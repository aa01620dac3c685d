"""What viewers of a slot saw, one look after another: a strip of verdicts, run by run.

A look counts as it was, before anything is believed: one bad look is a mark of its own. While nobody
looked the picture was unknown; between two hosts there was none to look at. Nothing is decided by it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import isfinite
from typing import Protocol

from keeper.core.model import InstanceId, Reading
from keeper.core.viewing import Verdict, verdict_of

SPAN = timedelta(minutes=30)
# A look every ten seconds that sees something else each time makes 180 in half an hour; where looks are
# closer together than that, the oldest go first.
RUNS_MAX = 200
# What was measured when a run began is kept of so many: of all of a thousand slots that flap it would be 150 MB.
MEASURED_MAX = 24
_NOTHING: Mapping[str, float] = {}
# Where a host was changed, what was seen last was over a beat later at the latest.
_BEAT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Looks in a row that saw the same. It lasts until the next one begins."""

    verdict: Verdict | None  # None: there was no host to look at
    since: datetime
    # Of the look that began it; of older runs nothing.
    detail: str = ""  # without secrets, plain
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The runs of the last half hour, the oldest first, and the latest look."""

    runs: tuple[Run, ...] = ()
    latest: Reading | None = None
    stands_until: datetime | None = None  # so long the latest look counts; later nobody has looked


NOTHING_SEEN = Strip()

# The graver hides the lighter where only one can be shown. What is not known hides what is well, and
# nothing that is known to be bad.
GRAVITY: Mapping[Verdict | None, int] = {
    verdict: number
    for number, verdict in enumerate(
        (
            Verdict.LIVE,
            Verdict.STATIC,
            Verdict.UNKNOWN,
            Verdict.STUTTERING,
            Verdict.SILENT,
            Verdict.WRONG,
            Verdict.BLACK,
            Verdict.FROZEN,
            Verdict.CORRUPT,
            Verdict.NO_BYTES,
            Verdict.UNREACHABLE,
            None,
        )
    )
}


def looked(strip: Strip, reading: Reading, stale_s: float) -> Strip:
    """Add a look. It counts for ``stale_s``, unless another one comes."""
    verdict, at = verdict_of(reading), reading.at
    runs = strip.runs
    if strip.stands_until is not None and at > strip.stands_until:
        runs = _then(runs, _gap(strip, reading.instance_id))
    if not runs or runs[-1].verdict is not verdict:
        runs = _then(
            runs,
            Run(
                verdict=verdict,
                since=at,
                detail=reading.detail,
                numbers=reading.numbers,
            ),
        )
        if len(runs) > MEASURED_MAX and runs[-MEASURED_MAX - 1].numbers:
            bare = replace(runs[-MEASURED_MAX - 1], detail="", numbers=_NOTHING)
            runs = (*runs[: -MEASURED_MAX - 1], bare, *runs[-MEASURED_MAX:])
    if len(runs) > 1 and (runs[1].since <= at - SPAN or len(runs) > RUNS_MAX):
        runs = _recent(runs, at)[-RUNS_MAX:]
    return Strip(runs=runs, latest=reading, stands_until=at + timedelta(seconds=stale_s))


def shown(strip: Strip, host: InstanceId | None, now: datetime) -> tuple[Run, ...]:
    """Return the runs of the half hour before now; the first may have begun earlier.

    ``host``: the rental that viewers get their picture from, None without one.
    """
    runs = strip.runs
    if strip.stands_until is not None and now > strip.stands_until:
        runs = _then(runs, _gap(strip, host))
    return _recent(runs, now)


def moved(strip: Strip, step: timedelta, now: datetime) -> Strip:
    """Move everything along with a clock that has stepped: what was a minute ago still is.

    What was seen since the step, before it was noticed, stays.
    """

    def move(at: datetime) -> datetime:
        is_old = at + step <= now if step > timedelta() else at > now
        return at + step if is_old else at

    runs: list[Run] = []
    for run in strip.runs:
        since = move(run.since)
        if not runs or since > runs[-1].since:  # else: the time that the clock has left out
            runs.append(replace(run, since=since))
    latest, until = strip.latest, strip.stands_until
    if latest is not None and until is not None:
        there = replace(latest, at=move(latest.at))
        latest, until = there, there.at + (until - latest.at)
    return Strip(runs=tuple(runs), latest=latest, stands_until=until)


class Lasting(Protocol):
    """A run, here or in an answer of the API."""

    @property
    def verdict(self) -> Verdict | None:
        """What was seen; None: there was no host."""
        ...

    @property
    def since(self) -> datetime:
        """When it began."""
        ...


def gravest(strips: Iterable[Sequence[Lasting]]) -> tuple[Run, ...]:
    """Lay strips upon each other: at each moment the gravest of what was seen anywhere."""
    begins = sorted(
        ((run.since, number, run.verdict) for number, strip in enumerate(strips) for run in strip),
        key=lambda each: each[:2],
    )
    seen_by: dict[int, Verdict | None] = {}
    seen = dict.fromkeys(GRAVITY, 0)  # by how many
    found: tuple[Run, ...] = ()
    for since, number, verdict in begins:
        if number in seen_by:
            seen[seen_by[number]] -= 1
        seen_by[number] = verdict
        seen[verdict] += 1
        worst = max((each for each, count in seen.items() if count), key=GRAVITY.__getitem__)
        if not found or found[-1].verdict is not worst:
            found = _then(found, Run(verdict=worst, since=since))
    return found


def by_minute(runs: Sequence[Lasting], now: datetime) -> tuple[tuple[Verdict | None, ...], ...]:
    """Return what was seen in each minute of the last half hour, the oldest first, the gravest first.

    Of a minute of which nothing is known: ().
    """
    minutes = int(SPAN.total_seconds()) // 60
    begins = [run.since for run in runs]
    found: list[tuple[Verdict | None, ...]] = []
    for ago in range(minutes, 0, -1):
        begin = now - timedelta(minutes=ago)
        first = max(0, bisect_right(begins, begin) - 1)
        last = bisect_left(begins, begin + timedelta(minutes=1))
        seen = {run.verdict for run in runs[first:last]}
        found.append(tuple(sorted(seen, key=GRAVITY.__getitem__, reverse=True)))
    return tuple(found)


def finite(numbers: Mapping[str, float]) -> dict[str, float]:
    """Leave out what no JSON can say."""
    return {name: number for name, number in numbers.items() if isfinite(number)}


def _gap(strip: Strip, host: InstanceId | None) -> Run:
    """Return what came when the latest look had become old, or its host had gone."""
    latest, until = strip.latest, strip.stands_until
    assert latest is not None
    assert until is not None
    if host == latest.instance_id:
        return Run(verdict=Verdict.UNKNOWN, since=until, detail="nobody has looked")
    return Run(verdict=None, since=min(until, latest.at + _BEAT), detail="there was no host")


def _then(runs: tuple[Run, ...], run: Run) -> tuple[Run, ...]:
    """Let a run follow. What lasted no time at all has not been."""
    while runs and runs[-1].since >= run.since:
        runs = runs[:-1]
    if runs and runs[-1].verdict is run.verdict:
        return runs
    return (*runs, run)


def _recent(runs: tuple[Run, ...], now: datetime) -> tuple[Run, ...]:
    """Drop what was over half an hour ago."""
    first = bisect_right(runs, now - SPAN, key=lambda run: run.since) - 1
    return runs[first:] if first > 0 else runs
