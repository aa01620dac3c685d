"""Slates on a real ingest: published by a process of their own, which nothing outlives and nobody can hold."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.adapters.slate_card import Card, Painter, font_for, letters_lacking
from keeper.adapters.slates import Patience, ProcessSlates, is_installed
from keeper.core.model import StreamName
from keeper.ports import Address, PortError, Refused, SlateLook, TimedOut, Unreachable
from tests.relay import Relay
from tests.rtmp_sink import FrameViewer, RtmpSink, overlaps
from tests.waiting import eventually, is_running

# One worker: what all of them show is rendered once.
pytestmark = [pytest.mark.real("nginx-rtmp", "ffmpeg"), pytest.mark.xdist_group("slates")]

DUEL = StreamName("duel")
LOOK = SlateLook(
    title="Duel", subtitle="soon", width=160, height=90, frames_per_s=12, bitrate_bps=100_000
)
KEY = "sk-5ecr3t-0f-the-ingest"
QUICK = Patience(connect_s=3.0, stall_s=3.0, lease_s=6.0)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder in which the look has been rendered, as keeper does: once."""
    folder = tmp_path_factory.mktemp("studio")
    asyncio.run(ProcessSlates(folder).prepare(LOOK))
    return folder


def rendered(studio: Path) -> Path:
    """Where the look is."""
    return max((studio / "slates").glob("*.mp4"), key=lambda each: each.stat().st_size)


@pytest.fixture
def sink(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[RtmpSink]:
    with RtmpSink(tmp_path / "sink", free_port) as made:
        yield made


def children() -> set[int]:
    """The processes of this one that publish."""
    found = set()
    for each in Path("/proc").glob("[0-9]*"):
        try:
            words = (each / "cmdline").read_bytes().split(b"\0")
            status = (each / "status").read_text()
        except OSError:
            continue
        if b"keeper.adapters.slate_push" in words and f"PPid:\t{os.getpid()}\n" in status:
            found.add(int(each.name))
    return found


async def test_viewers_see_it_until_it_ends_and_the_ingest_is_free_at_once(
    studio: Path, sink: RtmpSink
) -> None:
    slates = ProcessSlates(studio)
    showing = await slates.begin(DUEL, LOOK, sink.url(KEY), 30.0)
    try:
        with FrameViewer(sink.url(KEY)) as viewer:
            await eventually(lambda: len(viewer.seen_at) > 5)
            showing.go_on()
            showing.aim(500.0)
            seen = len(viewer.seen_at)
            await eventually(lambda: len(viewer.seen_at) > seen + 8)
            assert sink.stat()[KEY].is_publishing
            assert showing.ended_because() is None
            # The key is told to nobody: not on a command line, not in an environment.
            (pid,) = children()
            for name in ("cmdline", "environ"):
                assert KEY.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
    finally:
        await showing.end()
    assert not children()
    await eventually(lambda: not sink.publishing(KEY))
    await showing.end()  # a repeat is harmless

    again = await slates.begin(DUEL, LOOK, sink.url(KEY), 0.0)
    await again.end()
    assert len(sink.begun) == 2
    assert overlaps(sink.begun) == []


async def test_there_is_never_a_second_one_of_a_stream(studio: Path, sink: RtmpSink) -> None:
    first = await ProcessSlates(studio).begin(DUEL, LOOK, sink.url("a"), 30.0)
    try:
        with pytest.raises(Refused, match="another slate"):
            await ProcessSlates(studio).begin(DUEL, LOOK, sink.url("b"), 30.0)
        assert [each.name for each in sink.publishing()] == ["a"]
    finally:
        await first.end()


async def test_ingest_that_has_a_publisher_refuses_it_and_the_host_is_not_disturbed(
    studio: Path, sink: RtmpSink
) -> None:
    host = sink.publish(KEY)
    await eventually(lambda: sink.stat().get(KEY) and sink.stat()[KEY].is_publishing)
    with pytest.raises(Unreachable) as refusal:
        await ProcessSlates(studio).begin(DUEL, LOOK, sink.url(KEY), 30.0)
    assert KEY not in str(refusal.value)
    assert host.poll() is None
    assert sink.stat()[KEY].is_publishing
    assert not children()


async def test_connection_that_the_ingest_ends_is_told(studio: Path, sink: RtmpSink) -> None:
    showing = await ProcessSlates(studio).begin(DUEL, LOOK, sink.url(KEY), 30.0)
    sink.stop()
    await eventually(lambda: showing.ended_because() is not None)
    assert "ended the connection" in str(showing.ended_because())
    await showing.end()
    assert not children()


_KEEPER = """
import asyncio, sys
from pathlib import Path
from keeper.adapters.slates import Patience, ProcessSlates
from keeper.ports import SlateLook

async def main():
    slates = ProcessSlates(Path(sys.argv[1]), Patience(lease_s=4.0))
    showing = await slates.begin("duel", SlateLook(**LOOK), sys.argv[2], 30.0)
    print("up", flush=True)
    while showing.ended_because() is None:
        showing.go_on()
        await asyncio.sleep(0.5)
    print(showing.ended_because(), flush=True)

asyncio.run(main())
"""


def a_keeper(studio: Path, url: str) -> subprocess.Popen[str]:
    """A process that shows a slate; what it shows must not outlive it."""
    look = {
        name: getattr(LOOK, name)
        for name in ("title", "subtitle", "width", "height", "frames_per_s", "bitrate_bps")
    }
    keeper = subprocess.Popen(
        [sys.executable, "-c", f"LOOK = {look!r}\n{_KEEPER}", str(studio), url],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdout is not None
    assert keeper.stdout.readline() == "up\n"
    return keeper


async def test_it_dies_with_its_keeper(studio: Path, sink: RtmpSink) -> None:
    keeper = a_keeper(studio, sink.url("k"))
    try:
        assert len(sink.publishing("k")) == 1
    finally:
        keeper.kill()
        keeper.communicate()
    await eventually(lambda: not sink.publishing("k"))


async def test_it_ends_when_its_keeper_hangs(studio: Path, sink: RtmpSink) -> None:
    """A keeper that is stopped for a minute sees no host come back, and must not keep it out."""
    keeper = a_keeper(studio, sink.url("k"))
    try:
        keeper.send_signal(signal.SIGSTOP)
        await eventually(lambda: not sink.publishing("k"))
        keeper.send_signal(signal.SIGCONT)
        said, _ = await asyncio.to_thread(keeper.communicate, None, 60)
        assert said == "it was not told to go on in time\n"
    finally:
        keeper.kill()
        keeper.wait()


async def test_cancelled_begin_leaves_nothing(studio: Path) -> None:
    async with a_stranger(_says_nothing) as url, asyncio.TaskGroup() as group:
        begin = group.create_task(begun(studio, url))
        await eventually(children)
        begin.cancel()
        await asyncio.wait([begin])
        assert not children()


async def test_frozen_network_ends_it(studio: Path, sink: RtmpSink) -> None:
    relay = Relay(Address(host="127.0.0.1", port=sink.port))
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    url = f"rtmp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live/{KEY}"
    try:
        showing = await ProcessSlates(studio, QUICK).begin(DUEL, LOOK, url, 30.0)
        (pid,) = children()
        relay.cut()
        await eventually(lambda: showing.ended_because() is not None)
        await showing.end()
        assert not is_running(pid)
    finally:
        await relay.end()
        server.close()


# --- strangers --------------------------------------------------------------------------------------


async def _says_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(1_000_000)
    await asyncio.sleep(3600)


async def _hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 4000)
    await writer.drain()
    await asyncio.sleep(3600)


async def _answers_without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greets as RTMP does, and then sends acknowledgements for ever."""
    greeting = await reader.readexactly(1537)
    writer.write(b"\x03" + bytes(1536) + greeting[1:])
    window = bytes.fromhex("02 000000 000004 05 00000000 00100000")
    while True:
        writer.write(window * 500)
        await writer.drain()
        await asyncio.sleep(0.01)


async def _claims_a_gigabyte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Announces messages of sixteen megabytes, one after the other, and sends their first bytes."""
    greeting = await reader.readexactly(1537)
    writer.write(b"\x03" + bytes(1536) + greeting[1:])
    for channel in range(3, 60):
        writer.write(bytes([channel]) + bytes.fromhex("000000 ffffff 08 01000000") + bytes(128))
    await writer.drain()
    await asyncio.sleep(3600)


@asynccontextmanager
async def a_stranger(
    manners: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]],
) -> AsyncIterator[str]:
    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await manners(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"rtmp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live/{KEY}"
    finally:
        server.close()
        tasks = [each for each in served if each is not None]
        for each in tasks:
            each.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def begun(studio: Path, url: str) -> None:
    showing = await ProcessSlates(studio, QUICK).begin(DUEL, LOOK, url, 30.0)
    await showing.end()


@pytest.mark.parametrize(
    "manners", [_says_nothing, _hangs_up, _speaks_http, _answers_without_end, _claims_a_gigabyte]
)
async def test_strange_ingest_is_given_up_in_time_and_named_without_its_key(
    studio: Path,
    manners: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]],
) -> None:
    async with a_stranger(manners) as url, asyncio.timeout(60):
        with pytest.raises(PortError) as refusal:
            await begun(studio, url)
    assert isinstance(refusal.value, Unreachable | TimedOut | Refused)
    assert KEY not in str(refusal.value)
    assert "://" not in str(refusal.value)
    assert not children()


# --- rendering --------------------------------------------------------------------------------------


async def test_look_is_rendered_once_and_another_one_apart(studio: Path) -> None:
    before = rendered(studio).stat().st_ino
    await ProcessSlates(studio).prepare(LOOK)
    assert rendered(studio).stat().st_ino == before


async def test_looks_of_earlier_configurations_are_not_kept_for_ever(tmp_path: Path) -> None:
    folder = tmp_path / "slates"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.mp4").write_bytes(b"")
        os.utime(folder / f"{number}.mp4", (number, number))
    await ProcessSlates(tmp_path).prepare(replace(LOOK, frames_per_s=1))
    kept = {each.name for each in folder.iterdir()}
    assert {"3.mp4", "4.mp4"} < kept
    assert len(kept) == 3


async def test_look_that_cannot_be_rendered_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    logo.write_text("no picture")
    look = SlateLook(title="x", logo_file=str(logo), width=160, height=90)
    with pytest.raises(Refused, match="logo"):
        await ProcessSlates(tmp_path).prepare(look)
    assert list((tmp_path / "slates").iterdir()) == []
    with pytest.raises(Refused, match="not been rendered"):
        await ProcessSlates(tmp_path).begin(DUEL, look, "rtmp://127.0.0.1:1/live/x", 0.0)


def test_rendered_file_can_be_entered_every_two_seconds_and_has_sound(studio: Path) -> None:
    import av

    made = rendered(studio)
    with av.open(str(made)) as media:
        keys = [
            float(packet.pts * packet.time_base)
            for packet in media.demux(media.streams.video[0])
            if packet.is_keyframe and packet.pts is not None
        ]
    assert keys == [2.0 * number for number in range(len(keys))]
    assert len(keys) == (600 + 16) // 2
    with av.open(str(made)) as media:
        assert media.streams.audio[0].codec_context.name == "aac"
        assert media.streams.video[0].codec_context.name == "h264"
    assert is_installed()


DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
LONG = "the grand final of the second season, live from everywhere, " * 8


@pytest.mark.parametrize("size", [(1280, 720), (160, 90), (720, 1280)])
@pytest.mark.parametrize("title", ["Duel", LONG, "X" * 300, "Žluťoučký kůň"])
def test_no_text_leaves_its_card(size: tuple[int, int], title: str) -> None:
    width, height = size
    card = Card(width=width, height=height, title=title, subtitle=title, background="#000000")
    painter = Painter(card)
    page = painter.base.copy()
    for text in ("09:59", card.ending):
        patch, at = painter.number(text)
        assert at[0] >= 0
        assert at[0] + patch.width <= width
        page.paste(patch, at)
    patch, at = painter.light(1.0)
    page.paste(patch, at)
    bright = page.convert("L").point([0] * 90 + [255] * 166)
    box = bright.getbbox()
    assert box is not None
    edge = round(0.02 * width)
    assert edge <= box[0]
    assert box[2] <= width - edge


def test_letters_that_no_font_has_lose_their_marks_rather_than_be_boxes() -> None:
    assert letters_lacking("Duel 04:32") == ""
    font, shown = font_for("Caf\u00e9 \u6f22", 30, str(DEJAVU) if DEJAVU.exists() else "")
    assert shown.startswith("Caf")
    assert "\u6f22" not in shown
    assert font.getlength(shown) > 0


def test_program_ends_where_it_was_not_started_by_its_keeper(studio: Path) -> None:
    """Between a fork and the kernel's promise to tell of the parent's death, the parent may die."""
    made = rendered(studio)
    job = {
        "url": "rtmp://127.0.0.1:1/live/x",
        "path": str(made),
        "parent": 1,
        "lock": str(studio / "lock"),
        "left_s": 0,
    }
    done = subprocess.run(
        [sys.executable, "-I", "-m", "keeper.adapters.slate_push"],
        input=json.dumps(job) + "\n",
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 15
