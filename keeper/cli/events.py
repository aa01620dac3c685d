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

    from keeper.web.shapes import EventStatus

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
    """What happened, as it was written down. With --json one object a line."""
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async

    where = socket_of(config, socket)
    try:
        return run_async(_events(where, slot, limit, follow=follow, as_json=as_json))
    except KeyboardInterrupt:
        if not follow:
            raise
        return 0  # how one ends following


async def _events(
    socket: Path, name: str | None, limit: int, *, follow: bool, as_json: bool
) -> int:
    import asyncio

    from keeper.cli.client import encoded, local_keeper
    from keeper.cli.declared import slot_named
    from keeper.cli.terminal import console, show
    from keeper.web.shapes import EventPage

    out = console()
    async with local_keeper(socket) as keeper:
        query: dict[str, str | int] = {"limit": limit}
        if name is not None:
            fleet = await keeper.fleet()
            query["slot"] = slot_named((s.slot for t in fleet.streams for s in t.slots), name)
        while True:
            page = await keeper.get("events", EventPage, **query)
            for event in page.events:
                if as_json:
                    click.echo(json.dumps(json.loads(encoded(event)), ensure_ascii=False))
                else:
                    show(out, [_line(event)])
            if not follow:
                return 0
            out.file.flush()
            query |= {"after": page.next_after, "limit": 1000}
            await asyncio.sleep(_LOOK_S)


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
