"""When keeper's hands were tied: what a promise with a bound in it must not count.

A pause, a window, an account without credit, a cap that leaves no room, a quota of searches or an
allowance that was used up, a keeper that nobody began again. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keeper.sim.bills import curbed, dark_dollars
from keeper.sim.evidence import SEARCH, Evidence, Span
from keeper.sim.faults import FaultKind
from keeper.sim.ledger import Rental
from keeper.sim.notices import FIRING, RESOLVED
from keeper.sim.symptoms import waits_of

_SILENT_S = 60.0  # so long a host was silent when another one is rented beside it
_DAY_S = 86_400.0
_CHANNEL_S = 900.0  # a channel that refused is tried again within this
_AWAY_S = (
    900.0  # a process that is begun again at once is no excuse; one that is not for so long is
)
_START_S = 120.0  # a process that was killed is back, and has read everything again


def tied_s(
    seen: Evidence, slot: str, since: float, until: float, beside: Iterable[Span] = ()
) -> float:
    """Return for how long of a stretch keeper must not, or could not, rent and end for a slot.

    ``beside``: what else is not to count, each moment once.
    """
    stream = slot.rpartition("/")[0]
    spans = (
        *seen.remembered("tied", _tied),
        *seen.remembered(f"spent {slot}", _spent, slot),
        *seen.unreplaced.get(stream, ()),
        *curbed(seen, stream),
        *waits_of(seen, stream),
        *beside,
    )
    return covered_s(spans, since, until)


def waits_for_a_person(seen: Evidence, slot: str) -> tuple[Span, ...]:
    """Return when a slot got no more hosts until a person had looked, who was told so.

    Only where its stream had cost so much in the dark by the marketplace's bills, and only for as long
    as a person may take. Who was answered goes on.
    """
    stream = slot.rpartition("/")[0]
    return seen.remembered(f"waits {stream}", _waits, stream)


def _waits(seen: Evidence, stream: str) -> tuple[Span, ...]:
    paid_enough = tuple(
        wait
        for wait in _until_answered(seen, f"KeeperDarkSpend:{stream}")
        if dark_dollars(seen, stream, wait[0]) >= seen.bounds.dark_dollars_max
    )
    silent = _until_answered(seen, f"KeeperNeedsPerson:{stream}:no_sound")
    return (*paid_enough, *(wait for wait in silent if _were_silent(seen, stream, wait[0])))


def _until_answered(seen: Evidence, key: str) -> tuple[Span, ...]:
    """Return when a person was asked for something, and for how long at most that excuses anything."""
    about = [each for each in seen.notices if each.key == key]
    ends = [each.at for each in about if each.kind == RESOLVED]
    return tuple(
        (told.at, min(at for at in (*ends, told.at + seen.bounds.answer_s) if at > told.at))
        for told in about
        if told.kind == FIRING
    )


def _were_silent(seen: Evidence, stream: str, at: float) -> bool:
    """Whether two hosts of a stream have been silent by then: one is no reason to ask a person."""
    hosts = (
        rental
        for slot, rentals in seen.rentals.items()
        if slot.rpartition("/")[0] == stream
        for rental in rentals
    )
    silent = [h for h in hosts if any(since <= at for since, _ in seen.mute(h.instance_id))]
    return len(silent) > 1


def untied_until(
    seen: Evidence, slot: str, since: float, for_s: float, beside: tuple[Span, ...] = ()
) -> float:
    """Return when hands that were tied now and then have been free for so long."""
    until = since + for_s
    while (
        until < seen.ended_at
        and (later := since + for_s + tied_s(seen, slot, since, until, beside)) > until + 1.0
    ):
        until = later
    return until


def is_to_be_left(seen: Evidence, slot: str, rental: Rental, at: float) -> bool:
    """Whether a slot may rent a second host beside this one, which is to go then."""
    is_silent = any(
        since <= at - _SILENT_S and until >= at - _SILENT_S
        for since, until in seen.mute(rental.instance_id)
    )
    return is_silent or seen.expected_to_move(rental, at) or seen.was_ordered(slot, at)


def side_by_side_s(seen: Evidence, slot: str, two: tuple[Rental, Rental], until: float) -> float:
    """Return for how long a hand-over has had two hosts, less when it could not go on."""
    earlier, began_at = two[0], two[1].created_at
    together_s = until - began_at
    if together_s <= seen.bounds.overlap_max_s:
        return together_s
    return together_s - covered_s(_at_a_stand(seen, slot, earlier, began_at), began_at, until)


def _at_a_stand(seen: Evidence, slot: str, earlier: Rental, began_at: float) -> Iterator[Span]:
    """Yield when a hand-over could not go on. One that can wait does not begin before a window."""
    stream = slot.rpartition("/")[0]
    yield from waits_of(seen, stream)
    can_wait = not seen.must_move(earlier, began_at) and not seen.was_ordered(slot, began_at)
    yield from seen.paused
    for since, until in seen.observed.get(stream, ()):
        is_foreseen = (
            began_at < since < began_at + seen.bounds.overlap_max_s
            and (since, until) not in seen.watched.get(stream, ())  # a mode comes unannounced
            and not any(began_at < stepped_at <= since for stepped_at, _ in seen.clock_steps)
        )
        if not (can_wait and is_foreseen):
            yield since, until


def covered_s(spans: Iterable[Span], since: float, until: float) -> float:
    """Return how much of a stretch lies within any of these spans."""
    total, reached = 0.0, since
    for begins, ends in sorted(spans):
        begin, end = max(begins, reached), min(ends, until)
        if end > begin:
            total += end - begin
            reached = end
    return total


def _tied(seen: Evidence) -> tuple[Span, ...]:
    away = ((since, until) for since, until in down(seen) if until - since > _AWAY_S)
    return tuple(merged((*seen.paused, *seen.penniless, *_unsearchable(seen), *away)))


def down(seen: Evidence) -> Iterator[Span]:
    """Yield when no process of keeper's was up: from a kill until a new one has read."""
    for killed_at in seen.killed_at:
        again = next((at for at in seen.clean_listings if at > killed_at), seen.ended_at)
        yield killed_at, again + _START_S


def _unsearchable(seen: Evidence) -> Iterator[Span]:
    """Yield when the searches of a day were used up: until keeper's midnight."""
    for request in seen.calls.get(SEARCH, ()):
        if request.status == 429 and request.note == FaultKind.SEARCH_QUOTA.value:
            midnight = (request.at // _DAY_S + 1) * _DAY_S
            # A clock that is set back meanwhile comes to its own midnight later.
            behind_s = -min(0.0, seen.clock_ahead_s(request.at), seen.clock_ahead_s(midnight))
            yield request.at, midnight + behind_s


def _spent(seen: Evidence, slot: str) -> tuple[Span, ...]:
    """Return when a slot had had all the hosts that it may have, asked for or taken over."""
    asked = (c.at for c in seen.creates if seen.slot_of(c.label) == slot and seen.may_have_made(c))
    made = sorted((*asked, *(move.at for move in seen.moves if move.slot == slot)))
    most, window_s = seen.bounds.replacements_max, seen.bounds.replacements_window_s
    return tuple(
        (last, first + window_s)
        for first, last in zip(made, made[most - 1 :], strict=False)
        if last - first < window_s
    )


def mute_s(seen: Evidence, since: float, until: float) -> float:
    """Return for how long nobody could be told: no process, no network, or no channel."""
    refusing = ((at, at + _CHANNEL_S) for at, _ in seen.refused)
    return covered_s(merged((*seen.blind, *down(seen), *refusing)), since, until)


def audible_until(seen: Evidence, since: float, for_s: float) -> float:
    """Return when somebody could have been told for so long, all in all."""
    until = since + for_s
    while (
        until < seen.ended_at
        and (later := since + for_s + mute_s(seen, since, until)) > until + 1.0
    ):
        until = later
    return until


def merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the same time in stretches that do not touch."""
    now: Span | None = None
    for begins, ends in sorted(spans):
        if now is not None and begins <= now[1]:
            now = (now[0], max(now[1], ends))
            continue
        if now is not None:
            yield now
        now = (begins, ends)
    if now is not None:
        yield now
