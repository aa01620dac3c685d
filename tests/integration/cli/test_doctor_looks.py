"""What `keeper doctor` sees, part by part, on real files, sockets and processes."""

import asyncio
import contextlib
import os
import sqlite3
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from keeper.adapters.clock import SystemClock
from keeper.adapters.sql import SqlStore
from keeper.cli import doctor_look as look
from keeper.cli import doctor_reach as reach
from keeper.cli.doctor_box import Box, box_of, configuration_of, secret_files_of, secrets_of
from keeper.cli.doctor_facts import StoreState, Unit
from keeper.cli.doctor_finding import judged
from keeper.cli.doctor_receivers import receivers_of
from keeper.cli.doctor_rules import UNIT
from keeper.cli.doctor_rules_outside import RECEIVER

STORES = Path(__file__).parents[1] / "adapters" / "stores"


@pytest.fixture
def declared(tmp_path: Path) -> Callable[..., Box]:
    """Make a box of some lines of configuration."""

    def make(*lines: str, **environ: str) -> Box:
        config = tmp_path / "keeper.yaml"
        config.write_text("\n".join([f"state_dir: {tmp_path / 'state'}", *lines, ""]))
        return box_of(config, {"VAST_API_KEY": "k", **environ}, {})

    return make


# --- the configuration and its secrets -----------------------------------------------------------


def test_secrets_are_found_where_systemd_would_take_them(
    declared: Callable[..., Box], tmp_path: Path
) -> None:
    stream = "streams: [{name: duel, workload: {kind: sd-turbo}, secrets: [ADMIN_CODE, OTHER]}]"
    folder = tmp_path / "credentials" / "secret"
    folder.mkdir(parents=True)
    (folder / "admin_code").write_text("hush\n")
    (tmp_path / "credentials" / "vast_api_key").write_text("the-key\n")
    (tmp_path / "keeper.env").write_text("# a comment\nKEEPER_SECRET_OTHER='two'\n\nnonsense\n")
    box = declared(stream, VAST_API_KEY="")
    assert {each.name: each.is_given for each in secrets_of(box)} == {
        "ADMIN_CODE": True,
        "OTHER": True,
    }
    assert box.has_key
    assert box.settings.named_secrets["ADMIN_CODE"].get_secret_value() == "hush"
    assert [Path(each.path).name for each in secret_files_of(box)] == ["admin_code", "vast_api_key"]
    assert "hush" not in repr((secrets_of(box), secret_files_of(box), configuration_of(box)))


def test_a_secret_that_lacks_hides_nothing_else(declared: Callable[..., Box]) -> None:
    stream = "streams: [{name: duel, workload: {kind: sd-turbo}, secrets: [ADMIN_CODE]}]"
    box = declared(stream, VAST_API_KEY="")
    (secret,) = secrets_of(box)
    assert not secret.is_given
    assert secret.file.endswith("/credentials/secret/admin_code")
    assert not box.has_key
    assert box.problems == ()
    assert configuration_of(box).streams == 1


@pytest.mark.parametrize(
    ("lines", "line", "is_known"),
    [
        (("streams: [{name: duel}]",), 2, True),
        (("# one", "streams: [{name: duel, workload: {kind: nothing}}]"), 3, True),
        (("streams: [",), 3, False),
    ],
)
def test_mistakes_are_counted_and_the_rest_is_looked_at(
    declared: Callable[..., Box], lines: tuple[str, ...], line: int, *, is_known: bool
) -> None:
    box = declared(*lines)
    found = configuration_of(box)
    assert (found.problems, found.line) == (1, line), box.problems
    assert box.is_known is is_known


# --- the store -----------------------------------------------------------------------------------


async def test_a_store_is_told_by_its_schema_and_its_holder(declared: Callable[..., Box]) -> None:
    box = declared()
    path = box.settings.state_dir / "keeper.db"
    assert look.store_of(box).state is StoreState.ABSENT
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    found = look.store_of(box)
    assert (found.state, found.holder) == (StoreState.GOOD, str(os.getpid()))
    await store.close()
    assert look.store_of(box).holder == ""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9001'")
        database.commit()
    assert look.store_of(box).state is StoreState.AHEAD
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE meta SET value = '9001' WHERE key = 'oldest_reader'")
        database.commit()
    found = look.store_of(box)
    assert found.state is StoreState.BEYOND
    assert "install that version again" in found.said
    path.write_bytes(b"no database at all " * 500)
    assert look.store_of(box).state is StoreState.DAMAGED
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript((STORES / "0001.sql").read_text())
    before = path.read_bytes()
    found = look.store_of(box)
    assert (found.state, found.schema) == (StoreState.BEHIND, "0001")
    assert path.read_bytes() == before


# --- systemd -------------------------------------------------------------------------------------


async def test_systemd_is_asked_about_the_service(
    declared: Callable[..., Box], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for systemctl, which needs systemd as process 1: what it prints is from Debian 12."""
    box = declared()
    told = {
        "LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled",
        "NRestarts": "0", "WatchdogUSec": "1min", "NeedDaemonReload": "no",
    }  # fmt: skip
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    systemctl = tmp_path / "systemctl"

    async def unit(script: str = "") -> Unit:
        lines = "\n".join(f"{key}={value}" for key, value in told.items())
        systemctl.write_text(script or f"#!/bin/sh\ncat <<'EOF'\n{lines}\nEOF\n")
        systemctl.chmod(0o755)
        return await look.unit_of(box)

    found = judged("service", await unit(), UNIT)
    assert (found.level.value, found.cure) == ("warn", "sudo systemctl enable keeper")
    told |= {"UnitFileState": "enabled", "ActiveState": "active"}
    found = judged("service", await unit(), UNIT)
    assert found.seen == "the service is active and enabled, with a watchdog of 60 s"
    told["WatchdogUSec"] = "1.5s"
    assert judged("service", await unit(), UNIT).level.value == "fail"
    assert not (await unit("#!/bin/sh\necho 'no bus' >&2; exit 1\n")).has_systemd
    monkeypatch.setattr(look, "_COMMAND_S", 0.2)
    assert not (await unit("#!/bin/sh\nexec sleep 60\n")).has_systemd


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("1min", 60.0), ("1min 30s", 90.0), ("500ms", 0.5), ("2h", 7200.0), ("60000000", 60.0),
     ("0", None), ("infinity", None), ("", None)],
)  # fmt: skip
def test_a_span_is_read_as_systemctl_writes_it(written: str, seconds: float | None) -> None:
    assert look._span_s(written) == pytest.approx(seconds)


# --- others --------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def behind(
    path: Path, handle: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(path)).start()
        yield
    finally:
        await runner.cleanup()


async def test_whoever_is_behind_the_socket_is_heard_within_bounds(
    declared: Callable[..., Box], short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, path = declared(), short_path / "s"

    async def daemon() -> Any:
        return (await reach.daemon_of(box, path, is_installed=False))[0]

    assert (await daemon()).is_running is False
    path.write_text("no socket")
    assert (await daemon()).is_running is False
    path.unlink()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 65_536)
        return response

    async with behind(path, endless):
        assert (await daemon()).error == "its answer has no end"

    async def odd(request: web.Request) -> web.Response:
        return web.json_response({"info": {"version": "\x1b[31m9"}, "slots": "many"})

    async with behind(path, odd):
        found = await daemon()
        assert (found.version, found.slots) == ("\\x1b[31m9", 0)

    async def failing(request: web.Request) -> web.Response:
        return web.Response(status=500)

    async with behind(path, failing):
        assert (await daemon()).error == "it answers 500"

    monkeypatch.setattr(reach, "DIAL_S", 0.2)

    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with behind(path, silent):
        assert (await daemon()).error == "no answer in time"


async def test_what_the_running_keeper_says_of_a_channel_counts_more_than_that_it_answers(
    declared: Callable[..., Box], short_path: Path
) -> None:
    """A channel that was off was said to be well: its host could be reached."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    names = ("off", "lost", "stuck", "well", "unknown")
    hooks = (f"{{kind: webhook, name: {name}, url: '{url}', signing_secret: S}}" for name in names)
    feed = f"{{kind: alertmanager, name: am, url: '{url}'}}"
    secret = "whsec_c2VjcmV0LXRoYXQtaXMtbmV2ZXItc2hvd24="
    box = declared(f"alerts: {{channels: [{', '.join(hooks)}, {feed}]}}", KEEPER_SECRET_S=secret)
    told: Any = [
        {"channel": "off", "off_since": "2026-03-01T12:00:00Z", "off_why": "HTTP 410 \x1b[2J"},
        {"channel": "lost", "dropped": 2, "dropped_why": "HTTP 307"},
        {"channel": "stuck", "pending": 1, "last_error": "HTTP 503"},
        {"channel": "well", "pending": 1, "last_error": "", "dropped": 0},
        {"channel": "am", "pending": 0, "last_error": "HTTP 404"},
        "nonsense",
    ]

    async def keeper(request: web.Request) -> web.Response:
        assert request.path == "/api/v1/alerts"
        return web.json_response({"channels": told})

    async def seen() -> dict[str, tuple[str, str]]:
        found = await receivers_of(box, short_path / "s", is_sending=False)
        each = (judged(each.name, each, RECEIVER) for each in found)
        return {one.check.removeprefix("channel "): (one.level.value, one.seen) for one in each}

    reached = ("ok", "127.0.0.1 can be reached")
    async with server:
        assert set((await seen()).values()) == {reached}  # no keeper runs
        async with behind(short_path / "s", keeper):
            assert await seen() == {
                "off": ("fail", "the running keeper says: it is off: HTTP 410 \\x1b[2J"),
                "lost": ("fail", "the running keeper says: 2 messages are lost: HTTP 307"),
                "stuck": ("warn", "the running keeper says: 1 message waits: HTTP 503"),
                "well": reached,
                "unknown": reached,
                "am": (
                    "warn",
                    "the running keeper says: it does not take what it is shown: HTTP 404",
                ),
            }
            told = "nonsense"
            assert set((await seen()).values()) == {reached}


async def test_a_receiver_is_reached_and_nothing_is_sent_to_it(tmp_path: Path) -> None:
    """The path of such an address is a secret: it is neither sent nor told."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        found = await reach.receiver_of("hook", URL(f"http://127.0.0.1:{port}/T0/hush"))
    assert found.is_reached is True
    assert (await reach.receiver_of("hook", None)).is_by_library
    assert (await reach.receiver_of("x", URL("https://not-given.invalid/"))).is_reached is None
    found = await reach.receiver_of("hook", URL(f"http://127.0.0.1:{port}/T0/hush"))
    assert (found.is_reached, found.error) == (False, "nobody listens there")
    found = await reach.receiver_of("hook", URL("https://nowhere.invalid.:1/T0/hush"))
    assert found.is_reached is False
    assert "hush" not in repr(found)
    assert [each for each in heard if each] == []


@pytest.mark.real("openssl")  # makes the certificate
async def test_a_certificate_that_nobody_signed_is_told_as_one(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(  # noqa: ASYNC221 - before anything runs
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server:
        found = await reach.receiver_of("hook", URL(f"https://localhost:{port}/T0/hush"))
    assert found.is_reached is False
    assert found.is_bad_certificate
    assert "self" in found.error


async def test_names_and_canaries_are_tried(declared: Callable[..., Box]) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        box = declared(f"canary: {{addresses: ['127.0.0.1:{port}', '127.0.0.1:1']}}")
        found = await reach.canaries_of(box)
    assert (found.asked, found.answered, found.silent) == (2, 1, "127.0.0.1:1")
    assert (await reach.name_of(declared("vast: {url: 'http://127.0.0.1:1'}"))).addresses > 0
    assert (await reach.name_of(declared("vast: {url: 'https://no.such.invalid'}"))).addresses == 0
