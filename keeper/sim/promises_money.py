"""Checks of the promises about renting: once, written down first, as declared, and nobody else's.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from keeper.sim.evidence import COMMAND, LINKED, SET_STATE, Broken, Evidence, between
from keeper.sim.excuses import is_to_be_left, side_by_side_s
from keeper.sim.ledger import Rental, Request

_CLEAR = (200, *range(400, 500))  # answers that say what was done


def one_rental_per_label(seen: Evidence) -> Iterator[Broken]:
    """One intent yields at most one live rental."""
    by_label: dict[str, list[Rental]] = {}
    for rental in seen.ours:
        by_label.setdefault(rental.label, []).append(rental)
    for label, same in by_label.items():
        for earlier, later in pairwise(same):
            if earlier.ended_at is None or earlier.ended_at > later.created_at:
                yield Broken(
                    invariant="I1",
                    at=later.created_at,
                    text=f"rentals {earlier.instance_id} and {later.instance_id} live at once"
                    f" under one label {label}",
                )


def label_is_on_disk_first(seen: Evidence) -> Iterator[Broken]:
    """The unique label is durable before the create leaves."""
    written: dict[str, float] = {}
    for at, label in seen.labels_written:
        written.setdefault(label, at)
    used: set[str] = set()
    for create in seen.creates:
        if seen.slot_of(create.label) is None:
            yield Broken(
                invariant="I2", at=create.at, text=f"a create left under no label: {create.label!r}"
            )
        elif written.get(create.label, create.at + 1.0) > create.at:
            yield Broken(
                invariant="I2",
                at=create.at,
                text=f"the create of {create.label} left before its label was on disk",
            )
        elif create.label in used:
            yield Broken(
                invariant="I2",
                at=create.at,
                text=f"the label {create.label} was sent with a second create",
            )
        used.add(create.label)


def doubtful_create_is_settled_first(seen: Evidence) -> Iterator[Broken]:
    """After an unclear create, listings settle it before the slot asks again."""
    latest: dict[str, Request] = {}
    for create in seen.creates:
        slot = seen.slot_of(create.label)
        if slot is None:
            continue
        before = latest.get(slot)
        latest[slot] = create
        if before is None or not seen.is_unclear(before, by=create.at):
            continue
        listed = between(seen.clean_listings, before.at, create.at)
        made = any(r.label == before.label for r in seen.rentals.get(slot, ()))
        if made and not listed:
            yield Broken(
                invariant="I3",
                at=create.at,
                text=f"{slot} asked again under {create.label} before any listing could show"
                f" what became of {before.label}, asked at {before.at:.3f}",
            )
        elif not made and not (
            create.at - before.at >= seen.bounds.settle_s
            and len(listed) >= 2
            and listed[-1] - listed[0] >= seen.bounds.absence_apart_s
        ):
            yield Broken(
                invariant="I10",
                at=create.at,
                text=f"{slot} asked again under {create.label} only"
                f" {create.at - before.at:.1f} s after the unsettled {before.label}",
            )


def doubtful_order_is_settled_first(seen: Evidence) -> Iterator[Broken]:
    """After an order to stop or to start without a clear answer, a listing comes before the next."""
    latest: dict[int, Request] = {}
    for order in seen.calls.get(SET_STATE, ()):
        if not order.state or order.instance_id is None:
            continue
        before = latest.get(order.instance_id)
        latest[order.instance_id] = order
        if before is None or before.state != order.state:
            continue
        is_clear = before.status in _CLEAR and not before.note
        if not is_clear and not between(seen.clean_listings, before.at, order.at):
            yield Broken(
                invariant="I3",
                at=order.at,
                text=f"rental {order.instance_id} was told again to be {order.state} before any"
                f" listing could show what became of the order at {before.at:.3f}",
            )


def rentals_within_the_declared(seen: Evidence) -> Iterator[Broken]:
    """A stream's uncondemned rentals: as declared, one more while handing over, and not for long."""
    for stream, replicas in seen.desired.items():
        spares = seen.bounds.spares.get(stream)
        most = replicas + (spares.count if spares is not None else 0) + 1
        moments: list[tuple[float, int, int]] = []
        for slot, rentals in seen.rentals.items():
            if slot.rpartition("/")[0] != stream:
                continue
            for rental in rentals:
                end = seen.end_of_use(rental)
                if end > rental.created_at:
                    moments += [
                        (rental.created_at, 1, rental.instance_id),
                        (end, -1, rental.instance_id),
                    ]
            yield from _overlaps_are_short(seen, slot, rentals)
            yield from _overlaps_have_a_reason(seen, slot, rentals)
        using: set[int] = set()
        for at, step, instance_id in sorted(moments):
            (using.add if step > 0 else using.discard)(instance_id)
            if len(using) > most:
                yield Broken(
                    invariant="I5",
                    at=at,
                    text=f"{stream} has {len(using)} rentals in use for {replicas} replicas:"
                    f" {sorted(using)}",
                )


def _overlaps_are_short(seen: Evidence, slot: str, rentals: tuple[Rental, ...]) -> Iterator[Broken]:
    for earlier, later in pairwise(rentals):
        until = min(seen.end_of_use(earlier), seen.end_of_use(later))
        if side_by_side_s(seen, slot, (earlier, later), until) > seen.bounds.overlap_max_s:
            yield Broken(
                invariant="I5",
                at=later.created_at + seen.bounds.overlap_max_s,
                text=f"{slot} keeps {earlier.instance_id} and {later.instance_id} side by side for"
                f" {until - later.created_at:.0f} s",
            )


def _overlaps_have_a_reason(
    seen: Evidence, slot: str, rentals: tuple[Rental, ...]
) -> Iterator[Broken]:
    """A second host comes before the first one goes only where the first one is to be left."""
    for earlier, later in pairwise(rentals):
        at = later.created_at
        is_beside = at < seen.end_of_use(earlier) and seen.was_used(earlier.instance_id, at)
        if seen.has_moved(later):
            continue  # it was there already: nothing was rented
        if is_beside and not is_to_be_left(seen, slot, earlier, at):
            yield Broken(
                invariant="I5",
                at=at,
                text=f"{slot} rented {later.instance_id} beside {earlier.instance_id}, which neither"
                " ends soon nor costs too much",
            )


def only_ours_is_touched(seen: Evidence) -> Iterator[Broken]:
    """Nothing unowned is ever stopped, labelled, rebooted or destroyed."""
    for request in seen.mutations:
        rental = seen.ledger.rentals.get(request.instance_id or 0)
        if rental is not None and seen.slot_of(rental.label) is None:
            yield Broken(
                invariant="I8",
                at=request.at,
                text=f"{request.method} {request.path} touched {rental.instance_id}, which is"
                f" labelled {rental.label!r} and not ours",
            )
    for entry in seen.ledger.hosts:
        rental = seen.ledger.rentals.get(entry.instance_id)
        is_touch = entry.what in {COMMAND, LINKED}
        if is_touch and rental is not None and seen.slot_of(rental.label) is None:
            yield Broken(
                invariant="I8",
                at=entry.at,
                text=f"{entry.what} {entry.detail} on {entry.instance_id}, which is labelled"
                f" {rental.label!r} and not ours",
            )
