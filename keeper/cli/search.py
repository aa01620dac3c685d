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

    from keeper.cli.offers import Look
    from keeper.core.market import Avoided
    from keeper.core.model import MachineId, Offer, OfferNeeds, Stream
    from keeper.ports import Clock, Marketplace, Saved
    from keeper.settings import Settings


_LOOK_AROUND = "usually within 20s: its searches must be 6s apart"


@click.command(
    cls=Verb,
    examples=(
        "keeper search                  # for every stream",
        "keeper search duel --explain   # what each filter removed and kept out",
        "keeper search duel --json | jq '.[0].suitable[0]'",
    ),
)
@stream_argument(required=False)
@click.option(
    "--explain", is_flag=True, help="Show what each filter removed, and what would let more in."
)
@json_option
@config_option
@vast_url_option
def search(
    stream: str | None, explain: bool, as_json: bool, config: Path, vast_url: str | None
) -> int:
    """Offers that would do, and what was filtered out.

    Asks the marketplace now and rents nothing. What is shown has passed the same filter and ranking
    by which keeper rents: the first line is what it would take. If nothing suits, it explains unasked.
    Exit 5 if no offer suits, 75 if the daily search quota is used up.
    """
    from keeper.cli.terminal import run_async
    from keeper.settings import load_settings

    settings = load_settings(config, os.environ, overrides=overrides_of(vast_url))
    return run_async(_search(settings, stream, explain=explain, as_json=as_json))


async def _search(settings: Settings, name: str | None, *, explain: bool, as_json: bool) -> int:
    from keeper import bootstrap
    from keeper.adapters.clock import SystemClock
    from keeper.cli.declared import stream_named
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.offers import shown_look
    from keeper.cli.offers_json import as_json as json_of
    from keeper.cli.store import remembered
    from keeper.cli.terminal import console, print_json, show
    from keeper.settings import to_desired

    desired = to_desired(settings)
    streams = (stream_named(desired, name),) if name else desired.streams
    clock = SystemClock()
    saved = await remembered(settings)
    async with bootstrap.open_marketplace(settings, clock) as marketplace:
        looks = [
            await look_for(stream, marketplace, saved, settings, clock, explain=explain)
            for stream in streams
        ]
    if as_json:
        print_json([json_of(look) for look in looks])
    else:
        out = console()
        for index, look in enumerate(looks):
            if index:
                out.print()
            show(out, shown_look(look, explain=explain))
    is_enough = bool(looks) and all(look.suitable for look in looks)
    return ExitCode.OK if is_enough else ExitCode.NOT_FOUND


async def look_for(
    stream: Stream,
    marketplace: Marketplace,
    saved: Saved,
    settings: Settings,
    clock: Clock,
    *,
    explain: bool = False,
) -> Look:
    """Look at the market as the daemon does; wider when nothing suits, or to explain.

    The wider look costs a search and rents nothing: where it fails, what was found has to do.
    """
    from keeper.cli.terminal import Progress, say
    from keeper.daemon.error_line import describe
    from keeper.ports import PortError

    in_turn = needs_it_looks_by(stream, saved, clock.now())
    avoided, in_use = avoided_by(saved, settings, clock, stream), machines_of(saved)
    found = await marketplace.search_offers(stream.needs)
    look = _first_that_suits(stream, in_turn, found, avoided, in_use)
    if not look.suitable or explain:
        try:
            with Progress() as progress:
                progress.stage(f"{stream.name}: looking around on the market", _LOOK_AROUND)
                around = await marketplace.survey_offers(stream.needs)
        except PortError as error:
            say(f"warning: no wider look at the market: {describe(error)}")
        else:
            look = _first_that_suits(stream, in_turn, found, avoided, in_use, around)
    if len(in_turn) > 1 and look.suitable:
        what = "nothing on demand suits now, so it bids again"
        if look.needs == in_turn[0]:
            what = "so hosts are rented on demand for a while"
        say(f"{stream.name}: outbid lately, {what}")
    return look


def _first_that_suits(
    stream: Stream,
    in_turn: tuple[OfferNeeds, ...],
    found: tuple[Offer, ...],
    avoided: Avoided,
    in_use: frozenset[MachineId],
    around: tuple[Offer, ...] | None = None,
) -> Look:
    """Look at what was found by one of these needs after the other, until something suits."""
    from dataclasses import replace

    from keeper.cli.offers import look_at

    def by(needs: OfferNeeds) -> Look:
        as_needed = replace(stream, needs=needs)
        return look_at(as_needed, found, avoided, around=around, machines_in_use=in_use)

    look = by(in_turn[0])
    for needs in in_turn[1:]:
        if not look.suitable:
            look = by(needs)
    return look


def needs_it_looks_by(stream: Stream, saved: Saved, now: datetime) -> tuple[OfferNeeds, ...]:
    """Return what the stream's next host must be: after an outbid, on demand first for a while."""
    from keeper.core.bids import needs_in_turn
    from keeper.core.model import SlotRecord

    records = {record.slot: record for record in saved.records}
    known = [records.get(slot) or SlotRecord(slot=slot) for slot in stream.slots]
    next_ones = [record for record in known if record.tenure is None] or known
    turns = [needs_in_turn(stream, record.outbid_at, now) for record in next_ones]
    return min(turns, key=len, default=(stream.needs,))


def avoided_by(saved: Saved, settings: Settings, clock: Clock, stream: Stream) -> Avoided:
    """Return what keeper would not rent now: machines in quarantine, and races that it just lost."""
    from keeper.core.market import Avoided, avoided_by_quarantine

    machines, hosts = avoided_by_quarantine(
        {each.machine_id: each for each in saved.quarantine},
        clock.now(),
        settings.fleet.quarantine_host_after,
    )
    records = {record.slot: record for record in saved.records}
    lost = [set(records[slot].avoid_offers) for slot in stream.slots if slot in records]
    is_known = len(lost) == stream.replicas  # a slot of no record has lost nothing
    offers = frozenset(set.intersection(*lost)) if lost and is_known else frozenset()
    return Avoided(offers=offers, machines=machines, hosts=hosts)


def machines_of(saved: Saved) -> frozenset[MachineId]:
    """Return the machines that carry a rental of ours already: they are ranked last."""
    return frozenset(
        tenure.machine_id
        for record in saved.records
        for tenure in (record.tenure, record.incoming)
        if tenure is not None
    )
