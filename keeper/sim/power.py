"""The electricity of one simulated keeper process: cut, and it does nothing more, ever.

SIGKILL leaves no time for clean-up. Each port of a simulated keeper asks its ``Power`` before and
after every effect; once it is cut, an asynchronous call waits for ever (until its task is thrown
away) and a synchronous one is ignored, so that no ``finally`` of the dead process writes anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Power:
    """On until it is cut; can be told to go at the N-th call of a port from now."""

    def __init__(self) -> None:
        self.is_on = True
        self.calls = 0
        self._dies_at_call: int | None = None
        self._on_cut: list[Callable[[], None]] = []

    def on_cut(self, call: Callable[[], None]) -> None:
        """Be told, once, when the power goes."""
        self._on_cut.append(call)

    def cut_at(self, calls_from_now: int) -> None:
        """Cut the power at that many port calls from now: an exact await, by its number."""
        self._dies_at_call = self.calls + max(1, calls_from_now)

    def cut(self) -> None:
        """Cut the power now. May be repeated."""
        if not self.is_on:
            return
        self.is_on = False
        for call in self._on_cut:
            call()

    async def gate(self) -> None:
        """Stand before or after an effect: passes while there is power, else waits for ever."""
        self.calls += 1
        if self.calls == self._dies_at_call:
            self.cut()
        if not self.is_on:
            await asyncio.get_running_loop().create_future()
