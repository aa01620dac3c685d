"""Rentals with keeper's label that no slot knows: `keeper adopt`, and the end of one, by its number.

Both go through the running keeper, which takes an order only for a stray that two listings have shown.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.options import (
    complete_slots,
    config_option,
    dry_run_option,
    json_option,
    reason_option,
    socket_option,
    yes_option,
)

if TYPE_CHECKING:
    from keeper.cli.client import LocalKeeper
    from keeper.web.shapes import FleetStatus, OrphanStatus, SlotStatus

_LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says about one stray."""

    instance_id: int
    yes: bool
    dry_run: bool
    as_json: bool
    reason: str
    timeout_s: float = 600.0


@click.command(
    cls=Verb,
    examples=("keeper adopt 40000017 --dry-run", "keeper adopt 40000017 --as duel/0 --yes"),
)
@click.argument("instance", type=click.IntRange(min=1))
@click.option(
    "--as", "slot", metavar="SLOT", shell_complete=complete_slots,
    help="The empty slot that takes it. Default: the one that its label names.",
)  # fmt: skip
@yes_option
@dry_run_option
@json_option
@reason_option
@config_option
@socket_option
def adopt(
    instance: int,
    slot: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    reason: str,
    config: Path,
    socket: Path | None,
) -> int:
    """Take a stray rental of keeper's into an empty slot.

    It must carry keeper's label. From then on it is a host like any other: the workload is put on it,
    and it is watched, repaired and replaced. A rental of somebody else is never adopted.
    """
    from keeper.cli.client import local_keeper, socket_of
    from keeper.cli.terminal import run_async

    asked = Asked(instance_id=instance, yes=yes, dry_run=dry_run, as_json=as_json, reason=reason)
    where = socket_of(config, socket)

    async def give() -> int:
        async with local_keeper(where) as keeper:
            return await _adopt(keeper, asked, slot)

    return run_async(give())


async def _adopt(keeper: LocalKeeper, asked: Asked, name: str | None) -> int:
    from keeper.cli.declared import slot_named
    from keeper.cli.terminal import confirm, say
    from keeper.core.world import OrderKind

    fleet = await keeper.fleet()
    stray = stray_named(fleet, asked.instance_id)
    slots = {slot.slot: slot for stream in fleet.streams for slot in stream.slots}
    slot = None if name is None else slot_named(set(slots), name)
    _refuse_taken(slots.get(slot or stray.slot or ""))
    say(f"{_said(stray)} is taken into {slot or stray.slot or 'the slot of its label'}")
    if asked.dry_run:
        return _shown(stray, asked, "would adopt")
    confirm(f"Adopt instance {asked.instance_id}?", yes=asked.yes)
    order = await keeper.order(
        OrderKind.ADOPT, slot, reason=asked.reason, instance_id=asked.instance_id
    )
    if asked.as_json:
        return _printed(order)
    click.echo(
        f"instance {asked.instance_id} is adopted into {order.slot} (by {order.actor});"
        f" follow it: keeper events --slot {order.slot} --follow"
    )
    return 0


def _refuse_taken(slot: SlotStatus | None) -> None:
    """Refuse a slot that has a host, before anybody is asked: keeper would refuse it, too."""
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode

    if slot is not None and (slot.host is not None or slot.incoming is not None):
        message = f"{slot.slot} has a host, so nothing can be adopted into it"
        raise Stopped(ExitCode.REFUSED, message, "name an empty slot: --as SLOT")


async def end_stray(keeper: LocalKeeper, asked: Asked) -> int:
    """Order the end of a stray and follow it until its absence is confirmed."""
    from keeper.cli.terminal import confirm, say
    from keeper.core.world import OrderKind
    from keeper.web.shapes import EventPage

    stray = stray_named(await keeper.fleet(), asked.instance_id)
    say(f"This ends for good: {_said(stray)}, with everything on its disk")
    if asked.dry_run:
        return _shown(stray, asked, "would end")
    confirm(f"End instance {asked.instance_id}?", yes=asked.yes)
    after = (await keeper.get("events", EventPage, limit=1)).next_after
    order = await keeper.order(
        OrderKind.END, None, reason=asked.reason, instance_id=stray.instance_id
    )
    await _until_gone(keeper, asked)
    if asked.as_json:
        return _printed(order)
    page = await keeper.get("events", EventPage, after=after, limit=1000)
    ended = [e for e in page.events if e.facts.get("instance_id") == asked.instance_id]
    last = next((e for e in reversed(ended) if e.event == "instance.ended"), None)
    click.echo(last.words if last is not None else f"rental {asked.instance_id} is gone")
    return 0


def stray_named(fleet: FleetStatus, instance_id: int) -> OrphanStatus:
    """Return a stray by its number. Raises Stopped, for a stranger's rental with a refusal."""
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode

    found = {each.instance_id: each for each in fleet.orphans}
    if instance_id in found:
        return found[instance_id]
    if fleet.others is not None and instance_id in fleet.others.instance_ids:
        message = f"instance {instance_id} carries no label of keeper's, so it is never touched"
        raise Stopped(ExitCode.REFUSED, message, "use the marketplace's own console")
    in_slots = {
        host.instance_id: slot.slot
        for stream in fleet.streams
        for slot in stream.slots
        for host in (slot.host, slot.incoming)
        if host is not None
    }
    if instance_id in in_slots:
        message = f"instance {instance_id} is the host of {in_slots[instance_id]}, not a stray"
        raise Stopped(ExitCode.REFUSED, message, f"keeper destroy {in_slots[instance_id]}")
    known = ", ".join(map(str, found)) or "there is none"
    raise Stopped(ExitCode.NOT_FOUND, f"there is no stray rental {instance_id}", f"strays: {known}")


async def _until_gone(keeper: LocalKeeper, asked: Asked) -> None:
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.terminal import Progress, stopped_by_signal

    loop = asyncio.get_running_loop()
    ends_at_s = loop.time() + asked.timeout_s
    what = "its end is ordered and recorded, and keeper goes on until it is gone"
    with stopped_by_signal() as stop, Progress() as progress:
        progress.stage(f"ending instance {asked.instance_id}")
        while not stop.is_set() and loop.time() < ends_at_s:
            fleet = await keeper.fleet()
            ending = {each.instance_id for each in fleet.condemned}
            strays = {each.instance_id for each in fleet.orphans}
            if asked.instance_id not in ending | strays:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await stop.wait()
    cure = "keeper status --watch"
    if stop.is_set():
        raise Stopped(ExitCode.INTERRUPTED, f"interrupted; {what}", cure)
    raise Stopped(ExitCode.TRY_AGAIN, f"not confirmed gone in time; {what}", cure)


def _said(stray: OrphanStatus) -> str:
    began = (
        f", since {stray.started_at:%Y-%m-%d %H:%M} UTC, about ${stray.spent_dollars:.2f} so far"
        if stray.started_at is not None
        else ""
    )
    return (
        f"instance {stray.instance_id}, {stray.gpu_name or 'an unknown GPU'},"
        f" {stray.dollars_per_hour:.3f} $/h{began}, label {stray.label}"
    )


def _shown(stray: OrphanStatus, asked: Asked, what: str) -> int:
    from keeper.cli.terminal import say

    if asked.as_json:
        return _printed(stray)
    say(f"(dry run: {what} it; nothing was changed)")
    return 0


def _printed(value: object) -> int:
    from keeper.cli.client import encoded

    click.echo(encoded(value))
    return 0
