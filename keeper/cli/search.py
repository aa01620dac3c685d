"""`keeper search`: which offers would do now, what they cost in parts, and why the others do not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.options import (
    config_option,
    json_option,
    overrides_of,
    stream_argument,
    vast_url_option,
)

if TYPE_CHECKING:
    from datetime import datetime

    from keeper.core.market import Avoided
    from keeper.settings import Settings


@click.command(
    cls=Verb,
    examples=(
        "keeper search                  # for every stream",
        "keeper search duel --explain   # which filter removed how many",
        "keeper search duel --json | jq '.[0].suitable[0]'",
    ),
)
@stream_argument(required=False)
@click.option("--explain", is_flag=True, help="Show the funnel: which filter removed how many.")
@json_option
@config_option
@vast_url_option
def search(
    stream: str | None, explain: bool, as_json: bool, config: Path, vast_url: str | None
) -> int:
    """Offers that would do, and what was filtered out.

    Asks the marketplace now and rents nothing. What is shown has passed the same filter and ranking
    by which keeper rents: the first line is what it would take. Exit 5 if no offer suits.
    """
    from keeper.cli.terminal import run_async
    from keeper.settings import load_settings

    settings = load_settings(config, os.environ, overrides=overrides_of(vast_url))
    return run_async(_search(settings, stream, explain=explain, as_json=as_json))


async def _search(settings: Settings, name: str | None, *, explain: bool, as_json: bool) -> int:
    from keeper import bootstrap
    from keeper.adapters.clock import SystemClock
    from keeper.cli import offers
    from keeper.cli.declared import stream_named
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.terminal import console, print_json, show
    from keeper.core import market
    from keeper.settings import to_desired

    desired = to_desired(settings)
    streams = (stream_named(desired, name),) if name else desired.streams
    clock = SystemClock()
    avoided = await avoided_now(settings, clock.now())
    funnels = []
    async with bootstrap.open_marketplace(settings, clock) as marketplace:
        for stream in streams:
            found = await marketplace.search_offers(stream.needs)
            funnels.append((stream, market.search(found, stream.needs, avoided)))
    if as_json:
        print_json([offers.as_json(s.name, funnel, s.needs) for s, funnel in funnels])
    else:
        out = console()
        for index, (stream, funnel) in enumerate(funnels):
            if index:
                out.print()
            show(out, offers.shown_search(stream.name, funnel, stream.needs, explain=explain))
    is_enough = bool(funnels) and all(funnel.suitable for _, funnel in funnels)
    return ExitCode.OK if is_enough else ExitCode.NOT_FOUND


async def avoided_now(settings: Settings, now: datetime) -> Avoided:
    """Leave out the machines that keeper has in quarantine."""
    from keeper.cli.store import remembered
    from keeper.core.market import Avoided, avoided_by_quarantine

    saved = await remembered(settings)
    machines, hosts = avoided_by_quarantine(
        {each.machine_id: each for each in saved.quarantine},
        now,
        settings.fleet.quarantine_host_after,
    )
    return Avoided(machines=machines, hosts=hosts)
