"""The client of the local socket, against servers that answer well, badly, or not at all."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from keeper.cli.client import is_running, local_keeper, no_daemon, socket_of
from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.options import CONFIG_DEFAULT, SOCKET_DEFAULT
from keeper.core.model import SlotId, SlotRecord, StreamName
from keeper.core.pauses import key_of
from keeper.core.world import OrderKind, Pause
from keeper.web.shapes import OrderStatus
from keeper.web.status import status_of
from tests.snapshots import NOW, dark, record, snapshot

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[Path]]


@pytest.fixture
async def serve(short_path: Path) -> AsyncIterator[Serve]:
    """Start a server on a socket that answers everything with one handler."""
    runners = []

    async def start(handler: Handler) -> Path:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        await web.UnixSite(runner, str(short_path / "keeper.sock")).start()
        return short_path / "keeper.sock"

    yield start
    for runner in runners:
        await runner.cleanup()


async def fail(path: Path) -> Stopped:
    async with local_keeper(path) as keeper:
        with pytest.raises(Stopped) as stopped:
            await keeper.fleet()
    return stopped.value


async def test_status_is_read_back_as_it_was_written(serve: Serve) -> None:
    fleet = status_of(snapshot(record(), dark("sd/0")), NOW)

    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/api/v1/status"
        return web.Response(body=orjson.dumps(fleet), content_type="application/json")

    async with local_keeper(await serve(answer)) as keeper:
        assert await keeper.fleet() == fleet


async def test_an_order_says_what_who_and_until_when(serve: Serve) -> None:
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, await request.json()))
        order = OrderStatus(
            order_id="o", kind=OrderKind.PAUSE, slot=None, actor="local:ann", until=NOW
        )
        return web.Response(body=orjson.dumps(order), status=202)

    async with local_keeper(await serve(answer)) as keeper:
        order = await keeper.order(OrderKind.PAUSE, None, reason="works", until_s=60)
    assert order.until == NOW
    body = {"kind": "pause", "slot": None, "reason": "works", "until_s": 60}
    assert seen == [("POST", "/api/v1/orders", body)]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, ExitCode.UNAUTHORIZED),
        (404, ExitCode.NOT_FOUND),
        (409, ExitCode.REFUSED),
        (422, ExitCode.USAGE),
        (503, ExitCode.TRY_AGAIN),
        (500, ExitCode.FAILED),
    ],
)
async def test_a_refusal_is_told_in_the_daemons_own_words(
    serve: Serve, status: int, code: ExitCode
) -> None:
    async def answer(_: web.Request) -> web.Response:
        body = {
            "title": "the store is shut",
            "status": status,
            "detail": "not now \x1b[2J",
            "cure": "later",
        }
        return web.Response(
            body=orjson.dumps(body), status=status, content_type="application/problem+json"
        )

    found = await fail(await serve(answer))
    assert (found.code, found.what, found.cure) == (
        code,
        "the store is shut: not now \\x1b[2J",
        "later",
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[1]", b'{"at": 3}', b"\xff\xfe"])
@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_of_another_version_is_no_traceback(
    serve: Serve, body: bytes, status: int
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status)

    found = await fail(await serve(answer))
    assert found.code is ExitCode.FAILED
    assert "not as this version of the command expects" in found.what


async def test_a_connection_that_is_cut_is_no_traceback(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    found = await fail(await serve(answer))
    assert found.code in (ExitCode.NO_DAEMON, ExitCode.FAILED)


async def test_nobody_behind_the_socket_is_exit_7(short_path: Path) -> None:
    path = short_path / "keeper.sock"
    assert not await is_running(path)
    assert (await fail(path)).code is ExitCode.NO_DAEMON
    with socket.socket(socket.AF_UNIX) as dead:  # left by a killed keeper
        dead.bind(str(path))
    assert not await is_running(path)
    found = await fail(path)
    assert found.code is ExitCode.NO_DAEMON
    assert found.what == f"no keeper is running behind {path}"


async def test_a_path_that_no_socket_can_have_is_exit_7(tmp_path: Path) -> None:
    assert not await is_running(tmp_path / ("x" * 120))


def test_a_socket_of_others_is_said_to_be_theirs() -> None:
    """Said from the error alone: root, as in CI, may open every socket."""
    found = no_daemon(Path("/run/keeper/keeper.sock"), PermissionError())
    assert found.code is ExitCode.NO_DAEMON
    assert found.what == "this user may not talk to the keeper at /run/keeper/keeper.sock"


def test_the_socket_is_found_without_a_key_and_without_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "keeper.yaml"
    config.write_text("socket: /run/mine.sock\n")
    assert socket_of(config, None) == Path("/run/mine.sock")
    assert socket_of(config, Path("other.sock")) == Path("other.sock")
    if not CONFIG_DEFAULT.exists():
        assert socket_of(CONFIG_DEFAULT, None) == SOCKET_DEFAULT
    monkeypatch.setenv("KEEPER_SOCKET", "/run/theirs.sock")
    assert socket_of(config, None) == Path("/run/theirs.sock")


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("duel/spare-0", {"slot": "duel/spare-0"}),
        ("old/1", {"slot": "old/1"}),  # paused, and not declared any more
        ("old", {"slot": None, "stream": "old"}),
    ],
)
async def test_whatever_is_paused_can_be_resumed_by_its_name(
    serve: Serve, name: str, sent: dict[str, str | None]
) -> None:
    pause = Pause(since=NOW, until=None, actor="ann", reason="")
    paused = {SlotId("old/1"): pause, SlotId("old/2"): replace(pause, reason="it too")}
    if name == "old":
        paused = {**paused, key_of(StreamName("old")): pause}
    place = SlotRecord(slot=SlotId("duel/spare-0"))
    fleet = status_of(snapshot(record(), place, slot_pauses=paused), NOW)
    seen = []

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(body=orjson.dumps(fleet), content_type="application/json")
        seen.append(await request.json())
        order = OrderStatus(order_id="o", kind=OrderKind.RESUME, slot=None, actor="ann", until=None)
        return web.Response(body=orjson.dumps(order), status=202)

    where = await serve(answer)
    command = [sys.executable, "-m", "keeper", "resume", name, "--socket", str(where)]
    asked = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await asked.communicate()
    assert seen == [{"kind": "resume", "reason": "", **sent}], said


# --- what goes on -----------------------------------------------------------------------------------


async def test_an_answer_that_goes_on_comes_line_by_line(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"one\ntw", b"o\n", b"\nunfinished"):
            await response.write(piece)
        return response

    async with local_keeper(await serve(answer)) as keeper:
        assert [line async for line in keeper.lines("log", slot="duel/0")] == [b"one", b"two", b""]


async def test_a_refusal_of_what_goes_on_is_the_daemons_own_words(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.Response:
        problem = {
            "title": "no such log",
            "status": 404,
            "detail": "there is no log",
            "cure": "see",
        }
        return web.Response(body=orjson.dumps(problem), status=404)

    async with local_keeper(await serve(answer)) as keeper:
        with pytest.raises(Stopped) as stopped:
            _ = [line async for line in keeper.lines("log")]
    assert stopped.value.code is ExitCode.NOT_FOUND
    assert (stopped.value.what, stopped.value.cure) == ("no such log: there is no log", "see")


async def test_a_line_without_end_is_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keeper.cli.client._LINE_MAX_BYTES", 100_000)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"x" * 65_536)
        return response

    async with local_keeper(await serve(answer)) as keeper:
        with pytest.raises(Stopped, match="a line without end"):
            _ = [line async for line in keeper.lines("log")]


async def test_a_keeper_that_dies_in_the_middle_of_an_answer_is_no_keeper(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with local_keeper(await serve(answer)) as keeper:
        with pytest.raises(Stopped) as stopped:
            _ = [line async for line in keeper.lines("log")]
    assert stopped.value.code is ExitCode.NO_DAEMON
