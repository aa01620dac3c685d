"""Checks of the promises about streams: one remedy at a time, on good machines, on air before long.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from keeper.sim.evidence import (
    COMMAND,
    COMMAND_ENDED,
    CREATE,
    REBOOT,
    REMEDIES,
    SEARCH,
    Broken,
    Evidence,
    between,
)
from keeper.sim.excuses import covered_s, tied_s, untied_until
from keeper.sim.ledger import Rental

_SEARCHES_APART_S = 690.0  # the longest back-off of a search that finds nothing
# What no remedy on the machine cures; the host's own records name it.
_INCURABLE = frozenset({"gpu_lost", "display_lost", "deploy_fails"})


def one_remedy_at_a_time(seen: Evidence) -> Iterator[Broken]:
    """Two commands that repair never run at once for one slot, nor a reboot or a create under one."""
    running: dict[str, dict[tuple[int, str], float]] = {}
    for at, _, slot, instance_id, what in sorted(_repairs(seen)):
        mine = running.setdefault(slot, {})
        if what.startswith("-"):
            mine.pop((instance_id, what[1:]), None)
            continue
        for other, since in mine.items():
            yield Broken(
                invariant="I17",
                at=at,
                text=f"{what[1:]} on {instance_id} began while {other[1]} on {other[0]} was running"
                f" since {since:.3f}",
            )
        if what.startswith("+"):
            mine[instance_id, what[1:]] = at


def _repairs(seen: Evidence) -> Iterator[tuple[float, int, str, int, str]]:
    """Yield when what began (+), ended (-) or took no time (!), for which slot.

    Of one moment ends come first, but for the end of what was cut off in the instant in which it began.
    """
    began: dict[tuple[int, str], float] = {}
    for entry in seen.ledger.hosts:
        slot = seen.slot_of_instance(entry.instance_id)
        if slot is None or not entry.detail.startswith(REMEDIES):
            continue
        key = (entry.instance_id, entry.detail)
        if entry.what == COMMAND:
            began[key] = entry.at
            yield entry.at, 1, slot, entry.instance_id, f"+{entry.detail}"
        elif entry.what == COMMAND_ENDED:
            place = 3 if began.get(key) == entry.at else 0
            yield entry.at, place, slot, entry.instance_id, f"-{entry.detail}"
    for call, what in ((REBOOT, "!reboot"), (CREATE, "!create")):
        for request in seen.calls.get(call, ()):
            slot = (
                seen.slot_of(request.label)
                if call == CREATE
                else seen.slot_of_instance(request.instance_id)
            )
            if slot is not None:
                yield request.at, 2, slot, request.instance_id or 0, what


def bad_machines_are_avoided(seen: Evidence) -> Iterator[Broken]:
    """A machine that was given up for what nothing cures is not rented again for a while."""
    window_s = seen.bounds.quarantine_s
    failed = [(rental, seen.condemned_at[rental.instance_id]) for rental in _failed(seen)]
    for rental in seen.ours:
        for other, given_up_at in failed:
            if (
                other.machine_id == rental.machine_id
                and given_up_at < rental.created_at < given_up_at + window_s
            ):
                text = (
                    f"{seen.slot_of(rental.label)} rented machine {rental.machine_id}"
                    f" {rental.created_at - given_up_at:.0f} s after {other.instance_id} on it was"
                    " given up"
                )
                yield Broken(invariant="I16", at=rental.created_at, text=text)
                if between(seen.killed_at, given_up_at, rental.created_at):
                    text = f"{text}, across a kill"
                    yield Broken(invariant="I6", at=rental.created_at, text=text)


def _failed(seen: Evidence) -> Iterator[Rental]:
    """Yield what keeper ended because the machine itself had failed, by the host's own records."""
    for rental in seen.ours:
        at = seen.condemned_at.get(rental.instance_id)
        struck = [
            entry.at
            for entry in seen.deeds.get(rental.instance_id, ())
            if entry.what == "struck" and entry.detail in _INCURABLE
        ]
        if at is None or not struck or struck[-1] > at:
            continue
        # Others, or the price, may be why it was given up.
        if any(c.at <= at and c.what not in _LIVES for c in rental.changes):
            continue
        lit = any(start <= at <= end for start, end in seen.on_air(rental.instance_id))
        if not lit and not tied_s(seen, "", struck[-1], at):
            yield rental


_LIVES = ("created", "running", "rebooting", "readdressed", "destroyed")


def on_air_after_the_calm(seen: Evidence) -> Iterator[Broken]:
    """Once all is calm, every declared stream is on air within the bound, and stays.

    A slot that has used up its replacements gets the next one when its window allows.
    """
    for slot in seen.slots:
        since = seen.calm_at
        deadline = untied_until(seen, slot, since, seen.bounds.converge_s)
        if seen.ended_at <= deadline:
            continue
        spans = seen.slot_on_air(slot)
        if not any(start <= deadline and end >= seen.ended_at for start, end in spans):
            last = f"last on air at {spans[-1][1]:.0f}" if spans else "never on air"
            yield Broken(
                invariant="I18",
                at=deadline,
                text=f"{slot} is not on air from {deadline - since:.0f} s after the calm to"
                f" the end; {last}",
            )


def darkness_ends(seen: Evidence) -> Iterator[Broken]:
    """Whatever befalls it, a stream comes back within the bound, not counting when hands were tied."""
    for slot in seen.slots:
        for lost_at, again_at in seen.dark(slot):
            tied = tied_s(seen, slot, lost_at, again_at)
            if again_at - lost_at - tied <= seen.bounds.dark_s:
                continue
            troubles = (*_troubles(seen, slot), *_searches(seen, slot, lost_at, again_at))
            troubled = covered_s(troubles, lost_at, again_at)
            if again_at - lost_at - tied - troubled > seen.bounds.dark_s:
                yield Broken(
                    invariant="I18",
                    at=again_at,
                    text=f"{slot} was dark for {again_at - lost_at:.0f} s from {lost_at:.0f} on;"
                    f" for {tied:.0f} s keeper's hands were tied",
                )


def _searches(
    seen: Evidence, slot: str, since: float, until: float
) -> Iterator[tuple[float, float]]:
    """Yield when the market was searched again and again and nothing was asked for: none suits."""
    searched = seen.clean_between(since, until, SEARCH)
    asked = tuple(c.at for c in seen.creates if seen.slot_of(c.label) == slot)
    for earlier, later in pairwise(searched):
        if later - earlier <= _SEARCHES_APART_S and not between(asked, earlier, later):
            yield earlier, later


def _troubles(seen: Evidence, slot: str) -> Iterator[tuple[float, float]]:
    """Yield the lives of hosts that came to nothing: each costs its boot, and is tried once."""
    for rental in seen.rentals.get(slot, ()):
        if not seen.on_air(rental.instance_id):
            end = min(seen.end_of_use(rental), rental.created_at + seen.bounds.boot_s)
            yield rental.created_at, end
