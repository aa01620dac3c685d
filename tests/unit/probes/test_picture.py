"""Every row of the picture table: what a viewer saw, and what keeper makes of it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from keeper.core.model import InstanceId, Status, Subject
from keeper.core.reasons import Reason
from keeper.ports import PictureSample, Region
from keeper.probes.picture import read_picture
from keeper.workloads import Scene

AT = datetime(2026, 11, 1, tzinfo=UTC)

# The original server repeats its newest frame every 10 ms: 95 parts a second, 30 of them new.
LIVE = PictureSample(
    http_status=200,
    frames=120,
    unique_frames=38,
    undecodable_frames=0,
    bytes_read=3_000_000,
    sampled_s=1.25,
    mean_luma=90.0,
    motion=3.5,
    newest_frame=b"\xff\xd8\xff\xd9",
)
NOTHING = PictureSample(
    http_status=0,
    frames=0,
    unique_frames=0,
    undecodable_frames=0,
    bytes_read=0,
    sampled_s=2.5,
    mean_luma=None,
    motion=None,
    newest_frame=b"",
)


@dataclass(frozen=True)
class Expected:
    target_frames_per_s: float = 30.0
    black_luma_max: float = 4.0
    is_static_allowed: bool = False
    still_max_s: float = 0.0
    scenes: tuple[Scene, ...] = ()
    ignored: tuple[Region, ...] = ()
    expects_sound: bool = False
    silence_max_dbfs: float = -60.0


THIRTY = Expected()
NO_TARGET = Expected(target_frames_per_s=0)
STILL = Expected(is_static_allowed=True)

ROWS = [
    ("moves at its rate", LIVE, THIRTY, Status.TRUE, Reason.LIVE),
    ("moves, without a target", replace(LIVE, unique_frames=2), NO_TARGET, Status.TRUE, Reason.LIVE),
    ("a quarter of the rate is enough", replace(LIVE, unique_frames=10), THIRTY, Status.TRUE, Reason.LIVE),
    ("moves far below its rate", replace(LIVE, unique_frames=9), THIRTY, Status.TRUE, Reason.STUTTERING),
    ("many parts, always the same frame", replace(LIVE, unique_frames=1, motion=None), THIRTY, Status.FALSE, Reason.FROZEN),
    ("one frame and then silence", replace(LIVE, frames=1, unique_frames=1, sampled_s=2.5), THIRTY, Status.FALSE, Reason.FROZEN),
    ("the same frame, no target, long enough", replace(LIVE, unique_frames=1), NO_TARGET, Status.FALSE, Reason.FROZEN),
    ("the same frame, by design", replace(LIVE, unique_frames=1), STILL, Status.TRUE, Reason.STATIC_BY_DESIGN),
    ("no new frame was due yet", replace(LIVE, unique_frames=1, sampled_s=0.1), THIRTY, Status.UNKNOWN, Reason.PROBE_FAILED),
    ("a slow target, a short sample", replace(LIVE, unique_frames=1), Expected(target_frames_per_s=1), Status.UNKNOWN, Reason.PROBE_FAILED),
    ("few frames, no target", replace(LIVE, frames=3, unique_frames=1), NO_TARGET, Status.UNKNOWN, Reason.PROBE_FAILED),
    ("all black and still", replace(LIVE, unique_frames=1, mean_luma=0.0), THIRTY, Status.FALSE, Reason.BLACK),
    ("black but flickering", replace(LIVE, mean_luma=4.0), THIRTY, Status.FALSE, Reason.BLACK),
    ("dark is not black", replace(LIVE, mean_luma=4.1), THIRTY, Status.TRUE, Reason.LIVE),
    ("black is no still picture by design", replace(LIVE, unique_frames=1, mean_luma=1.0), STILL, Status.FALSE, Reason.BLACK),
    ("no frame can be decoded", replace(LIVE, mean_luma=None, undecodable_frames=38), THIRTY, Status.FALSE, Reason.CORRUPT),
    ("most frames are broken", replace(LIVE, undecodable_frames=20), THIRTY, Status.FALSE, Reason.CORRUPT),
    ("a few frames are broken", replace(LIVE, undecodable_frames=5), THIRTY, Status.TRUE, Reason.LIVE),
    ("only broken parts", replace(NOTHING, http_status=200, undecodable_frames=3), THIRTY, Status.FALSE, Reason.CORRUPT),
    ("a header and no frame", replace(NOTHING, http_status=200), THIRTY, Status.FALSE, Reason.NO_BYTES),
    ("a header, then the server closes", replace(NOTHING, http_status=200, error="closed"), THIRTY, Status.FALSE, Reason.NO_BYTES),
    ("connects, no header until the end", replace(NOTHING, error="timeout"), THIRTY, Status.FALSE, Reason.NO_BYTES),
    ("moves, then the server dies", replace(LIVE, error="reset"), THIRTY, Status.FALSE, Reason.NO_BYTES),
    ("moves, then the server closes", replace(LIVE, error="closed"), THIRTY, Status.FALSE, Reason.NO_BYTES),
    ("refused", replace(NOTHING, error="refused"), THIRTY, Status.FALSE, Reason.UNREACHABLE),
    ("no way there", replace(NOTHING, error="unreachable"), THIRTY, Status.FALSE, Reason.UNREACHABLE),
    ("a tunnel to a dead server", replace(NOTHING, error="reset"), THIRTY, Status.FALSE, Reason.UNREACHABLE),
    ("something that is not HTTP", replace(NOTHING, error="not http"), THIRTY, Status.FALSE, Reason.HTTP_ERROR),
    ("an error page", replace(NOTHING, http_status=502), THIRTY, Status.FALSE, Reason.HTTP_ERROR),
    ("a page instead of a stream", replace(NOTHING, http_status=200, error="not mjpeg"), THIRTY, Status.FALSE, Reason.HTTP_ERROR),
    ("this box has no descriptors left", replace(NOTHING, error="unreachable", is_own_fault=True), THIRTY, Status.UNKNOWN, Reason.PROBE_FAILED),
    ("an empty sample", NOTHING, THIRTY, Status.UNKNOWN, Reason.PROBE_FAILED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "expected", "status", "reason"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_judges(sample: PictureSample, expected: Expected, status: Status, reason: Reason) -> None:
    reading = read_picture(sample, expected, InstanceId(7), AT)
    assert (reading.status, reading.reason) == (status, reason)
    assert reading.subject is Subject.PICTURE
    assert not reading.is_certain  # one sample is one opinion


def test_numbers_are_rates() -> None:
    numbers = read_picture(LIVE, THIRTY, InstanceId(7), AT).numbers
    assert numbers["unique_frames_per_s"] == pytest.approx(30.4)
    assert numbers["frames_per_s"] == pytest.approx(96)
    assert numbers["bitrate_bps"] == pytest.approx(19_200_000)
    assert numbers["mean_luma"] == 90


def test_hostile_error_text_is_made_plain() -> None:
    sample = replace(NOTHING, error="\x1b[2J" + "x" * 1000)
    detail = read_picture(sample, THIRTY, InstanceId(7), AT).detail
    assert "\x1b" not in detail
    assert len(detail) < 220
