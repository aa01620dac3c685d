"""Pursues rentals that must end, until two listings and a look at the id agree that they are gone.

A condemned rental bills until then, whatever the answer to its destroy was (I7, I20).
"""

from __future__ import annotations

from dataclasses import replace

from keeper.core.decisions import Destroy
from keeper.core.draft import Draft
from keeper.core.events import InstanceDestroying, InstanceEnded
from keeper.core.model import Condemned, Intent, IntentId, IntentKind
from keeper.core.moments import elapsed_s, is_due, later

_SECONDS_PER_HOUR = 3600.0


def end_condemned(draft: Draft) -> None:
    """Forget what is confirmed gone, and ask again for the end of what is not (I7, I20)."""
    for instance_id in sorted(draft.condemned):
        each = draft.condemned[instance_id]
        if each.condemned_at > draft.now:
            each = draft.condemned[instance_id] = replace(each, condemned_at=draft.now)
        _ask_for_listings(draft, each)
        if _is_confirmed(draft, each):
            del draft.condemned[instance_id]
            _tell_ended(draft, each)
            continue
        if each.absent_since is not None:
            if _absence_s(each) >= draft.fleet.absence_apart_s:
                draft.show_ids.add(instance_id)
            if each.tries > 0:
                continue  # nothing to destroy as far as anyone can see; only to be confirmed
        _destroy_when_due(draft, each)


def _ask_for_listings(draft: Draft, each: Condemned) -> None:
    """Ask for what may confirm an end: any listing without the rental, and one apart from it."""
    if each.absent_since is not None:
        draft.count_listings(later(each.absent_since, draft.fleet.absence_apart_s))
    elif each.instance_id in draft.listed:
        draft.is_curious = True
    else:
        draft.count_listings()  # the latest one was asked for too early to say anything


def _absence_s(each: Condemned) -> float:
    if each.absent_since is None or each.absent_listed_at is None:
        return 0.0
    return elapsed_s(each.absent_since, each.absent_listed_at)


def _is_confirmed(draft: Draft, each: Condemned) -> bool:
    return (
        _absence_s(each) >= draft.fleet.absence_apart_s
        and each.by_id_absent_at is not None
        and each.absent_since is not None
        and each.tries > 0
    )


def _tell_ended(draft: Draft, each: Condemned) -> None:
    # The first listing without it is the best estimate of when billing stopped.
    ended_at = each.absent_since or draft.now
    since = each.rented_at or each.condemned_at
    if each.spent_dollars is not None:
        since = each.condemned_at
    dollars = each.dollars_per_hour * elapsed_s(since, ended_at) / _SECONDS_PER_HOUR
    draft.tell(
        InstanceEnded(
            slot=each.slot,
            instance_id=each.instance_id,
            label=each.label,
            duration_s=elapsed_s(each.condemned_at, draft.now),
            dollars=(each.spent_dollars or 0.0) + dollars,
            absent_since=each.absent_since,
            absent_again_at=each.absent_listed_at,
            by_id_absent_at=each.by_id_absent_at,
        )
    )


def _destroy_when_due(draft: Draft, each: Condemned) -> None:
    world, fleet = draft.world, draft.fleet
    if each.instance_id in world.in_flight_instances:
        return
    if not is_due(each.next_try_at, draft.now, fleet.destroy_retry_s):
        draft.wake(each.next_try_at)
        return
    if world.is_stopping or not world.is_leader:
        return
    tries = each.tries + 1
    # Should the outcome be lost, the next try comes by itself.
    draft.condemned[each.instance_id] = replace(
        each, tries=tries, next_try_at=later(draft.now, fleet.destroy_retry_s)
    )
    intent_id = IntentId(f"destroy:{each.instance_id}@{draft.now:%Y%m%dT%H%M%S}:{tries}")
    draft.opened.append(
        Intent(
            intent_id=intent_id,
            kind=IntentKind.DESTROY,
            slot=each.slot,
            label=each.label,
            instance_id=each.instance_id,
            opened_at=draft.now,
            reason=each.reason,
        )
    )
    draft.tell(
        InstanceDestroying(
            slot=each.slot,
            instance_id=each.instance_id,
            label=each.label,
            reason=each.reason,
            attempt=tries,
        )
    )
    draft.decisions.append(
        Destroy(
            slot=each.slot,
            reason=each.reason,
            intent_id=intent_id,
            instance_id=each.instance_id,
            label=each.label,
        )
    )
