"""Hosts of one simulated keeper process, as ports: links, commands, sentinels.

They reach the states of ``VirtualHosts``. Everything here belongs to one process and ends with its
``Power``; what a command has done to a host stays done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from math import ceil
from typing import Final

from keeper.ports import (
    Address,
    Command,
    CommandFailed,
    CommandResult,
    Heard,
    HostKeyChanged,
    Link,
    Parcel,
    PortError,
    SendHeard,
    SendProgress,
    SendStage,
    TimedOut,
    Unauthorized,
    Uncertain,
    Unreachable,
    Upload,
)
from keeper.sim.ailing import AUDITION, FIX
from keeper.sim.faults import FaultKind
from keeper.sim.power import Power
from keeper.sim.universe import Universe
from keeper.sim.virtual_hosts import JobOrder, VirtualHost, line_of

PUBLIC_KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeeperOfTheSimulation keeper@simulated"
HOST_TRIP_S: Final = 0.08  # to a host and back

_DIAL_S = 0.4  # an SSH handshake takes eight half trips
_HEARTBEAT_S = 10.0
_LOOK_S = 2.0
_LINES_MAX = 64
_UPLOAD_S = 0.3
_PIECES, _PIECE_S = 4, 3.0  # of a big file
_SILENCE_S = 60.0  # TCP itself gives up on a dead line long after keeper does


class MemoryHosts:
    """The Hosts port over the virtual hosts."""

    def __init__(self, universe: Universe, power: Power) -> None:
        self._universe = universe
        self._power = power
        self._links: set[MemoryLink] = set()
        power.on_cut(self._drop_all)

    @property
    def public_key(self) -> str:
        """Our public key."""
        return PUBLIC_KEY

    async def connect(
        self, addresses: Sequence[Address], *, pinned_host_key: str, timeout_s: float
    ) -> Link:
        """Dial the addresses in order until one answers; the time is shared out among them."""
        await self._power.gate()
        failure: PortError = Unreachable("there is no address to dial")
        for address in addresses:
            try:
                return await self._dial(address, pinned_host_key, timeout_s / len(addresses))
            except (Unreachable, TimedOut) as error:
                failure = error
        raise failure

    async def _dial(self, address: Address, pinned_host_key: str, timeout_s: float) -> MemoryLink:
        await asyncio.sleep(_DIAL_S)
        await self._power.gate()
        if self._universe.own_network_is_down:
            raise Unreachable("no route to host")
        host, inside = self._universe.hosts.by_address.get((address.host, address.port), (None, ""))
        if host is None or inside != "22/tcp":
            raise Unreachable(f"{address.host}:{address.port} refused the connection")
        trouble = host.ssh_trouble()
        if not host.contract.is_reachable or trouble in _MUTE:
            await asyncio.sleep(max(0.0, timeout_s - _DIAL_S))
            await self._power.gate()
            raise TimedOut(f"{address.host}:{address.port} did not finish the handshake")
        is_ready = self._universe.market.now() >= host.contract.ssh_ready_at
        if not host.is_up or trouble is not None or not is_ready:
            raise Unreachable(f"{address.host}:{address.port} refused the connection")
        if pinned_host_key and pinned_host_key != host.host_key:
            raise HostKeyChanged(f"{address.host}:{address.port} shows another host key")
        if PUBLIC_KEY not in host.contract.keys and not _has_key(host):
            raise Unauthorized(f"{address.host}:{address.port} refuses our key")
        link = MemoryLink(self._universe, self._power, host, self._links.discard)
        self._links.add(link)
        self._universe.hosts.linked(host)
        return link

    def _drop_all(self) -> None:
        """The process died, and its connections with it."""
        for link in sorted(self._links, key=lambda each: each.number):
            link.hang_up()


_MUTE = frozenset({FaultKind.SSH_HANG, FaultKind.BANNER_ONLY})


def _has_key(host: VirtualHost) -> bool:
    """Whether the container knows our key; comments do not count."""
    ours = PUBLIC_KEY.rpartition(" ")[0]
    return any(key.startswith(ours) for key in host.contract.keys)


class MemoryLink:
    """One connection to one virtual host."""

    def __init__(
        self,
        universe: Universe,
        power: Power,
        host: VirtualHost,
        closed: Callable[[MemoryLink], None],
    ) -> None:
        universe.links_made += 1
        self.number = universe.links_made
        self._universe = universe
        self._power = power
        self._host = host
        self._closed = closed
        self._host_key = host.host_key
        self._why = ""  # why it ended; "": it has not
        self._sentinels: list[Sentinel] = []
        self._running: set[str] = set()
        host.listeners.append(self)

    @property
    def host_key(self) -> str:
        """The host's public key."""
        return self._host_key

    async def run(self, command: Command, heard: Heard | None = None) -> CommandResult:
        """Run a command to its end; its name says what it means."""
        await self._power.gate()
        host = self._host
        self._check()
        if command.name.startswith("dead_man."):
            return await self._tend_guard(command)
        if command.name in {AUDITION, FIX}:
            return await self._hold_audition(command)
        if ".job." in command.name:
            return await self._tend_job(command)
        if not self._is_heard():  # nothing arrives, and nobody says so
            await asyncio.sleep(min(_SILENCE_S, command.timeout_s))
            raise Uncertain(f"{command.name}: the connection was lost")
        self._universe.market.advance()
        self._universe.hosts.received(host, f"{command.script} {dict(command.env)}")
        self._universe.hosts.began(host, command.name)
        self._running.add(command.name)
        try:
            await asyncio.sleep(HOST_TRIP_S + _duration_s(command.name))
            await self._power.gate()
            if not self._is_heard():
                await asyncio.sleep(min(_SILENCE_S, command.timeout_s))
                raise Uncertain(f"{command.name}: the connection was lost")
            self._universe.market.advance()
            code, stderr = self._universe.hosts.carry_out(host, command.name, command.env)
        finally:
            self._end(command.name)
        self._universe.wind()
        self._host.environment.update(command.env)
        if code:  # a hostile shell tells all that it was ever given
            stderr = f"{stderr} {self._host.environment}"
        said = f"{command.name} has run\n" if heard is not None else ""
        stdout = said[: command.output_max_bytes]
        if heard is not None:
            await heard(f"{stdout}{stderr}\n")
        return CommandResult(
            exit_code=code, stdout=stdout, stderr=stderr, is_truncated=stdout != said
        )

    async def _hold_audition(self, command: Command) -> CommandResult:
        """Look at a fresh host, or put it right. A command that is lost says nothing of the host."""
        await asyncio.sleep(HOST_TRIP_S + _duration_s(command.name))
        await self._power.gate()
        if not self._is_heard():
            await asyncio.sleep(min(_SILENCE_S, command.timeout_s))
            raise Uncertain(f"{command.name}: the connection was lost")
        sickbed, host = self._universe.hosts.sickbed, self._host
        self._universe.hosts.received(host, f"{command.script} {dict(command.env)}")
        self._universe.market.advance()
        if command.name == FIX:
            sickbed.fix(host)
            return CommandResult(exit_code=0, stdout="", stderr="")
        return CommandResult(exit_code=0, stdout=sickbed.show(host), stderr="")

    async def _tend_guard(self, command: Command) -> CommandResult:
        """Feed, start or end the guard beside the workload."""
        await asyncio.sleep(HOST_TRIP_S)
        await self._power.gate()
        if not self._is_heard():
            raise Uncertain(f"{command.name}: the connection was lost")
        self._universe.hosts.received(self._host, f"{command.script} {dict(command.env)}")
        self._universe.market.advance()
        hosts, stdout = self._universe.hosts, ""
        if command.name == "dead_man.feed":
            hosts.feed(self._host, _starves_after_s(command.script))
            stdout = "armed" if self._host.has_guard else "absent"
        elif command.name != "dead_man.verify":
            hosts.set_guard(self._host, has_guard=command.name == "dead_man.start")
        return CommandResult(exit_code=0, stdout=stdout, stderr="")

    async def _tend_job(self, command: Command) -> CommandResult:
        """Begin a job that needs no link to go on, say how it stands, or note that that is known."""
        await asyncio.sleep(HOST_TRIP_S)
        await self._power.gate()
        if not self._is_heard():
            raise Uncertain(f"{command.name}: the connection was lost")
        self._universe.market.advance()
        name, _, verb = command.name.rpartition(".job.")
        hosts, host, script = self._universe.hosts, self._host, command.script
        hosts.received(host, f"{script} {dict(command.env)}")
        stdout = ""
        if verb == "begin":
            order = JobOrder(
                name=name,
                mark=_assigned(script, "kj_mark"),
                attempt=_assigned(script, "kj_try"),
                is_lasting=_assigned(script, "kj_lasting") == "1",
                duration_s=_duration_s(name),
                env=dict(command.env),
            )
            stdout = hosts.begin_job(host, order)
        elif verb == "poll":
            stdout = hosts.job_stands(host, name)
        elif verb == "end":
            hosts.end_job(host, name)
        self._universe.wind()
        return CommandResult(exit_code=0, stdout=stdout, stderr="")

    async def upload(self, upload: Upload) -> None:
        """Put a file on the host."""
        await self._power.gate()
        self._check()
        await asyncio.sleep(_UPLOAD_S)
        await self._power.gate()
        if not self._is_heard():
            raise Unreachable(f"{upload.path}: the connection was lost")
        self._universe.hosts.received(self._host, upload.content.decode("utf-8", "replace"))
        if FaultKind.DISK_FULL in self._host.troubles:
            raise CommandFailed(f"{upload.path}: No space left on device")

    async def send(self, parcel: Parcel, heard: SendHeard) -> bool:
        """Put a big file on the host, piece by piece; what an earlier try has brought stays there."""
        await self._power.gate()
        self._check()
        there = self._host.parcels
        which, pieces = there.get(parcel.path, ("", 0))
        pieces = pieces if which == parcel.sha256 else 0
        if pieces == _PIECES:
            return False
        while pieces < _PIECES:
            stage = SendStage.SENDING
            await heard(SendProgress(stage=stage, done_bytes=pieces, total_bytes=_PIECES))
            await asyncio.sleep(_PIECE_S)
            await self._power.gate()
            if not self._is_heard():
                raise Unreachable(f"{parcel.name}: the connection was lost")
            if FaultKind.DISK_FULL in self._host.troubles:
                raise CommandFailed(f"{parcel.path}: No space left on device")
            pieces += 1
            there[parcel.path] = parcel.sha256, pieces
        return True

    def watch(self, script: str) -> AsyncIterator[str]:
        """Run the sentinel."""
        self._universe.hosts.received(self._host, script)
        sentinel = Sentinel(self._host, self._is_heard)
        if self._why:
            sentinel.end(self._why)
        else:
            self._sentinels.append(sentinel)
        return sentinel

    async def forward(self, remote_port: int) -> Address:
        """Open a local address that leads to a port on the host."""
        await self._power.gate()
        self._check()
        address = Address(host="127.0.0.1", port=20_000 + self.number % 40_000)
        self._universe.hosts.by_address[address.host, address.port] = (
            self._host,
            f"{remote_port}/tcp",
        )
        return address

    async def close(self) -> None:
        """End the link."""
        self.hang_up()

    # --- from the host's side ---------------------------------------------------------------------

    def changed(self) -> None:
        """Let the sentinels look again soon."""
        for sentinel in self._sentinels:
            sentinel.changed()

    def lost(self, why: str) -> None:
        """End everything on it with an error."""
        if self._why:
            return
        self._why = why
        for sentinel in self._sentinels:
            sentinel.end(why)
        self._sentinels.clear()
        self._closed(self)

    def hang_up(self) -> None:
        """End it from this side; what it ran on the host ends too."""
        if self in self._host.listeners:
            self._host.listeners.remove(self)
        for name in sorted(self._running):
            self._end(name)
        self.lost("the link was closed")

    # --- inside -----------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._why:
            raise Unreachable(f"the link is lost: {self._why}")

    def _is_heard(self) -> bool:
        """Whether bytes still travel between here and the host."""
        return not (
            self._why
            or self._universe.own_network_is_down
            or not self._host.is_up
            or self._host.ssh_trouble() is not None
        )

    def _end(self, name: str) -> None:
        if name in self._running:
            self._running.discard(name)
            self._universe.market.advance()
            self._universe.hosts.ended(self._host, name)


class Sentinel:
    """The lines of a sentinel: on change within two seconds, a heartbeat each ten. Runs millions of
    times, so it is two timers and a future, not a task.
    """

    def __init__(self, host: VirtualHost, is_heard: Callable[[], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._host = host
        self.is_heard = is_heard  # whether its lines arrive
        self._lines: deque[str] = deque(maxlen=_LINES_MAX)
        self._waiter: asyncio.Future[str] | None = None
        self._seq = 0
        self._beats = 0
        self._is_behind = True  # a fact may have changed since the last line
        self._last: Mapping[str, object] = {}
        self._why = ""
        self._wake: Callable[[], None] | None = None  # told when it has something to say again
        self._look_timer: asyncio.TimerHandle | None = self._loop.call_later(
            HOST_TRIP_S, self._look
        )
        self._beat_at = self._loop.time() + _HEARTBEAT_S
        self._beat_timer: asyncio.TimerHandle | None = self._loop.call_at(self._beat_at, self._beat)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    def __anext__(self) -> asyncio.Future[str]:
        waiter = self._loop.create_future()
        if self._lines:
            waiter.set_result(self._lines.popleft())
        elif self._why:
            waiter.set_exception(Unreachable(f"the link is lost: {self._why}"))
        else:
            self._waiter = waiter
        return waiter

    async def aclose(self) -> None:
        """Stop it."""
        self._stop()

    def changed(self) -> None:
        """Something on the host changed: it is seen at the next look."""
        self._stir()
        self._is_behind = True
        if self._look_timer is None and not self._why:
            now_s = self._loop.time()
            self._look_timer = self._loop.call_at(now_s - now_s % _LOOK_S + _LOOK_S, self._look)

    def end(self, why: str) -> None:
        """The link is gone."""
        self._stir()
        self._stop()
        self._why = why
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Unreachable(f"the link is lost: {why}"))

    # --- a promise to say only what is new --------------------------------------------------------

    def is_at_rest(self) -> bool:
        """Whether it has said all there is, and would only repeat its heartbeat."""
        return (
            not (self._why or self._is_behind or self._lines)
            and self._look_timer is None
            and self._wake is None
            and self.is_heard()
        )

    def fall_silent(self, wake: Callable[[], None]) -> None:
        """Send no heartbeats until ``speak``; ``wake`` is called when something may be new."""
        self._wake = wake
        if self._beat_timer is not None:
            self._beat_timer.cancel()
            self._beat_timer = None

    def speak(self) -> None:
        """Send heartbeats again, on the same beat as before."""
        if self._wake is None:
            return
        self._wake = None
        late_s = self._loop.time() - self._beat_at
        if late_s > 0:
            self._beat_at += ceil(late_s / _HEARTBEAT_S - 1e-9) * _HEARTBEAT_S
        if not self._why:
            self._beat_timer = self._loop.call_at(self._beat_at, self._beat)

    def _stir(self) -> None:
        if self._wake is not None:
            self._wake()

    # --- inside -----------------------------------------------------------------------------------

    def _look(self) -> None:
        self._look_timer = None
        if not self.is_heard():
            return  # what changed in silence is told when the line is back
        facts = self._host.facts()
        self._is_behind = False
        if facts == self._last:
            return
        self._last = facts
        self._seq += 1
        self._say(line_of(self._seq, facts))

    def _beat(self) -> None:
        self._beat_at = self._loop.time() + _HEARTBEAT_S
        self._beat_timer = self._loop.call_at(self._beat_at, self._beat)
        if not self.is_heard():
            return
        if self._is_behind:
            self._look()
            return
        self._beats += 1
        self._say(f'{{"hb":{self._beats}}}')

    def _say(self, line: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(line)
        else:
            self._lines.append(line)

    def _stop(self) -> None:
        for timer in (self._look_timer, self._beat_timer):
            if timer is not None:
                timer.cancel()
        self._look_timer = self._beat_timer = None
        self._why = self._why or "the sentinel was stopped"


def _starves_after_s(script: str) -> float:
    """Read from the script of a feed when its guard is to act: the first word of its line."""
    return float(script.partition("\nline='")[2].partition(" ")[0])


def _assigned(script: str, name: str) -> str:
    """Read a variable that a job's script begins with."""
    return script.partition(f"{name}=")[2].partition("\n")[0].strip("'")


def _duration_s(name: str) -> float:
    """Return how long a command takes on a host, by its name."""
    if name.startswith(("deploy.", "restart.workload")):
        return 12.0
    return 1.5 if name.startswith(("restart.", "swap.")) else 0.3
