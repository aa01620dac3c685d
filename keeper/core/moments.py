"""Arithmetic with moments, where a clock that steps back must not make time run backwards."""

from __future__ import annotations

from datetime import datetime, timedelta


def elapsed_s(since: datetime, now: datetime) -> float:
    """Return the seconds since a moment; a moment in the future counts as now."""
    return max(0.0, (now - since).total_seconds())


def later(at: datetime, seconds: float) -> datetime:
    """Return the moment so many seconds after ``at``."""
    return at + timedelta(seconds=seconds)


def is_due(at: datetime | None, now: datetime, longest_s: float) -> bool:
    """Say whether a remembered deadline has come.

    One that lies further ahead than any delay could have put it was written before the clock
    stepped back, and has come too.
    """
    return at is None or at <= now or (at - now).total_seconds() > longest_s
