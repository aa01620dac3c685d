"""Verbs that act while no keeper runs: the same daemon, for one stream, until one thing holds.

Renting and ending go through the daemon's own tick, so that every fuse and every record holds here
too. Ctrl-C drains: what was rented is recorded, and the next keeper takes it up.
"""

from __future__ import annotations

import asyncio
import getpass
import signal
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from keeper import bootstrap
from keeper.adapters.clock import SystemClock
from keeper.cli.errors import Stopped
from keeper.cli.terminal import Progress
from keeper.core.model import SlotId, StreamName
from keeper.core.text import plain
from keeper.core.world import Order, OrderKind, Snapshot
from keeper.daemon.once import run_until
from keeper.settings import Settings, secrets_of
from keeper.telemetry.logs import configure_logs

# No stream has this name (names have no blanks): all are set to observe.
NO_STREAM = StreamName(" ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pursuit:
    """How it ended, and the last thing that was seen."""

    is_done: bool
    is_interrupted: bool
    hopeless: Stopped | None
    snapshot: Snapshot | None


def new_order(kind: OrderKind, slot: SlotId, reason: str) -> Order:
    """Make an order in the name of whoever runs this command."""
    return Order(
        order_id=uuid.uuid4().hex,
        kind=kind,
        slot=slot,
        actor=f"local:{getpass.getuser()}",
        reason=plain(reason),
        at=SystemClock().now(),
    )


async def pursue(
    settings: Settings,
    *,
    only: StreamName,
    is_done: Callable[[Snapshot], bool],
    stage: Callable[[Snapshot], str],
    hopeless: Callable[[Snapshot], Stopped | None] = lambda _: None,
    orders: tuple[Order, ...] = (),
    timeout_s: float,
) -> Pursuit:
    """Run a daemon that acts for one stream until something holds, is hopeless, or time is up."""
    # The narration is ours; what the daemon itself finds alarming is still said, on stderr.
    configure_logs(format="auto", level="error", secrets=secrets_of(settings), stream=sys.stderr)
    gave_up: Stopped | None = None
    is_interrupted = False
    last: Snapshot | None = None

    async with bootstrap.open_daemon(settings, only=only) as daemon:
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            nonlocal is_interrupted
            is_interrupted = True
            daemon.stop("interrupted")
            # A second Ctrl-C does not wait for the drain; open intents are on disk.
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        with Progress() as progress:

            def look(snapshot: Snapshot) -> None:
                nonlocal last
                if snapshot is not last:
                    for outcome in snapshot.world.outcomes:
                        if outcome.error:
                            progress.remark(f"{outcome.intent.value} failed: {outcome.error}")
                last = snapshot
                progress.stage(stage(snapshot))

            def is_over(snapshot: Snapshot) -> bool:
                nonlocal gave_up
                if is_done(snapshot):
                    return True
                gave_up = hopeless(snapshot)
                return gave_up is not None

            try:
                found = await run_until(
                    daemon, is_over, orders=orders, timeout_s=timeout_s, progress=look
                )
            finally:
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.remove_signal_handler(number)
        return Pursuit(
            is_done=found and gave_up is None,
            is_interrupted=is_interrupted,
            hopeless=gave_up,
            snapshot=daemon.snapshot() or last,
        )
