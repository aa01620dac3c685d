"""Checks of what is promised of spares: what they cost, where and when they are rented, for how long.

From the marketplace's ledger, and from the moments at which the disk took a spare into a slot.
"""

from __future__ import annotations

from collections.abc import Iterator

from keeper.sim.evidence import SET_STATE, Broken, Evidence
from keeper.sim.excuses import tied_s
from keeper.sim.ledger import Rental
from keeper.sim.promises_caps import least_told, passes_for_gone, price_as_told

_SAME_DOLLARS = 0.001
# A spare that may still be needed outlives its term by an hour; then it is ended, which may be refused.
_LEEWAY_S = 3600.0
_ENDS_WITHIN_S = 3600.0
# So long a start is waited for (spares.start_within_s).
_STARTS_WITHIN_S = 120.0


def spares_within_their_cap(seen: Evidence) -> Iterator[Broken]:
    """All spares of a stream together cost at most what is declared for them, at each create of one."""
    for stream, bounds in seen.bounds.spares.items():
        spares = _spares(seen, stream)
        for spare in spares:
            at = spare.created_at
            living = [s for s in spares if s.created_at <= at and (s.ended_at or at + 1.0) > at]
            total = sum(
                spare_price(seen, s, at) for s in living if not passes_for_gone(seen, s, at)
            )
            if total > bounds.dollars_per_hour + _SAME_DOLLARS and not _is_given_back(seen, spare):
                yield Broken(
                    invariant="I4",
                    at=at,
                    text=f"the spares of {stream} cost {total:.4f} $/h; their cap is"
                    f" {bounds.dollars_per_hour:.4f}",
                )


def spare_price(seen: Evidence, spare: Rental, at: float) -> float:
    """Return what a spare was agreed to cost, or has come to cost and been seen to."""
    if at > spare.created_at:
        return price_as_told(seen, spare, at)
    return min(least_told(spare) or spare.dollars_per_hour, spare.dollars_per_hour)


def _is_given_back(seen: Evidence, spare: Rental) -> bool:
    """Whether it cost another price than was agreed to, and was given back unused."""
    return spare.instance_id in seen.condemned_at and not seen.was_used(spare.instance_id)


def spares_expire(seen: Evidence) -> Iterator[Broken]:
    """A spare that nobody needed is given back at its age, not counting when hands were tied."""
    stepped_s = sum(abs(step_s) for _, step_s in seen.clock_steps)  # ages are told by its own clock
    for stream, bounds in seen.bounds.spares.items():
        for spare in _spares(seen, stream):
            until = seen.end_of_use(spare)
            due = spare.created_at + bounds.expire_after_s
            late_s = until - due - _LEEWAY_S - _ENDS_WITHIN_S - stepped_s
            if late_s > 0 and late_s > tied_s(seen, seen.slot_of(spare.label) or "", due, until):
                yield Broken(
                    invariant="I5",
                    at=until,
                    text=f"spare {spare.instance_id} of {stream} was kept for"
                    f" {until - spare.created_at:.0f} s; it expires after"
                    f" {bounds.expire_after_s:.0f} s",
                )


def a_slot_comes_before_a_spare(seen: Evidence) -> Iterator[Broken]:
    """No spare is rented while keeper itself has ended the last host of a slot."""
    for stream in seen.bounds.spares:
        for spare in _spares(seen, stream):
            at = spare.created_at
            for slot in seen.slots:
                if _is_given_up(seen, slot, at):
                    yield Broken(
                        invariant="I5",
                        at=at,
                        text=f"spare {spare.instance_id} of {stream} was rented while {slot} was"
                        " without a host",
                    )


def _is_given_up(seen: Evidence, slot: str, at: float) -> bool:
    rentals = [r for r in seen.rentals.get(slot, ()) if r.created_at <= at]
    return bool(rentals) and all(
        seen.condemned_at.get(r.instance_id, at + 1.0) < at for r in rentals
    )


def spares_are_elsewhere(seen: Evidence) -> Iterator[Broken]:
    """A spare has another owner than the hosts of its stream that were in use when it was rented."""
    for stream in seen.bounds.spares:
        for spare in _spares(seen, stream):
            at = spare.created_at
            for slot in seen.slots:
                for host in seen.rentals.get(slot, ()):
                    is_there = host.created_at < at < seen.end_of_use(host)
                    is_mine = slot.rpartition("/")[0] == stream
                    if is_mine and is_there and host.host_id == spare.host_id:
                        yield Broken(
                            invariant="I5",
                            at=at,
                            text=f"spare {spare.instance_id} has the owner {spare.host_id} of"
                            f" {host.instance_id}, which it is to stand in for",
                        )


def only_spares_stand_still(seen: Evidence) -> Iterator[Broken]:
    """What serves a slot is never told to stop: only what nobody sees may stand still."""
    for order in seen.calls.get(SET_STATE, ()):
        slot = seen.slot_of_instance(order.instance_id, order.at)
        if order.state == "stopped" and slot in seen.slots:
            yield Broken(
                invariant="I11",
                at=order.at,
                text=f"rental {order.instance_id} was told to stop while it was the host of {slot}",
            )


def nothing_is_rented_beside_a_start(seen: Evidence) -> Iterator[Broken]:
    """A slot whose spare was told to start, and comes up, waits for it before it rents.

    Of a stream with one slot: where there are more, another one may need the host. A person may
    want another one all the same, and a clock that leaps ends every patience.
    """
    for order in seen.calls.get(SET_STATE, ()):
        place = seen.slot_of_instance(order.instance_id, order.at) or ""
        stream = place.rpartition("/")[0]
        is_start = order.state == "running" and order.status == 200 and not order.note
        if not is_start or place in seen.slots or seen.desired.get(stream) != 1:
            continue
        spare, slot = seen.ledger.rentals[order.instance_id or 0], f"{stream}/0"
        until = order.at + _STARTS_WITHIN_S
        if not any(c.what == "running" and order.at < c.at < until for c in spare.changes):
            continue
        until = min(until, _end_as_spare(seen, spare))
        has_leapt = any(order.at <= leapt_at <= until for leapt_at, _ in seen.clock_steps)
        for host in seen.rentals.get(slot, ()):
            is_beside = order.at < host.created_at < until and not seen.has_moved(host)
            if is_beside and not has_leapt and not seen.was_ordered(slot, host.created_at):
                yield Broken(
                    invariant="I5",
                    at=host.created_at,
                    text=f"{host.instance_id} was rented for {slot} while its spare"
                    f" {spare.instance_id}, told to start at {order.at:.3f}, was on its way",
                )


def _end_as_spare(seen: Evidence, spare: Rental) -> float:
    """Return when a spare was one no more: it took over, was given up, or somebody ended it."""
    moves = [move.at for move in seen.moves if move.label == spare.label]
    return min([seen.end_of_use(spare), *moves])


def one_owner_at_a_time(seen: Evidence) -> Iterator[Broken]:
    """What takes over is in one record, whenever the disk is looked at; it was a spare of its stream."""
    for move in seen.moves:
        place = seen.slot_of(move.label) or ""
        is_own = place.rpartition("/")[0] == move.slot.rpartition("/")[0]
        if move.owners != 1 or not is_own:
            yield Broken(
                invariant="I1",
                at=move.at,
                text=f"{move.owners} records held {move.label} when {move.slot} took it over",
            )


def _spares(seen: Evidence, stream: str) -> list[Rental]:
    """Return the rentals for places of a stream's spares, as long as they were that."""
    return [
        rental
        for slot, rentals in seen.rentals.items()
        if slot.rpartition("/")[0] == stream and slot not in seen.slots
        for rental in rentals
    ]
