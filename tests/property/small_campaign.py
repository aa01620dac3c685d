"""All small worlds, to the last one: ``python -m tests.property.small_campaign`` (``make worlds``).

Each piece that is done is written down at once, so a run that was stopped goes on where it was; what is
done with one core says nothing about another, so each has a state of its own. The record counts what is
done of each tier and shows what broke a promise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.property.small_tiers import NAMED, SHADES, Tier, judged

ROOT: Final = Path(__file__).parents[2]
STATE: Final = Path(".soak")
RECORD: Final = Path("docs/worlds.json")
_WRONG_MAX: Final = 20  # of a piece; a core that breaks everything need not say so a million times
_TOLD_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """One piece of a tier."""

    tier: str
    piece: int
    worlds: int
    cpu_s: float
    wrong: tuple[str, ...] = ()


def tiers_up_to(hosts: int) -> tuple[Tier, ...]:
    """Return what is to be gone through: the worlds of the promise, then shades up to so many hosts."""
    return (NAMED, *SHADES[: max(0, hosts - 1)])


def play(tier: Tier, piece: int) -> Done:
    """Put a piece through ``reconcile``, up to as many broken worlds as are worth telling."""
    began_s, worlds, wrong = time.process_time(), 0, list[str]()
    for small in tier.worlds(piece):
        worlds += 1
        wrong.extend(judged(small, is_carried_out=tier.is_carried_out))
        if len(wrong) >= _WRONG_MAX:
            break
    return Done(tier.name, piece, worlds, round(time.process_time() - began_s, 2), tuple(wrong))


def campaign(tiers: Sequence[Tier], jobs: int, limit_s: float, state: Path, record: Path) -> int:
    """Go through every piece that is not done yet; returns the exit code."""
    state.parent.mkdir(parents=True, exist_ok=True)
    done = read(state)
    left = ((t, piece) for t in tiers for piece in range(t.pieces) if (t.name, piece) not in done)
    with state.open("a", encoding="utf-8") as lines:
        for each in _results(left, jobs, limit_s):
            done[each.tier, each.piece] = each
            lines.write(json.dumps(asdict(each)) + "\n")
            lines.flush()
            for wrong in each.wrong:
                print(f"{each.tier}, piece {each.piece}: {wrong}", flush=True)
    told = record_of(tiers, done.values())
    record.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for tier in told["tiers"]:
        print(f"worlds: {tier['name']}: {tier['worlds']:,} worlds, {tier['done']} of {tier['pieces']}"
              f" pieces, {len(tier['wrong'])} wrong")  # fmt: skip
    return 1 if any(tier["wrong"] for tier in told["tiers"]) else 0


def read(state: Path) -> dict[tuple[str, int], Done]:
    """Read what is done; a last line that was cut off in the middle is left out, and ended."""
    if not state.exists():
        return {}
    text = state.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        state.write_text(text, encoding="utf-8")
    found = [Done(**json.loads(line)) for line in text.splitlines()]
    return {(each.tier, each.piece): each for each in found}


def record_of(tiers: Sequence[Tier], done: Iterable[Done]) -> dict[str, Any]:
    """Return the record of everything that was done with this core."""
    told = []
    every = list(done)
    for tier in tiers:
        mine = [each for each in every if each.tier == tier.name]
        told.append(
            {
                "name": tier.name,
                "pieces": tier.pieces,
                "done": len(mine),
                "worlds": sum(each.worlds for each in mine),
                "cpu_s": round(sum(each.cpu_s for each in mine)),
                "wrong": [wrong for each in mine for wrong in each.wrong],
            }
        )
    return {"core": digest(), "python": platform.python_version(), "tiers": told}


def digest() -> str:
    """Return a name for the core and the model that are tried: another name, another campaign."""
    files = [
        *(ROOT / "keeper" / "core").glob("*.py"),
        *(ROOT / "tests/property").glob("small_*.py"),
    ]
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:12]


def _results(left: Iterator[tuple[Tier, int]], jobs: int, limit_s: float) -> Iterator[Done]:
    began_s = told_s = time.monotonic()
    count, running = 0, set[Future[Done]]()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=50) as pool:
        while True:
            is_over = limit_s and time.monotonic() - began_s >= limit_s
            while not is_over and len(running) < jobs:
                following = next(left, None)
                if following is None:
                    break
                running.add(pool.submit(play, *following))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for each in finished:
                count += 1
                yield each.result()
            if time.monotonic() - told_s >= _TOLD_EVERY_S:
                told_s = time.monotonic()
                print(f"worlds: {count} pieces in {told_s - began_s:.0f} s", flush=True)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=3, help="every shade of up to so many hosts")
    parser.add_argument("--jobs", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--limit-s", type=float, default=0.0, help="begin no piece after this")
    parser.add_argument("--state", type=Path, default=STATE, help="a folder: what is done so far")
    parser.add_argument("--record", type=Path, default=RECORD, help="written at the end")
    given = parser.parse_args()
    jobs = given.jobs or os.cpu_count() or 1
    state = given.state / f"worlds-{digest()}.jsonl"
    return campaign(tiers_up_to(given.hosts), jobs, given.limit_s, state, given.record)


if __name__ == "__main__":
    sys.exit(main())
