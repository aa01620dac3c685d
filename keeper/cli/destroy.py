"""`keeper destroy SLOT|--all`: end rentals for certain: followed until their absence is confirmed."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.options import (
    config_option,
    dry_run_option,
    overrides_of,
    reason_option,
    slot_argument,
    socket_option,
    timeout_option,
    vast_url_option,
    yes_option,
)
from keeper.cli.orphans import Asked, end_stray

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from keeper.cli.client import LocalKeeper
    from keeper.cli.endings import Ended, Loss
    from keeper.cli.terminal import Progress
    from keeper.core.model import FleetPolicy
    from keeper.core.world import Snapshot
    from keeper.settings import Settings
    from keeper.web.shapes import FleetStatus

_TIMEOUT_S = 600.0
_LOOK_S = 0.5


@click.command(
    cls=Verb,
    examples=(
        "keeper destroy duel/0 --dry-run",
        "keeper destroy duel/0 --reason 'event is over'",
        "keeper destroy --all --yes",
        "keeper destroy --orphan 40000017 --dry-run",
    ),
)
@slot_argument(required=False)
@click.option("--all", "everything", is_flag=True, help="Every rental that keeper knows.")
@click.option(
    "--orphan", "orphan", metavar="INSTANCE", type=click.IntRange(min=1),
    help="A stray rental with keeper's label, by its number.",
)  # fmt: skip
@yes_option
@dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, of a stray's end.")
@reason_option
@timeout_option(_TIMEOUT_S, "Stop following after this; the ending goes on or is recorded.")
@config_option
@vast_url_option
@socket_option
def destroy(
    slot: str | None,
    everything: bool,
    orphan: int | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    reason: str,
    timeout_s: float,
    config: Path,
    vast_url: str | None,
    socket: Path | None,
) -> int:
    """End the rental of a slot, or of all, for certain.

    Says what will be lost and how long it takes, and asks. Then the rental is ended and followed
    until two complete listings and a look at its id confirm that it is gone and no longer billed;
    the times of these are said. The slot is held afterwards, so that nothing is rented for it again
    before `keeper resume SLOT`. Rentals that are not keeper's are never touched.

    A stray (`keeper status` names them) is ended by --orphan and its number, through the running
    keeper.
    """
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async

    if (slot is not None) + everything + (orphan is not None) != 1:
        message = "name one slot, or give --all, or --orphan with a number"
        raise click.UsageError(message)
    if as_json and orphan is None:
        raise click.UsageError("--json goes with --orphan")
    where = socket_of(config, socket)
    if orphan is not None:
        stray = Asked(
            instance_id=orphan, yes=yes, dry_run=dry_run, as_json=as_json, reason=reason,
            timeout_s=timeout_s,
        )  # fmt: skip
        return run_async(_end_stray(where, stray))
    asked = _Asked(slot=slot, yes=yes, dry_run=dry_run, reason=reason, timeout_s=timeout_s)
    return run_async(_destroy(config, where, vast_url, asked))


async def _end_stray(socket: Path, asked: Asked) -> int:
    from keeper.cli.client import local_keeper

    async with local_keeper(socket) as keeper:
        return await end_stray(keeper, asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the command line says."""

    slot: str | None  # None: all
    yes: bool
    dry_run: bool
    reason: str
    timeout_s: float


async def _destroy(config: Path, socket: Path, vast_url: str | None, asked: _Asked) -> int:
    from keeper.cli.client import is_running, local_keeper
    from keeper.cli.endings import losses_of

    if await is_running(socket):
        policy = _policy_to_look(config)
        async with local_keeper(socket) as keeper:
            fleet = await keeper.fleet()
            losses = _chosen(losses_of(fleet, is_live=True), asked.slot)
            if not _agreed(fleet, losses, policy, asked):
                return 0
            ended = await _order(keeper, losses, policy, asked)
    else:
        from keeper.settings import load_settings, to_desired

        settings = load_settings(config, os.environ, overrides=overrides_of(vast_url))
        policy = to_desired(settings).fleet
        fleet = await _remembered(settings)
        losses = _chosen(losses_of(fleet, is_live=False), asked.slot)
        if not _agreed(fleet, losses, policy, asked):
            return 0
        ended = await _by_itself(settings, losses, policy, asked)
    _tell(losses, ended)
    return 0


def _policy_to_look(config: Path) -> FleetPolicy:
    """Read the fleet's numbers where that is allowed; a running keeper need not share its file."""
    from keeper.cli.client import settings_to_look
    from keeper.core.model import FleetPolicy
    from keeper.ports import ConfigError
    from keeper.settings import to_desired

    try:
        return to_desired(settings_to_look(config)).fleet
    except ConfigError:
        return FleetPolicy()


async def _remembered(settings: Settings) -> FleetStatus:
    from keeper.adapters.clock import SystemClock
    from keeper.cli.store import remembered_snapshot
    from keeper.web.status import status_of

    snapshot, _ = await remembered_snapshot(settings)
    return status_of(snapshot, SystemClock().now())


def _chosen(losses: Iterable[Loss], name: str | None) -> tuple[Loss, ...]:
    """Return what is meant. A slot without a rental is not an error: there is nothing to end."""
    from keeper.cli.declared import slot_named

    every = tuple(losses)
    if name is not None:
        name = slot_named({loss.slot for loss in every if loss.slot}, name)
    return tuple(loss for loss in every if loss.what and name in (None, loss.slot))


def _agreed(
    fleet: FleetStatus, losses: tuple[Loss, ...], policy: FleetPolicy, asked: _Asked
) -> bool:
    """Say what would be lost and how long it takes, and ask. False: there is nothing to do."""
    from keeper.cli.endings import told_expected, untouched
    from keeper.cli.terminal import confirm, say, say_list

    new = sum(1 for loss in losses if not loss.is_ordered)
    if losses:
        say("This ends for good:" if new else "This was ordered before, and is followed:")
        say_list([(loss.slot or "(no slot)", loss.what) for loss in losses])
    else:
        say("nothing is rented there, so there is nothing to end")
    if asked.slot is None and (left := untouched(fleet)):
        say("This stays, whatever is ended:")
        say_list([("", left)])
    if not losses:
        return False
    say(told_expected(losses, policy))
    if asked.dry_run:
        say("(dry run: nothing was changed)")
        return False
    if new:
        say("Nothing is rented for it again before: keeper resume SLOT")
        confirm("End it?" if new == 1 else f"End these {new}?", yes=asked.yes)
    return True


class _Told:
    """Tells each step of each rental once, whichever of them moves."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._told: dict[str, str] = {}

    def tell(self, left: Mapping[str, str]) -> None:
        for name, words in left.items():
            if self._told.get(name) != words:
                self._told[name] = words
                self._progress.stage(words)


# --- with a running keeper --------------------------------------------------------------------------


async def _order(
    keeper: LocalKeeper, losses: tuple[Loss, ...], policy: FleetPolicy, asked: _Asked
) -> tuple[Ended, ...]:
    """Order it of the running keeper, and follow it in its journal."""
    import asyncio

    from keeper.cli.endings import ended_of, left_of
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.terminal import Progress, stopped_by_signal
    from keeper.core.world import OrderKind
    from keeper.web.shapes import EventPage

    after = (await keeper.get("events", EventPage, limit=1)).next_after
    loop = asyncio.get_running_loop()
    ends_at_s = loop.time() + asked.timeout_s
    given: list[str] = [loss.slot for loss in losses if loss.is_ordered]
    with stopped_by_signal() as stop, Progress() as progress:
        told = _Told(progress)
        for loss in losses:
            if stop.is_set():
                break
            if not loss.is_ordered:
                await keeper.order(OrderKind.DESTROY, loss.slot, reason=asked.reason)
                given.append(loss.slot)
        while not stop.is_set() and loop.time() < ends_at_s:
            left = left_of(await keeper.fleet(), losses, policy)
            if not left:
                page = await keeper.get("events", EventPage, after=after, limit=1000)
                return ended_of((each.event, each.facts) for each in page.events)
            told.tell(left)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await stop.wait()
    not_given = [loss.slot for loss in losses if loss.slot not in given]
    what = (
        f"the end of {_names(given)} is ordered and recorded, and keeper goes on until it is gone"
    )
    if not given:
        what = "nothing was ordered"
    if not_given:
        what += f"; {_names(not_given)} was not touched"
    cure = "run the same command again to follow it, or: keeper status --watch"
    if stop.is_set():
        raise Stopped(ExitCode.INTERRUPTED, f"interrupted; {what}", cure)
    raise Stopped(
        ExitCode.TRY_AGAIN, f"not confirmed gone after {asked.timeout_s:.0f} s; {what}", cure
    )


# --- without one ------------------------------------------------------------------------------------


async def _by_itself(
    settings: Settings, losses: tuple[Loss, ...], policy: FleetPolicy, asked: _Asked
) -> tuple[Ended, ...]:
    """Run the daemon with nothing to do but this."""
    import asyncio

    from keeper.adapters.clock import SystemClock
    from keeper.cli.endings import ended_of, left_of, untouched
    from keeper.cli.oneshot import NO_STREAM, new_order, pursue
    from keeper.cli.store import journal, last_seq
    from keeper.cli.terminal import say, say_list
    from keeper.core.model import SlotId
    from keeper.core.world import OrderKind
    from keeper.web.status import status_of

    after = await last_seq(settings)
    clock = SystemClock()

    def left(snapshot: Snapshot) -> Mapping[str, str]:
        return left_of(status_of(snapshot, clock.now()), losses, policy)

    try:
        pursuit = await pursue(
            settings,
            only=NO_STREAM,
            is_done=lambda snapshot: not left(snapshot),
            stage=lambda snapshot: _first(left(snapshot)),
            orders=tuple(
                new_order(OrderKind.DESTROY, SlotId(loss.slot), asked.reason)
                for loss in losses
                if not loss.is_ordered
            ),
            timeout_s=asked.timeout_s,
        )
    except asyncio.CancelledError:
        # Before the daemon was there to be told, or for the second time: the store says what holds.
        raise await _left_behind(settings, losses, (), asked, is_interrupted=True) from None
    entries = await journal(settings, after_seq=after)
    ended = ended_of((each.event, each.facts) for each in entries)
    if pursuit.is_done:
        if asked.slot is None and pursuit.snapshot is not None:
            stays = untouched(status_of(pursuit.snapshot, clock.now()))
            if stays:
                say("Not touched:")
                say_list([("", stays)])
        return ended
    raise await _left_behind(settings, losses, ended, asked, is_interrupted=pursuit.is_interrupted)


async def _left_behind(
    settings: Settings,
    losses: tuple[Loss, ...],
    ended: tuple[Ended, ...],
    asked: _Asked,
    *,
    is_interrupted: bool,
) -> Exception:
    """Say from the store, which has the last word, what is gone, what is ordered, what is neither."""
    from keeper.cli.endings import losses_of
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode

    why = "interrupted" if is_interrupted else f"not done after {asked.timeout_s:.0f} s"
    meant = {loss.slot for loss in losses}
    now = [
        loss
        for loss in losses_of(await _remembered(settings), is_live=False)
        if loss.what and loss.slot in meant
    ]
    parts = [each.sentence() for each in ended]
    ordered = [loss for loss in now if loss.is_ordered]
    standing = [loss for loss in now if not loss.is_ordered]
    if ordered:
        parts.append(
            f"the end of {_named(ordered)} is recorded; it may be billed until a keeper ends it"
        )
    if standing:
        parts.append(f"{_named(standing)} was not touched")
    return Stopped(
        ExitCode.INTERRUPTED if is_interrupted else ExitCode.TRY_AGAIN,
        "; ".join([why, *parts] if parts else [why, "nothing was done"]),
        "run the same command again, or start keeper",
    )


def _first(left: Mapping[str, str]) -> str:
    """Say of the first how far it is, and how many follow."""
    words = next(iter(left.values()), "confirmed gone")
    return words if len(left) < 2 else f"{words} ({len(left) - 1} more)"  # noqa: PLR2004 - itself


# --- words ------------------------------------------------------------------------------------------


def _tell(losses: tuple[Loss, ...], ended: tuple[Ended, ...]) -> None:
    """Say of each rental by what it is confirmed gone."""
    ids = {each for loss in losses for each in loss.instance_ids}
    slots = {loss.slot for loss in losses if loss.is_bound}
    meant = [each for each in ended if each.instance_id in ids or each.slot in slots]
    for each in meant:
        click.echo(each.sentence())
    told = {each.slot for each in meant}
    for loss in losses:
        if loss.is_bound and loss.slot not in told:
            click.echo(f"{loss.slot}: no rental came of it, confirmed")


def _named(losses: Iterable[Loss]) -> str:
    return _names(
        f"{loss.slot or '(no slot)'}"
        + (f" (instance {', '.join(map(str, loss.instance_ids))})" if loss.instance_ids else "")
        for loss in losses
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(name or "(no slot)" for name in names))
