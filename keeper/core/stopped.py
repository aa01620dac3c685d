"""Spares that stand still: stopped once proven, started when a slot needs one, and never just to look.

A stopped rental pays for its disk alone. Its GPU is free for anybody meanwhile, so a start is a try: where
it is let, the order waits, for days maybe, and bills when nobody expects it any more (Vast.ai docs, manage
instances; field notes, read 2026-08). What does not come up in time is destroyed, which ends the waiting,
and the slot gets another host. None is brought up to a changed deploy, repaired or probed while it stands.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keeper.core import incident, revisions, stillness
from keeper.core.case import Case, Proposal, Wish
from keeper.core.conditions import is_starting, stands_still
from keeper.core.decisions import Wait
from keeper.core.draft import Draft, Seat
from keeper.core.flow import is_on_air, owed_dollars_per_hour
from keeper.core.fuses import is_paused
from keeper.core.model import MarketState, SlotId, Stream, Tenure
from keeper.core.moments import elapsed_s, is_due, later
from keeper.core.promote import NOT_FOR, is_suspect, is_too_dear
from keeper.core.reasons import Reason
from keeper.core.remedy import GONE_RULES
from keeper.core.room import crosses_a_limit
from keeper.core.spare import SpareKind
from keeper.core.stillness import QUEUED_AFTER_S

# A stop is confirmed within seconds to two minutes (field notes, read 2026-08). One that is not is asked
# for again, so often; then the rental is destroyed, for that ends the spending too.
STOPS_WITHIN_S = 180.0
STOP_TRIES_MAX = 3
# So long a proven spare is not stopped while its stream is in trouble: it may be wanted any moment.
_TROUBLE_S = 3600.0
_START_APART_S = 60.0


def start_ends_at(draft: Draft, stream: Stream, tenure: Tenure) -> datetime:
    """Return when a start must have shown itself: listed as running, and then with a link.

    One that keeper did not watch, or across a step of its clock, gets that time anew.
    """
    since, policy = tenure.booting_since or draft.now, stream.policy
    if draft.world.started_at is not None:
        since = max(since, draft.world.started_at)
    if tenure.start_asked_at is None:
        return later(since, max(policy.unreachable_s, stream.spares.start_within_s))
    until = later(since, stream.spares.start_within_s)
    queued_at = tenure.start_queued_at
    if queued_at is None or elapsed_s(tenure.start_asked_at, queued_at) >= QUEUED_AFTER_S:
        return until
    # The answer itself said so: it need not be guessed from what does not come.
    return min(until, later(max(queued_at, since), QUEUED_AFTER_S))


# --- what one needs ---------------------------------------------------------------------------------


def propose(draft: Draft, stream: Stream, case: Case) -> Proposal | None:
    """Say what a spare needs that stands still, or is on its way there or back; None: it runs."""
    tenure = case.tenure
    if tenure.stop_asked_at is None and not is_starting(tenure):
        return None
    for rule in GONE_RULES:
        if rule.when(case):
            return rule.then(case)
    if tenure.missing_since is not None:
        return _wait(Reason.MISSING_FROM_LIST)
    if is_starting(tenure):
        return _starting(draft, stream, tenure)
    down = _down(case)
    if down is not None:
        return down
    if stands_still(tenure):
        return _standing_still(draft, stream, tenure)
    return _stopping(draft, tenure)


def _starting(draft: Draft, stream: Stream, tenure: Tenure) -> Proposal:
    until = start_ends_at(draft, stream, tenure)
    if _may_come_up(draft, stream, tenure):
        return _wait(Reason.SPARE_STARTING, until if until > draft.now else None)
    return _give_up(Reason.SPARE_NOT_STARTED)


def _may_come_up(draft: Draft, stream: Stream, tenure: Tenure) -> bool:
    """Whether a start has still time, or no list has said yet that it has come to nothing."""
    until = start_ends_at(draft, stream, tenure)
    if draft.now < until:
        return True
    return tenure.start_asked_at is not None and not _is_listed_since(draft, until)


def _is_listed_since(draft: Draft, at: datetime) -> bool:
    """Whether a list says how it stands after a moment; if not, one is asked for."""
    listing = draft.world.listing
    if listing is not None and listing.at >= at:
        return True
    draft.count_listings(at)
    return False


def _down(case: Case) -> Proposal | None:
    """A host that is gone from the net cannot be started; a short outage ends by itself."""
    since, listing = case.tenure.dead_since, case.world.listing
    if since is None or listing is None:
        return None
    until = later(since, case.policy.unreachable_s)
    if listing.at >= until:
        return _give_up(Reason.MARKET_SAYS_DEAD)
    return _wait(Reason.MARKET_SAYS_DEAD, until if until > case.now else None)


def _stopping(draft: Draft, tenure: Tenure) -> Proposal:
    asked_at = tenure.stop_asked_at
    assert asked_at is not None, "it has been told to stop"
    draft.is_curious = True
    if draft.world.started_at is not None:
        asked_at = max(asked_at, draft.world.started_at)
    until = later(asked_at, STOPS_WITHIN_S)
    if draft.now < until:
        return _wait(Reason.SPARE_PROVEN, until)
    if not _is_listed_since(draft, until):
        return _wait(Reason.SPARE_PROVEN)
    return _once_more(tenure)


def _once_more(tenure: Tenure) -> Proposal:
    if tenure.stop_tries >= STOP_TRIES_MAX:
        return _give_up(Reason.SPARE_NOT_STOPPED)
    return Proposal(wish=Wish.STOP, reason=Reason.SPARE_PROVEN)


def _standing_still(draft: Draft, stream: Stream, tenure: Tenure) -> Proposal:
    if tenure.start_refused is Reason.SPARE_NOT_STARTED:
        return _give_up(Reason.SPARE_NOT_STARTED)
    if tenure.start_queued_at is not None:  # by somebody else's order, which a stop takes back
        return _once_more(tenure)
    wanted = revisions.target(draft, stream)
    if wanted not in {"", tenure.revision} and not revisions.is_on_trial(draft, stream):
        return _give_up(Reason.ROLLOUT)
    return _wait(Reason.SPARE_STANDS)


def when_ready(draft: Draft, stream: Stream, case: Case) -> Proposal | None:
    """Say whether a spare that could take over now is to stand still instead; None: it runs on."""
    tenure = case.tenure
    # A bid that was stopped must be won again; a dead man would stop it as soon as it starts.
    if stream.spares.kind is not SpareKind.STOPPED or tenure.is_bid or tenure.is_guarded:
        return None
    up_since = max(tenure.ready_at or draft.now, tenure.booted_at or draft.now)
    calm_at = later(up_since, _TROUBLE_S)
    records = (draft.records[slot] for slot in stream.slots)
    is_well = all(is_on_air(each) and each.incoming is None for each in records)
    if not is_well and draft.now < calm_at:
        draft.wake(calm_at)
        return None
    return Proposal(wish=Wish.STOP, reason=Reason.SPARE_PROVEN)


def _wait(reason: Reason, until: datetime | None = None) -> Proposal:
    return Proposal(wish=Wish.WAIT, reason=reason, until=until)


def _give_up(reason: Reason) -> Proposal:
    return Proposal(wish=Wish.REPLACE, reason=reason)


# --- when a slot needs one --------------------------------------------------------------------------


def comes(draft: Draft, slot: SlotId, stream: Stream, reason: Reason) -> SlotId | None:
    """Name the spare that a slot waits for, or may have started now, instead of renting; None: none."""
    if slot not in draft.slots or reason in NOT_FOR or draft.records[slot].offer_asked is not None:
        return None
    free = [place for place in stream.spare_places if draft.awaited.get(place, slot) == slot]
    coming = [place for place in free if _is_coming(draft, place, stream)]
    if coming:
        return coming[0]
    able = [place for place in free if _is_startable(draft, place, stream)]
    return min(able, key=lambda place: (_ready_since(draft, place), place), default=None)


def start(draft: Draft, slot: SlotId, stream: Stream, reason: Reason) -> bool:
    """Let a slot wait for a spare that starts; returns whether there is one."""
    place = comes(draft, slot, stream, reason)
    tenure = None if place is None else draft.records[place].tenure
    if place is None or tenure is None or tenure.instance_id is None:
        return False
    draft.awaited[place] = slot
    if not is_starting(tenure):
        tenure = _order(draft, place, reason)
    until = start_ends_at(draft, stream, tenure)
    wait = Wait(slot=slot, reason=Reason.SPARE_STARTING, until=until if until > draft.now else None)
    draft.decide(slot, wait, detail=f"{place}, rental {tenure.instance_id}")
    return True


def _is_coming(draft: Draft, place: SlotId, stream: Stream) -> bool:
    """Whether a spare was told to start and may still come up in its time."""
    record = draft.records[place]
    tenure = record.tenure
    if tenure is None or record.destroy_asked_at is not None or not is_starting(tenure):
        return False
    # One that a list lacks is still a question; its time ends all the same (I9).
    return place not in draft.world.held_slots and _may_come_up(draft, stream, tenure)


def _is_startable(draft: Draft, place: SlotId, stream: Stream) -> bool:
    """Whether a spare stands still, nothing is known against it, and its start may be paid for."""
    record, world = draft.records[place], draft.world
    tenure = record.tenure
    if tenure is None or tenure.instance_id is None or not stands_still(tenure):
        return False
    if record.destroy_asked_at is not None or record.replace_asked_at is not None:
        return False
    if place in world.in_flight or place in world.held_slots or place in draft.decided:
        return False
    pause = world.slot_pauses.get(place)
    if pause is not None and is_paused(pause, draft.now):
        return False
    instance = draft.listed.get(tenure.instance_id)
    if instance is None or instance.state is not MarketState.STOPPED:
        return False
    is_doubted = any(
        (
            tenure.missing_since, tenure.dead_since, tenure.ending_since, tenure.putting,
            is_too_dear(stream, tenure),
        )
    )  # fmt: skip
    if is_doubted or is_suspect(draft, tenure) or _is_over(draft, stream, tenure):
        return False
    more = tenure.dollars_per_hour + tenure.traffic_dollars_per_hour
    more -= owed_dollars_per_hour(tenure)  # what it costs standing, which is counted already
    return crosses_a_limit(draft, stream, more) is None


def _is_over(draft: Draft, stream: Stream, tenure: Tenure) -> bool:
    """Whether it is to be given up anyway, or was refused a moment ago."""
    if _standing_still(draft, stream, tenure).wish is not Wish.WAIT:
        return True
    if tenure.start_refused is None or tenure.acted_at is None:
        return False
    again_at = later(tenure.acted_at, _START_APART_S)
    return not is_due(again_at, draft.now, _START_APART_S)


def _ready_since(draft: Draft, place: SlotId) -> float:
    tenure = draft.records[place].tenure
    since = draft.now if tenure is None or tenure.ready_at is None else tenure.ready_at
    return since.timestamp()


# --- written down -----------------------------------------------------------------------------------


def _order(draft: Draft, place: SlotId, reason: Reason) -> Tenure:
    """Order a spare to start. All is there, and nothing of it runs: the slot will see to that."""
    stillness.start(draft, place, reason)
    draft.decided.add(place)
    tenure, _ = draft.host(place)
    started = replace(tenure, prepared_at=tenure.prepared_at or draft.now)
    draft.put(place, Seat.TENURE, started)
    incident.note_act(draft, place, "start", reason)
    return started
