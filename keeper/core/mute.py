"""A picture without its sound is still a picture: its host is handed over, and never ended before.

What the rules and the ladder would do to any other dark host is done to a silent one too, but where
they would end it, another host is rented beside it. Should that one be silent as well, it is not the
host, and a person is asked: a third one would cost as much and say as little.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keeper.core.case import Proposal, Wish
from keeper.core.conditions import condition_of, is_silent
from keeper.core.model import ConditionKind, RemedyUse, Rung, SlotRecord, Tenure
from keeper.core.moments import elapsed_s
from keeper.core.reasons import Reason

# What is done to a host; it would disturb, or end, the picture that there is.
_TO_THE_HOST = (Wish.RESTART, Wish.REBOOT, Wish.REPLACE)
_REMEDIES_MAX = 32  # as everywhere: far above all caps together


def is_mute(tenure: Tenure | None) -> bool:
    """Whether a host shows its picture, and nothing is missing but the sound."""
    return is_silent(condition_of(tenure, ConditionKind.STREAMING))


def spared(
    record: SlotRecord, tenure: Tenure, proposal: Proposal, now: datetime, memory_s: float
) -> Proposal:
    """Return what follows for a host that is mute where a rule would end it, or interrupt it in vain."""
    if not is_mute(tenure) or proposal.wish not in _TO_THE_HOST or proposal.is_ordered:
        return proposal
    if record.incoming is not None:
        return Proposal(wish=Wish.WAIT, reason=Reason.HANDOVER)  # the next host has its turn
    if proposal.wish is not Wish.REPLACE:
        return proposal
    if is_not_the_host(record, tenure, now, memory_s):
        return Proposal(
            wish=Wish.HOLD,
            reason=Reason.NEEDS_PERSON,
            wanted="repair",
            wanted_reason=Reason.NO_SOUND,
        )
    return Proposal(wish=Wish.RENT, reason=Reason.NO_SOUND, is_incoming=True)


def is_not_the_host(record: SlotRecord, tenure: Tenure, now: datetime, memory_s: float) -> bool:
    """Whether another host of the slot was silent as well: the one after this one, or before it."""
    was_tried = any(use.rung is Rung.REPLACE for use in record.remedies)
    return was_tried or any(
        each.reason is Reason.NO_SOUND
        and each.label != tenure.label
        and elapsed_s(each.at, now) < memory_s
        for each in record.failures
    )


def noted(record: SlotRecord, now: datetime) -> SlotRecord:
    """Remember that a host which took the place of a silent one is as silent; else the same record.

    One publisher only (swap.py): it goes back, and nothing else would say why it was of no use.
    """
    leaving = record.incoming
    is_new = record.swap is not None and not record.swap.is_back and is_mute(record.tenure)
    was_silent = leaving is not None and any(
        each.reason is Reason.NO_SOUND and each.label == leaving.label for each in record.failures
    )
    is_known = any(use.rung is Rung.REPLACE for use in record.remedies)
    return tried_elsewhere(record, now) if is_new and was_silent and not is_known else record


def tried_elsewhere(record: SlotRecord, now: datetime) -> SlotRecord:
    """Remember that another host was silent too, until the sound has been good for long."""
    use = RemedyUse(rung=Rung.REPLACE, at=now, symptom=Reason.NO_SOUND.value)
    return replace(record, remedies=(*record.remedies, use)[-_REMEDIES_MAX:])
