"""Worlds with a spare in them: a slot on air, a place for a spare, and what may sit in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from keeper.core.labels import label_for
from keeper.core.model import (
    Desired,
    HostId,
    Instance,
    InstanceId,
    MachineId,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Tenure,
    spare_id,
)
from keeper.core.reasons import Reason
from keeper.core.spare import Spares
from keeper.core.world import Listing, OfferBook, World
from tests.builders import (
    DUEL,
    KEEPER_ID,
    a_book,
    a_desire,
    a_fresh_tenure,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    an_offer,
    conditions,
)

PLACE = spare_id(DUEL, 0)
SECOND = spare_id(DUEL, 1)
SPARE_HOST = InstanceId(8001)
# Far away from the stream's host in every respect.
ELSEWHERE: dict[str, Any] = {"public_ip": "203.0.113.9", "geolocation": "NO"}


def a_spare(place: SlotId = PLACE, **changes: Any) -> Tenure:
    """A spare that runs, has been seen good, and has been ready for long."""
    number = int(place.rpartition("-")[2])
    tenure = a_tenure(
        label=label_for(KEEPER_ID, place, 1),
        instance_id=InstanceId(SPARE_HOST + number),
        machine_id=MachineId(950 + number),
        host_id=HostId(960 + number),
        network="203.0.0.0/16",
        region="NO",
        ready_at=a_tenure().first_live_at,
    )
    return replace(tenure, **changes)


def a_prepared_spare(**changes: Any) -> Tenure:
    """A spare that is up, with everything on it and nothing started."""
    tenure = a_fresh_tenure(
        label=label_for(KEEPER_ID, PLACE, 1),
        instance_id=SPARE_HOST,
        machine_id=MachineId(950),
        host_id=HostId(960),
        listed_at=a_tenure().listed_at,
        running_at=a_tenure().running_at,
        booted_at=a_tenure().booted_at,
        prepared_at=a_tenure().deployed_at,
        conditions=conditions(
            deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
            running=(Status.UNKNOWN, Reason.NOT_ASKED),
            streaming=(Status.UNKNOWN, Reason.NOT_ASKED),
        ),
    )
    return replace(tenure, **changes)


def a_place(tenure: Tenure | None = None, place: SlotId = PLACE, **changes: Any) -> SlotRecord:
    record = SlotRecord(slot=place, attempt=1 if tenure else 0, serial=2, tenure=tenure)
    return replace(record, **changes)


def with_spares(stream: Stream | None = None, **changes: Any) -> Stream:
    declared = Spares(**{"count": 1, **changes})
    return replace(stream or a_stream(), spares=declared)


def a_wish(*streams: Stream, **fleet: Any) -> Desired:
    return a_desire(*(streams or (with_spares(),)), **fleet)


def an_open_market(*offers: Any) -> dict[Any, OfferBook]:
    return {DUEL: a_book(*(offers or (an_offer(20, **ELSEWHERE), an_offer(21, **ELSEWHERE))))}


def a_spared_world(
    *places: SlotRecord,
    record: SlotRecord | None = None,
    others: tuple[SlotRecord, ...] = (),
    shown: Callable[[Instance], Instance | None] = lambda instance: instance,
    **changes: Any,
) -> World:
    """A slot on air, these places of spares, and a market with offers far from it.

    ``shown`` says what the listing makes of a spare; None: nothing.
    """
    slot = a_record(a_tenure()) if record is None else record
    found = places or (a_place(),)
    world = a_world(slot, *others, *found, offers=an_open_market())
    world = replace(world, listing=_at_home(world.listing, found, shown))
    return replace(world, **changes)


def _at_home(
    listing: Listing | None,
    places: tuple[SlotRecord, ...],
    shown: Callable[[Instance], Instance | None],
) -> Listing:
    """Give each spare an address of its own."""
    assert listing is not None
    ours = {
        record.tenure.instance_id: f"203.0.{number + 1}.9"
        for number, record in enumerate(places)
        if record.tenure is not None
    }

    def moved(instance: Instance) -> Instance | None:
        address = ours.get(instance.instance_id)
        return instance if address is None else shown(replace(instance, public_ip=address))

    told = (moved(each) for each in listing.instances)
    return replace(listing, instances=tuple(each for each in told if each is not None))
