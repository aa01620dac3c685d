"""When the daemon ticks: soon after a nudge, when something is due, and at least every interval.

Where the world itself vouches for it that nobody could see anything new (``ports.Foresight``), beats are
passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from keeper.daemon.clocks import Clocks
from keeper.daemon.rest import next_beat_s
from keeper.ports import Clock

_NUDGES_APART_S = 0.2  # what is seen within this time is decided on together
_FAILED_TICK_S = 5.0
_REST_MAX_S = 900.0  # then the ledger is written


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When anything could change by time alone."""

    at: datetime | None = None
    if_heard_at: datetime | None = None  # the same if no witness falls silent until then


class Beat:
    """From one tick to the next."""

    def __init__(
        self,
        clock: Clock,
        clocks: Clocks,
        *,
        interval_s: Callable[[], float],
        silence_at: Callable[[], datetime | None],
    ) -> None:
        self._clock = clock
        self._clocks = clocks
        self._interval_s = interval_s
        self._silence_at = (
            silence_at  # when a witness would count as silent, as far as it was heard
        )
        self._nudged = asyncio.Event()
        self._is_news = True  # since the last tick began
        self._was_news = True  # before it
        self._is_resting = False
        self._began_s = 0.0  # when the last tick began
        self._alarm: asyncio.TimerHandle | None = None

    def nudge(self) -> None:
        """Something may have changed: tick soon."""
        self._is_news = True
        self._nudged.set()

    def begin(self) -> None:
        """A tick begins: what comes from now on is for the next one."""
        self._began_s = self._clock.monotonic()
        self._was_news, self._is_news = self._is_news, False
        self._nudged.clear()

    def stir(self) -> None:
        """A promise was broken: until now nobody was away, and from now on the usual beat counts."""
        if not self._is_resting:
            return
        self._is_resting = False
        self._clocks.ticked(self._clock.monotonic())
        if self._alarm is not None:
            now_s = self._clock.monotonic()
            self._set_alarm(next_beat_s(self._began_s, self._interval_s(), now_s) - now_s)

    async def until_worth_it(
        self, due: Due, *, has_failed: bool, may_rest: Callable[[], bool]
    ) -> None:
        """Sleep to the next moment anything could change; a nudge ends it, but not too often."""
        interval_s = self._interval_s()
        self._is_resting = may_rest()
        if self._is_resting:
            interval_s = max(interval_s, _REST_MAX_S)
        if has_failed:
            interval_s = min(interval_s, _FAILED_TICK_S)
        elif due.at is not None:
            until_s = (due.at - self._clock.now()).total_seconds()
            interval_s = min(interval_s, max(_NUDGES_APART_S, until_s))
        ends_s = self._began_s + interval_s
        if not self._nudged.is_set():
            self._set_alarm(interval_s)
            try:
                while True:
                    await self._nudged.wait()
                    left_s = self._rest_on_s(due, may_rest)
                    if left_s <= 0:
                        break
                    self._alarm = None
                    self._nudged.clear()
                    self._set_alarm(left_s)
                    ends_s = self._clock.monotonic() + left_s
            finally:
                if self._alarm is not None:
                    self._alarm.cancel()
                self._alarm = None
        if self._is_resting:
            self._is_resting = False
            self._clocks.ticked(min(self._clock.monotonic(), ends_s))

    async def keep_apart(self) -> None:
        """Wait a moment after a tick that had news: more may follow at once."""
        apart_s = _NUDGES_APART_S - (self._clock.monotonic() - self._began_s)
        if self._was_news and apart_s > 0:
            await asyncio.sleep(apart_s)

    def _set_alarm(self, wait_s: float) -> None:
        """Let the next tick come in so many seconds, or earlier if that was so already."""
        loop = asyncio.get_running_loop()
        at_s = loop.time() + wait_s
        if self._alarm is not None:
            if self._alarm.when() <= at_s:
                return
            self._alarm.cancel()
        self._alarm = loop.call_at(at_s, self._nudged.set)

    def _rest_on_s(self, due: Due, may_rest: Callable[[], bool]) -> float:
        """Return how much longer to rest: that witnesses have gone on to speak is no news."""
        if self._is_news or not (self._is_resting or may_rest()):
            return 0.0
        self._is_resting = True
        now = self._clock.now()
        left_s = [self._began_s + _REST_MAX_S - self._clock.monotonic()]
        ends = (due.if_heard_at, self._silence_at())
        left_s += [(at - now).total_seconds() for at in ends if at is not None]
        return min(left_s)
