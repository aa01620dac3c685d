"""Which of two clocks counts where ours and the marketplace's differ. Pure.

The marketplace shows its clock as the Date of its answers and in no other way, so that may be wrong too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from keeper.core.model import Instance

AHEAD_MAX_S: Final = 7200.0  # a clock that is wrong by an hour, and what a summer adds
_SAME_CLOCK_S: Final = 60.0  # no clock is exact; and ends that differ by less are one end


def ends_by_our_clock(
    instances: Iterable[Instance], offset_s: float | None
) -> tuple[Instance, ...]:
    """Tell by our clock when contracts end, where it is behind the marketplace's by ``offset_s``.

    Else a host would be on air until its contract ends, which is an hour away by our clock. Where ours is
    ahead, what it says comes sooner, and stands. So a wrong Date puts no end off, and none forward by more
    than clocks may differ.
    """
    if offset_s is None or offset_s < _SAME_CLOCK_S:
        return tuple(instances)
    behind = timedelta(seconds=min(offset_s, AHEAD_MAX_S))
    return tuple(
        each if each.ends_at is None else replace(each, ends_at=each.ends_at - behind)
        for each in instances
    )
