"""When too many are sick at once, or several alike: who is, since when, and whose turn it is after all.

Part of the fifth step. What is done about it, and what is not, is for fuses.py.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil

from keeper.core import suspects
from keeper.core.conditions import condition_of, status_of
from keeper.core.credit import was_starved
from keeper.core.draft import Draft
from keeper.core.model import ConditionKind, SlotId, SlotRecord, Status
from keeper.core.moments import later


def sick_max(draft: Draft) -> int:
    """Return how many slots may be sick before the observer is suspected."""
    # Rounded first: 0.2 x 15 is a little more than 3 in binary, and must not become 4.
    return max(1, ceil(round(draft.fleet.mass_failure_ratio * len(draft.slots), 9)))


def sick_slots(draft: Draft) -> list[SlotId]:
    """Return the slots whose host was good and is not; an empty account is no sickness of theirs."""
    return [
        slot
        for slot in draft.slots
        if (record := draft.records[slot]).ever_on_air
        and _is_sick(record)
        and not was_starved(draft.world.account, record.tenure)
    ]


def _is_sick(record: SlotRecord) -> bool:
    """Whether a host that was good has stopped being so, by evidence.

    A slot whose bad host was given up already is not counted: it is under repair, and must not stop
    the repair of another.
    """
    tenure = record.tenure
    if tenure is None or tenure.first_live_at is None or tenure.outbid_since is not None:
        return False  # a market on which others bid more is not sick
    streaming = status_of(tenure, ConditionKind.STREAMING)
    if streaming is not Status.UNKNOWN:
        return streaming is Status.FALSE
    return (
        tenure.dead_since is not None
        or tenure.missing_since is not None
        or status_of(tenure, ConditionKind.REACHABLE) is Status.FALSE
        or record.dark_since is not None
    )


def mass_trial_at(draft: Draft, slot: SlotId) -> datetime | None:
    """Return when this slot may be treated in spite of a mass failure; None: not now.

    One slot at a time, once too many have been sick for long: the one that is between two hosts
    already, else the one that is sick longest. Its outcome tells whether the cause is a common one.
    """
    sick = sorted((_sick_since(draft.records[each]), each) for each in sick_slots(draft))
    mending = [each for each in draft.slots if _is_between_hosts(draft.records[each])]
    if not sick or slot != (mending[0] if mending else sick[0][1]):
        return None
    began_at = min(sick[min(sick_max(draft), len(sick) - 1)][0], draft.now)
    return later(began_at, draft.fleet.mass_failure_trial_s)


def find_bursts(draft: Draft, sick: list[SlotId]) -> bool:
    """Find the sick slots whose fault others had within minutes, those given up since included."""
    draft.bursts = {slot: found for slot in sick if (found := suspects.burst_of(draft, slot))}
    if draft.bursts:
        together = {each.label: each for found in draft.bursts.values() for each in found}
        draft.alike = suspects.said_of(draft, tuple(together.values()))
    return bool(draft.bursts)


def burst_trial_at(draft: Draft, slot: SlotId) -> datetime | None:
    """Return when a slot may be treated in spite of a suspected common cause; None: not now.

    After the same while as in a mass failure. Of those that share the fault one at a time; others
    have another one.
    """
    began_at = max(found[1].at for found in draft.bursts.values())
    trial_at = later(min(began_at, draft.now), draft.fleet.mass_failure_trial_s)
    labels = {each.label for found in draft.bursts.values() for each in found}
    alike = {s for s, r in draft.records.items() if any(f.label in labels for f in r.failures)}
    if slot not in alike:
        return trial_at
    mending = sorted(each for each in alike if _is_between_hosts(draft.records[each]))
    eldest = min(draft.bursts, key=lambda each: (_sick_since(draft.records[each]), each))
    return trial_at if slot == (mending[0] if mending else eldest) else None


def _is_between_hosts(record: SlotRecord) -> bool:
    """Whether a slot that was on air has given up its host and has no good one yet."""
    tenure = record.tenure
    is_unproven = tenure is None or tenure.first_live_at is None
    return record.ever_on_air and (is_unproven or record.incoming is not None)


def _sick_since(record: SlotRecord) -> datetime:
    tenure = record.tenure
    assert tenure is not None, "only a slot with a tenure is called sick"
    reachable = condition_of(tenure, ConditionKind.REACHABLE)
    known = (
        record.dark_since,
        tenure.dead_since,
        tenure.missing_since,
        reachable.since if reachable is not None else None,
    )
    return next(moment for moment in (*known, tenure.requested_at) if moment is not None)
