"""Which slots viewers should see and do not, from their side: the first bad look to the first good one.

A look that nothing confirms is no darkness; one that is confirmed counts from itself on, and so does a
good one. A slot that nobody has seen yet is coming up for as long as a host may take, and dark after
that: who declares a stream expects it on air. Not knowing is not dark, until keeper gives the host up
for it. A picture without the sound that belongs to it is dark, too, whatever else it is good for. What
follows from all that, others say. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from keeper.core.conditions import condition_of, is_silent
from keeper.core.flow import Flow, Rate
from keeper.core.model import (
    Condition,
    ConditionKind,
    Policy,
    SlotId,
    SlotRecord,
    Stream,
    StreamName,
)
from keeper.core.moments import elapsed_s


class Unseen(StrEnum):
    """Why viewers do not have a slot's picture as it should be."""

    DARK = "dark"
    SILENT = "silent"  # dark: nothing is missing but the sound
    STARTING = "starting"


def first_look_at(condition: Condition, now: datetime) -> datetime:
    """Return when what is believed of a condition, or is about to be, was seen first."""
    streak_since = condition.streak_since
    if streak_since is None or not (condition.bad_streak or condition.good_streak):
        return min(condition.since, now)
    return min(streak_since, now)


def unseen(record: SlotRecord, policy: Policy, now: datetime) -> Unseen | None:
    """Say how a slot fails its viewers now; None: it does not, or nobody expects it to."""
    streaming = condition_of(record.tenure, ConditionKind.STREAMING)
    if streaming is not None and streaming.good_streak:
        return None  # on air, or seen good once: what the next look says is not known yet
    if record.swap is not None and record.swap.is_gap:
        return Unseen.DARK  # it was decided on, and viewers miss it all the same
    if record.dark_since is not None:
        return Unseen.SILENT if is_silent(streaming) else Unseen.DARK
    if record.ever_on_air or record.destroy_asked_at is not None:
        return None
    since = record.wanted_since
    is_late = since is not None and elapsed_s(since, now) >= policy.coming_up_max_s
    return Unseen.DARK if is_late else Unseen.STARTING


def with_unseen(
    flow: Flow, slots: Mapping[SlotId, Stream], records: Mapping[SlotId, SlotRecord], now: datetime
) -> Flow:
    """Add to what everything costs how many of some declared slots viewers do not see."""
    found: dict[StreamName, Counter[Unseen]] = {}
    for slot, stream in slots.items():
        how = unseen(records[slot], stream.policy, now)
        if how is not None:
            found.setdefault(stream.name, Counter())[how] += 1
    if not found:
        return flow
    rates = {
        **flow.rates,
        **{
            name: replace(
                flow.rates.get(name) or Rate(),
                dark=counts[Unseen.DARK] + counts[Unseen.SILENT],
                silent=counts[Unseen.SILENT],
                starting=counts[Unseen.STARTING],
            )
            for name, counts in found.items()
        },
    }
    return replace(flow, rates=rates)
