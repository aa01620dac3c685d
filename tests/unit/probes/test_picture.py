"""Every row of the picture table: what a viewer saw, and what keeper makes of it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from keeper.core.model import InstanceId, Status, Subject
from keeper.core.reasons import Reason
from keeper.ports import PictureSample, Region
from keeper.probes.grid import CELLS, Memory, Shot, remember
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


GREY = bytes([90]) * CELLS
WHITE = bytes([230]) * CELLS
# A player's look: seconds of video, compared with the look before; it has not moved.
STANDS = replace(
    LIVE, frames=75, media_s=2.5, sampled_s=0.4, motion=0.4, change=0.0, compared_s=12.0,
    bright_luma=180.0, has_sound=True, sound_dbfs=-18.0,
    memory=remember(Memory(standing=Shot(at_s=0, grid=GREY), newest=Shot(at_s=12, grid=GREY))),
)  # fmt: skip
MOVES = replace(STANDS, change=14.0, motion=9.0, unique_frames=70)
DARK = replace(MOVES, mean_luma=3.0, bright_luma=60.0)

THIRTY = Expected()
SOUND = Expected(expects_sound=True)
PATIENT = Expected(still_max_s=60.0)
LOBBY = Expected(scenes=(Scene(name="menu"), Scene(name="lobby", grid=GREY)))
OTHER = Expected(scenes=(Scene(name="lobby", grid=WHITE), Scene(name="not known yet")))
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
    ("what a look before has judged already", replace(LIVE, unique_frames=1, is_repeat=True), THIRTY, Status.UNKNOWN, Reason.PROBE_FAILED),
    ("what was well at the look before", replace(LIVE, is_repeat=True), THIRTY, Status.TRUE, Reason.LIVE),
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
    ("moved since the look before", MOVES, THIRTY, Status.TRUE, Reason.LIVE),
    ("moved, though this look alone shows one picture", replace(MOVES, unique_frames=1, frames=1), NO_TARGET, Status.TRUE, Reason.LIVE),
    ("new frames that are noise", STANDS, THIRTY, Status.FALSE, Reason.FROZEN),
    ("stands, and too short a time was seen", replace(STANDS, compared_s=1.1), THIRTY, Status.UNKNOWN, Reason.PROBE_FAILED),
    ("a single keyframe, as it was ten seconds ago", replace(STANDS, frames=1, unique_frames=1, media_s=0.0), NO_TARGET, Status.UNKNOWN, Reason.PROBE_FAILED),
    ("stands, and a slow target has none due yet", replace(STANDS, compared_s=4.9), Expected(target_frames_per_s=1), Status.UNKNOWN, Reason.PROBE_FAILED),
    ("stands, and a slow target has several due", replace(STANDS, compared_s=5.0), Expected(target_frames_per_s=1), Status.FALSE, Reason.FROZEN),
    ("stands by design", STANDS, STILL, Status.TRUE, Reason.STATIC_BY_DESIGN),
    ("stands in a scene that may", STANDS, LOBBY, Status.TRUE, Reason.STATIC_BY_DESIGN),
    ("stands in another picture than the scenes", STANDS, OTHER, Status.FALSE, Reason.FROZEN),
    ("a scene, and no memory to know it by", replace(STANDS, memory=b"garbage"), LOBBY, Status.FALSE, Reason.FROZEN),
    ("stands no longer than it may", STANDS, PATIENT, Status.TRUE, Reason.STATIC_BY_DESIGN),
    ("stands longer than it may", replace(STANDS, compared_s=60.0), PATIENT, Status.FALSE, Reason.FROZEN),
    ("one picture, and nothing to compare it with", replace(STANDS, change=None, motion=None), NO_TARGET, Status.UNKNOWN, Reason.PROBE_FAILED),
    ("dark with a light in it", DARK, THIRTY, Status.TRUE, Reason.LIVE),
    ("dark with a light in it, and stands", replace(DARK, change=0.0), THIRTY, Status.FALSE, Reason.FROZEN),
    ("dark without a light", replace(DARK, bright_luma=23.9), THIRTY, Status.FALSE, Reason.BLACK),
    ("sound that is wanted", MOVES, SOUND, Status.TRUE, Reason.LIVE),
    ("no track of sound", replace(MOVES, has_sound=False, sound_dbfs=None), SOUND, Status.FALSE, Reason.NO_SOUND),
    ("sound at the limit is silence", replace(MOVES, sound_dbfs=-60.0), SOUND, Status.FALSE, Reason.NO_SOUND),
    ("a quiet room is not silent", replace(MOVES, sound_dbfs=-59.9), SOUND, Status.TRUE, Reason.LIVE),
    ("silence where no sound is wanted", replace(MOVES, sound_dbfs=-120.0), THIRTY, Status.TRUE, Reason.LIVE),
    ("sound that could not be read is not missing", replace(MOVES, sound_dbfs=None), SOUND, Status.TRUE, Reason.LIVE),
    ("a slate without its music", replace(STANDS, sound_dbfs=-120.0), replace(SOUND, is_static_allowed=True), Status.FALSE, Reason.NO_SOUND),
    ("frozen and silent is frozen", replace(STANDS, sound_dbfs=-120.0), SOUND, Status.FALSE, Reason.FROZEN),
    ("sound and no picture", replace(NOTHING, http_status=200, has_video=False, has_sound=True), THIRTY, Status.FALSE, Reason.NO_BYTES),
    ("neither picture nor sound", replace(NOTHING, http_status=200, has_video=False), THIRTY, Status.FALSE, Reason.NO_BYTES),
    ("a playlist that has ended", replace(NOTHING, http_status=200, error="ended"), THIRTY, Status.FALSE, Reason.NO_BYTES),
    ("a playlist that no longer advances", replace(NOTHING, http_status=200, error="stalled"), THIRTY, Status.FALSE, Reason.NO_BYTES),
    ("a page instead of a playlist", replace(NOTHING, http_status=200, error="not playlist"), THIRTY, Status.FALSE, Reason.HTTP_ERROR),
    ("frames, and no keyframe among them", replace(STANDS, mean_luma=None, change=None), THIRTY, Status.UNKNOWN, Reason.PROBE_FAILED),
    ("far below a target", replace(MOVES, unique_frames=18), THIRTY, Status.TRUE, Reason.STUTTERING),
    ("without a target the whole picture jumps", replace(MOVES, unique_frames=12), NO_TARGET, Status.TRUE, Reason.STUTTERING),
    ("without a target one slide after the other", replace(MOVES, unique_frames=2), NO_TARGET, Status.TRUE, Reason.LIVE),
    ("without a target a small part changes seldom", replace(MOVES, unique_frames=12, motion=1.0), NO_TARGET, Status.TRUE, Reason.LIVE),
    ("without a target, in a stream made for few", replace(MOVES, unique_frames=12, frames=25), NO_TARGET, Status.TRUE, Reason.LIVE),
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


def test_numbers_are_by_the_stream_s_own_time_and_only_those_known() -> None:
    """Segments come in a moment, and last for seconds."""
    sample = replace(
        MOVES, bytes_read=500_000, keyframe_interval_s=2.0, latency_s=7.5, newest_age_s=0.5
    )
    numbers = read_picture(sample, THIRTY, InstanceId(7), AT).numbers
    assert numbers == {
        "unique_frames_per_s": 28.0,
        "frames_per_s": 30.0,
        "bitrate_bps": 1_600_000.0,
        "mean_luma": 90.0,
        "bright_luma": 180.0,
        "motion": 9.0,
        "change": 14.0,
        "sound_dbfs": -18.0,
        "keyframe_interval_s": 2.0,
        "latency_s": 7.5,
        "newest_age_s": 0.5,
    }
    assert read_picture(NOTHING, THIRTY, InstanceId(7), AT).numbers == {}


def test_a_scene_is_named() -> None:
    assert read_picture(STANDS, LOBBY, InstanceId(7), AT).detail == "it shows lobby"


def test_hostile_error_text_is_made_plain() -> None:
    sample = replace(NOTHING, error="\x1b[2J" + "x" * 1000)
    detail = read_picture(sample, THIRTY, InstanceId(7), AT).detail
    assert "\x1b" not in detail
    assert len(detail) < 220
