"""Orders to a running keeper: restart, replace, deploy, pause, resume. Each is on its disk when it answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.options import (
    complete_slots,
    config_option,
    dry_run_option,
    reason_option,
    slot_argument,
    socket_option,
    yes_option,
)

if TYPE_CHECKING:
    from keeper.core.world import OrderKind
    from keeper.web.shapes import FleetStatus, SlotStatus


_FOR_EVER = "ever"
_WIDE = frozenset({"pause", "resume", "deploy"})  # orders that a whole stream can be given


_slot_or_stream = click.argument(
    "slot_or_stream", metavar="[SLOT|STREAM]", required=False, shell_complete=complete_slots
)


_now_option = click.option(
    "--now", "is_now", is_flag=True, help="Do not wait for what viewers are watching."
)


@click.command(
    cls=Verb,
    examples=("keeper restart duel/0 --reason 'new assets'", "keeper restart duel/0 --now"),
)
@slot_argument()
@_now_option
@reason_option
@dry_run_option
@config_option
@socket_option
def restart(
    slot: str, is_now: bool, reason: str, dry_run: bool, config: Path, socket: Path | None
) -> int:
    """Restart the process of a slot. The picture is gone for that moment; the host stays.

    Where the workload knows an end that viewers wait for (of a duel, say), that is waited for first,
    within the workload's bound; then `drain_then` says what follows.
    """
    from keeper.core.world import OrderKind

    return _order(OrderKind.RESTART, slot, reason, config, socket, dry_run=dry_run, is_now=is_now)


@click.command(
    cls=Verb, examples=("keeper drain duel/0 --reason 'before the show'", "keeper drain duel")
)
@click.argument("slot_or_stream", metavar="SLOT|STREAM", shell_complete=complete_slots)
@reason_option
@config_option
@socket_option
def drain(slot_or_stream: str, reason: str, config: Path, socket: Path | None) -> int:
    """Let viewers see the end of what they watch, then restart: a slot, or each slot of a stream.

    As `keeper restart`, which never says --now. The slots of a stream do not wait for each other.
    """
    from keeper.cli.client import local_keeper, socket_of
    from keeper.cli.declared import slot_named
    from keeper.cli.terminal import run_async, say
    from keeper.core.world import OrderKind

    where = socket_of(config, socket)

    async def give() -> int:
        async with local_keeper(where) as keeper:
            streams = (await keeper.fleet()).streams
            slots = [
                s.slot for each in streams if each.stream == slot_or_stream for s in each.slots
            ]
            if not slots:
                every = {s.slot: s for each in streams for s in each.slots}
                slots = [slot_named(every, slot_or_stream)]
            for slot in slots:
                order = await keeper.order(OrderKind.RESTART, slot, reason=reason)
                click.echo(f"drain of {slot} is ordered (by {order.actor})")
        say(f"  follow it: keeper events --slot {slots[0]} --follow")
        return 0

    return run_async(give())


@click.command(
    cls=Verb,
    examples=(
        "keeper replace duel/0 --dry-run",
        "keeper replace duel/0 --yes --reason 'slow disk'",
    ),
)
@slot_argument()
@_now_option
@reason_option
@yes_option
@dry_run_option
@config_option
@socket_option
def replace(
    slot: str,
    is_now: bool,
    reason: str,
    yes: bool,
    dry_run: bool,
    config: Path,
    socket: Path | None,
) -> int:
    """Give a slot another host; the old one serves meanwhile.

    The old host, with everything on its disk, is ended when the new one has proven itself, at a moment
    at which viewers lose least if the workload names one in time. Both are paid for until then. Spending
    limits and the other fuses hold. Where the ingest takes one publisher (`publishers: one`), the new host
    is prepared beside the old one and takes its place in one step; what viewers miss by it is told.
    """
    from keeper.core.world import OrderKind

    return _order(
        OrderKind.REPLACE, slot, reason, config, socket, dry_run=dry_run, ask=not yes, is_now=is_now
    )


@click.command(
    cls=Verb,
    examples=(
        "keeper deploy duel --reason 'the model is mended'",
        "keeper deploy duel/0",
    ),
)
@click.argument("slot_or_stream", metavar="SLOT|STREAM", shell_complete=complete_slots)
@_now_option
@reason_option
@config_option
@socket_option
def deploy(
    slot_or_stream: str, is_now: bool, reason: str, config: Path, socket: Path | None
) -> int:
    """Put what is declared for a stream on its hosts now, also what was found to be bad before.

    It still comes to one slot first, and to the next when that has proven itself. Neither `deploy_when`
    nor a window nor the stream's mode is waited for; viewers are, as for a restart, and a pause is. All
    other fuses hold.
    """
    from keeper.core.world import OrderKind

    return _order(OrderKind.DEPLOY, slot_or_stream, reason, config, socket, is_now=is_now)


@click.command(
    cls=Verb,
    examples=(
        "keeper pause --for 2h --reason 'marketplace works'",
        "keeper pause duel --for 30m --reason 'new ingest'",
        "keeper pause duel/0",
    ),
)
@_slot_or_stream
@click.option(
    "--for",
    "for_text",
    metavar="DURATION",
    help='Ends by itself after "90s", "30m", "2h"; or "ever". Default: 4h.',
)
@reason_option
@config_option
@socket_option
def pause(
    slot_or_stream: str | None,
    for_text: str | None,
    reason: str,
    config: Path,
    socket: Path | None,
) -> int:
    """Touch nothing: one slot, all of a stream, or the whole fleet.

    A stream's pause is of its spares too, and of every slot that it is given while the pause lasts.
    keeper goes on to watch and to alert, and to end what is condemned already. A pause survives
    restarts, is told as an alert while it lasts, and ends by itself after four hours unless it is said
    otherwise: `--for ever` must be meant.
    """
    from keeper.core.world import OrderKind
    from keeper.settings import parse_duration

    for_ever = for_text == _FOR_EVER
    try:
        until_s = None if for_text is None or for_ever else parse_duration(for_text)
    except ValueError as error:
        message = f"{error}; or {_FOR_EVER}"
        raise click.BadParameter(message, param_hint="--for") from error
    return _order(
        OrderKind.PAUSE, slot_or_stream, reason, config, socket, until_s=until_s, for_ever=for_ever
    )


@click.command(cls=Verb, examples=("keeper resume", "keeper resume duel", "keeper resume duel/0"))
@_slot_or_stream
@reason_option
@config_option
@socket_option
def resume(slot_or_stream: str | None, reason: str, config: Path, socket: Path | None) -> int:
    """End a pause, of the fleet, a stream or a slot; also of a slot that was destroyed by order."""
    from keeper.core.world import OrderKind

    return _order(OrderKind.RESUME, slot_or_stream, reason, config, socket)


def _is_held(fleet: FleetStatus, name: str) -> bool:
    """Whether there is a pause of this, though it may not be declared any more."""
    return any(alert.key == f"KeeperPaused:{name}" for alert in fleet.alerts)


def _order(
    kind: OrderKind,
    name: str | None,
    reason: str,
    config: Path,
    socket: Path | None,
    *,
    until_s: float | None = None,
    for_ever: bool = False,
    dry_run: bool = False,
    ask: bool = False,
    is_now: bool = False,
) -> int:
    from keeper.cli.client import local_keeper, socket_of
    from keeper.cli.declared import slot_named
    from keeper.cli.terminal import confirm, run_async, say
    from keeper.core.world import OrderKind

    where = socket_of(config, socket)

    async def give() -> int:
        async with local_keeper(where) as keeper:
            found, stream, slot = None, None, None
            slots = {}
            if name is not None:
                fleet = await keeper.fleet()
                slots = {s.slot: s for each in fleet.streams for s in (*each.slots, *each.spares)}
                if kind in _WIDE and any(each.stream == name for each in fleet.streams):
                    stream = name
                elif kind is OrderKind.RESUME and name not in slots and _is_held(fleet, name):
                    stream, slot = (None, name) if "/" in name else (name, None)
            if name is not None and stream is None and slot is None:
                found = slots[slot_named(slots, name)]
                slot = found.slot
                if dry_run or ask:
                    say(f"{found.slot}: {_at_stake(kind, found)}")
            if dry_run:
                return 0
            if ask:
                confirm(f"{kind.value} {name}?", yes=False)
            order = await keeper.order(
                kind,
                slot,
                reason=reason,
                until_s=until_s,
                for_ever=for_ever,
                stream=stream,
                is_now=is_now,
            )
        until = f" until {order.until:%Y-%m-%d %H:%M:%S} UTC" if order.until else ""
        about = order.slot or order.stream or "the fleet"
        click.echo(f"{kind.value} of {about} is ordered{until} (by {order.actor})")
        if kind is OrderKind.PAUSE and not order.until:
            say("  it has no end: keeper reminds you of it until `keeper resume`")
        if order.slot is not None:
            say(f"  follow it: keeper events --slot {order.slot} --follow")
        return 0

    return run_async(give())


def _at_stake(kind: OrderKind, slot: SlotStatus) -> str:
    """Say what an order would do to a slot."""
    host = slot.host
    if host is None:
        return "no host is rented, so there is nothing to do it to"
    rental = f"instance {host.instance_id}, {host.gpu_name}, {host.dollars_per_hour:.3f} $/h"
    return (
        f"would {kind.value} {rental}; it is {'on air' if slot.is_on_air else slot.state.lower()}"
    )
