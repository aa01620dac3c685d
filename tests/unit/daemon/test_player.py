"""When the player watches, when it only lists, and from when on it is believed."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keeper.core.model import InstanceId, Reading, Remedy, Status, Subject, Symptom
from keeper.core.reasons import Reason
from keeper.daemon.player import Player
from keeper.ports import PictureSample, PlayerLimits, PlayerSample, Reached
from keeper.workloads import PlayerView, View, ViewKind

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
ME = InstanceId(7)
VIEW = View(
    kind=ViewKind.WEBRTC,
    container_port=13000,
    player=PlayerView(streamer_id="Game", watch_every_s=60, start_s=5),
)
PICTURE = PictureSample(
    http_status=200, frames=20, unique_frames=20, undecodable_frames=0, bytes_read=9, sampled_s=2.0,
    mean_luma=90.0, motion=2.0, newest_frame=b"\xff\xd8jpeg",
)  # fmt: skip
LIVE = PlayerSample(
    reached=Reached.MEDIA, streamers=("Game",), watched="Game", has_relay=True, picture=PICTURE
)
LISTED = PlayerSample(reached=Reached.LISTED, streamers=("Game",))
NOBODY = PlayerSample(reached=Reached.LISTED)
HANGS = PlayerSample(reached=Reached.SUBSCRIBED, streamers=("Game",), watched="Game")
NO_RELAY = PlayerSample(
    reached=Reached.MEDIA, streamers=("Game",), watched="Game", has_relay=False, picture=PICTURE
)
FULL = PlayerSample(
    reached=Reached.SUBSCRIBED, streamers=("Game",), watched="Game", is_full=True, places=4,
    error="Streamer Game is full. Max players = 4.",
)  # fmt: skip
OTHERS = PlayerSample(reached=Reached.LISTED, streamers=("Game",), has_left=True, others=1)


@dataclass
class Stage:
    """A server whose answers are given, and a clock in the test's hand."""

    seconds: float = 0.0
    answer: PlayerSample = LIVE
    asked: list[PlayerLimits] = field(default_factory=list)
    player: Player = field(default_factory=Player)
    view: View = VIEW

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sample_webrtc(self, url: str, limits: PlayerLimits) -> PlayerSample:
        self.asked.append(limits)
        if self.answer in (LIVE, FULL) and not limits.is_subscribing:
            return LISTED
        return self.answer

    async def look(self, *, after_s: float = 10.0) -> Reading:
        self.seconds += after_s
        network: Any = self
        reading, self.frame = await self.player.look(network, "http://x", self.view, ME, self)
        return reading

    @property
    def has_watched(self) -> bool:
        return self.asked[-1].is_subscribing


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_it_watches_rarely_while_all_is_well_and_what_it_saw_stands_meanwhile(
    stage: Stage,
) -> None:
    watched = []
    for _ in range(14):
        reading = await stage.look()
        assert (reading.status, reading.reason, reading.at) == (
            Status.TRUE, Reason.LIVE, stage.now(),
        )  # fmt: skip
        watched.append(stage.has_watched)
    assert [number for number, each in enumerate(watched) if each] == [0, 6, 12]


async def test_it_watches_at_each_look_while_anything_is_wrong(stage: Stage) -> None:
    await stage.look()
    stage.answer = NOBODY
    assert (await stage.look()).status is Status.FALSE
    assert not stage.has_watched
    for _ in range(3):
        await stage.look()
        assert stage.has_watched
    stage.answer = LIVE
    assert (await stage.look()).reason is Reason.LIVE
    assert stage.has_watched
    await stage.look()
    assert not stage.has_watched


async def test_a_hung_application_is_found_by_the_next_watching_look(stage: Stage) -> None:
    await stage.look()
    stage.answer = HANGS
    assert (await stage.look(after_s=61)).reason is Reason.NO_BYTES


@pytest.mark.parametrize(("sample", "code"), [(NO_RELAY, "relay_failed"), (HANGS, "offer_missing")])
async def test_what_only_a_player_sees_is_believed_when_three_looks_agree(
    stage: Stage, sample: PlayerSample, code: str
) -> None:
    stage.answer = sample
    for _ in range(2):
        await stage.look()
        assert stage.player.symptom is None
    await stage.look()
    assert stage.player.symptom is not None
    assert stage.player.symptom.code == code
    stage.answer = LIVE
    await stage.look()
    assert stage.player.symptom is None


@pytest.mark.parametrize(("after", "code"), [(HANGS, "offer_missing"), (NOBODY, "no_streamer")])
async def test_what_fails_in_the_middle_of_a_look_has_its_name_as_soon_as_the_picture_is_bad(
    stage: Stage, after: PlayerSample, code: str
) -> None:
    """That look shows a picture that ended, and the symptom would come a look too late."""
    ended = replace(LIVE, picture=replace(PICTURE, frames=0, unique_frames=0))
    for stage.answer in (ended, after):
        assert (await stage.look()).status is Status.FALSE
        assert stage.player.symptom is None
    assert (await stage.look()).status is Status.FALSE
    assert stage.player.symptom is not None
    assert stage.player.symptom.code == code


async def test_one_slow_answer_between_good_ones_is_no_symptom(stage: Stage) -> None:
    for _ in range(6):
        for stage.answer in (HANGS, LIVE):
            await stage.look()
    assert stage.player.symptom is None


async def test_while_others_watch_what_was_seen_stands_for_a_while_and_then_is_not_known(
    stage: Stage,
) -> None:
    await stage.look()
    stage.answer = OTHERS
    seen = [(await stage.look(after_s=20)).status for _ in range(20)]
    assert seen[0] is Status.TRUE
    assert seen[-1] is Status.UNKNOWN, "nobody of ours has seen it for so long"
    assert Status.FALSE not in seen


async def test_a_picture_may_stand_still_for_as_long_as_is_declared(stage: Stage) -> None:
    still = replace(PICTURE, unique_frames=1, motion=None)
    stage.answer = replace(LIVE, picture=still)
    stage.view = replace(VIEW, player=PlayerView(watch_every_s=5), still_max_s=60)
    reasons = [(await stage.look(after_s=20)).reason for _ in range(5)]
    assert reasons == [Reason.STATIC_BY_DESIGN] * 3 + [Reason.FROZEN] * 2
    stage.answer = LIVE
    assert (await stage.look()).reason is Reason.LIVE
    stage.answer = replace(LIVE, picture=still)
    assert (await stage.look()).reason is Reason.STATIC_BY_DESIGN, "counted anew"


# --- sound --------------------------------------------------------------------------------------------

LOUD = replace(LIVE, picture=replace(PICTURE, has_sound=True, sound_dbfs=-20.0))
MUTE = replace(LIVE, picture=replace(PICTURE, has_sound=True, sound_dbfs=-110.0))
EXPECTING = replace(VIEW, expects_sound=True, player=PlayerView(watch_every_s=10))


async def test_a_silent_stream_is_found_where_sound_is_expected_and_watched_until_it_is_back(
    stage: Stage,
) -> None:
    stage.answer, stage.view = MUTE, replace(VIEW, expects_sound=True)
    for _ in range(3):
        reading = await stage.look()
        assert (reading.status, reading.reason) == (Status.FALSE, Reason.NO_SOUND)
        assert reading.numbers["sound_dbfs"] == -110.0
        assert stage.has_watched
    stage.answer = LOUD
    assert (await stage.look()).reason is Reason.LIVE
    stage.view, stage.answer = EXPECTING, LIVE
    assert (await stage.look()).reason is Reason.NO_SOUND


async def test_nobody_misses_a_sound_that_is_not_declared(stage: Stage) -> None:
    stage.answer = MUTE
    assert (await stage.look()).reason is Reason.LIVE


async def test_a_player_may_hear_nothing_for_as_long_as_is_declared(stage: Stage) -> None:
    stage.answer, stage.view = MUTE, replace(EXPECTING, silence_max_s=30.0)
    said = [await stage.look() for _ in range(4)]
    assert [each.reason for each in said] == [Reason.LIVE] * 3 + [Reason.NO_SOUND]
    assert said[2].detail == "silent for 20 s, and may be for 30"
    stage.answer = LOUD
    assert (await stage.look()).reason is Reason.LIVE
    stage.answer = MUTE
    assert (await stage.look()).reason is Reason.LIVE, "counted anew"


async def test_a_menu_that_may_stand_is_no_excuse_for_its_silence(stage: Stage) -> None:
    assert MUTE.picture is not None
    stage.answer = replace(MUTE, picture=replace(MUTE.picture, unique_frames=1, motion=None))
    stage.view = replace(EXPECTING, still_max_s=15.0)
    assert (await stage.look()).reason is Reason.NO_SOUND
    await stage.look()
    assert (await stage.look()).reason is Reason.FROZEN, "what is worse comes first"


async def test_a_look_too_short_to_hear_anything_does_not_say_that_the_sound_is_back(
    stage: Stage,
) -> None:
    stage.answer, stage.view = MUTE, EXPECTING
    await stage.look()
    short = replace(PICTURE, has_sound=True, sampled_s=0.3)
    stage.answer = replace(LIVE, picture=short, has_left=True, others=1)
    reading = await stage.look()
    assert (reading.status, reading.detail) == (
        Status.UNKNOWN,
        "others watch, and keeper does not",
    )


async def test_a_server_that_was_full_is_left_to_persons_for_long_where_it_does_not_say_who_watches(
    stage: Stage,
) -> None:
    """The next one to find a place free is not keeper."""
    await stage.look()
    stage.answer = FULL
    seen = [await stage.look(after_s=20) for _ in range(30)]
    watched = [number for number, limits in enumerate(stage.asked[1:]) if limits.is_subscribing]
    # Found full when it was due; asked for no place in the six minutes after that.
    assert watched == [2, 20]
    assert {each.status for each in seen} == {Status.TRUE, Status.UNKNOWN}
    assert stage.player.symptom is not None
    assert stage.player.symptom.code == "server_full", "its own word needs no second one"
    stage.answer = LIVE
    for _ in range(20):
        await stage.look(after_s=20)
    assert stage.player.symptom is None


async def test_a_server_that_says_who_watches_needs_no_such_distance(stage: Stage) -> None:
    stage.view = replace(VIEW, player=PlayerView(watch_every_s=60, has_rest=True))
    stage.answer = FULL
    await stage.look()
    await stage.look(after_s=61)
    assert stage.has_watched
    assert stage.asked[-1].places == 4, "and it is told how many there are"


async def test_the_one_place_is_taken_rarely_while_all_is_well(stage: Stage) -> None:
    stage.view = replace(VIEW, player=PlayerView(watch_every_s=60, has_rest=True, places=1))
    watched = []
    for _ in range(130):
        assert (await stage.look()).status is Status.TRUE
        watched.append(stage.has_watched)
    assert [number for number, each in enumerate(watched) if each] == [0, 60, 120]
    assert {limits.places for limits in stage.asked} == {1}


async def test_where_no_place_may_be_taken_nothing_is_known_and_it_says_why(stage: Stage) -> None:
    stage.view = replace(VIEW, player=PlayerView(has_rest=True, places=1))
    untold = "the server does not say whether a place is free"
    stage.answer = PlayerSample(
        reached=Reached.LISTED, streamers=("Game",), has_left=True, error=untold
    )
    reading = await stage.look()
    assert (reading.status, reading.detail) == (Status.UNKNOWN, untold)


def said(status: Status, symptom: Symptom | None = None) -> Reading:
    reason = Reason.WORKLOAD_WELL if status is Status.TRUE else Reason.SYMPTOM
    return Reading(
        instance_id=ME, subject=Subject.WORKLOAD, status=status, reason=reason, at=BEGIN,
        symptom=symptom,
    )  # fmt: skip


async def test_the_hosts_own_word_comes_before_what_a_player_sees(stage: Stage) -> None:
    stage.answer = NO_RELAY
    for _ in range(3):
        await stage.look()
    well = stage.player.heard(said(Status.TRUE))
    assert well.symptom is not None
    assert well.symptom.code == "relay_failed"
    cause = Symptom(code="relay_down", sentence="down", remedy=Remedy.RESTART_PROCESS)
    assert stage.player.heard(said(Status.FALSE, cause)).symptom == cause
    stage.answer = LIVE
    await stage.look()
    assert stage.player.heard(said(Status.TRUE)).status is Status.TRUE
