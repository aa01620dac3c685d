"""Checks of the promises about caps: dollars, restarts, replacements, and that no crash resets them.

Each counts for itself, from the marketplace's bill, the hosts' own records and the creates that
arrived. What breaks a cap within a stretch in which keeper was killed breaks I6 as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from keeper.sim.bills import Spans, billed, days, months, price_at, price_due, stream_of
from keeper.sim.evidence import (
    BID,
    COMMAND,
    DESTROY,
    REBOOT,
    SET_STATE,
    Broken,
    Caps,
    Evidence,
    between,
)
from keeper.sim.excuses import merged
from keeper.sim.ledger import Rental
from keeper.sim.promises_ends import lists_with, was_read, what_confirms_is_missing

_SAME_DOLLARS = 0.001
_APART_SLACK_S = 10.0  # from what was counted to the call
_TURN_SLACK_S = 0.5  # from the end of a spacing to the call that waited for it
_GIVEN_BACK_S = 5.0  # its price was another one than the offer's
_SHARE = 1.01  # a call takes a moment, and a bill goes on meanwhile


# --- dollars ------------------------------------------------------------------------------------


def spending_within_the_caps(seen: Evidence) -> Iterator[Broken]:
    """What lives, at its price, and what was billed: never above a cap by keeper's own doing."""
    for name, caps in seen.bounds.caps.items():
        rentals = [r for r in seen.ours if not name or stream_of(seen, r) == name]
        about = name or "the fleet"
        if caps.per_hour is not None:
            yield from _hourly(seen, about, rentals, caps.per_hour)
        for what, dollars, spans in _periods(seen, caps):
            for stretch in spans:
                yield from _billed(seen, f"{about} {what}", rentals, dollars, stretch)


def _hourly(seen: Evidence, about: str, rentals: list[Rental], most: float) -> Iterator[Broken]:
    """At each moment at which keeper commits to more: everything that lives, at its full price."""
    for at, bidden in _commitments(seen, rentals):
        total = sum(
            bidden[1] if rental.instance_id == bidden[0] else price_as_told(seen, rental, at)
            for rental in rentals
            if rental.created_at <= at
            and (rental.ended_at is None or rental.ended_at > at)
            and not passes_for_gone(seen, rental, at)
        )
        if total > most + _SAME_DOLLARS:
            yield from _over(
                seen, at, at, f"{about} had committed {total:.4f} $/h; the cap is {most:.4f}"
            )


def price_as_told(seen: Evidence, rental: Rental, at: float) -> float:
    """Return what a rental costs as far as anybody can know, until a list has told its price.

    Its offer's price then, also while lists lack it; and before any list nothing, if a search may have
    named another one: it was given back.
    """
    price, offered = price_due(seen, rental, at), least_told(rental)
    since, until = rental.created_at, at - _APART_SLACK_S
    if lists_with(seen, rental, since, until):
        return price
    is_listed_late = bool(between(seen.clean_listings, since, until))
    is_owed = is_listed_late or _was_agreed_to(seen, rental)
    return min(price, offered or price) if is_owed else 0.0


def least_told(rental: Rental) -> float:
    """Return the least that anybody can have been told of a price before the contract; 0.0: a bid."""
    told = rental.understated_dollars_per_hour or rental.offered_dollars_per_hour
    return min(told, rental.offered_dollars_per_hour)


def _was_agreed_to(seen: Evidence, rental: Rental) -> bool:
    """Whether a contract was what a search had named: what is not is given back unused."""
    return seen.was_used(rental.instance_id) or rental.instance_id not in seen.condemned_at


def passes_for_gone(seen: Evidence, rental: Rental, at: float) -> bool:
    """Whether the marketplace hid a rental, and keeper asked for its end and had it confirmed.

    It goes on passing for gone when it is back, until somebody can know. One that was made moments
    ago, and was never listed, may come to light late: until then nothing confirms its end.
    """
    asked_at = seen.condemned_at.get(rental.instance_id)
    if asked_at is None:
        return False
    is_new = at < rental.created_at + seen.bounds.settle_s
    if is_new and not lists_with(seen, rental, rental.created_at, asked_at):
        return False
    return any(
        since <= at
        and not was_read(seen, rental, until, at - _APART_SLACK_S)
        and not what_confirms_is_missing(seen, rental, max(since, asked_at), min(at, until))
        for since, until in rental.hidden
    )


def _commitments(
    seen: Evidence, rentals: list[Rental]
) -> Iterator[tuple[float, tuple[int, float]]]:
    """Yield when keeper agreed to a price, whose, and which: as it was offered or bid, or is to run.

    What is given back unused was never agreed to.
    """
    for rental in rentals:
        agreed = min(least_told(rental) or rental.dollars_per_hour, rental.dollars_per_hour)
        if _was_agreed_to(seen, rental):
            yield rental.created_at, (rental.instance_id, agreed)
        for change in rental.changes:
            if change.what == BID:
                yield change.at, (rental.instance_id, change.dollars_per_hour)
    ids = {rental.instance_id: rental for rental in rentals}
    for request in seen.calls.get(SET_STATE, ()):
        started = ids.get(request.instance_id or 0)
        if request.state == "running" and started is not None:
            yield request.at, (started.instance_id, price_at(started, request.at))


def _periods(seen: Evidence, caps: Caps) -> Iterator[tuple[str, float, Iterable[Spans]]]:
    if caps.per_day is not None:
        yield "in a day", caps.per_day, days(seen)
    if caps.per_month is not None:
        yield "in a month", caps.per_month, months(seen)
    if caps.total is not None:
        yield "in all", caps.total, (((seen.began_at, seen.ended_at),),)


def _billed(
    seen: Evidence, about: str, rentals: list[Rental], most: float, spans: Spans
) -> Iterator[Broken]:
    dollars = billed(rentals, spans)
    theirs = _paid_while_paused(seen, rentals, most, spans)
    theirs += _paid_while_watched(seen, rentals, most, spans)
    if dollars - theirs > most * _SHARE + _SAME_DOLLARS:
        text = f"{about} was billed {dollars:.2f} $; the cap is {most:.2f}"
        yield from _over(seen, spans[0][0], spans[-1][1], text)


def _paid_while_paused(seen: Evidence, rentals: list[Rental], most: float, spans: Spans) -> float:
    """Return what was billed beyond a cap while an operator's pause kept hosts from being ended."""
    return sum(
        max(0.0, billed(rentals, spans, ends) - max(most, billed(rentals, spans, begins)))
        for begins, ends in merged(seen.paused)
    )


def _paid_while_watched(seen: Evidence, rentals: list[Rental], most: float, spans: Spans) -> float:
    """Return what hosts of a stream were billed beyond a cap while its mode kept them from being ended."""
    total = 0.0
    for stream, stretches in seen.watched.items():
        mine = [rental for rental in rentals if stream_of(seen, rental) == stream]
        for begins, ends in merged(stretches):
            beyond = billed(rentals, spans, ends) - max(most, billed(rentals, spans, begins))
            paid = billed(mine, spans, ends) - billed(mine, spans, begins)
            total += max(0.0, min(beyond, paid))
    return total


def _over(seen: Evidence, since: float, until: float, text: str) -> Iterator[Broken]:
    yield Broken(invariant="I4", at=until, text=text)
    if between(seen.killed_at, since, until):
        yield Broken(invariant="I6", at=until, text=f"{text}, across a kill")


# --- remedies -----------------------------------------------------------------------------------


def remedies_within_their_caps(seen: Evidence) -> Iterator[Broken]:
    """Restarts, reboots and replacements stay within their windows, whatever process counts them."""
    bounds = seen.bounds
    for instance_id, entries in seen.deeds.items():
        starts = {
            prefix: [
                e.at
                for e in entries
                if e.what == COMMAND and e.detail.startswith(prefix) and e.detail.endswith(".start")
            ]
            for prefix in ("restart.process", "restart.workload")
        }
        for batch in _unforgiven(seen, instance_id, starts["restart.process"]):
            what = f"process restarts on {instance_id}"
            yield from _at_most(seen, batch, bounds.restarts_max, bounds.restarts_window_s, what)
        what = f"workload restarts on {instance_id}"
        yield from _at_most(
            seen,
            starts["restart.workload"],
            bounds.workload_restarts_max,
            bounds.climb_window_s,
            what,
        )
    reboots: dict[int, list[float]] = {}
    for request in seen.calls.get(REBOOT, ()):
        if request.status == 200:
            reboots.setdefault(request.instance_id or 0, []).append(request.at)
    for instance_id, moments in reboots.items():
        what = f"reboots of {instance_id}"
        yield from _at_most(seen, moments, bounds.reboots_max, bounds.climb_window_s, what)
    for slot, rentals in seen.rentals.items():
        yield from _at_most(
            seen,
            # The first fills the slot; what a refused create has left behind never could.
            [r.created_at for r in rentals if not seen.is_leftover(r)][1:],
            bounds.replacements_max,
            bounds.replacements_window_s,
            f"replacements of {slot}",
        )
        yield from _replaced_too_soon(seen, slot, rentals)
    yield from _too_many_in_flight(seen)


def _replaced_too_soon(seen: Evidence, slot: str, rentals: tuple[Rental, ...]) -> Iterator[Broken]:
    """A slot's replacements keep their distance; what was given back at once, unused, is none.

    Nor is the first host of all, which filled the slot: what follows it replaces for the first time.
    """
    unclear = {create.label for create in seen.creates if seen.is_unclear(create)}
    hosts = [r for r in rentals if not seen.is_leftover(r)]
    replacements = [r for r in hosts[1:] if not _was_given_back(seen, r)]
    for earlier, later in pairwise(replacements):
        if earlier.label in unclear or earlier.label == later.label:
            continue  # it may not have been known of yet
        apart_s = later.created_at - earlier.created_at
        if apart_s < seen.bounds.replacements_apart_s - _APART_SLACK_S:
            if seen.was_ordered(slot, later.created_at):
                continue
            yield Broken(
                invariant="I13",
                at=later.created_at,
                text=f"{slot} rented {later.instance_id} {apart_s:.0f} s after"
                f" {earlier.instance_id}",
            )


def _was_given_back(seen: Evidence, rental: Rental) -> bool:
    asked_at = seen.condemned_at.get(rental.instance_id)
    offered = least_told(rental)
    is_dearer = offered > 0.0 and rental.dollars_per_hour > offered * seen.bounds.drift_ratio
    return asked_at is not None and (is_dearer or asked_at - rental.created_at < _GIVEN_BACK_S)


def _too_many_in_flight(seen: Evidence) -> Iterator[Broken]:
    """Only so many slots that were on air are between two hosts when another replacement is rented."""
    flights = [
        (slot, rental)
        for slot, rentals in seen.rentals.items()
        for rental in rentals
        if slot in seen.slots  # nobody waits for a spare
        if seen.slot_on_air(slot) and rental.created_at > seen.slot_on_air(slot)[0][0]
        if not seen.is_leftover(rental) and not seen.was_ordered(slot, rental.created_at)
    ]
    for slot, rental in flights:
        at = rental.created_at
        others = {
            other
            for other, each in flights
            if other != slot and each.created_at < at < _landed_at(seen, each) - _APART_SLACK_S
        }
        if len(others) >= seen.bounds.replacements_in_flight_max:
            yield Broken(
                invariant="I13",
                at=at,
                text=f"{slot} rented {rental.instance_id} while {len(others)} other slots were"
                f" between two hosts: {', '.join(sorted(others))}",
            )


def _landed_at(seen: Evidence, rental: Rental) -> float:
    """Return when a replacement showed its picture, or came to nothing."""
    spans = seen.on_air(rental.instance_id)
    let_go_at = seen.remembered("let go since", _let_go_since).get(
        rental.instance_id, seen.ended_at
    )
    ends = min(seen.end_of_use(rental), max(rental.created_at, let_go_at))
    return min(ends, spans[0][0] if spans else seen.ended_at)


def _let_go_since(seen: Evidence) -> Mapping[int, float]:
    """Return by rental since when it may have been given up: calls that end many wait for their turn."""
    turn_s = seen.bounds.spacing_s.get(DESTROY, 0.0) + _TURN_SLACK_S
    found: dict[int, float] = {}
    since = latest = seen.began_at
    for request in seen.calls.get(DESTROY, ()):
        since, latest = (request.at if request.at - latest > turn_s else since), request.at
        if request.instance_id is not None:
            found.setdefault(request.instance_id, since)
    return found


def _unforgiven(seen: Evidence, instance_id: int, moments: list[float]) -> Iterator[list[float]]:
    """Split restarts where the picture was good for long enough to forgive what was before."""
    batch: list[float] = []
    for moment in moments:
        if batch and _was_good(seen, instance_id, batch[-1], moment):
            yield batch
            batch = []
        batch.append(moment)
    if batch:
        yield batch


def _was_good(seen: Evidence, instance_id: int, since: float, until: float) -> bool:
    return any(
        min(end, until) - max(start, since) >= seen.bounds.restarts_forgiven_s
        for start, end in seen.on_air(instance_id)
    )


def _at_most(
    seen: Evidence, moments: list[float], most: int, window_s: float, what: str
) -> Iterator[Broken]:
    for first, last in zip(moments, moments[most:], strict=False):
        if last - first < window_s:
            text = (
                f"{most + 1} {what} within {last - first:.0f} s; the cap is {most} in"
                f" {window_s:.0f} s"
            )
            yield Broken(invariant="I13", at=last, text=text)
            if between(seen.killed_at, first, last):
                yield Broken(invariant="I6", at=last, text=f"{text}, across a kill")
