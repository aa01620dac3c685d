"""Arithmetic with moments, where a clock that steps back must not make time run backwards."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache


def elapsed_s(since: datetime, now: datetime) -> float:
    """Return the seconds since a moment; a moment in the future counts as now."""
    seconds = (now - since).total_seconds()
    return seconds if seconds > 0.0 else 0.0  # noqa: FURB136 - max() would cost as much again


def later(at: datetime, seconds: float) -> datetime:
    """Return the moment so many seconds after ``at``."""
    return at + _span(seconds)


@lru_cache(maxsize=1024)
def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)  # mostly one of a few numbers of the policy


def is_due(at: datetime | None, now: datetime, longest_s: float) -> bool:
    """Say whether a remembered deadline has come.

    One that lies further ahead than any delay could have put it was written before the clock
    stepped back, and has come too.
    """
    return at is None or at <= now or (at - now).total_seconds() > longest_s
