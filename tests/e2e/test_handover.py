"""What viewers miss when a host is replaced by plan: seen by a viewer that counts frames, and told by keeper.

A real ffmpeg on each of two real hosts pushes to a real ingest (nginx-rtmp), whose own log says who
published when. Where it takes two, viewers miss nothing; where it takes one, there is never a second, and
the gap that keeper tells is the gap that the viewer has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.real_hosts import SLOT, Fleet
from tests.rtmp_sink import FrameViewer, RtmpSink, longest_gap, now, overlaps, picture
from tests.waiting import eventually

pytestmark = [
    pytest.mark.real("sshd", "ffmpeg", "nginx-rtmp"),
    pytest.mark.xdist_group("handover"),
    pytest.mark.timeout(300),
]

LOOK_S = 2.0
# One at RTMP takes a keyframe and some seconds, as viewers see them.
_OF_A_LOOK_S = 4.0
# Frames come ten a second; a publisher that takes another's place is missed for five and more.
_NO_GAP_S = 2.5
PROGRAM = """\
import http.server, os, shlex, subprocess, threading, time

push = None


def publish():
    # As an encoder does: on and on, and to the backup where the primary is taken.
    global push
    time.sleep(float(os.environ["START_S"]))
    while True:
        for url in os.environ["URLS"].split():
            words = [*shlex.split(os.environ["ENCODER"]), "-f", "flv", url]
            push = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            push.wait()
        time.sleep(0.2)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if push and push.poll() is None else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


threading.Thread(target=publish, daemon=True).start()
http.server.ThreadingHTTPServer((os.environ["SERVER_HOST"], 8000), Page).serve_forever()
"""


def declared(
    sink: RtmpSink, *names: str, view: Mapping[str, object], start_s: float = 0.0
) -> dict[str, Any]:
    return {
        "kind": "command",
        "image": "debian:12",
        "workdir": "stream",
        "ports": [8000],
        "files": [{"path": "publish.py", "content": PROGRAM}],
        "start": "exec python3 -u publish.py",
        "env": {
            "URLS": " ".join(sink.url(name) for name in names),
            "ENCODER": " ".join(["ffmpeg", *(f"'{word}'" for word in picture())]),
            "START_S": f"{start_s:g}",
        },
        "view": view,
        "audition": {"gpu": False},
    }


async def replaced(fleet: Fleet) -> Mapping[str, Any]:
    """Order another host, and wait until the old one has ended; returns what keeper says of the gap."""
    before = (await fleet.on_air()).instance_id
    since = fleet.mark()
    assert await fleet.keeper.order("replace", SLOT, "a test")
    swapped = await fleet.fact("handover.swapped", since=since)
    ended = await fleet.fact("instance.ended", since=since)
    assert ended["facts"]["instance_id"] == before
    assert (await fleet.on_air()).instance_id != before
    facts: Mapping[str, Any] = swapped["facts"]
    return facts


async def test_where_the_ingest_takes_two_publishers_viewers_miss_nothing(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    page = {"kind": "http", "port": 8000}
    with (
        RtmpSink(tmp_path / "ingest", free_port) as sink,
        FrameViewer(sink.url("x")) as first,
        FrameViewer(sink.url("x-backup")) as second,
    ):
        workload = declared(sink, "x", "x-backup", view=page, start_s=5.0)
        # As many looks as by default, if closer together: a viewer, too, takes some seconds to come in.
        async with Fleet(workload, policy={"handover_good_probes": 6}) as fleet:
            await fleet.on_air()
            await eventually(lambda: len(first.seen_at) > 50)
            began = now()
            told = await replaced(fleet)
            await eventually(lambda: not sink.publishing("x"))
            ended = now()
        assert (told["publishers"], told["gap_s"]) == ("several", 0.0)
        # The ingest's own log: who was refused at the primary went to the backup, and none was alone.
        old = next(each for each in sink.begun if each.name == "x")
        new = next(each for each in sink.begun if each.name == "x-backup")
        assert old.ended_at is not None
        assert new.began_at < old.ended_at
        assert new.ended_at is None or new.ended_at > old.ended_at
        # And the viewer's side: frames of the new one came before those of the old one ended.
        assert second.seen_at[0] < first.seen_at[-1]
        gap = longest_gap(first, second, since=began, until=ended)
        # No longer than this box makes any viewer wait now and then; who has to start takes seconds more.
        usual = longest_gap(first, since=first.seen_at[0], until=began)
        assert gap.seconds <= max(_NO_GAP_S, 3 * usual.seconds)
        frames = sum(began <= at <= ended for each in (first, second) for at in each.seen_at)
        print(
            f"two publishers: {frames} frames in {ended - began:.1f} s, the longest wait for one"
            f" {gap.seconds:.2f} s; keeper says {told['gap_s']:.1f} s"
        )


async def test_where_it_takes_one_there_is_never_a_second_and_the_gap_is_told(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with RtmpSink(tmp_path / "ingest", free_port) as sink, FrameViewer(sink.url("x")) as viewer:
        seen = {"kind": "rtmp", "url": sink.url("x"), "target_frames_per_s": 10}
        workload = declared(sink, "x", view=seen, start_s=5.0)
        policy = {"probe_interval_s": LOOK_S, "probe_timeout_s": 1.5, "replace_after_s": 20}
        async with Fleet(workload, policy=policy, stream={"publishers": "one"}) as fleet:
            await fleet.on_air()
            await eventually(lambda: len(viewer.seen_at) > 5)
            began = now()
            told = await replaced(fleet)
            ended = now()
            prepared = [e for e in fleet.events if e["event"] == "workload.prepared"]
            acts = [e for e in fleet.events if e["event"] == "handover.swapping"]
            after = fleet.events[fleet.events.index(acts[0]) :]
        assert (len(prepared), len(acts)) == (1, 1)
        # What was decided on, and is over in time, wakes nobody.
        assert not [each for each in after if each["event"] == "stream.dark"]
        assert told["publishers"] == "one"
        # Never two: nobody was refused, and by the ingest's own log nobody came before the other had gone.
        assert sink.refusals() == 0
        assert overlaps(sink.begun) == []
        assert len(sink.begun) >= 2
        gap = longest_gap(viewer, since=began, until=ended)
        print(
            f"one publisher: the viewer missed {gap.seconds:.2f} s, keeper says {told['gap_s']:.1f} s"
            f" (a look every {LOOK_S:g} s); the ingest had nobody for"
            f" {sink.begun[1].began_at - (sink.begun[0].ended_at or 0):.2f} s"
        )
        # A look at RTMP is one of some seconds; at either end of the gap it is that much too early or late.
        assert abs(told["gap_s"] - gap.seconds) <= 2 * (LOOK_S + _OF_A_LOOK_S)
        # The moments are the viewer's too: the gap that was told ends about where frames came again.
        assert gap.seconds >= 5.0
