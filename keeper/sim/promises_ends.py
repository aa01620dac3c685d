"""Checks of the promises about ends: what is condemned is pursued, confirmed, and only then forgotten.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import inf

from keeper.sim.bills import curbed
from keeper.sim.evidence import BY_ID, DESTROY, LISTING, Broken, Evidence, between
from keeper.sim.excuses import is_to_be_left, side_by_side_s, tied_s
from keeper.sim.ledger import Rental

_SLACK_S = 5.0  # a list that waits its turn for so long counts from when it was asked for


def no_rental_is_abandoned(seen: Evidence) -> Iterator[Broken]:
    """What is condemned hears of it until it is gone; at the end exactly the declared ones live."""
    asked: dict[int, list[float]] = {}
    for request in seen.calls.get(DESTROY, ()):
        if request.instance_id is not None:
            asked.setdefault(request.instance_id, []).append(request.at)
    for rental in seen.ours:
        if rental.instance_id not in asked:
            continue
        end = seen.ended_at if rental.ended_at is None else rental.ended_at
        moments = [at for at in asked[rental.instance_id] if at <= end]
        for earlier, later in pairwise([*moments, end]):
            if later - earlier > seen.bounds.abandoned_s:
                yield Broken(
                    invariant="I7",
                    at=later,
                    text=f"condemned rental {rental.instance_id} was left alone for"
                    f" {later - earlier:.0f} s and went on costing",
                )
    yield from _exactly_the_declared_remain(seen)


def _exactly_the_declared_remain(seen: Evidence) -> Iterator[Broken]:
    wanted = set(seen.slots)
    for slot in sorted(wanted | set(seen.rentals)):
        alive = [rental for rental in seen.rentals.get(slot, ()) if rental.is_live]
        living = [rental.instance_id for rental in alive]
        expected = 1 if slot in wanted else 0
        stream = slot.rpartition("/")[0]
        is_curbed = not living and any(end >= seen.ended_at for _, end in curbed(seen, stream))
        is_spared = slot not in wanted and len(living) == 1 and seen.may_have_spare(slot)
        is_under_way = slot in wanted and _hands_over(seen, slot, alive)
        if len(living) != expected and not (is_curbed or is_spared or is_under_way):
            yield Broken(
                invariant="I7",
                at=seen.ended_at,
                text=f"after the calm {slot} has {len(living)} live rentals {living}, not {expected}",
            )


def _hands_over(seen: Evidence, slot: str, alive: list[Rental]) -> bool:
    """Whether two live because a run ended amid a hand-over that had its reason, and its time."""
    if len(alive) != 2:
        return False
    earlier, later = alive
    together_s = side_by_side_s(seen, slot, (earlier, later), seen.ended_at)
    has_time = together_s <= seen.bounds.overlap_max_s
    return has_time and is_to_be_left(seen, slot, earlier, later.created_at)


def absence_is_confirmed(seen: Evidence) -> Iterator[Broken]:
    """A rental is forgotten after two separate listings without it and an answer by its id.

    Seen from outside: each that has ended, and that keeper knew, was asked about by its id after
    its end, or since the marketplace said so for good; where another one was rented for it, before
    that.
    """
    for slot, rentals in seen.rentals.items():
        for rental, later in zip(rentals, [*rentals[1:], None], strict=True):
            if rental.ended_at is None or not _was_known(seen, rental) or seen.has_left(rental):
                continue
            until = seen.ended_at
            if later is not None and _was_rented_for(seen, rental, later):
                until = later.created_at
            elif until - rental.ended_at < seen.bounds.confirmed_s or (
                tied_s(seen, slot, rental.ended_at, until) > 0.0
            ):
                continue  # there was hardly time
            missing = what_confirms_is_missing(
                seen, rental, _gone_for_good_at(seen, rental, rental.ended_at), until
            )
            if missing:
                yield Broken(
                    invariant="I7",
                    at=until,
                    text=f"{slot} forgot rental {rental.instance_id}, which ended at"
                    f" {rental.ended_at:.0f}: {missing}",
                )


def _was_rented_for(seen: Evidence, rental: Rental, later: Rental) -> bool:
    """Whether a slot's next rental was made because the one before had vanished by itself."""
    has_vanished = rental.ended_at is not None and later.created_at > rental.ended_at
    if not has_vanished or rental.instance_id in seen.condemned_at:
        return False
    return not seen.expected_to_move(rental, later.created_at)  # its terms may have called for that


def _gone_for_good_at(seen: Evidence, rental: Rental, ended_at: float) -> float:
    """Return from when on nobody who asked was shown a rental: its end, or the lie that told of it before.

    A destroy was answered, and the rental hidden while it lived on; then it ended in truth, by
    itself, before anybody could see it again.
    """
    for since, until in rental.hidden:
        if not seen.condemned_at.get(rental.instance_id, inf) <= since < ended_at:
            continue
        if not was_read(seen, rental, until, ended_at):
            return since
    return ended_at


def was_read(seen: Evidence, rental: Rental, since: float, until: float) -> bool:
    """Whether a true list, or a question about its id, could have shown a rental in a stretch of time."""
    return bool(seen.clean_between(since, until, LISTING)) or any(
        request.instance_id == rental.instance_id and since <= request.at <= until
        for request in seen.calls.get(BY_ID, ())
    )


def lists_with(seen: Evidence, rental: Rental, since: float, until: float) -> tuple[float, ...]:
    """Return when a true list was read in a stretch of time in which the market did not hide a rental."""
    return tuple(
        listed_at
        for listed_at in between(seen.clean_listings, since, until)
        if not any(hidden <= listed_at < shown for hidden, shown in rental.hidden)
    )


def _was_known(seen: Evidence, rental: Rental) -> bool:
    """Whether keeper had to do with a rental: it was connected to it, or asked for its end."""
    return rental.instance_id in seen.condemned_at or seen.was_used(rental.instance_id)


def what_confirms_is_missing(seen: Evidence, rental: Rental, ended_at: float, until: float) -> str:
    """Say what a keeper has not looked at that calls a rental gone; "" when it may."""
    listed = seen.listings_without(ended_at, until)
    if not listed or listed[-1][0] - listed[0][1] < seen.bounds.absence_apart_s - _SLACK_S:
        return "no two separate listings were read after its end"
    by_id = [
        request.at
        for request in seen.calls.get(BY_ID, ())
        if request.instance_id == rental.instance_id
        and ended_at <= request.at <= until
        and request.status == 200
    ]
    return "" if by_id else "it was not asked about by its id after its end"


def the_condemned_end(seen: Evidence) -> Iterator[Broken]:
    """Once the marketplace answers as it should, what is condemned is gone before long."""
    for rental in seen.ours:
        asked_at = seen.condemned_at.get(rental.instance_id)
        if asked_at is None:
            continue
        deadline = max(asked_at, seen.calm_at) + seen.bounds.confirmed_s
        end = seen.ended_at if rental.ended_at is None else rental.ended_at
        if end > deadline and deadline < seen.ended_at:
            yield Broken(
                invariant="I20",
                at=deadline,
                text=f"rental {rental.instance_id}, condemned at {asked_at:.0f}, still costs"
                f" {seen.bounds.confirmed_s:.0f} s into the calm",
            )
