"""What a player's looks mean."""

from datetime import UTC, datetime
from typing import Any

import pytest

from keeper.core.model import InstanceId, Remedy, Status
from keeper.core.reasons import Reason
from keeper.ports import PictureSample, PlayerSample, Reached
from keeper.probes.player import read_player, symptom_of
from keeper.workloads import PlayerView, View, ViewKind

AT = datetime(2026, 11, 1, tzinfo=UTC)
ME = InstanceId(7)
VIEW = View(kind=ViewKind.WEBRTC, container_port=13000)

# --- what looks mean ----------------------------------------------------------------------------------

PICTURE = PictureSample(
    http_status=200, frames=20, unique_frames=20, undecodable_frames=0, bytes_read=9, sampled_s=2.0,
    mean_luma=90.0, motion=2.0, newest_frame=b"",
)  # fmt: skip


def look(reached: Reached, **more: Any) -> PlayerSample:
    return PlayerSample(reached=reached, **more)


LOOKS = [
    ("live", look(Reached.MEDIA, picture=PICTURE), (Status.TRUE, Reason.LIVE)),
    ("nobody there", look(Reached.NOWHERE, error="refused"), (Status.FALSE, Reason.UNREACHABLE)),
    ("mute server", look(Reached.CONNECTED), (Status.FALSE, Reason.NO_BYTES)),
    ("no list", look(Reached.GREETED), (Status.FALSE, Reason.NO_BYTES)),
    ("C1 nobody streams", look(Reached.LISTED), (Status.FALSE, Reason.NO_BYTES)),
    ("listed", look(Reached.LISTED, streamers=("Game",)), None),
    ("C2 no offer", look(Reached.SUBSCRIBED, streamers=("Game",)), (Status.FALSE, Reason.NO_BYTES)),
    ("C14 full", look(Reached.SUBSCRIBED, streamers=("Game",), is_full=True), None),
    ("stayed away", look(Reached.LISTED, streamers=("Game",), has_left=True), None),
    ("no way for media, and perhaps none from this box", look(Reached.OFFERED),
     (Status.UNKNOWN, Reason.PROBE_FAILED)),
    ("no media, though the relay gives a place", look(Reached.OFFERED, has_relay=True),
     (Status.FALSE, Reason.NO_BYTES)),
    ("the player died", look(Reached.OFFERED, is_own_fault=True),
     (Status.UNKNOWN, Reason.PROBE_FAILED)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "expected"), [row[1:] for row in LOOKS], ids=[r[0] for r in LOOKS]
)
def test_a_look_means(sample: PlayerSample, expected: tuple[Status, Reason] | None) -> None:
    reading = read_player(sample, VIEW, ME, AT)
    assert (reading and (reading.status, reading.reason)) == expected


TWO = ("Game", "Game1")
SYMPTOMS = [
    ("well", look(Reached.MEDIA, picture=PICTURE, has_relay=True), "", None),
    ("C1", look(Reached.LISTED), "no_streamer", Remedy.RESTART_PROCESS),
    ("C2", look(Reached.SUBSCRIBED, streamers=("Game",)), "offer_missing", Remedy.RESTART_PROCESS),
    ("C12", look(Reached.MEDIA, picture=PICTURE, has_relay=False), "relay_failed",
     Remedy.RESTART_PROCESS),
    ("C12 not to be told", look(Reached.MEDIA, picture=PICTURE, has_relay=None), "", None),
    ("C14", look(Reached.SUBSCRIBED, streamers=("Game",), is_full=True), "server_full",
     Remedy.NOTHING),
    ("C15", look(Reached.MEDIA, picture=PICTURE, streamers=TWO), "two_streamers", Remedy.PERSON),
    ("own fault", look(Reached.LISTED, is_own_fault=True), "", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "code", "remedy"), [r[1:] for r in SYMPTOMS], ids=[r[0] for r in SYMPTOMS]
)
def test_only_a_player_sees(sample: PlayerSample, code: str, remedy: Remedy | None) -> None:
    symptom = symptom_of(sample, PlayerView(streamer_id="Game"))
    assert (symptom.code if symptom else "") == code
    assert (symptom and symptom.remedy) == remedy
