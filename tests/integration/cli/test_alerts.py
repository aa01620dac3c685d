"""`keeper alerts` as a person and a script meet it: the command against a served keeper."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from keeper.cli.app import run
from keeper.cli.exit_codes import ExitCode
from keeper.core.world import OrderKind
from keeper.web.app import make_app
from tests.integration.web.conftest import Keeper
from tests.integration.web.test_alerts import DARK, SILENCE, keeper
from tests.waiting import PATIENCE_S


@dataclass
class Terminal:
    """Runs the command in this process, against a keeper that is served by a thread."""

    keeper: Keeper
    socket: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *words: str) -> tuple[int, str, str]:
        code = run(["alerts", *words, "--socket", str(self.socket)])
        shown = self.capsys.readouterr()
        return code, shown.out, shown.err


@pytest.fixture
def terminal(
    short_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    monkeypatch.delenv("COLUMNS", raising=False)  # as in a pipe
    double, socket = keeper(SILENCE), short_path / "keeper.sock"
    with served(double, socket):
        yield Terminal(double, socket, capsys)


@contextmanager
def served(double: Keeper, socket: Path) -> Iterator[None]:
    """Serve a keeper from a thread of its own: a command has its own loop."""
    is_open, is_over = threading.Event(), threading.Event()

    async def serve() -> None:
        app = make_app(
            control=double, metrics=CollectorRegistry(), clock=double, token=None, is_local=True
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(socket)).start()
        is_open.set()
        await asyncio.to_thread(is_over.wait)
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert is_open.wait(PATIENCE_S)
        yield
    finally:
        is_over.set()
        thread.join()


def test_without_a_verb_it_lists_what_holds_and_what_became_of_it(terminal: Terminal) -> None:
    code, out, err = terminal.run()
    assert (code, err) == (0, "")
    for said in (
        "critical  KeeperStreamDark duel/1, for 12m00s",
        "You: look at the host: `keeper ssh duel/1`",
        "told 11m ago, but ops did not take all of it yet; messages since then to moved are lost",
        "; again in 4h00m to ops",
        "not told to anybody; KeeperStreamDark duel/1 says it already",
        "off for 1h00m: HTTP 410; try it: keeper alerts test pager",
        "2 messages are lost, the last 5m ago: HTTP 307; try it: keeper alerts test moved",
        "stream=duel",
        "keeps quiet: KeeperStreamDark:duel/1, KeeperDiskFull:duel/0",
    ):
        assert said in out
    assert "\x1b" not in out
    code, out, _ = terminal.run("--json")
    assert (code, len(json.loads(out)["alerts"])) == (0, 2)


def test_silence_says_what_it_keeps_quiet_and_how_to_end_it(terminal: Terminal) -> None:
    code, out, err = terminal.run(
        "silence", "KeeperStreamDark", "slot=duel/*", "--for", "30m", "--reason", "works"
    )
    (order,) = terminal.keeper.orders
    assert (code, order.kind) == (0, OrderKind.SILENCE)
    assert order.silence is not None
    said, mutes = out.splitlines()
    assert said.startswith("nobody is told of alert=KeeperStreamDark slot=duel/* until 2026-03-01")
    assert said.endswith(f" 12:30 UTC (id {order.silence.silence_id})")
    assert mutes == "  KeeperStreamDark duel/1: duel/1 is dark \\x1b[2J"
    assert f"keeper alerts unsilence {order.silence.silence_id}" in err
    assert "the end is told" in err
    code, _, err = terminal.run("silence", "stream=dual")
    assert (code, len(terminal.keeper.orders)) == (ExitCode.USAGE, 1)
    assert "did you mean stream=duel?" in err
    code, _, err = terminal.run("silence", "KeeperOrphan", "--for", "40d")
    assert (code, len(terminal.keeper.orders)) == (ExitCode.USAGE, 1)
    assert "at most 30 days" in err


def test_unsilence_ends_it_and_knows_what_was_meant(terminal: Terminal) -> None:
    code, out, _ = terminal.run("unsilence", SILENCE.silence_id)
    assert (code, terminal.keeper.orders[0].silence_id) == (0, SILENCE.silence_id)
    assert "the silence of stream=duel is over" in out
    code, _, err = terminal.run("unsilence", "5f2a9c0")
    assert code == ExitCode.NOT_FOUND
    assert "did you mean 5f2a9c01?" in err


def test_a_test_message_that_is_not_taken_is_a_failure(terminal: Terminal) -> None:
    code, out, _ = terminal.run("test", "ops")
    assert (code, terminal.keeper.tested) == (0, ["ops"])
    assert "ops took the test message" in out
    terminal.keeper.test_error = "HTTP 403 invalid_token"
    code, _, err = terminal.run("test", "ops")
    assert code == ExitCode.FAILED
    assert "ops did not take it: HTTP 403 invalid_token" in err
    assert "see its address and secret" in err
    for error, cure in (
        ("HTTP 410 gone", "the receiver wants no more"),
        ("HTTP 429 slow down", "it asks for time"),
        ("Uncertain: hooks.example: no whole answer in 15 s", "nobody answers within"),
    ):
        terminal.keeper.test_error = error
        code, _, err = terminal.run("test", "ops")
        assert (code, f"try: {cure}" in err) == (ExitCode.FAILED, True)
    code, _, err = terminal.run("test", "../orders")
    assert code == ExitCode.NOT_FOUND
    assert "there is: moved, ops, pager" in err


def test_the_outbox_and_a_keeper_that_is_not_there(terminal: Terminal) -> None:
    code, out, _ = terminal.run("outbox")
    assert code == 0
    assert "firing: duel/1 is dark" in out
    assert "HTTP 503" in out
    assert DARK.key not in out
    terminal.socket = terminal.socket.with_name("nobody.sock")
    code, out, err = terminal.run("list")
    assert (code, out) == (ExitCode.NO_DAEMON, "")
    assert "no keeper is running behind" in err
