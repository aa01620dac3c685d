"""When two hosts of a slot change places, and what follows: for streams whose ingest takes one publisher.

The new host is rented and prepared beside the old one, and starts nothing. Then, when viewers lose least,
the old one ends and the new one begins, in this order and in one act (swapping.py). It proves itself like
any replacement; what shows no picture in time is told to end, and the old host publishes again. Nothing
here ends a rental before viewers have seen another one's picture (I11).
"""

from __future__ import annotations

from dataclasses import replace

from keeper.core import lulls, revisions, rollout, swapping
from keeper.core.case import Case, Proposal, Wish, case_of
from keeper.core.draft import Draft
from keeper.core.model import SlotId, SlotRecord, Status, Stream, Subject, Swapping, Tenure
from keeper.core.moments import elapsed_s, is_due, later
from keeper.core.reasons import Reason
from keeper.core.remedy import GONE_RULES, INCOMING_RULES
from keeper.core.signs import handover_ends_at

# So often one direction is tried; a stop or a start that fails twice seldom works the third time.
TRIES_MAX = 3
# What holds of any replacement until it stands beside the old host, and not of one in its place.
_OF_ONE_BESIDE = ("ready to publish", "unproven for long", "proving itself")
_RULES = tuple(rule for rule in INCOMING_RULES if rule.name not in _OF_ONE_BESIDE)


# --- before -----------------------------------------------------------------------------------------


def first(draft: Draft, slot: SlotId, stream: Stream, wanted: Proposal) -> Proposal:
    """Return whether a host that stands ready may publish now: both are at hand, and viewers let it."""
    record = draft.records[slot]
    old, new = record.tenure, record.incoming
    assert old is not None, "a swap is between two hosts"
    assert new is not None, "a swap is between two hosts"
    ends_at = handover_ends_at(_case(draft, stream, record, new))
    if not _case(draft, stream, record, old).has_link:
        # Nobody ends its publishing, nor its rental while viewers see it (I11).
        if draft.now < ends_at:
            return Proposal(wish=Wish.WAIT, reason=Reason.HANDOVER, until=ends_at)
        return Proposal(wish=Wish.REPLACE, reason=Reason.SWAP_UNABLE, is_incoming=True)
    if not _case(draft, stream, record, new).has_link:
        return Proposal(wish=Wish.WAIT, reason=Reason.HANDOVER)
    return lulls.first(draft, slot, stream, old, wanted, no_later=ends_at)


# --- from the order on ------------------------------------------------------------------------------


def propose(draft: Draft, slot: SlotId, stream: Stream) -> Proposal:
    """Say what two hosts that change places need now."""
    swap = _in_the_past(draft, slot)
    record = draft.records[slot]
    coming, leaving = record.tenure, record.incoming
    assert coming is not None, "two hosts change places"
    assert leaving is not None, "two hosts change places"
    case = _case(draft, stream, record, coming)
    case.is_incoming = True  # whoever takes a place has to prove itself
    other = _case(draft, stream, record, leaving)
    found = _by_rules(case)
    if swap.done_at is None and _has_happened(case, other):
        swapping.done(draft, slot, draft.now)
        return Proposal(wish=Wish.WAIT, reason=Reason.SWAPPED, until=draft.now)
    if swap.done_at is None:
        return _until_done(draft, swap, case, other, found)
    if swap.is_back:
        return Proposal(wish=Wish.REPLACE, reason=swap.reason, is_incoming=True)
    found = found or _proving(draft, swap, case)
    found = rollout.amend_incoming(draft, slot, stream, coming, found)
    if found.wish in (Wish.REPLACE, Wish.FORGET):
        return _go_back(swap, case, other, found)
    if found.wish is Wish.PROMOTE:
        return found
    if any(rule.when(other) for rule in GONE_RULES):
        return Proposal(wish=Wish.FORGET, reason=Reason.GONE, is_incoming=True)
    return found


def _case(draft: Draft, stream: Stream, record: SlotRecord, tenure: Tenure) -> Case:
    assert tenure.instance_id is not None, "a host without an id is not swapped"
    as_rented = revisions.as_of(draft, stream, tenure.revision)
    instance = draft.listed.get(tenure.instance_id)
    return case_of(draft.world, draft.now, as_rented, draft.fleet, record, tenure, instance)


def _in_the_past(draft: Draft, slot: SlotId) -> Swapping:
    """Let no bound wait for a clock that was stepped back."""
    swap, now = draft.records[slot].swap, draft.now
    assert swap is not None, "it is asked of those that change places"
    if max(swap.since, swap.done_at or swap.since) > now:
        done_at = None if swap.done_at is None else min(swap.done_at, now)
        ended_at = None if swap.ended_at is None else min(swap.ended_at, now)
        swap = replace(swap, since=min(swap.since, now), done_at=done_at, ended_at=ended_at)
        draft.records[slot] = replace(draft.records[slot], swap=swap)
    return swap


def _by_rules(case: Case) -> Proposal | None:
    """Return what the rules of any replacement say; None: nothing but that it proves itself."""
    for rule in _RULES:
        if rule.name == "not deployed":
            continue  # what starts it is the swap
        if rule.when(case):
            return rule.then(case)
    return None


def _has_happened(coming: Case, leaving: Case) -> bool:
    """Whether both hosts say that the one has ended and the other runs, whatever was heard of the act."""
    for case, wanted in ((coming, Status.TRUE), (leaving, Status.FALSE)):
        heard_at = case.heard_at(Subject.PROCESS)
        acted_at = coming.tenure.acted_at
        if case.running.status is not wanted or not case.is_fresh(Subject.PROCESS):
            return False
        if acted_at is None or heard_at is None or heard_at <= acted_at:
            return False
    return True


def _until_done(
    draft: Draft, swap: Swapping, coming: Case, leaving: Case, found: Proposal | None
) -> Proposal:
    """Do the act again until it is done; what will not be done in time is turned back."""
    if found is not None and found.wish in (Wish.REPLACE, Wish.FORGET):
        return _go_back(swap, coming, leaving, found)
    # Nobody could act while keeper was away.
    since = max(swap.since, draft.world.started_at or swap.since)
    ends_at = later(since, swap.bound_s)
    if draft.now >= ends_at or swap.tries >= TRIES_MAX:
        failed = Proposal(wish=Wish.REPLACE, reason=Reason.SWAP_FAILED)
        return _go_back(swap, coming, leaving, failed)
    if not (coming.has_link and leaving.has_link):
        return Proposal(wish=Wish.WAIT, reason=Reason.SWAPPED, until=ends_at)
    pause_s = coming.policy.restart_backoff_min_s
    ready_at = later(coming.tenure.acted_at or swap.since, pause_s)
    if not is_due(ready_at, draft.now, pause_s):
        return Proposal(wish=Wish.WAIT, reason=Reason.BACKING_OFF, until=min(ready_at, ends_at))
    return Proposal(wish=Wish.SWAP, reason=swap.reason, is_back=swap.is_back)


def _go_back(swap: Swapping, coming: Case, leaving: Case, found: Proposal) -> Proposal:
    """Let the other host publish: by a swap where both can be told, else by ending this one first."""
    is_there = found.wish is not Wish.FORGET and coming.has_link and leaving.has_link
    if is_there and not swap.is_back:
        return Proposal(wish=Wish.SWAP, reason=found.reason, is_back=True)
    if swap.is_back and found.reason is Reason.SWAP_FAILED:
        # The new one may publish still: it ends, and then the old one is started like any host.
        return Proposal(wish=Wish.REPLACE, reason=swap.reason, is_incoming=True)
    return replace(found, is_incoming=False)


def _proving(draft: Draft, swap: Swapping, case: Case) -> Proposal:
    """Wait for the picture of what was started, and then for enough of it."""
    assert swap.done_at is not None, "what proves itself was started"
    if case.is_on_air:
        return Proposal(wish=Wish.WAIT, reason=Reason.SWAPPED)
    since = max(swap.done_at, draft.world.started_at or swap.done_at)
    if case.tenure.first_live_at is not None:
        since = max(since, case.streaming.since)
    # Not knowing is waited for as long as two hosts may be paid for (I14).
    is_known = case.streaming.status is Status.FALSE
    bound_s = swap.bound_s if is_known else max(swap.bound_s, case.policy.handover_max_s)
    if elapsed_s(since, draft.now) >= bound_s:
        return Proposal(wish=Wish.REPLACE, reason=Reason.SWAP_FAILED)
    draft.wake(later(since, swap.bound_s) if later(since, swap.bound_s) > draft.now else None)
    return Proposal(wish=Wish.WAIT, reason=Reason.SWAPPED, until=later(since, bound_s))
