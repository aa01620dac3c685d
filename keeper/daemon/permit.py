"""Whether the marketplace may be asked to change something for a rental between two ticks (I12). Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import datetime

from keeper.core.model import Desired, InstanceId, Mode, SlotId, SlotRecord, Stream, stream_of
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, Window, strictest
from keeper.daemon.follow import tenures
from keeper.daemon.tick import rentals_of

_SUSPICIONS = (Reason.MASS_FAILURE, Reason.COMMON_CAUSE)  # an operator's order goes before these


def may_touch(
    instance_id: InstanceId,
    records: Mapping[SlotId, SlotRecord],
    desired: Desired,
    now: datetime,
    *,
    fuses: Iterable[Reason],
    windows: Iterable[Window],
    paused: Container[SlotId],
) -> bool:
    """Say whether a rental is a slot's of ours, and nothing holds keeper's hands. A pause is a fuse."""
    slot = next((s for s, r in records.items() if instance_id in rentals_of(r)), None)
    stream = None if slot is None else stream_named(desired, slot)
    if slot is None or stream is None:
        return False
    # What a person ordered needs its key like any other, in every mode and in spite of suspicions.
    is_asked = records[slot].replace_asked_at is not None
    # So does a host that was rented on trial while many are sick: without it, it never comes up.
    is_new = any(
        tenure.instance_id == instance_id and tenure.first_live_at is None
        for tenure in tenures(records[slot])
    )
    window = strictest(windows, stream.name, now)
    is_let = is_asked or window is None or window.allow is not Allowance.OBSERVE
    return (
        (stream.mode is Mode.ACT or is_asked)
        and is_let
        and slot not in paused
        and all((is_asked or is_new) and fuse in _SUSPICIONS for fuse in fuses)
    )


def stream_named(desired: Desired, slot: SlotId) -> Stream | None:
    """Return the declared stream of a slot."""
    name = stream_of(slot)
    return next((stream for stream in desired.streams if stream.name == name), None)
