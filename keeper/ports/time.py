"""Telling the time, calendar work, and the service manager."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Sleeping is plain asyncio."""

    def now(self) -> datetime:
        """Return the wall clock as an aware UTC datetime. It may step."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""
        ...


class Cadence(Protocol):
    """Calendar work: coarse jobs, never per slot."""

    def every(self, name: str, interval_s: float, job: Callable[[], Awaitable[None]]) -> None:
        """Run ``job`` each ``interval_s``; missed beats coalesce; one run at a time."""
        ...

    def cron(self, name: str, expression: str, job: Callable[[], Awaitable[None]]) -> None:
        """Run ``job`` by a five-field cron expression in UTC."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    async def stop(self) -> None:
        """Stop; running jobs are cancelled and awaited."""
        ...


class Heartbeat(Protocol):
    """The service manager: told when keeper is ready, alive, reloading, stopping."""

    def ready(self, status: str) -> None:
        """Start-up is complete."""
        ...

    def alive(self, status: str) -> None:
        """A tick has finished: feed the watchdog. Nothing else may call this."""
        ...

    def reloading(self) -> None:
        """The configuration is being read again."""
        ...

    def stopping(self) -> None:
        """Draining."""
        ...
