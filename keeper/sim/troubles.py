"""What really was wrong in a run, from the hosts' and the marketplace's own records.

Each trouble has a kind, what it is about, and when it was so. What lasted for less than an alert's group wait
is none: nobody is to hear of it. It shares no code with keeper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from keeper.sim.bills import curbed, dark_dollars
from keeper.sim.evidence import LISTING, Evidence, Span
from keeper.sim.symptoms import waits_of

GROUP_WAIT_S = 30.0
# Two troubles that follow each other so closely are one incident: what is over must be quiet for as long.
_QUIET_S = 300.0
_LATE_S = 1200.0  # so long a list that was no truth may leave a doubt
_DAY_S = 86_400.0
_STUCK_S = 240.0  # an end that hangs is told after five minutes, of keeper's own clock
_ENDING_S = 21_600.0  # so long ahead is the end of a contract told


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that really was wrong, for long enough that somebody should hear of it."""

    kind: str
    about: str  # a stream, a rental; "": everything
    begins: float
    ends: float


def troubles(seen: Evidence, kind: str) -> tuple[Trouble, ...]:
    """Return every trouble of a kind."""
    return seen.remembered(f"troubles {kind}", _TROUBLES[kind])


def unseen(seen: Evidence, stream: str) -> Iterator[Span]:
    """Yield when viewers of a stream's slots lacked the picture, or the sound of it."""
    for slot in seen.slots:
        if slot.rpartition("/")[0] != stream:
            continue
        yield from seen.dark(slot)
        for rental in seen.rentals.get(slot, ()):
            yield from seen.mute(rental.instance_id)


def _spells(
    kind: str, about: str, spans: Iterable[Span], at_least_s: float = GROUP_WAIT_S
) -> Iterator[Trouble]:
    """Yield one trouble for what follows closely, where it lasted."""
    joined: list[list[float]] = []
    for begins, ends in sorted(span for span in spans if span[1] - span[0] > at_least_s):
        if joined and begins - joined[-1][1] <= _QUIET_S:
            joined[-1][1] = max(joined[-1][1], ends)
        else:
            joined.append([begins, ends])
    for begins, ends in joined:
        yield Trouble(kind=kind, about=about, begins=begins, ends=ends)


def _dark(seen: Evidence) -> tuple[Trouble, ...]:
    return tuple(t for name in seen.desired for t in _spells("dark", name, unseen(seen, name)))


def _person(seen: Evidence) -> tuple[Trouble, ...]:
    return tuple(t for name in seen.desired for t in _spells("person", name, waits_of(seen, name)))


def _struck(*words: str, for_s: float) -> Callable[[Evidence], tuple[Trouble, ...]]:
    """Return what reads from the hosts when one of these faults struck them: until their slot has another."""

    def found(seen: Evidence) -> tuple[Trouble, ...]:
        return tuple(
            Trouble(
                kind=entry.detail,
                about=seen.slot_of_instance(entry.instance_id, entry.at) or "",
                begins=entry.at,
                ends=min(entry.at + for_s, _end(seen, entry.instance_id)),
            )
            for entry in seen.ledger.hosts
            if entry.what == "struck" and entry.detail in words
        )

    return found


def _market(seen: Evidence) -> tuple[Trouble, ...]:
    """The list of rentals was refused, late, or a lie."""
    spans: list[Span] = list(seen.blind)
    since: float | None = None
    for request in seen.calls.get(LISTING, ()):
        is_bad = request.status != 200 or bool(request.note)
        if is_bad and since is None:
            since = request.at
        elif not is_bad and since is not None:
            spans.append((since, request.at))
            since = None
    if since is not None:
        spans.append((since, seen.ended_at))
    return tuple(_spells("market", "", spans))


def _account(seen: Evidence) -> tuple[Trouble, ...]:
    """No credit; it is told before it is used up, too."""
    return tuple(
        Trouble(kind="account", about="", begins=begins - _DAY_S, ends=ends)
        for begins, ends in seen.penniless
    )


def _fleet(seen: Evidence) -> tuple[Trouble, ...]:
    """More slots at once than a coincidence explains were not seen."""
    most = max(1, ceil(seen.bounds.mass_failure_ratio * len(seen.slots)))
    steps = sorted(
        (at, step)
        for slot in seen.slots
        for begins, ends in seen.dark(slot)
        for at, step in ((begins, 1), (ends, -1))
    )
    spans, count, since = [], 0, 0.0
    for at, step in steps:
        count += step
        if step > 0 and count == most + 1:
            since = at
        elif step < 0 and count == most:
            spans.append((since, at))
    return tuple(_spells("fleet", "", spans))


def _rentals(seen: Evidence) -> tuple[Trouble, ...]:
    """A rental that was asked to end and did not; one that nobody's slot holds."""
    stuck = (
        Trouble(kind="rentals", about="", begins=at, ends=_end(seen, instance_id))
        for instance_id, at in seen.condemned_at.items()
        if _end(seen, instance_id) - at > _STUCK_S or _was_hidden(seen, instance_id, at)
    )
    strays = (
        Trouble(
            kind="rentals", about="", begins=rental.created_at, ends=_end(seen, rental.instance_id)
        )
        for rental in seen.ledger.rentals.values()
        if seen.slot_of(rental.label) is None or seen.is_leftover(rental)
    )
    return (*stuck, *strays)


def _end(seen: Evidence, instance_id: int) -> float:
    rental = seen.ledger.rentals.get(instance_id)
    return seen.ended_at if rental is None or rental.ended_at is None else rental.ended_at


def _was_hidden(seen: Evidence, instance_id: int, at: float) -> bool:
    """Whether answers went on to show a rental that had ended, or showed nothing anybody could trust."""
    rental = seen.ledger.rentals.get(instance_id)
    return rental is not None and any(
        at - _QUIET_S <= bad_at <= at + _LATE_S for bad_at in seen.bad_listings
    )


def _ending(seen: Evidence) -> tuple[Trouble, ...]:
    return tuple(
        Trouble(
            kind="ending",
            about=(seen.slot_of(rental.label) or "").rpartition("/")[0],
            begins=rental.ends_at - _ENDING_S,
            ends=rental.ends_at,
        )
        for rental in seen.ours
        if rental.ends_at is not None
        and _end(seen, rental.instance_id) > rental.ends_at - _ENDING_S
    )


def _changed(*words: str) -> Callable[[Evidence], tuple[Trouble, ...]]:
    """Return what reads from the rentals when something was done to them by others."""

    def found(seen: Evidence) -> tuple[Trouble, ...]:
        return tuple(
            Trouble(
                kind=change.what,
                about=(seen.slot_of(rental.label) or "").rpartition("/")[0],
                begins=change.at,
                ends=min(change.at + _DAY_S, _end(seen, rental.instance_id)),
            )
            for rental in seen.ours
            for change in rental.changes
            if change.what in words
        )

    return found


def _paused(seen: Evidence) -> tuple[Trouble, ...]:
    return tuple(_spells("paused", "", seen.paused))


def _deploys(seen: Evidence) -> tuple[Trouble, ...]:
    """A bad deploy, until the next one of its stream."""
    found = []
    for number, each in enumerate(seen.deploys):
        later = (d.at for d in seen.deploys[number + 1 :] if d.stream == each.stream)
        if each.is_bad:
            ends = min(later, default=seen.ended_at)
            found.append(Trouble(kind="deploy", about=each.stream, begins=each.at, ends=ends))
    return tuple(found)


def _capped(seen: Evidence) -> tuple[Trouble, ...]:
    """A cap left no room for a host."""
    return tuple(t for name in seen.desired for t in _spells("capped", name, curbed(seen, name)))


def _costly(seen: Evidence) -> tuple[Trouble, ...]:
    """A stream cost so much in the dark that a person is to look."""
    return tuple(
        Trouble(kind="costly", about=trouble.about, begins=trouble.begins, ends=trouble.ends)
        for trouble in troubles(seen, "dark")
        if dark_dollars(seen, trouble.about, trouble.ends) >= seen.bounds.dark_dollars_max
    )


_TROUBLES: Mapping[str, Callable[[Evidence], tuple[Trouble, ...]]] = {
    "account": _account,
    "capped": _capped,
    "costly": _costly,
    "dark": _dark,
    "deploy": _deploys,
    "disk": _struck("disk_full", for_s=_DAY_S),
    "ending": _ending,
    "fleet": _fleet,
    "key": _struck("host_key_changed", for_s=7 * _DAY_S),
    "market": _market,
    "paused": _paused,
    "person": _person,
    "price": _changed("price raised"),
    "rentals": _rentals,
    "stutter": _struck("picture_stutters", for_s=_DAY_S),
}
