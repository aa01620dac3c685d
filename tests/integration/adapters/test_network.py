"""The outside-in network against real loopback servers, kind and otherwise."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from keeper.adapters.network import HttpNetwork
from keeper.ports import (
    Address,
    HttpRequest,
    Invalid,
    PictureLimits,
    PortError,
    TimedOut,
    Uncertain,
    Unreachable,
)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
QUICK = PictureLimits(sample_s=0.3, timeout_s=20.0)
BRIEF = PictureLimits(sample_s=0.3, timeout_s=1.0)  # where only our own deadline ends it
MJPEG = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


@pytest.fixture
async def network() -> AsyncIterator[HttpNetwork]:
    network = HttpNetwork()
    yield network
    await network.close()
    await network.close()


@asynccontextmanager
async def raw(talk: Talk) -> AsyncIterator[str]:
    """Serve bytes that no HTTP server would send."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()
    await server.wait_closed()


def get(url: str, **more: object) -> HttpRequest:
    return HttpRequest(method="GET", url=url, **more)  # type: ignore[arg-type]


def jpeg(colour: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (colour, colour, colour)).save(out, "JPEG")
    return out.getvalue()


def part(body: bytes) -> bytes:
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n"


# --- one exchange ------------------------------------------------------------------------------


async def test_fetch_sends_and_gives_back_everything(network: HttpNetwork) -> None:
    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        return web.Response(status=201, body=body, headers={"X-Seen": request.headers["X-Mine"]})

    app = web.Application()
    app.router.add_post("/", echo)
    async with TestServer(app) as server:
        reply = await network.fetch(
            HttpRequest(
                method="POST", url=str(server.make_url("/")), headers={"X-Mine": "a"}, body=b"\x00b"
            )
        )
    assert (reply.status, reply.body, reply.headers["x-seen"]) == (201, b"\x00b", "a")


async def test_fetch_does_not_follow_redirects_and_keeps_no_cookies(network: HttpNetwork) -> None:
    async def away(request: web.Request) -> web.Response:
        headers = {"Location": "http://127.0.0.1:1/", "Set-Cookie": "a=b"}
        return web.Response(status=302, headers=headers, text=request.headers.get("Cookie", ""))

    app = web.Application()
    app.router.add_get("/", away)
    async with TestServer(app) as server:
        for _ in range(2):
            reply = await network.fetch(get(str(server.make_url("/"))))
            assert (reply.status, reply.body) == (302, b"")


async def test_fetch_keeps_its_connection(network: HttpNetwork) -> None:
    peers = set()

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/", note)
    async with TestServer(app) as server:
        for _ in range(5):
            await network.fetch(get(str(server.make_url("/"))))
    assert len(peers) == 1


async def test_fetch_cuts_a_body_without_end(network: HttpNetwork) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 4096)
            await writer.drain()

    async with raw(endless) as url:
        reply = await network.fetch(get(url, reply_max_bytes=1000))
    assert reply.body == b"x" * 1000


async def test_fetch_does_not_unpack_what_it_did_not_ask_for(network: HttpNetwork) -> None:
    async def bomb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd")
        await reader.read()

    async with raw(bomb) as url:
        assert (await network.fetch(get(url))).body == b"abcd"


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await reader.read()


async def _cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()


async def _closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _not_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n" + b"\x00\xff" * 100)
    await writer.drain()
    await reader.read()


async def _headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Junk: " + b"y" * 4000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize("talk", [_silent, _half, _cut, _closes, _not_http, _headers])
async def test_post_without_a_whole_answer_is_uncertain(network: HttpNetwork, talk: Talk) -> None:
    async with raw(talk) as url:
        request = HttpRequest(method="POST", url=url, body=b"x", timeout_s=0.5)
        with pytest.raises(Uncertain):
            await network.fetch(request)


async def test_nobody_there_is_unreachable(
    network: HttpNetwork, free_port: Callable[[], int]
) -> None:
    port = free_port()
    with pytest.raises(Unreachable):
        await network.fetch(get(f"http://127.0.0.1:{port}/"))
    with pytest.raises(Unreachable):
        await network.dial(Address(host="127.0.0.1", port=port), 5)


@pytest.mark.parametrize("url", ["", "no url", "ftp://127.0.0.1/", "http://[::", "http://"])
async def test_url_that_is_none_is_a_port_error(network: HttpNetwork, url: str) -> None:
    with pytest.raises((Invalid, Unreachable)):
        await network.fetch(get(url))


async def test_error_does_not_repeat_the_secret_in_a_url(network: HttpNetwork) -> None:
    """A webhook's path is its password."""
    for url in ("http://127.0.0.1:1/services/T0/s3cret", "http://me:s3cret@127.0.0.1:1/"):
        with pytest.raises(PortError) as caught:
            await network.fetch(get(url))
        assert "s3cret" not in str(caught.value)


async def test_dial_connects_and_a_black_hole_times_out(network: HttpNetwork) -> None:
    arrived = asyncio.Event()

    def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        arrived.set()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    address = Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    await network.dial(address, 5)
    async with asyncio.timeout(60):
        await arrived.wait()
    server.close()
    with pytest.raises((TimedOut, Unreachable)):
        await network.dial(Address(host="192.0.2.1", port=9), 0.2)


# --- a viewer ----------------------------------------------------------------------------------


def repeating(*frames: bytes, pause_s: float = 0.005) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(MJPEG)
        while True:
            for frame in frames:
                writer.write(part(frame))
                await writer.drain()
                await asyncio.sleep(pause_s)

    return talk


async def test_viewer_counts_unique_frames_and_measures_them(network: HttpNetwork) -> None:
    async with raw(repeating(jpeg(50), jpeg(50), jpeg(150))) as url:
        sample = await network.sample_mjpeg(url, QUICK)
    assert (sample.http_status, sample.error, sample.unique_frames) == (200, "", 2)
    assert sample.frames > 2
    assert sample.mean_luma is not None
    assert sample.motion == pytest.approx(100, abs=3)
    assert sample.newest_frame.startswith(b"\xff\xd8")


async def test_frames_of_a_megabyte_come_back_as_a_small_picture_and_once(
    network: HttpNetwork,
) -> None:
    noise = Image.effect_noise((1600, 900), 80).convert("RGB")
    out = io.BytesIO()
    noise.save(out, "JPEG", quality=95)
    assert len(out.getvalue()) > 1_000_000
    async with raw(repeating(out.getvalue())) as url:
        first = await network.sample_mjpeg(url, QUICK)
        again = await network.sample_mjpeg(url, replace(QUICK, memory=first.memory))
        anew = await network.sample_mjpeg(url, QUICK)
    assert len(first.newest_frame) < 100_000
    assert Image.open(io.BytesIO(first.newest_frame)).size == (320, 180)
    assert (again.newest_frame, again.mean_luma) == (b"", first.mean_luma)
    assert anew.newest_frame == first.newest_frame, "who has no memory of it has no picture"


async def test_viewer_stops_at_frames_and_at_bytes(network: HttpNetwork) -> None:
    limits = PictureLimits(sample_s=30, timeout_s=40, frames_max=5)
    async with raw(repeating(jpeg(50))) as url:
        assert 5 <= (await network.sample_mjpeg(url, limits)).frames < 60
    limits = PictureLimits(sample_s=30, timeout_s=40, bytes_max=5000, frames_max=10**6)
    async with raw(repeating(jpeg(50))) as url:
        assert (await network.sample_mjpeg(url, limits)).bytes_read < 5000 + 200_000


async def test_viewer_closes_its_connection(network: HttpNetwork) -> None:
    closed = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(MJPEG + part(jpeg(9)))
        await reader.read()
        closed.set()

    async with raw(talk) as url:
        await network.sample_mjpeg(url, QUICK)
        async with asyncio.timeout(60):
            await closed.wait()


async def test_viewer_of_a_stream_that_ended_begins_anew(network: HttpNetwork) -> None:
    """It came over a kept connection, where the server was done and said nothing more."""
    body = part(jpeg(9))
    head = MJPEG[:-2] + b"Content-Length: %d\r\n\r\n" % len(body)
    async with raw(answering(head + body)) as url:
        for _ in range(2):
            sample = await network.sample_mjpeg(url, PictureLimits(sample_s=0.3, timeout_s=10.0))
            assert (sample.http_status, sample.error, sample.frames) == (200, "closed", 1)


def answering(data: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        await reader.read()

    return talk


@pytest.mark.parametrize(
    ("talk", "http_status", "error"),
    [
        (_silent, 0, "timeout"),
        (_closes, 0, "reset"),
        (answering(MJPEG), 200, ""),
        (answering(MJPEG + b"junk" * 50_000), 200, ""),
        (answering(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), 503, ""),
        (answering(b"HTTP/1.1 302 No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), 302, ""),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"), 200, "not mjpeg"),
    ],
    ids=["silent", "closes", "header only", "junk", "error", "redirect", "page"],
)
async def test_viewer_of_no_picture_gets_a_sample_not_an_exception(
    network: HttpNetwork, talk: Talk, http_status: int, error: str
) -> None:
    async with raw(talk) as url:
        sample = await network.sample_mjpeg(url, BRIEF if talk is _silent else QUICK)
    assert (sample.http_status, sample.error, sample.frames) == (http_status, error, 0)
    assert sample.newest_frame == b""
    assert not sample.is_own_fault


def leading_to(url: str) -> Talk:
    head = (
        f"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n"
    )
    return answering(head.encode())


async def test_only_what_is_declared_may_lead_a_viewer_to_another_server(
    network: HttpNetwork,
) -> None:
    async with raw(repeating(jpeg(50))) as there, raw(leading_to(there)) as url:
        followed = await network.sample_mjpeg(url, QUICK, is_declared=True)
        left = await network.sample_mjpeg(url, QUICK)
    assert (followed.http_status, followed.error) == (200, "")
    assert followed.mean_luma == pytest.approx(50, abs=2)
    assert (left.http_status, left.frames) == (302, 0)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("http://169.254.169.254/latest", "it leads elsewhere"),
        ("http://10.0.0.1/", "it leads elsewhere"),
        ("file:///etc/passwd", "it leads elsewhere"),
        ("/", "redirects without end"),
    ],
)
async def test_what_is_declared_leads_a_viewer_to_no_neighbour_and_not_in_circles(
    network: HttpNetwork, target: str, error: str
) -> None:
    async with raw(leading_to(target)) as url:
        sample = await network.sample_mjpeg(url, QUICK, is_declared=True)
    assert (sample.http_status, sample.error, sample.frames) == (0, error, 0)
    assert not sample.is_own_fault


async def test_viewer_of_something_that_is_not_http_gets_an_error(network: HttpNetwork) -> None:
    for talk in (_not_http, _headers):
        async with raw(talk) as url:
            sample = await network.sample_mjpeg(url, QUICK)
        assert sample.http_status == 0
        assert sample.error


async def test_viewer_is_refused(network: HttpNetwork, free_port: Callable[[], int]) -> None:
    sample = await network.sample_mjpeg(f"http://127.0.0.1:{free_port()}/stream", QUICK)
    assert (sample.http_status, sample.error, sample.is_own_fault) == (0, "refused", False)


async def test_stream_that_breaks_off_still_gives_its_frames(network: HttpNetwork) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(MJPEG + part(jpeg(50)) + part(jpeg(150)))
        await writer.drain()

    async with raw(talk) as url:
        sample = await network.sample_mjpeg(url, QUICK)
    assert (sample.frames, sample.unique_frames) == (2, 2)
    assert sample.error in ("closed", "reset")


async def test_frames_that_are_no_pictures_are_counted(network: HttpNetwork) -> None:
    broken = b"\xff\xd8" + b"\x00" * 300 + b"\xff\xd9"
    async with raw(repeating(broken)) as url:
        sample = await network.sample_mjpeg(url, QUICK)
    assert (sample.unique_frames, sample.undecodable_frames, sample.mean_luma) == (1, 1, None)
    assert sample.newest_frame == b""


async def test_own_lack_of_descriptors_is_not_blamed_on_the_stream(
    network: HttpNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def out_of_files(*args: object, **kwargs: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", out_of_files)
    sample = await network.sample_mjpeg("http://127.0.0.1:9/", QUICK)
    assert sample.is_own_fault
