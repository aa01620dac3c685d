"""The names of things, each a type of its own."""

from __future__ import annotations

from functools import lru_cache
from typing import NewType

StreamName = NewType("StreamName", str)
SlotId = NewType("SlotId", str)  # "duel/0": stream name, slash, replica index
InstanceId = NewType("InstanceId", int)
OfferId = NewType("OfferId", int)
MachineId = NewType("MachineId", int)
HostId = NewType("HostId", int)  # the owner's account, not the physical box
IntentId = NewType("IntentId", str)


def slot_id(stream: StreamName, replica: int) -> SlotId:
    """Name the slot of one replica of a stream."""
    return SlotId(f"{stream}/{replica}")


# Asked of each slot in each tick, many times.
_remembered = lru_cache(maxsize=16_384)


@_remembered
def stream_of(slot: SlotId) -> StreamName:
    """Return the stream a slot belongs to."""
    return StreamName(slot.rpartition("/")[0])


_SPARE = "spare-"


def spare_id(stream: StreamName, number: int) -> SlotId:
    """Name the place of one spare of a stream: "duel/spare-0"."""
    return SlotId(f"{stream}/{_SPARE}{number}")


@_remembered
def is_spare(slot: SlotId) -> bool:
    """Whether this is the place of a spare, and no slot that anybody watches."""
    return slot.rpartition("/")[2].startswith(_SPARE)
