"""One look at one rental's picture: where it goes, how long it may take, what is kept of it for the next.

What is seen is given back as a reading; frames go to the board. When to look, viewer.py says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from keeper.core.model import Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon.board import Board
from keeper.daemon.player import Player
from keeper.daemon.target import Target
from keeper.ports import (
    Address,
    Clock,
    HttpRequest,
    MediaKind,
    MediaSource,
    Network,
    PictureLimits,
    PictureSample,
    PortError,
)
from keeper.probes.http import read_http
from keeper.probes.picture import read_picture
from keeper.probes.tcp import read_tcp
from keeper.workloads import View, ViewKind

_SAMPLE_MAX_S = 2.5
# RTMP begins with a keyframe, and comes as slowly as it is watched: two seconds from one keyframe to the next
# are usual, and four are met. A look whose first keyframe tells enough ends a second after it.
_PLAYED_S = 4.0
# What a decoder may take beside the network: to be started, to be free, to decode. A busy box is slow.
_DECODER_S = 15.0
# A page shows it, and a post-mortem has the last few: a frame each look would cost a third of the look.
_FRAME_EVERY_S = 30.0
_DECODED = frozenset({ViewKind.JPEG, ViewKind.HLS, ViewKind.RTMP})


@dataclass(slots=True)
class Sight:
    """What has been seen of one rental, as far as the next look needs it."""

    player: Player = field(default_factory=Player)  # where the view is a player's
    busy_until_s: float = 0.0  # a look that takes longer than a beat is left alone until then
    _view: View | None = None  # what the latest look went to
    _process: str = ""  # which incarnation made what was seen; "": nobody has said
    _memory: bytes = b""  # what it has kept for the next one
    _was_well: bool = False
    _framed_s: float | None = None  # when a frame was made last
    _silent_s: float | None = None  # since when nothing is heard
    _keyframe_interval_s: float | None = None  # of the latest look that met two

    def turn_to(self, view: View, process: str) -> None:
        """Begin anew where another picture is looked at: it cannot be compared with the one before.

        So is that of a process that was started again. One that begins as the last one did, frame by frame
        and under the same names, was taken for a playlist that no longer advances, and restarted for ever.
        """
        is_other = self._view is None or _source(self._view) != _source(view)
        if is_other or (process and self._process and process != self._process):
            self._memory, self._framed_s, self._silent_s = b"", None, None
            self._keyframe_interval_s = None
        self._view, self._process = view, process or self._process

    def limits(self, view: View, timeout_s: float, now_s: float) -> PictureLimits:
        """Say how the next look goes, and note until when it may go on."""
        sample_s = _PLAYED_S if view.kind is ViewKind.RTMP else min(_SAMPLE_MAX_S, timeout_s / 2)
        if view.kind is ViewKind.RTMP:
            timeout_s += sample_s
        if view.kind in _DECODED:
            self.busy_until_s = now_s + timeout_s + _DECODER_S
        is_due = self._framed_s is None or now_s - self._framed_s >= _FRAME_EVERY_S
        return PictureLimits(
            sample_s=sample_s,
            timeout_s=timeout_s,
            ignored=view.ignored,
            memory=self._memory,
            wants_frame=is_due or not self._was_well,
            wants_sound=view.expects_sound,
        )

    def keep(self, sample: PictureSample, now_s: float) -> None:
        """Keep what the next look is to know. A look that saw nothing has nothing to say of that."""
        if sample.memory or sample.frames:
            self._memory = sample.memory
        if sample.newest_frame:
            self._framed_s = now_s

    def completed(self, sample: PictureSample) -> PictureSample:
        """Add what a short look had no time to see, as a longer one has seen it."""
        self._keyframe_interval_s = sample.keyframe_interval_s or self._keyframe_interval_s
        if not sample.frames:
            return sample
        return replace(sample, keyframe_interval_s=self._keyframe_interval_s)

    def judged(self, reading: Reading, heard: Reading, view: View, now_s: float) -> Reading:
        """Let it be silent for as long as is declared. ``heard``: the same, were no sound expected."""
        if reading.reason is Reason.NO_SOUND:
            self._silent_s = now_s if self._silent_s is None else self._silent_s
            for_s = now_s - self._silent_s
            if for_s < view.silence_max_s:
                said = f"silent for {for_s:.0f} s, and may be for {view.silence_max_s:g}"
                reading = replace(heard, detail=f"{heard.detail}; {said}".removeprefix("; "))
        elif reading.status is Status.TRUE:
            self._silent_s = None
        self._was_well = reading.status is Status.TRUE
        return reading


def _source(view: View) -> tuple[object, ...]:
    return (view.kind, view.container_port, view.path, view.url, view.ignored)


def where_to_look(view: View, target: Target) -> View | str:
    """Say what to look at; a sentence: nothing that is seen anywhere would be this host's picture.

    What is seen elsewhere is the stream's. It is taken for a host's while that one alone can be its source:
    not for that of a replacement that has yet to prove itself.
    """
    if not (view.url or view.url_secret):
        return view
    if view.own is not None and target.is_handing_over:
        return view.own
    if target.is_incoming:
        return "what is seen there may be the old host's, and this one has no picture of its own to look at"
    if not view.url:
        return "the address to look at is not known"
    return view


class Looking:
    """Looks, for whoever knows when."""

    def __init__(self, *, network: Network, clock: Clock, board: Board) -> None:
        self._network = network
        self._clock = clock
        self._board = board

    async def look(
        self,
        view: View,
        address: Address | None,
        sight: Sight,
        target: Target,
        is_watched: Callable[[], bool],
    ) -> Reading:
        """Look once. ``address``: of the host's port; None where the look goes elsewhere."""
        made_by = self._board.latest.get((target.instance.instance_id, Subject.PROCESS))
        sight.turn_to(view, "" if made_by is None else made_by.identity)
        url = view.url if address is None else _url(view, address)
        try:
            match view.kind:
                case ViewKind.MJPEG | ViewKind.JPEG | ViewKind.HLS | ViewKind.RTMP:
                    return await self._watch(view, url, sight, target, is_watched)
                case ViewKind.WEBRTC:
                    return await self._play(view, url, sight, target, is_watched)
                case ViewKind.HTTP:
                    return await self._fetch(view, url, target)
                case ViewKind.TCP:
                    return await self._dial(address, target)
        finally:
            sight.busy_until_s = 0.0

    async def _watch(
        self,
        view: View,
        url: str,
        sight: Sight,
        target: Target,
        is_watched: Callable[[], bool],
    ) -> Reading:
        instance_id = target.instance.instance_id
        limits = sight.limits(view, target.probe_timeout_s, self._clock.monotonic())
        if view.kind is ViewKind.MJPEG:
            sample = await self._network.sample_mjpeg(url, limits, is_declared=bool(view.url))
        else:
            source = MediaSource(kind=MediaKind(view.kind), url=url, is_declared=bool(view.url))
            sample = sight.completed(await self._network.sample_media(source, limits))
        at, now_s = self._clock.now(), self._clock.monotonic()
        if is_watched():
            sight.keep(sample, now_s)
            if sample.newest_frame:
                self._board.frames.add(instance_id, sample.newest_frame, at)
        reading = read_picture(sample, view, instance_id, at)
        heard = reading
        if reading.reason is Reason.NO_SOUND:
            heard = read_picture(sample, replace(view, expects_sound=False), instance_id, at)
        return sight.judged(reading, heard, view, now_s)

    async def _play(
        self,
        view: View,
        url: str,
        sight: Sight,
        target: Target,
        is_watched: Callable[[], bool],
    ) -> Reading:
        player, instance_id = sight.player, target.instance.instance_id
        before = player.symptom
        reading, frame = await player.look(self._network, url, view, instance_id, self._clock)
        if is_watched():
            if frame:
                self._board.frames.add(instance_id, frame, self._clock.now())
            said = player.said(instance_id, reading.at)
            if player.symptom != before and said is not None:
                self._board.pin(said)
        return reading

    async def _fetch(self, view: View, url: str, target: Target) -> Reading:
        instance_id = target.instance.instance_id
        request = HttpRequest(method="GET", url=url, timeout_s=target.probe_timeout_s)
        try:
            reply = await self._network.fetch(request)
        except PortError as error:
            return read_http(error, view, instance_id, self._clock.now())
        return read_http(reply, view, instance_id, self._clock.now())

    async def _dial(self, address: Address | None, target: Target) -> Reading:
        assert address is not None, "an open port is looked for on a host"
        failure: PortError | None = None
        try:
            await self._network.dial(address, target.probe_timeout_s)
        except PortError as error:
            failure = error
        return read_tcp(failure, target.instance.instance_id, self._clock.now())


def _url(view: View, address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    scheme = "rtmp" if view.kind is ViewKind.RTMP else "http"
    return f"{scheme}://{host}:{address.port}{view.path}"
