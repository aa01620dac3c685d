"""The campaign of real deaths: every call of a port, killed and frozen before and after it.

``python -m keeper.sim.death --record FILE`` plays the story once without a death to learn its calls,
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
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from keeper.sim.death_run import FREEZE_S, Deed, Point, Told, play

_DEATHS_A_RUN = {Deed.KILL: 6, Deed.FREEZE: 3}
_TRIES_MAX = 2  # a point that a run did not reach is tried once more; then it is said so


@dataclass(slots=True)
class Record:
    """What was done so far."""

    order: tuple[str, ...] = ()  # the calls of a run without a death, "call|edge" each
    done: set[str] = field(default_factory=set)
    missed: dict[str, int] = field(default_factory=dict)  # tries at points that no run has reached
    runs: int = 0
    seconds: float = 0.0
    freeze_s: float = FREEZE_S

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record; an empty one when there is none."""
        if not path.exists():
            return cls()
        told = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            order=tuple(told["order"]),
            done={
                f"{deed}|{call}|{nth}"
                for deed, calls in told["done"].items()
                for call, nths in calls.items()
                for nth in nths
            },
            missed=told["missed"],
            runs=told["runs"],
            seconds=told["seconds"],
            freeze_s=told["freeze_s"],
        )

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        done: dict[str, dict[str, list[int]]] = {}
        for name in self.done:
            deed, _, rest = name.partition("|")
            call, _, nth = rest.rpartition("|")
            done.setdefault(deed, {}).setdefault(call, []).append(int(nth))
        counts = {deed: sum(map(len, calls.values())) for deed, calls in sorted(done.items())}
        points = len(self.order)
        told = {
            "points": {deed.value: points for deed in Deed},
            "struck": counts,
            "runs": self.runs,
            "seconds": round(self.seconds),
            "freeze_s": self.freeze_s,
            "done": {
                deed: {call: sorted(nths) for call, nths in sorted(calls.items())}
                for deed, calls in sorted(done.items())
            },
            "missed": dict(sorted(self.missed.items())),
            "order": list(self.order),
        }
        fresh = path.with_suffix(".new")
        fresh.write_text(_compact(told), encoding="utf-8")
        fresh.rename(path)

    def take(self, told: Told, asked: Sequence[Point]) -> None:
        """Take what came of a run."""
        self.runs += 1
        self.seconds += told.took_s
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


def points_of(order: Sequence[str], deed: Deed) -> Iterator[Point]:
    """Yield one point for each moment of the undisturbed run."""
    counts: dict[str, int] = {}
    for each in order:
        counts[each] = counts.get(each, 0) + 1
        call, _, edge = each.rpartition("|")
        yield Point(call=call, edge=edge, nth=counts[each], deed=deed)


def batches(points: Sequence[Point], deed: Deed) -> Iterator[tuple[Point, ...]]:
    """Spread the points over runs, so that deaths in one run lie far apart."""
    runs = math.ceil(len(points) / _DEATHS_A_RUN[deed])
    for number in range(runs):
        yield tuple(points[number::runs])


def _run(points: tuple[Point, ...], freeze_s: float) -> Told:
    return asyncio.run(play(points, freeze_s=freeze_s))


def campaign(record: Record, path: Path, *, seconds: float, jobs: int) -> list[str]:
    """Go on with a campaign for so long (0: to its end); returns what was broken, and how to repeat it."""
    ends_s = time.monotonic() + (seconds or math.inf)
    if not record.order:
        record.order = _run((), record.freeze_s).order
    work = [batch for deed in Deed for batch in batches(record.left(deed), deed)]
    broken: list[str] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running: dict[Future[Told], tuple[Point, ...]] = {}
        while running or (work and time.monotonic() < ends_s and not broken):
            while work and len(running) < jobs and time.monotonic() < ends_s and not broken:
                batch = work.pop(0)
                running[pool.submit(_run, batch, record.freeze_s)] = batch
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in ended:
                batch, told = running.pop(each), each.result()
                record.take(told, batch)
                broken += [f"{text}\n  again: {_again(batch)}" for text in told.complaints]
                if not told.complaints:
                    record.write(path)
                _say(record, told)
    return broken


def _again(batch: Sequence[Point]) -> str:
    return "python -m keeper.sim.death " + " ".join(f"--only '{point.name}'" for point in batch)


def _say(record: Record, told: Told) -> None:
    deeds = ", ".join(point.name for point in told.struck)
    print(f"{len(record.done)} done; {told.took_s:.0f} s: {deeds}", file=sys.stderr, flush=True)


def _compact(value: Mapping[str, Any]) -> str:
    """Write one line a key, so that a diff can be read."""
    rows = (f"  {json.dumps(key)}: {json.dumps(each)}" for key, each in value.items())
    return "{\n" + ",\n".join(rows) + "\n}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run or go on with the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m keeper.sim.death", description=__doc__)
    parser.add_argument("--record", type=Path, default=Path("death.json"))
    parser.add_argument("--seconds", type=float, default=0.0, help="0: to the end")
    parser.add_argument("--jobs", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--only", action="append", default=[], help="DEED|CALL|EDGE|N, repeatable")
    asked = parser.parse_args(arguments)
    if asked.only:
        told = _run(tuple(Point.parse(name) for name in asked.only), FREEZE_S)
        print("\n".join(told.complaints) or "everything came right")
        return 1 if told.complaints else 0
    record = Record.read(asked.record)
    broken = campaign(
        record, asked.record, seconds=asked.seconds, jobs=asked.jobs or os.cpu_count() or 1
    )
    for text in broken:
        print(text, file=sys.stderr)
    left = sum(len(record.left(deed)) for deed in Deed)
    print(json.dumps({"runs": record.runs, "struck": len(record.done), "left": left}))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
