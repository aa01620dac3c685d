"""The HTTP side as its users meet it: probes, scrapes, programs, operators."""

import asyncio
import json
import os
import pwd
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from keeper.core.model import InstanceId, SlotId, SlotRecord, StreamName
from keeper.core.pauses import key_of
from keeper.core.world import Listing, Pause
from keeper.ports import PortError, ReloadReport, StoreFull, TimedOut, Uncertain
from keeper.web.openapi import DESCRIBED
from tests.facts import every_event
from tests.integration.web.conftest import JPEG, TOKEN, Keeper, Serve, journal_of, rich_snapshot
from tests.snapshots import ago, instance, record, snapshot

ORDER = {"kind": "restart", "slot": "duel/0", "reason": "new assets"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def ask(url: str, method: str = "GET", **given: Any) -> tuple[int, Any, Any]:
    async with aiohttp.ClientSession() as session, session.request(method, url, **given) as reply:
        body = await reply.read()
        kind = reply.content_type
        is_json = "json" in kind and "ndjson" not in kind
        return reply.status, json.loads(body) if is_json else body, reply.headers


# --- probes ------------------------------------------------------------------------------------------


async def test_health_and_readiness_answer_get_and_head(serve: Serve) -> None:
    served = await serve()
    for path in ("/-/healthy", "/-/ready"):
        assert (await ask(served.url + path))[0] == 200
        status, body, _ = await ask(served.url + path, "HEAD")
        assert (status, body) == (200, b"")
    served.keeper.healthy, served.keeper.not_ready = False, "no complete listing yet: \x1b[2J"
    assert (await ask(f"{served.url}/-/healthy"))[0] == 503
    status, body, _ = await ask(f"{served.url}/-/ready")
    assert status == 503
    assert body == b"not ready: no complete listing yet: \\x1b[2J\n"


async def test_a_keeper_without_a_tick_says_so_everywhere(serve: Serve) -> None:
    served = await serve(Keeper(shown=None, not_ready="the store is not open yet", entries=[]))
    for path in ("/api/v1/status", "/api/v1/plan", "/api/v1/explain?slot=duel/0"):
        status, body, headers = await ask(served.url + path)
        assert status == 503
        assert body["title"] == "keeper is starting"
        assert body["detail"] == "the store is not open yet"
        assert headers["Retry-After"]
    status, body, _ = await ask(f"{served.url}/")
    assert status == 503
    assert b"keeper is starting" in body
    assert (await ask(f"{served.url}/metrics"))[0] == 200
    assert (await ask(f"{served.url}/api/v1/events"))[0] == 200
    assert (await ask(f"{served.url}/thumb/duel/1.jpg"))[0] == 404
    status, _, _ = await ask(f"{served.url}/api/v1/orders", "POST", json=ORDER, headers=BEARER)
    assert status == 503
    # A whole fleet can be paused by whoever sees that something is wrong already.
    status, _, _ = await ask(
        f"{served.url}/api/v1/orders", "POST", json={"kind": "pause"}, headers=BEARER
    )
    assert status == 202


async def test_metrics_speak_both_formats(serve: Serve) -> None:
    served = await serve()
    status, body, headers = await ask(f"{served.url}/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert b"keeper_build_info" in body
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    _, body, headers = await ask(f"{served.url}/metrics", headers=accept)
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


# --- reading -----------------------------------------------------------------------------------------


async def test_status_plan_and_explanation(serve: Serve) -> None:
    served = await serve()
    _, status, _ = await ask(f"{served.url}/api/v1/status")
    assert status["sentence"] == "1 of 2 on air; duel/1 dark."
    assert [slot["slot"] for slot in status["streams"][0]["slots"]] == ["duel/0", "duel/1"]
    _, plan, _ = await ask(f"{served.url}/api/v1/plan")
    assert {each["slot"] for each in plan["decisions"]} == {"duel/0", "duel/1"}
    _, explained, _ = await ask(f"{served.url}/api/v1/explain", params={"slot": "duel/0"})
    assert explained["slot"]["state"] == "On air"
    status_code, body, _ = await ask(f"{served.url}/api/v1/explain", params={"slot": "duel/2"})
    assert status_code == 404
    assert "did you mean duel/" in body["cure"]
    assert (await ask(f"{served.url}/api/v1/explain"))[0] == 400


async def test_events_come_in_pages(serve: Serve) -> None:
    served = await serve()
    total = len(every_event())
    seen, after = [], 0
    # From the beginning: the first page is asked for with a limit above it all.
    _, first, _ = await ask(f"{served.url}/api/v1/events", params={"limit": 1000})
    assert len(first["events"]) == total
    assert first["next_after"] == total
    while True:
        params = {"after": after or 1, "limit": 7}
        _, page, _ = await ask(f"{served.url}/api/v1/events", params=params)
        if not page["events"]:
            break
        seen += [event["seq"] for event in page["events"]]
        after = page["next_after"]
    assert seen == list(range(2, total + 1))
    for event in first["events"]:
        assert event["words"]
        assert event["level"] in {"debug", "info", "warning", "error"}
    _, mine, _ = await ask(f"{served.url}/api/v1/events", params={"slot": "duel/0"})
    assert {event["slot"] for event in mine["events"]} == {"duel/0"}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "after=-1",
        "after=1e9",
        "limit=%31%30",
        "after=" + "9" * 40,
    ],
)
async def test_numbers_out_of_bounds_are_refused(serve: Serve, query: str) -> None:
    served = await serve()
    status, body, headers = await ask(f"{served.url}/api/v1/events?{query}")
    assert status == (200 if query == "limit=%31%30" else 400)
    if status == 400:
        assert headers["Content-Type"].startswith("application/problem+json")
        assert body["status"] == 400


async def test_hostile_facts_are_plain_in_the_answer(serve: Serve) -> None:
    (event,) = [each for each in every_event() if each.name == "tick.failed"]
    entry = journal_of(event)[0]
    evil = {"event": "tick.failed", "error": "\x1b[2J \ud800 <b>", "n": {"deep": ["\x9b"]}}
    keeper = Keeper(
        entries=[
            type(entry)(at=entry.at, tick=1, event="tick.failed", slot=None, facts=evil, seq=1)
        ]
    )
    served = await serve(keeper)
    _, page, _ = await ask(f"{served.url}/api/v1/events")
    assert page["events"][0]["facts"]["error"] == "\\x1b[2J \\ud800 <b>"
    assert page["events"][0]["facts"]["n"] == {"deep": ["\\x9b"]}


async def test_thumbnails_are_jpeg_or_nothing(serve: Serve) -> None:
    served = await serve(Keeper(pictures={"duel/0": JPEG, "duel/1": b"<html>", "a b/0": JPEG}))
    status, body, headers = await ask(f"{served.url}/thumb/duel/0.jpg")
    assert (status, body) == (200, JPEG)
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["Last-Modified"] == "Sun, 01 Mar 2026 12:00:00 GMT"
    known = {"If-None-Match": headers["ETag"]}
    status, body, _ = await ask(f"{served.url}/thumb/duel/0.jpg", headers=known)
    assert (status, body) == (304, b"")
    served.keeper.pictured_at = ago(seconds=1)
    assert (await ask(f"{served.url}/thumb/duel/0.jpg", headers=known))[:2] == (200, JPEG)
    assert (await ask(f"{served.url}/thumb/a%20b/0.jpg"))[0] == 200
    for path in ("duel/1.jpg", "duel/2.jpg", "duel/x.jpg", "duel/..%2f0.jpg", "duel/0.png"):
        assert (await ask(f"{served.url}/thumb/{path}"))[0] == 404


async def test_every_answer_carries_the_security_headers(serve: Serve) -> None:
    served = await serve()
    paths = [row.path for row in DESCRIBED if row.method == "GET" and "stream" not in row.path]
    for path in [*paths, "/", "/static/page.js", "/static/page.css", "/static/icon.svg", "/nope"]:
        _, _, headers = await ask(served.url + path)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'"), path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Server" not in headers


async def test_unknown_paths_and_methods_are_problems(serve: Serve) -> None:
    served = await serve()
    for method, path, expected in (
        ("GET", "/nope", 404),
        ("GET", "/static/..%2fapp.py", 404),
        ("GET", "/static/page.html", 404),
        ("DELETE", "/api/v1/status", 405),
        ("GET", "/api/v1/orders", 405),
    ):
        status, body, headers = await ask(served.url + path, method)
        assert status == expected
        assert body["status"] == expected
        assert headers["Content-Type"].startswith("application/problem+json")
        if expected == 405:
            assert headers["Allow"]


# --- ordering ----------------------------------------------------------------------------------------


async def test_an_order_needs_the_token_over_tcp(serve: Serve) -> None:
    served = await serve()
    url = f"{served.url}/api/v1/orders"
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer pässword"},
        {"Authorization": "Bearer"},
    ):
        status, body, answered = await ask(url, "POST", json=ORDER, headers=headers)
        assert status == 401
        assert answered["WWW-Authenticate"].startswith("Bearer")
        assert TOKEN not in json.dumps(body)
        assert (await ask(f"{served.url}/-/reload", "POST", headers=headers))[0] == 401
    assert served.keeper.orders == []
    status, body, _ = await ask(url, "POST", json=ORDER, headers=BEARER)
    assert status == 202
    (order,) = served.keeper.orders
    assert body["order_id"] == order.order_id
    assert (order.kind, order.slot, order.reason) == ("restart", "duel/0", "new assets")
    assert order.actor == "http:127.0.0.1"


async def test_without_a_configured_token_nothing_is_ordered_over_tcp(serve: Serve) -> None:
    served = await serve(token=None)
    for headers in ({}, {"Authorization": "Bearer "}, BEARER):
        status, body, _ = await ask(
            f"{served.url}/api/v1/orders", "POST", json=ORDER, headers=headers
        )
        assert status == 403
        assert "socket" in body["cure"]
    assert served.keeper.orders == []


async def test_the_local_socket_needs_no_token_and_knows_who_orders(
    serve: Serve, short_path: Path
) -> None:
    path = str(short_path / "keeper.sock")
    served = await serve(token=None, socket=path)
    connector = aiohttp.UnixConnector(path=path)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://keeper/api/v1/orders", json={"kind": "pause", "until_s": 60}) as reply,
    ):
        assert reply.status == 202
    (order,) = served.keeper.orders
    assert order.actor == f"local:{pwd.getpwuid(os.getuid()).pw_name}"
    assert order.until is not None
    assert (order.until - order.at).total_seconds() == 60


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"kind": "\xed\xa0\x80"}',
        b'{"kind": "explode", "slot": "duel/0"}',
        b'{"kind": "restart"}',
        b'{"kind": "restart", "slot": 7}',
        b'{"kind": "deploy"}',
        b'{"kind": "deploy", "slot": "duel/0", "stream": "duel"}',
        b'{"kind": "restart", "slot": "duel/0", "until_s": 60}',
        b'{"kind": "pause", "until_s": -1}',
        b'{"kind": "pause", "until_s": 1e400}',
        b'{"kind": "pause", "until_s": "60"}',
        b'{"kind": "pause", "force": true}',
        b'{"kind": "pause", "until_s": 60, "for_ever": true}',
        b'{"kind": "destroy", "slot": "duel/0", "is_now": true}',
        b'{"kind": "resume", "for_ever": true}',
        b'{"kind": "restart", "slot": "duel/0", "stream": "duel"}',
        b'{"kind": "pause", "slot": "duel/0", "stream": "duel"}',
        b'{"kind": "pause", "reason": "' + b"x" * 501 + b'"}',
        b"[" * 5000,
    ],
)
async def test_an_order_that_is_none_is_refused_and_explained(serve: Serve, body: bytes) -> None:
    served = await serve()
    status, problem, headers = await ask(
        f"{served.url}/api/v1/orders", "POST", data=body, headers=BEARER
    )
    assert status == 422
    assert headers["Content-Type"].startswith("application/problem+json")
    assert problem["detail"]
    assert served.keeper.orders == []


@pytest.mark.parametrize(
    ("said", "lasts_s"),
    [({}, 14_400.0), ({"until_s": 60}, 60.0), ({"for_ever": True}, None)],
)
async def test_a_pause_ends_by_itself_unless_it_is_said_not_to(
    serve: Serve, said: dict[str, Any], lasts_s: float | None
) -> None:
    """A pause that nobody ends is an outage that nobody sees coming."""
    served = await serve()
    body = {"kind": "pause", "stream": "duel", **said}
    status, answer, _ = await ask(f"{served.url}/api/v1/orders", "POST", json=body, headers=BEARER)
    assert (status, answer["stream"]) == (202, "duel")
    (order,) = served.keeper.orders
    assert order.stream == "duel"
    ends_s = None if order.until is None else (order.until - order.at).total_seconds()
    assert ends_s == lasts_s
    body = {"kind": "pause", "stream": "deul"}
    assert (await ask(f"{served.url}/api/v1/orders", "POST", json=body, headers=BEARER))[0] == 404


@pytest.mark.parametrize("about", [{"stream": "duel"}, {"slot": "duel/0"}])
async def test_a_deploy_is_ordered_for_a_stream_or_a_slot(
    serve: Serve, about: dict[str, Any]
) -> None:
    served = await serve()
    body = {"kind": "deploy", **about}
    status, answer, _ = await ask(f"{served.url}/api/v1/orders", "POST", json=body, headers=BEARER)
    assert status == 202
    (order,) = served.keeper.orders
    assert {"stream": order.stream, "slot": order.slot} == {"stream": None, "slot": None, **about}
    assert answer["kind"] == "deploy"


@pytest.mark.parametrize("kind", ["restart", "replace", "deploy"])
async def test_what_waits_for_viewers_can_be_ordered_for_now(serve: Serve, kind: str) -> None:
    served = await serve()
    body = {"kind": kind, "slot": "duel/0", "is_now": True}
    assert (await ask(f"{served.url}/api/v1/orders", "POST", json=body, headers=BEARER))[0] == 202
    (order,) = served.keeper.orders
    assert order.is_now


async def test_an_order_for_no_slot_and_one_too_big(serve: Serve) -> None:
    served = await serve()
    url = f"{served.url}/api/v1/orders"
    status, body, _ = await ask(
        url, "POST", json={"kind": "replace", "slot": "duel/7"}, headers=BEARER
    )
    assert status == 404
    assert "did you mean" in body["cure"]
    assert (await ask(url, "POST", data=b"x" * 100_000, headers=BEARER))[0] == 413


async def test_an_offer_is_ordered_for_a_vacant_slot_only(serve: Serve) -> None:
    vacant = SlotRecord(slot=SlotId("duel/1"))
    served = await serve(Keeper(shown=snapshot(record("duel/0"), vacant)))
    url = f"{served.url}/api/v1/orders"
    rent = {"kind": "rent", "slot": "duel/0", "offer_id": 30_110_072}
    status, body, _ = await ask(url, "POST", json=rent, headers=BEARER)
    assert status == 409
    assert "replace" in body["cure"]
    for wrong in ({"kind": "restart"}, {"offer_id": 0}, {"offer_id": 2**63}, {"offer_id": "5"}):
        status, _, _ = await ask(url, "POST", json=rent | wrong, headers=BEARER)
        assert status == 422
    assert served.keeper.orders == []
    status, body, _ = await ask(url, "POST", json=rent | {"slot": "duel/1"}, headers=BEARER)
    assert (status, body["offer_id"]) == (202, 30_110_072)
    (order,) = served.keeper.orders
    assert (order.kind, order.slot, order.offer_id) == ("rent", "duel/1", 30_110_072)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("restart", 409), ("rent", 409), ("deploy", 409), ("replace", 202), ("destroy", 202)],
)
async def test_a_spare_can_be_given_back_and_nothing_else(
    serve: Serve, kind: str, answer: int
) -> None:
    place = SlotRecord(slot=SlotId("duel/spare-0"))
    served = await serve(Keeper(shown=snapshot(record("duel/0"), place)))
    body = {"kind": kind, "slot": "duel/spare-0"}
    status, said, _ = await ask(f"{served.url}/api/v1/orders", "POST", json=body, headers=BEARER)
    assert status == answer
    assert answer == 202 or "spare" in said["title"]
    assert len(served.keeper.orders) == (answer == 202)


@pytest.mark.parametrize("about", [{"slot": "old/1"}, {"stream": "old"}])
async def test_a_pause_of_what_is_declared_no_more_can_be_ended(
    serve: Serve, about: dict[str, str]
) -> None:
    pause = Pause(since=ago(hours=1), until=None, actor="ann", reason="works")
    paused = {SlotId("old/1"): pause, key_of(StreamName("old")): pause}
    served = await serve(Keeper(shown=snapshot(record("duel/0"), slot_pauses=paused)))
    url = f"{served.url}/api/v1/orders"
    for kind, answer in (("resume", 202), ("pause", 404), ("replace", 404)):
        if kind == "replace" and "stream" in about:
            continue
        status, _, _ = await ask(url, "POST", json={"kind": kind, **about}, headers=BEARER)
        assert status == answer, kind
    (order,) = served.keeper.orders
    assert (order.slot, order.stream) == (about.get("slot"), about.get("stream"))


async def test_a_store_that_fails_is_a_problem_of_now(serve: Serve) -> None:
    served = await serve(Keeper(error=StoreFull("no space left")))
    status, body, headers = await ask(
        f"{served.url}/api/v1/orders", "POST", json=ORDER, headers=BEARER
    )
    assert status == 503
    assert body["detail"] == "no space left"
    assert headers["Retry-After"]
    assert (await ask(f"{served.url}/api/v1/events"))[0] == 503


async def test_reload_answers_with_every_finding(serve: Serve) -> None:
    served = await serve()
    status, body, _ = await ask(f"{served.url}/-/reload", "POST", headers=BEARER)
    assert (status, body) == (200, {"changed": ["added sd"]})
    served.keeper.report = ReloadReport(problems=("keeper.yaml:3:1: no", "keeper.yaml:9:1: nor"))
    status, body, _ = await ask(f"{served.url}/-/reload", "POST", headers=BEARER)
    assert status == 422
    assert body["problems"] == ["keeper.yaml:3:1: no", "keeper.yaml:9:1: nor"]


# --- following ---------------------------------------------------------------------------------------


async def read_event(content: aiohttp.StreamReader) -> dict[str, str]:
    found: dict[str, str] = {}
    while True:
        line = (await content.readline()).decode().rstrip("\r\n")
        if not line and "data" in found:
            return found
        name, _, value = line.partition(": ")
        found[name] = value


async def test_followers_hear_of_each_snapshot(serve: Serve) -> None:
    served = await serve()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{served.url}/api/v1/stream") as reply,
    ):
        assert reply.content_type == "text/event-stream"
        first = await read_event(reply.content)
        assert (first["event"], first["id"]) == ("snapshot", "7")
        served.keeper.tick(rich_snapshot(tick=8))
        second = await read_event(reply.content)
        assert second["id"] == "8"
        assert json.loads(second["data"])["doing"] == "all is well"


async def test_an_open_stream_does_not_hold_the_stop(serve: Serve) -> None:
    """One open tab once held the stop for twice its time-out, and systemd killed the rest."""
    served = await serve(shutdown_timeout=3600)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{served.url}/api/v1/stream") as reply,
    ):
        await read_event(reply.content)
        async with asyncio.timeout(30):
            await served.runner.cleanup()


async def test_followers_are_bounded(serve: Serve) -> None:
    served = await serve()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        replies = [await session.get(f"{served.url}/api/v1/stream") for _ in range(64)]
        try:
            assert {reply.status for reply in replies} == {200}
            assert (await ask(f"{served.url}/api/v1/stream"))[0] == 503
        finally:
            for reply in replies:
                reply.close()


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (TimedOut("nothing was done"), 503, "nothing was done"),
        (Uncertain("still being written"), 504, "still being written"),
    ],
    ids=["withdrawn", "in doubt"],
)
async def test_an_order_that_got_no_yes_is_answered_with_the_truth(
    serve: Serve, error: PortError, status: int, word: str
) -> None:
    """It was answered with 500, as if keeper had a bug and the order might be anywhere."""
    served = await serve(Keeper(error=error))
    answered, problem, _ = await ask(
        f"{served.url}/api/v1/orders", "POST", json=ORDER, headers=BEARER
    )
    assert answered == status
    assert word in problem["detail"]
    assert problem["cure"]


async def test_an_order_about_a_stray_is_taken_only_for_what_is_one(serve: Serve) -> None:
    stray, strange, ours = InstanceId(7700), InstanceId(7800), InstanceId(7001)
    listed = (
        instance(700, label="keeper:k9:duel/1:3"),
        instance(800, label="training"),
        instance(1),
    )
    known: dict[str, Any] = {
        "orphans_known": frozenset({stray}),
        "orphans_seen_at": {stray: ago(minutes=5)},
    }
    vacant = SlotRecord(slot=SlotId("duel/1"))
    listing = Listing(instances=listed, at=ago(seconds=7))
    shown = snapshot(record("duel/0"), vacant, listing=listing, **known)
    served = await serve(Keeper(shown=shown))
    url = f"{served.url}/api/v1/orders"
    refused = [
        ({"kind": "end"}, 422),
        ({"kind": "end", "instance_id": stray, "slot": "duel/0"}, 422),
        ({"kind": "pause", "instance_id": stray}, 422),
        ({"kind": "end", "instance_id": 9999}, 404),
        ({"kind": "end", "instance_id": strange}, 409),
        ({"kind": "adopt", "instance_id": ours}, 409),
        ({"kind": "adopt", "instance_id": stray, "slot": "duel/0"}, 409),
        ({"kind": "adopt", "instance_id": stray, "slot": "duel/7"}, 404),
    ]
    for body, code in refused:
        status, problem, _ = await ask(url, "POST", json=body, headers=BEARER)
        assert status == code, body
        assert problem["detail"]
    assert served.keeper.orders == []
    body = {"kind": "adopt", "instance_id": stray}
    status, answer, _ = await ask(url, "POST", json=body, headers=BEARER)
    assert (status, answer["slot"], answer["instance_id"]) == (202, "duel/1", stray)
    status, answer, _ = await ask(url, "POST", json=body | {"kind": "end"}, headers=BEARER)
    assert (status, answer["slot"]) == (202, None)
    assert [each.kind for each in served.keeper.orders] == ["adopt", "end"]
    once = known | {"orphans_seen_at": {stray: ago(seconds=7)}}
    served.keeper.shown = snapshot(record("duel/0"), vacant, listing=listing, **once)
    assert (await ask(url, "POST", json=body, headers=BEARER))[0] == 503  # seen once
