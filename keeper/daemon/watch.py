"""Watches every rental that could show a picture: from inside by its link, from outside as a viewer.

One task per rental keeps a link with a sentinel on it; the viewer probes of all rentals share one
wheel. Whatever is seen is pinned on the board. Losing the link is Unknown; only refused dials are
False. Nothing here decides: it asks, bounded in time and size, and writes down the answer.
"""

from __future__ import annotations

import asyncio
import functools
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from keeper.core.model import Instance, InstanceId, Reading, SlotId, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon.board import Board
from keeper.daemon.wheel import Wheel
from keeper.ports import (
    Address,
    Clock,
    HostKeyChanged,
    Hosts,
    HttpRequest,
    Link,
    Malformed,
    Network,
    PictureLimits,
    PortError,
    Transient,
    Unauthorized,
    Unreachable,
)
from keeper.probes.http import read_http
from keeper.probes.picture import read_picture
from keeper.probes.tcp import read_tcp
from keeper.workloads import View, ViewKind, Workload

_DIAL_TIMEOUT_S = 10.0
_REDIAL_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_SILENT_LINK_S = 35.0  # three heartbeats and a little
_INSIDE = (Subject.LINK, Subject.PROCESS, Subject.DISK, Subject.GPU)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One rental to be watched."""

    slot: SlotId
    instance: Instance
    workload: Workload
    pinned_host_key: str
    is_deployed: bool
    probe_interval_s: float
    probe_timeout_s: float


@dataclass(slots=True)
class _Watched:
    target: Target
    task: asyncio.Task[None] | None = None
    link: Link | None = None
    forwards: dict[int, Address] = field(default_factory=dict)
    linked: asyncio.Event = field(default_factory=asyncio.Event)
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    probe: asyncio.Task[None] | None = None


class Watch:
    """All watched rentals."""

    def __init__(
        self,
        *,
        hosts: Hosts,
        network: Network,
        clock: Clock,
        board: Board,
        wheel: Wheel,
        spawn: Callable[..., asyncio.Task[None]],
        keep: Callable[..., asyncio.Task[None]],  # the same, begun again when it dies
        key_refused: Callable[[InstanceId], None],
        own_network: Callable[[], Status],
    ) -> None:
        self._hosts = hosts
        self._network = network
        self._clock = clock
        self._board = board
        self._wheel = wheel
        self._spawn = spawn
        self._keep = keep
        self._key_refused = key_refused
        self._own_network = own_network
        self._watched: dict[InstanceId, _Watched] = {}

    def follow(self, targets: Mapping[InstanceId, Target]) -> None:
        """Watch exactly these rentals from now on."""
        for instance_id in [known for known in self._watched if known not in targets]:
            self._drop(instance_id)
        for instance_id, target in targets.items():
            watched = self._watched.get(instance_id)
            if watched is None:
                watched = self._watched[instance_id] = _Watched(target)
                watched.task = self._keep(
                    functools.partial(self._keep_link, watched), f"link:{target.slot}"
                )
                self._schedule_probe(watched, first=True)
            elif watched.target is not target:
                before, watched.target = watched.target, target
                if _addresses(before.instance) != _addresses(target.instance):
                    watched.moved.set()
                if target.is_deployed and not before.is_deployed:
                    self._schedule_probe(watched, first=True)

    def target(self, instance_id: InstanceId) -> Target | None:
        """What is watched of a rental."""
        watched = self._watched.get(instance_id)
        return watched.target if watched else None

    async def link(self, instance_id: InstanceId, timeout_s: float) -> Link:
        """Return the rental's link, waiting for it. Raises Unreachable."""
        watched = self._watched.get(instance_id)
        if watched is None:
            raise Unreachable("the rental is not being watched")
        try:
            async with asyncio.timeout(timeout_s):
                while watched.link is None:
                    watched.linked.clear()
                    await watched.linked.wait()
        except TimeoutError as error:
            raise Unreachable("no SSH link to the host") from error
        return watched.link

    async def close(self) -> None:
        """Drop every link."""
        tasks = [w.task for w in self._watched.values() if w.task is not None]
        for instance_id in list(self._watched):
            self._drop(instance_id)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drop(self, instance_id: InstanceId) -> None:
        watched = self._watched.pop(instance_id)
        self._wheel.cancel(("probe", instance_id))
        if watched.task is not None:
            watched.task.cancel()
        self._board.forget(instance_id)

    # --- inside: the link and its sentinel --------------------------------------------------------

    async def _keep_link(self, watched: _Watched) -> None:
        failures = nonsense = 0
        while True:
            target = watched.target
            addresses = _addresses(target.instance)
            if not addresses:
                watched.moved.clear()
                await watched.moved.wait()
                continue
            pinned = self._board.host_keys.get(target.instance.instance_id, target.pinned_host_key)
            try:
                link = await self._hosts.connect(
                    addresses, pinned_host_key=pinned, timeout_s=_DIAL_TIMEOUT_S
                )
            except PortError as error:
                self._pin_link(target, *_dial_failure(error), detail=str(error))
                if isinstance(error, Unauthorized):
                    self._key_refused(target.instance.instance_id)
                await self._pause_before_redial(watched, failures)
                failures += 1
                continue
            failures = 0
            self._board.host_keys[target.instance.instance_id] = link.host_key
            watched.link = link
            watched.forwards.clear()
            watched.linked.set()
            try:
                why = await self._listen(watched, link)
            finally:
                watched.link = None
                watched.forwards.clear()
                await asyncio.shield(link.close())
            lost = (Status.UNKNOWN, Reason.LINK_LOST)
            if isinstance(why, HostKeyChanged):
                lost = _dial_failure(why)
            self._pin_link(watched.target, *lost, detail=str(why))
            # A host that talks nonsense, or without end, is dialled ever less often, like a silent one.
            nonsense = nonsense + 1 if isinstance(why, Malformed) else 0
            await self._pause_before_redial(watched, nonsense)

    async def _listen(self, watched: _Watched, link: Link) -> PortError:
        """Read the sentinel until it ends or falls silent; says why it ended."""
        target = watched.target
        instance_id = target.instance.instance_id
        lines = link.watch(target.workload.sentinel())
        is_first = True
        loop = asyncio.get_running_loop()
        try:
            # One deadline that is moved: a new one for each line costs twice as much as the line.
            async with asyncio.timeout(_SILENT_LINK_S) as deadline:
                async for line in lines:
                    deadline.reschedule(loop.time() + _SILENT_LINK_S)
                    at = self._clock.now()
                    if is_first:
                        is_first = False
                        self._pin_link(target, Status.TRUE, Reason.LINK_UP)
                    self._board.heard(instance_id, _INSIDE, at)
                    if line.startswith('{"hb"'):
                        continue  # nothing changed: that it was said is all there is to know
                    for reading in target.workload.interpret(line, instance_id, at):
                        self._board.pin(reading)
                return Unreachable("the sentinel ended")
        except TimeoutError:
            return Unreachable("the sentinel fell silent")
        except PortError as error:
            return error
        finally:
            closing = getattr(lines, "aclose", None)
            if closing is not None:
                await closing()

    async def _pause_before_redial(self, watched: _Watched, failures: int) -> None:
        seconds = _REDIAL_S[min(failures, len(_REDIAL_S) - 1)]
        # Spread by name, so that a hundred hosts that went together do not come back together.
        spread = zlib.crc32(f"{watched.target.slot}:{failures}".encode()) % 1000 / 1000
        watched.moved.clear()
        alarm = asyncio.get_running_loop().call_later(
            seconds * (0.75 + spread / 2), watched.moved.set
        )
        try:
            await watched.moved.wait()
        finally:
            alarm.cancel()

    def _pin_link(self, target: Target, status: Status, reason: Reason, detail: str = "") -> None:
        self._board.pin(
            Reading(
                instance_id=target.instance.instance_id,
                subject=Subject.LINK,
                status=status,
                reason=reason,
                at=self._clock.now(),
                detail=detail[:200],
            )
        )

    # --- outside: what the viewer sees ------------------------------------------------------------

    def _schedule_probe(self, watched: _Watched, *, first: bool = False) -> None:
        target = watched.target
        if not target.is_deployed:
            return
        delay_s = target.probe_interval_s
        if first:
            # Phases differ by slot: a thousand probes at once would hold the loop.
            delay_s *= zlib.crc32(target.slot.encode()) % 1000 / 1000
        instance_id = target.instance.instance_id
        self._wheel.schedule(
            ("probe", instance_id), delay_s, lambda: self._start_probe(instance_id)
        )

    def _start_probe(self, instance_id: InstanceId) -> None:
        watched = self._watched.get(instance_id)
        if watched is None:
            return
        self._schedule_probe(watched)
        late = watched.probe
        if late is not None and not late.done():
            # Its port has broken its word to end within the time it was given. The next beat is the
            # deadline, because a timer for each probe would cost a tenth of the probe.
            late.cancel()
            self._board.pin(_unknown(instance_id, self._clock.now(), "the probe ran out of time"))
        watched.probe = self._spawn(self._probe(watched), f"probe:{watched.target.slot}")

    async def _probe(self, watched: _Watched) -> None:
        reading = await self._look(watched)
        if self._watched.get(watched.target.instance.instance_id) is watched:
            self._board.pin(reading)

    async def _look(self, watched: _Watched) -> Reading:
        target = watched.target
        instance_id = target.instance.instance_id
        view = target.workload.view()
        try:
            address = await self._viewer_address(watched, view)
            if address is None:
                return _unknown(instance_id, self._clock.now(), "no way to the port")
            reading = await self._ask(view, address, target)
        except PortError as error:
            return _unknown(instance_id, self._clock.now(), str(error))
        if self._own_network() is Status.FALSE and reading.status is Status.FALSE:
            return replace(reading, status=Status.UNKNOWN, reason=Reason.OWN_NETWORK_DOWN)
        return reading

    async def _ask(self, view: View, address: Address, target: Target) -> Reading:
        instance_id = target.instance.instance_id
        timeout_s = target.probe_timeout_s
        url = f"http://{address.host}:{address.port}{view.path}"
        match view.kind:
            case ViewKind.MJPEG:
                limits = PictureLimits(sample_s=min(2.5, timeout_s / 2), timeout_s=timeout_s)
                sample = await self._network.sample_mjpeg(url, limits)
                if sample.newest_frame and instance_id in self._watched:
                    self._board.frames[instance_id] = sample.newest_frame
                return read_picture(sample, view, instance_id, self._clock.now())
            case ViewKind.HTTP:
                try:
                    reply = await self._network.fetch(
                        HttpRequest(method="GET", url=url, timeout_s=timeout_s)
                    )
                except PortError as error:
                    return read_http(error, view, instance_id, self._clock.now())
                return read_http(reply, view, instance_id, self._clock.now())
            case ViewKind.TCP:
                failure: PortError | None = None
                try:
                    await self._network.dial(address, timeout_s)
                except PortError as error:
                    failure = error
                return read_tcp(failure, instance_id, self._clock.now())

    async def _viewer_address(self, watched: _Watched, view: View) -> Address | None:
        instance = watched.target.instance
        public = instance.ports.get(f"{view.container_port}/tcp")
        if public and instance.public_ip:
            return Address(host=instance.public_ip, port=public)
        if watched.link is None:
            return None
        known = watched.forwards.get(view.container_port)
        if known is None:
            known = await watched.link.forward(view.container_port)
            watched.forwards[view.container_port] = known
        return known


def _addresses(instance: Instance) -> tuple[Address, ...]:
    """Direct first, the marketplace's proxy second; either may fail alone."""
    found = []
    direct = instance.ports.get("22/tcp")
    if direct and instance.public_ip:
        found.append(Address(host=instance.public_ip, port=direct))
    if instance.ssh_host and instance.ssh_port:
        found.append(Address(host=instance.ssh_host, port=instance.ssh_port, is_relay=True))
    return tuple(found)


def _dial_failure(error: PortError) -> tuple[Status, Reason]:
    if isinstance(error, HostKeyChanged):
        return Status.FALSE, Reason.HOST_KEY_CHANGED
    if isinstance(error, Unauthorized):
        return Status.FALSE, Reason.KEY_REFUSED
    if isinstance(error, Transient):
        return Status.FALSE, Reason.DIAL_REFUSED
    return Status.UNKNOWN, Reason.PROBE_FAILED


def _unknown(instance_id: InstanceId, at: datetime, detail: str) -> Reading:
    return Reading(
        instance_id=instance_id,
        subject=Subject.PICTURE,
        status=Status.UNKNOWN,
        reason=Reason.PROBE_FAILED,
        at=at,
        detail=detail[:200],
    )
