"""Passing over beats at which nothing can have changed, where the world itself vouches for it.

Only a simulated world can (``ports.Foresight``); without one nothing here ever rests, and every beat is
kept. Beats go on in arithmetic, so that what is seen, and when, is the same with rest and without.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from math import ceil

from keeper.core.decisions import Plan
from keeper.core.model import SlotRecord
from keeper.core.moments import elapsed_s
from keeper.core.reasons import Reason
from keeper.core.world import World
from keeper.ports import Address, Foresight, Promise

# What listings have agreed on for so long, they have confirmed to whomever it concerns.
_CONFIRMED_S = 900.0


def next_beat_s(since_s: float, period_s: float, now_s: float) -> float:
    """Return the first beat at or after now, of those that begin at ``since_s``."""
    if now_s <= since_s or period_s <= 0:
        return since_s
    return since_s + ceil((now_s - since_s) / period_s - 1e-9) * period_s


def last_beat_s(since_s: float, period_s: float, now_s: float) -> float:
    """Return the last beat at or before now, of those that begin at ``since_s``."""
    if now_s <= since_s or period_s <= 0:
        return since_s
    return since_s + int((now_s - since_s) / period_s + 1e-9) * period_s


class Rest:
    """One loop's rest: from a promise to the moment at which it is broken."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._over.set()
        self._promise: Promise | None = None
        self._broken_s = 0.0
        self._on_end: Callable[[], None] | None = None

    @property
    def is_on(self) -> bool:
        """Whether it rests now."""
        return self._promise is not None

    def begin(
        self,
        ask: Callable[[Callable[[], None]], Promise | None],
        on_end: Callable[[], None] | None = None,
    ) -> bool:
        """Ask for a promise; returns whether it was given. ``on_end`` is called when it is broken."""
        self._on_end = on_end
        self._promise = ask(self.end)
        if self._promise is not None:
            self._over.clear()
        return self._promise is not None

    def end(self) -> None:
        """Rest no longer: the promise is broken, or there is something to do. May be repeated."""
        promise, self._promise = self._promise, None
        if promise is None:
            return
        promise.release()
        self._broken_s = asyncio.get_running_loop().time()
        self._over.set()
        if self._on_end is not None:
            self._on_end()

    async def over(self) -> float:
        """Wait until it has ended, if there is one; returns when that was, on the loop's clock."""
        is_on = self.is_on
        try:
            await self._over.wait()
        finally:
            self.end()
        return self._broken_s if is_on else asyncio.get_running_loop().time()


def is_quiet(world: World, plan: Plan, records: Iterable[SlotRecord]) -> bool:
    """Whether a tick has changed nothing, and waits for nothing but what is said or due by then.

    ``records`` are those after the plan.
    """
    listed_at = world.listing.at if world.listing is not None else world.started_at
    return not (
        world.in_flight
        or world.in_flight_instances
        or world.intents
        or any(listed_at is None or at >= listed_at for at in world.orphans_seen_at.values())
        or world.unreadable_since
        or plan.events
        or plan.records
        or plan.condemned
        or any(fuse is not Reason.PAUSED for fuse in plan.fuses)  # its end has a time
        or plan.wants.offers_for
        or plan.wants.show_ids
        or any(_is_followed(record, listed_at) for record in records)
        or plan.acts
    )


def _is_followed(record: SlotRecord, listed_at: datetime | None) -> bool:
    """Whether a coming listing may confirm something, though it says the same."""
    tenure = record.tenure
    return record.incoming is not None or (
        tenure is not None
        and any(
            since is not None and (listed_at is None or elapsed_s(since, listed_at) < _CONFIRMED_S)
            for since in (
                tenure.missing_since,
                tenure.dead_since,
                tenure.outbid_since,
                tenure.dear_since,
                tenure.ending_since,
            )
        )
    )


class Stirring:
    """A Foresight that also tells its owner of every promise that breaks."""

    def __init__(self, foresight: Foresight, stir: Callable[[], None]) -> None:
        self._foresight = foresight
        self._stir = stir

    def of_listing(self, broken: Callable[[], None]) -> Promise | None:
        """Ask whether the list of rentals stays as it is."""
        return self._foresight.of_listing(self._telling(broken))

    def of_own_network(self, broken: Callable[[], None]) -> Promise | None:
        """Ask whether this box's own network goes on working."""
        return self._foresight.of_own_network(self._telling(broken))

    def of_picture(self, address: Address, broken: Callable[[], None]) -> Promise | None:
        """Ask whether viewers of this address go on seeing what they see."""
        return self._foresight.of_picture(address, self._telling(broken))

    def of_sentinel(self, lines: AsyncIterator[str], broken: Callable[[], None]) -> Promise | None:
        """Ask whether a sentinel would only repeat its heartbeat."""
        return self._foresight.of_sentinel(lines, self._telling(broken))

    def _telling(self, broken: Callable[[], None]) -> Callable[[], None]:
        def tell() -> None:
            broken()
            self._stir()

        return tell
