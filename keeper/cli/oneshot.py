"""Verbs that act while no keeper runs: the same daemon, for one stream, until one thing holds.

Renting and ending go through the daemon's own tick, so that every fuse and every record holds here
too. Ctrl-C drains: what was rented is recorded, and the next keeper takes it up.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from keeper import bootstrap
from keeper.adapters.clock import SystemClock
from keeper.cli.errors import Stopped
from keeper.cli.terminal import Progress
from keeper.core.model import SlotId, StreamName
from keeper.core.text import plain
from keeper.core.world import Order, OrderKind, Snapshot
from keeper.daemon.once import run_until
from keeper.ports import JournalEntry, PortError
from keeper.settings import Settings, secrets_of
from keeper.telemetry.logs import configure_logs

_JOURNAL_MAX = 1000  # facts, to learn from how long earlier hosts took
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
    expected: Callable[[Snapshot, Sequence[JournalEntry]], str] = lambda _s, _j: "",
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
        await daemon.open()
        journal = await daemon.journal(limit=_JOURNAL_MAX)
        with Progress() as progress:

            def interrupt() -> None:
                nonlocal is_interrupted
                is_interrupted = True
                progress.remark(
                    "interrupted: finishing what is under way; once more leaves at once"
                )
                daemon.stop("interrupted")

            def look(snapshot: Snapshot) -> None:
                nonlocal last
                if snapshot is not last:
                    for outcome in snapshot.world.outcomes:
                        if outcome.error:
                            progress.remark(f"{outcome.intent.value} failed: {outcome.error}")
                last = snapshot
                if not is_interrupted:
                    progress.stage(stage(snapshot), expected(snapshot, journal))

            def is_over(snapshot: Snapshot) -> bool:
                nonlocal gave_up
                if is_done(snapshot):
                    return True
                gave_up = hopeless(snapshot)
                return gave_up is not None

            try:
                with _once_by_signal(interrupt):
                    found = await run_until(
                        daemon, is_over, orders=orders, timeout_s=timeout_s, progress=look
                    )
            except PortError:
                # An order that the stop has overtaken is no news: nothing of it was done.
                if not is_interrupted:
                    raise
                found = False
        return Pursuit(
            is_done=found and gave_up is None,
            is_interrupted=is_interrupted,
            hopeless=gave_up,
            snapshot=daemon.snapshot() or last,
        )


@contextlib.contextmanager
def _once_by_signal(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM begin the drain.

    A second one does not wait for it: open intents are on disk, and the next keeper settles them.
    """
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def first() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
        interrupt()

    for number in numbers:
        loop.add_signal_handler(number, first)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
