"""`keeper demo`: the real daemon against the bundled simulator. The story is `keeper.sim.demo`'s."""

from __future__ import annotations

import click

from keeper.cli.app import Verb


@click.command(
    cls=Verb,
    examples=(
        "keeper demo                  # stays up for you to break things",
        "keeper demo --once --json    # the story alone, one JSON object a line",
    ),
)
@click.option("--once", is_flag=True, help="Play the story, then stop; exit 1 if a promise broke.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=9877,
    show_default=True,
    help="Where the page is served, on this box alone; 0 for any.",
)
def demo(once: bool, as_json: bool, port: int) -> int:
    """Watch the daemon keep simulated streams on air.

    No account, no GPU, no root: a marketplace and its hosts run on this box, on loopback, and leave
    nothing behind. Then faults strike, and each is told: what keeper saw, decided, did and spent,
    and for how long the stream was dark.
    """
    from keeper.sim.demo import main

    return main(once=once, as_json=as_json, port=port)
