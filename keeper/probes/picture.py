"""What a viewer saw for a moment, read as one judgement: live, frozen, black, nothing, unknown.

The one witness of the truth: every endpoint that looks healthy stays green over a frozen picture.
Takes the numbers of a sample, never the network. A sample too short to tell is Unknown.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.core.text import plain
from keeper.ports import PictureSample

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
# More broken frames than this part of the different ones is no picture anybody would watch.
BROKEN_SHARE_MAX = 0.5

_SILENT = "timeout"  # connected, and no answer: the server hangs or has no first frame
_NOBODY = frozenset({"refused", "unreachable", "reset", "closed"})


class Expected(Protocol):
    """What of a workload's View matters here."""

    @property
    def target_frames_per_s(self) -> float:
        """New frames a second by design; 0: not declared."""
        ...

    @property
    def black_luma_max(self) -> float:
        """A mean luma at or below this is black."""
        ...

    @property
    def is_static_allowed(self) -> bool:
        """Whether the picture may stand still."""
        ...


def read_picture(
    sample: PictureSample, expected: Expected, instance_id: InstanceId, at: datetime
) -> Reading:
    """Judge one sample."""
    status, reason, detail = _judge(sample, expected)
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
    if sample.error == "not mjpeg":
        return Status.FALSE, Reason.HTTP_ERROR, "the answer is not an MJPEG stream"
    if sample.frames == 0:
        if sample.undecodable_frames:
            return Status.FALSE, Reason.CORRUPT, f"{sample.undecodable_frames} broken frames"
        return Status.FALSE, Reason.NO_BYTES, f"no frame in {sample.sampled_s:.1f} s"
    return _judge_frames(sample, expected)


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
    if sample.mean_luma is None or broken > sample.unique_frames * BROKEN_SHARE_MAX:
        return Status.FALSE, Reason.CORRUPT, f"{broken} of {sample.unique_frames} frames broken"
    if sample.mean_luma <= expected.black_luma_max:
        return Status.FALSE, Reason.BLACK, f"mean luma {sample.mean_luma:.1f}"
    if sample.unique_frames == 1:
        return _judge_standstill(sample, expected)
    per_s = _unique_per_s(sample)
    if per_s < expected.target_frames_per_s * SLOW_SHARE:
        # The viewer still sees it move; who is to blame is for a person to say before keeper acts.
        return (
            Status.TRUE,
            Reason.STUTTERING,
            f"{per_s:.1f} of {expected.target_frames_per_s:g} frames/s",
        )
    return Status.TRUE, Reason.LIVE, ""


def _judge_standstill(sample: PictureSample, expected: Expected) -> tuple[Status, Reason, str]:
    if expected.is_static_allowed:
        return Status.TRUE, Reason.STATIC_BY_DESIGN, ""
    seen = f"{sample.frames} frames in {sample.sampled_s:.1f} s, all the same"
    if expected.target_frames_per_s > 0:
        due = expected.target_frames_per_s * sample.sampled_s
        can_tell = due >= DUE_FRAMES_MIN and sample.sampled_s >= SAMPLE_MIN_S
    else:
        can_tell = sample.frames >= REPEATS_MIN and sample.sampled_s >= UNTARGETED_SAMPLE_MIN_S
    if can_tell:
        return Status.FALSE, Reason.FROZEN, seen
    return Status.UNKNOWN, Reason.PROBE_FAILED, f"too little to tell: {seen}"


def _unique_per_s(sample: PictureSample) -> float:
    return sample.unique_frames / sample.sampled_s if sample.sampled_s > 0 else 0.0


def _numbers(sample: PictureSample) -> dict[str, float]:
    if sample.frames == 0 or sample.sampled_s <= 0:
        return {}
    numbers = {
        "unique_frames_per_s": _unique_per_s(sample),
        "frames_per_s": sample.frames / sample.sampled_s,
        "bitrate_bps": sample.bytes_read * 8 / sample.sampled_s,
    }
    if sample.mean_luma is not None:
        numbers["mean_luma"] = sample.mean_luma
    if sample.motion is not None:
        numbers["motion"] = sample.motion
    return numbers
