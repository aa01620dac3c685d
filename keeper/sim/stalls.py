"""What really stood open on the market, and for what a stream could have had it. It shares no code with keeper's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping

from keeper.sim.evidence import Evidence
from keeper.sim.ledger import Stall

# A machine that was given up may be in quarantine: six hours, then a day, then a week.
_QUARANTINES_S = (21_600.0, 86_400.0, 604_800.0)


def look_before(seen: Evidence, at: float) -> tuple[Stall, ...]:
    """Return what really stood open when the market was last searched before a time."""
    index = bisect_right(seen.ledger.looks, at, key=lambda look: look[0])
    return seen.ledger.looks[index - 1][1] if index else ()


def open_to(seen: Evidence, stream: str, at: float) -> Iterator[float]:
    """Yield the prices at which a stream could have rented: within its limit, and not tried in vain."""
    limit = dearest(seen, stream)
    for stall in look_before(seen, at):
        dollars = _price_for(seen, stream, stall)
        if dollars <= limit and not _may_be_avoided(seen, stall, at):
            yield dollars


def cheapest(seen: Evidence, stream: str, at: float) -> float:
    """Return the least that a host for a stream cost then; without any, the most that it may."""
    return min(open_to(seen, stream, at), default=dearest(seen, stream))


def dearest(seen: Evidence, stream: str) -> float:
    """Return the most that a host for a stream may cost."""
    return seen.bounds.price_max_dollars_per_hour.get(stream, 0.0)


def _price_for(seen: Evidence, stream: str, stall: Stall) -> float:
    """Return what a stall costs a stream: on demand, or by a bid with its margin."""
    margin = seen.bounds.bid_margins.get(stream)
    if margin is None:
        return stall.dollars_per_hour
    bid = stall.floor_dollars_per_hour * margin + stall.disk_dollars_per_hour
    return bid if stream in seen.bounds.bids_only else min(bid, stall.dollars_per_hour)


def _may_be_avoided(seen: Evidence, stall: Stall, at: float) -> bool:
    """Whether an offer was asked for before, or its machine was given up not long ago."""
    asked = seen.remembered("asked", _asked)
    given_up = seen.remembered("given up", _given_up).get(stall.machine_id, ())
    count = bisect_right(given_up, at)
    patience_s = _QUARANTINES_S[min(count, len(_QUARANTINES_S)) - 1]
    return asked.get(stall.offer_id, at + 1.0) <= at or (
        count > 0 and at - given_up[count - 1] < patience_s
    )


def _asked(seen: Evidence) -> Mapping[int, float]:
    found: dict[int, float] = {}
    for create in seen.creates:
        number = create.path.strip("/").rpartition("/")[2]
        if number.isdigit():
            found.setdefault(int(number), create.at)
    return found


def _given_up(seen: Evidence) -> Mapping[int, tuple[float, ...]]:
    """Return by machine when a rental there was ended, or vanished by itself."""
    found: dict[int, list[float]] = {}
    for rental in seen.ours:
        at = seen.condemned_at.get(rental.instance_id, rental.ended_at)
        if at is not None:
            found.setdefault(rental.machine_id, []).append(at)
    return {machine_id: tuple(sorted(times)) for machine_id, times in found.items()}
