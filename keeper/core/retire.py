"""The end of a tenure: what its machine is blamed for, what its slot is left with.

Whoever gives a host up comes through here; ends.py pursues the rental then, until it is gone.
"""

from __future__ import annotations

from dataclasses import replace

from keeper.core import incident, lulls, mute, revisions, suspects
from keeper.core.blame import OF_THE_WORKLOAD
from keeper.core.conditions import spent_by_runs, symptom_behind
from keeper.core.creates import count_replacement
from keeper.core.draft import Draft, Seat
from keeper.core.events import InstanceGone
from keeper.core.flow import owed_dollars_per_hour
from keeper.core.model import SlotId, SlotRecord, Tenure
from keeper.core.reasons import Reason

# What a machine is not to blame for, unless its offer lied (_FOR_MONEY).
_BLAMELESS = (
    Reason.BAD_DEPLOY,
    Reason.BUDGET,
    Reason.CONTRACT_ENDING,
    Reason.CREATE_NEVER_APPEARED,
    Reason.DEAD_MAN_STOPPED,
    Reason.MARKET_STOPPED_IT,  # by another program, or because the account ran dry
    Reason.OPERATOR_ASKED,
    Reason.OUTBID,
    Reason.PRICE_DRIFT,
    Reason.ROLLOUT,
    Reason.SPARE_EXPIRED,
    Reason.SPARE_NOT_STARTED,  # its GPU is let, or its start was lost: it failed nobody
    Reason.SPARE_NOT_STOPPED,
    Reason.SPARE_UNFIT,
    Reason.STREAM_REMOVED,
    Reason.SUPERSEDED,
    Reason.SWAP_UNABLE,
)
# What took a host away that may have seemed to fail.
_TAKEN_AWAY = (
    Reason.CONTRACT_ENDING,
    Reason.DEAD_MAN_STOPPED,
    Reason.MARKET_STOPPED_IT,
    Reason.OUTBID,
)
_FOR_MONEY = (Reason.PRICE_DRIFT, Reason.BUDGET)
# Ends after which nobody expects a picture from the slot.
UNWANTED = (Reason.STREAM_REMOVED,)


def retire(draft: Draft, slot: SlotId, seat: Seat, reason: Reason) -> None:
    """End a tenure: condemn its rental unless it is gone, and let the incoming one move up."""
    tenure, instance_id = draft.host(slot, seat)
    if reason is Reason.GONE:
        draft.tell(InstanceGone(slot=slot, instance_id=instance_id, label=tenure.label))
    else:
        draft.condemn(
            instance_id,
            slot=slot,
            label=tenure.label,
            reason=reason,
            symptom=symptom_behind(reason, tenure),
            dollars_per_hour=min(tenure.dollars_per_hour, owed_dollars_per_hour(tenure)),
            rented_at=tenure.rented_at,
            listed_at=tenure.listed_at,
            spent_dollars=spent_by_runs(tenure, draft.now),
        )
    is_blameless = reason in _BLAMELESS or _failed_by_its_container(tenure, reason)
    if reason is Reason.SUPERSEDED and mute.is_mute(tenure):
        # The next host has the sound that this one lacked. It may have been the workload all the same.
        draft.strike(tenure, Reason.NO_SOUND, is_doubtful=True)
    if _is_as_silent_as_the_serving_one(draft, slot, seat, reason):
        is_blameless = True
        draft.records[slot] = mute.tried_elsewhere(draft.records[slot], draft.now)
    if not is_blameless and not _waited_for_its_turn(tenure):
        is_doubtful = reason is Reason.NO_SOUND or _may_be_the_workload(draft, slot, tenure, reason)
        draft.strike(tenure, reason, is_doubtful=is_doubtful)
        suspects.convict(draft, slot, tenure, reason)
    elif reason in _FOR_MONEY and _has_broken_its_word(tenure):
        draft.strike(tenure, reason, is_doubtful=True)
    elif reason in _TAKEN_AWAY:
        suspects.absolve(draft, slot, tenure)
    if reason is Reason.OUTBID:
        draft.records[slot] = replace(draft.records[slot], outbid_at=draft.now)
    if seat is Seat.INCOMING:
        draft.put(slot, seat, None)
        lulls.call_off(draft, slot)
    else:
        _vacate(draft, slot, reason)
    if draft.records[slot].swap is not None:  # one of the two is left, and the rules of one hold
        draft.records[slot] = replace(draft.records[slot], swap=None)
    if reason is not Reason.GONE:
        incident.note_act(draft, slot, "destroy", reason)
        draft.conclude(slot, "destroy", reason)


def _may_be_the_workload(draft: Draft, slot: SlotId, tenure: Tenure, reason: Reason) -> bool:
    """Whether what is on a host never worked anywhere, and may be why it was given up.

    Else one workload that fails everywhere has the whole market avoided, by every stream, for a week.
    """
    stream = draft.slots.get(slot)
    if stream is None or reason not in OF_THE_WORKLOAD:
        return False
    known = revisions.find(revisions.known_of(draft, stream), tenure.revision)
    return known is not None and known.proven_at is None


def _is_as_silent_as_the_serving_one(
    draft: Draft, slot: SlotId, seat: Seat, reason: Reason
) -> bool:
    """Whether a next host goes for a sound that the serving one lacks, too: then it is no host's fault."""
    is_for_it = seat is Seat.INCOMING and reason is Reason.NO_SOUND
    return is_for_it and mute.is_mute(draft.records[slot].tenure)


def _has_broken_its_word(tenure: Tenure) -> bool:
    """Whether a rental cost more than its offer said before it was of use: on air, or a spare that is ready.

    The next offer of its machine says the same, and all replacements went to it. It is avoided as for
    once, for a price may also change between search and create; whoever raises it later says so in his
    next offer.
    """
    is_of_use = tenure.first_live_at is not None or tenure.ready_at is not None
    return tenure.dear_since is not None and not is_of_use


def _failed_by_its_container(tenure: Tenure, reason: Reason) -> bool:
    """Whether a host failed its audition by what was rented, which the machine is not to blame for."""
    audition = tenure.audition
    is_of_audition = reason is Reason.AUDITION_FAILED and audition is not None
    return is_of_audition and audition is not None and not audition.is_machine_at_fault


def _waited_for_its_turn(tenure: Tenure) -> bool:
    """Whether a rental never came up after a bid for it: others held the machine, it is not sick."""
    return tenure.rebids > 0 and tenure.booted_at is None


def _was_on_air(record: SlotRecord) -> bool:
    return record.tenure is not None and record.tenure.first_live_at is not None


def _vacate(draft: Draft, slot: SlotId, reason: Reason) -> None:
    is_wanted = reason not in UNWANTED and draft.records[slot].destroy_asked_at is None
    if is_wanted and reason is not Reason.SUPERSEDED:
        incident.go_dark(draft, slot, reason)
    record = draft.records[slot]
    # An order for another host is done when that one is on air, not when the old one has gone.
    keepsake = "" if record.tenure is None else record.tenure.keepsake
    is_open = reason is Reason.OPERATOR_ASKED or not _was_on_air(record)
    draft.records[slot] = replace(
        record,
        tenure=record.incoming,
        incoming=None,
        keepsake=keepsake or record.keepsake,
        remedies=(),  # they were of the host that goes
        forgiven_at=(),
        restart_asked_at=None,
        replace_asked_at=record.replace_asked_at if is_open and is_wanted else None,
        next_rent_at=None,
        offer_misses=0,
    )
    # The one that follows was counted when its answer came; where none has come, it is now.
    is_counted = record.incoming is not None and record.incoming.instance_id is not None
    if is_wanted and not is_counted:
        count_replacement(draft, slot)
