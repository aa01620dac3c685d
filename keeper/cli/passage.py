"""What a tunnel does between its two ends: a local listener, and a link that follows a slot's host.

Whoever connects is led to a port of the host that the slot is on at that moment. When the slot moves,
what leads to the old host ends, and the next connection goes to the new one. Every change is told as a
fact, once. A host whose key has changed is not dialled.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.way import address_of, entrances_of, pin_of
from keeper.core.text import plain
from keeper.ports import HostKeyChanged, PortError, Unauthorized
from keeper.ports.errors import NobodyListens

if TYPE_CHECKING:
    from keeper.adapters.ssh_link import SshLink
    from keeper.adapters.ssh_pipe import SshPipe
    from keeper.ports import Address
    from keeper.web.way import EntranceStatus, WayStatus

CONNECTIONS_MAX = 32
_HELD_S = 15.0  # how long a new connection waits for a link before it is let go
_DIAL_S = 12.0
_READ_BYTES = 65_536
_LINGER_S = 15.0
_REDIAL_MIN_S, _REDIAL_MAX_S = 0.5, 8.0


class Dials(Protocol):
    """What opens links whose channels can be used one by one: ``SshHosts``."""

    async def connect(
        self, addresses: list[Address], *, pinned_host_key: str, timeout_s: float
    ) -> SshLink:
        """See ports.Hosts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One fact of a tunnel: a stable word, and a sentence."""

    fact: str
    says: str
    instance_id: int | None = None
    local: str = ""  # where it listens, of the first fact
    remote_port: int | None = None


@dataclass(slots=True, eq=False)
class _Ends:
    """One connection: both ends, as far as they are open."""

    writer: asyncio.StreamWriter
    pipe: SshPipe | None = None


@dataclass(slots=True, eq=False)
class Passage:
    """Leads local connections to a port of a slot's host."""

    hosts: Dials
    slot: str
    remote_port: int | None  # None: where viewers look, as keeper says
    tell: Callable[[Told], None]
    held_s: float = _HELD_S
    _way: WayStatus | None = None  # the latest that leads somewhere
    _link: SshLink | None = None
    _linked: asyncio.Event = field(default_factory=asyncio.Event)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[_Ends] = field(default_factory=set)
    _said: dict[str, str] = field(default_factory=dict)  # what was said last of each matter
    _refused_key: tuple[EntranceStatus, ...] = ()  # of this host: not dialled again

    # --- where the slot is ------------------------------------------------------------------------

    async def follow(self, ways: AsyncIterable[WayStatus | Stopped]) -> None:
        """Take each new way, until there are no more."""
        async for way in ways:
            if isinstance(way, Stopped):
                self._lost_sight(way)
            else:
                self._take(way)

    def _lost_sight(self, why: Stopped) -> None:
        if why.code is ExitCode.NOT_FOUND:
            self._say("sight", "slot_unknown", f"keeper does not know {self.slot} any more")
            return
        goes_on = (
            f"going on with instance {self._way.instance_id}, the last that it named"
            if self._way is not None
            else "waiting for it"
        )
        self._say("sight", "daemon_gone", f"keeper does not answer ({why.what}); {goes_on}")

    def _take(self, way: WayStatus) -> None:
        if self._said.get("sight"):
            self._say("sight", "daemon_back", "keeper answers again", is_over=True)
        before = self._way
        if way.instance_id is None:
            self._way = None
            self._end_link()
            self._say("host", "no_host", f"{self.slot} has no host now; waiting for one")
            return
        is_same = before is not None and before.instance_id == way.instance_id
        if way.is_key_changed:
            self._way = None
            self._refused_key = ()  # once keeper itself gets in again, so may we
            self._end_link()
            self._refuse(plain(way.why))
            return
        entrances = entrances_of(way)
        if not entrances:
            if not is_same:  # of the same host, the last known way may still do
                self._way = None
                self._end_link()
                why = plain(way.why) or "the marketplace gives no usable SSH address of it"
                self._say("host", "no_way", f"{self.slot}: {why}; waiting")
            return
        self._way = way
        if is_same and before is not None and entrances_of(before) == entrances:
            return
        if not is_same:
            self._end_link()
            self._said.pop("link", None)
        if before is not None and not is_same:
            self._say(
                "host",
                "moved",
                f"{self.slot} has moved from instance {before.instance_id} to {way.instance_id};"
                " connections to the old host are closed",
                is_over=True,
            )
        self._moved.set()

    def _refuse(self, why: str) -> None:
        self._say(
            "host",
            "key_changed",
            f"{self.slot}: {why}; nothing is sent there. If its owner has no explanation:"
            f" keeper replace {self.slot}",
        )

    # --- the link ---------------------------------------------------------------------------------

    async def keep_link(self) -> None:
        """Keep a link to where the slot is, for ever."""
        pause_s = 0.0
        while True:
            self._moved.clear()
            way = self._way
            if way is None or entrances_of(way) == self._refused_key:
                await self._moved.wait()
                continue
            link = await self._dial(way)
            if link is None:
                pause_s = min(_REDIAL_MAX_S, max(_REDIAL_MIN_S, pause_s * 2))
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._moved.wait()
                continue
            pause_s = 0.0
            await self._use(link, way)

    async def _dial(self, way: WayStatus) -> SshLink | None:
        """Try each entrance; say why none works, once."""
        failures = []
        for entrance in entrances_of(way):
            try:
                return await self.hosts.connect(
                    [address_of(entrance)], pinned_host_key=pin_of(entrance), timeout_s=_DIAL_S
                )
            except HostKeyChanged as error:
                self._refused_key = entrances_of(way)
                self._refuse(plain(str(error), 300))
                return None
            except PortError as error:
                failures.append(error)
        why = "; ".join(plain(str(each), 200) for each in failures)
        name = f"instance {way.instance_id}"
        if all(isinstance(each, Unauthorized) for each in failures):
            self._say("link", "key_refused", f"{name} does not let keeper's key in: {why}; waiting")
        elif self._said.get("link") != "link_lost":  # which has said that it goes on trying
            self._say("link", "unreachable", f"{name} does not answer: {why}; trying again")
        return None

    async def _use(self, link: SshLink, way: WayStatus) -> None:
        """Lead connections through a link until it is lost, or the slot has moved."""
        if self._moved.is_set():  # while it was dialled
            await link.close()
            return
        self._link = link
        self._refused_key = ()
        self._linked.set()
        name = f"instance {way.instance_id}"
        is_back = self._said.get("link") == "link_lost"
        self._said.pop("host", None)
        self._said.pop("server", None)
        if is_back:
            self._say("link", "link_back", f"the link to {name} is back", is_over=True)
        else:
            self._say("link", "linked", f"linked to {name}", is_over=True)
        try:
            why = await _lost_before(link, self._moved)
            if why is not None and self._link is link:
                lost = f"the link to {name} is lost ({plain(str(why), 200)}); reconnecting"
                self._say("link", "link_lost", lost)
        finally:
            if self._link is link:
                self._end_link()
            await link.close()

    def _end_link(self) -> None:
        """End what leads to the host: it is not where the slot is, or it is out of reach."""
        self._link = None
        self._linked.clear()
        self._moved.set()  # whoever uses the link lets it go
        for ends in tuple(self._open):
            if ends.pipe is not None:
                ends.pipe.close()
                _reset(ends.writer)

    def close(self) -> None:
        """End every connection."""
        self._end_link()

    # --- connections ------------------------------------------------------------------------------

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one local connection to the host, to its end."""
        if len(self._open) >= CONNECTIONS_MAX:
            self._say("room", "full", f"{CONNECTIONS_MAX} connections are open; no more are taken")
            _reset(writer)
            return
        ends = _Ends(writer)
        self._open.add(ends)
        try:
            pipe = await self._pipe()
            if pipe is None:
                _reset(writer)
                return
            ends.pipe = pipe
            await _carry_both(reader, writer, pipe)
        finally:
            if ends.pipe is not None:
                ends.pipe.close()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            self._open.discard(ends)
            self._said.pop("room", None)

    async def _pipe(self) -> SshPipe | None:
        """Connect to the host's port; None, and a fact, when that is not possible now."""
        try:
            async with asyncio.timeout(self.held_s):
                await self._linked.wait()
        except TimeoutError:
            return None  # why there is no link was told when it went
        link, way = self._link, self._way
        port = self.remote_port or (way.view_port if way is not None else None)
        if link is None or way is None or port is None:
            return None
        name = f"port {port} of instance {way.instance_id}"
        try:
            pipe = await link.pipe(port)
        except NobodyListens:
            self._say(
                "server",
                "server_dead",
                f"the tunnel is well, but nothing listens on {name}: look with"
                f" keeper logs {self.slot}",
            )
            return None
        except PortError as error:
            if self._link is link:
                self._say("server", "no_pipe", f"{name}: {plain(str(error), 200)}")
            return None
        if self._said.pop("server", ""):
            self._say("server", "server_back", f"{name} answers again", is_over=True)
        return pipe

    def _say(self, matter: str, fact: str, says: str, *, is_over: bool = False) -> None:
        """Tell a fact unless it was the last one of its matter."""
        if self._said.get(matter) == fact:
            return
        if is_over:
            self._said.pop(matter, None)
        else:
            self._said[matter] = fact
        instance_id = self._way.instance_id if self._way is not None else None
        self.tell(Told(fact=fact, says=says, instance_id=instance_id))


async def _lost_before(link: SshLink, moved: asyncio.Event) -> PortError | None:
    """Wait until a link is lost, and say why; None: it is let go before that."""
    async with asyncio.TaskGroup() as group:
        losing = group.create_task(link.lost())
        moving = group.create_task(moved.wait())
        await asyncio.wait({losing, moving}, return_when=asyncio.FIRST_COMPLETED)
        why = losing.result() if losing.done() else None
        losing.cancel()
        moving.cancel()
    return why


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that nobody takes it for an answer that was empty, or for the whole of one.

    An abort alone lets the kernel send an end in order where nothing is left to send.
    """
    end = writer.get_extra_info("socket")
    if end is not None and not writer.transport.is_closing():
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _carry_both(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pipe: SshPipe
) -> None:
    """Carry bytes both ways to their ends. What is lost is not passed off as an end."""

    async def there() -> None:
        while data := await reader.read(_READ_BYTES):
            await pipe.write(data)
        pipe.write_eof()

    async def back() -> None:
        while data := await pipe.read():
            writer.write(data)
            await writer.drain()

    try:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(there())
            await back()
            writer.write_eof()
            # Whoever has heard the end may have more to say, but not for ever.
            await asyncio.wait({sending}, timeout=_LINGER_S)
            sending.cancel()
    except* (OSError, PortError):
        _reset(writer)
