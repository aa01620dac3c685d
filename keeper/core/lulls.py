"""Lets viewers see the end of what they watch before a host on air is touched, or ends, by keeper's choice.

A deploy on a host, a recycle, an ordered replacement, the old host of any hand-over: each waits here for
a moment that the workload names, for so long at most. What is waited for is on disk, so a keeper that
dies takes the same wait up again; looking is the shell's. It is no act: nothing is in flight, and
whatever stands above (money, an end, a sickness) comes first as ever.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keeper.core.case import Proposal, Wish
from keeper.core.conditions import STREAMING, complete
from keeper.core.draft import Draft, Seat
from keeper.core.events import DrainEnded, DrainOverdue, WorkloadDraining
from keeper.core.fuses import refuse
from keeper.core.model import DrainThen, Lull, SlotId, Status, Stream, Tenure
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason

# A look is of now for so long; the moment that it saw is past after that.
_LOOK_FRESH_S = 30.0
# What may be done at such a moment must begin within this, or another one is waited for.
_MOMENT_S = 60.0
# After this a wait that was called off counts no more; a host that was left as it is has its rest.
_AGAIN_S = 600.0


def first(
    draft: Draft,
    slot: SlotId,
    stream: Stream,
    tenure: Tenure,
    proposal: Proposal,
    *,
    no_later: datetime | None = None,
) -> Proposal:
    """Return what may be done of a proposal now: it, or a wait for viewers of the serving host.

    ``no_later``: when two hosts must no longer be paid for; then it goes on whatever policy says.
    """
    if not _is_due(draft, slot, stream, tenure, proposal):
        return proposal
    lull = _still_counts(tenure.lull, draft.now)
    if lull is not None and lull.left_until is not None:
        if no_later is None:
            return _left(proposal, lull.left_until)
        lull = None  # two hosts are paid for: what was left for another time is asked again now
    if lull is not None and lull.over_at is not None:
        return proposal
    if lull is None:
        return _begin(draft, slot, stream, tenure, proposal, no_later)
    return _go_on(draft, slot, stream, tenure, proposal, lull, may_leave=no_later is None)


def call_off(draft: Draft, slot: SlotId) -> None:
    """Forget what a slot's host waits for: nothing is to be done any more."""
    tenure = draft.records[slot].tenure
    if tenure is not None and tenure.lull is not None:
        draft.put(slot, Seat.TENURE, replace(tenure, lull=None))


def _is_due(draft: Draft, slot: SlotId, stream: Stream, tenure: Tenure, proposal: Proposal) -> bool:
    """Whether somebody watches, can be waited for, and it could be done now."""
    record = draft.records[slot]
    is_ordered = record.replace_asked_at is not None or record.deploy_asked_at is not None
    if not stream.lull_max_s or (record.is_at_once and is_ordered):
        return False
    if tenure.dear_since is not None:
        return False  # it goes for its price, and each minute costs that
    is_on_air = complete(tenure, draft.now)[STREAMING].status is Status.TRUE
    return is_on_air and tenure.instance_id is not None and refuse(draft, slot, proposal) is None


def _still_counts(lull: Lull | None, now: datetime) -> Lull | None:
    if lull is None:
        return None
    if lull.left_until is not None:
        return lull if now < lull.left_until else None
    if lull.over_at is not None:
        return lull if elapsed_s(lull.over_at, now) < _MOMENT_S else None
    return lull if elapsed_s(lull.since, now) < lull.bound_s + _AGAIN_S else None


def _begin(
    draft: Draft,
    slot: SlotId,
    stream: Stream,
    tenure: Tenure,
    proposal: Proposal,
    no_later: datetime | None,
) -> Proposal:
    left_s = stream.lull_max_s if no_later is None else max(0.0, elapsed_s(draft.now, no_later))
    lull = Lull(since=draft.now, bound_s=min(stream.lull_max_s, left_s))
    assert tenure.instance_id is not None
    draft.put(slot, Seat.TENURE, replace(tenure, lull=lull))
    draft.tell(WorkloadDraining(slot=slot, instance_id=tenure.instance_id, bound_s=lull.bound_s))
    if lull.bound_s > 0:
        return _waiting(lull)
    return _go_on(draft, slot, stream, tenure, proposal, lull, may_leave=no_later is None)


def _go_on(
    draft: Draft,
    slot: SlotId,
    stream: Stream,
    tenure: Tenure,
    proposal: Proposal,
    lull: Lull,
    *,
    may_leave: bool,
) -> Proposal:
    instance_id = tenure.instance_id
    assert instance_id is not None
    look = draft.world.lulls.get(instance_id)
    if look is not None and (
        look.at <= lull.since or elapsed_s(look.at, draft.now) >= _LOOK_FRESH_S
    ):
        look = None  # nobody looks now: what was seen then says nothing
    waited_s = elapsed_s(lull.since, draft.now)
    if look is not None and look.is_there:
        draft.put(slot, Seat.TENURE, replace(tenure, lull=replace(lull, over_at=draft.now)))
        draft.tell(
            DrainEnded(slot=slot, instance_id=instance_id, duration_s=waited_s, has_restarted=False)
        )
        return proposal
    if waited_s < lull.bound_s and not (look is not None and look.is_hopeless):
        return _waiting(lull)
    is_left = may_leave and stream.policy.drain_then is DrainThen.LEAVE
    left_until = later(draft.now, _AGAIN_S) if is_left else None
    over = replace(lull, over_at=draft.now, left_until=left_until)
    draft.put(slot, Seat.TENURE, replace(tenure, lull=over))
    said = f"not within {lull.bound_s:.0f} s: "
    said += "nobody could look" if look is None else look.detail
    if look is not None and look.is_hopeless:
        said = f"it cannot be told: {look.detail}"
    draft.tell(
        DrainOverdue(
            slot=slot,
            instance_id=instance_id,
            detail=said,
            then=DrainThen.LEAVE.value if is_left else proposal.wish.value,
        )
    )
    return proposal if left_until is None else _left(proposal, left_until)


def _waiting(lull: Lull) -> Proposal:
    return Proposal(wish=Wish.WAIT, reason=Reason.DRAINING, until=later(lull.since, lull.bound_s))


def _left(proposal: Proposal, until: datetime) -> Proposal:
    return Proposal(
        wish=Wish.HOLD,
        reason=Reason.DRAIN_OVERDUE,
        until=until,
        wanted=proposal.wish.value,
        wanted_reason=proposal.reason,
    )
