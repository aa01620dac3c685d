"""A provision while a keeper runs: order it there, wait, and say how to connect."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from keeper import bootstrap
from keeper.adapters.clock import SystemClock
from keeper.cli import stages
from keeper.cli.client import LocalKeeper, local_keeper
from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.expected import Fact, Learned, expected, learned
from keeper.cli.landing import Landing, landings_shown, slots_shown
from keeper.cli.provision_alone import all_filled
from keeper.cli.search import avoided_by
from keeper.cli.store import remembered
from keeper.cli.terminal import Progress, confirm, say
from keeper.cli.wish import Wanted, looked_up
from keeper.core.model import Mode, OfferId, Stream
from keeper.core.world import OrderKind
from keeper.web.shapes import EventPage, FleetStatus, SlotStatus

if TYPE_CHECKING:
    from pathlib import Path

    from keeper.settings import Settings

_LOOK_APART_S = 1.0
_JOURNAL_MAX = 1000


async def through_daemon(
    settings: Settings, socket: Path, stream: Stream, wanted: Wanted
) -> tuple[Landing, ...]:
    """Wait for the running keeper, which rents by itself; name an offer, end the pauses that hold it."""
    async with local_keeper(socket) as keeper:
        fleet = await keeper.fleet()
        slots = slots_shown(fleet, stream.name)
        _must_be_allowed(fleet, slots, stream)
        paused = [slot.slot for slot in slots if slot.pause is not None]
        target = _target(slots, stream, wanted)
        if target is not None and wanted.offer is not None:
            await _look_up(settings, stream, wanted.offer)
        if wanted.dry_run:
            _say_what_would_be(slots, stream, paused, target, wanted)
            return ()
        if target is not None:
            confirm(f"Rent offer {wanted.offer} for {target}?", yes=wanted.yes)
        elif paused:
            confirm(f"Resume {', '.join(paused)}? keeper will rent a host for it.", yes=wanted.yes)
        if target is not None:
            # Before it is resumed: a slot that may rent does so at once.
            await keeper.order(OrderKind.RENT, target, reason=wanted.reason, offer_id=wanted.offer)
        for slot in slots:
            if slot.host is None and slot.offer_asked is None and slot.slot != target:
                await _look_again(keeper, slot.slot, wanted)
        for name in paused:
            await keeper.order(OrderKind.RESUME, name, reason=wanted.reason)
        say(f"{stream.name}: the running keeper brings it on air; Ctrl-C only ends this waiting")
        return await _wait(settings, keeper, stream, target, wanted)


async def _look_again(keeper: LocalKeeper, slot: str, wanted: Wanted) -> None:
    """End a vacant slot's back-off: a person waits. One that is filled meanwhile needs nothing."""
    try:
        await keeper.order(OrderKind.RENT, slot, reason=wanted.reason)
    except Stopped as no:
        if no.code is not ExitCode.REFUSED:
            raise


def _must_be_allowed(fleet: FleetStatus, slots: tuple[SlotStatus, ...], stream: Stream) -> None:
    off_air = [slot.slot for slot in slots if not slot.is_on_air]
    if fleet.pause is not None and off_air:
        message = f"keeper is paused by {fleet.pause.actor}; nothing was changed"
        raise Stopped(ExitCode.REFUSED, message, "keeper resume")
    if stream.mode is not Mode.ACT and off_air:
        message = f"stream {stream.name} is set to {stream.mode.value} only"
        raise Stopped(ExitCode.REFUSED, message, "set its mode to act, and reload keeper")


def _target(slots: tuple[SlotStatus, ...], stream: Stream, wanted: Wanted) -> str | None:
    """Return the slot that gets the offer that was named. Raises Stopped when there is no room."""
    wish = wanted.offer
    if wish is None:
        return None
    if any(slot.host is not None and slot.host.offer_id == wish for slot in slots):
        say(f"{stream.name}: offer {wish} is rented already")
        return None
    target = next((slot.slot for slot in slots if slot.host is None), None)
    if target is None:
        raise all_filled(stream, wish)
    return target


async def _look_up(settings: Settings, stream: Stream, wish: OfferId) -> None:
    clock = SystemClock()
    saved = await remembered(settings)
    avoided = replace(avoided_by(saved, settings, clock, stream), offers=frozenset())
    async with bootstrap.open_marketplace(settings, clock) as marketplace:
        await looked_up(wish, stream, marketplace, avoided)


def _say_what_would_be(
    slots: tuple[SlotStatus, ...],
    stream: Stream,
    paused: list[str],
    target: str | None,
    wanted: Wanted,
) -> None:
    off_air = [slot.slot for slot in slots if not slot.is_on_air]
    if not off_air:
        say(f"{stream.name}: all on air")
        return
    would = [f"resume {', '.join(paused)}"] if paused else []
    would += [f"rent offer {wanted.offer} for {target}"] if target is not None else []
    said = ", ".join([*would, f"wait for {', '.join(off_air)}"])
    say(f"{stream.name}: the running keeper would {said}")


async def _wait(
    settings: Settings, keeper: LocalKeeper, stream: Stream, target: str | None, wanted: Wanted
) -> tuple[Landing, ...]:
    known = await _learned(keeper, stream)
    slots: tuple[SlotStatus, ...] = ()
    try:
        async with asyncio.timeout(wanted.timeout_s):
            with Progress() as progress:
                while True:
                    slots = slots_shown(await keeper.fleet(), stream.name)
                    _must_be_the_offer(slots, target, wanted.offer)
                    if slots and all(_is_landed(slot) for slot in slots):
                        return landings_shown(settings, slots)
                    slot = next((each for each in slots if not each.is_on_air), None)
                    if slot is not None:
                        how_long = expected(stages.step_shown(slot), known, stream.policy)
                        progress.stage(stages.stage_shown(slot), how_long)
                    await asyncio.sleep(_LOOK_APART_S)
    except TimeoutError as error:
        message = (
            f"{stream.name} is not on air after {wanted.timeout_s:.0f} s; keeper goes on trying"
        )
        cure = f"watch it: keeper status {stream.name} --watch"
        raise Stopped(ExitCode.TRY_AGAIN, message, cure) from error


def _must_be_the_offer(
    slots: tuple[SlotStatus, ...], target: str | None, wish: OfferId | None
) -> None:
    for slot in slots:
        if slot.slot == target and wish is not None:
            no = stages.wish_refused_shown(slot, wish)
            if no is not None:
                raise no


def _is_landed(slot: SlotStatus) -> bool:
    """Whether it is on air, and where: a keeper that has just begun knows the first from its store."""
    return slot.is_on_air and slot.host is not None and bool(slot.host.ssh_addresses)


async def _learned(keeper: LocalKeeper, stream: Stream) -> Learned:
    """Read how long earlier hosts took. Not knowing is no reason to stop."""
    try:
        page = await keeper.get("events", EventPage, limit=_JOURNAL_MAX)
    except Stopped:
        return Learned()
    facts = [
        Fact(
            event=each.event,
            slot=each.slot or "",
            at=each.at,
            instance_id=int(each.facts.get("instance_id") or 0),
            duration_s=float(each.facts.get("duration_s") or 0.0),
        )
        for each in page.events
    ]
    return learned(facts, stream.name)
