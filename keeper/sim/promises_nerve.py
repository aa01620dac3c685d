"""Checks of the promises about nerve: what is good, unknown, paused or common to many is left alone.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil

from keeper.sim.bills import is_stopping
from keeper.sim.evidence import (
    COMMAND,
    CREATE,
    DESTROY,
    REBOOT,
    REMEDIES,
    Broken,
    Evidence,
    Span,
    between,
)
from keeper.sim.excuses import merged
from keeper.sim.ledger import Request
from keeper.sim.promises_deploys import is_being_deployed
from keeper.sim.symptoms import asked_ahead, unheard

_PROCESS = "restart.process."
_AFTER_BAD_LISTING_S = 300.0  # an act this soon after it may be because of it
_AFTER_BLINDNESS_S = 300.0
_LOOK_S = 3.0  # a look takes so long, and does not see what happens behind it
_GOOD_S = 90.0  # on air for so long, and every viewer has seen it by now
_SEEN_S = 180.0  # so long after many fell sick, keeper has seen it and what had begun is over
_EARLY_S = 30.0
_GLIMPSE_S = 20.0  # for no longer, and a viewer may not have seen it twice, as it takes
_AGAIN_S = 60.0  # so long after its network is back, keeper has looked at everything again
_BEGUN_S = 60.0  # what had begun before a window or a mode may finish


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


def not_knowing_is_no_reason(seen: Evidence) -> Iterator[Broken]:
    """Blindness of keeper's own box never costs a rental that is truly well."""
    for request, instance_id in acts_on_the_well(seen):
        for begins, ends in seen.blind:
            if begins <= request.at <= ends + _AFTER_BLINDNESS_S:
                yield Broken(
                    invariant="I14",
                    at=request.at,
                    text=f"{request.method} {request.path} {request.label}: rental {instance_id}"
                    f" was well; keeper could not see from {begins:.0f} to {ends:.0f}",
                )


def no_remedy_for_a_good_picture(seen: Evidence) -> Iterator[Broken]:
    """Whatever is not known of a host: while viewers see its picture, nothing is repaired there."""
    for entry in seen.ledger.hosts:
        is_remedy = entry.what == COMMAND and entry.detail.startswith(REMEDIES)
        # One that has begun goes on, and its own first step ends the picture.
        is_deploy = entry.detail.startswith("deploy.") and is_being_deployed(
            seen, entry.instance_id, entry.at
        )
        is_planned = entry.detail.startswith(_PROCESS) and asked_ahead(
            seen, entry.instance_id, entry.at
        )
        if (
            is_remedy
            and not (is_deploy or is_planned)
            and _is_good_unasked(seen, entry.instance_id, entry.at)
        ):
            yield Broken(
                invariant="I14",
                at=entry.at,
                text=f"{entry.detail} on {entry.instance_id}, whose viewers saw a good picture",
            )
    for request in seen.calls.get(REBOOT, ()):
        if _is_good_unasked(seen, request.instance_id or 0, request.at):
            yield Broken(
                invariant="I14",
                at=request.at,
                text=f"rental {request.instance_id} was rebooted, and viewers saw a good picture",
            )


def make_before_break(seen: Evidence) -> Iterator[Broken]:
    """A host on air is ended once another one has proven itself, or for its price, or unwanted."""
    for instance_id, at in seen.condemned_at.items():
        rental = seen.ledger.rentals.get(instance_id)
        slot = seen.slot_of_instance(instance_id, at)
        if rental is None or slot not in seen.slots or not _is_good_unasked(seen, instance_id, at):
            continue
        proven = any(
            start <= at - seen.bounds.proof_s and end >= at - _LOOK_S
            for other in seen.rentals[slot]
            if other.instance_id != instance_id
            and seen.condemned_at.get(other.instance_id, at + 1.0) > at
            for start, end in seen.on_air(other.instance_id)
        )
        is_for_money = seen.is_dear(rental, at) or is_stopping(seen, slot, at)
        if not proven and not is_for_money:
            yield Broken(
                invariant="I11",
                at=at,
                text=f"{slot} ended {instance_id}, which was on air, before another host had"
                f" shown its picture for {seen.bounds.proof_s:.0f} s",
            )


def paused_means_hands_off(seen: Evidence) -> Iterator[Broken]:
    """While paused: no mutating call but for what was condemned before; no command on a host."""
    yield from _hands_off(seen, seen.paused, "paused")


def common_causes_stop_everything(seen: Evidence) -> Iterator[Broken]:
    """While more slots are sick than can be chance, nothing is begun or ended; only tried again."""
    yield from _hands_off(seen, tuple(_mass_failures(seen)), "too many slots were sick at once")


def modes_and_windows_are_kept(seen: Evidence) -> Iterator[Broken]:
    """What is only to be observed is left alone; what is only to be repaired gets no other host."""
    for stream, spans in seen.observed.items():
        began = tuple((begins + _BEGUN_S, ends) for begins, ends in merged(spans))
        by_mode = tuple(merged(seen.watched.get(stream, ())))
        why = f"{stream} was only to be observed"
        yield from _hands_off(seen, began, why, stream, stops_in=by_mode)
    for stream, spans in seen.unreplaced.items():
        for begins, ends in merged(spans):
            for request in seen.mutations:
                is_mine = seen.stream_of_request(request) == stream
                is_in = begins + _BEGUN_S <= request.at <= ends
                if is_mine and is_in and _gives_up_or_begins(seen, request, begins):
                    yield Broken(
                        invariant="I12",
                        at=request.at,
                        text=f"{request.method} {request.path} in a window in which {stream} was"
                        " only to be repaired",
                    )


def _gives_up_or_begins(seen: Evidence, request: Request, begins: float) -> bool:
    """Whether a call rents, or asks for the first time for the end of a slot's only host."""
    kind = (request.method, request.endpoint)
    rental = seen.ledger.rentals.get(request.instance_id or 0)
    if kind != DESTROY or rental is None:
        return kind == CREATE
    if seen.condemned_at[rental.instance_id] < begins + _BEGUN_S:
        return False
    if is_stopping(seen, seen.slot_of(rental.label), request.at):
        return False  # a hard stop of money goes on
    others = (
        other
        for other in seen.rentals[seen.slot_of_instance(rental.instance_id, request.at) or ""]
        if other.instance_id != rental.instance_id
        and other.created_at < request.at < seen.end_of_use(other)
    )
    return seen.was_used(rental.instance_id, request.at) and not any(others)


def _hands_off(
    seen: Evidence,
    spans: tuple[Span, ...],
    why: str,
    stream: str | None = None,
    *,
    stops_in: tuple[Span, ...] | None = None,
) -> Iterator[Broken]:
    """Yield what was done in these stretches, to any stream or to one.

    ``stops_in``: when not even a hard stop of money goes on; None: always.
    """
    for begins, ends in spans:
        for request in seen.mutations:
            if not begins <= request.at <= ends:
                continue
            is_confirming = (request.method, request.endpoint) == DESTROY and (
                seen.condemned_at.get(request.instance_id or 0, ends) < begins
            )
            goes_on = (
                stops_in is not None
                and not any(since <= request.at <= until for since, until in stops_in)
                and _ends_for_money(seen, request)
            )
            is_mine = stream in {None, seen.stream_of_request(request)}
            if is_mine and not is_confirming and not goes_on:
                yield Broken(
                    invariant="I12",
                    at=request.at,
                    text=f"{request.method} {request.path} while {why}",
                )
        for entry in seen.ledger.hosts:
            is_remedy = entry.what == COMMAND and entry.detail.startswith(REMEDIES)
            if not is_remedy or not begins <= entry.at <= ends:
                continue
            slot = seen.slot_of_instance(entry.instance_id) or ""
            if stream in {None, slot.rpartition("/")[0]}:
                yield Broken(
                    invariant="I12",
                    at=entry.at,
                    text=f"{entry.detail} on {entry.instance_id} while {why}",
                )


def _ends_for_money(seen: Evidence, request: Request) -> bool:
    """Whether a call asks for the end of a host while a cap is nearly used up."""
    if (request.method, request.endpoint) != DESTROY:
        return False
    return is_stopping(seen, seen.slot_of_instance(request.instance_id, request.at), request.at)


def _mass_failures(seen: Evidence) -> Iterator[Span]:
    """Yield when more hosts that were good lay dark than the fleet's ratio allows.

    From when keeper has seen it until one slot at a time may be tried; the act that ends it is in it.
    A host that others have stopped may count or not; what fell sick while keeper's own network was
    down may have seemed so since it lost its sight; and a picture that came for a moment may not have been
    seen. With any of them, the trial comes earlier.
    """
    most = max(1, ceil(round(seen.bounds.mass_failure_ratio * len(seen.slots), 9)))
    perhaps = tuple(_too_many(seen, most, is_seeming=True))
    for since, ends in _too_many(seen, most, is_seeming=False):
        begun = [begins for begins, over in perhaps if begins <= since < over]
        until = min(ends, min([since, *begun]) + seen.bounds.mass_failure_trial_s - _EARLY_S)
        if until > since + _SEEN_S:
            yield since + _SEEN_S, until


def _too_many(seen: Evidence, most: int, *, is_seeming: bool) -> Iterator[Span]:
    """Yield when more than so many slots were sick, or may at most have seemed so."""
    moments: list[tuple[float, int]] = []
    for slot in seen.slots:
        for begins, ends in merged(_sick(seen, slot, is_seeming=is_seeming)):
            moments += [(begins, 1), (ends, -1)]
    count, since = 0, 0.0
    for at, step in sorted(moments):
        before, count = count, count + step
        if before <= most < count:
            since = at
        elif count <= most < before:
            yield since, at


def _sick(seen: Evidence, slot: str, *, is_seeming: bool) -> Iterator[Span]:
    """Yield when a host that was on air was dark in its slot, and no bid or purse was why.

    ``is_seeming``: also one that others had stopped, and from when on keeper may have taken it for dark.
    """
    for rental in seen.rentals.get(slot, ()):
        spans = seen.on_air(rental.instance_id)
        if is_seeming:
            spans = (*spans[:1], *(span for span in spans[1:] if span[1] - span[0] > _GLIMPSE_S))
        end = seen.end_of_use(rental)
        stops = (c for c in rental.changes if c.what == "stopped" and c.at >= rental.created_at)
        if not is_seeming and any(stops):
            continue
        hidden = unheard(seen, rental.instance_id)
        for (_, lost_at), (again_at, _) in pairwise([*spans, (end, end)]):
            is_hidden = any(begins <= lost_at <= ends for begins, ends in hidden)
            if max(lost_at, rental.created_at) < min(again_at, end) and not is_hidden:
                since = _unseen_since(seen, lost_at) if is_seeming else lost_at
                yield max(since, rental.created_at), min(again_at, end)


def _unseen_since(seen: Evidence, at: float) -> float:
    """Return since when keeper had not seen anything at a time, for its network was down, or that time."""
    spans = (span for span in seen.blind if span[0] <= at < span[1] + _AGAIN_S)
    return min((begins for begins, _ in spans), default=at)


def acts_on_the_well(seen: Evidence) -> Iterator[tuple[Request, int]]:
    """Yield each create, destroy or reboot that struck a slot whose only rental was truly well."""
    for request in seen.mutations:
        kind = (request.method, request.endpoint)
        is_create = kind == CREATE
        if kind not in {DESTROY, REBOOT} and not is_create:
            continue
        slot = (
            seen.slot_of(request.label)
            if is_create
            else seen.slot_of_instance(request.instance_id, request.at)
        )
        if slot not in seen.slots:
            continue  # a spare: nobody watches it, so nobody is harmed
        using = [
            rental.instance_id
            for rental in seen.rentals.get(slot or "", ())
            if rental.created_at < request.at <= seen.end_of_use(rental)
        ]
        if len(using) != 1 or not seen.was_well(using[0], request.at):
            continue
        if not is_create and request.instance_id != using[0]:
            continue  # the end of its predecessor is pursued
        is_planned = is_create and seen.expected_to_move(seen.ledger.rentals[using[0]], request.at)
        is_dear = seen.is_dear(seen.ledger.rentals[using[0]], request.at)
        is_for_money = kind == DESTROY and (is_dear or is_stopping(seen, slot, request.at))
        if not is_planned and not is_for_money:
            yield request, using[0]


def _is_good_unasked(seen: Evidence, instance_id: int, at: float) -> bool:
    """Whether viewers of a rental have seen its picture for a while, and no person wants it away."""
    is_good = any(start <= at - _GOOD_S and end >= at for start, end in seen.on_air(instance_id))
    return is_good and not seen.was_ordered(seen.slot_of_instance(instance_id), at)
