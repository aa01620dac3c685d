"""`keeper spend`: what was spent, what runs, where the caps are, and where it leads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.options import config_option, json_option, socket_option, stream_argument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from rich.console import RenderableType

    from keeper.web.spending import CapStatus, SpareSpendStatus, SpendStatus, StreamSpendStatus


@click.command(
    cls=Verb,
    examples=(
        "keeper spend",
        "keeper spend duel",
        "keeper spend --json | jq '.streams[] | {stream, dollars: .today.dollars}'",
    ),
)
@stream_argument(required=False)
@json_option
@config_option
@socket_option
def spend(stream: str | None, as_json: bool, config: Path, socket: Path | None) -> int:
    """What was spent today, this month and in all (UTC); what runs; the caps and where it leads.

    Dollars are by listed prices, counted by keeper itself: what is rented from the moment it is asked
    for until its end is confirmed. $/GOOD H is what an hour of good picture has cost, in all. A
    forecast is what will have been spent at the end of the day and of the month if nothing changes, and
    a cap is used up at its moment if all that is committed is paid. Times are UTC.

    While no keeper runs, what the last one wrote down is shown, and counted on to now.
    """
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async

    return run_async(_spend(config, socket_of(config, socket), stream, as_json=as_json))


async def _spend(config: Path, socket: Path, name: str | None, *, as_json: bool) -> int:
    from keeper.cli.terminal import console, say, show

    spending, note = await _look(config, socket)
    chosen = _chosen(spending, name)
    if as_json:
        _print_json(spending, note, chosen)
        return 0
    if note:
        say(note)
    show(console(), shown(spending, chosen, name))
    return 0


async def _look(config: Path, socket: Path) -> tuple[SpendStatus, str]:
    """Ask the running keeper; without one, read what the last one wrote down and say so."""
    from keeper.adapters.clock import SystemClock
    from keeper.cli.client import is_running, local_keeper, no_daemon, settings_to_look
    from keeper.cli.store import remembered_snapshot
    from keeper.ports import ConfigError
    from keeper.web.spending import SpendStatus, spending_of

    if await is_running(socket):
        async with local_keeper(socket) as keeper:
            return await keeper.get("spend", SpendStatus), ""
    try:
        settings = settings_to_look(config)
    except ConfigError as error:
        raise no_daemon(socket) from error
    snapshot, _ = await remembered_snapshot(settings)
    note = "no keeper is running: counted on from what the last one wrote down"
    return spending_of(snapshot, SystemClock().now()), note


def _chosen(spending: SpendStatus, name: str | None) -> tuple[StreamSpendStatus, ...]:
    from keeper.cli.declared import stream_named_in

    if name is None:
        return spending.streams
    found = stream_named_in([each.stream for each in spending.streams], name.partition("/")[0])
    return tuple(each for each in spending.streams if each.stream == found)


def shown(
    spending: SpendStatus, chosen: tuple[StreamSpendStatus, ...], name: str | None
) -> Iterator[RenderableType]:
    """Show the ledger: streams, caps, the account. Fits in 80 columns."""
    from rich.text import Text

    from keeper.cli.terminal import cell, table

    numbers = ("TODAY", "MONTH", "TOTAL", "$/H", "DAY'S END", "MONTH'S END", "$/GOOD H")
    # Only names give way on a narrow terminal: a number cut short is a wrong one.
    streams = table("STREAM", *numbers, right=numbers, fold="STREAM")
    rows = [*chosen, *([spending.fleet] if name is None else [])]
    for each in rows:
        is_fleet = each is spending.fleet
        streams.add_row(
            cell(_called(each, is_fleet=is_fleet), "bold" if is_fleet else "", length_max=24),
            _dollars(each.today.dollars),
            _dollars(each.month.dollars),
            _dollars(each.total.dollars),
            f"{each.dollars_per_hour:.3f}",
            _dollars(each.forecast_today_dollars),
            _dollars(each.forecast_month_dollars),
            "-"
            if each.total.dollars_per_good_hour is None
            else f"{each.total.dollars_per_good_hour:.3f}",
        )
        if each.spares is not None:
            streams.add_row(*_of_spares(each.spares))
    yield streams
    yield Text()
    caps = table(
        "CAP", "USED $", "OF $", "USED", "USED UP", right=("USED $", "OF $", "USED"), fold="CAP"
    )
    for each in rows:
        for cap in each.caps:
            per = "in all" if cap.period == "total" else f"per {cap.period}"
            style = "red" if cap.is_stopped else ""
            called = _called(each, is_fleet=each is spending.fleet)
            caps.add_row(
                cell(f"{called} {per}", style, length_max=32),
                f"{cap.used_dollars:.3f}" if cap.period == "hour" else _dollars(cap.used_dollars),
                _dollars(cap.dollars),
                f"{cap.used_ratio:.0%}",
                cell(_leads(cap, spending.now), style),
            )
        if each.spares is not None and each.spares.max_dollars_per_hour is not None:
            now, limit = each.spares.dollars_per_hour, each.spares.max_dollars_per_hour
            whose = cell(f"{each.stream} spares per hour", length_max=32)
            caps.add_row(whose, f"{now:.3f}", _dollars(limit), f"{now / limit:.0%}", cell("(now)"))
    yield caps
    yield from _dark(chosen)
    if name is None:
        yield from _account(spending)


def _of_spares(spares: SpareSpendStatus) -> tuple[RenderableType, ...]:
    """Show the part of the line above that went into spares."""
    from keeper.cli.terminal import cell

    return (
        cell("  of it spares", "dim"),
        _dollars(spares.today_dollars),
        _dollars(spares.month_dollars),
        _dollars(spares.total_dollars),
        f"{spares.dollars_per_hour:.3f}",
        _dollars(spares.forecast_today_dollars),
        _dollars(spares.forecast_month_dollars),
        "-",
    )


def _called(each: StreamSpendStatus, *, is_fleet: bool) -> str:
    if is_fleet:
        return "all"
    if not each.stream:
        return "(no stream)"
    return each.stream if each.is_declared else f"{each.stream} (gone)"


def _dollars(dollars: float) -> str:
    return f"{dollars:,.2f}"


def _leads(cap: CapStatus, now: datetime) -> str:
    """Say what comes of a cap."""
    if cap.period == "hour":
        return "(committed)"
    until = "it is raised" if cap.ends_at is None else _moment(cap.ends_at, now)
    if cap.is_stopped:
        return f"stopped until {until}"
    if cap.reached_at is None:
        return "never" if cap.ends_at is None else "not in this period"
    if cap.reached_at <= now:
        return f"yes, until {until}"
    return f"{_moment(cap.reached_at, now)}"


def _moment(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def _dark(chosen: tuple[StreamSpendStatus, ...]) -> Iterator[RenderableType]:
    from keeper.cli.terminal import cell

    for each in chosen:
        limit = each.dark_spend_max_dollars
        if limit is not None and each.dark_dollars >= limit / 2:
            is_over = each.dark_dollars > limit
            yield cell(
                f"{each.stream}: ${each.dark_dollars:.2f} without a picture, of at most ${limit:.2f}"
                + ("; no more hosts" if is_over else ""),
                "red" if is_over else "yellow",
            )


def _account(spending: SpendStatus) -> Iterator[RenderableType]:
    from rich.text import Text

    from keeper.cli.terminal import cell
    from keeper.web.money import hours

    account = spending.account
    if account is None:
        return
    lasts = ""
    if account.runway_s is not None:
        lasts = (
            f", for {hours(account.runway_s)} at ${account.dollars_per_hour or 0.0:.3f}/h of all"
        )
    yield Text()
    yield cell(
        f"account: ${account.spendable_dollars:,.2f}{lasts}", "yellow" if account.is_low else ""
    )
    if spending.is_account_drifting:
        yield cell(
            "its credit falls by something else than what its rentals are said to cost"
            " (keeper events shows how much)",
            "yellow",
        )


def _print_json(spending: SpendStatus, note: str, chosen: tuple[StreamSpendStatus, ...]) -> None:
    import json
    from dataclasses import replace

    from keeper.cli.client import encoded
    from keeper.cli.terminal import print_json

    document = json.loads(encoded(replace(spending, streams=chosen)))
    document["is_live"] = not note
    print_json(document)
