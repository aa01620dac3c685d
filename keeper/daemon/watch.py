"""Watches every rental that could show a picture: from inside by its link, from outside as a viewer.

One task per rental keeps a link with a sentinel on it; the viewer probes of all rentals share one
wheel. Whatever is seen is pinned on the board. Losing the link is Unknown; only refused dials are
False. Nothing here decides: it asks, bounded in time and size, and writes down the answer.
"""

from __future__ import annotations

import asyncio
import functools
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from keeper.core.model import Instance, InstanceId, Reading, SlotId, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon.board import Board
from keeper.daemon.player import Player
from keeper.daemon.redial import DIAL_TIMEOUT_S, pause_s
from keeper.daemon.rest import Rest, last_beat_s
from keeper.daemon.wheel import Wheel
from keeper.ports import (
    Address,
    Clock,
    Foresight,
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

_HEARTBEAT_S = 10.0
_SILENT_LINK_S = 35.0  # three heartbeats and a little
# Looks in a row that saw the same picture, before a promise that it stays is worth anything: every
# streak that is counted in the core is full by then.
_SAME_LOOKS = 12
_INSIDE = (Subject.LINK, Subject.PROCESS, Subject.DISK, Subject.GPU, Subject.WORKLOAD)


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
    probe_stale_s: float
    dead_man_after_s: float | None = None
    is_guarded: bool = False


@dataclass(slots=True)
class _Watched:
    target: Target
    task: asyncio.Task[None] | None = None
    link: Link | None = None
    is_given: bool = False  # the link: somebody else closes it
    forwards: dict[int, Address] = field(default_factory=dict)
    linked: asyncio.Event = field(default_factory=asyncio.Event)
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    deadline: asyncio.Timeout | None = None  # of the sentinel that is listened to
    probe: asyncio.Task[None] | None = None
    picture: Rest = field(default_factory=Rest)  # nothing new would be seen
    inside: Rest = field(default_factory=Rest)  # nothing new would be said
    player: Player = field(default_factory=Player)  # where the view is a player's
    looked_at: Address | None = None
    seen: Reading | None = None
    seen_s: float = 0.0
    same_looks: int = 0  # in a row, all as the latest


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
        foresight: Foresight | None = None,
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
        self._foresight = foresight
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
                    watched.picture.end()
                if watched.deadline is not None and _asks_otherwise(before, target):
                    # Another workload is there: its own sentinel comes with the next link.
                    watched.deadline.reschedule(asyncio.get_running_loop().time())
                if target.is_deployed and not before.is_deployed:
                    self._schedule_probe(watched, first=True)
            if instance_id in self._board.restless:
                watched.picture.end()

    def target(self, instance_id: InstanceId) -> Target | None:
        """What is watched of a rental."""
        watched = self._watched.get(instance_id)
        return watched.target if watched else None

    def link_now(self, instance_id: InstanceId) -> Link | None:
        """Return the rental's link if it is up."""
        watched = self._watched.get(instance_id)
        return watched.link if watched else None

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

    def release(self, instance_id: InstanceId) -> Link | None:
        """Give the rental's link away, if it is up: whoever takes it closes it.

        For one that ends: when it is watched no longer, what it knows can still be asked for.
        """
        watched = self._watched.get(instance_id)
        if watched is None or watched.link is None:
            return None
        watched.is_given = True
        return watched.link

    async def close(self) -> None:
        """Drop every link."""
        tasks = [w.task for w in self._watched.values() if w.task is not None]
        for instance_id in list(self._watched):
            self._drop(instance_id)
        if tasks:
            await asyncio.wait(tasks)

    def _drop(self, instance_id: InstanceId) -> None:
        watched = self._watched.pop(instance_id)
        watched.picture.end()
        watched.inside.end()
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
                    addresses, pinned_host_key=pinned, timeout_s=DIAL_TIMEOUT_S
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
                watched.picture.end()  # the way to it may have led through the link
                if not watched.is_given:
                    await asyncio.shield(link.close())
                watched.is_given = False
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
                watched.deadline = deadline
                async for line in lines:
                    deadline.reschedule(loop.time() + _SILENT_LINK_S)
                    at = self._clock.now()
                    if is_first:
                        is_first = False
                        self._pin_link(target, Status.TRUE, Reason.LINK_UP)
                    if line.startswith('{"hb"'):
                        # Nothing changed: that it was said is all there is to know.
                        self._board.heard(instance_id, _INSIDE, at)
                        self._rest_inside(watched, lines, deadline)
                        continue
                    for reading in target.workload.interpret(line, instance_id, at):
                        self._board.pin(watched.player.heard(reading))
                    # After that: what it says now stands above what was said before a silence.
                    self._board.heard(instance_id, _INSIDE, at)
                return Unreachable("the sentinel ended")
        except TimeoutError:
            return Unreachable("the sentinel fell silent")
        except PortError as error:
            return error
        finally:
            watched.deadline = None
            watched.inside.end()
            closing = getattr(lines, "aclose", None)
            if closing is not None:
                await closing()

    def _rest_inside(
        self, watched: _Watched, lines: AsyncIterator[str], deadline: asyncio.Timeout
    ) -> None:
        """Let the sentinel be silent until it has something to say, if it promises that."""
        foresight, loop = self._foresight, asyncio.get_running_loop()
        if foresight is None:
            return
        instance_id, heard_s = watched.target.instance.instance_id, loop.time()

        def wake() -> None:
            beat_s = last_beat_s(heard_s, _HEARTBEAT_S, loop.time())
            deadline.reschedule(beat_s + _SILENT_LINK_S)
            at = self._clock.now() - timedelta(seconds=loop.time() - beat_s)
            self._board.unvouch(instance_id, _INSIDE, at)

        if watched.inside.begin(lambda broken: foresight.of_sentinel(lines, broken), wake):
            deadline.reschedule(None)
            self._board.vouch(instance_id, _INSIDE, self._clock.now())

    async def _pause_before_redial(self, watched: _Watched, failures: int) -> None:
        target = watched.target
        seconds = pause_s(target.slot, failures, target.probe_stale_s)
        watched.moved.clear()
        alarm = asyncio.get_running_loop().call_later(seconds, watched.moved.set)
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
        instance_id = target.instance.instance_id
        key, interval_s = ("probe", instance_id), target.probe_interval_s
        watched.picture.end()
        if first:
            # Phases differ by slot: a thousand probes at once would hold the loop.
            delay_s = interval_s * (zlib.crc32(target.slot.encode()) % 1000 / 1000)
            self._wheel.schedule(key, delay_s, lambda: self._start_probe(instance_id))
        else:
            self._wheel.beat(key, interval_s, lambda: self._start_probe(instance_id))

    def _start_probe(self, instance_id: InstanceId) -> None:
        watched = self._watched.get(instance_id)
        if watched is None:
            return
        self._schedule_probe(watched)
        late = watched.probe
        if late is not None and not late.done():
            if self._clock.monotonic() < watched.player.busy_until_s:
                return  # to watch takes longer than from one beat to the next
            # Its port has broken its word to end within the time it was given. The next beat is the
            # deadline, because a timer for each probe would cost a tenth of the probe.
            late.cancel()
            watched.same_looks = 0
            self._board.pin(_unknown(instance_id, self._clock.now(), "the probe ran out of time"))
        watched.probe = self._spawn(self._probe(watched), f"probe:{watched.target.slot}")

    async def _probe(self, watched: _Watched) -> None:
        began_s = self._clock.monotonic()
        reading = await self._look(watched)
        if self._watched.get(watched.target.instance.instance_id) is watched:
            self._board.pin(reading)
            if self._foresight is not None:
                self._rest_outside(watched, reading, self._clock.monotonic() - began_s)

    def _rest_outside(self, watched: _Watched, reading: Reading, took_s: float) -> None:
        """Pass over the looks at a picture that is well and stays as it is."""
        before, watched.seen = watched.seen, reading
        now_s = self._clock.monotonic()
        is_late = now_s - watched.seen_s > _SILENT_LINK_S  # it counted as unknown meanwhile
        is_same = before is not None and replace(before, at=reading.at) == reading
        watched.same_looks = watched.same_looks + 1 if is_same and not is_late else 0
        watched.seen_s = now_s
        address, instance_id = watched.looked_at, reading.instance_id
        foresight, key = self._foresight, ("probe", reading.instance_id)
        if (
            foresight is None
            or address is None
            or reading.status is not Status.TRUE
            or watched.same_looks < _SAME_LOOKS
            or instance_id in self._board.restless
        ):
            return
        due_s = self._wheel.pause(key)
        if due_s is None:
            return
        interval_s = watched.target.probe_interval_s

        def wake() -> None:
            now_s = self._clock.monotonic()
            seen_s = last_beat_s(due_s - interval_s, interval_s, now_s) + took_s
            if seen_s > now_s:  # this look would be under way, with what it had seen at its start
                asyncio.get_running_loop().call_later(seen_s - now_s, finish)
                seen_s -= interval_s
            at = self._clock.now() - timedelta(seconds=now_s - seen_s)
            watched.seen_s = seen_s
            self._board.unvouch(instance_id, (Subject.PICTURE,), at)
            self._wheel.resume(key, due_s, interval_s, lambda: self._start_probe(instance_id))

        def finish() -> None:
            if self._watched.get(instance_id) is watched:
                self._board.pin(replace(reading, at=self._clock.now()))

        if watched.picture.begin(lambda broken: foresight.of_picture(address, broken), wake):
            self._board.vouch(instance_id, (Subject.PICTURE,), self._clock.now())
        else:
            self._wheel.resume(key, due_s, interval_s, lambda: self._start_probe(instance_id))

    async def _look(self, watched: _Watched) -> Reading:
        target = watched.target
        instance_id = target.instance.instance_id
        view = target.workload.view()
        try:
            address = await self._viewer_address(watched, view)
            watched.looked_at = address
            if address is None:
                return _unknown(instance_id, self._clock.now(), "no way to the port")
            reading = await self._ask(view, address, watched)
        except PortError as error:
            return _unknown(instance_id, self._clock.now(), str(error))
        reading = self._as_the_workload_says(reading)
        if self._own_network() is Status.FALSE and reading.status is Status.FALSE:
            return replace(reading, status=Status.UNKNOWN, reason=Reason.OWN_NETWORK_DOWN)
        return reading

    def _as_the_workload_says(self, reading: Reading) -> Reading:
        """Take a moving picture for a wrong one where the workload says that it is not the stream.

        A filler, a scene that stands while its overlay moves, a picture that only this box can see.
        """
        inside = self._board.latest.get((reading.instance_id, Subject.WORKLOAD))
        symptom = None if inside is None else inside.symptom
        if reading.status is not Status.TRUE or symptom is None or not symptom.spoils_view:
            return reading
        heard_at = self._board.heard_at.get((reading.instance_id, Subject.WORKLOAD))
        if heard_at is None or (reading.at - heard_at).total_seconds() > _SILENT_LINK_S:
            return reading  # it has said nothing since: it may be over
        return replace(
            reading,
            status=Status.FALSE,
            reason=Reason.WRONG_PICTURE,
            detail=symptom.sentence[:200],
        )

    async def _ask(self, view: View, address: Address, watched: _Watched) -> Reading:
        target = watched.target
        instance_id = target.instance.instance_id
        timeout_s = target.probe_timeout_s
        host = f"[{address.host}]" if ":" in address.host else address.host
        url = f"http://{host}:{address.port}{view.path}"
        match view.kind:
            case ViewKind.MJPEG:
                limits = PictureLimits(sample_s=min(2.5, timeout_s / 2), timeout_s=timeout_s)
                sample = await self._network.sample_mjpeg(url, limits)
                if sample.newest_frame and instance_id in self._watched:
                    self._board.frames[instance_id] = sample.newest_frame
                return read_picture(sample, view, instance_id, self._clock.now())
            case ViewKind.WEBRTC:
                return await self._play(watched, view, url)
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

    async def _play(self, watched: _Watched, view: View, url: str) -> Reading:
        player, instance_id = watched.player, watched.target.instance.instance_id
        before = player.symptom
        reading, frame = await player.look(self._network, url, view, instance_id, self._clock)
        if self._watched.get(instance_id) is watched:
            if frame:
                self._board.frames[instance_id] = frame
            said = player.said(instance_id, reading.at)
            if player.symptom != before and said is not None:
                self._board.pin(said)
        return reading

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


def _asks_otherwise(before: Target, after: Target) -> bool:
    """Whether the sentinel of a host has other questions to ask from now on."""
    return (
        before.workload is not after.workload
        and before.workload.sentinel() != after.workload.sentinel()
    )


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
