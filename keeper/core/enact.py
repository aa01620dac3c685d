"""Last step: what was admitted becomes decisions, intents, records and facts.

Nothing happens here but writing down. Each act leaves its trace (a used rung, a counted replacement,
an open intent) before it can be executed, so that no crash makes it happen twice unseen (I6). What the
end of a host leaves behind, retire.py says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from keeper.core import incident, revisions, rollout, stillness, stopped, swapping
from keeper.core.case import Proposal, Wish
from keeper.core.conditions import after_act, after_reboot, status_of
from keeper.core.cures import tried
from keeper.core.decisions import Deploy, Hold, Rebid, Reboot, Restart, Wait
from keeper.core.draft import Draft, Seat
from keeper.core.events import (
    InstanceRebidding,
    InstanceRebooting,
    WorkloadDeploying,
    WorkloadRestarting,
)
from keeper.core.fuses import Refusal, refuse
from keeper.core.model import (
    ConditionKind,
    IntentKind,
    RemedyUse,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    Stream,
)
from keeper.core.moments import later
from keeper.core.promote import take_over
from keeper.core.reasons import Reason
from keeper.core.rent import fill
from keeper.core.retire import UNWANTED, retire
from keeper.core.room import crosses_a_limit
from keeper.core.spares import prepare

# Whoever sees nothing knows of no darkness either.
_SIGHTLESS = (
    Reason.MARKET_UNREADABLE,
    Reason.NOT_LEADER,
    Reason.OWN_NETWORK_DOWN,
    Reason.STARTING_UP,
    Reason.STOPPING,
)
# A host on air that costs too much is held so long before its picture is given up for the money.
_DEAR_HELD_S = 900.0
_REMEDIES_MAX = 32  # far above all caps together


def enact(  # noqa: C901 - one row a wish
    draft: Draft, slot: SlotId, stream: Stream, proposal: Proposal
) -> None:
    """Write down an admitted proposal of a slot."""
    match proposal.wish:
        case Wish.WAIT:
            draft.decide(slot, Wait(slot=slot, reason=proposal.reason, until=proposal.until))
        case Wish.HOLD:
            draft.decide(
                slot,
                Hold(
                    slot=slot,
                    reason=proposal.reason,
                    wanted=proposal.wanted,
                    wanted_reason=proposal.wanted_reason,
                    until=proposal.until,
                ),
                _asked_of_person(draft.records[slot], proposal),
            )
        case Wish.RENT if take_over(draft, slot, stream, _seat(proposal), proposal.reason):
            incident.note_act(draft, slot, "promote", Reason.SPARE_TOOK_OVER)
        case Wish.RENT if stopped.start(draft, slot, stream, proposal.reason):
            pass  # it takes over when it is up
        case Wish.RENT:
            seat = Seat.INCOMING if proposal.is_incoming else Seat.TENURE
            name = rollout.to_rent(draft, slot, stream, proposal)
            rented = revisions.as_of(draft, stream, name)
            breaking = _breaking(draft, slot, proposal)
            if fill(draft, slot, rented, seat, proposal.reason, breaking):
                _note_revision(draft, slot, seat, name)
                revisions.note_carrier(draft, slot, stream, name)
                incident.note_act(draft, slot, "rent", proposal.reason)
        case Wish.DEPLOY:
            _deploy(draft, slot, stream, proposal)
        case Wish.PREPARE:
            prepare(draft, slot, stream, proposal, _seat(proposal))
            incident.note_act(draft, slot, "prepare", proposal.reason)
        case Wish.STOP:
            stillness.stop(draft, slot, proposal.reason)
            incident.note_act(draft, slot, "stop", proposal.reason)
        case Wish.RESTART:
            _restart(draft, slot, stream, proposal)
        case Wish.REBOOT:
            _reboot(draft, slot, proposal)
        case Wish.REBID:
            _rebid(draft, slot, stream, proposal)
        case Wish.REPLACE:
            retire(draft, slot, _seat(proposal), proposal.reason)
        case Wish.FORGET:
            retire(draft, slot, _seat(proposal), proposal.reason)
        case Wish.PROMOTE:
            swapping.conclude(draft, slot)
        case Wish.SWAP:
            swapping.order(draft, slot, stream, proposal)
        case _:
            assert_never(proposal.wish)


def hold(draft: Draft, slot: SlotId, proposal: Proposal, refusal: Refusal) -> None:
    """Write down that a fuse said no. A host that would be given up is told of all the same."""
    if refusal.reason not in _SIGHTLESS and _is_lost(draft.records[slot], proposal):
        incident.go_dark(draft, slot, proposal.reason)
    draft.decide(
        slot,
        Hold(
            slot=slot,
            reason=refusal.reason,
            wanted=proposal.wish.value,
            wanted_reason=proposal.reason,
            until=refusal.until,
        ),
    )


def _asked_of_person(record: SlotRecord, proposal: Proposal) -> str:
    """Say what was tried before a person is asked; "": nothing was to be tried."""
    said = tried(record) if proposal.reason is Reason.NEEDS_PERSON else ""
    return said and f"wanted to {proposal.wanted}: {proposal.wanted_reason}; tried: {said}"


def _is_lost(record: SlotRecord, proposal: Proposal) -> bool:
    """Whether a slot's only host is to be given up, or bid for again, and nobody sees a picture."""
    is_given_up = proposal.wish in {Wish.REPLACE, Wish.REBID} and not proposal.is_incoming
    is_seen = status_of(record.tenure, ConditionKind.STREAMING) is Status.TRUE
    return is_given_up and proposal.reason not in UNWANTED and not is_seen


def _breaking(draft: Draft, slot: SlotId, proposal: Proposal) -> Callable[[], None] | None:
    """Return how to break before making, where keeping the present host costs too much.

    An owner may raise a price so far that no second host fits the budget beside it; waiting for room
    would pay that price for ever. A person hears of the hold first, and has a while to make room.
    """
    tenure = draft.records[slot].tenure
    if proposal.reason is not Reason.PRICE_DRIFT or tenure is None or tenure.dear_since is None:
        return None
    break_at = later(tenure.dear_since, _DEAR_HELD_S)
    if break_at > draft.now:
        draft.wake(break_at)
        return None

    def leave() -> None:
        instead = replace(proposal, wish=Wish.REPLACE, is_incoming=False)
        refusal = refuse(draft, slot, instead)
        if refusal is None:
            retire(draft, slot, Seat.TENURE, proposal.reason)
        else:
            hold(draft, slot, instead, refusal)

    return leave


def _seat(proposal: Proposal) -> Seat:
    return Seat.INCOMING if proposal.is_incoming else Seat.TENURE


def _note_revision(draft: Draft, slot: SlotId, seat: Seat, name: str) -> None:
    """Remember for which revision a host is rented; it may need another image than the next."""
    record = draft.records[slot]
    tenure = record.tenure if seat is Seat.TENURE else record.incoming
    if tenure is not None and name:
        draft.put(slot, seat, replace(tenure, revision=name))


# --- acts on a host ---------------------------------------------------------------------------------


def _deploy(draft: Draft, slot: SlotId, stream: Stream, proposal: Proposal) -> None:
    seat = _seat(proposal)
    tenure, instance_id = draft.host(slot, seat)
    intent_id = draft.open_intent(
        IntentKind.DEPLOY, slot, tenure.label, instance_id, proposal.reason
    )
    name = rollout.to_deploy(draft, slot, stream, tenure, proposal)
    revisions.note_carrier(draft, slot, stream, name)
    acted = after_act(tenure, draft.now)
    if (tenure.putting or tenure.revision) != name:
        acted = replace(acted, deploy_failures=0)  # they were of another one
    if tenure.deployed_at is None:
        acted = replace(
            acted,
            revision=name,
            putting="",
            was_dark=tenure.was_dark and tenure.revision == name,  # put there again after a reboot
            deploy_unsure_at=None,
            process_before=tenure.process_identity,
        )
    else:
        was_dark = tenure.was_dark
        if not tenure.putting:  # by another change on trial: that one is to blame, and goes
            was_dark = rollout.is_dark(tenure) and not revisions.is_left_over(draft, stream, tenure)
        acted = replace(acted, putting=name, was_dark=was_dark)
    draft.put(slot, seat, acted)
    incident.note_act(draft, slot, "deploy", proposal.reason)
    draft.tell(
        WorkloadDeploying(slot=slot, instance_id=instance_id, reason=proposal.reason, revision=name)
    )
    draft.decide(
        slot,
        Deploy(
            slot=slot,
            reason=proposal.reason,
            intent_id=intent_id,
            instance_id=instance_id,
            revision=name,
            is_first=tenure.deployed_at is None,
        ),
    )


def _restart(draft: Draft, slot: SlotId, stream: Stream, proposal: Proposal) -> None:
    tenure, instance_id = draft.host(slot, Seat.TENURE)
    rung = proposal.rung or Rung.RESTART_PROCESS
    intent_id = draft.open_intent(
        IntentKind.RESTART, slot, tenure.label, instance_id, proposal.reason
    )
    acted = after_act(tenure, draft.now)
    name = tenure.revision
    if rung is Rung.RESTART_WORKLOAD:
        name = revisions.to_put(draft, slot, stream, tenure)
        acted = replace(acted, revision=name)  # all of a deploy once more
    draft.put(slot, Seat.TENURE, acted)
    if proposal.is_ordered:
        # An operator's restart is not charged to the ladder, and done once.
        draft.records[slot] = replace(draft.records[slot], restart_asked_at=None)
    else:
        _use(draft, slot, rung, proposal.symptom)
    incident.note_act(draft, slot, "restart", proposal.reason)
    attempt = sum(use.rung is rung for use in draft.records[slot].remedies)
    draft.tell(
        WorkloadRestarting(
            slot=slot,
            instance_id=instance_id,
            rung=rung,
            reason=proposal.reason,
            attempt=attempt,
            symptom=proposal.symptom,
        )
    )
    draft.decide(
        slot,
        Restart(
            slot=slot,
            reason=proposal.reason,
            intent_id=intent_id,
            instance_id=instance_id,
            rung=rung,
            attempt=attempt,
            revision=name,
            symptom=proposal.symptom,
            is_planned=proposal.is_planned,
        ),
        detail=rung.value,
    )


def _reboot(draft: Draft, slot: SlotId, proposal: Proposal) -> None:
    tenure, instance_id = draft.host(slot, Seat.TENURE)
    intent_id = draft.open_intent(
        IntentKind.REBOOT, slot, tenure.label, instance_id, proposal.reason
    )
    draft.put(slot, Seat.TENURE, after_act(tenure, draft.now))
    _use(draft, slot, Rung.REBOOT, proposal.symptom)
    incident.note_act(draft, slot, "reboot", proposal.reason)
    draft.count_listings()
    draft.tell(
        InstanceRebooting(
            slot=slot,
            instance_id=instance_id,
            reason=proposal.reason,
            symptom=proposal.symptom,
        )
    )
    draft.decide(
        slot,
        Reboot(slot=slot, reason=proposal.reason, intent_id=intent_id, instance_id=instance_id),
    )


def _rebid(draft: Draft, slot: SlotId, stream: Stream, proposal: Proposal) -> None:
    """Bid more, if the budget allows what it adds; else the host is given up."""
    seat = _seat(proposal)
    tenure, instance_id = draft.host(slot, seat)
    more = proposal.bid_dollars_per_hour - tenure.bid_dollars_per_hour
    if crosses_a_limit(draft, stream, more) is not None:
        instead = replace(proposal, wish=Wish.REPLACE)
        refusal = refuse(draft, slot, instead)
        if refusal is None:
            retire(draft, slot, seat, proposal.reason)
        else:
            hold(draft, slot, instead, refusal)
        return
    if _is_lost(draft.records[slot], proposal):
        # After a freeze no look has said so, and a host that boots from nothing counted as on air.
        incident.go_dark(draft, slot, proposal.reason)
    rebids = tenure.rebids + 1
    intent_id = draft.open_intent(
        IntentKind.REBID, slot, tenure.label, instance_id, proposal.reason
    )
    # It starts from nothing again: files stay, processes do not. The old bid ends here, and what is
    # spent counts from the order on, whether its answer comes or not.
    started = after_reboot(tenure, draft.now)
    draft.put(slot, seat, replace(
        started,
        rebids=rebids,
        is_bid_unsure=False,
        outbid_since=None,
        bid_dollars_per_hour=proposal.bid_dollars_per_hour,
        dollars_per_hour=tenure.dollars_per_hour + more,
    ))  # fmt: skip
    incident.note_act(draft, slot, "rebid", proposal.reason)
    draft.count_listings()
    draft.tell(
        InstanceRebidding(
            slot=slot,
            instance_id=instance_id,
            reason=proposal.reason,
            bid_dollars=proposal.bid_dollars_per_hour,
            attempt=rebids,
        )
    )
    draft.decide(
        slot,
        Rebid(
            slot=slot,
            reason=proposal.reason,
            intent_id=intent_id,
            instance_id=instance_id,
            bid_dollars_per_hour=proposal.bid_dollars_per_hour,
        ),
    )


def _use(draft: Draft, slot: SlotId, rung: Rung, symptom: str) -> None:
    record = draft.records[slot]
    use = RemedyUse(rung=rung, at=draft.now, symptom=symptom)
    remedies = (*record.remedies, use)[-_REMEDIES_MAX:]
    draft.records[slot] = replace(record, remedies=remedies)
