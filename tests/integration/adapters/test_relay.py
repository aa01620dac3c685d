"""Messages that go by apprise: taken by a real receiver, and by nobody of this box."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from keeper.adapters.relay import AppriseRelay, is_installed
from keeper.adapters.relay_child import hand_on, schema_of
from keeper.ports import PortError, Refused, Relayed, TimedOut, Unreachable
from tests.waiting import eventually

SECRET = "s3cr3tOfTheReceiver"


class Receiver:
    """A web server that takes what `json://` sends, and answers as it is told."""

    def __init__(self) -> None:
        self.taken: list[dict[str, object]] = []
        self.status = 200
        self.hangs = False
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.taken.append(await request.json())
        if self.hangs:
            # A byte now and then: no time-out between two of them ends it.
            endless = web.StreamResponse()
            await endless.prepare(request)
            while True:
                await endless.write(b".")
                await asyncio.sleep(0.2)
        return web.Response(status=self.status, text=f"no, {SECRET}")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/{any:.*}", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"json://user:{SECRET}@127.0.0.1:{runner.addresses[0][1]}/{SECRET}"
    yield made
    await runner.cleanup()


def message(url: str, *, timeout_s: float = 20.0) -> Relayed:
    return Relayed(
        url=url,
        title="🔴 duel/0 is dark, for 3 min",
        body="Why: frozen\nYou: `keeper explain duel/0` {{ x }} :smile: \\n",
        severity="critical",
        timeout_s=timeout_s,
    )


async def refusal(url: str, *, timeout_s: float = 20.0) -> PortError:
    with pytest.raises(PortError) as caught:
        await AppriseRelay().send(message(url, timeout_s=timeout_s))
    said = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert SECRET not in said
    assert SECRET not in repr(message(url))
    return caught.value


def test_the_extra_is_there() -> None:
    assert is_installed()


async def test_a_receiver_gets_title_and_text_as_they_are(receiver: Receiver) -> None:
    await AppriseRelay().send(message(receiver.url))
    (taken,) = receiver.taken
    assert taken["title"] == "🔴 duel/0 is dark, for 3 min"
    assert taken["message"] == "Why: frozen\nYou: `keeper explain duel/0` {{ x }} :smile: \\n"
    assert taken["type"] == "failure"


@pytest.mark.parametrize(
    ("status", "error"), [(500, Unreachable), (429, Unreachable), (404, Refused), (400, Refused)]
)
async def test_what_is_refused_for_good_is_told_from_what_may_pass(
    receiver: Receiver, status: int, error: type[PortError]
) -> None:
    receiver.status = status
    caught = await refusal(receiver.url)
    assert type(caught) is error
    assert str(caught) == f"apprise: json: HTTP {status}"


async def test_nobody_there_is_tried_again(free_port: Callable[[], int]) -> None:
    caught = await refusal(f"json://user:{SECRET}@127.0.0.1:{free_port()}/{SECRET}")
    assert type(caught) is Unreachable


async def test_whoever_hangs_is_left_at_the_deadline(receiver: Receiver) -> None:
    """By the end of apprise's process, if not by its own patience."""
    receiver.hangs = True
    caught = await refusal(receiver.url, timeout_s=2.5)
    assert type(caught) in {TimedOut, Unreachable}
    assert not children()


def children() -> list[str]:
    """The processes of apprise's that this test's process has."""
    found = []
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        for pid in (task / "children").read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
            if "relay_child" in command:
                found.append(command)
    return found


async def test_who_stops_waiting_leaves_no_process_behind(receiver: Receiver) -> None:
    receiver.hangs = True
    patient = message(receiver.url, timeout_s=3600)
    sending = asyncio.create_task(AppriseRelay().send(patient))
    await eventually(lambda: receiver.taken)
    assert len(children()) == 1
    assert SECRET not in children()[0], "an argument can be read by everybody on the box"
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert not children()


@pytest.mark.parametrize(
    "url",
    [
        "syslog://",
        "SYSLOG:local0",
        "gnome://",
        "dbus://",
        "windows://",
        "macosx://",
        "blink1://",
        " kde://",
    ],
)
async def test_an_address_of_this_box_is_refused(url: str) -> None:
    caught = await refusal(url)
    assert type(caught) is Refused
    answer = hand_on(url=url, title="t", body="b", severity="info", timeout_s=1.0)
    assert (answer["outcome"], "reaches this box" in answer["error"]) == ("refused", True)


async def test_what_is_no_address_is_refused_and_not_repeated() -> None:
    caught = await refusal(f"nonsense://{SECRET}")
    assert type(caught) is Refused


def test_every_plug_in_that_reaches_this_box_is_known() -> None:
    """A new release may bring more of them: those that import what talks to a desktop, a log or a device."""
    import apprise.plugins

    from keeper.adapters.relay_child import _LOCAL

    folder = Path(apprise.plugins.__file__).parent
    tells = (
        "subprocess",
        "import syslog",
        "import dbus",
        "gi.repository",
        "win32",
        "hidapi",
        "ctypes",
    )
    local = {
        path.relative_to(folder).parts[0].removesuffix(".py")
        for path in folder.rglob("*.py")
        if any(tell in path.read_text() for tell in tells)
    }
    names = {"glib": "gio"}
    assert {name for name in local if names.get(name, name) not in _LOCAL} <= {"__init__"}


def test_a_schema_is_read_as_apprise_reads_it() -> None:
    assert [schema_of(url) for url in ("Json://x", "  syslog:", "mailto://a:b@c", "plain")] == [
        "json",
        "syslog",
        "mailto",
        "",
    ]
