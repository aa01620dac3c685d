"""Pauses of slots and of streams, in one mapping: what holds a slot, and each that comes later.

A pause of a stream is kept for each of its slots, and once more under the stream's own key: slots and
places of spares that a new configuration adds take it from there. A pause of a slot is of no other.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import TypeVar

from keeper.core.model import SlotId, SlotRecord, Stream, StreamName, stream_of
from keeper.core.world import Pause

_Held = TypeVar("_Held")


def key_of(stream: StreamName) -> SlotId:
    """Return the key of a stream's own pause: its name, which is no slot's."""
    return SlotId(stream)


def is_of_stream(key: SlotId) -> bool:
    """Whether this is the key of a stream's own pause."""
    return "/" not in key


def stream_at(key: SlotId) -> StreamName:
    """Return the stream that a pause is about."""
    return StreamName(key) if is_of_stream(key) else stream_of(key)


def of_slots(pauses: Mapping[SlotId, _Held]) -> Mapping[SlotId, _Held]:
    """Return what is kept of slots, without what is kept of streams."""
    return {key: held for key, held in pauses.items() if not is_of_stream(key)}


def newcomers(
    pauses: Mapping[SlotId, Pause], streams: Iterable[Stream], known: Container[SlotId]
) -> tuple[SlotId, ...]:
    """Return the declared slots and places of paused streams that are seen for the first time."""
    if not any(is_of_stream(key) for key in pauses):
        return ()
    return tuple(
        slot
        for stream in streams
        if key_of(stream.name) in pauses
        for slot in (*stream.slots, *stream.spare_places)
        if slot not in known
    )


def holding(pauses: Mapping[SlotId, Pause], new: Iterable[SlotId]) -> Mapping[SlotId, Pause]:
    """Return the pauses with those of slots that have just come to a paused stream."""
    added = {
        slot: pauses[key]
        for slot in new
        if (key := key_of(stream_of(slot))) in pauses and slot not in pauses
    }
    return {**pauses, **added} if added else pauses


def at_start(
    pauses: Mapping[SlotId, Pause], streams: Iterable[Stream], records: Iterable[SlotRecord]
) -> Mapping[SlotId, Pause]:
    """Return the pauses that a starting keeper finds: more may be declared than when it stopped."""
    known = frozenset(record.slot for record in records)
    return holding(pauses, newcomers(pauses, streams, known))


def paused(
    pauses: Mapping[SlotId, Pause],
    slot: SlotId,
    taken: Pause,
    *,
    stream: StreamName | None,
    was: Pause | None,
) -> dict[SlotId, Pause]:
    """Return the pauses with that of a slot; ``stream``: it is paused as one of that stream.

    ``was`` is what held the stream before. What is a slot's own, and lasts longer, stays: a slot that
    was destroyed by order must not be filled because the pause of its stream ends.
    """
    if stream is None:
        return {**pauses, slot: taken}
    own = pauses.get(slot)
    stays = own is not None and own != was and _outlasts(own, taken)
    return {**pauses, key_of(stream): taken, **({} if stays else {slot: taken})}


def _outlasts(one: Pause, other: Pause) -> bool:
    if one.until is None or other.until is None:
        return one.until is None
    return one.until > other.until


def resumed(pauses: Mapping[SlotId, Pause], slot: SlotId, *, is_all: bool) -> dict[SlotId, Pause]:
    """End the pause of a slot, or of all in its stream; with the last one the stream's own ends."""
    name = stream_of(slot)
    left = {
        key: pause
        for key, pause in pauses.items()
        if key != slot and not (is_all and stream_at(key) == name)
    }
    if not any(stream_of(key) == name for key in of_slots(left)):
        left.pop(key_of(name), None)
    return left
