"""Which slots need no look in this tick: found well before, and nothing of that has changed.

What a whole tick does with a slot that is well, it does to no effect: it binds, judges and decides
that all is as it was. So what it read is compared instead, and the answer before stands. Whatever is
said of a slot that is not what was said before, and every moment at which time alone would tell
another story, makes it a slot like any other: there is no second way to decide, only one to leave
alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from keeper.core import revisions
from keeper.core.belief import confirms
from keeper.core.decisions import Wait
from keeper.core.draft import Draft
from keeper.core.flow import bill_of
from keeper.core.model import Desired, SlotId, Stream, Tenure
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.recycle import is_ever_recycled, stays_until
from keeper.core.silence import witnesses_of
from keeper.core.standing import Sound, Standing
from keeper.core.terms import ending_soon_at, first_listing_after
from keeper.core.well import is_well
from keeper.core.world import Listing

# Moments are met with a little room, for they are rounded.
_ROOM_S = 1.0


def leave_alone(draft: Draft, desired: Desired) -> None:
    """Name the slots that are undisturbed, and ask for a look when that may end."""
    standing, listing = draft.standing, draft.world.listing
    if listing is not None and _still_holds(standing, draft, desired, listing):
        draft.undisturbed = {
            slot: sound
            for slot, sound in standing.sound.items()
            if _is_as_it_was(draft, sound) and _is_before_its_moments(draft, sound, listing)
        }
    standing.sound = draft.undisturbed
    standing.desired, standing.at = desired, draft.now
    standing.revisions = draft.world.revisions


def note_sound(draft: Draft) -> None:
    """Remember which of the slots that were gone over are well."""
    world = draft.world
    if len(draft.undisturbed) == len(draft.records) or world.listing is None or world.shown:
        return
    found = {sound.record.slot: sound for sound in _found_sound(draft, world.listing)}
    draft.standing.sound = {**draft.undisturbed, **found}


def _still_holds(standing: Standing, draft: Draft, desired: Desired, listing: Listing) -> bool:
    """Whether wishes and deploys are the same, no clock fell back, and the listing tells of now."""
    return (
        standing.desired is desired
        and standing.revisions == draft.world.revisions
        and standing.at is not None
        and standing.at <= draft.now
        and elapsed_s(listing.at, draft.now) <= draft.fleet.listing_stale_s
    )


# --- what was read, and is the same -------------------------------------------------------------------


def _is_as_it_was(draft: Draft, sound: Sound) -> bool:
    world, record, instance_id = draft.world, sound.record, sound.instance_id
    slot, tenure = record.slot, record.tenure
    assert tenure is not None, "a slot that is well has a host"
    listed = draft.listed.get(instance_id)
    return (
        draft.records.get(slot) is record
        and (listed is sound.instance or listed == sound.instance)
        and slot not in world.in_flight
        and slot not in world.held_slots
        and world.host_keys.get(instance_id, "") == sound.host_key
        and world.guards.get(instance_id, tenure.is_guarded) is tenure.is_guarded
        and all(
            confirms(tenure, reading, draft.policy(slot))
            for reading in draft.readings.get(instance_id, ())
        )
    )


# --- when time alone would change the answer ----------------------------------------------------------


def _is_before_its_moments(draft: Draft, sound: Sound, listing: Listing) -> bool:
    if sound.ending_at is not None and listing.at >= sound.ending_at:
        return False
    if sound.recycle_at is not None and sound.recycle_at <= draft.now:
        return False
    silent_at = _silent_at(draft, sound)
    if silent_at <= later(draft.now, _ROOM_S):
        return False
    draft.wake_if_silent(silent_at)
    draft.wake(sound.recycle_at)
    if sound.ending_at is not None and draft.would_wake(sound.ending_at):
        draft.wake(first_listing_after(sound.ending_at, listing.at, draft.fleet.list_interval_s))
    return True


def stands(draft: Draft, slot: SlotId, stream: Stream) -> Sound | None:
    """Return what stands of a slot at the moment of its decision; None: it is to be decided on.

    Steps in between may have reached for it all the same: money may end it, a deploy be found bad.
    """
    sound = draft.undisturbed.get(slot)
    if sound is None or draft.records[slot] is not sound.record or stream.name in draft.revisions:
        return None
    return sound


def _silent_at(draft: Draft, sound: Sound) -> datetime:
    """Return when the first of its witnesses will have been silent for too long."""
    heard_at, started_at = draft.world.heard_at, draft.world.started_at
    earliest: datetime | None = None
    for key, since in sound.witnesses:
        heard = heard_at.get(key, started_at)
        if heard is None or heard < since:
            heard = since
        if earliest is None or heard < earliest:
            earliest = heard
    assert earliest is not None, "somebody sees the picture"
    return later(earliest, sound.probe_stale_s)


# --- found well ---------------------------------------------------------------------------------------


def _found_sound(draft: Draft, listing: Listing) -> Iterator[Sound]:
    world = draft.world
    for slot, stream in draft.slots.items():
        record = draft.records[slot]
        if (
            slot in draft.undisturbed
            or world.records.get(slot) is not record  # this tick has changed it
            or slot in world.in_flight
            or slot in world.held_slots
            or not is_well(record)
        ):
            continue
        tenure = record.tenure
        assert tenure is not None, "a slot that is well has a host"
        assert tenure.instance_id is not None
        bill = bill_of(record, draft.listed, frozenset())
        instance = draft.listed.get(tenure.instance_id)
        if (
            instance is None
            or bill is None
            or listing.at <= (tenure.rented_at or tenure.requested_at)
            or tenure.booted_at is None
            or tenure.revision not in ("", record.proven_revision)
            or not _has_what_is_declared(draft, stream, tenure)
        ):
            continue
        recycle_at = None
        if is_ever_recycled(record, stream):
            recycle_at = stays_until(record, stream, draft.now)
            if recycle_at is None:
                continue
        yield Sound(
            record=record,
            instance_id=tenure.instance_id,
            instance=instance,
            host_key=world.host_keys.get(tenure.instance_id, ""),
            decision=Wait(slot=slot, reason=Reason.HEALTHY),
            bill=bill,
            probe_stale_s=stream.policy.probe_stale_s,
            witnesses=witnesses_of(tenure),
            recycle_at=recycle_at,
            ending_at=ending_soon_at(tenure, stream.policy),
        )


def _has_what_is_declared(draft: Draft, stream: Stream, tenure: Tenure) -> bool:
    """Whether a host carries what its stream should, so that no deploy is waited for."""
    return not stream.revision or (
        tenure.revision == stream.revision
        and not revisions.is_bad(revisions.declared_of(draft, stream))
    )
