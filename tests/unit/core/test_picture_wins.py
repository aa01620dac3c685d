"""What the picture says wins over what the process manager says, both ways, however it is looked at.

Looks of each kind are judged as in production, and decided upon: a bad picture is cured under a manager that
says all is well, and nobody touches a good one for what a manager says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.decisions import Restart
from keeper.core.model import Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.ports import HttpReply, PictureSample, PlayerSample, Reached, Unreachable
from keeper.probes.http import read_http
from keeper.probes.picture import read_picture
from keeper.probes.player import read_player
from keeper.probes.tcp import read_tcp
from keeper.workloads import View, ViewKind
from tests.builders import (
    HOST,
    a_reading,
    a_record,
    a_tenure,
    a_world,
    ago,
    conditions,
    decide,
    decision_for,
    healthy_world,
)

VIEW = View(kind=ViewKind.HLS, container_port=8000)
MJPEG = PictureSample(
    http_status=200, frames=50, unique_frames=50, undecodable_frames=0, bytes_read=900_000, sampled_s=2.5,
    mean_luma=90.0, motion=9.0, newest_frame=b"",
)  # fmt: skip
# Compared with what the look before has kept, and with what was seen of the stream's own time.
DECODED = replace(MJPEG, change=9.0, compared_s=11.0, media_s=2.0, sampled_s=0.2)
FROZEN: dict[str, Any] = {"unique_frames": 1, "motion": None}
PLAYED = PlayerSample(
    reached=Reached.MEDIA, streamers=("Game",), watched="Game", has_relay=True, picture=MJPEG
)

Answer = PictureSample | PlayerSample | HttpReply | Unreachable | None
GOOD: dict[ViewKind, Answer] = {
    ViewKind.MJPEG: MJPEG,
    ViewKind.JPEG: replace(DECODED, frames=2, unique_frames=2, media_s=0.0, sampled_s=1.2),
    ViewKind.HLS: DECODED,
    ViewKind.RTMP: replace(DECODED, media_s=4.0, sampled_s=4.0),
    ViewKind.WEBRTC: PLAYED,
    ViewKind.HTTP: HttpReply(status=200, headers={}, body=b"ok", elapsed_s=0.1),
    ViewKind.TCP: None,
}
BAD: dict[ViewKind, Answer] = {
    ViewKind.MJPEG: replace(MJPEG, **FROZEN),
    ViewKind.JPEG: replace(DECODED, **FROZEN, frames=2, media_s=0.0, sampled_s=1.2, change=0.0),
    ViewKind.HLS: replace(DECODED, **FROZEN, change=0.0),
    ViewKind.RTMP: replace(DECODED, **FROZEN, change=0.0, media_s=4.0, sampled_s=4.0),
    ViewKind.WEBRTC: replace(PLAYED, picture=replace(MJPEG, **FROZEN)),
    ViewKind.HTTP: HttpReply(status=502, headers={}, body=b"", elapsed_s=0.1),
    ViewKind.TCP: Unreachable("connection refused"),
}
MANAGER_SAYS = (
    Reason.PROCESS_STARTING,
    Reason.MANAGER_RETRYING,
    Reason.MANAGER_DOWN,
    Reason.MANAGER_GAVE_UP,
    Reason.PROCESS_GONE,
    Reason.CRASH_LOOP,
    Reason.PROCESS_STOPPED_ON_PURPOSE,
)


def look(answer: Answer, age_s: float) -> Reading:
    """Judge one look as its kind is judged."""
    match answer:
        case PictureSample():
            return read_picture(answer, VIEW, HOST, ago(age_s))
        case PlayerSample():
            reading = read_player(answer, VIEW, HOST, ago(age_s))
            assert reading is not None
            return reading
        case HttpReply():
            return read_http(answer, VIEW, HOST, ago(age_s))
        case None | Unreachable():
            return read_tcp(answer, HOST, ago(age_s))


@pytest.mark.parametrize("kind", list(ViewKind))
def test_a_bad_picture_is_cured_though_the_manager_says_that_all_is_well(kind: ViewKind) -> None:
    seen = [look(BAD[kind], age_s) for age_s in (20, 10, 0)]
    assert {each.status for each in seen} == {Status.FALSE}
    up = a_reading(Subject.PROCESS, Status.TRUE, Reason.PROCESS_UP, age_s=1, identity="7:1")
    decision = decision_for(decide(healthy_world(readings=(*seen[:2], up, seen[2]))))
    assert isinstance(decision, Restart)
    assert decision.reason is seen[0].reason


@pytest.mark.parametrize("kind", list(ViewKind))
@pytest.mark.parametrize("says", MANAGER_SAYS)
def test_a_good_picture_is_left_alone_whatever_the_manager_has_been_saying(
    kind: ViewKind, says: Reason
) -> None:
    seen = [look(GOOD[kind], age_s) for age_s in (20, 10, 0)]
    assert {each.status for each in seen} == {Status.TRUE}
    status = Status.UNKNOWN if says is Reason.PROCESS_STARTING else Status.FALSE
    world = a_world(
        a_record(a_tenure(conditions=conditions(running=(status, says)))), readings=tuple(seen)
    )
    assert decision_for(decide(world)).reason is Reason.HEALTHY


@pytest.mark.parametrize("kind", list(ViewKind))
@pytest.mark.parametrize("says", [Reason.MANAGER_RETRYING, Reason.MANAGER_DOWN])
def test_what_a_manager_begins_to_say_without_proof_ends_no_good_picture(
    kind: ViewKind, says: Reason
) -> None:
    word = a_reading(Subject.PROCESS, Status.FALSE, says, age_s=5)
    seen = (look(GOOD[kind], 10), word, look(GOOD[kind], 0))
    assert decision_for(decide(healthy_world(readings=seen))).reason is Reason.HEALTHY


@pytest.mark.parametrize("kind", list(ViewKind))
def test_only_a_process_that_was_alive_and_is_proven_gone_needs_no_look(kind: ViewKind) -> None:
    """No picture can come from it: viewers would wait for three looks for nothing."""
    gone = a_reading(Subject.PROCESS, Status.FALSE, Reason.PROCESS_GONE, is_certain=True)
    seen = (look(GOOD[kind], 10), gone)
    decision = decision_for(decide(healthy_world(readings=seen)))
    assert isinstance(decision, Restart)
    assert decision.reason is Reason.PROCESS_GONE


@pytest.mark.parametrize("kind", list(ViewKind))
def test_two_bad_looks_of_any_kind_are_no_verdict(kind: ViewKind) -> None:
    seen = tuple(look(BAD[kind], age_s) for age_s in (10, 0))
    assert decision_for(decide(healthy_world(readings=seen))).reason is Reason.HEALTHY
