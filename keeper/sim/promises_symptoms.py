"""Checks of the promises about what workloads say of themselves, and what fresh hosts must show.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged. That no good
picture is lost to a symptom, but to a restart that was asked for ahead of time, promises_nerve.py checks
with all other remedies.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

from keeper.sim.bills import is_stopping
from keeper.sim.evidence import (
    COMMAND,
    COMMAND_ENDED,
    CREATE,
    LINKED,
    REBOOT,
    REMEDIES,
    SHOWN,
    Broken,
    Evidence,
    Span,
)
from keeper.sim.excuses import audible_until, down, tied_s
from keeper.sim.ledger import Rental
from keeper.sim.notices import FIRING, RESOLVED
from keeper.sim.promises_caps import least_told
from keeper.sim.promises_deploys import is_being_deployed, is_strange
from keeper.sim.symptoms import (
    PASSED,
    PERSON,
    Shown,
    asked_ahead,
    every_said,
    every_wait,
    shown_by,
)

_HOUR_S = 3600.0
_REPLACE, _REBOOT = "replace", "reboot"
_KNOWN_S = 60.0  # so soon what had begun before is over
_BEFORE_S = 1800.0  # what befell a host so long before may still be why something is done
_AGAIN_S = 300.0  # a keeper that was away, or blind, has seen everything again
_ON_AIR_S = 10.0
_AILS = "workload_ails"  # as a host that is struck by it writes it down
_RESTART = "restart.process.stop"  # the first command of one
_SLACK_S = 10.0
# A tick, the list that an end waits for, and the turn of its call.
_TICK_S = 120.0
_END, _RENTAL, _REBOOTS = "its end", "a rental", "a reboot"
# What is dearer than each rung.
_DEARER = {
    "restart_process": ("restart.workload.", _REBOOTS, _END, _RENTAL),
    "restart_workload": (_REBOOTS, _END, _RENTAL),
    "reboot": (_END, _RENTAL),
}
# What a host writes down that is no trouble of its own.
_ORDINARY = frozenset({COMMAND, COMMAND_ENDED, LINKED, SHOWN})
_ORDINARY_CHANGES = frozenset({"created", "running"})


# --- what needs a person ------------------------------------------------------------------------------


def what_needs_a_person_costs_nothing(seen: Evidence) -> Iterator[Broken]:
    """While a host has only such a trouble, nothing is restarted, rebooted, ended or rented for it."""
    for instance_id, code, since, until in _waiting_hosts(seen):
        for at, what in _acts_on(seen, instance_id, since, until):
            if _is_nothing_else(seen, instance_id, since, at):
                yield Broken(
                    invariant="I13",
                    at=at,
                    text=f"{what} for {instance_id}, whose trouble since {since:.0f} only a person"
                    f" could mend: {code}",
                )


def what_no_host_cures_costs_no_host(seen: Evidence) -> Iterator[Broken]:
    """Nothing dearer is done about a trouble than its workload says may be, while a host has only that."""
    for each in every_said(seen):
        dearer = _DEARER.get(each.dearest, ()) if each.remedy != PERSON else ()
        for at, what in _acts_on(seen, each.instance_id, each.since, each.until):
            is_dearer = any(what.startswith(word) for word in dearer)
            if is_dearer and _is_nothing_else(seen, each.instance_id, each.since, at):
                yield Broken(
                    invariant="I13",
                    at=at,
                    text=f"{what} for {each.instance_id}, whose trouble since {each.since:.0f}"
                    f" ({each.code}) was to be cured by {each.dearest} at most",
                )


def what_needs_a_person_is_told(seen: Evidence) -> Iterator[Broken]:
    """It is told within the bound, and once for as long as it holds."""
    if seen.messages is None:
        return
    for instance_id, code, since, until in _waiting_hosts(seen):
        stream = _stream_of(seen, instance_id)
        end = audible_until(seen, since, seen.bounds.told_s)
        if until > end and _is_nothing_else(seen, instance_id, since, end):
            spans = _told_spans(seen, f"KeeperNeedsPerson:{stream}:{code}")
            if not any(begins <= end and ends >= since for begins, ends in spans):
                yield Broken(
                    invariant="I19",
                    at=end,
                    text=f"{stream} has needed a person since {since:.0f} ({code}), and nobody was told",
                )
        for told in _told_again(seen, stream, code, since, until):
            if _is_nothing_else(seen, instance_id, since, told):
                yield Broken(
                    invariant="I19",
                    at=told,
                    text=f"{stream} needs a person ({code}): that was told anew, though it had never ended",
                )


def _waiting_hosts(seen: Evidence) -> Iterator[tuple[int, str, float, float]]:
    """Yield which hosts had what only a person mends, by their own word: since when, until when."""
    for each in every_said(seen):
        if each.remedy == PERSON:
            yield each.instance_id, each.code, each.since, each.until
    for rental in seen.ours:
        yield from _waits_to_be_shown(seen, rental)


def _waits_to_be_shown(seen: Evidence, rental: Rental) -> Iterator[tuple[int, str, float, float]]:
    """Yield when a fresh host had failed by what no host passes, until it is mended or looked at again."""
    stream = (seen.slot_of(rental.label) or "").rpartition("/")[0]
    waits = [each for each in seen.remembered("waited", every_wait) if each.stream == stream]
    showed = shown_by(seen, rental.instance_id)
    for number, each in enumerate(showed):
        if each.meaning != PERSON or (number and showed[number - 1].meaning == PERSON):
            continue
        wait = next((w for w in waits if w.since <= each.at <= w.until), None)
        if wait is not None:
            passed = (other.at for other in showed[number:] if other.meaning != PERSON)
            until = min((*passed, wait.until, seen.end_of_use(rental)))
            yield rental.instance_id, wait.code, each.at, until


def _acts_on(
    seen: Evidence, instance_id: int, since: float, until: float
) -> Iterator[tuple[float, str]]:
    """Yield what was done about a host, or rented for its slot, in a stretch of time."""
    slot = seen.slot_of_instance(instance_id, since)
    if slot not in seen.slots:
        return  # a spare is given back for reasons of its slots
    since += _KNOWN_S if _was_acted_on(seen, instance_id, since) else 0.0
    for entry in seen.deeds.get(instance_id, ()):
        is_remedy = entry.what == COMMAND and entry.detail.startswith(REMEDIES)
        if is_remedy and since <= entry.at <= until:
            yield entry.at, entry.detail
    for request in seen.calls.get(REBOOT, ()):
        if request.instance_id == instance_id and since <= request.at <= until:
            yield request.at, _REBOOTS
    for request in seen.calls.get(CREATE, ()):
        if seen.slot_of(request.label) == slot and since <= request.at <= until:
            yield request.at, _RENTAL
    at = seen.condemned_at.get(instance_id)
    if at is not None and since <= at <= until:
        yield at, _END


def _was_acted_on(seen: Evidence, instance_id: int, at: float) -> bool:
    """Whether something that repairs was under way on a host, or had just been."""
    return any(
        entry.what == COMMAND
        and entry.detail.startswith(REMEDIES)
        and at - _KNOWN_S <= entry.at <= at
        for entry in seen.deeds.get(instance_id, ())
    )


def _is_nothing_else(seen: Evidence, instance_id: int, since: float, at: float) -> bool:
    """Whether keeper could see a host, and nothing else befell it, from well before until then."""
    rental, began_at = seen.ledger.rentals[instance_id], since - _BEFORE_S
    slot = seen.slot_of_instance(instance_id, at)
    struck = [
        entry
        for entry in seen.deeds.get(instance_id, ())
        if began_at <= entry.at < at and entry.what in {"struck", "halted", "network lost"}
    ]
    is_itself = all(entry.detail == _AILS and abs(entry.at - since) < 1.0 for entry in struck)
    is_changed = any(
        began_at <= change.at <= at
        and change.what not in _ORDINARY_CHANGES
        and change.by != "account"  # that is keeper's own doing
        for change in rental.changes
    )
    is_away = any(
        begins - _KNOWN_S <= at and ends + _AGAIN_S >= since for begins, ends in seen.blind
    )
    is_away = is_away or any(since - _AGAIN_S <= killed <= at for killed in seen.killed_at)
    is_away = is_away or any(since - _AGAIN_S <= stepped <= at for stepped, _ in seen.clock_steps)
    is_wanted = seen.was_ordered(slot, at) or seen.expected_to_move(rental, at)
    is_wanted = is_wanted or is_stopping(seen, slot, at) or is_being_deployed(seen, instance_id, at)
    is_wanted = is_wanted or any(began_at <= each.at <= at for each in seen.deploys)
    is_deaf = is_strange(seen, instance_id)
    return is_itself and not (is_changed or is_away or is_wanted or is_deaf)


def _told_spans(seen: Evidence, key: str) -> list[tuple[float, float]]:
    """Return when an alert stood, by its messages."""
    found: list[tuple[float, float]] = []
    since: float | None = None
    for notice in seen.notices:
        if notice.key != key:
            continue
        if notice.kind == RESOLVED:
            found.append((notice.at if since is None else since, notice.at))
            since = None
        elif since is None:
            since = notice.at
    return found if since is None else [*found, (since, seen.ended_at)]


def _told_again(
    seen: Evidence, stream: str, code: str, since: float, until: float
) -> Iterator[float]:
    key = f"KeeperNeedsPerson:{stream}:{code}"
    told = [
        n.at for n in seen.notices if n.key == key and n.kind == FIRING and since <= n.at <= until
    ]
    yield from told[1:]


def _stream_of(seen: Evidence, instance_id: int) -> str:
    return (seen.slot_of_instance(instance_id) or "").rpartition("/")[0]


# --- restarts ahead of time ---------------------------------------------------------------------------


def planned_restarts_are_rare(seen: Evidence) -> Iterator[Broken]:
    """What a workload asks for while viewers watch is done once in a window, however often it asks."""
    apart_s = seen.bounds.climb_window_s
    for instance_id, entries in seen.deeds.items():
        acts = [e for e in entries if e.what == COMMAND and e.detail.startswith(REMEDIES)]
        for before, entry in pairwise(acts):
            at = entry.at
            if entry.detail != _RESTART or not asked_ahead(seen, instance_id, at):
                continue
            is_lit = any(
                begins <= at - _ON_AIR_S and ends >= at for begins, ends in seen.on_air(instance_id)
            )
            stepped_s = max(0.0, seen.clock_ahead_s(at) - seen.clock_ahead_s(before.at))
            is_soon = at - before.at + stepped_s < apart_s - _SLACK_S
            if (
                is_lit
                and is_soon
                and not seen.was_ordered(seen.slot_of_instance(instance_id, at), at)
            ):
                yield Broken(
                    invariant="I13",
                    at=at,
                    text=f"{instance_id}, whose viewers saw a good picture, was restarted ahead of time"
                    f" {at - before.at:.0f} s after {before.detail}",
                )


# --- auditions ----------------------------------------------------------------------------------------


def auditions_keep_their_price(seen: Evidence) -> Iterator[Broken]:
    """A fresh host that fails and may come right costs no more time and money than it may."""
    for rental in seen.ours:
        failed = _failed_last(shown_by(seen, rental.instance_id))
        slot = seen.slot_of_instance(rental.instance_id, rental.created_at)
        if failed is None or slot is None:
            continue
        due_at = _given_up_by(seen, rental, failed)
        end = seen.end_of_use(rental)
        if end <= due_at + _TICK_S:
            continue
        free_s = end - due_at - tied_s(seen, slot, due_at, end, _unable(seen))
        if free_s > _TICK_S:
            yield Broken(
                invariant="I4",
                at=end,
                text=f"{rental.instance_id} failed its audition ({failed[-1].meaning}) from"
                f" {failed[0].at:.0f} on, and was kept for {end - due_at:.0f} s longer than it may cost",
            )


def _unable(seen: Evidence) -> Iterator[Span]:
    """Yield when no host could be given up: no true list, no network, or no process of keeper's."""
    clean = seen.clean_listings
    for at in seen.bad_listings:
        following = bisect_right(clean, at)
        yield at, clean[following] if following < len(clean) else seen.ended_at
    yield from ((begins, ends + _AGAIN_S) for begins, ends in seen.blind)
    yield from down(seen)


def _failed_last(showed: tuple[Shown, ...]) -> tuple[Shown, ...] | None:
    """Return the failures at the end of what a host showed; None: it passed, or a person is asked."""
    failed: list[Shown] = []
    for each in showed:
        failed = [] if each.meaning in {PASSED, PERSON} else [*failed, each]
    return tuple(failed) or None


def _given_up_by(seen: Evidence, rental: Rental, failed: tuple[Shown, ...]) -> float:
    """Return when a host that fails may cost no more, or will come to nothing."""
    first, bounds = failed[0].at, seen.bounds
    price = max(rental.dollars_per_hour, least_told(rental))
    paid_at = rental.created_at + bounds.audition_max_dollars / price * _HOUR_S
    hopeless = [each.at for each in failed if each.meaning == _REPLACE]
    hopeless += [each.at for each in failed if each.meaning == _REBOOT][1:]
    return max(first, min((first + bounds.audition_max_s, paid_at, *hopeless)))
