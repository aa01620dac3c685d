"""How long to wait before trying again: doubling, bounded, and spread without luck.

The spread is a hash of who waits and for the how-many-th time, so that slots that failed together do
not come back together, and the same story told twice has the same delays.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

_SPREAD = 0.25  # policy section 1: ±25 %
_DOUBLINGS_MAX = 30  # far above any bound; keeps the power small


def spread(seconds: float, key: str) -> float:
    """Return the seconds, moved by up to a quarter either way by a hash of the key."""
    share = crc32(key.encode()) / 0xFFFFFFFF
    return seconds * (1.0 - _SPREAD + 2.0 * _SPREAD * share)


def doubling_s(attempt: int, min_s: float, max_s: float, key: str) -> float:
    """Return the delay after the ``attempt``-th failure, counted from zero."""
    seconds = min(max_s, min_s * 2.0 ** min(max(attempt, 0), _DOUBLINGS_MAX))
    return spread(seconds, f"{key}:{attempt}")


def stepped_s(attempt: int, steps: Sequence[float], key: str) -> float:
    """Return the delay after the ``attempt``-th failure from a table whose last step repeats."""
    return spread(steps[min(max(attempt, 0), len(steps) - 1)], f"{key}:{attempt}")


def longest_s(steps: Sequence[float]) -> float:
    """Return the longest delay the table can give."""
    return max(steps) * (1.0 + _SPREAD)
