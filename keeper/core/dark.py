"""The stop rule: dollars flow and the picture does not. Then no more hosts, and a person is asked.

What a slot costs without a picture adds up over whatever number of hosts, from its last good minute on,
and is summed for its stream. The allowance of replacements bounds how often hosts are changed in some
hours and comes back by itself; this bounds what a bad image, a dead ingest or a wrong probe may cost in
all, and does not: a good minute of picture, or a person's order, begins it anew. Hosts that are rented
stay: ending them is for the ladder and for people.
"""

from __future__ import annotations

from dataclasses import replace
from math import fsum

from keeper.core.draft import Draft
from keeper.core.flow import is_on_air
from keeper.core.meter import Meter
from keeper.core.model import SlotId, Stream, StreamName, stream_of
from keeper.core.world import OrderKind

# By any of these a person says: I have looked, go on.
_LOOKED = (OrderKind.RESUME, OrderKind.REPLACE, OrderKind.RENT)


def forgive(draft: Draft) -> None:
    """Begin anew where a person has looked: a stream by any of its slots, all by a resume of all."""
    for order in draft.world.orders:
        if order.kind not in _LOOKED or not draft.ledger.dark:
            continue
        stream = None if order.slot is None else stream_of(order.slot)
        dark = {
            slot: each
            for slot, each in draft.ledger.dark.items()
            if stream is not None and stream_of(slot) != stream
        }
        draft.note(replace(draft.ledger, dark=dark))


def is_given_up(draft: Draft, slot: SlotId, stream: Stream) -> bool:
    """Say whether a slot without a picture gets no more hosts because of what it has cost."""
    if not draft.world.meter.dark or is_on_air(draft.records[slot]):
        return False
    limit = stream.policy.dark_spend_max_dollars
    return dark_dollars(draft.ledger, stream.name) > limit


def dark_dollars(ledger: Meter, stream: StreamName) -> float:
    """Return what a stream's slots have cost since the last good minute of each."""
    return fsum(each.dollars for slot, each in ledger.dark.items() if stream_of(slot) == stream)
