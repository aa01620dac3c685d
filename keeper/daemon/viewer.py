"""Looks at every watched rental from outside, as its audience does.

The probes of all rentals share one wheel. What is seen is pinned on the board: the truth of a stream,
unless the workload says that this picture is not it. Nothing here decides.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon.board import Board
from keeper.daemon.links import SILENT_LINK_S
from keeper.daemon.looking import Looking, Sight, where_to_look
from keeper.daemon.rest import Rest, last_beat_s
from keeper.daemon.target import Target
from keeper.daemon.wheel import Wheel
from keeper.ports import Address, Clock, Foresight, Network, PortError
from keeper.workloads import View
from keeper.workloads.viewing import Aids

# Looks in a row that saw the same picture, before a promise that it stays is worth anything: every
# streak that is counted in the core is full by then.
_SAME_LOOKS = 12


@dataclass(slots=True)
class _Viewed:
    target: Target
    probe: asyncio.Task[None] | None = None
    picture: Rest = field(default_factory=Rest)  # nothing new would be seen
    sight: Sight = field(default_factory=Sight)
    looked_at: Address | None = None
    seen: Reading | None = None
    seen_s: float = 0.0
    same_looks: int = 0  # in a row, all as the latest

    @property
    def busy_until_s(self) -> float:
        """Until when a look that is under way may go on: to watch can take longer than a beat."""
        return max(self.sight.busy_until_s, self.sight.player.busy_until_s)


class Viewer:
    """The viewer of all watched rentals."""

    def __init__(
        self,
        *,
        network: Network,
        clock: Clock,
        board: Board,
        wheel: Wheel,
        spawn: Callable[..., asyncio.Task[None]],
        forward: Callable[[InstanceId, int], Awaitable[Address | None]],  # a way through the link
        own_network: Callable[[], Status],
        foresight: Foresight | None,
        aids: Callable[[], Aids] = Aids,
    ) -> None:
        self._looking = Looking(network=network, clock=clock, board=board)
        self._clock = clock
        self._board = board
        self._wheel = wheel
        self._spawn = spawn
        self._forward = forward
        self._own_network = own_network
        self._foresight = foresight
        self._aids = aids
        self._rentals: dict[InstanceId, _Viewed] = {}

    def begin(self, target: Target) -> None:
        """Look at a rental from now on, once something is deployed there."""
        viewed = self._rentals[target.instance.instance_id] = _Viewed(target)
        self._schedule(viewed, first=True)

    def change(self, target: Target) -> None:
        """Take what is new about a rental: where it is, or that something is deployed there now."""
        viewed = self._rentals[target.instance.instance_id]
        before, viewed.target = viewed.target, target
        if before.entrances != target.entrances:
            viewed.picture.end()
        if target.is_deployed and not before.is_deployed:
            self._schedule(viewed, first=True)

    def drop(self, instance_id: InstanceId) -> None:
        """Look at a rental no more."""
        self._rentals.pop(instance_id).picture.end()
        self._wheel.cancel(("probe", instance_id))

    def look_again(self, instance_id: InstanceId) -> None:
        """Pass over no more looks: the way may have led through a link that is lost, or it is ailing."""
        viewed = self._rentals.get(instance_id)
        if viewed is not None:
            viewed.picture.end()

    def completed(self, reading: Reading) -> Reading:
        """Return what a host says of its workload with what only a player sees of it."""
        viewed = self._rentals.get(reading.instance_id)
        return reading if viewed is None else viewed.sight.player.heard(reading)

    def _schedule(self, viewed: _Viewed, *, first: bool = False) -> None:
        target = viewed.target
        if not target.is_deployed:
            return
        instance_id = target.instance.instance_id
        key, interval_s = ("probe", instance_id), target.probe_interval_s
        viewed.picture.end()
        if first:
            # Phases differ by slot: a thousand probes at once would hold the loop.
            delay_s = interval_s * (zlib.crc32(target.slot.encode()) % 1000 / 1000)
            self._wheel.schedule(key, delay_s, lambda: self._start(instance_id))
        else:
            self._wheel.beat(key, interval_s, lambda: self._start(instance_id))

    def _start(self, instance_id: InstanceId) -> None:
        viewed = self._rentals.get(instance_id)
        if viewed is None:
            return
        self._schedule(viewed)
        late = viewed.probe
        if late is not None and not late.done():
            if self._clock.monotonic() < viewed.busy_until_s:
                return
            # Its port has broken its word to end within the time it was given. The next beat is the
            # deadline, because a timer for each probe would cost a tenth of the probe.
            late.cancel()
            viewed.same_looks = 0
            self._board.pin(_unknown(instance_id, self._clock.now(), "the probe ran out of time"))
        viewed.probe = self._spawn(self._probe(viewed), f"probe:{viewed.target.slot}")

    async def _probe(self, viewed: _Viewed) -> None:
        began_s = self._clock.monotonic()
        reading = await self._look(viewed)
        if self._rentals.get(viewed.target.instance.instance_id) is viewed:
            self._board.pin(reading)
            if self._foresight is not None:
                self._rest(viewed, reading, self._clock.monotonic() - began_s)

    def _rest(self, viewed: _Viewed, reading: Reading, took_s: float) -> None:
        """Pass over the looks at a picture that is well and stays as it is."""
        before, viewed.seen = viewed.seen, reading
        now_s = self._clock.monotonic()
        is_late = now_s - viewed.seen_s > SILENT_LINK_S  # it counted as unknown meanwhile
        is_same = before is not None and replace(before, at=reading.at) == reading
        viewed.same_looks = viewed.same_looks + 1 if is_same and not is_late else 0
        viewed.seen_s = now_s
        address, instance_id = viewed.looked_at, reading.instance_id
        foresight, key = self._foresight, ("probe", reading.instance_id)
        if (
            foresight is None
            or address is None
            or reading.status is not Status.TRUE
            or viewed.same_looks < _SAME_LOOKS
            or instance_id in self._board.restless
        ):
            return
        due_s = self._wheel.pause(key)
        if due_s is None:
            return
        interval_s = viewed.target.probe_interval_s

        def wake() -> None:
            now_s = self._clock.monotonic()
            seen_s = last_beat_s(due_s - interval_s, interval_s, now_s) + took_s
            if seen_s > now_s:  # this look would be under way, with what it had seen at its start
                asyncio.get_running_loop().call_later(seen_s - now_s, finish)
                seen_s -= interval_s
            at = self._clock.now() - timedelta(seconds=now_s - seen_s)
            viewed.seen_s = seen_s
            self._board.unvouch(instance_id, (Subject.PICTURE,), at)
            self._wheel.resume(key, due_s, interval_s, lambda: self._start(instance_id))

        def finish() -> None:
            if self._rentals.get(instance_id) is viewed:
                self._board.pin(replace(reading, at=self._clock.now()))

        if viewed.picture.begin(lambda broken: foresight.of_picture(address, broken), wake):
            self._board.vouch(instance_id, (Subject.PICTURE,), self._clock.now())
        else:
            self._wheel.resume(key, due_s, interval_s, lambda: self._start(instance_id))

    async def _look(self, viewed: _Viewed) -> Reading:
        target = viewed.target
        instance_id = target.instance.instance_id
        declared = self._aids().complete(target.workload.view())
        view = where_to_look(declared, target)
        viewed.looked_at = None
        try:
            if isinstance(view, str):
                return _unknown(instance_id, self._clock.now(), view)
            if not view.url:
                viewed.looked_at = await self._address(viewed, view)
                if viewed.looked_at is None:
                    return _unknown(instance_id, self._clock.now(), "no way to the port")
            reading = await self._looking.look(
                view,
                viewed.looked_at,
                viewed.sight,
                target,
                lambda: self._rentals.get(instance_id) is viewed,
            )
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
        if heard_at is None or (reading.at - heard_at).total_seconds() > SILENT_LINK_S:
            return reading  # it has said nothing since: it may be over
        return replace(
            reading,
            status=Status.FALSE,
            reason=Reason.WRONG_PICTURE,
            detail=symptom.sentence[:200],
        )

    async def _address(self, viewed: _Viewed, view: View) -> Address | None:
        instance = viewed.target.instance
        public = instance.ports.get(f"{view.container_port}/tcp")
        if public and instance.public_ip:
            return Address(host=instance.public_ip, port=public)
        return await self._forward(instance.instance_id, view.container_port)


def _unknown(instance_id: InstanceId, at: datetime, detail: str) -> Reading:
    return Reading(
        instance_id=instance_id,
        subject=Subject.PICTURE,
        status=Status.UNKNOWN,
        reason=Reason.PROBE_FAILED,
        at=at,
        detail=detail[:200],
    )
