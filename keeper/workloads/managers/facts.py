"""Reads the lines that payload/sentinel.sh sends. Whoever wrote them may be lying or broken.

A line that cannot be read becomes an Unknown reading; a word that is not known, too.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.core.text import plain

# Below this a log, a model download or a core dump fills the rest before anybody looks.
DISK_FREE_MIN_MB = 500
# Below this, or this part of the disk, somebody has time to make room before that.
DISK_LOW_MB = 2_000
DISK_LOW_RATIO = 0.05
LINE_MAX = 4_096
_WHY_MAX = 200
_IDENTITY_MAX = 64
# JSON knows numbers of any length, and everything that counts, adds or shows them has its bounds.
_RESTARTS_MAX = 1_000_000
_DISK_MAX_MB = 1e12

# What the sentinel says of the process: the word, how certain, and why. Certain means that no third
# opinion is needed: a process that is gone is gone.
_STATES: dict[str, tuple[Status, Reason, bool]] = {
    "up": (Status.TRUE, Reason.PROCESS_UP, False),
    "starting": (Status.UNKNOWN, Reason.PROCESS_STARTING, False),
    "retrying": (Status.FALSE, Reason.MANAGER_RETRYING, False),
    "given_up": (Status.FALSE, Reason.MANAGER_GAVE_UP, True),
    "gone": (Status.FALSE, Reason.PROCESS_GONE, True),
    "stopped": (Status.FALSE, Reason.PROCESS_STOPPED_ON_PURPOSE, True),
    "manager_down": (Status.FALSE, Reason.MANAGER_DOWN, False),
}
_NOT_KNOWN = (Status.UNKNOWN, Reason.PROBE_FAILED, False)


class _Process(msgspec.Struct, frozen=True):
    state: str
    pid: int = 0
    start: str = ""
    restarts: int = 0
    why: str = ""


class _Disk(msgspec.Struct, frozen=True):
    free_mb: float
    size_mb: float = 0.0


class _Gpu(msgspec.Struct, frozen=True):
    ok: bool
    display: bool = True


class _Facts(msgspec.Struct, frozen=True):
    process: _Process | None = None
    disk: _Disk | None = None
    gpu: _Gpu | None = None
    workload: msgspec.Raw = msgspec.Raw()


class _Line(msgspec.Struct, frozen=True):
    facts: _Facts | None = None
    hb: int | None = None


_DECODER = msgspec.json.Decoder(_Line)


def read_line(
    line: str, instance_id: InstanceId, at: datetime, *, needs_display: bool = False
) -> tuple[Reading, ...]:
    """Read one line. A heartbeat says nothing new; garbage says that nothing is known."""
    if len(line) > LINE_MAX:
        return (_garbage(instance_id, at, "the sentinel's line is too long"),)
    try:
        seen = _DECODER.decode(line.encode("utf-8", "replace"))
    except (msgspec.MsgspecError, RecursionError):
        return (_garbage(instance_id, at, f"not a sentinel's line: {line[:80]}"),)
    if seen.facts is None:
        if seen.hb is None:
            return (_garbage(instance_id, at, "a line without facts"),)
        return ()
    readings: list[Reading] = []
    if seen.facts.process is not None:
        readings.append(_read_process(seen.facts.process, instance_id, at))
    if seen.facts.disk is not None:
        readings.append(_read_disk(seen.facts.disk, instance_id, at))
    if seen.facts.gpu is not None:
        readings.append(_read_gpu(seen.facts.gpu, instance_id, at, needs_display=needs_display))
    return tuple(readings)


def workload_facts(line: str) -> bytes | None:
    """Return what the workload's own questions brought, as the JSON it came in; None: nothing did.

    Its reader decodes it with a type of its own, and takes what does not fit for not knowing.
    """
    if len(line) > LINE_MAX:
        return None
    try:
        seen = _DECODER.decode(line.encode("utf-8", "replace"))
    except (msgspec.MsgspecError, RecursionError):
        return None
    return bytes(seen.facts.workload) or None if seen.facts is not None else None


def _read_process(seen: _Process, instance_id: InstanceId, at: datetime) -> Reading:
    status, reason, is_certain = _STATES.get(seen.state, _NOT_KNOWN)
    is_up = status is Status.TRUE
    return Reading(
        instance_id=instance_id,
        subject=Subject.PROCESS,
        status=status,
        reason=reason,
        at=at,
        identity=plain(f"{seen.pid}:{seen.start}", _IDENTITY_MAX) if is_up else "",
        restarts=min(max(0, seen.restarts), _RESTARTS_MAX),
        is_certain=is_certain,
        detail=plain(seen.why, _WHY_MAX),
    )


def _read_disk(seen: _Disk, instance_id: InstanceId, at: datetime) -> Reading:
    free_mb, size_mb = (min(max(0.0, each), _DISK_MAX_MB) for each in (seen.free_mb, seen.size_mb))
    is_full = free_mb < DISK_FREE_MIN_MB
    is_low = free_mb < max(DISK_LOW_MB, size_mb * DISK_LOW_RATIO)
    well = Reason.DISK_LOW if is_low else Reason.HEALTHY
    return Reading(
        instance_id=instance_id,
        subject=Subject.DISK,
        status=Status.FALSE if is_full else Status.TRUE,
        reason=Reason.DISK_FULL if is_full else well,
        at=at,
        detail=f"{free_mb:.0f} MB free",
        numbers={"free_mb": free_mb},
    )


def _read_gpu(seen: _Gpu, instance_id: InstanceId, at: datetime, *, needs_display: bool) -> Reading:
    status, reason = Status.TRUE, Reason.HEALTHY
    if not seen.ok:
        status, reason = Status.FALSE, Reason.GPU_LOST
    elif needs_display and not seen.display:
        status, reason = Status.FALSE, Reason.DISPLAY_LOST
    return Reading(
        instance_id=instance_id,
        subject=Subject.GPU,
        status=status,
        reason=reason,
        at=at,
        is_certain=reason is Reason.GPU_LOST,  # the sentinel has asked twice
    )


def _garbage(instance_id: InstanceId, at: datetime, detail: str) -> Reading:
    return Reading(
        instance_id=instance_id,
        subject=Subject.PROCESS,
        status=Status.UNKNOWN,
        reason=Reason.PROBE_FAILED,
        at=at,
        detail=plain(detail, _WHY_MAX),
    )
