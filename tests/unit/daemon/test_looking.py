"""Where a look goes, how long it may take, and what it keeps for the next one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast

import pytest
from typing_extensions import override

from keeper.core.model import Reading, SlotId, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon.board import Board
from keeper.daemon.looking import Looking, Sight, where_to_look
from keeper.daemon.target import Target
from keeper.ports import Address, MediaKind, MediaSource, PictureLimits, PictureSample, Region
from keeper.sim.memory import MemoryNetwork
from keeper.workloads import View, ViewKind, Workload
from keeper.workloads.viewing import Aids
from tests.builders import an_instance
from tests.unit.daemon.watching import PROBE_INTERVAL_S, seen_in

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
HERE = Address(host="198.51.100.7", port=40_000)
PORT = View(kind=ViewKind.HLS, container_port=8000, path="/live/x.m3u8")
PLAYLIST = "https://cdn.example/live/x.m3u8"
ELSEWHERE = View(kind=ViewKind.HLS, container_port=0, url=PLAYLIST)
LIVE = PictureSample(
    http_status=200, frames=60, unique_frames=60, undecodable_frames=0, bytes_read=90_000, sampled_s=1.0,
    mean_luma=90.0, motion=9.0, change=9.0, compared_s=2.0, media_s=2.0, newest_frame=b"\xff\xd8jpeg",
    has_sound=True, sound_dbfs=-20.0, memory=b"m1",
)  # fmt: skip
MUTE = replace(LIVE, sound_dbfs=-100.0)
NOBODY = replace(
    LIVE, http_status=0, frames=0, unique_frames=0, error="refused", memory=b"", newest_frame=b"",
    mean_luma=None,
)  # fmt: skip


def a_target(**more: Any) -> Target:
    return Target(
        slot=SlotId("show/0"), instance=an_instance(), workload=cast("Workload", None),
        pinned_host_key="", is_deployed=True, probe_interval_s=10.0, probe_timeout_s=5.0, probe_stale_s=45.0,
        **more,
    )  # fmt: skip


@dataclass
class Stage:
    """A network whose answers are given, and a clock in the test's hand."""

    answer: PictureSample = LIVE
    seconds: float = 0.0
    asked: list[tuple[MediaSource, PictureLimits]] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    sight: Sight = field(default_factory=Sight)
    board: Board = field(default_factory=lambda: Board(lambda: None))

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sample_media(self, source: MediaSource, limits: PictureLimits) -> PictureSample:
        self.asked.append((source, limits))
        self.busy_s.append(self.sight.busy_until_s - self.seconds)
        return self.answer if limits.wants_frame else replace(self.answer, newest_frame=b"")

    async def sample_mjpeg(
        self, url: str, limits: PictureLimits, *, is_declared: bool = False
    ) -> PictureSample:
        source = MediaSource(kind=MediaKind.JPEG, url=url, is_declared=is_declared)
        return await self.sample_media(source, limits)

    async def look(
        self, view: View = PORT, *, after_s: float = 10.0, address: Address | None = HERE
    ) -> Reading:
        self.seconds += after_s
        me: Any = self
        looking = Looking(network=me, clock=me, board=self.board)
        return await looking.look(view, address, self.sight, a_target(), lambda: True)

    @property
    def limits(self) -> PictureLimits:
        return self.asked[-1][1]


@pytest.fixture
def stage() -> Stage:
    return Stage()


# --- what is kept -------------------------------------------------------------------------------------


async def test_what_a_look_keeps_is_given_to_the_next_one_at_the_same_source(stage: Stage) -> None:
    await stage.look()
    assert stage.limits.memory == b""
    stage.answer = replace(LIVE, memory=b"m2")
    await stage.look()
    assert stage.limits.memory == b"m1"
    await stage.look()
    assert stage.limits.memory == b"m2"


async def test_a_look_that_saw_nothing_forgets_nothing(stage: Stage) -> None:
    """Else a picture that is frozen behind a bad network would never be compared with anything."""
    await stage.look()
    stage.answer = NOBODY
    await stage.look()
    await stage.look()
    assert stage.limits.memory == b"m1"


@pytest.mark.parametrize(
    "other",
    [
        replace(PORT, path="/other.m3u8"),
        replace(PORT, kind=ViewKind.JPEG),
        replace(PORT, ignored=(Region(left=0, top=0, width=0.1, height=0.1),)),
        ELSEWHERE,
    ],
)
async def test_another_source_is_not_compared_with_the_one_before(
    stage: Stage, other: View
) -> None:
    await stage.look()
    await stage.look(other)
    assert stage.limits.memory == b""
    await stage.look(replace(other, black_luma_max=9))
    assert stage.limits.memory == b"m1", "another threshold is no other picture"


async def test_frames_are_made_rarely_while_all_is_well_and_at_each_look_that_is_not(
    stage: Stage,
) -> None:
    wanted = []
    for _ in range(5):
        await stage.look()
        wanted.append(stage.limits.wants_frame)
    assert wanted == [True, False, False, True, False]
    stage.answer = replace(LIVE, mean_luma=0.0, bright_luma=0.0)
    assert (await stage.look()).reason is Reason.BLACK
    for _ in range(3):
        await stage.look()
        assert stage.limits.wants_frame, "the last pictures are what a post-mortem shows"
    stage.answer = LIVE
    await stage.look()
    await stage.look()
    assert not stage.limits.wants_frame


# --- sound --------------------------------------------------------------------------------------------


async def test_it_may_be_silent_for_as_long_as_is_declared_and_no_longer(stage: Stage) -> None:
    view = replace(PORT, expects_sound=True, silence_max_s=30.0)
    stage.answer = MUTE
    said = [await stage.look(view) for _ in range(4)]
    assert [each.reason for each in said] == [Reason.LIVE] * 3 + [Reason.NO_SOUND]
    assert [each.status for each in said] == [Status.TRUE] * 3 + [Status.FALSE]
    assert "silent for 20 s, and may be for 30" in said[2].detail
    stage.answer = LIVE
    assert (await stage.look(view)).reason is Reason.LIVE
    stage.answer = MUTE
    assert (await stage.look(view)).reason is Reason.LIVE, "counted anew"


async def test_a_picture_that_is_frozen_and_silent_is_frozen_whatever_patience_there_is(
    stage: Stage,
) -> None:
    stage.answer = replace(MUTE, unique_frames=1, motion=0.0, change=0.0, compared_s=12.0)
    view = replace(PORT, expects_sound=True, silence_max_s=600.0)
    assert (await stage.look(view)).reason is Reason.FROZEN


async def test_silence_is_a_fault_at_once_where_no_patience_is_declared(stage: Stage) -> None:
    stage.answer = MUTE
    assert (await stage.look(replace(PORT, expects_sound=True))).reason is Reason.NO_SOUND


async def test_whether_sound_matters_is_told_to_whoever_listens(stage: Stage) -> None:
    await stage.look()
    assert not stage.limits.wants_sound
    await stage.look(replace(PORT, expects_sound=True))
    assert stage.limits.wants_sound


async def test_a_short_look_tells_the_distance_of_keyframes_as_a_longer_one_has_seen_it(
    stage: Stage,
) -> None:
    stage.answer = replace(LIVE, keyframe_interval_s=4.0)
    await stage.look()
    stage.answer = LIVE
    assert (await stage.look()).numbers["keyframe_interval_s"] == 4.0
    stage.answer = NOBODY
    assert "keyframe_interval_s" not in (await stage.look()).numbers
    stage.answer = LIVE
    elsewhere = await stage.look(replace(PORT, path="/other.m3u8"))
    assert "keyframe_interval_s" not in elsewhere.numbers


# --- how long it may take -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "sample_s", "timeout_s"),
    [(ViewKind.HLS, 2.5, 5.0), (ViewKind.JPEG, 2.5, 5.0), (ViewKind.RTMP, 4.0, 9.0)],
)
async def test_a_look_is_bounded_and_may_take_longer_than_a_beat_where_it_is_decoded(
    stage: Stage, kind: ViewKind, sample_s: float, timeout_s: float
) -> None:
    await stage.look(replace(PORT, kind=kind))
    assert (stage.limits.sample_s, stage.limits.timeout_s) == (sample_s, timeout_s)
    assert stage.busy_s == [timeout_s + 15.0]
    assert stage.sight.busy_until_s == 0.0, "and it is over"


class Slow(MemoryNetwork):
    """A decoder that is slow on a busy box; or, told to, one that never ends."""

    takes_s: Sequence[float] = (14.0, 1.0, 1.0, 1.0, 1.0)
    begun: int = 0

    @override
    async def sample_media(self, source: MediaSource, limits: PictureLimits) -> PictureSample:
        takes_s = type(self).takes_s[min(self.begun, len(type(self).takes_s) - 1)]
        self.begun += 1
        await asyncio.sleep(takes_s)
        return LIVE


class Endless(Slow):
    takes_s = (10_000.0, 1.0)


class Shown:
    """A workload whose picture is looked at in another way."""

    def __init__(self, workload: Workload, view: View) -> None:
        self._workload = workload
        self._view = view

    def __getattr__(self, name: str) -> object:
        return getattr(self._workload, name)

    def view(self) -> View:
        return self._view


def pictures(network: Any, view: View, for_s: float, **more: Any) -> list[Reading]:
    seen = seen_in(
        for_s, an_instance(ports={"8000/tcp": 40_000}, public_ip="198.51.100.7"), network=network,
        is_deployed=True, as_told=lambda workload: cast("Workload", Shown(workload, view)), **more,
    )  # fmt: skip
    return [each for each in seen if each.subject is Subject.PICTURE]


def test_a_look_that_takes_longer_than_a_beat_is_left_alone_within_its_bound() -> None:
    seen = pictures(Slow, PORT, 5 * PROBE_INTERVAL_S)
    assert {each.reason for each in seen} == {Reason.LIVE}
    assert len(seen) == 3, "one beat is passed over"


def test_a_look_that_breaks_its_bound_is_given_up() -> None:
    first, *after = pictures(Endless, PORT, 6 * PROBE_INTERVAL_S)
    assert (first.status, first.detail) == (Status.UNKNOWN, "the probe ran out of time")
    assert after
    assert {each.reason for each in after} == {Reason.LIVE}


# --- where it goes ------------------------------------------------------------------------------------


async def test_the_hosts_own_address_is_asked_and_may_lead_nowhere_else(stage: Stage) -> None:
    await stage.look(replace(PORT, kind=ViewKind.RTMP, path="/live/key"), address=HERE)
    await stage.look(PORT, address=Address(host="2001:db8::1", port=80))
    assert [source for source, _ in stage.asked] == [
        MediaSource(kind=MediaKind.RTMP, url="rtmp://198.51.100.7:40000/live/key"),
        MediaSource(kind=MediaKind.HLS, url="http://[2001:db8::1]:80/live/x.m3u8"),
    ]


async def test_a_declared_address_is_asked_as_it_is(stage: Stage) -> None:
    await stage.look(ELSEWHERE, address=None)
    assert stage.asked[-1][0] == MediaSource(kind=MediaKind.HLS, url=PLAYLIST, is_declared=True)


@pytest.mark.parametrize(
    ("view", "address", "is_declared"),
    [
        (replace(PORT, kind=ViewKind.MJPEG), HERE, False),
        (replace(ELSEWHERE, kind=ViewKind.MJPEG), None, True),
    ],
    ids=["a host's", "declared"],
)
async def test_only_a_declared_stream_of_pictures_may_lead_on(
    stage: Stage, view: View, address: Address | None, is_declared: bool
) -> None:
    await stage.look(view, address=address)
    assert stage.asked[-1][0].is_declared is is_declared


class Told(MemoryNetwork):
    """Takes down what it is asked."""

    asked: ClassVar[list[MediaSource]] = []

    @override
    async def sample_media(self, source: MediaSource, limits: PictureLimits) -> PictureSample:
        self.asked.append(source)
        return LIVE


def test_no_port_of_the_host_is_looked_for_where_the_look_goes_elsewhere() -> None:
    seen = pictures(Told, ELSEWHERE, 2 * PROBE_INTERVAL_S)
    assert {each.reason for each in seen} == {Reason.LIVE}
    assert {source.url for source in Told.asked} == {PLAYLIST}


OWN = replace(ELSEWHERE, own=PORT)
BY_SECRET = replace(ELSEWHERE, url="", url_secret="WATCH")


@pytest.mark.parametrize(
    ("view", "target", "goes_to"),
    [
        # A port is the host's own, whatever else goes on.
        (PORT, {}, PORT),
        (PORT, {"is_incoming": True, "is_handing_over": True}, PORT),
        # What everybody sees is this host's while it is the only one.
        (ELSEWHERE, {}, ELSEWHERE),
        (OWN, {}, OWN),
        # While another one serves, it is not the replacement's; by its own playlist both are told apart.
        (ELSEWHERE, {"is_incoming": True, "is_handing_over": True}, "may be the old host's"),
        (ELSEWHERE, {"is_handing_over": True}, ELSEWHERE),
        (OWN, {"is_incoming": True, "is_handing_over": True}, PORT),
        (OWN, {"is_handing_over": True}, PORT),
        # A secret that is gone: nothing is known, and nothing is guessed.
        (BY_SECRET, {}, "the address to look at is not known"),
    ],
)  # fmt: skip
def test_what_is_seen_elsewhere_is_held_against_no_host_that_does_not_send_it(
    view: View, target: dict[str, bool], goes_to: View | str
) -> None:
    found = where_to_look(view, a_target(**target))
    if isinstance(goes_to, str):
        assert goes_to in str(found)
    else:
        assert found == goes_to


def test_a_secret_address_is_put_into_the_look_and_into_nothing_that_is_shown() -> None:
    aids = Aids(urls={"WATCH": PLAYLIST})
    assert where_to_look(aids.complete(BY_SECRET), a_target()) == replace(BY_SECRET, url=PLAYLIST)
    assert PLAYLIST not in repr(aids)


async def test_what_another_process_showed_is_compared_with_nothing() -> None:
    """An encoder that begins as it did before, frame by frame, was taken for one that repeats itself."""
    stage = Stage()

    def runs(identity: str) -> None:
        stage.board.pin(
            Reading(
                instance_id=a_target().instance.instance_id,
                subject=Subject.PROCESS,
                status=Status.TRUE,
                reason=Reason.PROCESS_UP,
                at=stage.now(),
                identity=identity,
            )
        )

    await stage.look()
    for identity, memory in (("7:100", b"m1"), ("7:100", b"m1"), ("", b"m1"), ("9:200", b"")):
        runs(identity)
        await stage.look()
        assert stage.asked[-1][1].memory == memory, identity
