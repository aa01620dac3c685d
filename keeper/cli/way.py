"""The way to a slot's host, for the verbs that go there: asked of the running keeper, and followed.

A key that keeper has not pinned is never trusted: who comes first may be anybody.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from keeper.cli.client import LocalKeeper, local_keeper
from keeper.cli.declared import slot_named
from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.core.text import plain
from keeper.ports import Address, ConfigError
from keeper.web.way import EntranceStatus, WayStatus

if TYPE_CHECKING:
    from keeper.adapters.ssh import SshHosts

# Letters, digits, dots, dashes, and colons of IPv6: nothing that a shell or ssh reads otherwise.
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")
_KEY = re.compile(r"[A-Za-z0-9@.-]+ [A-Za-z0-9+/=]+")
_PORT_MAX = 65_535
_AGAIN_S = 2.0
# Given up after the third without an answer, and so within 14 s.
_KEEPALIVE_S = 3.5


async def slot_of(keeper: LocalKeeper, name: str) -> str:
    """Find the slot that is meant. Raises Stopped: there is none, or there are several."""
    fleet = await keeper.fleet()
    return slot_named(
        (slot.slot for stream in fleet.streams for slot in (*stream.slots, *stream.spares)), name
    )


async def way_to(keeper: LocalKeeper, slot: str) -> WayStatus:
    """Ask where a slot is now."""
    return await keeper.get("way", WayStatus, slot=slot)


async def ways(socket: Path, slot: str) -> AsyncGenerator[WayStatus | Stopped, None]:
    """Follow a slot: a way whenever keeper has looked again, and why it cannot be asked."""
    while True:
        try:
            async with local_keeper(socket) as keeper, aclosing(keeper.lines("stream")) as lines:
                async for line in lines:
                    if line.startswith(b"id:"):
                        yield await way_to(keeper, slot)
            why = Stopped(ExitCode.NO_DAEMON, "the running keeper has stopped")
        except Stopped as stopped:
            why = stopped
        yield why
        await asyncio.sleep(_AGAIN_S)


def entrances_of(way: WayStatus) -> tuple[EntranceStatus, ...]:
    """Return the entrances whose key is known, the direct way first."""
    return tuple(
        each
        for each in way.entrances
        if _HOST.fullmatch(each.host)
        and 0 < each.port <= _PORT_MAX
        and _KEY.fullmatch(each.host_key)
    )


def address_of(entrance: EntranceStatus) -> Address:
    """Return where to dial."""
    return Address(host=entrance.host, port=entrance.port, is_relay=entrance.is_relay)


def pin_of(entrance: EntranceStatus) -> str:
    """Return the key that must be shown there, as ``Hosts.connect`` takes it."""
    whose = f" {entrance.host}" if entrance.is_relay else ""
    return f"{entrance.host_key}{whose}"


def must_be_open(way: WayStatus) -> None:
    """Raise Stopped when there is no way now, or nobody should take it."""
    if way.is_key_changed:
        raise Stopped(
            ExitCode.REFUSED,
            f"{way.slot} is on {plain(way.why)}",
            f"do not log in; if its owner has no explanation, use keeper replace {way.slot}",
        )
    if way.why or not entrances_of(way):
        why = plain(way.why) or "the marketplace gives no usable SSH address of its host"
        raise Stopped(
            ExitCode.TRY_AGAIN, f"{way.slot}: {why}", f"watch it: keeper status {way.slot} --watch"
        )


def key_file_of(way: WayStatus, given: Path | None) -> Path:
    """Return the private key that hosts know. Raises Stopped when it cannot be read.

    The running keeper names it: whoever may talk to it may lack the secrets without which the
    configuration cannot be read.
    """
    given = given or Path(way.key_file)
    try:
        with given.open("rb") as file:
            file.read(1)
    except FileNotFoundError as error:
        raise Stopped(
            ExitCode.FAILED,
            f"there is no SSH key {given}",
            "name another one with --key",
        ) from error
    except OSError as error:
        raise Stopped(
            ExitCode.FAILED,
            f"this user cannot read keeper's SSH key {given} ({error.strerror})",
            "run it as the user that keeper runs as (sudo -u keeper keeper …), or use --key",
        ) from error
    return given


def hosts_of(key_file: Path) -> SshHosts:
    """Return what dials with that key. Raises Stopped when it is no usable one."""
    from keeper.adapters.ssh import SshHosts

    try:
        return SshHosts(private_key_file=key_file, keepalive_s=_KEEPALIVE_S, time_share=1.0)
    except ConfigError as error:
        what = error.problems[0].removeprefix("ssh.private_key_file: ")
        raise Stopped(ExitCode.FAILED, what, "use another key with --key FILE") from error
