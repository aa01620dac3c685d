"""What `keeper destroy` would end, how long that takes, how far it is, and how it ended: in words. Pure.

Everything is read from a FleetStatus, so a running keeper and one without a daemon say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from keeper.adapters.vastai_spacing import PUBLISHED_INTERVAL_S, Endpoint
from keeper.cli.rentals import others, price_parts, vram
from keeper.cli.terminal import duration
from keeper.core.model import FleetPolicy, SlotId, is_spare
from keeper.core.text import plain
from keeper.web.shapes import CondemnedStatus, FleetStatus, HostStatus, SlotStatus

# A destroy, a listing and a look at an id each take a moment themselves.
_CALL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One slot, or one rental of no slot, that would end."""

    slot: str  # "": a rental of no slot that is known
    instance_ids: tuple[int, ...]
    what: tuple[str, ...]  # a line each; (): nothing is rented there
    is_ordered: bool = False  # its end was ordered before; nothing more is lost
    is_bound: bool = False  # the slot still holds it: nothing is condemned yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One rental that is confirmed gone, and by what."""

    instance_id: int
    slot: str
    dollars: float
    absent_since: datetime | None
    absent_again_at: datetime | None
    by_id_absent_at: datetime | None

    def sentence(self) -> str:
        """Say so, with the moments of both confirmations."""
        said = f"{self.slot or '(no slot)'}: instance {self.instance_id} is confirmed gone"
        if self.absent_since is not None and self.absent_again_at is not None:
            said += (
                f": missing from the complete listings of {self.absent_since:%H:%M:%S} and"
                f" {self.absent_again_at:%H:%M:%S} UTC"
            )
        if self.by_id_absent_at is not None:
            said += f", unknown by its id at {self.by_id_absent_at:%H:%M:%S}"
        return f"{said}; it cost about {self.dollars:.2f} $"


def losses_of(fleet: FleetStatus, *, is_live: bool) -> list[Loss]:
    """Say of each slot what is lost with its rental. ``is_live``: a keeper watches right now."""
    found = []
    every = (slot for stream in fleet.streams for slot in (*stream.slots, *stream.spares))
    for slot in every:
        hosts = [host for host in (slot.host, slot.incoming) if host is not None]
        ids = tuple(host.instance_id for host in hosts if host.instance_id is not None)
        is_ordered = bool(hosts) and slot.destroy_asked_at is not None
        lines: list[str] = []
        for host in hosts:
            lines += _what(host, fleet.now)
        if slot.host is not None:
            lines.append(_picture(slot, fleet.now, is_live=is_live))
        if is_ordered:
            lines.append("its end is ordered already")
        found.append(
            Loss(
                slot=slot.slot,
                instance_ids=ids,
                what=tuple(lines),
                is_ordered=is_ordered,
                is_bound=bool(hosts),
            )
        )
    return [*found, *(_ending_already(each) for each in fleet.condemned)]


def _what(host: HostStatus, now: datetime) -> Iterator[str]:
    name = f"instance {host.instance_id}" if host.instance_id is not None else "a host being rented"
    model = " ".join(part for part in (host.gpu_name, vram(host).strip("-")) if part)
    lasts = duration((now - (host.rented_at or host.requested_at)).total_seconds())
    yield f"{name}, {model}, rented for {lasts}"
    disk = f"everything on its disk of {host.disk_gb:.0f} GB" if host.disk_gb else "its disk"
    yield f"{disk}; about {host.spent_dollars:.2f} $ were spent; it costs {price_parts(host)}"


def _picture(slot: SlotStatus, now: datetime, *, is_live: bool) -> str:
    if is_spare(SlotId(slot.slot)):
        return f"nobody watches it: {slot.state.lower()}"
    if not is_live:
        seen = "on air" if slot.is_on_air else "not on air"
        return f"nobody watches its picture now; it was {seen} when keeper last looked"
    if slot.is_on_air:
        return "its picture is ON AIR now"
    if slot.dark_since is not None:
        return f"its picture has been dark for {duration((now - slot.dark_since).total_seconds())}"
    return f"it is not on air yet: {slot.phase}"


def _ending_already(rental: CondemnedStatus) -> Loss:
    """Describe a rental that is being ended: nothing more is lost, but it is followed too."""
    what = f"instance {rental.instance_id}, which is being ended already"
    return Loss(
        slot=rental.slot or "",
        instance_ids=(rental.instance_id,),
        what=(what, f"because {rental.because}"),
        is_ordered=True,
    )


def untouched(fleet: FleetStatus) -> tuple[str, ...]:
    """Say which rentals of the account are left alone, whatever is ordered."""
    said = []
    if strangers := others(fleet):
        said.append(f"{strangers}: not keeper's, so not touched")
    said += [
        f"instance {orphan.instance_id} ({orphan.dollars_per_hour:.3f} $/h): carries keeper's label"
        f" {plain(orphan.label, 100)}, but is in no journal of this keeper; not touched"
        + (f" but by: {orphan.to_end}" if orphan.to_end else "")
        for orphan in fleet.orphans
    ]
    return tuple(said)


def expected_s(losses: Iterable[Loss], policy: FleetPolicy) -> float:
    """Return how long the ends take by the marketplace's spacing and keeper's own rule of two looks."""
    rentals = sum(max(1, len(loss.instance_ids)) for loss in losses)
    destroys_s = (rentals - 1) * PUBLISHED_INTERVAL_S[Endpoint.DESTROY] + _CALL_S
    listings_s = policy.absence_apart_s + 2 * policy.list_interval_busy_s
    shows_s = (rentals - 1) * PUBLISHED_INTERVAL_S[Endpoint.SHOW] + _CALL_S
    return destroys_s + listings_s + shows_s


def told_expected(losses: tuple[Loss, ...], policy: FleetPolicy) -> str:
    """Say how long it takes, and why so long."""
    takes = duration(expected_s(losses, policy))
    apart = PUBLISHED_INTERVAL_S[Endpoint.DESTROY]
    paced = f"destroys are sent {apart:g} s apart; " if _count(losses) > 1 else ""
    return (
        f"It takes about {takes}: {paced}each end is confirmed by two complete listings"
        f" {duration(policy.absence_apart_s)} apart and a look at its id."
    )


def _count(losses: Iterable[Loss]) -> int:
    return sum(max(1, len(loss.instance_ids)) for loss in losses)


# --- how far it is ----------------------------------------------------------------------------------


def left_of(fleet: FleetStatus, losses: tuple[Loss, ...], policy: FleetPolicy) -> Mapping[str, str]:
    """Say of each rental that is not confirmed gone how far its end is; {} when all is over."""
    ids = {each for loss in losses for each in loss.instance_ids}
    names = {loss.slot for loss in losses if loss.is_bound}
    apart = timedelta(seconds=policy.absence_apart_s)
    left = {}
    for slot in (slot for stream in fleet.streams for slot in stream.slots):
        if slot.slot in names and (slot.host is not None or slot.incoming is not None):
            left[slot.slot] = f"{slot.slot}: {_order_of(slot)}"
    for rental in fleet.condemned:
        if rental.instance_id in ids or (rental.slot is not None and rental.slot in names):
            name = f"instance {rental.instance_id}"
            left[name] = f"{name}: {_progress_of(rental, apart)}"
    return left


def _order_of(slot: SlotStatus) -> str:
    """Say why an ordered end has not begun."""
    if slot.destroy_asked_at is None:
        return "the order is being taken"
    if slot.decision is not None and slot.decision.because:
        return f"the order is taken; {slot.decision.because}"
    return "the order is taken"


def _progress_of(rental: CondemnedStatus, apart: timedelta) -> str:
    if rental.absent_since is not None:
        return (
            f"missing from the complete listing of {rental.absent_since:%H:%M:%S} UTC; a second one,"
            f" from {rental.absent_since + apart:%H:%M:%S} on, has to agree"
        )
    if rental.accepted_at is not None:
        at = f"{rental.accepted_at:%H:%M:%S}"
        return f"the marketplace took the destroy at {at} UTC; looking whether it is gone"
    if rental.tries:
        return "destroy sent" + (f", try {rental.tries}" if rental.tries > 1 else "")
    return "waits for its turn to be destroyed"


def ended_of(facts: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[Ended, ...]:
    """Take the confirmed ends out of journalled facts: the event's name and its values."""
    return tuple(
        Ended(
            instance_id=int(values["instance_id"]),
            slot=str(values.get("slot") or ""),
            dollars=float(values.get("dollars") or 0.0),
            absent_since=_moment(values.get("absent_since")),
            absent_again_at=_moment(values.get("absent_again_at")),
            by_id_absent_at=_moment(values.get("by_id_absent_at")),
        )
        for name, values in facts
        if name == "instance.ended"
    )


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None
