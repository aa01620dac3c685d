"""Waiting for what another process does in its own time and tells nobody."""

import asyncio
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 30.0
"""Far more than anything here takes on a busy machine; what never comes fails after it."""


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that a process of the operating system brings about."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - no event tells of it: it is another process
            await asyncio.sleep(0.02)


def is_running(pid: int) -> bool:
    """Say whether a process is there; one that only waits to be reaped is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"
