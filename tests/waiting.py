"""Waiting for what another process does in its own time and tells nobody."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 90.0
"""Far more than anything here takes on a busy machine; what never comes fails after it."""


async def eventually(holds: Callable[[], object], *, patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds that a process of the operating system brings about."""

    async def look() -> object:
        return holds()

    await look_until(look, patience_s=patience_s)


async def look_until(
    look: Callable[[], Awaitable[T]],
    holds: Callable[[T], object] = bool,
    *,
    every_s: float = 0.02,
    patience_s: float = PATIENCE_S,
) -> T:
    """Look until what is seen is as wanted, and return that."""
    async with asyncio.timeout(patience_s):
        while not holds(found := await look()):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(every_s)
    return found


def is_running(pid: int) -> bool:
    """Say whether a process is there; one that only waits to be reaped is not."""
    return state_of(pid) not in {"", "Z", "X"}


def state_of(pid: int) -> str:
    """Return the kernel's letter for what a process does now; "" when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(") ")[2][0]
