"""Many seeds on all cores: what ``keeper sim run`` does and says.

Progress and what broke go to standard error in plain lines; the last line of standard output is one
JSON object. A failing seed is printed with the command that repeats it.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from keeper.sim import telling
from keeper.sim.evidence import Broken
from keeper.sim.faultplan import lines_of
from keeper.sim.fleets import DEFAULT, fleet_for
from keeper.sim.loop import EPOCH
from keeper.sim.shrink import Plan, Shrunk, shrink
from keeper.sim.story import SeedResult, days_for, play_seed, run_plan, run_seed
from keeper.sim.told import RATIO_MAX, tally

_REPLAY_DAYS = 1.0
_GC_EVERY = 100_000
_SHRINK_MAX = 3  # seeds of a campaign; who has more has a simpler way to find out
_REPLAY_EACH = 10  # every so many seeds is run again, to prove that it repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What to run."""

    seeds: tuple[int, ...]
    days: float = 7.0
    jobs: int = 0  # 0: as many as there are cores
    faults: str = "all"
    fleet: str = DEFAULT  # the name of one, or "any": each seed draws its own
    journal: Path | None = None
    shrink_s: float = 0.0  # at most so long for a broken seed; 0: its plan is left as it is
    plans: Path = Path()  # the folder for the plans that are left
    storm: int = 1  # so many plans of faults at once
    is_told: bool = False  # the messages are shown; of one seed

    def command(self, seed: int) -> str:
        """Return the command that repeats one seed."""
        fleet = "" if self.fleet == DEFAULT else f" --fleet {self.fleet}"
        storm = "" if self.storm == 1 else f" --storm {self.storm}"
        return f"keeper sim run --seed {seed} --days {self.days:g} --faults {self.faults}{fleet}{storm}"


def main(campaign: Campaign, *, as_json: bool = False) -> int:
    """Run a campaign; returns the exit code: 0, or 1 when a promise was broken."""
    if campaign.is_told:
        return _main_told(campaign, as_json=as_json)
    results: list[SeedResult] = []
    for done, result in enumerate(_results(campaign), start=1):
        results.append(result)
        _tell(campaign, result, done, as_json=as_json)
    results.sort(key=lambda result: result.seed)
    shrunk = _shrink_broken(campaign, results)
    if campaign.journal is not None:
        campaign.journal.write_bytes(b"".join(result.journal for result in results))
    print(json.dumps(summary(results) | ({"shrunk": shrunk} if shrunk else {})), flush=True)
    return 1 if any(result.broken for result in results) else 0


def _main_told(campaign: Campaign, *, as_json: bool) -> int:
    """Run one seed, and show what people were told; exit 1 too when they were called too often."""
    (seed,) = campaign.seeds
    played = play_seed(seed, campaign.days, campaign.faults, campaign.fleet, storm=campaign.storm)
    told = tally(played.evidence)
    telling.show(played.messages, told)
    result = replace(played.result, fleet=fleet_for(campaign.fleet, seed=seed).sentence())
    _tell(campaign, result, 1, as_json=as_json)
    if campaign.journal is not None:
        campaign.journal.write_bytes(played.result.journal)
    print(json.dumps(summary([played.result]) | {"told": telling.numbers(told)}), flush=True)
    is_bad = told.ratio > RATIO_MAX or told.hasty or told.unpaged or told.paged_again
    return 1 if played.result.broken or is_bad else 0


def summary(results: Iterable[SeedResult]) -> dict[str, Any]:
    """Return the last line."""
    found = tuple(results)
    return {
        "event": "sim.finished",
        "seeds": len(found),
        "slot_hours": round(sum(result.slot_hours for result in found), 2),
        "dollars": round(sum(result.dollars for result in found), 2),
        "dark_seconds": round(sum(result.dark_seconds for result in found), 1),
        "broken": [
            {
                "seed": result.seed,
                "invariant": broken.invariant,
                "at": datetime.fromtimestamp(broken.at, UTC).isoformat(),
                "text": broken.text,
            }
            for result in found
            for broken in result.broken
        ],
    }


def shrink_seed(
    seed: int, campaign: Campaign, result: SeedResult, tell: Callable[[str], None] = lambda _: None
) -> Shrunk | None:
    """Find the fewest faults that break what a seed broke; None when faults have no part in it."""
    wanted = frozenset(broken.invariant for broken in result.broken) - {"I25"}
    if not wanted or not result.faults:
        return None

    def run(plan: Plan, days: float) -> frozenset[str]:
        result = run_plan(seed, days, plan, campaign.fleet)
        return frozenset(each.invariant for each in result.broken)

    first_s = min(b.at for b in result.broken if b.invariant in wanted) - EPOCH.timestamp()
    return shrink(
        result.faults,
        campaign.days,
        wanted,
        run,
        days_for=days_for,
        first_broken_s=first_s,
        limit_s=campaign.shrink_s,
        tell=tell,
    )


def _shrink_broken(campaign: Campaign, results: list[SeedResult]) -> list[dict[str, Any]]:
    """Shrink what broke, say what is left and how to see it again, and write it down."""
    broken = [result for result in results if result.broken and result.faults]
    if not campaign.shrink_s or not broken:
        return []
    found = []
    for result in broken[:_SHRINK_MAX]:
        terminal = Ticker(f"shrinking seed {result.seed}")
        shrunk = shrink_seed(result.seed, campaign, result, terminal.say)
        terminal.end()
        if shrunk is None:
            continue
        path = campaign.plans / f"sim-seed-{result.seed}.faults.yaml"
        again = replace(campaign, days=shrunk.days, faults=str(path)).command(result.seed)
        lines = lines_of(shrunk.plan)
        path.write_text(f"# {shrunk.sentence()}\n# {again}\n{lines}", encoding="utf-8")
        print(f"seed {result.seed}: {shrunk.sentence()}", file=sys.stderr)
        print(textwrap.indent(lines.rstrip(), "  "), file=sys.stderr)
        print(f"  see it again: {again}", file=sys.stderr, flush=True)
        found.append({"seed": result.seed, "days": shrunk.days, "faults": str(path)})
    if len(broken) > _SHRINK_MAX:
        print(f"the other {len(broken) - _SHRINK_MAX} were not shrunk", file=sys.stderr)
    return found


class Ticker:
    """One line on a terminal that is written over and over; nothing elsewhere."""

    def __init__(self, about: str) -> None:
        self._about = about
        self._is_terminal = sys.stderr.isatty()

    def say(self, text: str) -> None:
        """Write over the line."""
        if self._is_terminal:
            print(f"\r\x1b[K{self._about}: {text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line away."""
        if self._is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def run_and_replay(seed: int, campaign: Campaign) -> SeedResult:
    """Run one seed; now and then prove, on a shorter run, that it writes the same journal twice."""
    _spare_garbage()
    result = run_seed(seed, campaign.days, campaign.faults, campaign.fleet, storm=campaign.storm)
    if len(campaign.seeds) > 1 and seed % _REPLAY_EACH != 1:
        return result
    days = min(campaign.days, _REPLAY_DAYS)
    first, second = (
        run_seed(seed, days, campaign.faults, campaign.fleet, storm=campaign.storm).journal
        for _ in range(2)
    )
    if first == second:
        return result
    differs = Broken(
        invariant="I25", at=0.0, text=f"{days:g} days of seed {seed} wrote two different journals"
    )
    return replace(result, broken=(*result.broken, differs))


@cache
def _spare_garbage() -> None:
    """Look for garbage less often, once in a process.

    What was imported stays, and a week makes little but garbage that is not in rings: looking for
    rings at the usual rate costs a tenth of the run.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_EVERY)


def _results(campaign: Campaign) -> Iterator[SeedResult]:
    jobs = min(campaign.jobs or os.cpu_count() or 1, len(campaign.seeds))
    if jobs == 1:
        for seed in campaign.seeds:
            yield run_and_replay(seed, campaign)
        return
    # Spawned, not forked: a worker must not inherit the loops and locks of whoever started it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        waiting = [pool.submit(run_and_replay, seed, campaign) for seed in campaign.seeds]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _tell(campaign: Campaign, result: SeedResult, done: int, *, as_json: bool) -> None:
    verdict = "held" if not result.broken else f"BROKEN ({len(result.broken)})"
    print(
        f"seed {result.seed}: {verdict}, dark {result.dark_seconds:.0f} s of"
        f" {result.slot_hours:.0f} slot hours, {len(result.faults)} faults"
        f" [{done}/{len(campaign.seeds)}]",
        file=sys.stderr,
        flush=True,
    )
    for broken in result.broken:
        print(f"  {broken.sentence()}", file=sys.stderr)
    if campaign.fleet != DEFAULT:
        print(f"  its fleet: {result.fleet}", file=sys.stderr)
    if result.broken:
        print(f"  see it again: {campaign.command(result.seed)}", file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps(_line(result)), flush=True)


def _line(result: SeedResult) -> dict[str, Any]:
    return {
        "event": "sim.seed_finished",
        "seed": result.seed,
        "slot_hours": result.slot_hours,
        "dollars": result.dollars,
        "dark_seconds": result.dark_seconds,
        "faults": len(result.faults),
        "fleet": result.fleet,
        "broken": [broken.sentence() for broken in result.broken],
    }
