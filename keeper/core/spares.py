"""What a spare needs: to be there, to be able, to cost little. Decided after every slot, by few rules.

A spare serves nobody, so nothing about it is urgent and nobody mends it: one that is of no use is given
back, and another is rented within the same allowance as any host. It waits for every slot that needs
one, for every doubt about the fleet, and for its own stream to be on air: what does not run on the
stream's hosts would not run on a spare.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keeper.core import revisions, rollout, stopped
from keeper.core.case import Case, Proposal, Wish, case_of, dark_since
from keeper.core.conditions import is_silent
from keeper.core.decisions import Prepare
from keeper.core.draft import Draft, Seat
from keeper.core.events import SpareReady, WorkloadDeploying
from keeper.core.flow import is_on_air
from keeper.core.model import (
    IntentKind,
    Mode,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Tenure,
)
from keeper.core.moments import elapsed_s, is_due, later
from keeper.core.promote import is_able, is_quarantined
from keeper.core.reasons import Reason
from keeper.core.remedy import BOOT_RULES, GONE_RULES
from keeper.core.signs import (
    handover_ends_at,
    has_grown_dear,
    is_ending,
    is_outbid,
    is_warming_up,
    needs_person,
    warmup_ends_at,
)
from keeper.core.spare_money import is_short

# A spare that could still be of use to a slot in trouble outlives its term by at most this.
_LEEWAY_S = 3600.0


def propose(draft: Draft, place: SlotId, stream: Stream) -> Proposal:
    """Say what the place of a spare needs now; in a stream that is only watched, what it would need."""
    wanted = _wanted(draft, place, stream)
    if stream.mode is Mode.ACT or wanted.wish is Wish.WAIT:
        return wanted
    is_silent = stream.mode is Mode.OBSERVE
    return Proposal(
        wish=Wish.HOLD,
        reason=Reason.OBSERVE_ONLY if is_silent else Reason.SUGGEST_ONLY,
        wanted=wanted.wish.value,
        wanted_reason=wanted.reason,
    )


def _wanted(draft: Draft, place: SlotId, stream: Stream) -> Proposal:
    record = _without_orders(draft, place)
    tenure = record.tenure
    if tenure is None:
        if place in draft.decided or _must_wait(draft, stream):
            return Proposal(wish=Wish.WAIT, reason=Reason.SPARE_WAITS)
        return _spent(draft, record) or Proposal(wish=Wish.RENT, reason=Reason.SPARE_WANTED)
    if tenure.instance_id is None:
        return Proposal(wish=Wish.WAIT, reason=Reason.CREATE_UNSETTLED)
    instance = draft.listed.get(tenure.instance_id)
    as_rented = revisions.as_of(draft, stream, tenure.revision)
    case = case_of(draft.world, draft.now, as_rented, draft.fleet, record, tenure, instance)
    return (
        _end_of_use(draft, place, stream, case)
        or stopped.propose(draft, stream, case)
        or _on_its_way(case, tenure)
        or _of_another_deploy(draft, stream, case)
        or _when_up(draft, place, stream, case)
    )


def _spent(draft: Draft, record: SlotRecord) -> Proposal | None:
    """Hold a place whose allowance is used up but for the one that a slot would still be given."""
    policy = draft.policy(record.slot)
    window_s = policy.replacements_window_s
    used = [at for at in record.replaced_at if elapsed_s(at, draft.now) < window_s]
    if not used or len(used) < policy.replacements_max:
        return None
    return Proposal(
        wish=Wish.HOLD,
        reason=Reason.REPLACEMENTS_SPENT,
        until=later(used[0], window_s),
        wanted=Wish.RENT.value,
        wanted_reason=Reason.SPARE_WANTED,
    )


def _without_orders(draft: Draft, place: SlotId) -> SlotRecord:
    """Take an order to replace a spare as one to give it back; to restart it, as one for nothing."""
    record = draft.records[place]
    if record.tenure is None and record.replace_asked_at is not None:
        record = draft.records[place] = replace(record, replace_asked_at=None)
    if record.restart_asked_at is not None or record.deploy_asked_at is not None:
        record = replace(record, restart_asked_at=None, deploy_asked_at=None)
        draft.records[place] = record
    return record


# --- when none is rented ----------------------------------------------------------------------------


def _must_wait(draft: Draft, stream: Stream) -> bool:
    """Whether something comes first: a doubt, a slot without its host, a stream that is not well."""
    # Where hosts get what worked before again, a spare gets that, too.
    is_back = revisions.target(draft, stream) != stream.revision
    if draft.fuses or (stream.name in draft.bad_deploys and not is_back):
        return True
    if revisions.is_on_trial(draft, stream) or revisions.is_stuck(draft, stream):
        return True
    own = [draft.records[slot] for slot in stream.slots]
    if any(not is_on_air(record) or record.incoming is not None for record in own):
        return True
    return any(_is_without_host(draft, slot, other) for slot, other in draft.slots.items())


def _is_without_host(draft: Draft, slot: SlotId, stream: Stream) -> bool:
    """Whether a slot that keeper may fill has no host that is known to exist."""
    if stream.mode is not Mode.ACT or slot in draft.world.slot_pauses:
        return False  # by a person's wish
    tenure = draft.records[slot].tenure
    return tenure is None or tenure.listed_at is None


# --- when one is there ------------------------------------------------------------------------------


def _end_of_use(draft: Draft, place: SlotId, stream: Stream, case: Case) -> Proposal | None:
    """Say why a spare goes, if it does."""
    tenure = case.tenure
    if draft.records[place].replace_asked_at is not None:
        return _give_up(Reason.OPERATOR_ASKED)
    if case.reachable.reason is Reason.HOST_KEY_CHANGED:
        return _give_up(Reason.HOST_KEY_CHANGED)
    if place in draft.awaited:
        return None  # it is a slot's already, but for the time until it is up
    if is_short(draft, place, stream):
        return _give_up(Reason.BUDGET)
    if is_ending(case):
        return _give_up(Reason.CONTRACT_ENDING)
    if has_grown_dear(case):
        return _give_up(Reason.PRICE_DRIFT)
    since = tenure.rented_at or tenure.requested_at
    expires_at = later(since, stream.spares.expire_after_s + _leeway_s(draft, stream))
    if draft.now >= expires_at:
        return _give_up(Reason.SPARE_EXPIRED)
    draft.wake(expires_at)
    # A named cause only keeps it from taking over: the next one might well have the same trait.
    if is_quarantined(draft, tenure):
        return _give_up(Reason.SPARE_UNFIT)
    return None


def _leeway_s(draft: Draft, stream: Stream) -> float:
    is_well = all(is_on_air(draft.records[slot]) for slot in stream.slots)
    return 0.0 if is_well else _LEEWAY_S


def _give_up(reason: Reason) -> Proposal:
    return Proposal(wish=Wish.REPLACE, reason=reason)


def _wait(reason: Reason, until: datetime | None = None) -> Proposal:
    return Proposal(wish=Wish.WAIT, reason=reason, until=until)


def _on_its_way(case: Case, tenure: Tenure) -> Proposal | None:
    """Bring a spare up by the rules of any host; None: it is up."""
    is_prepared = _is_prepared(tenure)
    for rule in (*GONE_RULES, *BOOT_RULES):
        if is_prepared and rule.name == "not deployed":
            continue
        if rule.when(case):
            return _of_a_spare(case, rule.then(case))
    return None


def _is_prepared(tenure: Tenure) -> bool:
    return tenure.prepared_at is not None and tenure.deployed_at is None


def _of_another_deploy(draft: Draft, stream: Stream, case: Case) -> Proposal | None:
    """Bring what is on a spare up to what its stream's hosts should have, once that is proven."""
    tenure = case.tenure
    wanted = revisions.target(draft, stream)
    now_on = tenure.putting or tenure.revision
    is_other = wanted not in {"", tenure.revision} and not revisions.is_on_trial(draft, stream)
    if not is_other and not tenure.putting:
        return None
    if revisions.needs_another_rental(draft, stream, now_on, wanted):
        return _give_up(Reason.ROLLOUT)
    if tenure.deploy_failures >= case.policy.deploy_attempts_max:
        return _give_up(Reason.DEPLOY_FAILED)
    if not case.has_link:
        return _wait(Reason.UNKNOWN_IS_NOT_UNHEALTHY)
    pause_s = case.policy.restart_backoff_min_s
    if tenure.deploy_failures and tenure.acted_at is not None:
        ready_at = later(tenure.acted_at, pause_s)
        if not is_due(ready_at, draft.now, pause_s):
            return _wait(Reason.BACKING_OFF, ready_at)
    return _of_a_spare(case, Proposal(wish=Wish.DEPLOY, reason=Reason.ROLLOUT))


def _when_up(draft: Draft, place: SlotId, stream: Stream, case: Case) -> Proposal:
    """Say whether a spare that is up could take over, and whether it is to stand still until then."""
    tenure = case.tenure
    if is_able(case):
        _note_ready(draft, place, tenure)
        return stopped.when_ready(draft, stream, case) or _wait(Reason.SPARE_READY)
    if _is_prepared(tenure):
        return _wait(Reason.UNKNOWN_IS_NOT_UNHEALTHY)
    return _seen_by_viewers(case)


def _of_a_spare(case: Case, proposal: Proposal) -> Proposal:
    if proposal.wish is Wish.DEPLOY and not case.stream.spares.is_started:
        return replace(proposal, wish=Wish.PREPARE)
    if proposal.reason is Reason.AUDITION_FAILED:
        return _give_up(Reason.AUDITION_FAILED)  # nobody mends one: another may do better
    if is_outbid(case) and proposal.wish is Wish.REBID:
        return _give_up(Reason.OUTBID)  # nobody bids higher for what serves nobody
    return proposal


def _seen_by_viewers(case: Case) -> Proposal:
    """Judge the picture of a spare that runs: it must come up in time, and stay."""
    tenure = case.tenure
    if case.is_on_air:
        return _wait(Reason.HANDOVER)
    if needs_person(case):
        # The next one would say the same: a host after the other was rented, and their machines blamed.
        return Proposal(
            wish=Wish.HOLD,
            reason=Reason.NEEDS_PERSON,
            wanted="repair",
            wanted_reason=Reason.SYMPTOM,
        )
    if is_warming_up(case):
        return _wait(Reason.WARMING_UP, warmup_ends_at(case))
    if is_silent(case.streaming):
        return _wait(Reason.NO_SOUND)  # it cannot take over, and the next one may be as silent
    if case.streaming.status is Status.UNKNOWN:
        return _wait(Reason.UNKNOWN_IS_NOT_UNHEALTHY)
    if tenure.first_live_at is None:
        until = handover_ends_at(case)
        if case.now >= until:
            return _give_up(Reason.NO_PICTURE_EVER)
        return _wait(Reason.NOT_ENOUGH_EVIDENCE, until)
    since = max(dark_since(case), case.world.started_at or dark_since(case))
    until = later(since, case.policy.replace_after_s)
    if case.now >= until:
        return _give_up(Reason.SPARE_SICK)
    return _wait(Reason.NOT_ENOUGH_EVIDENCE, until)


def _note_ready(draft: Draft, place: SlotId, tenure: Tenure) -> None:
    if tenure.ready_at is not None or tenure.instance_id is None:
        return
    draft.put(place, Seat.TENURE, replace(tenure, ready_at=draft.now))
    since = tenure.rented_at or tenure.requested_at
    draft.tell(
        SpareReady(
            slot=place,
            instance_id=tenure.instance_id,
            duration_s=elapsed_s(since, draft.now),
        )
    )


# --- written down -----------------------------------------------------------------------------------


def prepare(
    draft: Draft, place: SlotId, stream: Stream, proposal: Proposal, seat: Seat = Seat.TENURE
) -> None:
    """Put the workload on a spare, or on a slot's incoming host, without starting it."""
    tenure, instance_id = draft.host(place, seat)
    name = rollout.to_deploy(draft, place, stream, tenure, proposal)
    intent_id = draft.open_intent(
        IntentKind.PREPARE, place, tenure.label, instance_id, proposal.reason
    )
    draft.put(
        place,
        seat,
        replace(tenure, acted_at=draft.now, revision=name, prepared_at=None),
    )
    draft.tell(
        WorkloadDeploying(
            slot=place, instance_id=instance_id, reason=proposal.reason, revision=name
        )
    )
    draft.decide(
        place,
        Prepare(
            slot=place,
            reason=proposal.reason,
            intent_id=intent_id,
            instance_id=instance_id,
            revision=name,
        ),
    )
