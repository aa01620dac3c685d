"""`keeper stream-status [STREAM]`: what the workload itself tells of a stream, asked on its host now."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.options import complete_slots, config_option, json_option, socket_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from keeper.cli.client import LocalKeeper
    from keeper.web.asking import StreamReport
    from keeper.web.view_shapes import ViewStatus

_AT_ONCE = 4
_WORD = {"true": ("ok", "green"), "false": ("BAD", "bold red"), "unknown": ("?", "yellow")}


@click.command(
    "stream-status",
    cls=Verb,
    examples=(
        "keeper stream-status duel",
        "keeper stream-status",
        "keeper stream-status duel --exit-code >/dev/null || echo 'look at it'",
        "keeper stream-status duel --json | jq '.[].lines[] | {title, status, text}'",
    ),
)
@click.argument("stream", metavar="[STREAM|SLOT]", required=False, shell_complete=complete_slots)
@click.option("--exit-code", "use_exit_code", is_flag=True, help="Exit 3 unless all is well.")
@json_option
@config_option
@socket_option
def stream_status(
    stream: str | None, use_exit_code: bool, as_json: bool, config: Path, socket: Path | None
) -> int:
    """What the workload itself tells of a stream, asked on its host now.

    First what viewers see, since when, and a sign for each of the last 30 minutes, as keeper has looked.
    Then, of a duel: server health, streaming API, duel context, RTMP bridge, processes and recent logs;
    of other workloads what they have to tell. Where the host tells nothing, what keeper knows is shown.
    Without STREAM every slot is asked.

    --exit-code: 3 if a line is bad or a slot is not on air.
    """
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async

    where = socket_of(config, socket)
    return run_async(_stream_status(where, stream, use_exit_code=use_exit_code, as_json=as_json))


async def _stream_status(
    socket: Path, name: str | None, *, use_exit_code: bool, as_json: bool
) -> int:
    from keeper.cli.client import encoded, local_keeper
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.terminal import console, print_json, show

    async with local_keeper(socket) as keeper:
        reports = await _reports(keeper, await _slots(keeper, name))
    if as_json:
        print_json([json.loads(encoded(each)) for each in reports])
    else:
        out = console()
        for number, each in enumerate(reports):
            show(out, [*([""] if number else []), *_shown(each)])
    is_well = bool(reports) and all(_is_well(each) for each in reports)
    return ExitCode.OK if is_well or not use_exit_code else ExitCode.DEGRADED


async def _slots(keeper: LocalKeeper, name: str | None) -> list[str]:
    """Return the slots that are meant, in the order of the fleet."""
    from keeper.cli.declared import slot_named, stream_named_in

    fleet = await keeper.fleet()
    if name is not None and "/" in name:
        every = (slot.slot for stream in fleet.streams for slot in (*stream.slots, *stream.spares))
        return [slot_named(every, name)]
    if name is not None:
        name = stream_named_in([stream.stream for stream in fleet.streams], name)
    return [
        slot.slot
        for stream in fleet.streams
        if name is None or stream.stream == name
        for slot in stream.slots
    ]


async def _reports(keeper: LocalKeeper, slots: list[str]) -> list[StreamReport]:
    """Ask some hosts at a time: each takes its own time to answer."""
    from keeper.web.asking import StreamReport

    room = asyncio.Semaphore(_AT_ONCE)

    async def ask(slot: str) -> StreamReport:
        async with room:
            return await keeper.get("report", StreamReport, slot=slot)

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(slot)) for slot in slots]
    return [each.result() for each in asked]


def _shown(report: StreamReport) -> Iterator[RenderableType]:
    from rich.text import Text

    from keeper.cli.seen import StripLine, key_of, told_view
    from keeper.cli.terminal import cell, table

    where = f"instance {report.instance_id}" if report.instance_id is not None else "no host"
    on_air = ("on air", "green") if report.is_on_air else ("NOT ON AIR", "bold red")
    asked = "" if report.is_from_host else ", as keeper knows it"
    yield Text.assemble(
        cell(report.slot, "bold"), f"  {where}, ", on_air, f", {report.at:%H:%M:%S} UTC{asked}"
    )
    if report.why:
        yield cell(f"  the host could not be asked: {report.why}", "yellow", length_max=400)
    made = table("", "", "", fold="")
    made.show_header = False
    made.columns[0].no_wrap = made.columns[1].no_wrap = True
    if report.view is not None:
        made.add_row("  Viewers see", cell(*_sight(report.view)), told_view(report.view, report.at))
        line = StripLine(report.view.strip, report.at)
        made.add_row("  Last 30 min", "", line)
        if key := key_of([line]):
            made.add_row("", "", key)
    for told in report.lines:
        word, style = _WORD[told.status.value]
        rows = told.text.split("\n") or [""]
        text = Text("\n").join([cell(row, length_max=2000) for row in rows])
        made.add_row(cell(f"  {told.title}"), cell(word, style), text)
    yield made


def _sight(view: ViewStatus) -> tuple[str, str]:
    from keeper.core.viewing import Verdict

    match view.verdict:
        case Verdict.LIVE | Verdict.STATIC | Verdict.STUTTERING:
            return _WORD["true"]
        case Verdict.UNKNOWN:
            return _WORD["unknown"]
        case None:
            return _WORD["unknown" if view.since is None else "false"]
        case _:
            return _WORD["false"]


def _is_well(report: StreamReport) -> bool:
    from keeper.core.model import Status

    is_bad = any(line.status is Status.FALSE for line in report.lines)
    return report.is_on_air and not is_bad
