"""`keeper provision STREAM`: bring a stream on air, and say how to connect to its hosts.

With a running keeper this waits for it; without one, the same daemon runs for this stream alone.
Nothing is rented behind the store's back, so an interrupted provision is taken up by the next one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.options import (
    config_option,
    dry_run_option,
    overrides_of,
    socket_option,
    stream_argument,
    timeout_option,
    vast_url_option,
    yes_option,
)

if TYPE_CHECKING:
    from keeper.cli.landing import Landing
    from keeper.core.model import Stream
    from keeper.settings import Settings

_TIMEOUT_S = 2400.0  # the longest boot (30 min), and the deployment after it


@click.command(
    cls=Verb,
    examples=(
        "keeper provision duel --dry-run    # what it would rent, and for how much",
        "keeper provision duel",
        "keeper provision duel --yes --export env --out vast.env",
        "keeper provision duel --yes --export ssh-config >> ~/.ssh/config",
    ),
)
@stream_argument()
@click.option(
    "--export",
    type=click.Choice(("env", "github", "ssh-config")),
    help="Print nothing but this form of the connection.",
)
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save the connection here. Default: connect/SLOT.env in the state folder.",
)
@yes_option
@dry_run_option
@timeout_option(_TIMEOUT_S, "Give up waiting after this; what was rented stays recorded.")
@config_option
@vast_url_option
@socket_option
def provision(
    stream: str,
    export: str | None,
    out: Path | None,
    yes: bool,
    dry_run: bool,
    timeout_s: float,
    config: Path,
    vast_url: str | None,
    socket: Path | None,
) -> int:
    """Bring one stream on air and say how to connect.

    Rents the best offer within the stream's limits, puts the workload there, and waits until a
    viewer sees the picture. Ctrl-C leaves nothing behind, or a recorded rental that it names. The
    connection is saved with mode 0600. Exit 5 if no offer suits, 6 if a fuse says no, 75 if time
    was up.
    """
    from keeper.cli.landing import tell
    from keeper.cli.terminal import run_async
    from keeper.settings import load_settings

    settings = load_settings(config, os.environ, overrides=overrides_of(vast_url))
    landings = run_async(
        _provision(
            settings,
            socket or settings.socket,
            stream,
            yes=yes,
            dry_run=dry_run,
            timeout_s=timeout_s,
        )
    )
    if not dry_run:
        tell(settings, landings, export=export, out=out)
    return 0


async def _provision(
    settings: Settings, socket: Path, name: str, *, yes: bool, dry_run: bool, timeout_s: float
) -> tuple[Landing, ...]:
    from keeper.cli.client import is_running
    from keeper.cli.declared import stream_named
    from keeper.settings import to_desired

    stream = stream_named(to_desired(settings), name)
    if await is_running(socket):
        return await _through_daemon(
            settings, socket, stream, yes=yes, dry_run=dry_run, timeout_s=timeout_s
        )
    return await _by_itself(settings, stream, yes=yes, dry_run=dry_run, timeout_s=timeout_s)


async def _by_itself(
    settings: Settings, stream: Stream, *, yes: bool, dry_run: bool, timeout_s: float
) -> tuple[Landing, ...]:
    """Run the daemon for this stream alone."""
    from keeper.cli import stages
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.landing import landings_of, left_behind
    from keeper.cli.oneshot import new_order, pursue
    from keeper.cli.store import remembered
    from keeper.cli.terminal import confirm
    from keeper.core.model import Mode
    from keeper.core.world import OrderKind

    if stream.mode is not Mode.ACT:
        raise Stopped(
            ExitCode.REFUSED,
            f"stream {stream.name} is set to {stream.mode.value} only; nothing was rented",
            "set its mode to act in the configuration",
        )
    saved = await remembered(settings)
    if saved.pause is not None:
        message = f"keeper was paused by {saved.pause.actor}; nothing was rented"
        raise Stopped(ExitCode.REFUSED, message, "start keeper, and end it: keeper resume")
    filled = {r.slot for r in saved.records if r.tenure is not None}
    missing = [slot for slot in stream.slots if slot not in filled]
    if missing or dry_run:
        await _announce(settings, stream, len(missing))
    if dry_run:
        return ()
    if missing:
        hosts = "a host" if len(missing) == 1 else f"{len(missing)} hosts"
        confirm(f"Rent {hosts} for {stream.name}?", yes=yes)
    pursuit = await pursue(
        settings,
        only=stream.name,
        is_done=lambda snapshot: stages.is_settled(snapshot, stream),
        stage=lambda snapshot: stages.stage_of_stream(snapshot, stream),
        hopeless=lambda snapshot: stages.hopeless_stream(snapshot, stream),
        orders=tuple(
            new_order(OrderKind.RESUME, slot, "keeper provision")
            for slot in stream.slots
            if slot in saved.slot_pauses
        ),
        timeout_s=timeout_s,
    )
    if pursuit.is_done and pursuit.snapshot is not None:
        return landings_of(settings, pursuit.snapshot, stream)
    raise left_behind(pursuit, stream, timeout_s)


async def _announce(settings: Settings, stream: Stream, missing: int) -> None:
    """Say what would be rented, and for how much at most."""
    from keeper import bootstrap
    from keeper.adapters.clock import SystemClock
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.offers import shown_look
    from keeper.cli.search import look_for
    from keeper.cli.store import remembered
    from keeper.cli.terminal import console, say, show
    from keeper.core import market

    if not missing:
        say(f"{stream.name}: every slot has its host already")
        return
    clock = SystemClock()
    saved = await remembered(settings)
    async with bootstrap.open_marketplace(settings, clock) as marketplace:
        look = await look_for(stream, marketplace, saved, settings, clock)
    if not look.suitable:
        show(console(stderr=True), shown_look(look, explain=True))
        raise Stopped(
            ExitCode.NOT_FOUND,
            f"no offer suits {stream.name}; nothing was rented",
            "widen streams[].offer, or wait for the market",
        )
    best = look.suitable[0]
    price = market.price_dollars_per_hour(best, stream.needs)
    say(
        f"{stream.name}: {len(look.suitable)} of {look.shortage.found} offers suit; the best is offer"
        f" {int(best.offer_id)}, {best.gpu_name} in {best.geolocation or '?'}, {price:.3f} $/h"
    )
    say(f"{stream.name}: at most {stream.spend_max_dollars_per_hour:.2f} $/h for all its slots")


async def _through_daemon(
    settings: Settings,
    socket: Path,
    stream: Stream,
    *,
    yes: bool,
    dry_run: bool,
    timeout_s: float,
) -> tuple[Landing, ...]:
    """Wait for the running keeper, which rents by itself; end the pauses that hold it."""
    import asyncio

    from keeper.cli.client import local_keeper
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.landing import landings_shown, slots_shown
    from keeper.cli.terminal import Progress, confirm, say
    from keeper.core.model import Mode
    from keeper.core.world import OrderKind

    async with local_keeper(socket) as keeper:
        fleet = await keeper.fleet()
        slots = slots_shown(fleet, stream.name)
        paused = [slot.slot for slot in slots if slot.pause is not None]
        off_air = [slot.slot for slot in slots if not slot.is_on_air]
        if fleet.pause is not None and off_air:
            message = f"keeper is paused by {fleet.pause.actor}; nothing was changed"
            raise Stopped(ExitCode.REFUSED, message, "keeper resume")
        if stream.mode is not Mode.ACT and off_air:
            message = f"stream {stream.name} is set to {stream.mode.value} only"
            raise Stopped(ExitCode.REFUSED, message, "set its mode to act, and reload keeper")
        if dry_run:
            verb = f"would resume {', '.join(paused)} and wait" if paused else "would wait"
            what = (
                f"the running keeper {verb} for {', '.join(off_air)}" if off_air else "all on air"
            )
            say(f"{stream.name}: {what}")
            return ()
        if paused:
            confirm(f"Resume {', '.join(paused)}? keeper will rent a host for it.", yes=yes)
            for name in paused:
                await keeper.order(OrderKind.RESUME, name, reason="keeper provision")
        say(f"{stream.name}: the running keeper brings it on air")
        try:
            async with asyncio.timeout(timeout_s):
                with Progress() as progress:
                    while True:
                        slots = slots_shown(await keeper.fleet(), stream.name)
                        if slots and all(slot.is_on_air for slot in slots):
                            return landings_shown(settings, slots)
                        for slot in slots:
                            if not slot.is_on_air:
                                progress.stage(f"{slot.slot}: {slot.state.lower()}: {slot.why}")
                                break
                        await asyncio.sleep(1.0)
        except TimeoutError as error:
            message = f"{stream.name} is not on air after {timeout_s:.0f} s; keeper goes on trying"
            cure = f"watch it: keeper status {stream.name} --watch"
            raise Stopped(ExitCode.TRY_AGAIN, message, cure) from error
