"""`keeper plan`: what a tick would do now, and why. It changes nothing, with or without a daemon."""

from __future__ import annotations

import os
from pathlib import Path

import click

from keeper.cli.app import Verb
from keeper.cli.options import (
    config_option,
    json_option,
    overrides_of,
    socket_option,
    vast_url_option,
)


@click.command(
    cls=Verb,
    examples=(
        "keeper plan",
        "keeper plan --config new.yaml --preview    # if this were the file",
        "keeper plan --json | jq '.decisions[] | select(.is_act)'",
    ),
)
@click.option("--preview", is_flag=True, help="Decide afresh, even if a keeper runs.")
@json_option
@config_option
@vast_url_option
@socket_option
def plan(
    preview: bool, as_json: bool, config: Path, vast_url: str | None, socket: Path | None
) -> int:
    """What keeper would do now, and why; changes nothing.

    A running keeper says what its last tick decided. Without one, the rentals and offers are read
    once and the same decision is made on them; hosts are not looked at, so no repairs are foreseen.
    """
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async

    where = None if preview else socket_of(config, socket)
    return run_async(_plan(config, vast_url, where, as_json=as_json))


async def _plan(config: Path, vast_url: str | None, socket: Path | None, *, as_json: bool) -> int:
    from keeper.cli.client import decoded, encoded, is_running, local_keeper
    from keeper.cli.fleet import shown_plan
    from keeper.cli.terminal import console, print_json_text, say, show
    from keeper.web.shapes import PlanStatus

    if socket is not None and await is_running(socket):
        async with local_keeper(socket) as keeper:
            raw = await keeper.raw("plan")
        note = ""
    else:
        from keeper import bootstrap
        from keeper.settings import load_settings
        from keeper.web.status import plan_of

        settings = load_settings(config, os.environ, overrides=overrides_of(vast_url))
        raw = encoded(plan_of(await bootstrap.preview(settings)))
        note = "decided afresh by this command; the hosts were not looked at"
    if as_json:
        print_json_text(raw)
        return 0
    if note:
        say(note)
    show(console(), shown_plan(decoded(raw, PlanStatus)))
    return 0
