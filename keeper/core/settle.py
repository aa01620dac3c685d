"""First step: what became of the acts of earlier ticks.

Outcomes are written into the records and their intents closed. A create whose answer is in doubt
stays open: only complete listings settle it, and until then its slot asks for nothing else (I3, I10).
An act that a crash cut short needs no settling but a create: level-triggered rules do again what is
still needed. A stop and a start are settled by listings, answered or not (stillness.py).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from keeper.core import creates, incident, stillness, swapping
from keeper.core.conditions import after_doubt, after_reboot, after_redeploy
from keeper.core.draft import Draft, Seat
from keeper.core.events import (
    ActFailed,
    DeployFailed,
    InstanceRebid,
    InstanceRebooted,
    RestartFailed,
    WorkloadDeployed,
    WorkloadPrepared,
    WorkloadRestarted,
)
from keeper.core.model import Audition, Intent, IntentKind, Rung, SlotId, SlotRecord, Tenure
from keeper.core.moments import later
from keeper.core.reasons import Reason
from keeper.core.world import Outcome, OutcomeKind

# Reasons of a failure that was not the marketplace's judgement: trouble that passes, or its pace.
_NO_ANSWER = (None, Reason.BACKING_OFF)


def settle(draft: Draft) -> None:
    """Apply outcomes, doubt what a crash cut short, and look for doubtful creates in the listing."""
    world = draft.world
    if world.outcomes:
        _apply_outcomes(draft)
    if world.intents:
        _settle_cut_short(draft)
    for slot, seat, tenure in tuple(draft.seated()):
        is_free = slot not in world.in_flight and slot not in draft.decided
        if tenure.instance_id is None and is_free:
            creates.look_for(draft, slot, seat, tenure)


def _apply_outcomes(draft: Draft) -> None:
    intents = {intent.intent_id: intent for intent in draft.world.intents}
    for outcome in sorted(draft.world.outcomes, key=lambda each: (each.at, each.intent_id)):
        intent = intents.pop(outcome.intent_id, None)
        if intent is None or intent.slot in draft.world.held_slots:
            continue  # told twice; or held, and then the listing settles it later
        match intent.kind:
            case IntentKind.RENT:
                creates.answered(draft, intent, outcome)
            case IntentKind.DEPLOY | IntentKind.PREPARE:
                _deploy_answered(draft, intent, outcome)
            case IntentKind.RESTART:
                _restart_answered(draft, intent, outcome)
            case IntentKind.SWAP:
                swapping.answered(draft, intent, outcome)
            case IntentKind.REBOOT:
                _reboot_answered(draft, intent, outcome)
            case IntentKind.STOP | IntentKind.START:
                stillness.answered(draft, intent, outcome)
            case IntentKind.REBID:
                _rebid_answered(draft, intent, outcome)
            case IntentKind.DESTROY:
                _destroy_answered(draft, intent, outcome)
            case _:
                assert_never(intent.kind)


def _settle_cut_short(draft: Draft) -> None:
    """Deal with open intents that nobody works on any more: the process died in between."""
    world = draft.world
    answered = {outcome.intent_id for outcome in world.outcomes}
    for intent in sorted(world.intents, key=lambda each: each.intent_id):
        if intent.intent_id in answered or intent.slot in world.held_slots:
            continue
        if intent.kind is IntentKind.DESTROY:
            if intent.instance_id not in world.in_flight_instances:
                draft.closed.add(intent.intent_id)
        elif intent.slot not in world.in_flight:
            _cut_short(draft, intent)


def _cut_short(draft: Draft, intent: Intent) -> None:
    if intent.kind is IntentKind.RENT:
        found = draft.seat_of_label(intent.slot, intent.label)
        if found is not None and found[1].instance_id is None and intent.slot is not None:
            creates.doubt(
                draft, intent.slot, *found, at=draft.now, error="keeper stopped before the answer"
            )
            return
    elif intent.kind is IntentKind.REBOOT:
        # Whether it was sent is unknown. Believing so costs a repeated deploy, the contrary could
        # cost a host that waits for a picture from a process that no longer runs.
        _believe_rebooted(draft, intent, draft.now)
    elif intent.kind is IntentKind.DEPLOY:
        _doubt_deploy(draft, intent)
    elif intent.kind is IntentKind.REBID:
        _doubt_bid(draft, intent)
    elif intent.kind is IntentKind.SWAP:
        swapping.cut_short(draft, intent)
    elif intent.kind is IntentKind.RESTART:
        _leave_stopped(draft, intent)
    draft.closed.add(intent.intent_id)


# --- acts on a host ---------------------------------------------------------------------------------


def _deploy_answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    draft.closed.add(intent.intent_id)
    found = draft.seat_of_host(intent)
    if found is None or intent.instance_id is None:
        return
    slot, seat, tenure = found
    if outcome.audition is not None:
        tenure = replace(tenure, audition=_since_it_failed(tenure.audition, outcome.audition))
    if outcome.audition is not None and outcome.audition.meaning is not None:
        # Nothing was put there, so nothing of the workload can be at fault.
        draft.put(slot, seat, replace(tenure, acted_at=outcome.at))
        return
    if outcome.kind is OutcomeKind.DONE and intent.kind is IntentKind.PREPARE:
        draft.put(slot, seat, replace(
            tenure, prepared_at=outcome.at, deploy_failures=0, acted_at=outcome.at,
        ))  # fmt: skip
        draft.tell(
            WorkloadPrepared(
                slot=slot, instance_id=intent.instance_id, duration_s=outcome.duration_s
            )
        )
        return
    if outcome.kind is OutcomeKind.DONE:
        if tenure.putting:
            tenure = after_redeploy(tenure, outcome.at)
        draft.put(slot, seat, replace(
            tenure, deployed_at=outcome.at, warm_at=None, deploy_failures=0, acted_at=outcome.at,
            deploy_unsure_at=None, is_left_stopped=False,
        ))  # fmt: skip
        draft.tell(
            WorkloadDeployed(
                slot=slot,
                instance_id=intent.instance_id,
                duration_s=outcome.duration_s,
                revision=tenure.revision,
            )
        )
        return
    # Uncertain counts as failed: a host that cannot say whether it worked is no better than one that
    # says no. But it may have worked, so whoever looks is asked before it is repeated; and that a link
    # broke is not held against what another workload is exchanged for: it would be called bad for it.
    was_cut = outcome.kind is OutcomeKind.UNCERTAIN or outcome.reason is Reason.LINK_LOST
    failures = tenure.deploy_failures + (0 if tenure.putting and was_cut else 1)
    tenure = replace(tenure, deploy_failures=failures, acted_at=outcome.at, deploy_unsure_at=None)
    if was_cut and intent.kind is IntentKind.DEPLOY and not tenure.putting:
        tenure = after_doubt(tenure, outcome.at)
    draft.put(slot, seat, tenure)
    draft.tell(
        DeployFailed(slot=slot, instance_id=intent.instance_id, error=outcome.error, detail="")
    )


def _since_it_failed(before: Audition | None, now: Audition) -> Audition:
    """Count a failure since the first one on this host; a reboot in between begins no new count."""
    if before is None or now.meaning is None:
        return now
    return replace(now, since=min(before.since, now.since))


def _doubt_deploy(draft: Draft, intent: Intent) -> None:
    """Look at what a first deploy has started that nobody waits for any more.

    Where something else runs on a host already, it is a mixture until the deploy is done again.
    """
    found = draft.seat_of_host(intent)
    if found is not None:
        slot, seat, tenure = found
        if tenure.deployed_at is None:
            draft.put(slot, seat, after_doubt(tenure, draft.now))


def _restart_answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    draft.closed.add(intent.intent_id)
    found = _interrupted(draft, intent)
    if found is None or intent.instance_id is None:
        return
    slot, seat, tenure = found
    rung = _rung_of(draft.records[slot], intent)
    if outcome.kind is not OutcomeKind.DONE:
        draft.put(slot, seat, replace(tenure, acted_at=outcome.at, is_left_stopped=True))
        draft.tell(
            RestartFailed(slot=slot, instance_id=intent.instance_id, rung=rung, error=outcome.error)
        )
        return
    tenure = replace(tenure, acted_at=outcome.at, is_left_stopped=False)
    if rung is Rung.RESTART_WORKLOAD:
        tenure = replace(tenure, deployed_at=outcome.at, warm_at=None)
    draft.put(slot, seat, tenure)
    draft.tell(WorkloadRestarted(slot=slot, instance_id=intent.instance_id, rung=rung))


def _interrupted(draft: Draft, intent: Intent) -> tuple[SlotId, Seat, Tenure] | None:
    """Find the host of a restart that is over; what was seen there before is spent."""
    found = draft.seat_of_host(intent)
    if found is None:
        return None
    incident.interrupt(draft, found[0], intent.instance_id)
    return draft.seat_of_host(intent)


def _leave_stopped(draft: Draft, intent: Intent) -> None:
    """Remember that a restart broke off: between its stop and its start nothing runs."""
    found = _interrupted(draft, intent)
    if found is not None:
        slot, seat, tenure = found
        draft.put(slot, seat, replace(tenure, is_left_stopped=True))


def _rung_of(record: SlotRecord, intent: Intent) -> Rung:
    """Return the rung a restart was; an operator's leaves no use behind and is of the process."""
    for use in record.remedies:
        if use.at == intent.opened_at:
            return use.rung
    return Rung.RESTART_PROCESS


def _reboot_answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    draft.closed.add(intent.intent_id)
    if outcome.kind is not OutcomeKind.DONE:
        draft.tell(
            ActFailed(
                slot=intent.slot,
                instance_id=intent.instance_id,
                decision="reboot",
                error=outcome.error,
            )
        )
    if outcome.kind is not OutcomeKind.FAILED:
        _believe_rebooted(draft, intent, outcome.at)
    if (
        outcome.kind is OutcomeKind.DONE
        and intent.slot is not None
        and intent.instance_id is not None
    ):
        draft.tell(InstanceRebooted(slot=intent.slot, instance_id=intent.instance_id))


def _believe_rebooted(draft: Draft, intent: Intent, at: datetime) -> None:
    found = draft.seat_of_host(intent)
    if found is not None:
        slot, seat, tenure = found
        draft.put(slot, seat, after_reboot(tenure, at))


def _rebid_answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    """A bid may be sent again; one whose answer says nothing about it will be."""
    draft.closed.add(intent.intent_id)
    if outcome.kind is not OutcomeKind.DONE:
        if outcome.kind is OutcomeKind.UNCERTAIN or outcome.reason in _NO_ANSWER:
            _doubt_bid(draft, intent)
        draft.tell(
            ActFailed(
                slot=intent.slot,
                instance_id=intent.instance_id,
                decision="rebid",
                error=outcome.error,
            )
        )
    elif intent.slot is not None and intent.instance_id is not None:
        draft.tell(InstanceRebid(slot=intent.slot, instance_id=intent.instance_id))


def _doubt_bid(draft: Draft, intent: Intent) -> None:
    found = draft.seat_of_host(intent)
    if found is not None:
        slot, seat, tenure = found
        draft.put(slot, seat, replace(tenure, is_bid_unsure=True))


def _destroy_answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    draft.closed.add(intent.intent_id)
    each = None if intent.instance_id is None else draft.condemned.get(intent.instance_id)
    if outcome.kind is not OutcomeKind.DONE:
        draft.tell(
            ActFailed(
                slot=intent.slot,
                instance_id=intent.instance_id,
                decision="destroy",
                error=outcome.error,
            )
        )
    if each is None:
        return
    fleet = draft.fleet
    is_done = outcome.kind is OutcomeKind.DONE
    is_quick = not is_done and each.tries < fleet.destroy_quick_tries
    pause_s = fleet.destroy_quick_retry_s if is_quick else fleet.destroy_retry_s
    draft.condemned[each.instance_id] = replace(
        each,
        tries_unsent=each.tries_unsent + (outcome.reason is Reason.LINK_LOST),
        accepted_at=outcome.at if is_done else each.accepted_at,
        next_try_at=later(outcome.at, pause_s),
    )
