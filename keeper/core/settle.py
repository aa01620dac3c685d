"""First step: what became of the acts of earlier ticks.

Outcomes are written into the records and their intents closed. A create whose answer is in doubt
stays open: only complete listings settle it, and until then its slot asks for nothing else (I3, I10).
An act that a crash cut short needs no settling but a create: level-triggered rules do again what is
still needed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from keeper.core.backoff import stepped_s
from keeper.core.conditions import after_reboot, in_the_past
from keeper.core.decisions import Adopt
from keeper.core.draft import Draft, Seat
from keeper.core.events import (
    ActFailed,
    DeployFailed,
    InstanceAdopted,
    InstanceRebid,
    InstanceRebooted,
    InstanceRented,
    RentFailed,
    RentUncertain,
    RentVoided,
    RestartFailed,
    WorkloadDeployed,
    WorkloadRestarted,
)
from keeper.core.model import Intent, IntentKind, Rung, SlotId, SlotRecord, Tenure
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.rent import WISH_DROPPED_S
from keeper.core.world import Outcome, OutcomeKind

# Lost races that are remembered per slot; older offers have left the market by then.
_AVOIDED_OFFERS_MAX = 20


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
            _look_for(draft, slot, seat, tenure)


def _apply_outcomes(draft: Draft) -> None:
    intents = {intent.intent_id: intent for intent in draft.world.intents}
    for outcome in sorted(draft.world.outcomes, key=lambda each: (each.at, each.intent_id)):
        intent = intents.pop(outcome.intent_id, None)
        if intent is None or intent.slot in draft.world.held_slots:
            continue  # told twice; or held, and then the listing settles it later
        match intent.kind:
            case IntentKind.RENT:
                _rent_answered(draft, intent, outcome)
            case IntentKind.DEPLOY:
                _deploy_answered(draft, intent, outcome)
            case IntentKind.RESTART:
                _restart_answered(draft, intent, outcome)
            case IntentKind.REBOOT:
                _reboot_answered(draft, intent, outcome)
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
            _doubt(
                draft, intent.slot, *found, at=draft.now, error="keeper stopped before the answer"
            )
            return
    elif intent.kind is IntentKind.REBOOT:
        # Whether it was sent is unknown. Believing so costs a repeated deploy, the contrary could
        # cost a host that waits for a picture from a process that no longer runs.
        _believe_rebooted(draft, intent, draft.now)
    draft.closed.add(intent.intent_id)


# --- creates ----------------------------------------------------------------------------------------


def _rent_answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    found = draft.seat_of_label(intent.slot, intent.label)
    if found is None or intent.slot is None or found[1].instance_id is not None:
        draft.closed.add(intent.intent_id)
        if found is None and outcome.instance_id is not None:
            # The slot has moved on; nothing may be left behind.
            draft.condemn(
                outcome.instance_id, slot=intent.slot, label=intent.label,
                reason=Reason.STRAY_RENTAL, dollars_per_hour=0.0, rented_at=outcome.at,
            )  # fmt: skip
        return
    seat, tenure = found
    if outcome.kind is OutcomeKind.DONE and outcome.instance_id is not None:
        draft.closed.add(intent.intent_id)
        take_in(draft, intent.slot, seat, replace(
            tenure, instance_id=outcome.instance_id, rented_at=outcome.at,
            booting_since=outcome.at,
        ))  # fmt: skip
        draft.tell(
            InstanceRented(
                slot=intent.slot,
                instance_id=outcome.instance_id,
                label=tenure.label,
                dollars=tenure.dollars_per_hour,
            )
        )
    elif outcome.kind is OutcomeKind.FAILED or outcome.instance_id is not None:
        draft.closed.add(intent.intent_id)
        _rent_failed(draft, intent.slot, seat, tenure, outcome)
    else:
        _doubt(draft, intent.slot, seat, tenure, at=outcome.at, error=outcome.error)


def take_in(draft: Draft, slot: SlotId, seat: Seat, tenure: Tenure) -> None:
    """Seat a rental that now has an id; a slot that found a host starts its search anew."""
    draft.put(slot, seat, tenure)
    record = draft.records[slot]
    draft.records[slot] = replace(
        record, offer_misses=0, next_rent_at=None, avoid_offers=(), offer_asked=None
    )
    if seat is Seat.INCOMING:
        count_replacement(draft, slot)


def count_replacement(draft: Draft, slot: SlotId) -> None:
    """Use up one of the slot's replacements; those outside the window are forgotten here."""
    record = draft.records[slot]
    window_s = draft.policy(slot).replacements_window_s
    recent = tuple(at for at in record.replaced_at if elapsed_s(at, draft.now) < window_s)
    draft.records[slot] = replace(record, replaced_at=(*recent, draft.now))


def _rent_failed(draft: Draft, slot: SlotId, seat: Seat, tenure: Tenure, outcome: Outcome) -> None:
    reason = outcome.reason or Reason.BACKING_OFF
    draft.tell(
        RentFailed(
            slot=slot,
            reason=reason,
            label=tenure.label,
            offer_id=tenure.offer_id,
            error=outcome.error,
        )
    )
    if outcome.instance_id is not None:
        # An error answer that still made a contract (policy section 4).
        draft.condemn(
            outcome.instance_id, slot=slot, label=tenure.label, reason=Reason.STRAY_RENTAL,
            dollars_per_hour=tenure.dollars_per_hour, rented_at=outcome.at,
        )  # fmt: skip
    draft.put(slot, seat, None)
    record = draft.records[slot]
    avoid = record.avoid_offers
    if reason in (Reason.OFFER_GONE, Reason.NO_SUITABLE_OFFER):
        avoid = (*avoid, tenure.offer_id)[-_AVOIDED_OFFERS_MAX:]
    was_asked = record.offer_asked == tenure.offer_id
    if was_asked:
        # This one and no other: what comes instead is for the operator to say, within a moment.
        why = f"offer {tenure.offer_id} could not be rented: {outcome.error or reason.value}"
        record = replace(record, offer_asked=None, rent_detail=why)
    if reason is Reason.OFFER_GONE and not was_asked:
        draft.records[slot] = replace(record, avoid_offers=avoid, next_rent_at=None)
        return
    steps = draft.policy(slot).no_offer_backoff_s
    pause_s = max(stepped_s(record.offer_misses, steps, slot), outcome.retry_after_s or 0.0)
    if was_asked:
        pause_s = max(pause_s, WISH_DROPPED_S)
    draft.records[slot] = replace(
        record,
        avoid_offers=avoid,
        offer_misses=record.offer_misses + 1,
        next_rent_at=later(draft.now, pause_s),
        rent_reason=reason,
        rent_detail=record.rent_detail if was_asked else outcome.error,
    )


def _doubt(
    draft: Draft, slot: SlotId, seat: Seat, tenure: Tenure, *, at: datetime, error: str
) -> None:
    """Note once from when on the listing has to answer for a create."""
    if tenure.acted_at is not None:
        return
    draft.put(slot, seat, replace(tenure, acted_at=at))
    draft.tell(RentUncertain(slot=slot, label=tenure.label, offer_id=tenure.offer_id, error=error))


def _look_for(draft: Draft, slot: SlotId, seat: Seat, tenure: Tenure) -> None:
    """Adopt a doubtful create that a complete listing shows, or void it when time has told."""
    draft.is_busy = True
    listing = draft.world.listing
    if (present := in_the_past(tenure, draft.now)) is not tenure:
        tenure = present
        draft.put(slot, seat, tenure)
    if listing is None or listing.at <= tenure.requested_at:
        return
    shown = [i for i in listing.instances if i.label == tenure.label]
    shown = [i for i in shown if i.instance_id not in draft.condemned]
    if shown:
        instance = min(shown, key=lambda each: each.instance_id)
        began_at = tenure.requested_at
        take_in(draft, slot, seat, replace(
            tenure, instance_id=instance.instance_id, rented_at=began_at, booting_since=began_at,
            missing_since=None, missing_listed_at=None,
        ))  # fmt: skip
        _close_rent(draft, tenure.label)
        draft.decided.add(slot)
        found = Reason.FOUND_BY_LABEL
        draft.tell(
            InstanceAdopted(
                slot=slot, instance_id=instance.instance_id, label=tenure.label, reason=found
            )
        )
        draft.decide(
            slot,
            Adopt(slot=slot, reason=found, instance_id=instance.instance_id, label=tenure.label),
        )
        return
    since = tenure.acted_at or tenure.requested_at
    if listing.at <= since:
        return  # the create may have waited for its turn and left after this was asked
    tenure = note_missing(tenure, listing.at)
    draft.put(slot, seat, tenure)
    policy = draft.policy(slot)
    if absent_for(tenure, since) >= policy.create_settle_s and (
        absence_span_s(tenure) >= policy.absence_apart_s
    ):
        draft.put(slot, seat, None)
        _close_rent(draft, tenure.label)
        draft.tell(
            RentVoided(
                slot=slot,
                label=tenure.label,
                duration_s=elapsed_s(tenure.requested_at, draft.now),
            )
        )


def note_missing(tenure: Tenure, listed_at: datetime) -> Tenure:
    """Write down that a complete listing lacks the rental; the same listing counts once."""
    if tenure.missing_since is None or tenure.missing_since > listed_at:
        return replace(tenure, missing_since=listed_at, missing_listed_at=listed_at)
    if tenure.missing_listed_at is None or tenure.missing_listed_at < listed_at:
        return replace(tenure, missing_listed_at=listed_at)
    return tenure


def absent_for(tenure: Tenure, since: datetime) -> float:
    """Return how long after ``since`` the latest listing without the rental was taken, in seconds."""
    return 0.0 if tenure.missing_listed_at is None else elapsed_s(since, tenure.missing_listed_at)


def absence_span_s(tenure: Tenure) -> float:
    """Return how far apart the first and the latest listing without the rental are."""
    if tenure.missing_since is None or tenure.missing_listed_at is None:
        return 0.0
    return elapsed_s(tenure.missing_since, tenure.missing_listed_at)


def _close_rent(draft: Draft, label: str) -> None:
    for intent in draft.world.intents:
        if intent.kind is IntentKind.RENT and intent.label == label:
            draft.closed.add(intent.intent_id)


# --- acts on a host ---------------------------------------------------------------------------------


def _seat_of_host(draft: Draft, intent: Intent) -> tuple[SlotId, Seat, Tenure] | None:
    record = None if intent.slot is None else draft.records.get(intent.slot)
    if record is None:
        return None
    for seat, tenure in ((Seat.TENURE, record.tenure), (Seat.INCOMING, record.incoming)):
        if tenure is not None and tenure.instance_id == intent.instance_id:
            return record.slot, seat, tenure
    return None


def _deploy_answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    draft.closed.add(intent.intent_id)
    found = _seat_of_host(draft, intent)
    if found is None or intent.instance_id is None:
        return
    slot, seat, tenure = found
    if outcome.kind is OutcomeKind.DONE:
        draft.put(slot, seat, replace(
            tenure, deployed_at=outcome.at, warm_at=None, deploy_failures=0, acted_at=outcome.at,
        ))  # fmt: skip
        draft.tell(
            WorkloadDeployed(
                slot=slot, instance_id=intent.instance_id, duration_s=outcome.duration_s
            )
        )
        return
    # Uncertain counts as failed: a deploy may be repeated, and a host that cannot say whether it
    # worked is no better than one that says no.
    draft.put(slot, seat, replace(
        tenure, deploy_failures=tenure.deploy_failures + 1, acted_at=outcome.at,
    ))  # fmt: skip
    draft.tell(
        DeployFailed(slot=slot, instance_id=intent.instance_id, error=outcome.error, detail="")
    )


def _restart_answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    draft.closed.add(intent.intent_id)
    found = _seat_of_host(draft, intent)
    if found is None or intent.instance_id is None:
        return
    slot, seat, tenure = found
    rung = _rung_of(draft.records[slot], intent)
    if outcome.kind is not OutcomeKind.DONE:
        draft.put(slot, seat, replace(tenure, acted_at=outcome.at))
        draft.tell(
            RestartFailed(slot=slot, instance_id=intent.instance_id, rung=rung, error=outcome.error)
        )
        return
    tenure = replace(tenure, acted_at=outcome.at)
    if rung is Rung.RESTART_WORKLOAD:
        tenure = replace(tenure, deployed_at=outcome.at, warm_at=None)
    draft.put(slot, seat, tenure)
    draft.tell(WorkloadRestarted(slot=slot, instance_id=intent.instance_id, rung=rung))


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
    found = _seat_of_host(draft, intent)
    if found is not None:
        slot, seat, tenure = found
        draft.put(slot, seat, after_reboot(tenure, at))


def _rebid_answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    """A bid may be sent again, so a lost answer is no more than a refusal."""
    draft.closed.add(intent.intent_id)
    if outcome.kind is not OutcomeKind.DONE:
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
        accepted_at=outcome.at if is_done else each.accepted_at,
        next_try_at=later(outcome.at, pause_s),
    )
