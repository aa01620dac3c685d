"""Runs a daemon until something holds, for the verbs that work without a running keeper.

The same Daemon, the same store, the same fuses: a verb that rents or destroys by itself would be a
second implementation of the money path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from keeper.core.world import Order, Snapshot
from keeper.daemon.supervise import Daemon
from keeper.ports import PortError


async def run_until(
    daemon: Daemon,
    is_done: Callable[[Snapshot], bool],
    *,
    orders: tuple[Order, ...] = (),
    timeout_s: float,
    progress: Callable[[Snapshot], None] = lambda _: None,
) -> bool:
    """Run a daemon with these orders until a snapshot satisfies, or the time is up; says which.

    However it ends, what was rented is recorded, and the next keeper takes it up. Raises what an order
    raises.
    """
    found = False
    refused: PortError | None = None

    async def watch() -> None:
        nonlocal found
        while True:
            snapshot = daemon.snapshot()
            if snapshot is not None:
                progress(snapshot)
                if is_done(snapshot):
                    found = True
                    return
            await daemon.changed()

    async def steer() -> None:
        nonlocal refused
        try:
            await daemon.loaded()
            for order in orders:
                await daemon.order(order)
            async with asyncio.timeout(timeout_s):
                await watch()
        except TimeoutError:
            pass
        except PortError as error:
            refused = error  # raised when the daemon has drained, not through it
        finally:
            daemon.stop("done" if found else "interrupted or out of time")

    async with asyncio.TaskGroup() as group:
        steering = group.create_task(steer())
        try:
            await daemon.run()
        finally:
            steering.cancel()
    if refused is not None:
        raise refused
    return found
