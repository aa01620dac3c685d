"""`keeper status`: every slot at a glance, from the running keeper, or as the last one left it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from keeper.cli.app import Verb
from keeper.cli.options import config_option, json_option, socket_option, stream_argument

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from keeper.web.shapes import FleetStatus

_WATCH_S = 2.0


@click.command(
    cls=Verb,
    examples=(
        "keeper status",
        "keeper status duel --watch",
        "keeper status --exit-code >/dev/null || echo 'somebody should look'",
        "keeper status --json | jq '.streams[].slots[] | {slot, state, why}'",
    ),
)
@stream_argument(required=False)
@click.option(
    "--watch",
    "watch_s",
    metavar="[S]",
    is_flag=False,
    flag_value=_WATCH_S,
    type=click.FloatRange(min=0.2),
    help=f"Look again every S seconds ({_WATCH_S:g}).",
)
@click.option("--exit-code", "use_exit_code", is_flag=True, help="Exit 3 unless all is on air.")
@json_option
@config_option
@socket_option
def status(
    stream: str | None,
    watch_s: float | None,
    use_exit_code: bool,
    as_json: bool,
    config: Path,
    socket: Path | None,
) -> int:
    """Every slot: its state, since when, and why; what is rented, and what it costs.

    Prices are per hour, with their parts: the GPU or our bid, the disk, the viewers' traffic as
    expected. What was spent is an estimate. The account's credit lasts as long as said if nothing
    changes, counting every rental of the account.

    What viewers see has a row a slot: the verdict of the latest look, since when, and a sign for each
    of the last 30 minutes, a letter where something was wrong.

    STREAM shows one stream, or one slot (duel/0). While no keeper runs, what the last one knew is
    shown and marked as such; with --exit-code that is 7, because nobody is looking.
    """
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async

    where = socket_of(config, socket)
    try:
        return run_async(
            _status(
                config,
                where,
                stream,
                watch_s=watch_s,
                use_exit_code=use_exit_code,
                as_json=as_json,
            )
        )
    except KeyboardInterrupt:
        if watch_s is None:
            raise
        return 0  # how one ends a watch


async def _status(
    config: Path,
    socket: Path,
    name: str | None,
    *,
    watch_s: float | None,
    use_exit_code: bool,
    as_json: bool,
) -> int:
    import asyncio

    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.terminal import console, say, show

    out = console()
    fleet, note = await _look(config, socket)
    chosen = _chosen(fleet, name)  # a name that is not there ends this before a screen is taken
    if watch_s is not None and out.is_terminal and not as_json:
        await _watch(config, socket, name, watch_s, out)
    while True:
        if as_json:
            _print_json(fleet, note, chosen)
        else:
            if note:
                say(note)
            show(out, _shown(fleet, chosen, out.width))
        if watch_s is None:
            break
        out.file.flush()
        await asyncio.sleep(watch_s)
        fleet, note = await _look(config, socket)
        chosen = _chosen(fleet, name)
    if not use_exit_code:
        return ExitCode.OK
    return ExitCode.NO_DAEMON if note else _verdict(fleet, chosen)


async def _watch(
    config: Path, socket: Path, name: str | None, watch_s: float, out: Console
) -> NoReturn:
    """Redraw a screen of its own, in place, until Ctrl-C. A look that fails leaves the last one up."""
    import asyncio

    from rich.console import Group
    from rich.live import Live

    from keeper.cli.errors import Stopped
    from keeper.cli.terminal import cell
    from keeper.ports import StoreError

    heading = ""
    shown: list[RenderableType] = []
    with Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            try:
                fleet, note = await _look(config, socket)
                chosen = _chosen(fleet, name)
                heading = f"{fleet.now:%H:%M:%S} UTC, every {watch_s:g} s; Ctrl-C ends this"
                shown = _shown(fleet, chosen, out.width, sums_first=True)
            except Stopped as stopped:
                note = stopped.what
            except StoreError as error:
                note = str(error)
            top = [cell(heading, "dim"), *([cell(note, "yellow", length_max=400)] if note else [])]
            live.update(Group(*top, *shown), refresh=True)
            await asyncio.sleep(watch_s)


async def _look(config: Path, socket: Path) -> tuple[FleetStatus, str]:
    """Ask the running keeper; without one, read what the last one remembered and say so."""
    from keeper.adapters.clock import SystemClock
    from keeper.cli.client import is_running, local_keeper, no_daemon, settings_to_look
    from keeper.cli.store import remembered_snapshot
    from keeper.ports import ConfigError
    from keeper.web.status import status_of

    if await is_running(socket):
        async with local_keeper(socket) as keeper:
            return await keeper.fleet(), ""
    try:
        settings = settings_to_look(config)
    except ConfigError as error:
        raise no_daemon(socket) from error
    snapshot, written_at = await remembered_snapshot(settings)
    note = "no keeper is running: this is what the last one knew"
    if written_at.timestamp():
        note += f" at {written_at:%Y-%m-%d %H:%M:%S} UTC"
    return status_of(snapshot, SystemClock().now()), note


def _chosen(fleet: FleetStatus, name: str | None) -> frozenset[str] | None:
    """Return the slots that are meant. None: all of them."""
    from keeper.cli.declared import slot_named, stream_named_in

    if name is None:
        return None
    if "/" in name:
        slots = [slot.slot for stream in fleet.streams for slot in (*stream.slots, *stream.spares)]
        return frozenset({slot_named(slots, name)})
    found = stream_named_in([stream.stream for stream in fleet.streams], name)
    return frozenset(
        slot.slot
        for stream in fleet.streams
        if stream.stream == found
        for slot in (*stream.slots, *stream.spares)
    )


def _shown(
    fleet: FleetStatus, chosen: frozenset[str] | None, width: int, *, sums_first: bool = False
) -> list[RenderableType]:
    from keeper.cli.fleet import shown_fleet

    return [*shown_fleet(fleet, width=width, only=chosen, sums_first=sums_first)]


def _print_json(fleet: FleetStatus, note: str, chosen: frozenset[str] | None) -> None:
    import json

    from keeper.cli.client import encoded
    from keeper.cli.terminal import print_json

    document = json.loads(encoded(fleet))
    document["is_live"] = not note
    if chosen is not None:
        for stream in document["streams"]:
            for key in ("slots", "spares"):
                stream[key] = [slot for slot in stream[key] if slot["slot"] in chosen]
        document["streams"] = [s for s in document["streams"] if s["slots"] or s["spares"]]
    print_json(document)


def _verdict(fleet: FleetStatus, chosen: frozenset[str] | None) -> int:
    from keeper.cli.exit_codes import ExitCode

    slots = [slot for stream in fleet.streams for slot in stream.slots]
    if chosen is not None:
        slots = [slot for slot in slots if slot.slot in chosen]
    is_good = bool(slots) and all(slot.is_on_air for slot in slots)
    return ExitCode.OK if is_good else ExitCode.DEGRADED
