"""Options that several verbs share, so that each is spelled, explained and defaulted once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from keeper.settings import Settings

CONFIG_DEFAULT = Path("/etc/keeper/keeper.yaml")
SOCKET_DEFAULT = Path("/run/keeper/keeper.sock")

_F = TypeVar("_F", bound=Callable[..., Any])


def stream_argument(*, required: bool = True) -> Callable[[_F], _F]:
    """Add STREAM; the shell completes it from the configuration."""
    return click.argument("stream", required=required, shell_complete=_complete_streams)


def slot_argument(*, required: bool = True) -> Callable[[_F], _F]:
    """Add SLOT; the shell completes it from the configuration."""
    return click.argument("slot", required=required, shell_complete=complete_slots)


def complete_slots(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the slots that are declared."""
    slots = [f"{name}/{n}" for name, replicas in _declared(ctx) for n in range(replicas)]
    return [slot for slot in slots if slot.startswith(incomplete)]


def complete_channels(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the channels that are declared."""
    settings = _settings(ctx)
    names = [] if settings is None else [str(c.name) for c in settings.alerts.channels]  # type: ignore[attr-defined]
    return [name for name in names if name.startswith(incomplete)]


def complete_matchers(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete what a silence may be of: names of alerts, and streams, slots and severities that there are."""
    from keeper.alerts import Severity
    from keeper.alerts.rules import RULES

    declared = _declared(ctx)
    known = [
        *RULES,
        *(f"stream={name}" for name, _ in declared),
        *(f"slot={name}/{n}" for name, replicas in declared for n in range(replicas)),
        *(f"severity={each.value}" for each in Severity),
    ]
    return [each for each in known if each.startswith(incomplete)]


def _complete_streams(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    return [name for name, _ in _declared(ctx) if name.startswith(incomplete)]


def _declared(ctx: click.Context) -> list[tuple[str, int]]:
    """Read streams and replicas from the file; a bad one completes nothing."""
    settings = _settings(ctx)
    return [] if settings is None else [(each.name, each.replicas) for each in settings.streams]


def _settings(ctx: click.Context) -> Settings | None:
    from keeper.cli.client import settings_to_look
    from keeper.ports import ConfigError

    try:
        return settings_to_look(ctx.params.get("config") or CONFIG_DEFAULT)
    except ConfigError:
        return None


def config_option(function: _F) -> _F:
    """Add --config; the environment names a file too."""
    return click.option(
        "--config",
        "-c",
        "config",
        type=click.Path(path_type=Path),
        envvar="KEEPER_CONFIG",
        default=CONFIG_DEFAULT,
        show_default=True,
        show_envvar=True,
        help="The configuration file.",
    )(function)


def vast_url_option(function: _F) -> _F:
    """Add --vast-url: another marketplace, such as `keeper sim serve`."""
    return click.option(
        "--vast-url",
        "vast_url",
        metavar="URL",
        help="Another marketplace, such as the simulator's. Also VAST_URL.",
    )(function)


def socket_option(function: _F) -> _F:
    """Add --socket: another keeper's local socket. KEEPER_SOCKET is read with the configuration."""
    return click.option(
        "--socket",
        "socket",
        type=click.Path(path_type=Path),
        help="The running keeper's socket. Default: as configured.",
    )(function)


def json_option(function: _F) -> _F:
    """Add --json: data for programs on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def yes_option(function: _F) -> _F:
    """Add --yes: do not ask."""
    return click.option("--yes", "-y", "yes", is_flag=True, help="Do not ask.")(function)


def dry_run_option(function: _F) -> _F:
    """Add --dry-run: say it, but do not do it."""
    return click.option(
        "--dry-run", "dry_run", is_flag=True, help="Say what would happen; change nothing."
    )(function)


def reason_option(function: _F) -> _F:
    """Add --reason: a word for the journal and for colleagues."""
    return click.option(
        "--reason", "reason", metavar="TEXT", default="", help="Why, for the journal."
    )(function)


def timeout_option(default_s: float, what: str) -> Callable[[_F], _F]:
    """Add --timeout in seconds."""

    def add(function: _F) -> _F:
        return click.option(
            "--timeout",
            "timeout_s",
            metavar="SECONDS",
            type=click.FloatRange(min=1.0),
            default=default_s,
            show_default=True,
            help=what,
        )(function)

    return add


def overrides_of(vast_url: str | None) -> dict[str, Any]:
    """Say in the shape of the configuration what the command line overrides."""
    return {"vast": {"url": vast_url}} if vast_url else {}
