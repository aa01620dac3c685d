"""What all parts of the daemon stand on: the configuration, the memory, the last snapshot, its end."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from keeper.core.model import Desired
from keeper.core.world import Snapshot
from keeper.daemon.declared import Declared
from keeper.daemon.memory import Memory

_LINES_MAX, _LINE_MAX = 256, 4096  # texts that are remembered without their secrets, and how long


class Ground:
    """Read by many, each thing written by one."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared  # as last loaded
        self.snapshot: Snapshot | None = None  # the last tick's
        self.ticked_s: float | None = None  # when it finished, by the clock that nobody sets
        self.stopping = asyncio.Event()
        self._memory: Memory | None = None
        self._changed = asyncio.Event()
        # What is said is mostly what was said before.
        self._redact = declared.redact
        self._hidden = lru_cache(maxsize=_LINES_MAX)(declared.redact)

    @property
    def desired(self) -> Desired:
        """What is declared, as core values."""
        return self.declared.desired

    @property
    def has_memory(self) -> bool:
        """Whether the store has been loaded."""
        return self._memory is not None

    @property
    def memory(self) -> Memory:
        """What the store holds, as last committed. Raises RuntimeError before it is loaded."""
        if self._memory is None:
            message = "the store has not been loaded"
            raise RuntimeError(message)
        return self._memory

    def remember(self, memory: Memory) -> None:
        """Take up what the store holds."""
        self._memory = memory

    def hide(self, text: str) -> str:
        """Take the secrets of the configuration that is in force out of a text."""
        redact = self.declared.redact
        if len(text) > _LINE_MAX:
            return redact(text)
        if redact is not self._redact:
            self._redact, self._hidden = redact, lru_cache(maxsize=_LINES_MAX)(redact)
        return self._hidden(text)

    def tell_changed(self) -> None:
        """Wake whoever waits for the next snapshot."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait for the next snapshot."""
        await self._changed.wait()
