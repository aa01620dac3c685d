"""A rental that keeper stops and starts again: the orders, and what answers and listings say of them.

What stands still pays for its disk alone, and its GPU is free for anybody. An order is an intent on
disk before it leaves. Only a listing settles it: an answer may be lost, a stop may not stick, and a
start waits in a queue where the GPU is let, maybe for days (Vast.ai docs, manage instances; field
reports, read 2026-08). So a rental counts in full from the order to start on, and after an order to
stop until a listing shows that it stands still (I4). When to give an order, stopped.py says.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keeper.core.conditions import after_reboot, at_rest
from keeper.core.decisions import Start, Stop
from keeper.core.draft import Draft, Seat
from keeper.core.events import (
    ActFailed,
    InstanceFoundRunning,
    InstanceStarted,
    InstanceStarting,
    InstanceStartQueued,
    InstanceStopped,
    InstanceStopping,
)
from keeper.core.model import (
    Instance,
    Intent,
    IntentKind,
    MarketState,
    SlotId,
    Tenure,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.world import Outcome, OutcomeKind

# More than this means that the GPU is let to another (Vast.ai docs, manage instances, read 2026-08).
QUEUED_AFTER_S = 30.0
# Refusals that say nothing against the rental: it stands still as before, for another try. Any other is
# told as a start that came to nothing.
_NOT_ITS_FAULT = (Reason.OUT_OF_CREDIT, Reason.UNAUTHORIZED, Reason.BACKING_OFF)


# --- the orders -------------------------------------------------------------------------------------


def stop(draft: Draft, slot: SlotId, reason: Reason) -> None:
    """Order a slot's rental to stop. It may be ordered again: twice is like once."""
    tenure, instance_id = draft.host(slot)
    intent_id = draft.open_intent(IntentKind.STOP, slot, tenure.label, instance_id, reason)
    tries = tenure.stop_tries + 1
    draft.put(
        slot,
        Seat.TENURE,
        replace(
            at_rest(tenure, draft.now),
            stop_asked_at=draft.now,
            stop_tries=tries,
            stopped_at=None,
            start_asked_at=None,
            start_queued_at=None,
            start_refused=None,
        ),
    )
    draft.count_listings()
    draft.tell(InstanceStopping(slot=slot, instance_id=instance_id, reason=reason, attempt=tries))
    draft.decide(slot, Stop(slot=slot, reason=reason, intent_id=intent_id, instance_id=instance_id))


def start(draft: Draft, slot: SlotId, reason: Reason) -> None:
    """Order a rental that stands still to start. What it costs when it runs counts from here on."""
    tenure, instance_id = draft.host(slot)
    intent_id = draft.open_intent(IntentKind.START, slot, tenure.label, instance_id, reason)
    # It comes up from nothing, as after a reboot: files stay, processes do not.
    draft.put(
        slot,
        Seat.TENURE,
        replace(
            after_reboot(at_rest(tenure, draft.now), draft.now),
            start_asked_at=draft.now,
            start_queued_at=None,
            start_refused=None,
        ),
    )
    draft.count_listings()
    draft.tell(InstanceStarting(slot=slot, instance_id=instance_id, reason=reason))
    draft.decide(
        slot, Start(slot=slot, reason=reason, intent_id=intent_id, instance_id=instance_id)
    )


# --- the answers ------------------------------------------------------------------------------------


def answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    """Take in the answer to an order. Only a clear no settles anything: nothing happened then."""
    draft.closed.add(intent.intent_id)
    if outcome.kind is not OutcomeKind.DONE:
        draft.tell(
            ActFailed(
                slot=intent.slot,
                instance_id=intent.instance_id,
                decision=intent.kind.value,
                error=outcome.error,
            )
        )
    found = draft.seat_of_host(intent)
    if found is None:
        return
    slot, seat, before = found
    tenure = replace(before, acted_at=outcome.at)
    if intent.kind is IntentKind.START and tenure.start_asked_at is not None:
        if outcome.kind is OutcomeKind.FAILED:
            known = outcome.reason if outcome.reason in _NOT_ITS_FAULT else None
            tenure = _not_started(tenure, known or Reason.SPARE_NOT_STARTED)
        elif outcome.reason is Reason.START_QUEUED:
            tenure = _queued(draft, slot, tenure, outcome.at)
    draft.put(slot, seat, tenure)
    draft.count_listings()


def _not_started(tenure: Tenure, reason: Reason) -> Tenure:
    return replace(tenure, start_asked_at=None, start_queued_at=None, start_refused=reason)


def _queued(draft: Draft, slot: SlotId, tenure: Tenure, at: datetime) -> Tenure:
    if tenure.start_queued_at is None and tenure.instance_id is not None:
        draft.tell(InstanceStartQueued(slot=slot, instance_id=tenure.instance_id))
        return replace(tenure, start_queued_at=at)
    return tenure


# --- the listings -----------------------------------------------------------------------------------


def followed(
    draft: Draft, slot: SlotId, tenure: Tenure, instance: Instance, listed_at: datetime
) -> Tenure:
    """Take over what a listing says of an order; the same object when nothing is new."""
    asked_at = tenure.start_asked_at or tenure.stop_asked_at
    if asked_at is None:
        return tenure
    if listed_at <= asked_at or slot in draft.world.in_flight:
        _ask_for_listings(draft, tenure)
        return tenure  # it may have been read before the order arrived
    if tenure.start_asked_at is not None:
        after = _starting(draft, slot, tenure, instance, listed_at)
    else:
        after = _standing_still(draft, slot, tenure, instance, listed_at)
    _ask_for_listings(draft, after)
    return after


def _ask_for_listings(draft: Draft, tenure: Tenure) -> None:
    """Ask for what will settle a start, as long as one is open."""
    if tenure.start_asked_at is not None:
        draft.count_listings(settled_from(draft, tenure))


def _standing_still(
    draft: Draft, slot: SlotId, tenure: Tenure, instance: Instance, listed_at: datetime
) -> Tenure:
    if instance.state is MarketState.STOPPED and not instance.is_meant_to_run:
        # What a disk costs where nothing runs may be another price than where something does.
        disk = instance.disk_dollars_per_hour or tenure.disk_dollars_per_hour
        if tenure.stopped_at is None:
            asked_at = tenure.stop_asked_at or listed_at
            draft.tell(
                InstanceStopped(
                    slot=slot,
                    instance_id=instance.instance_id,
                    duration_s=elapsed_s(asked_at, listed_at),
                )
            )
            # What was seen there until now was seen of a container that is gone.
            tenure = replace(at_rest(tenure, listed_at), stopped_at=listed_at)
        if disk == tenure.disk_dollars_per_hour:
            return tenure
        return replace(tenure, disk_dollars_per_hour=disk)
    if tenure.stopped_at is None:
        return tenure
    if _comes_up(instance):
        draft.tell(InstanceFoundRunning(slot=slot, instance_id=instance.instance_id))
        return replace(tenure, stopped_at=None)
    if instance.state is MarketState.STOPPED and _is_settled(draft, tenure, listed_at):
        return _queued(draft, slot, tenure, listed_at)  # somebody has ordered a start
    return tenure


def _comes_up(instance: Instance) -> bool:
    """Whether a rental runs, or is on its way to that. Where no status is told, nothing is."""
    is_on_its_way = instance.state is MarketState.PENDING and instance.is_meant_to_run
    return instance.state is MarketState.RUNNING or is_on_its_way


def _starting(
    draft: Draft, slot: SlotId, tenure: Tenure, instance: Instance, listed_at: datetime
) -> Tenure:
    if instance.state is MarketState.RUNNING and instance.is_meant_to_run:
        duration_s = elapsed_s(tenure.start_asked_at or listed_at, listed_at)
        draft.tell(
            InstanceStarted(slot=slot, instance_id=instance.instance_id, duration_s=duration_s)
        )
        return replace(
            tenure,
            stop_asked_at=None,
            stop_tries=0,
            stopped_at=None,
            start_asked_at=None,
            start_queued_at=None,
        )
    if instance.state is not MarketState.STOPPED or not _is_settled(draft, tenure, listed_at):
        return tenure
    if instance.is_meant_to_run:
        return _queued(draft, slot, tenure, listed_at)
    draft.tell(
        ActFailed(
            slot=slot,
            instance_id=instance.instance_id,
            decision=IntentKind.START.value,
            error="the marketplace knows of no order to start",
        )
    )
    return _not_started(tenure, Reason.SPARE_NOT_STARTED)


def _is_settled(draft: Draft, tenure: Tenure, listed_at: datetime) -> bool:
    return listed_at >= settled_from(draft, tenure)


def settled_from(draft: Draft, tenure: Tenure) -> datetime:
    """Return from when on a listing says what became of a start that is not seen to run.

    Reads lag behind, and a start that a dying process sent last may still arrive.
    """
    moments = (tenure.start_asked_at, tenure.acted_at, draft.world.started_at)
    return later(
        max(at for at in (*moments, tenure.requested_at) if at is not None), QUEUED_AFTER_S
    )
