"""What a viewer saw for a moment, read as one judgement: live, frozen, black, silent, nothing, unknown.

The one witness of the truth: every endpoint that looks healthy stays green over a frozen picture.
Takes the numbers of a sample, never the network. A sample too short to tell is Unknown. What each verdict
rests on, and what cannot be told, is written down in docs/viewing.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.core.text import plain
from keeper.ports import PictureSample, Region
from keeper.probes import grid

HTTP_OK = 200
# Fewer new frames than this part of the target is slow: a shared or throttled GPU.
SLOW_SHARE = 0.25
# One and the same frame proves a standstill only when several new ones were due meanwhile.
DUE_FRAMES_MIN = 5.0
SAMPLE_MIN_S = 0.5
# Without a target: so many repeats over so long. Below one new frame a second this misjudges;
# such a stream declares its target, or that it may stand still.
REPEATS_MIN = 10
UNTARGETED_SAMPLE_MIN_S = 1.0
# A picture proves a standstill only when so long lies between those that were compared: a person who
# listens holds still for a second.
STILL_MIN_S = 1.2
# A dark scene has a light somewhere: what one sample in a hundred exceeds. Black with the noise of a bad
# camera stays below it.
BRIGHT_LUMA_MIN = 24.0
# Without a target: the whole picture moves, and does so seldom, in a stream that is made for more. Fewer new
# frames are slides, or a clock on a picture that stands.
STUTTER_SAMPLE_MIN_S = 2.0
STUTTER_CODED_PER_S = 20.0
STUTTER_UNIQUE_PER_S = (1.5, 6.0)
STUTTER_MOTION_MIN = 6.0
# More broken frames than this part of the different ones is no picture anybody would watch.
BROKEN_SHARE_MAX = 0.5

# What a look says of a source that has stopped, and in which words.
_ENDED = {
    "ended": "the stream has ended",
    "recording": "the playlist is a recording",
    "stalled": "the playlist no longer advances",
}
_SILENT = "timeout"  # connected, and no answer: the server hangs or has no first frame
_NOBODY = frozenset({"refused", "unreachable", "reset", "closed"})


class Stillness(Protocol):
    """A picture that may stand still for ever."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def grid(self) -> bytes:
        """How it looks (grid.py); b"": not known, so nothing is excused by it."""
        ...


class Expected(Protocol):
    """What of a workload's View matters here."""

    @property
    def target_frames_per_s(self) -> float:
        """New frames a second by design; 0: not declared."""
        ...

    @property
    def black_luma_max(self) -> float:
        """A mean luma at or below this is black, where nothing in it is bright."""
        ...

    @property
    def is_static_allowed(self) -> bool:
        """Whether the picture may stand still."""
        ...

    @property
    def still_max_s(self) -> float:
        """How long a picture may stand still before it counts as frozen."""
        ...

    @property
    def scenes(self) -> Sequence[Stillness]:
        """What may stand still for ever."""
        ...

    @property
    def ignored(self) -> Sequence[Region]:
        """Where a movement is no life."""
        ...

    @property
    def expects_sound(self) -> bool:
        """Whether a stream without sound is broken."""
        ...

    @property
    def silence_max_dbfs(self) -> float:
        """Sound that stays at or below this is silence."""
        ...


def read_picture(
    sample: PictureSample, expected: Expected, instance_id: InstanceId, at: datetime
) -> Reading:
    """Judge one sample."""
    status, reason, detail = _judge(sample, expected)
    if sample.is_repeat and status is Status.FALSE:
        # Three looks that are believed are three samples, not one that was told three times.
        status, reason = Status.UNKNOWN, Reason.PROBE_FAILED
        detail = f"nothing newer has come since the look before: {detail}"
    return Reading(
        instance_id=instance_id,
        subject=Subject.PICTURE,
        status=status,
        reason=reason,
        at=at,
        detail=plain(detail or sample.error, 200),
        numbers=_numbers(sample),
    )


def _judge(sample: PictureSample, expected: Expected) -> tuple[Status, Reason, str]:
    if sample.is_own_fault:
        return Status.UNKNOWN, Reason.PROBE_FAILED, f"this box could not look: {sample.error}"
    if sample.http_status == 0:
        return _judge_silence(sample)
    if sample.http_status != HTTP_OK:
        return Status.FALSE, Reason.HTTP_ERROR, f"HTTP {sample.http_status}"
    if sample.error.startswith("not "):
        return Status.FALSE, Reason.HTTP_ERROR, f"the answer is {_none_of(sample.error)}"
    if sample.error in _ENDED:
        return Status.FALSE, Reason.NO_BYTES, _ENDED[sample.error]
    if not sample.has_video:
        heard = "sound comes, and no picture" if sample.has_sound else "neither picture nor sound"
        return Status.FALSE, Reason.NO_BYTES, heard
    if sample.frames == 0:
        why = f": {sample.error}" if sample.error else ""
        if sample.undecodable_frames:
            return Status.FALSE, Reason.CORRUPT, f"{sample.undecodable_frames} broken frames{why}"
        return Status.FALSE, Reason.NO_BYTES, f"no frame in {sample.sampled_s:.1f} s{why}"
    return _judge_frames(sample, expected)


def _none_of(error: str) -> str:
    """Word what an answer is not: it was asked for a kind of stream, and is something else."""
    kind = error.removeprefix("not ")
    return "not an MJPEG stream" if kind == "mjpeg" else f"no {kind}"


def _judge_silence(sample: PictureSample) -> tuple[Status, Reason, str]:
    if sample.error == _SILENT:
        return Status.FALSE, Reason.NO_BYTES, "connected, but no answer"
    if sample.error in _NOBODY:
        return Status.FALSE, Reason.UNREACHABLE, ""
    if sample.error:
        return Status.FALSE, Reason.HTTP_ERROR, ""
    return Status.UNKNOWN, Reason.PROBE_FAILED, "the sample is empty"


def _judge_frames(sample: PictureSample, expected: Expected) -> tuple[Status, Reason, str]:
    if sample.error in _NOBODY:
        # An MJPEG stream has no end: the viewer is left with its last frame, for ever. A server in a
        # crash loop shows a few good frames to every probe that finds it alive.
        return Status.FALSE, Reason.NO_BYTES, f"the stream ended after {sample.sampled_s:.1f} s"
    broken = sample.undecodable_frames
    if sample.mean_luma is None and not broken:
        said = sample.error or "no picture that can be shown by itself"
        return Status.UNKNOWN, Reason.PROBE_FAILED, f"{said} in {sample.sampled_s:.1f} s"
    if sample.mean_luma is None or broken > sample.unique_frames * BROKEN_SHARE_MAX:
        return Status.FALSE, Reason.CORRUPT, f"{broken} of {sample.unique_frames} frames broken"
    if _is_black(sample, expected):
        return Status.FALSE, Reason.BLACK, f"mean luma {sample.mean_luma:.1f}"
    judged = (
        _judge_standstill(sample, expected) if _stands(sample) else _judge_pace(sample, expected)
    )
    if judged[0] is Status.TRUE and expected.expects_sound:
        return _judge_sound(sample, expected) or judged
    return judged


def _is_black(sample: PictureSample, expected: Expected) -> bool:
    is_dark = sample.mean_luma is not None and sample.mean_luma <= expected.black_luma_max
    return is_dark and (sample.bright_luma is None or sample.bright_luma < BRIGHT_LUMA_MIN)


def _stands(sample: PictureSample) -> bool:
    """Whether all that was seen is one picture; what was compared knows better than what was counted."""
    return sample.unique_frames == 1 if sample.change is None else sample.change <= 0


def _judge_pace(sample: PictureSample, expected: Expected) -> tuple[Status, Reason, str]:
    if sample.change is None and sample.motion is None:
        return Status.UNKNOWN, Reason.PROBE_FAILED, "too little to tell: one picture was seen"
    per_s, target = _unique_per_s(sample), expected.target_frames_per_s
    if per_s < target * SLOW_SHARE or (target <= 0 and _stutters(sample)):
        # The viewer still sees it move; who is to blame is for a person to say before keeper acts.
        made = target or sample.frames / _seen_s(sample)
        return Status.TRUE, Reason.STUTTERING, f"{per_s:.1f} of {made:.3g} frames/s"
    return Status.TRUE, Reason.LIVE, ""


def _stutters(sample: PictureSample) -> bool:
    """Whether a stream that declares no rate shows far fewer pictures than it is made for."""
    seen_s = _seen_s(sample)
    low, high = STUTTER_UNIQUE_PER_S
    return (
        seen_s >= STUTTER_SAMPLE_MIN_S
        and sample.frames >= STUTTER_CODED_PER_S * seen_s
        and low <= _unique_per_s(sample) <= high
        and (sample.motion or 0.0) >= STUTTER_MOTION_MIN
    )


def _judge_standstill(sample: PictureSample, expected: Expected) -> tuple[Status, Reason, str]:
    if expected.is_static_allowed:
        return Status.TRUE, Reason.STATIC_BY_DESIGN, ""
    if scene := _scene(sample, expected):
        return Status.TRUE, Reason.STATIC_BY_DESIGN, f"it shows {scene}"
    seen = f"{sample.frames} frames in {_seen_s(sample):.1f} s, all the same"
    if sample.compared_s > _seen_s(sample):
        seen += f", as for {sample.compared_s:.0f} s"
    if not _can_tell(sample, expected):
        return Status.UNKNOWN, Reason.PROBE_FAILED, f"too little to tell: {seen}"
    if max(sample.compared_s, _seen_s(sample)) < expected.still_max_s:
        return Status.TRUE, Reason.STATIC_BY_DESIGN, f"it may stand for a while: {seen}"
    return Status.FALSE, Reason.FROZEN, seen


def _can_tell(sample: PictureSample, expected: Expected) -> bool:
    """Whether a picture that stands has been seen for long enough to call it a standstill."""
    target, seen_s = expected.target_frames_per_s, _seen_s(sample)
    if sample.change is not None:
        # A slow target has no new picture due so soon.
        due_s = DUE_FRAMES_MIN / target if target > 0 else 0.0
        # A single keyframe may meet a mouth as it was, however long ago the look before was.
        return seen_s >= SAMPLE_MIN_S and sample.compared_s >= max(STILL_MIN_S, due_s)
    if target > 0:
        return target * seen_s >= DUE_FRAMES_MIN and seen_s >= SAMPLE_MIN_S
    return sample.frames >= REPEATS_MIN and seen_s >= UNTARGETED_SAMPLE_MIN_S


def _scene(sample: PictureSample, expected: Expected) -> str:
    """Name the scene that is shown; "": none of those that may stand still."""
    kept = grid.recall(sample.memory)
    if kept is None:
        return ""
    for scene in expected.scenes:
        if grid.is_same_scene(kept.newest.grid, scene.grid, expected.ignored):
            return scene.name
    return ""


def _judge_sound(sample: PictureSample, expected: Expected) -> tuple[Status, Reason, str] | None:
    """Say that the sound is missing; None: it is there, or cannot be told."""
    if not sample.has_sound:
        return Status.FALSE, Reason.NO_SOUND, "a picture, and no track of sound"
    if sample.sound_dbfs is not None and sample.sound_dbfs <= expected.silence_max_dbfs:
        return Status.FALSE, Reason.NO_SOUND, f"the loudest moment has {sample.sound_dbfs:.0f} dBFS"
    return None


def _seen_s(sample: PictureSample) -> float:
    """Return how much of the stream was seen: a playlist's last seconds come in a moment."""
    return sample.media_s if sample.media_s > 0 else sample.sampled_s


def _unique_per_s(sample: PictureSample) -> float:
    seen_s = _seen_s(sample)
    return sample.unique_frames / seen_s if seen_s > 0 else 0.0


# Of a reading's numbers: those that the sample holds under the same name.
_GIVEN = (
    "mean_luma",
    "bright_luma",
    "motion",
    "change",
    "sound_dbfs",
    "keyframe_interval_s",
    "latency_s",
    "newest_age_s",
)


def _numbers(sample: PictureSample) -> dict[str, float]:
    """Return what is known, in numbers."""
    seen_s = _seen_s(sample)
    numbers = {}
    if sample.frames > 0 and seen_s > 0:
        numbers = {
            "unique_frames_per_s": _unique_per_s(sample),
            "frames_per_s": sample.frames / seen_s,
            "bitrate_bps": sample.bytes_read * 8 / seen_s,
        }
    given = {name: getattr(sample, name) for name in _GIVEN}
    return numbers | {name: value for name, value in given.items() if value is not None}
