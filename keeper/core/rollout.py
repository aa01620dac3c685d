"""How a changed workload comes to hosts that are on air, and how it goes again.

One slot first, and only while all is well; the next one when that has shown its picture for long
enough. What can be changed on a host is put on it over its link; what needs another rental is a
hand-over. Where the rules would begin to repair a slot with a workload on trial, the one that worked
before is put back instead.

It stands behind the rules of remedy.py: they say how a host is, this says what should be on it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keeper.core import lulls, revisions, verdicts
from keeper.core.case import Proposal, Wish
from keeper.core.conditions import REACHABLE, STREAMING, complete, status_of, symptom_of
from keeper.core.draft import Draft
from keeper.core.fuses import refuse
from keeper.core.model import (
    ConditionKind,
    DeployWhen,
    Mode,
    Policy,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Subject,
    Tenure,
)
from keeper.core.moments import elapsed_s, is_due, later
from keeper.core.reasons import Reason
from keeper.core.recycle import has_time_to_hand_over
from keeper.core.sickness import waits_for_money
from keeper.core.windows import Allowance, strictest

_REMEDIES = (Wish.RESTART, Wish.REBOOT, Wish.REPLACE)
# What befalls a host from outside, whatever runs on it. All else is put down to what is on trial.
_NOT_ITS_DOING = frozenset(
    {
        Reason.BUDGET, Reason.CONTRACT_ENDING, Reason.CREATE_NEVER_APPEARED,
        Reason.DEAD_MAN_STOPPED, Reason.DISPLAY_LOST, Reason.GONE, Reason.GPU_LOST,
        Reason.HOST_KEY_CHANGED, Reason.MARKET_SAYS_DEAD, Reason.MARKET_STOPPED_IT,
        Reason.OPERATOR_ASKED, Reason.OUTBID, Reason.PRICE_DRIFT, Reason.STREAM_REMOVED,
    }
)  # fmt: skip


def amend(
    draft: Draft, slot: SlotId, stream: Stream, tenure: Tenure, proposal: Proposal
) -> Proposal:
    """Return what a serving host needs, its deploy considered; mostly what the rules say."""
    if not stream.revision or proposal.is_ordered:
        return proposal
    if tenure.deployed_at is None and not tenure.putting:
        return _fresh(draft, slot, stream, tenure, proposal)
    now_on = tenure.putting or tenure.revision
    if now_on == stream.revision and _is_guilty(draft, stream, tenure, proposal):
        verdicts.convict(draft, slot, stream, _fault(proposal))
    wanted = revisions.target(draft, stream)
    if not wanted or (wanted == now_on and not tenure.putting):
        _done(draft, slot)
        if draft.records[slot].incoming is None:
            lulls.call_off(draft, slot)
        return proposal
    if revisions.needs_another_rental(draft, stream, tenure.revision, wanted):
        return _move(draft, slot, stream, proposal)
    return _put(draft, slot, stream, tenure, proposal, wanted)


def amend_incoming(
    draft: Draft, slot: SlotId, stream: Stream, incoming: Tenure, proposal: Proposal
) -> Proposal:
    """Return what an incoming host needs, its deploy considered."""
    if not stream.revision or not incoming.revision:
        return proposal
    is_declared = incoming.revision == stream.revision
    known = revisions.find(revisions.known_of(draft, stream), incoming.revision)
    is_unproven = known is None or known.proven_at is None
    if incoming.revision != revisions.target(draft, stream) and is_unproven:
        # What was to be tried is not declared any more, or is bad.
        return Proposal(wish=Wish.REPLACE, reason=Reason.SUPERSEDED, is_incoming=True)
    if not is_declared or not revisions.is_on_trial(draft, stream):
        return proposal
    if proposal.wish is Wish.REPLACE and proposal.reason not in _NOT_ITS_DOING:
        verdicts.convict(draft, slot, stream, _fault(proposal))
        return Proposal(wish=Wish.REPLACE, reason=Reason.BAD_DEPLOY, is_incoming=True)
    if proposal.wish is not Wish.PROMOTE:
        return proposal
    # The old host serves on until the new deploy has shown itself for as long as on a first slot.
    since = complete(incoming, draft.now)[STREAMING].since
    proof_s = stream.policy.deploy_proof_s
    if elapsed_s(since, draft.now) < proof_s:
        until = later(since, proof_s)
        return Proposal(wish=Wish.WAIT, reason=Reason.ROLLOUT, until=until)
    assert known is not None, "what is on trial is known"
    revisions.prove(draft, slot, stream, known)
    return proposal


def to_rent(draft: Draft, slot: SlotId, stream: Stream, proposal: Proposal) -> str:
    """Return the revision for which a host is rented; "": deploys have no names."""
    if proposal.reason in (Reason.ROLLOUT, Reason.ROLLBACK):
        return revisions.target(draft, stream)
    return revisions.for_a_fresh_host(draft, slot, stream)


def to_deploy(
    draft: Draft, slot: SlotId, stream: Stream, tenure: Tenure, proposal: Proposal
) -> str:
    """Return the revision that a deploy puts on a host; "": deploys have no names."""
    if proposal.reason in (Reason.ROLLOUT, Reason.ROLLBACK):
        return revisions.target(draft, stream)
    return revisions.to_put(draft, slot, stream, tenure)


# --- verdicts ---------------------------------------------------------------------------------------


def _fresh(
    draft: Draft, slot: SlotId, stream: Stream, tenure: Tenure, proposal: Proposal
) -> Proposal:
    """A host that has nothing yet: what will not go on it is tried once without what is on trial."""
    if proposal.wish is not Wish.REPLACE or tenure.deploy_failures == 0:
        return proposal
    if tenure.revision != stream.revision:
        if proposal.reason is Reason.DEPLOY_FAILED:
            verdicts.acquit(draft, slot, stream, tenure)
        return proposal
    if not _is_guilty(draft, stream, tenure, proposal):
        return proposal
    verdicts.convict(draft, slot, stream, proposal.reason)
    back = revisions.fallback(draft, stream)
    if back is None or revisions.needs_another_rental(draft, stream, tenure.revision, back.name):
        return proposal
    return Proposal(wish=Wish.DEPLOY, reason=Reason.ROLLBACK)


def _is_guilty(draft: Draft, stream: Stream, tenure: Tenure, proposal: Proposal) -> bool:
    """Whether the rules would begin to repair what the declared revision, on trial, has broken."""
    if tenure.was_dark or not revisions.is_on_trial(draft, stream):
        return False
    if status_of(tenure, ConditionKind.HAS_GPU) is Status.FALSE:
        return False  # nothing would run there
    if tenure.putting and tenure.deploy_failures >= stream.policy.deploy_attempts_max:
        return True  # it cannot even be put there
    if tenure.putting and proposal.wish is Wish.REBOOT and not _is_reachable(tenure):
        return False  # the link was cut before anybody could say that it was started
    if proposal.reason is Reason.SYMPTOM and _is_partial(tenure):
        return (
            False  # a tunnel expires whatever is on trial, and going back costs all viewers theirs
        )
    return proposal.wish in _REMEDIES and proposal.reason not in _NOT_ITS_DOING


def _is_partial(tenure: Tenure) -> bool:
    symptom = symptom_of(tenure)
    return symptom is not None and symptom.is_partial


def _is_reachable(tenure: Tenure) -> bool:
    return status_of(tenure, ConditionKind.REACHABLE) is Status.TRUE


def _fault(proposal: Proposal) -> Reason:
    """Say what it is called bad for: what was to be mended, or that it cannot even be put there."""
    return proposal.reason if proposal.wish in _REMEDIES else Reason.DEPLOY_FAILED


# --- steps ------------------------------------------------------------------------------------------


def _put(
    draft: Draft, slot: SlotId, stream: Stream, tenure: Tenure, proposal: Proposal, wanted: str
) -> Proposal:
    """Put the wanted revision on the host over its link, when it is time for it."""
    is_back = revisions.is_bad(revisions.declared_of(draft, stream))
    reason = Reason.ROLLBACK if is_back else Reason.ROLLOUT
    is_left_to_person = proposal.wish is Wish.HOLD and proposal.reason is Reason.NEEDS_PERSON
    is_broken = is_dark(tenure) and (proposal.wish in _REMEDIES or is_left_to_person)
    # Whoever was asked for help and orders a deploy has put the cause right by that.
    is_asked = is_left_to_person and draft.records[slot].deploy_asked_at is not None
    has_failed = (
        tenure.putting == wanted
        and tenure.deploy_failures >= stream.policy.deploy_attempts_max
        and not (tenure.acted_at and _is_long_ago(draft, stream, tenure.acted_at))
    )
    if has_failed or not _has_link(draft, tenure):
        return _given_up(proposal, is_dark=is_dark(tenure) and has_failed)
    put = Proposal(wish=Wish.DEPLOY, reason=reason)
    # A dark slot has nothing to lose: what somebody has changed meanwhile is its first remedy.
    if tenure.putting or (
        is_broken and (is_back or is_asked or revisions.may_cure(draft, slot, stream, tenure))
    ):
        is_for_it = is_left_to_person or proposal.wish in (Wish.WAIT, *_REMEDIES)
        if not is_for_it or proposal.reason in _NOT_ITS_DOING:
            return proposal
        return _backed_off(tenure, stream.policy, draft, put)
    is_well = proposal.reason is Reason.HEALTHY and draft.records[slot].incoming is None
    if is_dark(tenure) or not is_well:
        return proposal  # first it is repaired, with what it has
    if not _is_time(draft, slot, stream, put):
        return proposal
    return lulls.first(draft, slot, stream, tenure, put)


def is_dark(tenure: Tenure) -> bool:
    """Whether viewers do not see a host's picture, as far as anybody knows."""
    return status_of(tenure, ConditionKind.STREAMING) is not Status.TRUE


def _is_long_ago(draft: Draft, stream: Stream, at: datetime) -> bool:
    return elapsed_s(at, draft.now) >= stream.policy.deploy_proof_s


def _given_up(proposal: Proposal, *, is_dark: bool) -> Proposal:
    """A host that takes neither is given up; while viewers see it, it is left alone."""
    if is_dark and proposal.wish in (Wish.WAIT, Wish.RESTART, Wish.REBOOT):
        return Proposal(wish=Wish.REPLACE, reason=Reason.DEPLOY_FAILED)
    return proposal


def _backed_off(tenure: Tenure, policy: Policy, draft: Draft, put: Proposal) -> Proposal:
    """Go on with what was begun, with a pause between two tries."""
    if not tenure.putting or tenure.acted_at is None:
        return put
    ready_at = later(tenure.acted_at, policy.restart_backoff_min_s)
    if is_due(ready_at, draft.now, policy.restart_backoff_min_s):
        return put
    return Proposal(wish=Wish.WAIT, reason=Reason.BACKING_OFF, until=ready_at)


def _move(draft: Draft, slot: SlotId, stream: Stream, proposal: Proposal) -> Proposal:
    """Hand over to another rental that can take the wanted revision; a dark one is given up."""
    is_back = revisions.is_bad(revisions.declared_of(draft, stream))
    if is_back and proposal.wish in (Wish.RESTART, Wish.REBOOT):
        return Proposal(wish=Wish.REPLACE, reason=Reason.BAD_DEPLOY)
    if proposal.reason is not Reason.HEALTHY or draft.records[slot].incoming is not None:
        return proposal
    reason = Reason.ROLLBACK if is_back else Reason.ROLLOUT
    move = Proposal(wish=Wish.RENT, reason=reason, is_incoming=True)
    is_asked = draft.records[slot].deploy_asked_at is not None
    if not is_back and not is_asked and not has_time_to_hand_over(draft, stream):
        return proposal  # the host has a picture: it can wait
    return move if _is_time(draft, slot, stream, move) else proposal


def _has_link(draft: Draft, tenure: Tenure) -> bool:
    """Whether this very process has a link to a host; an earlier one's is of no use to it."""
    assert tenure.instance_id is not None, "a host without an id has no rules"
    heard_at = draft.world.heard_at.get((tenure.instance_id, Subject.LINK))
    started_at = draft.world.started_at
    is_fresh = started_at is None or (heard_at is not None and heard_at >= started_at)
    return is_fresh and complete(tenure, draft.now)[REACHABLE].status is Status.TRUE


def _is_time(draft: Draft, slot: SlotId, stream: Stream, step: Proposal) -> bool:
    """Whether a host on air may get something else now: one at a time, and only while all is well."""
    record = draft.records[slot]
    is_asked = record.deploy_asked_at is not None
    if stream.mode is Mode.OBSERVE and not is_asked:
        return False
    if draft.fuses or stream.name in draft.rolling:
        return False
    if not (is_asked or (_is_window_open(draft, stream) and _is_settled(draft, stream, record))):
        return False
    if not _others_are_well(draft, slot, stream):
        return False
    if not revisions.may_have(draft, slot, stream):
        return False
    refusal = refuse(draft, slot, step)
    if refusal is not None and refusal.reason is not Reason.SUGGEST_ONLY:
        draft.wake(refusal.until)
        return False
    draft.rolling.add(stream.name)
    return True


def _is_window_open(draft: Draft, stream: Stream) -> bool:
    """Whether the calendar lets it: not while less than a replacement is allowed."""
    window = strictest(draft.world.windows, stream.name, draft.now)
    if window is None:
        return stream.policy.deploy_when is DeployWhen.AT_ONCE
    return window.allow is Allowance.REPLACE


def _is_settled(draft: Draft, stream: Stream, record: SlotRecord) -> bool:
    """Whether a slot has been well for a while with what it has: a file that flaps is no thrash."""
    tenure, since = record.tenure, record.healthy_since
    if tenure is None or since is None or complete(tenure, draft.now)[STREAMING].bad_streak:
        return False  # what the last look did not show would be put down to what comes now
    since = since if tenure.deployed_at is None else max(since, tenure.deployed_at)
    since = revisions.no_later(draft, since)
    if elapsed_s(since, draft.now) >= stream.policy.deploy_proof_s:
        return True
    draft.wake(later(since, stream.policy.deploy_proof_s))
    return False


def _others_are_well(draft: Draft, slot: SlotId, stream: Stream) -> bool:
    """Whether every other slot of the stream is on air, and none is between two deploys.

    One that a cap keeps empty, maybe for a month, keeps no change from the others.
    """
    if stream.name not in draft.unsettled:
        draft.unsettled[stream.name] = {
            each for each in stream.slots if _is_unsettled(draft, stream, draft.records[each])
        }
    return draft.unsettled[stream.name] <= {slot}


def _is_unsettled(draft: Draft, stream: Stream, record: SlotRecord) -> bool:
    tenure = record.tenure
    if not record.ever_on_air or waits_for_money(record):
        return False
    if record.incident is not None or record.incoming is not None or tenure is None:
        return True
    if tenure.putting or is_dark(tenure):
        return True
    return tenure.revision == stream.revision and not _has_come_back(draft, stream, record, tenure)


def _has_come_back(draft: Draft, stream: Stream, record: SlotRecord, tenure: Tenure) -> bool:
    """Whether a host with the new deploy has been on air with it for as long as a hand-over takes."""
    if record.healthy_since is None or tenure.deployed_at is None:
        return False
    since = revisions.no_later(draft, max(record.healthy_since, tenure.deployed_at))
    seen_s = stream.policy.handover_good_probes * stream.policy.probe_interval_s
    if elapsed_s(since, draft.now) >= seen_s:
        return True
    draft.wake(later(since, seen_s))
    return False


def _done(draft: Draft, slot: SlotId) -> None:
    """An order to deploy is done when the host has what is declared."""
    record = draft.records[slot]
    if record.deploy_asked_at is not None:
        draft.records[slot] = replace(record, deploy_asked_at=None)
