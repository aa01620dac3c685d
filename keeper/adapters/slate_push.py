"""Publishes a rendered slate to an ingest: a process of its own that copies packets, and encodes nothing.

The first line of standard input says what and where (the address holds the key, so it comes this way and
no other); each later one is a word: "on" lets it go on, "aim 90.0" sets what the countdown shows, "end" ends
it. It says "up" once the ingest has taken it. Its exit code says how it ended.

It never outlives its keeper: the kernel kills it with its parent, the end of its standard input ends it, and
so does a parent that says nothing for a while, because it hangs or is stopped. A lock keeps out a second one.
Whatever the ingest does, or leaves undone, this process is ended by its own watch within seconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Exit codes. 0: told to end.
REFUSED = 11  # the ingest could not be reached, or has not taken us
LOST = 12  # it had, and the connection has ended
STALLED = 13  # it takes nothing any more, or has not answered in time
BUSY = 14  # it keeps this process at work, with answers without end
ORPHAN = 15  # keeper is gone, or says nothing
LOCKED = 16  # another slate of this stream is there
BROKEN = 17  # the file, or this program
REFUSED_WITHIN_TLS = 18  # as refused; or nobody whom we trust vouches for it

_PR_SET_PDEATHSIG = 1
_MEMORY_MAX_BYTES = 3 << 30
_END_S = 1.5  # a server that does not take our leave is left without
_WATCH_S = 0.1
_AHEAD_S = 0.5  # packets are sent so much before their time
_BEHIND_S = 3.0  # after a stop of this process nothing is sent in a hurry
# To copy packets takes a hundredth of this. More is the work of answers that nobody has asked for.
_BUSY_SHARE, _BUSY_S = 0.5, 10.0


class _Watch:
    """What the process is told, and how long since it has come on; ends it for certain."""

    def __init__(self, *, connect_s: float, stall_s: float, lease_s: float) -> None:
        now_s = time.monotonic()  # noqa: TID251 - no port reaches into this process
        self._deadline_s = now_s + connect_s
        self._stall_s, self._lease_s = stall_s, lease_s
        self._heard_s = now_s
        self._looked_s, self._worked_s = now_s, time.process_time()
        self.is_up = False
        self.is_over = threading.Event()
        self._over_s = 0.0
        self.aim_s: float | None = None
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._look, daemon=True).start()

    def came_on(self) -> None:
        """Note that the ingest has taken something."""
        self._deadline_s = time.monotonic() + self._stall_s  # noqa: TID251 - as above

    def _listen(self) -> None:
        for line in sys.stdin:
            word, _, number = line.strip().partition(" ")
            self._heard_s = time.monotonic()  # noqa: TID251 - as above
            if word == "end":
                self._over_s = self._heard_s
                self.is_over.set()
                if not self.is_up:
                    os._exit(
                        0
                    )  # nobody has taken us yet, and a call that waits cannot be broken off
            elif word == "aim":
                self.aim_s = float(number)
        os._exit(ORPHAN)

    def _look(self) -> None:
        while True:
            time.sleep(_WATCH_S)  # noqa: TID251 - a thread of its own
            now_s = time.monotonic()  # noqa: TID251 - as above
            if self.is_over.is_set() and now_s > self._over_s + _END_S:
                os._exit(0)
            if now_s > self._heard_s + self._lease_s:
                os._exit(ORPHAN)
            if now_s > self._deadline_s:
                os._exit(STALLED)
            if now_s > self._looked_s + _BUSY_S:
                worked_s = time.process_time()
                if worked_s - self._worked_s > _BUSY_SHARE * (now_s - self._looked_s):
                    os._exit(BUSY)
                self._looked_s, self._worked_s = now_s, worked_s


class _Strip:
    """The rendered file as chunks that can be joined in any order: a head, a countdown, a tail."""

    def __init__(self, job: dict[str, Any]) -> None:
        import av

        self._file = av.open(job["path"])
        self.picture: Any = self._file.streams.video[0]
        self.sound: Any = self._file.streams.audio[0]
        self._loop_s, self._countdown_s = int(job["loop_s"]), int(job["countdown_s"])
        self._chunk_s = int(job["chunk_s"])

    def chunk(self, at_s: int) -> list[tuple[float, Any]]:
        """Return the packets of one chunk, each with its second since the chunk's begin, in order."""
        found: list[tuple[float, Any]] = []
        ends_s = at_s + self._chunk_s
        past: set[int] = set()
        self._file.seek(at_s * 1_000_000)
        for packet in self._file.demux(self.picture, self.sound):
            if packet.pts is None:
                continue
            second = float(packet.pts * packet.time_base)
            if at_s - 1e-6 <= second < ends_s - 1e-6:
                found.append((second - at_s, packet))
            elif second >= ends_s:
                past.add(packet.stream.index)
                if len(past) == 2:  # noqa: PLR2004 - picture and sound
                    break
        found.sort(key=lambda each: each[0])
        return found

    def seconds(self, watch: _Watch) -> Iterator[int]:
        """Yield where each chunk begins, for ever: what is left counts down, and then the tail goes round."""
        left_s, round_s = 0.0, 0
        while True:
            if watch.aim_s is not None:
                left_s, watch.aim_s = watch.aim_s, None
            if left_s > self._countdown_s:
                yield round_s
            elif left_s >= self._chunk_s:
                into_s = self._countdown_s - int(left_s) // self._chunk_s * self._chunk_s
                yield self._loop_s + into_s
            else:
                yield self._loop_s + self._countdown_s + round_s
            left_s -= self._chunk_s
            round_s = (round_s + self._chunk_s) % self._loop_s


def main() -> None:
    """Publish until told to end."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_MAX_BYTES, _MEMORY_MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the key is in our memory
    job = json.loads(sys.stdin.readline())
    if os.getppid() != job["parent"]:
        os._exit(ORPHAN)  # it died before the kernel was asked to tell
    lock = os.open(job["lock"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os._exit(LOCKED)
    watch = _Watch(connect_s=job["connect_s"], stall_s=job["stall_s"], lease_s=job["lease_s"])
    watch.aim_s = job["left_s"]
    os._exit(_publish(job, watch))  # no clean-up that could wait for the ingest


def _publish(job: dict[str, Any], watch: _Watch) -> int:
    import av

    av.logging.set_level(None)  # its lines name the address
    try:
        strip = _Strip(job)
    except (OSError, av.FFmpegError, IndexError):
        return BROKEN
    # To connect holds the interpreter, and with it our own watch: then the kernel ends it.
    signal.setitimer(signal.ITIMER_REAL, job["connect_s"])
    try:
        out = _output(job["url"], job["authorities"])
        picture, sound = (
            out.add_stream_from_template(each) for each in (strip.picture, strip.sound)
        )
        out.start_encoding()
    except (OSError, av.FFmpegError, ValueError):
        return REFUSED if _is_plain(job["url"]) else REFUSED_WITHIN_TLS
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    _give_up_after(job["stall_s"])
    watch.is_up = True
    watch.came_on()
    print("up", flush=True)  # noqa: T201 - the answer
    try:
        _copy(
            strip,
            out,
            {strip.picture.index: picture, strip.sound.index: sound},
            watch,
            job["chunk_s"],
        )
        out.close()  # takes its leave, so that the ingest is free at once
    except (OSError, av.FFmpegError):
        return 0 if watch.is_over.is_set() else LOST
    return 0


def _is_plain(url: str) -> bool:
    return url.startswith("rtmp://")


def _output(url: str, authorities: str) -> Any:
    """Return what packets go to. Nothing is said within TLS before the certificate and its name were checked.

    ``authorities``: the file of those whom we trust. libavformat checks nothing unless it is told to, and PyAV
    tells its muxers alone: of these "tee" tells the connection, too (PyAV 18.1, libavformat 62.12, 2026-11).
    """
    import av

    # Options in the address would be another's to set; these are all that are needed.
    options = {"flvflags": "no_duration_filesize"}
    if _is_plain(url):
        return av.open(url, "w", format="flv", options=options)
    options |= {"f": "flv", "tls_verify": "1", "ca_file": authorities}
    said = ":".join(f"{name}={_escaped(value, ':]')}" for name, value in options.items())
    return av.open(_escaped(f"[{said}]{url}", "|"), "w", format="tee")


def _escaped(text: str, ends: str) -> str:
    """Write text so that libavformat takes none of it for an end, a quote or an escape."""
    return "".join(f"\\{each}" if each in f"\\'{ends}" else each for each in text)


def _give_up_after(stall_s: float) -> None:
    """Let the kernel end a connection whose other end confirms nothing: a dead way takes bytes for minutes."""
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(each.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(each.name))) as connection:
                    connection.setsockopt(
                        socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(stall_s * 1000)
                    )


def _copy(strip: _Strip, out: Any, streams: dict[int, Any], watch: _Watch, chunk_s: int) -> None:
    begun_s = time.monotonic()  # noqa: TID251 - the pace of real time is the point
    sent_s = 0.0  # of the slate's own time, to the begin of this chunk
    for at_s in strip.seconds(watch):
        for second, packet in strip.chunk(at_s):
            due_s = begun_s + sent_s + second - _AHEAD_S
            early_s = due_s - time.monotonic()  # noqa: TID251 - as above
            if early_s < -_BEHIND_S:
                begun_s -= early_s
            if watch.is_over.wait(max(0.0, early_s)):
                return
            stamp = round((sent_s + second) / packet.time_base)
            packet.stream = streams[packet.stream.index]
            packet.pts = packet.dts = stamp
            out.mux(packet)
            watch.came_on()
        sent_s += chunk_s


if __name__ == "__main__":
    main()
