"""The campaign of real deaths: every call of a port, killed and frozen before and after it.

``python -m keeper.sim.death --record FILE`` plays each life once without a death to learn its calls,
then again and again with some deaths in each run, until every point is done or the time is up. It
goes on from its record where it was stopped. The first broken promise ends it, with the command
that repeats the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from keeper.sim.death_keeper import Deed
from keeper.sim.death_lives import LIVES
from keeper.sim.death_run import FREEZE_S, Point, Told, play

_DEATHS_A_RUN = {Deed.KILL: 6, Deed.FREEZE: 3}
_CHANGING = ("PUT ", "POST ", "DELETE ")
_TRIES_MAX = 2  # a point that a run did not reach is tried once more; then it is said so


@dataclass(slots=True)
class Record:
    """What was done so far in one life."""

    order: tuple[str, ...] = ()  # the calls of a run without a death, "call|edge" each
    done: set[str] = field(default_factory=set)
    missed: dict[str, int] = field(default_factory=dict)  # tries at points that no run has reached
    facts: Counter[str] = field(default_factory=Counter)  # in how many runs each came
    runs: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """Read what ``plain`` has written."""
        return cls(
            order=tuple(told["order"]),
            done={
                f"{deed}|{call}|{nth}"
                for deed, calls in told["done"].items()
                for call, nths in calls.items()
                for nth in nths
            },
            missed=told["missed"],
            facts=Counter(told["facts"]),
            runs=told["runs"],
            seconds=told["seconds"],
        )

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        done: dict[str, dict[str, list[int]]] = {}
        for name in self.done:
            deed, _, rest = name.partition("|")
            call, _, nth = rest.rpartition("|")
            done.setdefault(deed, {}).setdefault(call, []).append(int(nth))
        return {
            "points": {deed.value: len(self.order) for deed in Deed},
            "struck": {deed: sum(map(len, calls.values())) for deed, calls in sorted(done.items())},
            "runs": self.runs,
            "seconds": round(self.seconds),
            "facts": dict(sorted(self.facts.items())),
            "done": {
                deed: {call: sorted(nths) for call, nths in sorted(calls.items())}
                for deed, calls in sorted(done.items())
            },
            "missed": dict(sorted(self.missed.items())),
            "order": list(self.order),
        }

    def take(self, told: Told, asked: Sequence[Point]) -> None:
        """Take what came of a run."""
        self.runs += 1
        self.seconds += told.took_s
        self.facts.update(told.facts)
        self.done |= {point.name for point in told.struck}
        for point in asked:
            if point.name in self.done:
                self.missed.pop(point.name, None)
            else:
                self.missed[point.name] = self.missed.get(point.name, 0) + 1

    def left(self, deed: Deed) -> list[Point]:
        """Return the points to be done, in the order of the story."""
        return [
            point
            for point in points_of(self.order, deed)
            if point.name not in self.done and self.missed.get(point.name, 0) < _TRIES_MAX
        ]


@dataclass(slots=True)
class Book:
    """The records of all lives, in one file."""

    path: Path
    records: dict[str, Record] = field(default_factory=dict)
    freeze_s: float = FREEZE_S

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; an empty book when there is none."""
        if not path.exists():
            return cls(path)
        told = json.loads(path.read_text(encoding="utf-8"))
        freeze_s = told.pop("freeze_s")
        records = {name: Record.read(each) for name, each in told.items()}
        return cls(path, records=records, freeze_s=freeze_s)

    def write(self) -> None:
        """Write it whole or not at all."""
        lives = {name: record.plain() for name, record in self.records.items()}
        fresh = self.path.with_suffix(".new")
        fresh.write_text(_compact({"freeze_s": self.freeze_s, **lives}) + "\n", encoding="utf-8")
        fresh.rename(self.path)

    def of(self, life: str) -> Record:
        """Return the record of a life."""
        return self.records.setdefault(life, Record())


def points_of(order: Sequence[str], deed: Deed) -> Iterator[Point]:
    """Yield one point for each moment of the undisturbed run."""
    counts: dict[str, int] = {}
    for each in order:
        counts[each] = counts.get(each, 0) + 1
        call, _, edge = each.rpartition("|")
        yield Point(call=call, edge=edge, nth=counts[each], deed=deed)


def batches(points: Sequence[Point], deed: Deed) -> Iterator[tuple[Point, ...]]:
    """Spread the points over runs, so that deaths in one run lie far apart.

    Calls that change something come first: a campaign that is cut short has done those.
    """
    changing = [point for point in points if point.call.startswith(_CHANGING)]
    others = [point for point in points if not point.call.startswith(_CHANGING)]
    for part in (changing, others):
        runs = math.ceil(len(part) / _DEATHS_A_RUN[deed])
        for number in range(runs):
            yield tuple(part[number::runs])


@dataclass(frozen=True, slots=True)
class _Run:
    """A run to be done."""

    life: str
    points: tuple[Point, ...]

    @property
    def again(self) -> str:
        """Return the command that repeats it."""
        only = "".join(f" --only '{point.name}'" for point in self.points)
        return f"python -m keeper.sim.death --life {self.life}{only or ' --undisturbed'}"

    def broken(self, told: Told) -> list[str]:
        """Return what it broke, and how to see it again."""
        return [f"{text}\n  again: {self.again}" for text in told.complaints]


def campaign(book: Book, lives: Sequence[str], *, seconds: float, jobs: int) -> list[str]:
    """Go on with a campaign for so long (0: to its end); returns what was broken, and how to repeat it.

    Each life is lived undisturbed first. Then keeper is killed in all of them, and then frozen.
    """
    ends_s = time.monotonic() + (seconds or math.inf)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        if broken := _learn(book, [name for name in lives if not book.of(name).order], pool):
            return broken
        work = [
            _Run(name, batch)
            for deed in Deed
            for name in lives
            for batch in batches(book.of(name).left(deed), deed)
        ]
        running: dict[Future[Told], _Run] = {}
        while running or (work and time.monotonic() < ends_s and not broken):
            while work and len(running) < jobs and time.monotonic() < ends_s and not broken:
                run = work.pop(0)
                running[pool.submit(_live, run.life, run.points, book.freeze_s)] = run
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in ended:
                run, told = running.pop(each), each.result()
                broken += run.broken(told)
                if not told.complaints:
                    book.of(run.life).take(told, run.points)
                    book.write()
                _say(run.life, book.of(run.life), told)
    return broken


def _learn(book: Book, lives: Sequence[str], pool: ProcessPoolExecutor) -> list[str]:
    """Live each of these lives without a death, and remember its calls."""
    runs = [_Run(name, ()) for name in lives]
    learned = pool.map(_live, lives, [()] * len(lives), [book.freeze_s] * len(lives))
    broken: list[str] = []
    for run, told in zip(runs, learned, strict=True):
        broken += run.broken(told)
        if not told.complaints:
            book.of(run.life).order = told.order
            book.write()
    return broken


def _live(life: str, points: tuple[Point, ...], freeze_s: float) -> Told:
    return asyncio.run(play(LIVES[life], points, freeze_s=freeze_s))


def _say(life: str, record: Record, told: Told) -> None:
    deeds = ", ".join(point.name for point in told.struck)
    print(
        f"{life}: {len(record.done)} done; {told.took_s:.0f} s: {deeds}",
        file=sys.stderr,
        flush=True,
    )


def _compact(value: Mapping[str, Any], indent: str = "  ") -> str:
    """Write one line a key of each life, so that a diff can be read."""
    rows = (
        f"{indent}{json.dumps(key)}: "
        + (
            _compact(each, f"{indent}  ")
            if indent == "  " and isinstance(each, dict)
            else json.dumps(each)
        )
        for key, each in value.items()
    )
    return "{\n" + ",\n".join(rows) + f"\n{indent[2:]}}}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run or go on with the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m keeper.sim.death", description=__doc__)
    parser.add_argument("--record", type=Path, default=Path("death.json"))
    parser.add_argument("--seconds", type=float, default=0.0, help="0: to the end")
    parser.add_argument("--jobs", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--life", action="append", default=[], choices=LIVES, help="repeatable")
    parser.add_argument("--only", action="append", default=[], help="DEED|CALL|EDGE|N, repeatable")
    parser.add_argument("--undisturbed", action="store_true", help="one run without a death")
    asked = parser.parse_args(arguments)
    lives = asked.life or list(LIVES)
    if asked.only or asked.undisturbed:
        if len(asked.life) != 1:
            parser.error("one run is of one life: say --life NAME")
        told = _live(lives[0], tuple(Point.parse(name) for name in asked.only), FREEZE_S)
        print("\n".join(told.complaints) or "everything came right")
        return 1 if told.complaints else 0
    book = Book.read(asked.record)
    broken = campaign(book, lives, seconds=asked.seconds, jobs=asked.jobs or os.cpu_count() or 1)
    for text in broken:
        print(text, file=sys.stderr)
    for name in lives:
        record = book.of(name)
        left = sum(len(record.left(deed)) for deed in Deed)
        summary = {"life": name, "runs": record.runs, "struck": len(record.done), "left": left}
        print(json.dumps(summary))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
