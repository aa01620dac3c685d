"""Waiting for a call, but not for ever."""

from __future__ import annotations

import asyncio


async def until(called: asyncio.Event, wait_s: float | None) -> None:
    """Wait until somebody calls, or the time is up; None: however long it takes.

    The event is set when the time is up, too.
    """
    if wait_s is None:
        await called.wait()
        return
    alarm = asyncio.get_running_loop().call_later(wait_s, called.set)
    try:
        await called.wait()
    finally:
        alarm.cancel()
