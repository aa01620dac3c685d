"""`keeper provision STREAM`: bring a stream on air, and say how to connect to its hosts.

With a running keeper this waits for it; without one, the same daemon runs for this stream alone.
Nothing is rented behind the store's back, so an interrupted provision is taken up by the next one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

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
    from keeper.cli.wish import Wanted
    from keeper.core.model import Stream
    from keeper.ports import Saved
    from keeper.settings import Settings

_TIMEOUT_S = 2400.0  # the longest boot (30 min), and the deployment after it
_OFFER_MAX = 2**63 - 1


class _OfferNumber(click.ParamType[int]):
    """The number of an offer."""

    name = "offer"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if not (text.isascii() and text.isdecimal() and 0 < int(text[:20]) <= _OFFER_MAX):
            what = f"{text!r} is no offer: give the number that keeper search shows"
            self.fail(what, param, ctx)
        return int(text)


@click.command(
    cls=Verb,
    examples=(
        "keeper provision duel --dry-run    # what it would rent, and for how much",
        "keeper provision duel",
        "keeper provision duel --offer 29876543    # this one and no other",
        "keeper provision duel --yes --export env --out vast.env",
        "keeper provision duel --yes --export github | sh",
        "keeper provision duel --yes --export ssh-config >> ~/.ssh/config",
    ),
)
@stream_argument()
@click.option(
    "--offer",
    metavar="ID",
    type=_OfferNumber(),
    help="Rent this offer and no other. It has to pass the stream's filters.",
)
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
    offer: int | None,
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

    Rents the best offer within the stream's limits, or the one that is named, puts the workload there,
    and waits until a viewer sees the picture. Ctrl-C leaves nothing behind, or a recorded rental that it
    names and that the next keeper command takes up. The connection is saved with mode 0600.

    Exit 5 if no offer suits or the named one is not on the market, 6 if it does not suit or a fuse
    says no, 75 if somebody else was faster or time was up.
    """
    from keeper.cli.declared import stream_named
    from keeper.cli.landing import interrupted, must_be_writable, tell
    from keeper.cli.terminal import run_async
    from keeper.cli.wish import Wanted
    from keeper.core.model import OfferId
    from keeper.settings import load_settings, to_desired

    settings = load_settings(config, os.environ, overrides=overrides_of(vast_url))
    if not dry_run:
        must_be_writable(out)  # before money is spent on what could not be told
    wanted = Wanted(
        offer=OfferId(offer) if offer is not None else None,
        yes=yes,
        dry_run=dry_run,
        timeout_s=timeout_s,
    )
    declared = stream_named(to_desired(settings), stream)
    where = socket or settings.socket
    try:
        landings = run_async(_provision(settings, where, declared, wanted))
        if not dry_run:
            tell(settings, landings, export=export, out=out)
    except (KeyboardInterrupt, click.Abort) as error:
        if isinstance(error, click.Abort):
            click.echo(err=True)  # the question is still on that line
        # A provision that waits for its end says so by itself; this is for every other moment.
        saved, is_served = run_async(_left(settings, where))
        raise interrupted(saved, declared, is_served=is_served) from None
    return 0


async def _provision(
    settings: Settings, socket: Path, stream: Stream, wanted: Wanted
) -> tuple[Landing, ...]:
    from keeper.cli.client import is_running

    if await is_running(socket):
        from keeper.cli.provision_served import through_daemon

        return await through_daemon(settings, socket, stream, wanted)
    from keeper.cli.provision_alone import by_itself

    return await by_itself(settings, stream, wanted)


async def _left(settings: Settings, socket: Path) -> tuple[Saved, bool]:
    from keeper.cli.client import is_running
    from keeper.cli.store import remembered

    return await remembered(settings), await is_running(socket)
