"""How answers may arrive: slow, endless, packed, redirected. Over real connections.

Hosts of redirects and proxies on the way are hostile too: whatever comes, keeper's memory and time
are bounded, and the key stays where it belongs.
"""

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web

from keeper.adapters.vastai import VastMarketplace
from keeper.adapters.vastai_hints import QUOTA_RESET_MAX_S
from keeper.adapters.vastai_http import BODY_MAX_BYTES
from keeper.core.model import InstanceId, OfferId, OfferNeeds, RentalSpec
from keeper.ports import Malformed, PortError, QuotaSpent, RateLimited, TimedOut, Uncertain
from tests.integration.adapters.vast_server import (
    ACCOUNT,
    CREATE,
    DESTROY,
    KEY,
    LIST,
    SEARCH,
    SHOW,
    Answer,
    market_at,
    never_ends,
    page,
    says,
    scripted,
)

SPEC = RentalSpec(image="i", disk_gb=10)
MIB = 1024 * 1024

CALLS: dict[str, Callable[[VastMarketplace], Awaitable[object]]] = {
    LIST: lambda market: market.list_instances(),
    SHOW: lambda market: market.show_instance(InstanceId(5)),
    SEARCH: lambda market: market.search_offers(OfferNeeds()),
    ACCOUNT: lambda market: market.account(),
    CREATE: lambda market: market.create(OfferId(7), "label", SPEC),
    DESTROY: lambda market: market.destroy(InstanceId(5)),
}


def packed(body: bytes, encoding: str, *, status: int = 200) -> Answer:
    return says(body, status, Content_Encoding=encoding)


def drips(body: bytes, apart_s: float) -> Answer:
    """Send a byte now and then, for ever if need be: the connection is never idle for long."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for at in range(1_000_000):
            try:
                await response.write(body[at : at + 1] or b" ")
            except ConnectionError:
                break
            await asyncio.sleep(apart_s)
        return response

    return answer


def bomb(packer: Callable[[bytes], bytes]) -> bytes:
    """Return what grows a thousandfold: 256 MiB out of some 256 kB."""
    return packer(b" " * (256 * MIB))


def deflated(body: bytes) -> bytes:
    return zlib.compress(body)


async def told(call: str, answer: Answer, timeout_s: float = 10.0) -> PortError:
    async with scripted() as script, market_at(script.url, timeout_s=timeout_s) as market:
        script.on(call, answer)
        with pytest.raises(PortError) as caught:
            await CALLS[call](market)
        assert script.count(call) == 1
        assert KEY not in str(caught.value)
        return caught.value


# --- size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
async def test_a_body_without_end_is_cut_off(call: str) -> None:
    error = await told(call, never_ends())
    assert type(error) is (Uncertain if call == CREATE else Malformed)
    assert "has no end" in str(error)


@pytest.mark.parametrize("status", [200, 307, 400, 502])
async def test_whatever_the_status_a_body_is_bounded(status: int) -> None:
    error = await told(ACCOUNT, says(b" " * (BODY_MAX_BYTES + 1), status))
    assert "has no end" in str(error)


async def test_a_long_body_within_the_bound_is_read() -> None:
    body = b'{"credit": 7}' + b" " * (BODY_MAX_BYTES - 13)
    async with scripted() as script, market_at(script.url) as market:
        script.on(ACCOUNT, says(body))
        assert (await market.account()).credit_dollars == 7


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("call", [ACCOUNT, CREATE])
async def test_what_unpacks_without_end_is_cut_off(call: str, encoding: str) -> None:
    body = bomb(gzip.compress if encoding == "gzip" else deflated)
    assert len(body) < MIB
    tracemalloc.start()
    try:
        error = await told(call, packed(body, encoding))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert type(error) is (Uncertain if call == CREATE else Malformed)
    assert peak < 4 * BODY_MAX_BYTES, "it was unpacked before it was measured"


async def test_a_packed_answer_is_read() -> None:
    for encoding, packer in (("gzip", gzip.compress), ("deflate", deflated)):
        async with scripted() as script, market_at(script.url) as market:
            script.on(ACCOUNT, packed(packer(b'{"credit": 7}'), encoding))
            assert (await market.account()).credit_dollars == 7


@pytest.mark.parametrize("call", [ACCOUNT, CREATE])
@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(b"no gzip at all", "gzip", id="not packed"),
        pytest.param(gzip.compress(b'{"credit": 7}')[:-12], "gzip", id="cut"),
        pytest.param(gzip.compress(b'{"credit": 7}'), "rot13", id="a packing nobody knows"),
    ],
)
async def test_what_cannot_be_unpacked_is_no_answer(call: str, body: bytes, encoding: str) -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(call, packed(body, encoding))
        with pytest.raises(PortError) as caught:
            await CALLS[call](market)
        assert isinstance(caught.value, Uncertain) is (call == CREATE)


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
async def test_a_dripping_body_has_a_deadline(call: str) -> None:
    """Each byte comes in time, and the answer never does."""
    error = await told(call, drips(b'{"success": true', 0.02), timeout_s=0.5)
    assert type(error) is (Uncertain if call == CREATE else TimedOut)


@asynccontextmanager
async def raw(talk: bytes, apart_s: float = 0.0) -> AsyncIterator[str]:
    """Serve bytes that are no proper HTTP, one by one when ``apart_s`` is given, then hang."""
    release, ended = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            for at in range(0, len(talk), 1 if apart_s else len(talk)):
                writer.write(talk[at : at + 1] if apart_s else talk)
                await writer.drain()
                await asyncio.sleep(apart_s)
            await release.wait()
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        release.set()
        server.close()
        await ended.wait()


@pytest.mark.parametrize("call", [LIST, CREATE])
async def test_dripping_headers_have_a_deadline(call: str) -> None:
    async with (
        raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 999, 0.02) as url,
        market_at(url, timeout_s=0.5) as market,
    ):
        with pytest.raises(PortError) as caught:
            await CALLS[call](market)
        assert type(caught.value) is (Uncertain if call == CREATE else TimedOut)


@pytest.mark.parametrize("call", [LIST, CREATE])
@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * MIB + b"\r\n\r\n", id="a huge header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, id="too many headers"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", id="a broken chunk"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", id="a length below zero"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000, id="go on, and on"),
    ],
)
async def test_what_is_no_http_is_no_answer(call: str, talk: bytes) -> None:
    async with raw(talk) as url, market_at(url, timeout_s=2.0) as market:
        with pytest.raises(PortError) as caught:
            await CALLS[call](market)
        error = caught.value
        assert type(error) is Uncertain if call == CREATE else not isinstance(error, Uncertain)
        assert KEY not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


SPENT = b'{"success": false, "error": "search_quota_exceeded"}'


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"Date: Fri, 31 Dec 9999 23:59:59 GMT", id="the last of all days"),
        pytest.param(b"Date: Mon, 01 Jan 0001 00:00:00 GMT", id="the first"),
        pytest.param(b"Date: \xff\xfe\xc3\xa9", id="no ASCII"),
        pytest.param(b"Date: " + b"9" * 8000, id="very long"),
        pytest.param(
            b"Date: Fri, 31 Dec 9999 23:59:59 GMT\r\nDate: never\r\nX-RateLimit-Reset: 1\r\n"
            b"X-RateLimit-Reset: 1e308",
            id="each of them twice",
        ),
        pytest.param(
            b"X-RateLimit-Reset: nan\r\nRetry-After: 1e308", id="no number, and too large"
        ),
        pytest.param(b"X-RateLimit-Reset: -1e308\r\nX-RateLimit-Remaining: \xe9", id="below zero"),
        pytest.param(b"Date: \r\nX-RateLimit-Reset: \r\nRetry-After: ", id="nothing"),
    ],
)
async def test_no_header_raises_or_stops_the_search_beyond_a_day(headers: bytes) -> None:
    """A search that raises what nobody expects would end the task that searches, at each try."""
    length = b"Content-Length: %d\r\n\r\n" % len(SPENT)
    talk = b"HTTP/1.1 429 Slow Down\r\n" + headers + b"\r\n" + length + SPENT
    async with raw(talk) as url, market_at(url, timeout_s=20.0) as market:
        with pytest.raises(QuotaSpent) as caught:
            await market.search_offers(OfferNeeds())
        until = caught.value.until
        assert until is not None
        assert 0 < (until - datetime.now(UTC)).total_seconds() <= QUOTA_RESET_MAX_S


@pytest.mark.parametrize(
    "header",
    [b"Retry-After: " + each for each in (b"1e308", b"nan", b"-5", b"\xe9", b"9" * 8000, b"Mon")]
    + [b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", b"Retry-After: 7\r\nRetry-After: 1e9"],
)
async def test_no_header_asks_for_more_than_some_minutes_of_patience(header: bytes) -> None:
    talk = b"HTTP/1.1 429 Slow Down\r\n" + header + b"\r\nContent-Length: 0\r\n\r\n"
    async with raw(talk) as url, market_at(url, timeout_s=20.0) as market:
        with pytest.raises(RateLimited) as caught:
            await market.list_instances()
        assert 0 <= (caught.value.retry_after_s or 0.0) <= 300


# --- the label of an answer ----------------------------------------------------------------------


@pytest.mark.parametrize("call", [LIST, CREATE, DESTROY])
async def test_a_page_for_people_is_no_yes(call: str) -> None:
    """A captive portal, or a proxy's error page with status 200, even around proper JSON."""
    body = page([], 0) | {"new_contract": 4711, "success": True}
    error = await told(call, says(body, content_type="text/html; charset=utf-8"))
    assert type(error) is (Uncertain if call == CREATE else Malformed)


# --- redirects -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_read_follows_with_method_and_body(status: int) -> None:
    """Vast's former host answers 308 to the present one (reports from the field, 2026-08)."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(SEARCH, says("", status, Location="/api/v9/bundles/"))
        script.on("POST /api/v9/bundles/", says({"offers": []}))
        assert await market.search_offers(OfferNeeds()) == ()
        first, second = script.seen
        assert first.body == second.body
        assert second.headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306])
@pytest.mark.parametrize("call", [CREATE, DESTROY])
async def test_a_write_follows_only_where_nothing_was_done(call: str, status: int) -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(call, says("", status, Location="/elsewhere"))
        with pytest.raises(PortError) as caught:
            await CALLS[call](market)
        assert [one.call for one in script.seen] == [call]
        assert type(caught.value) is (Uncertain if call == CREATE else Malformed)


@pytest.mark.parametrize("call", CALLS)
async def test_a_chain_of_redirects_is_short(call: str) -> None:
    async with scripted() as script, market_at(script.url) as market:
        method, _, path = call.partition(" ")
        for at in range(20):
            here = f"{path}{at}" if at else path
            script.on(f"{method} {here}", says("", 307, Location=f"{path}{at + 1}"))
        with pytest.raises(Malformed, match="redirects in a row"):
            await CALLS[call](market)
        assert len(script.seen) == 4


async def test_a_chain_of_redirects_has_one_deadline() -> None:
    async def slowly(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response(status=308, headers={"Location": f"{request.path}x"})

    async with scripted() as script, market_at(script.url, timeout_s=0.5) as market:
        for at in range(5):
            script.on(ACCOUNT + "x" * at, slowly)
        with pytest.raises(TimedOut):
            await market.account()


@pytest.mark.parametrize("call", CALLS)
async def test_the_key_follows_no_redirect_to_a_stranger(call: str) -> None:
    async with scripted() as script, scripted() as thief, market_at(script.url) as market:
        script.on(call, says("", 307, Location=f"{thief.url}{call.partition(' ')[2]}"))
        with pytest.raises(Malformed, match="the key stays here"):
            await CALLS[call](market)
        assert thief.seen == []


# --- JSON that says two things, or goes down for ever --------------------------------------------


async def test_a_list_that_is_there_twice_is_no_empty_list() -> None:
    """I9: the last of two equal names counts, and here it says that nothing is rented."""
    body = (
        b'{"success": true, "instances": [{"id": 5}], "total_instances": 1, "instances_found": 1, '
        b'"instances": [], "total_instances": 0, "instances_found": 0}'
    )
    assert type(await told(LIST, says(body))) is Malformed


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * (4 * MIB), id="arrays"),
        pytest.param(b'{"instances":' * 500_000, id="objects"),
        pytest.param(b'{"offers": [' + b'{"a":' * 500_000 + b"1" + b"}" * 500_000, id="rows"),
    ],
)
async def test_a_body_without_a_floor_is_no_answer(call: str, body: bytes) -> None:
    error = await told(call, says(body))
    assert isinstance(error, Uncertain) is (call == CREATE)
