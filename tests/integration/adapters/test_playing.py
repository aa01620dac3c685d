"""Playing from an RTMP server: what is seen, how long it takes, and what is left behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from keeper.adapters.decoder import Decoders
from keeper.ports import PictureLimits
from tests.rtmp_sink import RtmpSink, picture
from tests.waiting import eventually

pytestmark = [
    pytest.mark.xdist_group("decoder"),
    pytest.mark.asyncio(loop_scope="module"),
]

KEY = "live_k3y-of-a-stream"
# Far more time than it takes: on a busy box a look must not end for want of it.
LIMITS = PictureLimits(timeout_s=30.0)
MOVING = "testsrc2=size=160x90:rate=10"
STANDING = (
    "smptebars=size=160x90:rate=10,noise=alls=8:allf=t"  # no frame is coded as the one before
)
BRIEF = PictureLimits(sample_s=0.2, timeout_s=1.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoders() -> AsyncIterator[Decoders]:
    made = Decoders()
    yield made
    await made.close()


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtmpSink]:
    import socket

    def free_port() -> int:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            return int(one.getsockname()[1])

    with RtmpSink(tmp_path_factory.mktemp("sink"), free_port) as made:
        made.publish(KEY, picture())
        yield made


def players(sink: RtmpSink) -> int:
    """Return who plays the stream, by nginx's own count."""
    stat = sink.stat().get(KEY)
    return 0 if stat is None else stat.clients - stat.is_publishing


@pytest.mark.real("nginx-rtmp", "ffmpeg")
async def test_a_played_stream_in_numbers_and_nobody_is_left_behind(
    decoders: Decoders, sink: RtmpSink
) -> None:
    await eventually(lambda: sink.publishing(KEY))
    found = await decoders.rtmp(sink.url(KEY), LIMITS)
    assert (found.error, found.is_own_fault, found.http_status) == ("", False, 200)
    assert found.frames >= 10  # two keyframes are a second apart
    assert found.unique_frames >= found.frames * 0.7
    assert found.keyframe_interval_s == pytest.approx(1.0, abs=0.2)
    assert found.change is not None
    assert found.change > 0
    assert found.mean_luma is not None
    assert (found.has_sound, found.newest_frame[:2]) == (True, b"\xff\xd8")
    assert found.sound_dbfs is not None
    assert -40 < found.sound_dbfs < -10
    assert found.newest_age_s is not None
    assert found.newest_age_s < 30
    assert 0 < found.bytes_read < LIMITS.bytes_max
    await eventually(lambda: players(sink) == 0)
    again = await decoders.rtmp(sink.url(KEY), replace(LIMITS, memory=found.memory))
    assert again.change
    assert again.compared_s > found.compared_s


@pytest.mark.real("nginx-rtmp", "ffmpeg")
async def test_playing_stops_at_its_bound_of_bytes(decoders: Decoders, sink: RtmpSink) -> None:
    await eventually(lambda: sink.publishing(KEY))
    found = await decoders.rtmp(sink.url(KEY), replace(LIMITS, bytes_max=4_000))
    assert not found.is_own_fault
    assert found.bytes_read < 40_000
    await eventually(lambda: players(sink) == 0)


def keyframes_two_seconds_apart(source: str, sound: str) -> list[str]:
    """Return ffmpeg's arguments; frames refer ahead, so that decoders hold a picture back."""
    arguments = picture()
    for old, new in (
        ("testsrc2=size=160x90:rate=10", source),
        ("sine=frequency=440:sample_rate=44100", sound),
        ("zerolatency", "animation"),
    ):
        arguments[arguments.index(old)] = new
    arguments[arguments.index("-g") + 1] = "20"
    return [*arguments, "-bf", "2", "-sc_threshold", "0"]


@pytest.mark.real("nginx-rtmp", "ffmpeg")
async def test_a_picture_that_has_moved_since_the_look_before_is_played_for_a_second(
    decoders: Decoders, sink: RtmpSink
) -> None:
    """Players are few and bytes are paid for: only what may be a fault is looked at for longer."""
    sink.publish("moving", keyframes_two_seconds_apart(MOVING, "anullsrc=r=44100"))
    await eventually(lambda: sink.publishing("moving"))
    first = await decoders.rtmp(sink.url("moving"), LIMITS)
    assert first.keyframe_interval_s == pytest.approx(2.0, abs=0.3)
    later = replace(LIMITS, memory=first.memory)
    brief = await decoders.rtmp(sink.url("moving"), later)
    assert (brief.error, brief.is_own_fault, brief.keyframe_interval_s) == ("", False, None)
    assert brief.change
    assert brief.mean_luma is not None
    assert 1.0 <= brief.media_s < 1.8
    assert brief.unique_frames >= brief.frames * 0.7
    assert brief.newest_frame[:2] == b"\xff\xd8"
    assert brief.memory != first.memory
    silent = await decoders.rtmp(sink.url("moving"), replace(later, wants_sound=True))
    assert silent.keyframe_interval_s is not None, "silence is listened to for longer"
    assert silent.sound_dbfs is not None
    assert silent.sound_dbfs < -100
    assert silent.change
    await eventually(lambda: "moving" not in sink.stat() or sink.stat()["moving"].clients == 1)


@pytest.mark.real("nginx-rtmp", "ffmpeg")
async def test_a_picture_that_seems_to_stand_is_played_until_its_second_keyframe(
    decoders: Decoders, sink: RtmpSink
) -> None:
    tone = "sine=frequency=440:sample_rate=44100"
    sink.publish("standing", keyframes_two_seconds_apart(STANDING, tone))
    await eventually(lambda: sink.publishing("standing"))
    first = await decoders.rtmp(sink.url("standing"), LIMITS)
    again = await decoders.rtmp(sink.url("standing"), replace(LIMITS, memory=first.memory))
    assert (first.change, again.change) == (0.0, 0.0)
    assert again.keyframe_interval_s == pytest.approx(2.0, abs=0.3)
    assert again.compared_s > first.compared_s


@pytest.mark.real("nginx-rtmp", "ffmpeg")
async def test_what_no_look_has_kept_shortens_none(decoders: Decoders, sink: RtmpSink) -> None:
    await eventually(lambda: sink.publishing(KEY))
    found = await decoders.rtmp(sink.url(KEY), replace(LIMITS, memory=b"of something else"))
    assert found.keyframe_interval_s is not None


@pytest.mark.real("nginx-rtmp")
async def test_a_name_that_nobody_publishes_has_no_frame(
    decoders: Decoders, sink: RtmpSink
) -> None:
    found = await decoders.rtmp(sink.url("nobody"), replace(BRIEF, timeout_s=3.0))
    assert (found.http_status, found.frames, found.is_own_fault) == (200, 0, False)
    assert found.error == "the server answers, and nothing is published there"
    assert found.sampled_s > 0, "and how long it was waited for is told"


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def stranger(talk: Talk) -> AsyncIterator[str]:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    yield f"rtmp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live/{KEY}"
    server.close()


async def _closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n" * 200)
    await writer.drain()


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


@pytest.mark.parametrize("talk", [_closes, _silent, _page, _endless])
async def test_a_server_that_speaks_no_rtmp_shows_no_frame(decoders: Decoders, talk: Talk) -> None:
    async with stranger(talk) as url:
        found = await decoders.rtmp(url, BRIEF)
    assert (found.http_status, found.frames, found.is_own_fault) == (200, 0, False)
    assert "published" not in found.error, "of what is no RTMP nobody knows that"
    assert KEY not in repr(found)


async def test_nobody_is_there(decoders: Decoders, free_port: Callable[[], int]) -> None:
    found = await decoders.rtmp(f"rtmp://127.0.0.1:{free_port()}/live/{KEY}", LIMITS)
    assert (found.http_status, found.error, found.is_own_fault) == (0, "refused", False)


async def test_a_name_that_is_none_is_our_own_fault(decoders: Decoders) -> None:
    found = await decoders.rtmp(f"rtmp://no-such-host.invalid/live/{KEY}", LIMITS)
    assert (found.is_own_fault, found.error) == (True, "the address cannot be found")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://127.0.0.1:1/x", "rtmpt://127.0.0.1:1/x", "concat:a|b", ""]
)
async def test_nothing_but_rtmp_is_played(decoders: Decoders, url: str) -> None:
    found = await decoders.rtmp(url, LIMITS)
    assert (found.is_own_fault, found.error) == (True, "not an address of RTMP")


async def test_a_file_is_read_by_no_address_of_rtmp(decoders: Decoders, tmp_path: Path) -> None:
    """FFmpeg takes options from an address: none of them opens anything else."""
    found = await decoders.rtmp(
        f"rtmp://127.0.0.1:9/x playpath={tmp_path} swfUrl=file:///etc/hosts", BRIEF
    )
    assert found.frames == 0
    assert found.http_status == 0
