"""What real nginx-rtmp and ffmpeg serve, looked at in every way: the picture is seen, and no viewer is left over."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from keeper.adapters.network import HttpNetwork
from keeper.ports import MediaKind, MediaSource, PictureLimits, PictureSample
from tests.components import require
from tests.rtmp_sink import RtmpSink, end
from tests.waiting import look_until

pytestmark = [
    pytest.mark.real("nginx-rtmp", "ffmpeg"),
    pytest.mark.xdist_group("viewing"),
    pytest.mark.asyncio(loop_scope="module"),
]

LIMITS = PictureLimits(sample_s=1.5, timeout_s=30.0)


@pytest.fixture(scope="module")
def sink(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[RtmpSink]:
    with RtmpSink(tmp_path_factory.mktemp("viewing") / "sink", free_port) as sink:
        yield sink


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network() -> AsyncIterator[HttpNetwork]:
    network = HttpNetwork()
    yield network
    await network.close()


async def clients(sink: RtmpSink) -> dict[str, int]:
    return {stat.name: stat.clients for stat in sink.stat().values()}


async def test_playlist_and_player_see_the_stream_and_leave(
    sink: RtmpSink, network: HttpNetwork
) -> None:
    publisher = sink.publish("x")
    playlist = MediaSource(kind=MediaKind.HLS, url=sink.hls_url("x"))
    played = MediaSource(kind=MediaKind.RTMP, url=sink.url("x"))
    memory = b""

    async def look() -> PictureSample:
        nonlocal memory
        sample = await network.sample_media(playlist, replace(LIMITS, memory=memory))
        memory = sample.memory
        return sample

    first = await look_until(look, lambda sample: sample.change, every_s=0.5)
    assert (first.http_status, first.error, first.has_sound) == (200, "", True)
    assert first.mean_luma is not None
    assert first.mean_luma > 20
    assert first.sound_dbfs is not None
    assert first.sound_dbfs > -40
    assert first.newest_frame.startswith(b"\xff\xd8")
    again = await look_until(look, lambda sample: sample.newest_age_s == 0.0, every_s=0.5)
    assert again.frames

    before = await look_until(lambda: clients(sink), lambda found: found == {"x": 1})
    seen = await network.sample_media(played, LIMITS)
    assert (seen.http_status, seen.error, seen.has_sound) == (200, "", True)
    assert seen.frames
    await look()
    assert await look_until(lambda: clients(sink), lambda found: found == before)

    # The playlist stays and no longer advances, until nginx clears away what is twice as old as its list.
    end(publisher)
    stopped = await look_until(look, lambda sample: sample.frames == 0, every_s=1.0)
    assert (stopped.http_status, stopped.error) in {(200, "stalled"), (404, "")}
    if stopped.error:
        assert stopped.newest_age_s is not None
        assert stopped.newest_age_s > 5.0


async def test_snapshot_is_seen_to_move_and_to_stand(sink: RtmpSink, network: HttpNetwork) -> None:
    picture = sink.folder / "hls" / "snapshot.jpg"
    source = MediaSource(
        kind=MediaKind.JPEG, url=f"http://127.0.0.1:{sink.http_port}/hls/{picture.name}"
    )
    assert (await network.sample_media(source, LIMITS)).http_status == 404
    drawing = _draw(picture)
    try:
        moving = await look_until(
            lambda: network.sample_media(source, LIMITS),
            lambda sample: sample.unique_frames > 1,
        )
        assert (moving.http_status, moving.error) == (200, "")
        assert moving.change
        os.kill(drawing.pid, signal.SIGSTOP)
        stands = await network.sample_media(source, LIMITS)
        same = await network.sample_media(source, replace(LIMITS, memory=stands.memory))
        assert (same.unique_frames, same.change) == (1, 0.0)
        assert same.compared_s > stands.compared_s
    finally:
        end(drawing)


def _draw(picture: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            require("ffmpeg"), "-nostdin", "-loglevel", "error",
            "-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=5", "-threads", "1",
            "-update", "1", "-atomic_writing", "1", "-y", picture,
        ],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
