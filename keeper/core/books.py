"""Last of all: what the tick leaves rented costs so much from now on. Written when that has changed."""

from __future__ import annotations

from keeper.core.draft import Draft
from keeper.core.fuses import is_paused
from keeper.core.meter import flow_of, flowing, is_due
from keeper.core.model import SlotId


def keep(draft: Draft) -> None:
    """Bring the ledger up to now where it must be written; else leave it alone."""
    flow = flow_of(
        draft.records.values(),
        draft.condemned.values(),
        draft.listed,
        draft.now,
        _paused_slots(draft),
    )
    if draft.meter_after is not None or is_due(draft.world.meter, flow, draft.now):
        draft.note(flowing(draft.ledger, flow))


def _paused_slots(draft: Draft) -> frozenset[SlotId]:
    world = draft.world
    if world.pause is not None and is_paused(world.pause, draft.now):
        return frozenset(draft.records)
    if not world.slot_pauses:
        return frozenset()
    return frozenset(
        slot for slot, pause in world.slot_pauses.items() if is_paused(pause, draft.now)
    )
