"""The decoder itself: a process that turns what strangers have sent into numbers, one job after the other.

It is kept small by the kernel, and killed by whoever started it when it is late. A job is a line of JSON;
the bytes to decode lie in the file of memory whose descriptor it was started with. Its answer is a line.
It opens no file, and no socket but to play what it is told to. It ends when its input does.
"""

from __future__ import annotations

import base64
import importlib
import json
import logging
import math
import os
import pkgutil
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from keeper.adapters.still import Still, still_of, thumbnail_of
from keeper.ports import Region
from keeper.probes.grid import Shot, compare, recall

if TYPE_CHECKING:  # loads the video libraries, which single pictures do not need
    from keeper.adapters.watching import Watching

LINE_MAX = 400_000
_MEMORY_FD = 3
_MEMORY_MAX_BYTES = 1 << 30  # beyond what the libraries take: a keyframe of 8K needs half of it
_JOB_CPU_S = 3
_FILES_MORE = 12  # where something is played: a socket, and what finding its address takes
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_OOM_SCORE = "500"  # of 1000
_TS_PACKET = 188
_TS_SYNC = 0x47
_LOOKED_FOR_SYNC = 1_024
_PROBE_BYTES = 1_000_000
_PROBE_US = 100_000
_READ_BYTES = 1 << 17
_ADTS = frozenset({b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9"})  # ISO/IEC 14496-3, 1.A.2.2
_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"free"})

Job = dict[str, Any]
Answer = dict[str, Any]


class Unreadable(Exception):
    """What came cannot be decoded. The words are ours, and name no address."""


def main() -> None:
    """Do jobs until the input ends."""
    _die_with_parent()
    kind = sys.argv[1]
    os.dup2(int(sys.argv[2]), _MEMORY_FD)
    logging.disable()  # what a decoder thinks of a stranger's stream is no line of our log
    _load(with_video=kind != "stills")
    _limit(is_playing=kind == "play")
    _say({"ready": True, "rss_kb": _usage()[1]})
    while line := sys.stdin.buffer.readline(LINE_MAX):
        job: Job = json.loads(line)
        _allow_cpu(_JOB_CPU_S)
        signal.setitimer(signal.ITIMER_REAL, float(job["deadline_s"]))  # ends the process
        _say(_done(job))
        signal.setitimer(signal.ITIMER_REAL, 0)


def _load(*, with_video: bool) -> None:
    """Load all that is ever needed, because later no file can be opened."""
    Image.preinit()
    if with_video:
        import av

        for module in pkgutil.walk_packages(av.__path__, "av."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        importlib.import_module("keeper.adapters.playing")
        av.logging.set_level(None)


def _die_with_parent() -> None:
    """Be the first to go: with the daemon, and where memory is short before it."""
    with suppress(Exception):  # where that cannot be asked for, the end of the input must do
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


def _limit(*, is_playing: bool) -> None:
    os.closerange(_MEMORY_FD + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    taken = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize:"))
    for what, limit in (
        (resource.RLIMIT_AS, taken + _MEMORY_MAX_BYTES),
        (resource.RLIMIT_NOFILE, _MEMORY_FD + 1 + (_FILES_MORE if is_playing else 0)),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (limit, limit))


def _allow_cpu(seconds: int) -> None:
    """End this process when the job takes more: the kernel counts its own time, not a busy box's."""
    limit = math.ceil(_usage()[0]) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _usage() -> tuple[float, int]:
    """Return the processor time that was used so far, and the most memory there ever was, in kB."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, used.ru_maxrss


def _say(what: Answer) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _done(job: Job) -> Answer:
    began_s = _usage()[0]
    try:
        match job["kind"]:
            case "stills":
                answer = _stills(job)
            case "segments":
                answer = _segments(job)
            case _:
                answer = _played(job)
    except MemoryError:
        answer = {"error": "it takes too much memory", "undecodable": 1}
    except Unreadable as error:
        answer = {"error": str(error), "undecodable": 1}
    except Exception as error:  # noqa: BLE001 - a fault of ours is not the stream's
        answer = {"error": f"the decoder has failed: {type(error).__name__}", "is_own_fault": True}
    cpu_s, rss_kb = _usage()
    return {**answer, "cpu_s": cpu_s - began_s, "rss_kb": rss_kb}


# --- single pictures ----------------------------------------------------------------------------------


def _stills(job: Job) -> Answer:
    os.lseek(_MEMORY_FD, 0, os.SEEK_SET)
    frames = [os.read(_MEMORY_FD, size) for size in job["sizes"]]
    stills: list[Still | None] = [still_of(frame) for frame in frames]
    shots = [
        Shot(at_s=at_s, grid=still.grid)
        for at_s, still in zip(job["at_s"], stills, strict=True)
        if still is not None
    ]
    newest = stills[-1] if stills else None
    return {
        "stills": [
            still
            and {"grid": _text(still.grid), "luma": still.mean_luma, "bright": still.bright_luma}
            for still in stills
        ],
        "undecodable": stills.count(None),
        "luma": newest and newest.mean_luma,
        "bright": newest and newest.bright_luma,
        "motion": None if len(shots) < 2 else _motion(shots[0].grid, shots[-1].grid),  # noqa: PLR2004
        "jpeg": _text(thumbnail_of(frames[-1])) if newest and job["wants_frame"] else "",
        **_compared(job, shots, are_stills=True),
    }


def _motion(early: bytes, late: bytes) -> float:
    return sum(abs(a - b) for a, b in zip(early, late, strict=True)) / len(early)


def _compared(job: Job, shots: list[Shot], *, are_stills: bool = False) -> Answer:
    """Say how the pictures differ from each other, and from what was kept of the look before."""
    memory = base64.b64decode(job["memory"])
    kept = recall(memory)
    if kept is not None:  # what was seen before is seen again where looks overlap
        newer = [shot for shot in shots if shot.at_s > kept.newest.at_s]
        shots = newer or shots[-1:]
    ignored = tuple(Region(**region) for region in job["ignored"])
    found = compare(memory, shots, ignored, are_stills=are_stills)
    return {
        "change": found.change,
        "compared_s": max(0.0, found.compared_s),
        "memory": _text(found.memory),
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


# --- streams ------------------------------------------------------------------------------------------


class _Bytes:
    """What came, as the library reads it: forwards only, so that no index can send it in circles."""

    def __init__(self) -> None:
        os.lseek(_MEMORY_FD, 0, os.SEEK_SET)

    def read(self, count: int) -> bytes:
        """Return the next bytes, b"" at their end."""
        return os.read(_MEMORY_FD, count)


def _segments(job: Job) -> Answer:
    if not sum(job["sizes"]):
        raise Unreadable("there are no bytes")
    return _watched(_opened(), job, lambda _: False)


def _opened() -> Any:
    import av

    form = _form_of(os.pread(_MEMORY_FD, _LOOKED_FOR_SYNC + 3 * _TS_PACKET, 0))
    try:
        return av.open(
            _Bytes(),
            "r",
            format=form,
            buffer_size=_READ_BYTES,
            io_open=_refuse,
            container_options={
                "probesize": str(_PROBE_BYTES),
                "analyzeduration": str(_PROBE_US),
                "fpsprobesize": "0",
                "protocol_whitelist": "none",
                # Nothing is decoded to learn what is in it: that would cost as much as the look, and be
                # done with no bounds of ours.
                "codec_whitelist": "none",
                "format_whitelist": "mpegts,mov,mp4,aac",
            },
        )
    except av.error.FFmpegError as error:
        raise Unreadable(f"it cannot be opened: {type(error).__name__}") from error


def _refuse(*_: Any) -> Any:
    raise OSError("nothing else is opened")


def _form_of(head: bytes) -> str:
    """Name the container; what is none of those that live streams use is not tried."""
    if head[4:8] in _BOXES:
        return "mp4"
    for at in range(min(_LOOKED_FOR_SYNC, len(head))):
        if head[at] == _TS_SYNC and set(head[at::_TS_PACKET]) == {_TS_SYNC}:
            return "mpegts"
    if head[:3] == b"ID3" or head[:2] in _ADTS:
        return "aac"
    raise Unreadable("it is no stream of a kind that is known here")


def _watched(container: Any, job: Job, is_over: Callable[[Watching], bool]) -> Answer:
    from keeper.adapters.watching import Watching

    began_s = time.monotonic()  # noqa: TID251 - a process of its own, without a loop
    with container:
        watching = Watching(container)
        watching.watch(lambda: is_over(watching))
        took_s = time.monotonic() - began_s  # noqa: TID251
        end_s = job["now_s"] - watching.packets.newest_s
        end_s += took_s if job["kind"] == "play" else 0.0
        compared = _compared(job, _shots(watching, end_s))
        if not compared["change"]:
            watching.look_closer()
            compared = _compared(job, _shots(watching, end_s))
        watching.count_new(has_moved=bool(compared["change"]))
    packets, pictures = watching.packets, watching.pictures
    # Encoders may leave ten seconds between keyframes: that none came is nothing about the picture.
    is_too_short = packets.count > 0 and not packets.keyframes_s and not watching.undecodable
    if is_too_short:
        watching.error = "no keyframe came while it was looked at"
    newest = pictures[-1] if pictures else None
    return {
        "frames": packets.count,
        "unique": packets.repeats.unique,
        "undecodable": watching.undecodable,
        "bytes": watching.bytes_read,
        "media_s": packets.span_s if watching.has_video else watching.sound_s,
        "keyframe_interval_s": packets.keyframe_interval_s,
        "has_video": watching.has_video,
        "has_sound": watching.has_sound,
        "sound_dbfs": watching.sound.loudest_dbfs,
        "luma": newest and newest.mean_luma,
        "bright": newest and newest.bright_luma,
        "motion": watching.motion,
        "jpeg": _text(watching.thumbnail()) if job["wants_frame"] else "",
        "error": watching.error,
        "is_own_fault": is_too_short,
        **compared,
    }


def _shots(watching: Watching, end_s: float) -> list[Shot]:
    return [Shot(at_s=end_s + each.at_s, grid=each.grid) for each in watching.pictures]


def _played(job: Job) -> Answer:
    from keeper.adapters.playing import Playing, Unplayed

    playing = Playing(job)
    try:
        container = playing.open()
    except Unplayed as why:
        return {
            "error": why.error,
            "status": why.status,
            "is_own_fault": why.is_own_fault,
            "sampled_s": playing.outcome()["sampled_s"],
        }
    answer = _watched(container, job, playing.is_over)
    if playing.has_been_left():
        answer.update(error="closed", is_own_fault=False)
    elif not answer["is_own_fault"]:
        answer["error"] = ""  # that the look is over is no error
    return {**answer, **playing.outcome()}


if __name__ == "__main__":
    main()
