"""`keeper logs SLOT`: the workload's logs on a slot's host, by way of the running keeper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keeper.cli.app import Verb
from keeper.cli.options import complete_slots, config_option, json_option, socket_option

if TYPE_CHECKING:
    from keeper.ports.asking import HostLog, LogPiece

_LINES_DEFAULT, _LINES_MAX = 50, 1000
_AGAIN_S = 1.0


@click.command(
    cls=Verb,
    examples=(
        "keeper logs duel",
        "keeper logs duel/0 -f",
        "keeper logs duel --list",
        "keeper logs duel --file duel-error.log -n 200",
        "keeper logs duel --deploy -n 200",
    ),
)
@click.argument("slot", metavar="SLOT|STREAM", shell_complete=complete_slots)
@click.option("--follow", "-f", "is_followed", is_flag=True, help="Go on as more is written.")
@click.option(
    "--lines",
    "-n",
    "lines",
    metavar="LINES",
    type=click.IntRange(0, _LINES_MAX),
    default=_LINES_DEFAULT,
    show_default=True,
    help="How many, from the end.",
)
@click.option("--file", "name", metavar="NAME", default="", help="Another log than the best one.")
@click.option("--list", "lists", is_flag=True, help="Which logs there are.")
@click.option("--deploy", "of_deploys", is_flag=True, help="What the slot's deploys have said.")
@json_option
@config_option
@socket_option
def logs(
    slot: str,
    is_followed: bool,
    lines: int,
    name: str,
    lists: bool,
    of_deploys: bool,
    as_json: bool,
    config: Path,
    socket: Path | None,
) -> int:
    """The workload's logs on a slot's host, without secrets, and safe for a terminal.

    The running keeper reads them over the link that it has. Followed, a log goes on when it is rotated
    or truncated, when the link was lost, when the slot moves to another host, and when keeper itself
    was restarted; each is said in a line of its own on stderr. What is written faster than 64 kB a second is left out, and counted.
    Ctrl-C ends following. With --json one object a line.

    --deploy shows what keeper has kept of the slot's deploys, the newest first; these are there also
    when the host is gone.
    """
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async

    where, whose = socket_of(config, socket), "deploy" if of_deploys else "host"
    try:
        return run_async(
            _list(where, slot, whose, as_json=as_json)
            if lists
            else _read(where, slot, whose, name, lines, is_followed=is_followed, as_json=as_json)
        )
    except KeyboardInterrupt:
        if not is_followed:
            raise
        return 0  # how one ends following


async def _read(
    socket: Path,
    slot: str,
    whose: str,
    name: str,
    lines: int,
    *,
    is_followed: bool,
    as_json: bool,
) -> int:
    import asyncio

    from keeper.cli.client import local_keeper
    from keeper.cli.errors import Stopped
    from keeper.cli.terminal import say
    from keeper.cli.way import slot_of

    query: dict[str, str | int] = {"lines": lines, "follow": int(is_followed), "of": whose}
    if name:
        query["file"] = name
    async with local_keeper(socket) as keeper:
        query["slot"] = await slot_of(keeper, slot)
    await _pass_on(socket, query, as_json=as_json)
    while is_followed:
        say("-- keeper has stopped; waiting for it")
        query["lines"] = 0
        while True:
            await asyncio.sleep(_AGAIN_S)
            try:
                async with local_keeper(socket) as keeper:
                    await keeper.fleet()
                break
            except Stopped:
                continue
        say("-- keeper is back; what was written meanwhile is shown by the same command without -f")
        await _pass_on(socket, query, as_json=as_json)
    return 0


async def _pass_on(socket: Path, query: dict[str, str | int], *, as_json: bool) -> None:
    """Show what keeper reads, until it has read all or has stopped."""
    from contextlib import aclosing

    from keeper.cli.client import decoded, local_keeper
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode
    from keeper.ports.asking import LogPiece

    has_begun = False
    try:
        async with (
            local_keeper(socket) as keeper,
            aclosing(keeper.lines("log", **query)) as answer,
        ):
            async for line in answer:
                has_begun = True
                if line:
                    _show(decoded(line, LogPiece), as_json=as_json)
    except Stopped as stopped:
        if not has_begun or not query["follow"] or stopped.code is not ExitCode.NO_DAEMON:
            raise


def _show(piece: LogPiece, *, as_json: bool) -> None:
    """Print a piece: lines are data, remarks are narration."""
    from keeper.cli.terminal import say
    from keeper.core.text import plain

    if as_json:
        where: dict[str, Any] = {"instance_id": piece.instance_id, "file": piece.path}
        for line in piece.lines:
            click.echo(json.dumps(where | {"line": line}, ensure_ascii=False))
        if piece.remark:
            click.echo(json.dumps(where | {"remark": piece.remark}, ensure_ascii=False))
        return
    for line in piece.lines:
        click.echo(plain(line, len(line) * 10))
    if piece.remark:
        say(f"-- {piece.remark}")


async def _list(socket: Path, slot: str, whose: str, *, as_json: bool) -> int:
    from keeper.cli.client import encoded, local_keeper
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.terminal import cell, console, print_json, show, table
    from keeper.cli.way import slot_of
    from keeper.web.asking import HostLogs

    async with local_keeper(socket) as keeper:
        found = await keeper.get("logs", HostLogs, slot=await slot_of(keeper, slot), of=whose)
    if as_json:
        print_json(json.loads(encoded(found)))
        return 0
    if not found.logs:
        raise Stopped(ExitCode.NOT_FOUND, f"{found.slot} has no log on its host yet")
    made = table("LOG", "SIZE", "WRITTEN", right=("SIZE",), fold="LOG")
    for each in found.logs:
        made.add_row(cell(each.path), cell(_size(each.size_bytes)), cell(_written(each)))
    show(console(), [made])
    return 0


def _size(size_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes} B"


def _written(log: HostLog) -> str:
    from keeper.cli.terminal import rough

    return "-" if log.quiet_s is None else f"{rough(log.quiet_s)} ago"
