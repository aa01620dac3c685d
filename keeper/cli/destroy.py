"""`keeper destroy SLOT|--all`: end rentals for certain: followed until their absence is confirmed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.options import (
    config_option,
    dry_run_option,
    overrides_of,
    reason_option,
    slot_argument,
    socket_option,
    timeout_option,
    vast_url_option,
    yes_option,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keeper.core.world import Snapshot
    from keeper.ports import Saved
    from keeper.settings import Settings
    from keeper.web.shapes import FleetStatus

_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One slot's rental that would end."""

    slot: str
    instance_ids: tuple[int, ...]
    what: str  # "": nothing
    is_ordered: bool = False


@click.command(
    cls=Verb,
    examples=(
        "keeper destroy duel/0 --dry-run",
        "keeper destroy duel/0 --reason 'event is over'",
        "keeper destroy --all --yes",
    ),
)
@slot_argument(required=False)
@click.option("--all", "everything", is_flag=True, help="Every rental that keeper knows.")
@yes_option
@dry_run_option
@reason_option
@timeout_option(_TIMEOUT_S, "Stop following after this; the ending goes on or is recorded.")
@config_option
@vast_url_option
@socket_option
def destroy(
    slot: str | None,
    everything: bool,
    yes: bool,
    dry_run: bool,
    reason: str,
    timeout_s: float,
    config: Path,
    vast_url: str | None,
    socket: Path | None,
) -> int:
    """End the rental of a slot, or of all, for certain.

    Says what will be lost and asks. Then the rental is ended and followed until two listings and a
    look at its id confirm that it is gone and no longer billed. The slot is held afterwards, so
    that nothing is rented for it again before `keeper resume SLOT`.
    """
    from keeper.cli.terminal import run_async
    from keeper.settings import load_settings

    if (slot is None) != everything:
        message = "name one slot, or give --all"
        raise click.UsageError(message)
    settings = load_settings(config, os.environ, overrides=overrides_of(vast_url))
    return run_async(
        _destroy(
            settings,
            socket or settings.socket,
            slot,
            yes=yes,
            dry_run=dry_run,
            reason=reason,
            timeout_s=timeout_s,
        )
    )


async def _destroy(
    settings: Settings,
    socket: Path,
    name: str | None,
    *,
    yes: bool,
    dry_run: bool,
    reason: str,
    timeout_s: float,
) -> int:
    from keeper.cli.client import is_running, local_keeper
    from keeper.cli.store import remembered

    if await is_running(socket):
        async with local_keeper(socket) as keeper:
            losses = _chosen(_losses_shown(await keeper.fleet()), name)
        by_daemon = True
    else:
        losses = _chosen(_losses_remembered(await remembered(settings)), name)
        by_daemon = False
    if not _agreed(losses, yes=yes, dry_run=dry_run):
        return 0
    if by_daemon:
        await _order(socket, losses, reason, timeout_s)
    else:
        await _by_itself(settings, losses, reason, timeout_s)
    for loss in losses:
        ids = ", ".join(str(each) for each in loss.instance_ids)
        click.echo(f"{loss.slot}: ended, confirmed gone{f' (instance {ids})' if ids else ''}")
    return 0


def _chosen(losses: Iterable[Loss], name: str | None) -> tuple[Loss, ...]:
    """Return what is meant. A slot without a rental is not an error: there is nothing to end."""
    from keeper.cli.declared import slot_named

    every = tuple(losses)
    if name is not None:
        name = slot_named((loss.slot for loss in every), name)
    return tuple(loss for loss in every if loss.what and name in (None, loss.slot))


def _agreed(losses: tuple[Loss, ...], *, yes: bool, dry_run: bool) -> bool:
    """Say what would be lost, and ask. False: there is nothing to do."""
    from keeper.cli.terminal import confirm, say

    if not losses:
        say("nothing is rented there, so there is nothing to end")
        return False
    say("This ends, with everything on their disks:")
    for loss in losses:
        say(f"  {loss.slot}: {loss.what}")
    if dry_run:
        say("(dry run: nothing was changed)")
        return False
    confirm("End it?" if len(losses) == 1 else f"End these {len(losses)}?", yes=yes)
    return True


def _losses_shown(fleet: FleetStatus) -> list[Loss]:
    from keeper.cli.terminal import duration

    found = []
    for slot in (slot for stream in fleet.streams for slot in stream.slots):
        hosts = [host for host in (slot.host, slot.incoming) if host is not None]
        ids = tuple(host.instance_id for host in hosts if host.instance_id is not None)
        what = "; ".join(
            f"instance {host.instance_id or '(being rented)'}, {host.gpu_name},"
            f" {host.dollars_per_hour:.3f} $/h,"
            f" for {duration((fleet.now - host.requested_at).total_seconds())}"
            for host in hosts
        )
        if what and slot.is_on_air:
            what += ", ON AIR"
        found.append(Loss(slot=slot.slot, instance_ids=ids, what=what))
    return [*found, *(_ending_already(r.slot, r.instance_id) for r in fleet.condemned)]


def _losses_remembered(saved: Saved) -> list[Loss]:
    found = []
    for record in saved.records:
        tenures = [tenure for tenure in (record.tenure, record.incoming) if tenure is not None]
        found.append(
            Loss(
                slot=record.slot,
                instance_ids=tuple(
                    int(t.instance_id) for t in tenures if t.instance_id is not None
                ),
                what="; ".join(
                    f"instance {t.instance_id or '(being rented)'}, {t.gpu_name},"
                    f" {t.dollars_per_hour:.3f} $/h, since {t.requested_at:%Y-%m-%d %H:%M} UTC"
                    for t in tenures
                ),
            )
        )
    return [*found, *(_ending_already(r.slot, r.instance_id) for r in saved.condemned)]


def _ending_already(slot: str | None, instance_id: int) -> Loss:
    """Describe a rental that is being ended: nothing more is lost, but it is followed too."""
    return Loss(
        slot=slot or "(no slot)",
        instance_ids=(int(instance_id),),
        what=f"instance {int(instance_id)}, which is being ended already",
        is_ordered=True,
    )


async def _order(socket: Path, losses: tuple[Loss, ...], reason: str, timeout_s: float) -> None:
    """Order it of the running keeper, and follow."""
    import asyncio

    from keeper.cli.client import local_keeper
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.terminal import Progress
    from keeper.core.world import OrderKind

    async with local_keeper(socket) as keeper:
        for loss in losses:
            if not loss.is_ordered:
                await keeper.order(OrderKind.DESTROY, loss.slot, reason=reason)
        try:
            async with asyncio.timeout(timeout_s):
                with Progress() as progress:
                    while left := _left_shown(await keeper.fleet(), losses):
                        progress.stage(left)
                        await asyncio.sleep(1.0)
        except TimeoutError as error:
            raise Stopped(
                ExitCode.TRY_AGAIN,
                f"not confirmed gone after {timeout_s:.0f} s; keeper goes on until it is",
                "watch it: keeper status --watch",
            ) from error


def _left_shown(fleet: FleetStatus, losses: tuple[Loss, ...]) -> str:
    """Say what is not confirmed gone; "" when all is."""
    ids = {each for loss in losses for each in loss.instance_ids}
    slots = {loss.slot for loss in losses if not loss.is_ordered}
    for rental in fleet.condemned:
        if rental.instance_id in ids or rental.slot in slots:
            return _ending(rental.instance_id, rental.tries)
    for slot in (slot for stream in fleet.streams for slot in stream.slots):
        if slot.slot in slots and (slot.host is not None or slot.incoming is not None):
            return f"{slot.slot}: the order is being taken"
    return ""


async def _by_itself(
    settings: Settings, losses: tuple[Loss, ...], reason: str, timeout_s: float
) -> None:
    """Run the daemon with nothing to do but this."""
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.oneshot import NO_STREAM, new_order, pursue
    from keeper.core.model import SlotId
    from keeper.core.world import OrderKind

    pursuit = await pursue(
        settings,
        only=NO_STREAM,
        is_done=lambda snapshot: not _left(snapshot, losses),
        stage=lambda snapshot: _left(snapshot, losses) or "confirmed gone",
        orders=tuple(
            new_order(OrderKind.DESTROY, SlotId(loss.slot), reason)
            for loss in losses
            if not loss.is_ordered
        ),
        timeout_s=timeout_s,
    )
    if pursuit.is_done:
        return
    code = ExitCode.INTERRUPTED if pursuit.is_interrupted else ExitCode.TRY_AGAIN
    why = "interrupted" if pursuit.is_interrupted else f"not done after {timeout_s:.0f} s"
    left = _left(pursuit.snapshot, losses) if pursuit.snapshot is not None else "nothing was done"
    raise Stopped(
        code,
        f"{why}; {left}. What must end is recorded, and may be billed until a keeper ends it",
        "run the same command again, or start keeper",
    )


def _left(snapshot: Snapshot, losses: tuple[Loss, ...]) -> str:
    """Say what is not confirmed gone; "" when all is."""
    ids = {each for loss in losses for each in loss.instance_ids}
    slots = {loss.slot for loss in losses if not loss.is_ordered}
    for rental in snapshot.plan.condemned:
        if rental.instance_id in ids or rental.slot in slots:
            return _ending(int(rental.instance_id), rental.tries)
    for slot, record in snapshot.records.items():
        if slot in slots and (record.tenure is not None or record.incoming is not None):
            return f"{slot}: the order is being taken"
    return ""


def _ending(instance_id: int, tries: int) -> str:
    tried = "destroy sent, confirming that it is gone" if tries else "destroying"
    return f"instance {instance_id}: {tried}"
