"""`keeper run`: the daemon in the foreground, as a service manager wants it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from keeper.cli.app import Verb
from keeper.cli.options import config_option, overrides_of, vast_url_option


@click.command(
    cls=Verb,
    examples=(
        "keeper run --config /etc/keeper/keeper.yaml",
        "keeper run -c keeper.yaml --vast-url http://127.0.0.1:8100    # the simulator",
    ),
)
@config_option
@vast_url_option
@click.option(
    "--log-format",
    type=click.Choice(("auto", "console", "json")),
    help="Default: as configured; auto is console on a terminal, else JSON.",
)
@click.option(
    "--log-level",
    type=click.Choice(("debug", "info", "warning", "error")),
    help="Default: as configured.",
)
def run(config: Path, vast_url: str | None, log_format: str | None, log_level: str | None) -> None:
    """Run the daemon.

    It stays in the foreground. SIGTERM and Ctrl-C drain: no new acts, those under way are finished
    (a second signal does not wait). SIGHUP reads the configuration again; a bad one keeps the old.
    Rentals stay as they are when keeper stops, and are taken up again when it starts.
    """
    from keeper import bootstrap
    from keeper.settings import Settings, load_settings

    def load() -> Settings:
        return load_settings(config, os.environ, overrides=overrides_of(vast_url))

    asyncio.run(bootstrap.serve(load, log_format=log_format, log_level=log_level))
