"""Checks of the promises about terms: bids, prices that move, ends known ahead, and an empty account.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from keeper.sim.evidence import ACCOUNT, BID, LISTING, Broken, Evidence
from keeper.sim.excuses import tied_s
from keeper.sim.ledger import Change, Rental

_SAME_DOLLARS = 0.001
_READ_TAKES_S = 60.0  # from an answer to what is done because of it
_UP = ("running", "destroyed", "offline")


def bids_stay_under_the_limit(seen: Evidence) -> Iterator[Broken]:
    """What is bid, with the disk, never costs more than the stream may pay for a host."""
    for slot, rental in _ours(seen):
        limit = _limit(seen, slot)
        if not rental.is_bid or limit is None:
            continue
        bids = [(rental.created_at, rental.dollars_per_hour)]
        bids += [(c.at, c.dollars_per_hour) for c in rental.changes if c.what == BID]
        for at, dollars in bids:
            if dollars > limit + _SAME_DOLLARS:
                yield Broken(
                    invariant="I4",
                    at=at,
                    text=f"{slot} bid for {rental.instance_id}: {dollars:.4f} $/h with its disk;"
                    f" the limit is {limit:.4f}",
                )


def a_drift_is_refused(seen: Evidence) -> Iterator[Broken]:
    """A contract much dearer than its offer is given back before it is of use."""
    for slot, rental in _ours(seen):
        bounds, offered = seen.bounds, rental.offered_dollars_per_hour
        if offered and rental.dollars_per_hour > offered * bounds.drift_ratio + _SAME_DOLLARS:
            live = seen.on_air(rental.instance_id)
            until = live[0][0] if live else rental.created_at
            listings = seen.clean_between(rental.created_at, until, LISTING)
            had_time = len(listings) > 1 and (
                listings[-1] - listings[0] >= 2 * bounds.absence_apart_s
            )
            given_up = seen.condemned_at.get(rental.instance_id, until + 1.0)
            if live and had_time and given_up > until:
                yield Broken(
                    invariant="I4",
                    at=until,
                    text=f"{slot} went on air on {rental.instance_id} for"
                    f" {rental.dollars_per_hour:.4f} $/h; its offer said {offered:.4f}",
                )


def a_raised_price_is_escaped(seen: Evidence) -> Iterator[Broken]:
    """A host whose owner asks for more than the stream may pay is left before long."""
    for slot, rental in _ours(seen):
        limit = _limit(seen, slot)
        raised = [c for c in rental.changes if c.what == "price raised"]
        if limit is None or not raised:
            continue
        most = limit * seen.bounds.drift_ratio + _SAME_DOLLARS
        since = next((c for c in raised if c.dollars_per_hour > most), None)
        until = seen.end_of_use(rental)
        if since is None or until <= since.at:
            continue
        paid_s = until - since.at - tied_s(seen, slot, since.at, until)
        if paid_s > seen.bounds.dear_patience_s:
            yield Broken(
                invariant="I4",
                at=until,
                text=f"{slot} stayed on {rental.instance_id} for {until - since.at:.0f} s after its"
                f" price rose to {since.dollars_per_hour:.4f} $/h; the limit is {limit:.4f}",
            )


def an_outbid_host_is_not_kept(seen: Evidence) -> Iterator[Broken]:
    """A rental that lost its bid is bid for again or given up, not paid for as it lies."""
    for slot, rental in _ours(seen):
        for index, change in enumerate(rental.changes):
            if change.what != "stopped" or change.by != "outbid":
                continue
            later = rental.changes[index + 1 :]
            answered = [c.at for c in later if c.what == BID or c.what in _UP]
            until = min([*answered, seen.end_of_use(rental)])
            idle_s = until - change.at - tied_s(seen, slot, change.at, until)
            if idle_s > seen.bounds.outbid_patience_s:
                yield Broken(
                    invariant="I4",
                    at=until,
                    text=f"{slot} left {rental.instance_id} outbid and billing for"
                    f" {until - change.at:.0f} s",
                )


def no_create_on_an_empty_account(seen: Evidence) -> Iterator[Broken]:
    """Once an answer has said that the account is empty, nothing is asked for until it is not."""
    for begins, ends in seen.penniless:
        told = seen.clean_between(begins, ends, ACCOUNT)
        if not told:
            continue
        for create in seen.creates:
            if seen.slot_of(create.label) and told[0] + _READ_TAKES_S < create.at < ends:
                yield Broken(
                    invariant="I4",
                    at=create.at,
                    text=f"{create.label} was asked for {create.at - told[0]:.0f} s after the"
                    " account was seen to be empty",
                )


def an_end_known_ahead_is_no_surprise(seen: Evidence) -> Iterator[Broken]:
    """Before a contract ends as its reads said, another host was at least asked for."""
    notice_s = seen.bounds.ending_notice_s
    for slot, rental in _ours(seen):
        expired = _expired(rental)
        known_at = _end_known_at(rental)
        if expired is None or known_at is None or seen.end_of_use(rental) < expired.at:
            continue
        since = max(known_at, expired.at - notice_s)
        was_serving = any(
            start <= since and end >= expired.at - 60.0
            for start, end in seen.on_air(rental.instance_id)
        )
        if expired.at - since < notice_s or not was_serving:
            continue
        asked = [
            create
            for create in seen.creates
            if since <= create.at <= expired.at and seen.slot_of(create.label) == slot
        ]
        others = [
            other
            for other in seen.rentals.get(slot, ())
            if other is not rental
            and other.created_at < expired.at
            and seen.end_of_use(other) > since
        ]
        if not asked and not others and not tied_s(seen, slot, since, expired.at):
            yield Broken(
                invariant="I18",
                at=expired.at,
                text=f"{slot} was on air on {rental.instance_id} until its contract ended, known"
                f" {expired.at - known_at:.0f} s ahead, and asked for no other host",
            )


# --- questions ----------------------------------------------------------------------------------


def _ours(seen: Evidence) -> Iterator[tuple[str, Rental]]:
    for slot, rentals in seen.rentals.items():
        for rental in rentals:
            yield slot, rental


def _limit(seen: Evidence, slot: str) -> float | None:
    return seen.bounds.price_max_dollars_per_hour.get(slot.rpartition("/")[0])


def _expired(rental: Rental) -> Change | None:
    return next((c for c in rental.changes if c.what == "stopped" and c.by == "expired"), None)


def _end_known_at(rental: Rental) -> float | None:
    """Return since when reads told the end at which a contract really ended."""
    moved = [c.at for c in rental.changes if c.what == "end moved"]
    return moved[-1] if moved else rental.created_at
