"""Checks of what is promised of hand-overs where the ingest takes one publisher.

From what the hosts themselves write down of their processes. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from keeper.sim.evidence import COMMAND, PUBLISHES, PUBLISHES_NO_MORE, Broken, Evidence, Span
from keeper.sim.ledger import Rental

_STOP = "swap.stop"
# So long a stream may be dark between two hosts: two ends of an act, and what the new one may take; twice,
# where it shows nothing and the old one publishes again.
_GAP_S = 400.0


def one_publisher_at_a_time(seen: Evidence) -> Iterator[Broken]:
    """Two hosts of a stream that takes one publisher never send it at once, but for a moment.

    One that keeper has given up may send on until the marketplace has ended it: that is not in keeper's hands.
    """
    for stream in sorted(seen.bounds.one_publisher):
        for (one, first), (other, second) in combinations(_spans(seen, stream), 2):
            begins, ends = max(first[0], second[0]), min(first[1], second[1])
            given_up = [seen.condemned_at.get(each, ends) for each in (one, other)]
            ends = min(ends, *given_up)
            if one != other and ends - begins > seen.bounds.publishers_s:
                yield Broken(
                    invariant="I11",
                    at=begins,
                    text=f"{one} and {other} both published {stream} for {ends - begins:.0f} s, and it"
                    " takes one publisher",
                )


def _spans(seen: Evidence, stream: str) -> list[tuple[int, Span]]:
    """Return who published a stream, from when until when."""
    since: dict[int, float] = {}
    found: list[tuple[int, Span]] = []
    for entry in seen.ledger.hosts:
        if entry.what not in (PUBLISHES, PUBLISHES_NO_MORE):
            continue
        rental = seen.ledger.rentals.get(entry.instance_id)
        slot = None if rental is None else seen.slot_of(rental.label or "")
        if slot is None or slot.rpartition("/")[0] != stream:
            continue
        if entry.what == PUBLISHES:
            since[entry.instance_id] = entry.at
        elif entry.instance_id in since:
            found.append((entry.instance_id, (since.pop(entry.instance_id), entry.at)))
    return found + [(each, (at, seen.ended_at)) for each, at in since.items()]


def is_of_a_swap(seen: Evidence, slot: str, lost_at: float, again_at: float) -> bool:
    """Whether a short darkness lies between two hosts of a slot that changed places."""
    if slot.rpartition("/")[0] not in seen.bounds.one_publisher or again_at - lost_at > _GAP_S:
        return False
    return any(
        entry.what == COMMAND and entry.detail == _STOP and lost_at - 1.0 <= entry.at <= again_at
        for host in seen.rentals.get(slot, ())
        for entry in seen.deeds.get(host.instance_id, ())
    )


def has_given_way(seen: Evidence, rental: Rental, at: float) -> bool:
    """Whether the last that was done on a host is that its publishing was ended for another one's.

    Or whether it was only prepared, until somebody thought better of it, and nothing befell it meanwhile.
    """
    stream = (seen.slot_of(rental.label or "") or "").rpartition("/")[0]
    entries = [each for each in seen.deeds.get(rental.instance_id, ()) if each.at <= at]
    done = [
        each.detail
        for each in entries
        if each.what == COMMAND and each.detail.endswith((".stop", ".start"))
    ]
    if stream not in seen.bounds.one_publisher:
        return False
    return done[-1] == _STOP if done else not any(each.what == "struck" for each in entries)
