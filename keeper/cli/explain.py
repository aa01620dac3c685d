"""`keeper explain SLOT`: all that is known about one slot, what is allowed, and why keeper waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.options import config_option, json_option, slot_argument, socket_option

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType

    from keeper.web.shapes import Explained, HostStatus


@click.command(cls=Verb, examples=("keeper explain duel/0", "keeper explain duel/0 --json"))
@slot_argument()
@json_option
@config_option
@socket_option
def explain(slot: str, as_json: bool, config: Path, socket: Path | None) -> int:
    """Everything known about one slot, and why keeper does, or does not, act."""
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async

    return run_async(_explain(socket_of(config, socket), slot, as_json=as_json))


async def _explain(socket: Path, name: str, *, as_json: bool) -> int:
    from keeper.cli.client import decoded, local_keeper
    from keeper.cli.declared import slot_named
    from keeper.cli.terminal import console, print_json_text, show
    from keeper.web.shapes import Explained

    async with local_keeper(socket) as keeper:
        fleet = await keeper.fleet()
        slot = slot_named((s.slot for stream in fleet.streams for s in stream.slots), name)
        raw = await keeper.raw("explain", slot=slot)
    if as_json:
        print_json_text(raw)
    else:
        out = console()
        show(out, shown_explained(decoded(raw, Explained), width=out.width))
    return 0


def shown_explained(found: Explained, *, width: int) -> Iterator[RenderableType]:
    """Show it: the verdict, the facts with their age, the budgets, the decision."""
    from rich.text import Text

    from keeper.cli.fleet import STYLE, shown_slot, why_and_next
    from keeper.cli.terminal import cell, duration, table

    slot, now = found.slot, found.now
    yield from shown_slot(slot, now, width=width)
    yield Text.assemble((f"{slot.state}: ", STYLE[slot.tone]), cell(why_and_next(slot, now)))
    if slot.host is not None and slot.host.revision:
        yield cell(_deployed(slot.host, now))
    if slot.deploy_log:
        yield cell(f"log of the deploy that failed: {slot.deploy_log} (in the state folder)")
    if slot.post_mortem:
        yield cell(f"what its last host left: {slot.post_mortem} (in the state folder)")
    if slot.conditions:
        yield Text("\nJudged", style="bold")
        made = table("CONDITION", "IS", "FOR", "WHY", right=("FOR",), fold="WHY")
        for each in slot.conditions:
            style = {"true": "green", "false": "red"}.get(each.status.value, "yellow")
            made.add_row(
                each.condition.value,
                cell(each.status.value, style),
                duration((now - each.since).total_seconds()),
                cell(each.because),
            )
        yield made
    for audition in found.auditions:
        yield Text(f"\nAudition of {audition.instance_id}", style="bold")
        if audition.meaning:
            why = f"{audition.check}: {audition.saw}; expected: {audition.expected}"
            yield cell(f"failed ({audition.meaning}), {why}", "red")
        ago = duration((now - audition.at).total_seconds())
        yield cell(f"as expected, {ago} ago: {audition.passed or 'nothing'}")
    if found.readings:
        yield Text("\nSeen", style="bold")
        made = table("WITNESS OF", "SAYS", "AGO", "DETAIL", right=("AGO",), fold="DETAIL")
        for reading in found.readings:
            numbers = ", ".join(f"{name} {value:g}" for name, value in reading.numbers.items())
            made.add_row(
                f"{reading.subject.value} of {reading.instance_id}",
                cell(reading.reason.replace("_", " ")),
                duration((now - reading.at).total_seconds()),
                cell("; ".join(text for text in (reading.detail, numbers) if text)),
            )
        yield made
    yield Text("\nAllowed", style="bold")
    made = table("FUSE", "USED", "OF", "MORE IN", right=("USED", "OF", "MORE IN"))
    for allowed in found.allowances:
        more = allowed.more_at
        made.add_row(
            cell(allowed.name.replace("_", " ")),
            _amount(allowed.used),
            _amount(allowed.limit),
            duration((more - now).total_seconds()) if more is not None else "",
        )
    yield made
    for fuse in found.fuses:
        yield cell(f"fuse: {fuse}", "yellow")


def _deployed(host: HostStatus, now: datetime) -> str:
    """Say what is on a host, and since when."""
    from keeper.cli.terminal import duration

    since = "" if host.deployed_at is None else duration((now - host.deployed_at).total_seconds())
    said = f"deployed: revision {host.revision}" + (f", for {since}" if since else ", not yet")
    return f"{said}; {host.putting} is being put in its place" if host.putting else said


def _amount(number: float) -> str:
    """Write a count as it is, and dollars with their mills."""
    return f"{number:.0f}" if number == int(number) else f"{number:.3f}"
