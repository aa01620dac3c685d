"""Questions to hosts over HTTP: who may ask, what is answered, and how bad news reads."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from keeper.core.model import InstanceId, SlotId, Status
from keeper.core.reasons import Reason
from keeper.core.world import Listing
from keeper.ports import (
    ArchiveFailed,
    CommandFailed,
    Malformed,
    Missing,
    PortError,
    Uncertain,
    Unreachable,
)
from keeper.ports.asking import HostLog, LogPiece, Told
from keeper.web import asking
from tests.integration.web.conftest import KEY_FILE, TOKEN, Keeper, Serve
from tests.integration.web.test_app import BEARER, ask
from tests.snapshots import NOW, conditions, instance, record, snapshot, tenure
from tests.waiting import eventually

PATHS = ("way", "report", "logs", "log")
OWN, RELAYS = "ssh-ed25519 AAAAown", "ssh-ed25519 AAAArelay"


@dataclass
class Hosts:
    """Fulfils Asking."""

    told: tuple[Told, ...] = (Told(title="Server health", status=Status.TRUE, text="ok"),)
    pieces: list[LogPiece] = field(
        default_factory=lambda: [
            LogPiece(instance_id=InstanceId(7001), path="a.log", lines=("one", "two")),
            LogPiece(instance_id=InstanceId(7001), path="a.log", remark="it was truncated"),
        ]
    )
    error: PortError | None = None
    error_after: PortError | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    goes_on: bool = False
    is_closed: bool = False

    def view_port(self, slot: SlotId) -> int | None:
        return 8000

    async def report(self, slot: SlotId) -> tuple[Told, ...]:
        if self.error is not None:
            raise self.error
        return self.told

    async def logs(self, slot: SlotId) -> tuple[HostLog, ...]:
        if self.error is not None:
            raise self.error
        return (HostLog(path="a.log", size_bytes=12, quiet_s=3.0),)

    async def deploy_logs(self, slot: SlotId) -> tuple[HostLog, ...]:
        if self.error is not None:
            raise self.error
        return (HostLog(path="deploys/duel.0/k-1.log", size_bytes=1, quiet_s=0.0),)

    def deploy_log(
        self, slot: SlotId, *, name: str, lines_max: int, is_followed: bool
    ) -> AsyncGenerator[LogPiece, None]:
        self.pieces = [LogPiece(instance_id=None, path="deploys/duel.0/k-1.log", lines=("step",))]
        return self.log(slot, name=name, lines_max=lines_max, is_followed=is_followed)

    async def log(
        self, slot: SlotId, *, name: str, lines_max: int, is_followed: bool
    ) -> AsyncGenerator[LogPiece, None]:
        self.asked.append({"name": name, "lines_max": lines_max, "is_followed": is_followed})
        try:
            if self.error is not None:
                raise self.error
            for piece in self.pieces:
                yield piece
            if self.error_after is not None:
                raise self.error_after
            while self.goes_on:
                yield LogPiece(instance_id=None)
                await asyncio.sleep(0.01)
        finally:
            self.is_closed = True


def at_home(**given: Any) -> Keeper:
    """A keeper whose slot has a host with both entrances."""
    held = tenure(1, **{"host_key": f"{OWN}\n{RELAYS} ssh4.vast.ai", **given})
    there = instance(
        1, public_ip="192.0.2.1", ports={"22/tcp": 41022}, ssh_host="ssh4.vast.ai", ssh_port=1022
    )
    listing = Listing(instances=(there,), at=NOW)
    return Keeper(shown=snapshot(record("duel/0", tenure=held), listing=listing))


async def lines_of(url: str) -> list[Any]:
    _, body, headers = await ask(url, headers=BEARER)
    assert headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in body.splitlines()]


@pytest.mark.parametrize("path", PATHS)
async def test_only_who_may_order_may_ask_hosts(serve: Serve, path: str) -> None:
    """A question makes a host work, and what a log holds is for few eyes."""
    hosts = Hosts()
    served = await serve(at_home(), hosts=hosts)
    url = f"{served.url}/api/v1/{path}?slot=duel/0"
    assert (await ask(url))[0] == 401
    assert (await ask(url, headers={"Authorization": f"Bearer {TOKEN}x"}))[0] == 401
    assert (await ask(url, headers=BEARER))[0] == 200
    served = await serve(at_home(), hosts=hosts, token=None)
    assert (await ask(f"{served.url}/api/v1/{path}?slot=duel/0"))[0] == 403


@pytest.mark.parametrize("path", PATHS)
async def test_a_slot_must_be_named_and_must_be_there(serve: Serve, path: str) -> None:
    served = await serve(at_home(), hosts=Hosts())
    assert (await ask(f"{served.url}/api/v1/{path}", headers=BEARER))[0] == 400
    status, body, _ = await ask(f"{served.url}/api/v1/{path}?slot=deul/0", headers=BEARER)
    assert (status, body["cure"]) == (404, "did you mean duel/0?")
    served = await serve(Keeper(shown=None, entries=[]), hosts=Hosts())
    assert (await ask(f"{served.url}/api/v1/{path}?slot=duel/0", headers=BEARER))[0] == 503
    served = await serve(at_home())
    assert (await ask(f"{served.url}/api/v1/{path}?slot=duel/0", headers=BEARER))[0] == 503


# --- the way ----------------------------------------------------------------------------------------


async def way(serve: Serve, keeper: Keeper) -> Any:
    served = await serve(keeper, hosts=Hosts())
    status, body, _ = await ask(f"{served.url}/api/v1/way?slot=duel/0", headers=BEARER)
    assert status == 200
    return body


async def test_a_way_names_each_entrance_with_the_key_that_it_must_show(serve: Serve) -> None:
    found = await way(serve, at_home())
    assert (found["instance_id"], found["view_port"], found["why"]) == (7001, 8000, "")
    assert found["entrances"] == [
        {"host": "192.0.2.1", "port": 41022, "is_relay": False, "host_key": OWN},
        {"host": "ssh4.vast.ai", "port": 1022, "is_relay": True, "host_key": RELAYS},
    ]


async def test_only_on_its_own_box_keeper_says_where_its_key_lies(
    serve: Serve, short_path: Path
) -> None:
    assert (await way(serve, at_home()))["key_file"] == ""
    path = str(short_path / "keeper.sock")
    await serve(at_home(), hosts=Hosts(), socket=path)
    connector = aiohttp.UnixConnector(path)
    async with (
        aiohttp.ClientSession("http://keeper", connector=connector) as client,
        client.get("/api/v1/way?slot=duel/0") as answer,
    ):
        assert (await answer.json())["key_file"] == KEY_FILE


async def test_the_status_shows_every_pin_on_a_line_of_its_own(serve: Serve) -> None:
    """They were one line with a spelled-out line break: a known_hosts file of it had no key at all."""
    served = await serve(at_home())
    _, body, _ = await ask(f"{served.url}/api/v1/status")
    host = body["streams"][0]["slots"][0]["host"]
    assert host["host_key"].splitlines() == [OWN, f"{RELAYS} ssh4.vast.ai"]


async def test_why_there_is_no_way(serve: Serve) -> None:
    nobody = Keeper(shown=snapshot(record("duel/0", tenure=None)))
    assert (await way(serve, nobody))["why"] == "it has no host now"
    unlisted = Keeper(shown=snapshot(record("duel/0"), listing=Listing(instances=(), at=NOW)))
    assert "shows no SSH address of instance 7001" in (await way(serve, unlisted))["why"]
    stranger = at_home(host_key="")
    assert "nobody knows its key" in (await way(serve, stranger))["why"]
    bad = conditions(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))
    changed = await way(serve, at_home(conditions=bad))
    assert changed["is_key_changed"]
    assert "key" in changed["why"]


# --- reports ----------------------------------------------------------------------------------------


async def report(serve: Serve, hosts: Hosts, keeper: Keeper | None = None) -> Any:
    served = await serve(keeper or at_home(), hosts=hosts)
    status, body, _ = await ask(f"{served.url}/api/v1/report?slot=duel/0", headers=BEARER)
    assert status == 200
    return body


async def test_a_report_is_the_workloads_own(serve: Serve) -> None:
    told = await report(serve, Hosts())
    assert told["is_from_host"]
    assert told["lines"] == [{"title": "Server health", "status": "true", "text": "ok"}]


async def test_a_workload_that_tells_nothing_is_told_of_by_keeper(serve: Serve) -> None:
    told = await report(serve, Hosts(told=()))
    assert not told["is_from_host"]
    titles = [line["title"] for line in told["lines"]]
    assert titles == ["Rental", "Link", "Deploy", "Process", "Picture", "Recent logs"]
    assert told["lines"][-1]["text"] == "one\ntwo"


async def test_a_host_that_cannot_be_asked_is_told_of_by_keeper(serve: Serve) -> None:
    told = await report(serve, Hosts(error=Unreachable("no SSH link \x1b[2J")))
    assert (told["is_from_host"], told["why"]) == (False, "no SSH link \\x1b[2J")
    assert "Recent logs" not in [line["title"] for line in told["lines"]]
    gone = await report(
        serve,
        Hosts(error=Unreachable("duel/0 has no host now")),
        Keeper(shown=snapshot(record("duel/0", tenure=None))),
    )
    assert (gone["instance_id"], gone["is_on_air"]) == (None, False)
    assert [line["status"] for line in gone["lines"]] == ["false"]


# --- logs -------------------------------------------------------------------------------------------


async def test_a_log_comes_line_by_line(serve: Serve) -> None:
    hosts = Hosts()
    served = await serve(at_home(), hosts=hosts)
    url = f"{served.url}/api/v1/log?slot=duel/0&file=a.log&lines=5"
    assert [each["lines"] or each["remark"] for each in await lines_of(url)] == [
        ["one", "two"],
        "it was truncated",
    ]
    assert hosts.asked == [{"name": "a.log", "lines_max": 5, "is_followed": False}]
    _, body, _ = await ask(f"{served.url}/api/v1/logs?slot=duel/0", headers=BEARER)
    assert body["logs"] == [{"path": "a.log", "size_bytes": 12, "quiet_s": 3.0}]


async def test_what_deploys_have_left_is_asked_in_the_same_way(serve: Serve) -> None:
    served = await serve(at_home(), hosts=Hosts())
    url = f"{served.url}/api/v1/log?slot=duel/0&of="
    assert [each["lines"] for each in await lines_of(f"{url}deploy")] == [["step"]]
    logs = f"{served.url}/api/v1/logs?slot=duel/0&of="
    _, body, _ = await ask(f"{logs}deploy", headers=BEARER)
    assert [each["path"] for each in body["logs"]] == ["deploys/duel.0/k-1.log"]
    for each in (url, logs):
        assert (await ask(f"{each}viewer", headers=BEARER))[0] == 400


ERRORS = [
    (Missing("there is no log 'x'"), 404),
    (Unreachable("no link"), 503),
    (Uncertain("no answer"), 503),
    (ArchiveFailed("the disk is full"), 503),
    (Malformed("nonsense"), 502),
    (CommandFailed("no"), 502),
]


@pytest.mark.parametrize(("error", "status"), ERRORS)
@pytest.mark.parametrize("path", ["log", "logs"])
async def test_what_goes_wrong_before_the_first_line_is_a_problem(
    serve: Serve, path: str, error: PortError, status: int
) -> None:
    served = await serve(at_home(), hosts=Hosts(error=error))
    got, body, _ = await ask(f"{served.url}/api/v1/{path}?slot=duel/0", headers=BEARER)
    assert (got, body["detail"]) == (status, str(error))
    assert "duel/0" in body["cure"] or isinstance(error, ArchiveFailed)


async def test_what_goes_wrong_later_is_a_remark(serve: Serve) -> None:
    served = await serve(at_home(), hosts=Hosts(error_after=Unreachable("the link is lost")))
    last = (await lines_of(f"{served.url}/api/v1/log?slot=duel/0"))[-1]
    assert last["remark"] == "the link is lost"


@pytest.mark.parametrize("wrong", ["lines=-1", "lines=1001", "lines=many"])
async def test_a_number_of_lines_has_bounds(serve: Serve, wrong: str) -> None:
    served = await serve(at_home(), hosts=Hosts())
    status, _, _ = await ask(f"{served.url}/api/v1/log?slot=duel/0&{wrong}", headers=BEARER)
    assert status == 400


async def test_who_leaves_is_noticed_and_a_stop_waits_for_nobody(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_READERS_MAX", 1)
    hosts = Hosts(goes_on=True)
    served = await serve(at_home(), hosts=hosts, shutdown_timeout=20)
    url = f"{served.url}/api/v1/log?slot=duel/0&follow=1"
    async with aiohttp.ClientSession(headers=BEARER) as session:
        async with session.get(url) as reply:
            assert await reply.content.readline()
            assert (await ask(url, headers=BEARER))[1]["title"] == "too many logs are being read"
            reply.close()
        await eventually(lambda: hosts.is_closed)
        async with session.get(url) as reply:
            assert await reply.content.readline()
            async with asyncio.timeout(30):
                await served.runner.cleanup()
