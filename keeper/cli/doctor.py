"""`keeper doctor`: what is wrong with this box, and the command that cures it. Changes and spends nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.exit_codes import ExitCode
from keeper.cli.options import (
    CONFIG_DEFAULT,
    config_option,
    json_option,
    overrides_of,
    socket_option,
    vast_url_option,
)
from keeper.core.text import plain

if TYPE_CHECKING:
    from rich.console import Console

    from keeper.cli.doctor_box import Box
    from keeper.cli.doctor_finding import Finding

# The slowest question is a page of rentals behind the marketplace's spacing.
_DEADLINE_S = 45.0
_LOOKING = ("sudo keeper doctor", "keeper alerts test")


@click.command(
    cls=Verb,
    examples=(
        "sudo keeper doctor",
        "keeper doctor --config keeper.yaml",
        "keeper doctor --send                # and a test message to every channel",
        "keeper doctor --json | jq -r '.findings[] | select(.level == \"fail\").cure'",
    ),
)
@click.option("--send", is_flag=True, help="Send a test message through every alert channel.")
@json_option
@config_option
@vast_url_option
@socket_option
def doctor(
    send: bool,
    as_json: bool,
    config: Path,
    vast_url: str | None,
    socket: Path | None,
) -> int:
    """What is wrong with this box, and the command that cures it.

    Looks at the configuration, secrets, keys, account, network, clock, disk, store, service and
    alert channels; needs neither a running keeper nor root. It asks and changes nothing, and spends
    nothing. Exit 3 if anything fails; what only may fail later is a warning.
    """
    from keeper.cli.doctor_box import box_of
    from keeper.cli.terminal import console, print_json, run_async

    config = config.absolute()
    box = box_of(config, os.environ, overrides_of(vast_url))
    findings = run_async(_examined(box, socket or box.settings.socket, is_sending=send))
    findings = tuple(_with_config(each, config) for each in findings)
    fails = any(each.level.value == "fail" for each in findings)
    if as_json:
        print_json({"ok": not fails, "findings": [asdict(each) for each in findings]})
    else:
        _show(console(), findings)
    return ExitCode.DEGRADED if fails else ExitCode.OK


def _with_config(finding: Finding, config: Path) -> Finding:
    """Have a cure that looks again look at the same file."""
    if config == CONFIG_DEFAULT or not finding.cure.startswith(_LOOKING):
        return finding
    from shlex import quote

    return replace(finding, cure=f"sudo keeper doctor --config {quote(str(config))}")


# --- looking -------------------------------------------------------------------------------------


async def _examined(box: Box, socket: Path, *, is_sending: bool) -> tuple[Finding, ...]:
    """Look at everything at once, each under its deadline, and give it in one order."""
    from keeper.cli.terminal import Progress

    with Progress() as progress:
        progress.stage("looking at this box", f"at most {_DEADLINE_S:.0f}s")
        async with asyncio.TaskGroup() as group:
            here = group.create_task(_deadline("this box", _here(box)))
            served = group.create_task(_deadline("keeper", _served(box, socket)))
            beyond = group.create_task(_deadline("network", _network(box)))
            told = group.create_task(
                _deadline("alerts", _receivers(box, socket, is_sending=is_sending))
            )
    return (*here.result(), *served.result(), *beyond.result(), *told.result())


async def _deadline(what: str, work: Awaitable[tuple[Finding, ...]]) -> tuple[Finding, ...]:
    from keeper.cli.doctor_finding import Finding, Level

    try:
        async with asyncio.timeout(_DEADLINE_S):
            return await work
    except TimeoutError:
        late = f"it took longer than {_DEADLINE_S:.0f} s; it was given up"
        return (Finding(check=what, level=Level.UNKNOWN, seen=late),)


async def _here(box: Box) -> tuple[Finding, ...]:
    """Look at what lies on this box; files are read in a thread, they may be on a slow disk."""
    from keeper.cli import doctor_box as boxes
    from keeper.cli import doctor_look as look
    from keeper.cli import doctor_rules as rules
    from keeper.cli.doctor_finding import judged

    def seen() -> tuple[Finding, ...]:
        configuration = judged("configuration", boxes.configuration_of(box), rules.CONFIGURATION)
        return (
            _python(),
            *(judged("extra", each, rules.EXTRA) for each in look.extras_of(box)),
            replace(
                configuration, lines=box.problems if boxes.configuration_of(box).is_there else ()
            ),
            *(judged("secret", each, rules.SECRET) for each in boxes.secrets_of(box)),
            *(
                judged("secret file", each, rules.SECRET_FILE)
                for each in boxes.secret_files_of(box)
            ),
            judged("SSH key", look.key_of(box), rules.KEY),
            judged("state folder", look.state_folder_of(box), rules.STATE_FOLDER),
            judged("disk", look.disk_of(box), rules.DISK),
            judged("store", look.store_of(box), rules.STORE),
            judged("memory", look.memory_of(box), rules.MEMORY),
        )

    return await asyncio.to_thread(seen)


def _python() -> Finding:
    import platform

    from keeper.cli.doctor_finding import Finding, Level
    from keeper.cli.version import describe

    seen = f"{describe()} on {platform.system()} {platform.release()}"
    return Finding(check="version", level=Level.OK, seen=seen)


async def _served(box: Box, socket: Path) -> tuple[Finding, ...]:
    """Look at the service, the running keeper, and what it and the account say of each other."""
    from keeper.cli import doctor_look as look
    from keeper.cli import doctor_reach as reach
    from keeper.cli import doctor_rules as rules
    from keeper.cli import doctor_rules_outside as outside
    from keeper.cli.doctor_finding import judged

    unit = await look.unit_of(box)
    is_installed = unit.load == "loaded"
    daemon, fleet = await reach.daemon_of(box, socket, is_installed=is_installed)
    public_key, store = await asyncio.to_thread(_public_key, box), look.store_of(box)
    web, (market, money, registered) = await asyncio.gather(
        reach.web_of(box, is_running=bool(daemon.is_running)),
        reach.market_of(box, public_key, fleet),
    )
    clock = await look.clock_of(market.offset_s)
    return (
        judged("service", unit, rules.UNIT),
        judged("keeper", daemon, rules.DAEMON),
        judged("http", web, rules.WEB),
        judged("open files", look.open_files_of(box, store.holder), rules.OPEN_FILES),
        judged("marketplace", market, outside.MARKET),
        judged("API key", market, outside.API_KEY),
        judged("credit", money, outside.MONEY),
        judged("account's keys", registered, outside.REGISTERED),
        judged("clock", clock, outside.CLOCK),
    )


def _public_key(box: Box) -> str:
    """Read the public half of the SSH key; "" when there is none that can be used."""
    import asyncssh

    try:
        return asyncssh.read_private_key(str(box.key)).export_public_key().decode().strip()
    except (OSError, ValueError, asyncssh.KeyImportError):
        return ""


async def _network(box: Box) -> tuple[Finding, ...]:
    from keeper.cli import doctor_reach as reach
    from keeper.cli import doctor_rules_outside as outside
    from keeper.cli.doctor_finding import judged

    name, canaries = await asyncio.gather(reach.name_of(box), reach.canaries_of(box))
    return (
        judged("DNS", name, outside.NAME),
        judged("canaries", canaries, outside.CANARIES),
    )


async def _receivers(box: Box, socket: Path, *, is_sending: bool) -> tuple[Finding, ...]:
    from keeper.cli import doctor_rules_outside as outside
    from keeper.cli.doctor_finding import judged
    from keeper.cli.doctor_receivers import receivers_of

    found = await receivers_of(box, socket, is_sending=is_sending)
    return tuple(judged(each.name, each, outside.RECEIVER) for each in found)


# --- showing -------------------------------------------------------------------------------------

_NAME_COLUMNS = 14
_MARK = {
    "ok": ("✓", "green"),
    "warn": ("!", "yellow"),
    "fail": ("✗", "red"),
    "unknown": ("?", "dim"),
}
_WORD = {"ok": "well", "warn": "to look at", "fail": "failing", "unknown": "not seen"}


def _show(out: Console, findings: Iterable[Finding]) -> None:
    """Show each finding with its cure below it, and count them at the end."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from keeper.cli.terminal import cell, show

    found = tuple(findings)
    for each in found:
        mark, style = _MARK[each.level.value]
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(width=1)
        row.add_column(width=_NAME_COLUMNS, no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(Text(mark, style), cell(each.check, "bold"), cell(each.seen, length_max=600))
        lines = [Padding(cell(line, length_max=600), (0, 0, 0, 3)) for line in each.lines]
        show(out, [row, *lines])
        if each.cure:
            # Never folded by us: it is there to be copied.
            out.print(Text(f"   $ {plain(each.cure, 2000)}", "bold"), soft_wrap=True)
        if each.advice:
            show(out, [Padding(cell(each.advice, "dim", length_max=600), (0, 0, 0, 3))])
    counts = [
        f"{count} {_WORD[level]}"
        for level in ("fail", "warn", "unknown", "ok")
        if (count := sum(each.level.value == level for each in found))
    ]
    out.print(", ".join(counts))
