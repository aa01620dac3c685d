"""``python -m bench [--only NAME]``: measure every figure, print the table, write results.json.

Each figure runs in a process of its own, so that none inherits another's heap, imports or settings.
The exit code is 0 when everything could be measured: a missed goal is a finding, not a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.measure import Row, now

FIGURES = ("loglines", "journal", "wheel", "vast", "link", "scrape", "tick", "sim", "cli", "viewer")
RESULTS = Path(__file__).with_name("results.json")
_FIGURE_S = 120
# The labelled set is streamed in real time, by every way, several times over.
_LONG_S = {"viewer": 1_500}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", choices=FIGURES, help="measure one figure, keep the others")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        return _measure_here(chosen.child[0], Path(chosen.child[1]))
    names = (chosen.only,) if chosen.only else FIGURES
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    _print_line("figure", "value", "goal", "", "what it is compared with")
    for name in names:
        began = time.monotonic()
        found = _measure_in_child(name)
        if found is None:
            failed.append(name)
            continue
        rows += found
        for row in found:
            _print_row(Row(**row))
        print(f"  ({name}: {time.monotonic() - began:.0f} s)", flush=True)
    _write(rows, measured=set(names) - set(failed))
    for name in failed:
        print(f"bench: {name} broke down; see it alone: make bench ONLY={name}", file=sys.stderr)
    return 1 if failed else 0


def _measure_here(name: str, answer: Path) -> int:
    figure = importlib.import_module(f"bench.{name}")
    rows: list[Row] = asyncio.run(figure.measure())
    answer.write_text(json.dumps([row.plain() for row in rows]))
    return 0


def _measure_in_child(name: str) -> list[dict[str, Any]] | None:
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "bench", "--child", name, str(answer)]
        limit_s = _LONG_S.get(name, _FIGURE_S)
        with subprocess.Popen(command) as child:
            try:
                child.wait(timeout=limit_s)
            except subprocess.TimeoutExpired:
                print(f"  {name}: not done in {limit_s} s", file=sys.stderr)
            finally:
                _end(child)
        if child.returncode != 0:
            return None
        found: list[dict[str, Any]] = json.loads(answer.read_text())
        return found


def _end(child: subprocess.Popen[bytes]) -> None:
    """Let a child that is still there put away what it has started; then end it."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()


def _print_row(row: Row) -> None:
    goal = "-" if row.goal is None else f"{'>=' if row.at_least else '<='} {row.goal:.3g}"
    value = "-" if row.value is None else f"{row.value:.3g}"
    verdict = {True: "met", False: "MISSED", None: ""}[row.is_met]
    _print_line(row.figure, value, goal, verdict, f"{row.note} {row.unit}".strip())


def _print_line(figure: str, value: str, goal: str, verdict: str, note: str) -> None:
    print(f"{figure:<28} {value:>8} {goal:>9} {verdict:<6}  {note}", flush=True)


def _write(rows: list[dict[str, Any]], measured: set[str]) -> None:
    """Write what was measured; the figures that were not asked for stay as they are."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    others = [
        row
        for row in kept
        if row["figure"] != "machine" and row["figure"].partition(".")[0] not in measured
    ]
    order = {name: at for at, name in enumerate(FIGURES)}
    every = sorted(
        [*others, *rows], key=lambda row: order.get(row["figure"].partition(".")[0], len(order))
    )
    lines = ",\n".join(json.dumps(row) for row in (_machine().plain(), *every))
    RESULTS.write_text(f"[\n{lines}\n]\n")


def _machine() -> Row:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    load = os.getloadavg()[1]
    return Row(
        figure="machine",
        goal=None,
        value=None,
        floor=None,
        peer=None,
        pairs=0,
        unit="",
        at=now(),
        note=f"{os.cpu_count()} cores, {model}, {platform.platform()}, "
        f"{platform.python_implementation()} {platform.python_version()}, load {load:.1f}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
