"""Checks of the promises about streams: one remedy at a time, on good machines, on air before long.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from keeper.sim.bills import is_stopping
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
from keeper.sim.excuses import tied_s, untied_until, waits_for_a_person
from keeper.sim.ledger import Rental
from keeper.sim.promises_caps import least_told
from keeper.sim.promises_deploys import ended_with_a_bad_deploy, hopeless, is_of_a_deploy
from keeper.sim.promises_ends import lists_with
from keeper.sim.promises_handover import has_given_way, is_of_a_swap
from keeper.sim.stalls import open_to
from keeper.sim.symptoms import PASSED, PERSON, asked_ahead, shown_by, unheard_in

_SAME_S = 1.0
_RESTART_S = 60.0
_SAME_DOLLARS = 0.001
_SEARCHES_APART_S = 780.0  # the longest back-off of a search that finds nothing, and a quarter more
_OWNER_FAILED = 2  # machines of one owner, and all of them are avoided


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
        slot = seen.slot_of_instance(entry.instance_id, entry.at)
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
                else seen.slot_of_instance(request.instance_id, request.at)
            )
            if slot is not None:
                yield request.at, 2, slot, request.instance_id or 0, what


def bad_machines_are_avoided(seen: Evidence) -> Iterator[Broken]:
    """A machine that failed is not rented again for a while, nor one of an owner with two such."""
    failed = [(rental, seen.condemned_at[rental.instance_id]) for rental in _failed(seen)]

    def is_fresh(given_up_at: float, at: float) -> bool:
        # keeper counts an hour by which its clock was set on: the box may have slept
        stepped_s = seen.clock_ahead_s(at) - seen.clock_ahead_s(given_up_at)
        return 0.0 < at - given_up_at < seen.bounds.quarantine_s - max(0.0, stepped_s)

    for rental in seen.ours:
        for other, given_up_at in failed:
            if other.machine_id == rental.machine_id and is_fresh(given_up_at, rental.created_at):
                text = (
                    f"{seen.slot_of(rental.label)} rented machine {rental.machine_id}"
                    f" {rental.created_at - given_up_at:.0f} s after {other.instance_id} on it was"
                    " given up"
                )
                yield Broken(invariant="I16", at=rental.created_at, text=text)
                if between(seen.killed_at, given_up_at, rental.created_at):
                    text = f"{text}, across a kill"
                    yield Broken(invariant="I6", at=rental.created_at, text=text)
        at = rental.created_at
        bad = {
            other.machine_id
            for other, given_up_at in failed
            if other.host_id == rental.host_id and is_fresh(given_up_at, at)
        }
        if len(bad) >= _OWNER_FAILED and rental.machine_id not in bad:
            text = f"rented machine {rental.machine_id} of owner {rental.host_id}"
            text = f"{seen.slot_of(rental.label)} {text}, of whom {sorted(bad)} had just failed"
            yield Broken(invariant="I16", at=at, text=text)


def _failed(seen: Evidence) -> Iterator[Rental]:
    """Yield what keeper ended dark although nobody had taken it away, and its price was as agreed."""
    for rental in seen.ours:
        at = seen.condemned_at.get(rental.instance_id)
        if at is None or seen.was_ordered(seen.slot_of(rental.label), at):
            continue
        is_lit = any(start <= at <= end for start, end in seen.on_air(rental.instance_id))
        if not is_lit and not _is_blameless(seen, rental, at):
            yield rental


def _is_blameless(seen: Evidence, rental: Rental, at: float) -> bool:
    """Whether another reason than its machine may have ended a rental, as far as others know."""
    was_taken = any(c.at <= at and c.what in _NOT_ITS_FAULT for c in rental.changes)
    was_struck = any(
        entry.what == "struck" and entry.at <= at
        for entry in seen.deeds.get(rental.instance_id, ())
    )
    showed = [each for each in shown_by(seen, rental.instance_id) if each.at <= at]
    has_failed = bool(showed) and showed[-1].meaning not in {PASSED, PERSON}
    if has_failed and not showed[-1].is_machine_at_fault:
        return True  # another container on the same machine may pass
    # So soon it may be a stray that came to light late; but its price, once told, was its own doing.
    is_young = (
        at - rental.created_at < _YOUNG_S
        and not (was_struck or has_failed)
        and not _has_lied(seen, rental, at)
    )
    is_stray = any(c.label == rental.label and seen.is_unclear(c) for c in seen.creates)
    # A spare is given back for its age or for money, and may never have been meant to be lit.
    is_spare = seen.slot_of_instance(rental.instance_id, at) not in seen.slots
    return (
        was_taken
        or is_spare
        or is_young
        or has_given_way(seen, rental, at)
        or is_stray
        or seen.expected_to_move(rental, at)
        or seen.is_leftover(rental)
        or ended_with_a_bad_deploy(seen, rental, at)
        or is_stopping(seen, seen.slot_of(rental.label), at)
    )


# Others stopped it, or the account ran dry; or it costs more than it did.
_NOT_ITS_FAULT = ("stopped", "price raised", "bid")
_YOUNG_S = 200.0


def _has_lied(seen: Evidence, rental: Rental, at: float) -> bool:
    """Whether lists that lie apart had told until then that a contract costs much more than its offer."""
    told = least_told(rental)
    limit = told * seen.bounds.drift_ratio + _SAME_DOLLARS
    lists = lists_with(seen, rental, rental.created_at, at)
    is_known = bool(lists) and lists[-1] - lists[0] >= seen.bounds.absence_apart_s
    return told > 0.0 and rental.dollars_per_hour > limit and is_known


def on_air_after_the_calm(seen: Evidence) -> Iterator[Broken]:
    """Once all is calm, every declared stream is on air within the bound, and stays.

    A slot that has used up its replacements gets the next one when its window allows. What is lost while
    hands are tied, as to a cap that is used up, has the bound afresh from when they are free. While
    the market is searched, and nothing suits by its own books, there is nothing to put on air.
    """
    for slot in seen.slots:
        since, bound_s = seen.calm_at, seen.bounds.converge_s
        beside = (
            *_searches(seen, slot, since, seen.ended_at),
            *waits_for_a_person(seen, slot),
            *unheard_in(seen, slot),
        )
        deadline = untied_until(seen, slot, since, bound_s, beside)
        if seen.ended_at <= deadline:
            continue
        spans = seen.slot_on_air(slot)
        dark_s = 0.0
        for lost_at, again_at in seen.dark(slot):
            of_its_own = (is_of_a_deploy, _is_asked_for, is_of_a_swap)
            if any(each(seen, slot, lost_at, again_at) for each in of_its_own):
                continue
            begins = max(lost_at, deadline)
            if tied_s(seen, slot, lost_at, lost_at + _SAME_S):
                begins = max(begins, untied_until(seen, slot, lost_at, bound_s))
            if again_at > begins:
                dark_s += again_at - begins - tied_s(seen, slot, begins, again_at, beside)
        if dark_s > _SAME_S:
            last = f"last on air at {spans[-1][1]:.0f}" if spans else "never on air"
            yield Broken(
                invariant="I18",
                at=deadline,
                text=f"{slot} is not on air from {deadline - since:.0f} s after the calm to"
                f" the end; {last}",
            )


def _is_asked_for(seen: Evidence, slot: str, lost_at: float, again_at: float) -> bool:
    """Whether a short darkness is that of a restart for which the workload has asked ahead of time."""
    is_short = again_at - lost_at <= _RESTART_S
    hosts = seen.rentals.get(slot, ())
    return is_short and any(asked_ahead(seen, host.instance_id, lost_at) for host in hosts)


def darkness_ends(seen: Evidence) -> Iterator[Broken]:
    """Whatever befalls it, a stream comes back within the bound, not counting when hands were tied."""
    for slot in seen.slots:
        for lost_at, again_at in seen.dark(slot):
            waits = (*waits_for_a_person(seen, slot), *unheard_in(seen, slot))
            tied = tied_s(seen, slot, lost_at, again_at, waits)
            if again_at - lost_at - tied <= seen.bounds.dark_s:
                continue
            troubles = (
                *_troubles(seen, slot),
                *_searches(seen, slot, lost_at, again_at),
                *hopeless(seen, slot.rpartition("/")[0]),
            )
            excused_s = tied_s(seen, slot, lost_at, again_at, (*waits, *troubles))
            if again_at - lost_at - excused_s > seen.bounds.dark_s:
                yield Broken(
                    invariant="I18",
                    at=again_at,
                    text=f"{slot} was dark for {again_at - lost_at:.0f} s from {lost_at:.0f} on;"
                    f" for {tied:.0f} s keeper's hands were tied",
                )


def _searches(
    seen: Evidence, slot: str, since: float, until: float
) -> Iterator[tuple[float, float]]:
    """Yield when the market was searched again and again, and by its own books nothing suited."""
    stream = slot.rpartition("/")[0]
    searched = seen.clean_between(since, until, SEARCH)
    for earlier, later in pairwise([*searched, until]):
        if later - earlier <= _SEARCHES_APART_S and not any(open_to(seen, stream, earlier + 1.0)):
            yield earlier, later


def _troubles(seen: Evidence, slot: str) -> Iterator[tuple[float, float]]:
    """Yield the lives of hosts that came to nothing: each costs its boot, and is tried once."""
    for rental in seen.rentals.get(slot, ()):
        if not seen.on_air(rental.instance_id):
            end = min(seen.end_of_use(rental), rental.created_at + seen.bounds.boot_s)
            yield rental.created_at, end
