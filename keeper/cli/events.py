"""`keeper events`: what happened, as keeper wrote it down, oldest first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.options import complete_slots, config_option, json_option, socket_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from keeper.web.shapes import EventPage, EventStatus

_LOOK_S = 1.0
_STYLE = {"warning": "yellow", "error": "bold red", "debug": "dim"}


@click.command(
    cls=Verb,
    examples=(
        "keeper events --limit 20",
        "keeper events --slot duel/0 --follow",
        "keeper events --json | jq 'select(.event == \"instance.rented\")'",
    ),
)
@click.option("--slot", shell_complete=complete_slots, help="Only of this slot.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many."
)
@click.option("--follow", "-f", is_flag=True, help="Go on as more happens.")
@json_option
@config_option
@socket_option
def events(
    slot: str | None, limit: int, follow: bool, as_json: bool, config: Path, socket: Path | None
) -> int:
    """What happened, as it was written down, oldest first. With --json one object a line.

    While no keeper runs, what the last one wrote is read from its store, and that is said.
    """
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async

    where = socket_of(config, socket)
    try:
        return run_async(_events(config, where, slot, limit, follow=follow, as_json=as_json))
    except KeyboardInterrupt:
        if not follow:
            raise
        return 0  # how one ends following


async def _events(
    config: Path, socket: Path, name: str | None, limit: int, *, follow: bool, as_json: bool
) -> int:
    import asyncio

    from keeper.cli.client import encoded
    from keeper.cli.terminal import console, say, show

    out = console()
    was_live = True
    after = 0
    while True:
        # A keeper may start or stop while somebody follows: facts have the same numbers in both.
        page, note = await _look(
            config, socket, name, limit=limit if not after else 1000, after=after
        )
        if note and was_live:
            say(note)
        was_live = not note
        for event in page.events:
            if as_json:
                click.echo(json.dumps(json.loads(encoded(event)), ensure_ascii=False))
            else:
                show(out, [_line(event)])
        if not follow:
            return 0
        out.file.flush()
        after = page.next_after
        await asyncio.sleep(_LOOK_S)


async def _look(
    config: Path, socket: Path, name: str | None, *, limit: int, after: int
) -> tuple[EventPage, str]:
    """Ask the running keeper; without one, read its store and say so."""
    from keeper.cli.client import is_running
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode

    if await is_running(socket):
        try:
            return await _ask(socket, name, limit=limit, after=after), ""
        except Stopped as refusal:
            if refusal.code is not ExitCode.NO_DAEMON:
                raise  # else it has gone in this moment
    return await _look_into_store(config, socket, name, limit=limit, after=after)


async def _ask(socket: Path, name: str | None, *, limit: int, after: int) -> EventPage:
    from keeper.cli.client import local_keeper
    from keeper.cli.declared import slot_named
    from keeper.web.shapes import EventPage

    async with local_keeper(socket) as keeper:
        query: dict[str, str | int] = {"limit": limit, "after": after}
        if name is not None:
            fleet = await keeper.fleet()
            query["slot"] = slot_named((s.slot for t in fleet.streams for s in t.slots), name)
        return await keeper.get("events", EventPage, **query)


async def _look_into_store(
    config: Path, socket: Path, name: str | None, *, limit: int, after: int
) -> tuple[EventPage, str]:
    from keeper.cli.client import no_daemon, settings_to_look
    from keeper.cli.declared import slot_named
    from keeper.cli.store import journal, remembered_snapshot, written_at
    from keeper.ports import ConfigError
    from keeper.web.api import event_status
    from keeper.web.shapes import EventPage

    try:
        settings = settings_to_look(config)
    except ConfigError as error:
        raise no_daemon(socket) from error
    slot = None
    if name is not None:
        slot = slot_named((await remembered_snapshot(settings))[0].records, name)
    entries = await journal(settings, slot=slot, limit=limit, after_seq=after)
    at = written_at(settings)
    note = "no keeper is running: this is read from its store"
    note += f", last written at {at:%Y-%m-%d %H:%M:%S} UTC" if at.timestamp() else ", which is new"
    events = tuple(event_status(entry) for entry in entries)
    return EventPage(events=events, next_after=events[-1].seq if events else after), note


def _line(event: EventStatus) -> RenderableType:
    from rich.table import Table

    from keeper.cli.terminal import cell

    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=14)
    line.add_column(min_width=10, no_wrap=True)
    line.add_column(overflow="fold")
    line.add_row(
        cell(f"{event.at:%m-%d %H:%M:%S}", "dim"),
        cell(event.slot or "-"),
        cell(event.words, _STYLE.get(event.level, ""), length_max=400),
    )
    return line
