"""Finds and ends the processes of simulated hosts, also when the simulator itself was killed.

Every process of a host carries a mark in its environment, and so do its children wherever they
hide: in another session, or as orphans of process 1. Run as a program it waits until its standard
input ends, which is when the simulator is gone, and sweeps. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "KEEPER_SIM_HOST"
SWEEPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A process of a simulated host."""

    pid: int
    name: str
    start: str  # in clock ticks since the machine started: with the pid, an identity
    state: str  # R, S, T (stopped), …


def marked(mark: str) -> Iterator[Found]:
    """Yield the living processes whose mark begins with this."""
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names only, and often
        if entry.isdecimal() and has_mark(int(entry), mark):
            found = look(int(entry))
            if found is not None:
                yield found


def has_mark(pid: int, mark: str) -> bool:
    """Whether a process carries a mark that begins with this."""
    wanted = f"{MARK}={mark}".encode()
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return environment.startswith(wanted) or b"\0" + wanted in environment


def children(parent: int) -> Iterator[Found]:
    """Yield the living children of a process."""
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names only, and often
        if entry.isdecimal():
            with suppress(OSError, IndexError):
                stat = Path(f"/proc/{entry}/stat").read_text(errors="replace")
                found = look(int(entry))
                if found is not None and int(stat.rpartition(")")[2].split()[1]) == parent:
                    yield found


def look(pid: int) -> Found | None:
    """Return what a process is; None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    if fields[0] in {"Z", "X"}:
        return None
    return Found(pid=pid, name=name, start=fields[19], state=fields[0])


def sweep(mark: str) -> int:
    """Kill every process with this mark, until none is left; returns how many were killed.

    It goes round again because a process can fork between the look and the kill.
    """
    killed: set[int] = set()
    for _ in range(SWEEPS):
        living = [found.pid for found in marked(mark)]
        if not living:
            break
        for pid in living:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.01)
    return len(killed)


def main(mark: str, folder: str = "") -> None:
    """Wait for the simulator's end, then leave nothing behind."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        # A terminal's Ctrl-C reaches us as well; our end comes after the simulator's.
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    sweep(mark)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
