"""The slate and a real host on a real ingest: one publisher at any moment, and viewers who go on seeing frames.

What keeper knows of the host is said by the test; the ingest, its page, the slate and the host are real.
"""

import asyncio
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.network import HttpNetwork
from keeper.adapters.slates import ProcessSlates
from keeper.core.events import Event, SlateStarted, SlateYielded
from keeper.core.model import InstanceId, Reading, Status, StreamName, Subject
from keeper.core.reasons import Reason
from keeper.core.slate import SlateTerms, SlateWhy
from keeper.core.world import Snapshot
from keeper.daemon.slate import DeclaredSlate, SlateKeeper
from keeper.daemon.slate_sight import Known
from keeper.ports import SlateLook
from keeper.probes.ingest import publishers_at
from tests.rtmp_sink import FrameViewer, RtmpSink, end, interrupt
from tests.snapshots import conditions, record, snapshot, tenure
from tests.waiting import eventually

pytestmark = [pytest.mark.real("nginx-rtmp", "ffmpeg")]

DUEL, HOST = StreamName("duel"), InstanceId(7001)
LOOK = SlateLook(title="Duel", width=160, height=90, frames_per_s=12, bitrate_bps=100_000)
ON_AIR = snapshot(record())
LAME = snapshot(
    record(tenure=tenure(conditions=conditions(running=(Status.FALSE, Reason.PROCESS_GONE))))
)


@dataclass
class Studio:
    """A keeper of slates, what it is told, and what the ingest showed meanwhile."""

    sink: RtmpSink
    known: Known = field(
        default_factory=lambda: Known(snapshot=ON_AIR, latest={}, acting=(), is_stopping=False)
    )
    facts: list[Event] = field(default_factory=list)
    samples: list[int | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.sink.url("key")

    def publishers(self) -> int | None:
        stat = f"http://127.0.0.1:{self.sink.http_port}/stat"
        with urllib.request.urlopen(stat, timeout=10) as page:
            return publishers_at(page.read(), self.url)

    def knows(self, seen: Snapshot) -> None:
        self.known = replace(self.known, snapshot=seen)

    def sees(self) -> None:
        """A viewer's look at the host itself was good."""
        reading = Reading(
            instance_id=HOST,
            subject=Subject.PICTURE,
            status=Status.TRUE,
            reason=Reason.LIVE,
            at=SystemClock().now(),
        )
        self.known = replace(self.known, latest={(HOST, Subject.PICTURE): reading})

    def told(self, kind: type[Event]) -> list[Event]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def sample(self) -> None:
        while True:
            self.samples.append(await asyncio.to_thread(self.publishers))
            await asyncio.sleep(0.03)


@pytest.fixture
def sink(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[RtmpSink]:
    with RtmpSink(tmp_path / "sink", free_port) as made:
        yield made


@asynccontextmanager
async def a_studio(sink: RtmpSink, folder: Path, *, has_page: bool) -> AsyncIterator[Studio]:
    studio, network = Studio(sink), HttpNetwork()
    declared = DeclaredSlate(
        terms=SlateTerms(after_s=2.0),
        look=LOOK,
        ingest_url=studio.url,
        stat_url=f"http://127.0.0.1:{sink.http_port}/stat" if has_page else "",
    )
    keeper = SlateKeeper(
        ProcessSlates(folder),
        network=network,
        clock=SystemClock(),
        declared=lambda: {DUEL: declared},
        known=lambda: studio.known,
        note=studio.facts.append,
    )
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(keeper.run()), group.create_task(studio.sample())]
            yield studio
            for task in tasks:
                task.cancel()
    finally:
        await network.close()
    assert max(filter(None, studio.samples), default=0) <= 1


async def test_slate_fills_the_gap_and_makes_way_for_the_host(
    tmp_path: Path, sink: RtmpSink
) -> None:
    """The process ends, the slate comes; another host starts, is refused, shows a picture, and is let in."""
    async with a_studio(sink, tmp_path, has_page=False) as studio:
        host = sink.publish("key")
        studio.sees()
        with FrameViewer(studio.url) as viewer:
            await eventually(lambda: len(viewer.seen_at) > 3)
            end(host)
            await asyncio.sleep(0)
            studio.knows(LAME)
            await eventually(lambda: studio.told(SlateStarted))
            seen = len(viewer.seen_at)
            await eventually(lambda: len(viewer.seen_at) > seen + 3)

            late = sink.publish("key")  # while the slate is on the ingest takes no other
            await eventually(lambda: late.poll() is not None)
            studio.knows(snapshot(record(tenure=tenure(warm_at=None, deployed_at=ON_AIR.at))))
            studio.sees()
            await eventually(lambda: studio.told(SlateYielded))
            assert not sink.publishing("key")
            host = sink.publish("key")  # as the host does itself, again and again
            seen = len(viewer.seen_at)
            await eventually(lambda: len(viewer.seen_at) > seen + 3)
            assert host.poll() is None
    (yielded,) = studio.told(SlateYielded)
    assert isinstance(yielded, SlateYielded)
    assert yielded.why is SlateWhy.GOOD_FRAME
    print(f"from the good look to a free ingest: {yielded.yield_s:.3f} s")


async def test_frozen_host_gets_no_slate_beside_it_until_the_ingest_lets_go(
    tmp_path: Path, sink: RtmpSink
) -> None:
    async with a_studio(sink, tmp_path, has_page=True) as studio:
        host = sink.publish("key")
        # Of one that has never sent a frame, nginx waits for the first without end.
        await eventually(lambda: "key" in sink.stat() and sink.stat()["key"].bytes_in > 30_000)
        interrupt(host)
        try:
            # Nothing is known of its picture any more, and its connection is there: 10 s, by the ingest.
            await eventually(lambda: studio.told(SlateStarted))
            dropped = [sent for sent in sink.begun if sent.ended_at is not None]
            assert [sent.name for sent in dropped] == ["key"]
            assert len(sink.publishing("key")) == 1
        finally:
            host.send_signal(signal.SIGCONT)
