"""Plays a stream from an RTMP server for a moment, and takes its leave. Runs in the decoder's process.

Nothing but RTMP over TCP is spoken, to nobody but the server of the address: its protocol knows no redirects.
The address may hold a token, so it is in no text that leaves here.
"""

from __future__ import annotations

import base64
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import av

from keeper.adapters.measure import Packets
from keeper.adapters.watching import Watching
from keeper.ports import Region
from keeper.probes.grid import Shot, compare, recall

_PORT = 1935
_KEYFRAMES_MIN = 2
_SHOWN_MIN_S = 1.5  # a picture that stands for less is not judged (probes/picture.py)
# So long after a keyframe is enough where that one alone shows that the picture has moved since the look before.
_BRIEFLY_S = 1.0
_LEAVE_S = 0.3  # of the look's time: what was seen is measured, and the server is told
_READ_MIN_S = 0.05
_TAKE_S = 1.0
_AT_ONCE_S = 0.03  # a packet that takes no longer was there before, decoding it included
_BACKLOG_S = 0.6  # the process is given a second more than the look
# A stream that stands still for so long has been seen: the look ends, at most so much late.
_STALL_S = 1.2
_REACH_S = 1.0
_PROBE_BYTES = 5_000_000
_LET_IN = 200
# RTMP 1.0, 5.2: a client sends its version and 1536 bytes, and has as many back.
_VERSION = b"\x03"
_HELLO = _VERSION + bytes(1_536)


class Unplayed(Exception):
    """Nothing was played; why, as a sample says it."""

    def __init__(self, error: str, *, status: int = 0, is_own_fault: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.status = status
        self.is_own_fault = is_own_fault


class Playing:
    """One look while it is being taken. Times are of this process's own clock."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._url = str(job["url"])
        self._sample_s = float(job["sample_s"])
        self._bytes_max = int(job["bytes_max"])
        self._memory = base64.b64decode(job["memory"])
        self._has_memory = recall(self._memory) is not None
        self._ignored = tuple(Region(**region) for region in job["ignored"])
        self._wants_sound = bool(job["wants_sound"])
        self._asks_s = float(job["now_s"])
        self._has_moved: bool | None = None  # None: not known yet
        self.began_s = _now_s()
        self._ends_s = self.began_s + float(job["timeout_s"]) - _LEAVE_S
        self._opened_s = self._asked_s = self.began_s
        self._frames = 0
        self._has_ended = False
        self._newest_s: float | None = None

    def open(self) -> Any:
        """Connect and begin to play. Raises Unplayed."""
        if urlsplit(self._url).scheme != "rtmp":
            raise Unplayed("not an address of RTMP", is_own_fault=True)
        left_s = self._left_s()
        try:
            container = av.open(
                self._url,
                "r",
                format="flv",
                timeout=(left_s, _STALL_S),
                container_options={
                    "rtmp_live": "live",
                    "probesize": str(min(self._bytes_max, _PROBE_BYTES)),
                    # A server may hold the picture back until its next keyframe, and sends sound at once.
                    # Where one of the two never comes it is waited for all the same, so some time must
                    # be left to take what came meanwhile.
                    "analyzeduration": str(int(max(left_s - _TAKE_S, left_s / 2) * 1e6)),
                    "fpsprobesize": "0",
                    "protocol_whitelist": "rtmp,tcp",
                    "codec_whitelist": "none",  # as for segments
                    "format_whitelist": "flv",
                },
            )
        except (av.error.FFmpegError, OSError) as error:
            raise self._why_not() from error
        self._opened_s = self._asked_s = _now_s()
        return container

    def is_over(self, watching: Watching) -> bool:
        """Whether enough was seen, or all that may be."""
        now_s, packets = _now_s(), watching.packets
        if packets.count != self._frames:
            self._frames, self._newest_s = packets.count, now_s
        watched_s, keyframes = now_s - self._opened_s, len(packets.keyframes_s)
        # What came while the library looked for a track that is not there still lies there to be taken.
        is_waiting = now_s - self._asked_s >= _AT_ONCE_S or now_s >= self._ends_s + _BACKLOG_S
        self._asked_s = now_s
        if (now_s >= self._ends_s and is_waiting) or watching.bytes_read >= self._bytes_max:
            self._has_ended = True
        elif keyframes and self._is_shown_enough(packets):
            # One picture is enough where there is another one to compare it with.
            is_enough = self._has_memory and watched_s >= self._sample_s
            self._has_ended = is_enough or keyframes >= _KEYFRAMES_MIN
        if keyframes and not self._has_ended:
            self._has_ended = self._is_plain(watching)
        return self._has_ended

    def has_been_left(self) -> bool:
        """Whether it was the server that ended it."""
        has_stalled = _now_s() - (self._newest_s or self._opened_s) >= _STALL_S
        return not self._has_ended and not has_stalled

    def _is_plain(self, watching: Watching) -> bool:
        """Whether one keyframe has told all: the picture has moved since the look before, and nothing is amiss.

        Whatever may be a fault is looked at for as long as before: a picture that seems to stand, one that is
        torn, frames of which not all are new, silence where sound is expected.
        """
        packets = watching.packets
        if not self._has_memory or packets.newest_s - packets.keyframes_s[0] < _BRIEFLY_S:
            return False
        if watching.undecodable or packets.repeats.is_doubtful:
            return False
        if self._wants_sound and not watching.sound.is_settled:
            return False
        if self._has_moved is None:
            watching.show()
            shots = [
                Shot(at_s=self._asks_s + each.at_s - packets.keyframes_s[0], grid=each.grid)
                for each in watching.pictures
            ]
            found = compare(self._memory, shots, self._ignored)
            self._has_moved = found.change is not None and found.change > 0
        return self._has_moved and not watching.undecodable

    def _is_shown_enough(self, packets: Packets) -> bool:
        """Whether what came since the first keyframe is long enough to tell a picture that stands."""
        shown_s = packets.newest_s - packets.keyframes_s[0]
        return shown_s >= min(_SHOWN_MIN_S, self._sample_s)

    def outcome(self) -> dict[str, Any]:
        """Say what of the sample this knows."""
        now_s = _now_s()
        return {
            "status": _LET_IN,
            "sampled_s": max(0.0, now_s - self._opened_s),
            "newest_age_s": None if self._newest_s is None else now_s - self._newest_s,
        }

    def _left_s(self) -> float:
        return max(_READ_MIN_S, self._ends_s - _now_s())

    def _why_not(self) -> Unplayed:
        """Tell a server that is not there from one that has nothing to play."""
        is_waiting = _now_s() >= self._ends_s - _LEAVE_S  # the library says the same of both
        where = urlsplit(self._url)
        try:
            address = (where.hostname or "", where.port or _PORT)
            until_s = _now_s() + _REACH_S
            with socket.create_connection(address, timeout=_REACH_S) as way:
                is_greeted = is_waiting and _is_greeted(way, until_s)
        except ConnectionRefusedError:
            return Unplayed("refused")
        except (socket.gaierror, UnicodeError, ValueError):
            return Unplayed("the address cannot be found", is_own_fault=True)
        except OSError:
            return Unplayed("unreachable")
        silent = "the server answers, and nothing is published there" if is_greeted else ""
        return Unplayed(silent if is_waiting else "closed", status=_LET_IN)


def _is_greeted(way: socket.socket, until_s: float) -> bool:
    """Whether it answers as RTMP does. Then it was the name that had nothing to play."""
    came = b""
    try:
        way.sendall(_HELLO)
        while len(came) < len(_HELLO) and (left_s := until_s - _now_s()) > 0:
            way.settimeout(left_s)
            part = way.recv(len(_HELLO) - len(came))
            if not part:
                break
            came += part
    except OSError:
        return False
    return len(came) == len(_HELLO) and came.startswith(_VERSION)


def _now_s() -> float:
    return time.monotonic()  # noqa: TID251 - a process of its own, without a loop
