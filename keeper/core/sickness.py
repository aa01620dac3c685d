"""When too many are sick at once, or several alike: who is, since when, and whose turn it is after all.

Part of the fifth step. What is done about it, and what is not, is for fuses.py.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil

from keeper.core import suspects
from keeper.core.conditions import condition_of, status_of, symptom_of
from keeper.core.credit import was_starved
from keeper.core.draft import Draft
from keeper.core.model import (
    ConditionKind,
    Meaning,
    Mode,
    Remedy,
    SlotId,
    SlotRecord,
    Status,
    Tenure,
    stream_of,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, strictest


def sick_max(draft: Draft) -> int:
    """Return how many slots may be sick before the observer is suspected."""
    # Rounded first: 0.07 x 100 is a little more than 7 in binary, and must not become 8.
    return max(1, ceil(round(draft.fleet.mass_failure_ratio * len(draft.slots), 9)))


def sick_slots(draft: Draft) -> list[SlotId]:
    """Return the slots whose host was good and is not; an empty account is no sickness of theirs."""
    return [
        slot
        for slot in draft.slots
        if slot not in draft.undisturbed
        and (record := draft.records[slot]).ever_on_air
        and _is_sick(record)
        and not was_starved(draft.world.account, record.tenure)
    ]


def unseen_slots(draft: Draft) -> list[SlotId]:
    """Return the slots that count with the sick ones because too many were: nobody knows of their host.

    Not knowing begins no mass failure, and ends none (I14): it takes a picture. A host that was down
    and is coming up again was no longer called sick, and another one was given up at once.
    """
    if Reason.MASS_FAILURE not in draft.world.fuses_known:
        return []
    return [
        slot
        for slot in draft.slots
        if slot not in draft.undisturbed
        and (record := draft.records[slot]).ever_on_air
        and _is_unseen(record)
    ]


def _is_sick(record: SlotRecord) -> bool:
    """Whether a host that was good has stopped being so, by evidence.

    A slot whose bad host was given up already is not counted: it is under repair, and must not stop
    the repair of another.
    """
    tenure = record.tenure
    if tenure is None or not _was_good(tenure):
        return False
    streaming = status_of(tenure, ConditionKind.STREAMING)
    if streaming is not Status.UNKNOWN:
        return streaming is Status.FALSE
    return (
        tenure.dead_since is not None
        or tenure.missing_since is not None
        or status_of(tenure, ConditionKind.REACHABLE) is Status.FALSE
        or record.dark_since is not None
    )


def _is_unseen(record: SlotRecord) -> bool:
    """Whether there is no evidence of a host that was good, for its picture or against it."""
    tenure = record.tenure
    if tenure is None or not _was_good(tenure) or _is_sick(record):
        return False
    return status_of(tenure, ConditionKind.STREAMING) is Status.UNKNOWN


def _was_good(tenure: Tenure) -> bool:
    """Whether a host has served; a market on which others bid more is not sick."""
    return tenure.first_live_at is not None and tenure.outbid_since is None


def mass_trial_at(draft: Draft, slot: SlotId) -> datetime | None:
    """Return when this slot may be treated in spite of a mass failure; None: not now.

    One slot at a time, once too many have been sick for long: the one that is between two hosts
    already, else the one that is sick longest. Its outcome tells whether the cause is a common one.
    One for which nothing may be done has no outcome, and comes last: after those that are not sick
    and wait for another reason, or a stream that is only watched would hold them up for days. Nor is
    there much to be done for one of which nobody knows.
    """
    sick = sorted((_sick_since(draft, each), each) for each in sick_slots(draft))
    unseen = sorted((_sick_since(draft, each), each) for each in unseen_slots(draft))
    since = sorted(at for at, _ in (*sick, *unseen))
    if not since:
        return None
    mending = [each for each in draft.slots if _is_mending(draft, each)]
    in_turn = (*(each for _, each in sick), *_waiting(draft), *(each for _, each in unseen))
    tried = mending or sorted(in_turn, key=lambda each: _is_tied(draft, each))
    if slot != tried[0] and not waits_for_money(draft.records.get(slot)):
        return None
    began_at = min(since[min(sick_max(draft), len(since) - 1)], draft.now)
    return later(began_at, draft.fleet.mass_failure_trial_s)


def _waiting(draft: Draft) -> list[SlotId]:
    """Return the slots without a picture that are not sick: outbid ones, then what was never on air."""
    dark = [slot for slot in draft.slots if slot not in draft.undisturbed]
    outbid = [slot for slot in dark if _is_outbid(draft.records[slot])]
    return [*outbid, *(slot for slot in dark if _is_coming(draft.records[slot]))]


def _is_outbid(record: SlotRecord) -> bool:
    return record.tenure is not None and record.tenure.outbid_since is not None


def _is_coming(record: SlotRecord) -> bool:
    """Whether a slot is on its way to its first picture, and something on the market suits it."""
    is_dark = record.tenure is None or record.tenure.first_live_at is None
    return is_dark and not record.ever_on_air and not record.offer_misses


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
    mending = sorted(each for each in alike if _is_mending(draft, each))
    eldest = min(
        draft.bursts,
        key=lambda each: (_is_tied(draft, each), _sick_since(draft, each), each),
    )
    is_next = slot == (mending[0] if mending else eldest)
    return trial_at if is_next or waits_for_money(draft.records.get(slot)) else None


def _is_mending(draft: Draft, slot: SlotId) -> bool:
    """Whether a slot gets another host, so that all others wait for what comes of it."""
    record = draft.records[slot]
    is_waiting = record.tenure is None and _is_tied(draft, slot)
    is_waiting = is_waiting or needs_person(record)
    return _is_between_hosts(record) and not is_waiting and not waits_for_money(record)


def needs_person(record: SlotRecord) -> bool:
    """Say whether nothing that keeper can do would help: a slot waits for a person, and has no outcome.

    By what its host says, or because all that may be tried against it was, as decided last.
    """
    if record.last_reason is Reason.NEEDS_PERSON:
        return True
    tenure = record.tenure
    symptom = symptom_of(tenure)
    if symptom is not None:
        return symptom.remedy is Remedy.PERSON
    audition = None if tenure is None or tenure.deployed_at is not None else tenure.audition
    return audition is not None and audition.meaning is Meaning.PERSON


def waits_for_money(record: SlotRecord | None) -> bool:
    """Whether a slot would rent but for a limit, maybe for days: it neither waits nor is waited for.

    None: what is asked about is a rental of no slot of ours.
    """
    return (
        record is not None
        and record.tenure is None
        and record.last_reason in {Reason.BUDGET, Reason.DARK_SPEND}
    )


def _is_tied(draft: Draft, slot: SlotId) -> bool:
    """Whether a person, a calendar, a bug or its own allowance keeps a slot from being treated."""
    world, now = draft.world, draft.now
    stream, record = draft.slots.get(slot), draft.records[slot]
    if slot in world.held_slots or (stream is not None and stream.mode is not Mode.ACT):
        return True
    pause = world.slot_pauses.get(slot)
    if pause is not None and (pause.until is None or pause.until > now):
        return True
    window = strictest(world.windows, stream_of(slot), now)
    if window is not None and window.allow is not Allowance.REPLACE:
        return True
    if record.tenure is not None and _is_left_to_others(draft, slot, record.tenure):
        return True
    if needs_person(record):
        return True
    policy = draft.policy(slot)
    used = [at for at in record.replaced_at if elapsed_s(at, now) < policy.replacements_window_s]
    # The host that was given up last was counted then; the rental that follows it is still owed.
    return len(used) - (record.tenure is None) >= policy.replacements_max


def _is_left_to_others(draft: Draft, slot: SlotId, tenure: Tenure) -> bool:
    """Whether somebody is at work on a host, whom keeper leaves alone; its own restart stops it, too."""
    running = condition_of(tenure, ConditionKind.RUNNING)
    if running is None or running.reason is not Reason.PROCESS_STOPPED_ON_PURPOSE:
        return False
    return slot not in draft.world.in_flight and not _has_just_acted(draft, slot, tenure)


def _has_just_acted(draft: Draft, slot: SlotId, tenure: Tenure) -> bool:
    """Whether what is said of a process may still be of the middle of keeper's own act."""
    settle_s = draft.policy(slot).restart_settle_s
    return tenure.acted_at is not None and elapsed_s(tenure.acted_at, draft.now) < settle_s


def _is_between_hosts(record: SlotRecord) -> bool:
    """Whether a slot that was on air has given up its host and has no good one yet."""
    tenure = record.tenure
    is_unproven = tenure is None or tenure.first_live_at is None
    return record.ever_on_air and (is_unproven or record.incoming is not None)


def _sick_since(draft: Draft, slot: SlotId) -> datetime:
    record = draft.records[slot]
    if record.tenure is None:  # this tick has given its host up: it was sick as it was before
        record = draft.world.records[slot]
    tenure = record.tenure
    assert tenure is not None, "only a slot with a tenure is called sick"
    reachable = condition_of(tenure, ConditionKind.REACHABLE)
    streaming = condition_of(tenure, ConditionKind.STREAMING)
    is_out_of_reach = reachable is not None and reachable.status is Status.FALSE
    witness = reachable if is_out_of_reach else streaming
    known = (
        record.dark_since,
        tenure.dead_since,
        tenure.missing_since,
        None if witness is None else witness.since,
    )
    return next(moment for moment in (*known, tenure.requested_at) if moment is not None)
