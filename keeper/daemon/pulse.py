"""Tells an address outside that this box lives: the switch of a dead man, for keeper itself.

Not that a process is there is told, but that ticks finish. When it hears nothing, whoever listens at that
address calls a person: nobody else can tell that the box of the alerts is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from keeper.core.events import HeartbeatChanged
from keeper.daemon.declared import Declared, Pulse
from keeper.daemon.error_line import describe
from keeper.daemon.until import until
from keeper.ports import Clock, HttpRequest, Network

_TIMEOUT_S = 10.0
_DEADLINE_S = 15.0
_REPLY_MAX = 1024
_AGAIN_S = 5.0  # within an interval, a beat that was not heard is tried once more
_HIDDEN = "(the address)"


class Beacon:
    """Beats once in every interval in which a tick finished."""

    def __init__(
        self,
        *,
        network: Network,
        clock: Clock,
        declared: Callable[[], Declared],
        ticked_s: Callable[[], float | None],
        note: Callable[[HeartbeatChanged], None],
        redact: Callable[[str], str],
    ) -> None:
        """``ticked_s``: when the last tick finished, by the clock that nobody sets; None: none has."""
        self._network = network
        self._clock = clock
        self._declared = declared
        self._ticked_s = ticked_s
        self._note = note
        self._redact = redact
        self._is_heard = True  # until it is not
        self._called = asyncio.Event()

    @property
    def is_heard(self) -> bool | None:
        """Whether the latest beat was heard; None: nobody is to hear any."""
        return None if self._declared().pulse is None else self._is_heard

    def declared_anew(self) -> None:
        """The configuration was read again."""
        self._called.set()

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            pulse = self._declared().pulse
            self._called.clear()
            if pulse is None:
                self._is_heard = True
                await self._called.wait()
                continue
            began_s = self._clock.monotonic()
            if self._is_ticking(pulse):
                await self._beat(pulse)
            left_s = began_s + pulse.interval_s - self._clock.monotonic()
            await until(self._called, max(0.0, left_s))

    def _is_ticking(self, pulse: Pulse) -> bool:
        """Whether a tick finished in the last interval; ticks themselves may be as far apart."""
        ticked_s = self._ticked_s()
        if ticked_s is None:
            return False
        apart_s = self._declared().desired.fleet.tick_interval_s
        return self._clock.monotonic() - ticked_s <= pulse.interval_s + apart_s

    async def _beat(self, pulse: Pulse) -> None:
        error = await self._call(pulse)
        if error and pulse.interval_s > 2 * _AGAIN_S:
            await asyncio.sleep(_AGAIN_S)
            error = await self._call(pulse)
        if (not error) is not self._is_heard:
            self._is_heard = not error
            self._note(HeartbeatChanged(is_heard=not error, error=error))

    async def _call(self, pulse: Pulse) -> str:
        """Beat once; returns what went wrong, or ""."""
        request = HttpRequest(
            method="GET", url=pulse.url, timeout_s=_TIMEOUT_S, reply_max_bytes=_REPLY_MAX
        )
        try:
            async with asyncio.timeout(_DEADLINE_S):
                reply = await self._network.fetch(request)
        except Exception as failure:  # noqa: BLE001 - whatever it is, nobody has heard us
            # Whoever has the address can pretend that this box lives.
            return self._redact(describe(failure).replace(pulse.url, _HIDDEN))
        return "" if 200 <= reply.status < 300 else f"HTTP {reply.status}"  # noqa: PLR2004 - the 2xx class
