"""Checks of the promises about money: what is rented, once, written down first, and always ended.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from keeper.sim.evidence import DESTROY, REBOOT, Broken, Evidence, between
from keeper.sim.ledger import Rental, Request

_AFTER_BAD_LISTING_S = 180.0  # an act this soon after it may be because of it


def one_rental_per_label(seen: Evidence) -> Iterator[Broken]:
    """One intent yields at most one live rental."""
    by_label: dict[str, list[Rental]] = {}
    for rentals in seen.rentals.values():
        for rental in rentals:
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
        if before is None or not seen.is_unclear(before):
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


def rentals_within_the_declared(seen: Evidence) -> Iterator[Broken]:
    """A stream's uncondemned rentals: as declared, one more while handing over, and not for long."""
    for stream, replicas in seen.desired.items():
        moments: list[tuple[float, int, int]] = []
        for slot, rentals in seen.rentals.items():
            if slot.rpartition("/")[0] != stream:
                continue
            for rental in rentals:
                end = end_of_use(seen, rental)
                if end > rental.created_at:
                    moments += [
                        (rental.created_at, 1, rental.instance_id),
                        (end, -1, rental.instance_id),
                    ]
            yield from _overlaps_are_short(seen, slot, rentals)
        using: set[int] = set()
        for at, step, instance_id in sorted(moments):
            (using.add if step > 0 else using.discard)(instance_id)
            if len(using) > replicas + 1:
                yield Broken(
                    invariant="I5",
                    at=at,
                    text=f"{stream} has {len(using)} rentals in use for {replicas} replicas:"
                    f" {sorted(using)}",
                )


def _overlaps_are_short(seen: Evidence, slot: str, rentals: tuple[Rental, ...]) -> Iterator[Broken]:
    for earlier, later in pairwise(rentals):
        together_s = min(end_of_use(seen, earlier), end_of_use(seen, later)) - later.created_at
        if together_s > seen.bounds.overlap_max_s:
            yield Broken(
                invariant="I5",
                at=later.created_at + seen.bounds.overlap_max_s,
                text=f"{slot} keeps {earlier.instance_id} and {later.instance_id} side by side for"
                f" {together_s:.0f} s",
            )


def no_rental_is_abandoned(seen: Evidence) -> Iterator[Broken]:
    """What is condemned hears of it until it is gone; at the end exactly the declared ones live."""
    asked: dict[int, list[float]] = {}
    for request in seen.ledger.requests:
        if (request.method, request.endpoint) == DESTROY and request.instance_id is not None:
            asked.setdefault(request.instance_id, []).append(request.at)
    for rentals in seen.rentals.values():
        for rental in rentals:
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
        living = [r.instance_id for r in seen.rentals.get(slot, ()) if r.is_live]
        expected = 1 if slot in wanted else 0
        if len(living) != expected:
            yield Broken(
                invariant="I7",
                at=seen.ended_at,
                text=f"after the calm {slot} has {len(living)} live rentals {living}, not {expected}",
            )


def only_ours_is_touched(seen: Evidence) -> Iterator[Broken]:
    """Nothing unowned is ever stopped, labelled, rebooted or destroyed."""
    for request in seen.ledger.requests:
        if not request.is_mutating or request.instance_id is None:
            continue
        rental = seen.ledger.rentals.get(request.instance_id)
        if rental is not None and seen.slot_of(rental.label) is None:
            yield Broken(
                invariant="I8",
                at=request.at,
                text=f"{request.method} {request.path} touched {rental.instance_id}, which is"
                f" labelled {rental.label!r} and not ours",
            )


def bad_listing_is_not_absence(seen: Evidence) -> Iterator[Broken]:
    """Right after a bad listing nothing is rented for, or done to, a slot that is truly well."""
    for request, instance_id in acts_on_the_well(seen):
        since = request.at - _AFTER_BAD_LISTING_S
        bad = between(seen.bad_listings, since, request.at)
        if bad:
            yield Broken(
                invariant="I9",
                at=request.at,
                text=f"{request.method} {request.path} {request.label}: rental {instance_id} was"
                f" well, but the listing at {bad[-1]:.3f} was not",
            )


# --- questions that several checks ask ----------------------------------------------------------


def end_of_use(seen: Evidence, rental: Rental) -> float:
    """Return when a rental stopped being in use: its destroy was asked for, or it ended."""
    ends = seen.ended_at if rental.ended_at is None else rental.ended_at
    return min(ends, seen.condemned_at.get(rental.instance_id, ends))


def acts_on_the_well(seen: Evidence) -> Iterator[tuple[Request, int]]:
    """Yield each create, destroy or reboot that struck a slot whose only rental was truly well."""
    for request in seen.ledger.requests:
        kind = (request.method, request.endpoint)
        is_create = request.is_mutating and bool(request.label) and request.instance_id is None
        if kind not in {DESTROY, REBOOT} and not is_create:
            continue
        slot = (
            seen.slot_of(request.label) if is_create else seen.slot_of_instance(request.instance_id)
        )
        using = [
            rental.instance_id
            for rental in seen.rentals.get(slot or "", ())
            if rental.created_at < request.at <= end_of_use(seen, rental)
        ]
        if len(using) != 1 or not seen.was_well(using[0], request.at):
            continue
        if not (is_create and seen.expected_to_move(seen.ledger.rentals[using[0]], request.at)):
            yield request, using[0]
