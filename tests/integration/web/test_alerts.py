"""What people are told, over HTTP: look, test a channel, begin and end a silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keeper.core.model import SlotId
from keeper.core.silences import Matcher, Silence
from keeper.core.world import OrderKind
from keeper.ports import AlertNow, ChannelNow, NoticeKind, OutboxRow, TimedOut
from tests.integration.web.conftest import Keeper, Serve, rich_snapshot
from tests.integration.web.test_app import BEARER, ask
from tests.snapshots import NOW, ago

DARK = AlertNow(
    name="KeeperStreamDark",
    key="KeeperStreamDark:duel/1",
    severity="critical",
    slot=SlotId("duel/1"),
    stream="duel",
    summary="duel/1 is dark \x1b[2J",
    why="frames arrive, but it is always the same frame",
    did="last act: restart process",
    needs_human="look at the host: `keeper ssh duel/1`",
    since=ago(minutes=12),
    told_at=ago(minutes=11),
    incident_id="inc_1",
    repeat_at=NOW + timedelta(hours=4),
    repeat_to=("ops",),
)
QUIET = replace(
    DARK,
    name="KeeperDiskFull",
    key="KeeperDiskFull:duel/0",
    severity="warning",
    slot=SlotId("duel/0"),
    told_at=None,
    muted_by=DARK.key,
    repeat_at=None,
    repeat_to=(),
)
CHANNELS = (
    ChannelNow(name="ops", kind="slack", pending=1, last_error="HTTP 503"),
    ChannelNow(name="pager", kind="webhook", pending=0, off_since=ago(hours=1), off_why="HTTP 410"),
    ChannelNow(
        name="moved",
        kind="webhook",
        pending=0,
        dropped=2,
        last_dropped_at=ago(minutes=5),
        dropped_why="HTTP 307",
    ),
)
SILENCE = Silence(
    silence_id="5f2a9c01",
    matchers=(Matcher(field="stream", pattern="duel"),),
    since=ago(minutes=30),
    until=NOW + timedelta(minutes=90),
    actor="local:ada",
    reason="new ingest",
)
ROW = OutboxRow(
    notice_id="msg_1",
    channel="ops",
    alert=DARK.key,
    kind=NoticeKind.FIRING,
    payload={"alert": {"summary": "duel/1 is dark \x1b[2J"}, "incident_id": "inc_1"},
    created_at=ago(seconds=5),
    attempts=1,
    next_try_at=NOW + timedelta(seconds=10),
    last_error="HTTP 503 \x9b",
)


def keeper(*silences: Silence, **given: Any) -> Keeper:
    shown = rich_snapshot()
    shown = replace(shown, world=replace(shown.world, silences=silences))
    return Keeper(
        shown=shown, holding=(DARK, QUIET), told_through=CHANNELS, waiting=(ROW,), **given
    )


async def test_alerts_say_what_became_of_them(serve: Serve) -> None:
    served = await serve(keeper(SILENCE), runbooks_url="https://git.example/runbooks/")
    status, page, _ = await ask(f"{served.url}/api/v1/alerts")
    assert status == 200
    dark, quiet = page["alerts"]
    assert dark["summary"] == "duel/1 is dark \\x1b[2J"
    assert (dark["incident_id"], dark["repeat_to"]) == ("inc_1", ["ops"])
    assert dark["waiting_for"] == ["ops"]
    assert dark["runbook"] == "https://git.example/runbooks/KeeperStreamDark.md"
    assert (quiet["is_muted"], quiet["muted_by"], quiet["told_at"]) == (True, DARK.key, None)
    assert [(c["channel"], c["pending"], c["off_why"]) for c in page["channels"]] == [
        ("ops", 1, ""),
        ("pager", 0, "HTTP 410"),
        ("moved", 0, ""),
    ]
    moved = page["channels"][2]
    assert (moved["dropped"], moved["dropped_why"]) == (2, "HTTP 307")
    assert moved["last_dropped_at"] is not None
    (silence,) = page["silences"]
    assert silence["matchers"] == ["stream=duel"]
    assert silence["mutes"] == [DARK.key, QUIET.key]
    _, whole, _ = await ask(f"{served.url}/api/v1/status")
    assert (whole["alerts"], whole["channels"]) == (page["alerts"], page["channels"])
    assert whole["silences"] == page["silences"]


async def test_the_outbox_shows_what_waits_and_why(serve: Serve) -> None:
    served = await serve(keeper())
    _, outbox, _ = await ask(f"{served.url}/api/v1/outbox")
    (message,) = outbox["messages"]
    assert (message["channel"], message["kind"], message["attempts"]) == ("ops", "firing", 1)
    assert message["summary"] == "duel/1 is dark \\x1b[2J"
    assert message["last_error"] == "HTTP 503 \\x9b"


async def test_a_channel_is_tested_by_whoever_may_order(serve: Serve) -> None:
    served = await serve(keeper())
    url = f"{served.url}/api/v1/channels/ops/test"
    assert (await ask(url, "POST"))[0] == 401
    assert served.keeper.tested == []
    status, tested, _ = await ask(url, "POST", headers=BEARER)
    assert (status, tested["is_delivered"], served.keeper.tested) == (200, True, ["ops"])
    status, body, _ = await ask(f"{served.url}/api/v1/channels/opps/test", "POST", headers=BEARER)
    assert (status, body["cure"]) == (404, "did you mean ops?")


async def test_a_silence_is_an_order_with_an_end(serve: Serve) -> None:
    served = await serve(keeper())
    url = f"{served.url}/api/v1/silences"
    asked = {"matchers": ["KeeperStreamDark", "slot=duel/*"], "reason": "new ingest"}
    assert (await ask(url, "POST", json=asked))[0] == 401
    assert served.keeper.orders == []
    status, begun, _ = await ask(url, "POST", json=asked, headers=BEARER)
    assert status == 201
    (order,) = served.keeper.orders
    assert (order.kind, order.actor, order.reason) == (
        OrderKind.SILENCE,
        "http:127.0.0.1",
        "new ingest",
    )
    assert order.silence is not None
    assert [str(each) for each in order.silence.matchers] == [
        "alert=KeeperStreamDark",
        "slot=duel/*",
    ]
    assert order.silence.until - NOW == timedelta(hours=2), "it always ends"
    assert begun["silence"]["silence_id"] == order.silence.silence_id
    assert [alert["key"] for alert in begun["alerts"]] == [DARK.key]
    assert "the end is told" in begun["note"]


async def test_a_silence_that_matches_nothing_now_is_taken_and_says_so(serve: Serve) -> None:
    served = await serve(keeper())
    asked = {"matchers": ["KeeperOrphan"], "for_s": 60}
    status, begun, _ = await ask(
        f"{served.url}/api/v1/silences", "POST", json=asked, headers=BEARER
    )
    assert (status, begun["alerts"]) == (201, [])
    assert "matches nothing now" in begun["note"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"matchers": []}, "matchers"),
        ({}, "matchers"),
        ({"matchers": ["stream=duel"] * 9}, "matchers"),
        ({"matchers": "stream=duel"}, "matchers"),
        ({"matchers": ["x" * 201]}, "matchers"),
        ({"matchers": ["KeeperOrphan"], "for_s": 0}, "for_s"),
        ({"matchers": ["KeeperOrphan"], "for_s": 31 * 86_400}, "for_s"),
        ({"matchers": ["KeeperOrphan"], "for_ever": True}, "for_ever"),
        ({"matchers": ["stream=dual"]}, "no stream 'dual'"),
        ([], "body"),
    ],
)
async def test_what_is_no_silence_is_refused_and_orders_nothing(
    serve: Serve, body: Any, said: str
) -> None:
    served = await serve(keeper())
    status, problem, headers = await ask(
        f"{served.url}/api/v1/silences", "POST", json=body, headers=BEARER
    )
    assert status == 422
    assert headers["Content-Type"].startswith("application/problem+json")
    assert said in problem["detail"]
    assert served.keeper.orders == []


async def test_a_silence_is_ended_by_its_id(serve: Serve) -> None:
    served = await serve(keeper(SILENCE))
    url = f"{served.url}/api/v1/silences"
    _, page, _ = await ask(url)
    (held,) = page["silences"]
    assert (held["silence_id"], held["actor"]) == (SILENCE.silence_id, "local:ada")
    assert (await ask(f"{url}/{SILENCE.silence_id}", "DELETE"))[0] == 401
    status, body, _ = await ask(f"{url}/5f2a9c0", "DELETE", headers=BEARER)
    assert (status, body["cure"]) == (404, "did you mean 5f2a9c01?")
    status, ended, _ = await ask(f"{url}/{SILENCE.silence_id}", "DELETE", headers=BEARER)
    assert (status, ended["silence"]["silence_id"]) == (200, SILENCE.silence_id)
    (order,) = served.keeper.orders
    assert (order.kind, order.silence_id) == (OrderKind.UNSILENCE, SILENCE.silence_id)


async def test_silences_have_a_door_of_their_own(serve: Serve) -> None:
    served = await serve(keeper())
    for kind in ("silence", "unsilence"):
        status, body, _ = await ask(
            f"{served.url}/api/v1/orders", "POST", json={"kind": kind}, headers=BEARER
        )
        assert (status, served.keeper.orders) == (422, [])
        assert "/api/v1/silences" in body["detail"]


async def test_a_silence_that_is_not_on_disk_is_not_answered_with_yes(serve: Serve) -> None:
    served = await serve(keeper(error=TimedOut("the order could not be written down")))
    status, body, _ = await ask(
        f"{served.url}/api/v1/silences", "POST", json={"matchers": ["Keeper*"]}, headers=BEARER
    )
    assert (status, body["title"]) == (503, "it was not taken")


async def test_a_keeper_without_a_tick_says_so(serve: Serve) -> None:
    served = await serve(Keeper(shown=None, not_ready="the store is not open yet"))
    for method, path in (("GET", "alerts"), ("GET", "silences"), ("DELETE", "silences/1")):
        assert (await ask(f"{served.url}/api/v1/{path}", method, headers=BEARER))[0] == 503
    assert (await ask(f"{served.url}/api/v1/outbox"))[0] == 200
