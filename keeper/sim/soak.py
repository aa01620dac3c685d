"""Thousands of seeds on all cores, over days and interruptions: ``python -m keeper.sim.soak``.

Each seed that is done is appended to a state file at once, so an interrupt or a power cut loses only
what was running; the same command goes on where it stopped. What is done with one version of the code
says nothing about another, so each has a state of its own, named by its commit, or by its content where
it is not just a commit: changed, or a copy without its history. Each seed is kept with the content of
the code that ran it, for files may change under a soak that runs; the record then names both versions.
At the end, and when it is interrupted, a record of all that was done is written; a broken seed is in it
with the fewest faults that break it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from keeper.sim.faultplan import lines_of
from keeper.sim.fleets import ANY
from keeper.sim.runner import Campaign, Ticker, run_and_replay, shrink_seed

_TOLD_EVERY_S = 60.0
_SEEDS_A_WORKER = 100  # then it is begun anew, so that nothing can pile up
_WAITING_PER_JOB = 3
_INTERRUPTED = 130
_ROOT = Path(__file__).parent.parent  # of the package

Line = dict[str, Any]  # what is kept of one seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """What is to be run, and where it is kept."""

    seeds: int
    days: float
    faults: str
    fleet: str
    jobs: int
    limit_s: float | None
    shrink_s: float
    state: Path
    record: Path | None

    def campaign(self, seed: int) -> Campaign:
        """Return one seed as a campaign of its own; now and then it is run twice."""
        return Campaign(
            seeds=(seed, seed + 1),
            days=self.days,
            faults=self.faults,
            fleet=self.fleet,
            shrink_s=self.shrink_s,
        )


@dataclass(slots=True)
class Done:
    """What is done, as read from the state and added to since."""

    lines: dict[int, Line] = field(default_factory=dict)
    began_at: str = ""
    wall_s: float = 0.0  # of all sittings

    @property
    def broken(self) -> list[Line]:
        """The seeds that broke a promise."""
        return [line for _, line in sorted(self.lines.items()) if line["broken"]]


def run_one(seed: int, soak: Soak) -> Line:
    """Run one seed to its end, in a process of its own; shrink what it breaks."""
    campaign, began_s = soak.campaign(seed), time.process_time()
    result = run_and_replay(seed, campaign)
    line: Line = {
        "seed": seed,
        "code": code(),
        "slot_hours": result.slot_hours,
        "dollars": result.dollars,
        "dark_s": result.dark_seconds,
        "cpu_s": round(time.process_time() - began_s, 3),
        "faults": Counter(fault.kind.value for fault in result.faults),
        "fleet": result.fleet,
        "broken": [broken.sentence() for broken in result.broken],
    }
    if result.broken:
        line["command"] = campaign.command(seed)
        shrunk = shrink_seed(seed, campaign, result) if soak.shrink_s else None
        if shrunk is not None:
            line["shrunk"] = {
                "sentence": shrunk.sentence(),
                "days": shrunk.days,
                "plan": lines_of(shrunk.plan).splitlines(),
            }
    return line


def read_state(path: Path) -> Done:
    """Read what was done; a last line that was cut off in the middle is left out."""
    done = Done()
    if not path.exists():
        return done
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if "seed" in line:
            done.lines[line["seed"]] = line
        else:
            done.began_at = done.began_at or line.get("began_at", "")
            done.wall_s += line.get("wall_s", 0.0)
    return done


def main(soak: Soak) -> int:
    """Run what is not done yet; returns the exit code."""
    soak.state.parent.mkdir(parents=True, exist_ok=True)
    done = read_state(soak.state)
    _end_line(soak.state)
    began_s, now = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    done.began_at = done.began_at or now
    if done.lines:
        _say(f"soak: goes on after {len(done.lines)} seeds of {soak.state}")
    is_interrupted = False
    with soak.state.open("a", encoding="utf-8") as state:
        _append(state, {"began_at": now})
        try:
            for line in _results(soak, done, began_s):
                done.lines[line["seed"]] = line
                _append(state, line)
                for sentence in line["broken"]:
                    _say(f"soak: seed {line['seed']}: {sentence}")
        except KeyboardInterrupt:
            is_interrupted = True
        wall_s = round(time.monotonic() - began_s, 1)
        _append(state, {"wall_s": wall_s})
    done.wall_s += wall_s
    told = record_of(soak, done)
    if soak.record is not None:
        soak.record.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    _say(_sentence(told))
    if is_interrupted:
        return _INTERRUPTED
    return 1 if done.broken else 0


def record_of(soak: Soak, done: Done) -> dict[str, Any]:
    """Return the record of everything that was done."""
    lines = done.lines.values()
    kinds: Counter[str] = Counter()
    for line in lines:
        kinds.update(line["faults"])
    slot_hours, cpu_s = sum(x["slot_hours"] for x in lines), sum(x["cpu_s"] for x in lines)
    ran: dict[str, list[int]] = {}
    for seed, line in sorted(done.lines.items()):
        ran.setdefault(line.get("code", "unknown"), []).append(seed)
    commit, is_clean = _commit()
    return {
        "what": f"keeper sim run --faults {soak.faults} --fleet {soak.fleet} --days {soak.days:g}, a seed a run, each tenth"
        " seed run again for a day and twice compared",
        "commit": commit,
        "is_clean": is_clean,
        # What ran, by the content of the code; the commit is that of the tree when this was written.
        "code": {each: _ranges(seeds) for each, seeds in ran.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {soak.jobs} used,"
        f" Python {platform.python_version()}",
        "began_at": done.began_at,
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seeds_wanted": soak.seeds,
        "seeds_done": len(done.lines),
        "seeds": _ranges(sorted(done.lines)),
        "days": soak.days,
        "slot_hours": round(slot_hours, 1),
        "dollars": round(sum(x["dollars"] for x in lines), 2),
        "dark_share": round(sum(x["dark_s"] for x in lines) / 3600.0 / max(slot_hours, 1e-9), 5),
        "cpu_s": round(cpu_s, 1),
        "wall_s": round(done.wall_s, 1),
        "slot_hours_per_cpu_s": round(slot_hours / max(cpu_s, 1e-9), 1),
        "faults": sum(kinds.values()),
        "faults_by_kind": dict(sorted(kinds.items())),
        "broken_seeds": len(done.broken),
        "broken": [
            {k: line[k] for k in ("seed", "broken", "command", "shrunk") if k in line}
            for line in done.broken
        ],
    }


def _results(soak: Soak, done: Done, began_s: float) -> Iterator[Line]:
    """Yield each seed as it is done. An interrupt gives up what is running, and nothing else."""
    left = (seed for seed in range(1, soak.seeds + 1) if seed not in done.lines)
    ticker, told_s = Ticker("soak"), began_s
    waiting: set[Future[Line]] = set()
    # Spawned, not forked: a worker must not inherit the loops and locks of whoever started it.
    with ProcessPoolExecutor(
        soak.jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_leave_interrupts_to_the_parent,
        max_tasks_per_child=_SEEDS_A_WORKER,
    ) as pool:
        try:
            while True:
                is_over = soak.limit_s is not None and time.monotonic() - began_s >= soak.limit_s
                while not is_over and len(waiting) < soak.jobs * _WAITING_PER_JOB:
                    seed = next(left, None)
                    if seed is None:
                        break
                    waiting.add(pool.submit(run_one, seed, soak))
                if is_over:
                    # What has not begun need not; what runs is nearly done.
                    waiting = {future for future in waiting if not future.cancel()}
                if not waiting:
                    return
                finished, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
                ticker.say(_progress(soak, done, began_s))
                if time.monotonic() - told_s > _TOLD_EVERY_S and not sys.stderr.isatty():
                    told_s = time.monotonic()
                    _say(f"soak: {_progress(soak, done, began_s)}")
        finally:
            ticker.end()
            _give_up(pool)


def _give_up(pool: ProcessPoolExecutor) -> None:
    """Let nobody wait for a seed that is not wanted any more."""
    processes = list((pool._processes or {}).values())  # noqa: SLF001 - 3.14 has kill_workers()
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()


def _leave_interrupts_to_the_parent() -> None:
    code()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _progress(soak: Soak, done: Done, began_s: float) -> str:
    slot_hours = sum(line["slot_hours"] for line in done.lines.values())
    passed_s = time.monotonic() - began_s
    return (
        f"{len(done.lines)} of {soak.seeds} seeds, {len(done.broken)} broken,"
        f" {slot_hours:.0f} slot hours, {passed_s / 60:.0f} min"
    )


def _sentence(told: dict[str, Any]) -> str:
    verdict = f"{told['broken_seeds']} broke a promise" if told["broken_seeds"] else "all held"
    mixed = f" by {len(told['code'])} VERSIONS of the code" if len(told["code"]) > 1 else ""
    return (
        f"soak: {told['seeds_done']} of {told['seeds_wanted']} seeds{mixed}, {verdict};"
        f" {told['slot_hours']:.0f} slot hours, {told['faults']} faults,"
        f" {told['slot_hours_per_cpu_s']:g} slot hours per CPU second"
    )


def _ranges(numbers: Sequence[int]) -> str:
    """Say which numbers, in short: "1-50, 53"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{a}-{b}" if a != b else str(a) for a, b in parts)


@cache
def code() -> str:
    """Name the code by its content, as this process has found it when it began."""
    digest = hashlib.sha256()
    for path in sorted(_ROOT.rglob("*.py")):
        digest.update(f"{path.relative_to(_ROOT).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _commit() -> tuple[str, bool]:
    """Return the commit, and whether the code is just that. A copy has none."""
    if not (_ROOT.parent / ".git").exists():
        return "unknown", False  # not even that of whatever it was copied into
    found = [_git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", _ROOT.name)]
    return (found[0] or "unknown")[:12], found[0] is not None and found[1] == ""


def _git(*words: str) -> str | None:
    try:
        ran = subprocess.run(
            ["git", "-C", str(_ROOT.parent), *words],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return ran.stdout.strip()


def _append(state: Any, line: Line) -> None:  # noqa: ANN401 - a file that is open
    state.write(json.dumps(line) + "\n")
    state.flush()


def _end_line(path: Path) -> None:
    """End a line that was cut off, so that the next one is whole."""
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        with path.open("a", encoding="utf-8") as state:
            state.write("\n")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def read(words: Iterable[str] | None = None) -> Soak:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="keeper.sim.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--faults", default="all")
    parser.add_argument("--fleet", default=ANY, help="one for all, or any: each seed draws its own")
    parser.add_argument("--jobs", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--limit-s", type=float, default=None, help="begin no seed after this")
    parser.add_argument("--shrink-s", type=float, default=120.0)
    parser.add_argument("--state", type=Path, default=Path(".soak"), help="a folder")
    parser.add_argument("--record", type=Path, default=None)
    given = parser.parse_args(None if words is None else list(words))
    commit, is_clean = _commit()
    what = f"{given.days:g}-{given.faults}-{given.fleet}"
    name = f"seeds-{commit if is_clean else code()}-{what}.jsonl"
    return Soak(
        seeds=given.seeds,
        days=given.days,
        faults=given.faults,
        fleet=given.fleet,
        jobs=given.jobs or os.cpu_count() or 1,
        limit_s=given.limit_s or None,
        shrink_s=given.shrink_s,
        state=given.state / name.replace("/", "_"),
        record=given.record,
    )


if __name__ == "__main__":
    sys.exit(main(read()))
