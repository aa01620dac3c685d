"""Asks whether this box's own network works, before anybody else is blamed.

When every canary address fails, viewer probes prove nothing and keeper destroys nothing. Without
addresses the answer is Unknown, which stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from keeper.core.model import Status
from keeper.daemon.rest import Rest, next_beat_s
from keeper.ports import Address, Clock, Foresight, Network, PortError

_DIAL_TIMEOUT_S = 3.0
_FAILS_TO_BELIEVE = 2


class _Declared(Protocol):
    @property
    def canary_addresses(self) -> tuple[Address, ...]: ...
    @property
    def canary_interval_s(self) -> float: ...


class Canary:
    """The ops box's own network, as last seen."""

    def __init__(
        self,
        network: Network,
        clock: Clock,
        declared: Callable[[], _Declared],
        nudge: Callable[[], None],
        foresight: Foresight | None = None,
        *,
        is_back: Callable[[], None] = lambda: None,
    ) -> None:
        self._network = network
        self._clock = clock
        self._declared = declared
        self._nudge = nudge
        self._is_back = is_back
        self._foresight = foresight
        self._rest = Rest()
        self._fails = 0
        self.status = Status.UNKNOWN

    async def run(self) -> None:
        """Look for ever."""
        while True:
            began_s = self._clock.monotonic()
            await self.look()
            ended_s = self._clock.monotonic()
            if self._foresight is not None and self.status is Status.TRUE and self._fails == 0:
                self._rest.begin(self._foresight.of_own_network)
            over_s = await self._rest.over()
            interval_s = self._declared().canary_interval_s
            at_s = next_beat_s(ended_s + interval_s, ended_s - began_s + interval_s, over_s)
            await asyncio.sleep(max(0.0, at_s - self._clock.monotonic()))

    async def look(self) -> None:
        """Dial the addresses; one that answers is enough."""
        before = self.status
        addresses = self._declared().canary_addresses
        if not addresses:
            self.status = Status.UNKNOWN
            return
        for address in addresses:
            try:
                await self._network.dial(address, _DIAL_TIMEOUT_S)
            except PortError:
                continue
            self._fails = 0
            self.status = Status.TRUE
            break
        else:
            self._fails += 1
            if self._fails >= _FAILS_TO_BELIEVE:
                self.status = Status.FALSE
        if self.status is not before:
            if self.status is Status.TRUE:
                self._is_back()  # or was there when keeper began
            self._nudge()
