"""The electricity of one simulated keeper process: cut, and it does nothing more, ever.

SIGKILL leaves no time for clean-up. Each port of a simulated keeper asks its ``Power`` before and
after every effect; once it is cut, an asynchronous call waits for ever (until its task is thrown
away) and a synchronous one is ignored, so that no ``finally`` of the dead process writes anything.
What a process passes is counted in moments, so that it can be killed at exactly the same one again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Power:
    """On until it is cut; can be told to go at the N-th moment from now."""

    def __init__(self, box: str = "127.0.0.1") -> None:
        self.box = box  # the address of the machine on which the process runs
        self.is_on = True
        self.moments = 0  # passed: calls of ports, and whatever else a test has counted
        self._dies_at: int | None = None
        self._on_cut: list[Callable[[], None]] = []

    def on_cut(self, call: Callable[[], None]) -> None:
        """Be told, once, when the power goes."""
        self._on_cut.append(call)

    def cut_at(self, moments_from_now: int) -> None:
        """Cut the power at that many moments from now: an exact one, by its number."""
        self._dies_at = self.moments + max(1, moments_from_now)

    def cut(self) -> None:
        """Cut the power now. May be repeated."""
        if not self.is_on:
            return
        self.is_on = False
        for call in self._on_cut:
            call()

    def moment(self) -> bool:
        """Pass one moment; says whether there is still power after it."""
        self.moments += 1
        if self.moments == self._dies_at:
            self.cut()
        return self.is_on

    async def gate(self) -> None:
        """Stand before or after an effect: passes while there is power, else waits for ever."""
        if not self.moment():
            await asyncio.get_running_loop().create_future()
