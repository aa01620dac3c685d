"""Runs the parsers on millions of spoiled inputs, in batches that anybody can run again.

``python -m tests.fuzz.campaign --inputs 10000000`` (``make fuzz``). A batch is known by the seed, its
parser and its number: its inputs depend on nothing else. What is done is written down after each, so a
run that was stopped goes on where it was; one that is complete leaves its record and the next begins
anew. Nothing may be opened, connected or started while a parser works.
"""

import argparse
import asyncio
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.fuzz.mutate import INPUT_MAX_BYTES, mutated
from tests.fuzz.parsers import PARSERS, Parser

BATCH: Final = 5_000
# A parser of 64 KiB that takes longer than this holds up everybody else: something in it is quadratic.
SLOW_S: Final = 0.2
FINDINGS_MAX: Final = 20
# An input may have 64 KiB, and parsers keep nothing: this is the interpreter and its libraries, twice.
MEMORY_MAX_BYTES: Final = 2 * 1024**3
STATE: Final = Path(".soak/fuzz.json")
RECORD: Final = Path("docs/fuzz.json")
_BY_NAME: Final = {parser.name: parser for parser in PARSERS}
_FORBIDDEN: Final = (
    "socket.connect",
    "socket.bind",
    "socket.send",
    "subprocess.",
    "os.",
    "shutil.",
)


@dataclass(frozen=True)
class Finding:
    """An input that a parser did not survive."""

    parser: str
    batch: int
    index: int
    error: str
    input: str


@dataclass(frozen=True)
class Done:
    """One batch."""

    parser: str
    batch: int
    inputs: int
    refused: int  # by an error that is allowed
    seconds: float
    slowest_ms: float
    resident_mib: int
    finding: Finding | None = None


# --- one batch -----------------------------------------------------------------------------------


def inputs_of(parser: Parser, batch: int, size: int, seed: int = 0) -> Iterator[bytes]:
    """Make the inputs of a batch."""
    random = Random(f"{seed}:{parser.name}:{batch}")
    for _ in range(size):
        yield mutated(random, parser.seeds)


def fault_of(parser: Parser, data: bytes) -> str | None:
    """Feed one input; returns what is wrong, "" for nothing, None when it was refused as allowed."""
    try:
        found = parser.parse(data)
    except parser.raises as error:
        return None if len(str(error)) <= 500 else "an endless message"
    except Exception as error:  # noqa: BLE001 - what it is is the question
        return f"{type(error).__name__}: {error}"[:300]
    return parser.check(found)


def run_batch(name: str, batch: int, size: int, seed: int = 0) -> Done:
    """Feed a whole batch, or up to the first input that is not survived."""

    async def feed() -> Done:  # some parsers ask for a running loop
        refused, slowest_s, finding = 0, 0.0, None
        began = time.perf_counter()
        for index, data in enumerate(inputs_of(parser, batch, size, seed)):
            # The processor's time: the box may be busy with something else.
            before = time.thread_time()
            fault = fault_of(parser, data)
            took_s = time.thread_time() - before
            slowest_s = max(slowest_s, took_s)
            if took_s > SLOW_S and not fault:
                fault = f"it took {took_s:.2f} s"
            refused += fault is None
            if fault:
                finding = Finding(name, batch, index, fault, data[:4000].hex())
                break
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return Done(
            name,
            batch,
            index + 1,
            refused,
            time.perf_counter() - began,
            slowest_s * 1000,
            resident,
            finding,
        )

    parser = _BY_NAME[name]
    _guard.is_on = True
    try:
        return asyncio.run(feed())
    finally:
        _guard.is_on = False


class _Guard:
    """Refuses effects while a parser works."""

    is_on = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        writes = event == "open" and not str(arguments[1] or "r").startswith("r")
        if writes or event.startswith(_FORBIDDEN):
            message = f"a parser did this: {event} {arguments!r:.100}"
            raise PermissionError(message)


_guard = _Guard()


def guarded() -> None:
    """Prepare a process: no effects, and no more memory than there should be."""
    sys.addaudithook(_guard)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))


# --- all of them -------------------------------------------------------------------------------


def batches(total: int) -> list[tuple[str, int, int]]:
    """Share out the inputs: each parser its part, in turns."""
    shares = sum(parser.share for parser in PARSERS)
    wanted = {parser.name: -(-int(total * parser.share / shares) // BATCH) for parser in PARSERS}
    rounds = max(wanted.values())
    return [
        (name, number, BATCH)
        for number in range(rounds)
        for name, count in wanted.items()
        if number < count
    ]


def load(path: Path) -> dict[str, Any]:
    """Read what was done before."""
    if not path.is_file():
        return nothing()
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def nothing() -> dict[str, Any]:
    """Return the record of a run that has not begun."""
    return {"inputs": 0, "seconds": 0, "findings": [], "parsers": {}}


def note(record: dict[str, Any], done: Done) -> None:
    """Add one batch to the record."""
    entry = record["parsers"].setdefault(
        done.parser,
        {"inputs": 0, "refused": 0, "seconds": 0.0, "slowest_ms": 0.0, "resident_mib": 0, "batches": []},
    )  # fmt: skip
    entry["inputs"] += done.inputs
    entry["refused"] += done.refused
    entry["seconds"] = round(entry["seconds"] + done.seconds, 3)
    entry["slowest_ms"] = round(max(entry["slowest_ms"], done.slowest_ms), 3)
    entry["resident_mib"] = max(entry["resident_mib"], done.resident_mib)
    entry["batches"] = _ranges([*_numbers(entry["batches"]), done.batch])
    record["inputs"] += done.inputs
    if done.finding is not None:
        record["findings"].append(asdict(done.finding))


def _ranges(numbers: list[int]) -> list[list[int]]:
    """Write numbers as ranges, first and last."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _numbers(ranges: list[list[int]]) -> list[int]:
    return [number for first, last in ranges for number in range(first, last + 1)]


def campaign(total: int, processes: int, seed: int, state: Path, record: Path) -> int:
    """Run what is not done yet; returns the exit code."""
    found = load(state)
    if found.get("seed") != seed:
        found = nothing()
    found.update(
        wanted=total, seed=seed, batch=BATCH, input_max_bytes=INPUT_MAX_BYTES,
        python=platform.python_version(), revision=_revision(),
    )  # fmt: skip
    before = {name: set(_numbers(entry["batches"])) for name, entry in found["parsers"].items()}
    todo = [each for each in batches(total) if each[1] not in before.get(each[0], ())]
    began, before_s, work = time.monotonic(), found["seconds"], iter(todo)
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=guarded) as pool:
        running: set[Future[Done]] = set()
        while True:
            while len(running) < processes * 2 and len(found["findings"]) < FINDINGS_MAX:
                following = next(work, None)
                if following is None:
                    break
                running.add(pool.submit(run_batch, *following, seed))
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for each in finished:
                note(found, each.result())
            found["seconds"] = round(before_s + time.monotonic() - began)
            _write(state, found)
    _write(record, found)
    state.unlink(missing_ok=True)
    findings = found["findings"]
    print(
        f"fuzz: {found['inputs']:,} inputs for {len(PARSERS)} parsers in {found['seconds']} s with "
        f"{processes} processes: {len(findings)} findings; {record}"
    )
    for each in findings:
        print(f"  {each['parser']}, batch {each['batch']}, input {each['index']}: {each['error']}")
    return 1 if findings else 0


def _write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(found, indent=1) + "\n")
    part.replace(path)


def _revision() -> str:
    """Return the commit that is tried; "" outside of a checkout."""
    asked = ["git", "describe", "--always", "--dirty"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="other inputs")
    parser.add_argument("--state", type=Path, default=STATE, help="what is done so far")
    parser.add_argument("--record", type=Path, default=RECORD, help="written at the end")
    options = parser.parse_args()
    return campaign(options.inputs, options.processes, options.seed, options.state, options.record)


if __name__ == "__main__":
    sys.exit(main())
