"""Waiting for another link, for what may go on over whichever link there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from keeper.ports import Clock, Link, PortError, Transient, Unreachable

Relink = Callable[[], Awaitable[Link]]
"""Gives the link that is up now. Raises Unreachable, or another Transient."""


async def linked_again(
    relink: Relink, lost: PortError, *, what: str, clock: Clock, until_s: float, poll_s: float
) -> Link:
    """Wait for a link, until ``until_s`` by the monotonic clock. Raises Unreachable, for ``what``."""
    while True:
        if clock.monotonic() > until_s:
            raise Unreachable(f"{what}: {lost}") from lost
        await asyncio.sleep(poll_s)
        try:
            return await relink()
        except Transient as still:
            lost = still
