"""A spare takes over: what was rented ahead becomes the host of a slot that needs another one.

Nothing outside is touched. The rental moves from the record of its own place into the record of the
slot, both in one commit, so at every moment exactly one of them owns it; its label stays what it was.
A spare that may share the cause of what failed stays where it is, and the slot rents like any other.
"""

from __future__ import annotations

from dataclasses import replace

from keeper.core import incident
from keeper.core.case import Case, case_of
from keeper.core.cause import traits_of
from keeper.core.conditions import HAS_GPU, HAS_ROOM
from keeper.core.creates import count_replacement, without_search
from keeper.core.decisions import Promote
from keeper.core.draft import Draft, Seat
from keeper.core.events import SparePromoted
from keeper.core.fuses import is_paused
from keeper.core.market import avoided_by_quarantine
from keeper.core.model import MachineId, SlotId, Status, Stream, Subject, Tenure
from keeper.core.moments import elapsed_s
from keeper.core.reasons import Reason
from keeper.core.rent import charged_now

# What is never urgent enough to use up a spare, and would put an older host in a new one's place.
NOT_FOR = (Reason.RECYCLE, Reason.ROLLOUT, Reason.ROLLBACK)


def take_over(draft: Draft, slot: SlotId, stream: Stream, seat: Seat, reason: Reason) -> bool:
    """Seat a ready spare instead of renting; returns whether there was one."""
    place = at_hand(draft, slot, stream, reason)
    spare = None if place is None else draft.records[place].tenure
    if place is None or spare is None or spare.instance_id is None:
        return False
    record = draft.records[slot]
    # Its number is the slot's next: whoever ordered another host sees that this is one.
    attempt = record.attempt + 1
    dark_s = 0.0 if record.dark_since is None else elapsed_s(record.dark_since, draft.now)
    why = _why(draft, slot, reason)
    draft.records[place] = replace(without_search(draft.records[place]), tenure=None)
    count_replacement(draft, place)  # what follows it there counts like any other successor
    draft.decided.add(place)
    draft.records[slot] = replace(
        without_search(record),
        attempt=attempt,
        replaced_at=charged_now(draft, record, seat),
        took_over_at=draft.now,
        took_over_dark_s=dark_s,
        took_over_for=why,
    )
    is_to_wait = seat is Seat.INCOMING and stream.takes_one_publisher
    draft.put(slot, seat, _as_host(draft, spare, attempt, is_to_wait=is_to_wait))
    if seat is Seat.INCOMING:
        count_replacement(draft, slot)
    draft.tell(
        SparePromoted(
            slot=slot,
            instance_id=spare.instance_id,
            label=spare.label,
            spare=place,
            reason=why,
            duration_s=dark_s,
            is_beside=seat is Seat.INCOMING,
        )
    )
    draft.decide(
        slot,
        Promote(
            slot=slot,
            reason=Reason.SPARE_TOOK_OVER,
            instance_id=spare.instance_id,
            label=spare.label,
            spare=place,
        ),
        detail=f"{place} for {why.value}",
    )
    draft.wake(draft.now)
    if seat is Seat.TENURE:
        incident.follow(draft, slot)
    return True


def _as_host(draft: Draft, spare: Tenure, attempt: int, *, is_to_wait: bool) -> Tenure:
    """Return the spare's rental as the slot's: it serves, and proves itself, from now on.

    ``is_to_wait``: what is prepared there starts only when the host that serves has ended.
    """
    if spare.dear_since is not None:  # what it costs by now was known when it was taken
        spare = replace(spare, offered_dollars_per_hour=spare.dollars_per_hour, dear_since=None)
    return replace(
        spare,
        attempt=attempt,
        booted_at=draft.now,
        # One that stood still has no picture yet, whatever it showed before.
        first_live_at=None if _is_dark(spare) else draft.now,
        prepared_at=spare.prepared_at if is_to_wait and spare.deployed_at is None else None,
        ready_at=None,
    )


def _is_dark(spare: Tenure) -> bool:
    return spare.first_live_at is None or spare.deployed_at is None


def _why(draft: Draft, slot: SlotId, reason: Reason) -> Reason:
    """Say why the slot needs a host: what took the one before, where it is gone already."""
    record = draft.records[slot]
    if record.tenure is not None:
        return reason
    return record.last_act_reason if record.last_act == "destroy" else reason


def at_hand(draft: Draft, slot: SlotId, stream: Stream, reason: Reason) -> SlotId | None:
    """Return the spare that may take over now, the one that has been ready longest; None: none."""
    if slot not in draft.slots or reason in NOT_FOR or draft.records[slot].offer_asked is not None:
        return None
    ready = [place for place in stream.spare_places if is_ready(draft, place, stream)]
    return min(ready, key=lambda place: (_ready_since(draft, place), place), default=None)


def _ready_since(draft: Draft, place: SlotId) -> float:
    tenure = draft.records[place].tenure
    since = draft.now if tenure is None or tenure.ready_at is None else tenure.ready_at
    return since.timestamp()


def is_ready(draft: Draft, place: SlotId, stream: Stream) -> bool:
    """Whether a spare could serve at once, and nothing is known against it."""
    record, world = draft.records[place], draft.world
    tenure = record.tenure
    if tenure is None or tenure.instance_id is None or record.destroy_asked_at is not None:
        return False
    if place in world.in_flight or place in world.held_slots or place in draft.decided:
        return False
    pause = world.slot_pauses.get(place)
    if (pause is not None and is_paused(pause, draft.now)) or not tenure.conditions:
        return False
    instance = draft.listed.get(tenure.instance_id)
    case = case_of(world, draft.now, stream, draft.fleet, record, tenure, instance)
    return instance is not None and is_able(case) and not is_suspect(draft, tenure)


def is_able(case: Case) -> bool:
    """Whether a spare has shown all that can be asked of one."""
    tenure, conditions = case.tenure, case.tenure.conditions
    is_doubted = any(
        (
            tenure.missing_since, tenure.dead_since, tenure.outbid_since, tenure.ending_since,
            tenure.stop_asked_at, is_too_dear(case.stream, tenure),
        )
    )  # fmt: skip
    if is_doubted or tenure.putting or not case.has_link:
        return False
    if conditions[HAS_GPU].status is Status.FALSE or conditions[HAS_ROOM].status is Status.FALSE:
        return False
    if tenure.deployed_at is None:
        return tenure.prepared_at is not None
    is_proven = tenure.good_in_a_row >= case.policy.handover_good_probes
    return case.is_on_air and is_proven and case.is_fresh(Subject.PICTURE)


def is_too_dear(stream: Stream, tenure: Tenure) -> bool:
    """Whether a spare costs more by now than its stream may pay for a host: a host would go for that."""
    limit = stream.needs.price_max_dollars_per_hour
    return tenure.dear_since is not None and tenure.dollars_per_hour > limit


def is_suspect(draft: Draft, tenure: Tenure) -> bool:
    """Whether a spare has what others failed for: a machine, an owner, a named cause."""
    if is_quarantined(draft, tenure) or _has_failed(draft, tenure):
        return True
    traits = traits_of(tenure)
    return any(traits.get(cause.trait.value) == cause.value for cause in draft.causes)


def is_quarantined(draft: Draft, tenure: Tenure) -> bool:
    """Whether its machine, or its owner, is avoided by now."""
    quarantine = {**draft.world.quarantine, **draft.struck}
    machines, owners = avoided_by_quarantine(
        quarantine, draft.now, draft.fleet.quarantine_host_after
    )
    return tenure.machine_id in machines or tenure.host_id in owners


def _has_failed(draft: Draft, tenure: Tenure) -> bool:
    """Whether its machine carried a host that failed, lately enough to count."""
    if not tenure.machine_id:
        return False
    failed: set[MachineId] = {each.machine_id for each in draft.failures}
    return tenure.machine_id in failed
