"""Answers on demand: what can be ordered, what is told then, and what was done meanwhile."""

import json
from pathlib import Path
from typing import Any

import pytest

from keeper.sim.exchange import Delivery
from keeper.sim.script import Cue, Script, read
from keeper.sim.shapes import MENU
from tests.unit.sim.test_api import LABEL, Client

BODY = {"image": "x", "disk": 32, "label": LABEL}


@pytest.fixture
def client() -> Client:
    return Client()


def offer(client: Client) -> int:
    wanted = {"rentable": {"eq": True}, "num_gpus": {"eq": 1}}
    return int(client.call("POST", "/api/v0/bundles/", wanted).body["offers"][0]["id"])


@pytest.mark.parametrize("name", MENU)
def test_each_shape_is_told_once_and_then_the_truth(client: Client, name: str) -> None:
    offer_id, shape = offer(client), MENU[name]
    client.api.script.add(Cue.parse({"endpoint": "PUT /asks/*", "answer": name}))
    assert client.call("GET", "/api/v1/instances/").body["total_instances"] == 0, "another call"
    reply = client.call("PUT", f"/api/v0/asks/{offer_id}/", BODY)
    assert reply.status == (200 if shape.delivery is Delivery.CUT else shape.status)
    assert (reply.delivery, reply.note) == (shape.delivery, f"answer:{name}")
    assert client.market.ledger.requests[-1].note == f"answer:{name}"
    assert "{" + "id}" not in reply.content.decode(), "the number of the path is filled in"
    is_made = shape.is_after
    assert len(client.market.ledger.rentals) == is_made
    assert client.call("GET", "/api/v1/instances/").body["total_instances"] == is_made


def test_own_bytes_status_and_headers_can_be_ordered_and_counted(client: Client) -> None:
    order = {"endpoint": "GET /users/*", "status": 418, "text": "teapot", "count": 2}
    client.api.script.add(Cue.parse(order | {"headers": {"X-Odd": "1"}}))
    client.api.script.add(Cue.parse({"body": [1], "after": True, "count": 0}))
    told = [client.call("GET", "/api/v0/users/current") for _ in range(4)]
    assert [(one.status, one.content) for one in told] == [
        (418, b"teapot"),
        (418, b"teapot"),
        (200, b"[1]"),
        (200, b"[1]"),
    ]
    assert told[0].headers["X-Odd"] == "1"
    assert [cue["count"] for cue in client.api.script.plain()] == [0], "0 stands until cleared"
    assert client.api.script.clear() == 1
    assert client.call("GET", "/api/v0/users/current").body["credit"] > 0


def test_so_many_calls_may_pass_before(client: Client) -> None:
    for number in range(3):
        client.rent(f"n{number}")
    order = {"endpoint": "GET /instances/", "skip": 1, "answer": "html_502"}
    client.api.script.add(Cue.parse(order))
    page = client.call("GET", "/api/v1/instances/", query={"limit": "2"})
    assert page.status == 200
    query = {"limit": "2", "after_token": page.body["next_token"]}
    assert client.call("GET", "/api/v1/instances/", query=query).status == 502, "a page fails"
    assert client.call("GET", "/api/v1/instances/", query=query).status == 200


def test_a_late_answer_is_the_truth(client: Client) -> None:
    client.api.script.add(Cue.parse({"delay_s": 4}))
    reply = client.call("PUT", f"/api/v0/asks/{offer(client)}/", BODY)
    client.api.script.add(Cue.parse({"delay_s": 4}))
    late = client.call("GET", "/api/v1/instances/")
    assert reply.body["success"]
    assert (late.delay_s, late.body["total_instances"]) == (4, 1)


def test_a_redirect_names_where_it_came_from(client: Client) -> None:
    client.api.script.add(Cue.parse({"answer": "moved_308"}))
    reply = client.call("GET", "/api/v1/instances/")
    assert reply.headers["Location"].endswith("/api/v1/instances/")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({}, "say an answer"),
        ({"answer": "rain"}, "no answer is called 'rain'"),
        ({"colour": 1, "answer": "html_502"}, "unknown: colour"),
        ({"status": 42}, "status: 42 is none"),
        ({"status": "x"}, "status: a number"),
        ({"answer": "html_502", "count": -1}, "count: a number from 0"),
        ({"delay_s": True}, "delay_s: a number"),
        ({"body": {}, "text": ""}, "not both"),
        ({"body": "x"}, "say text"),
        ({"after": True}, "after: only beside"),
        ({"answer": "html_502", "headers": 3}, "headers: a mapping"),
        (7, "a cue is a mapping"),
    ],
)
def test_what_cannot_be_ordered_is_said(row: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Cue.parse(row)


def test_cues_are_taken_in_the_order_in_which_they_came() -> None:
    script = Script()
    for name in ("html_502", "race_400"):
        script.add(Cue.parse({"answer": name}))
    taken = [script.take("GET /x/") for _ in range(3)]
    assert [cue.name if cue else None for cue in taken] == ["html_502", "race_400", None]


@pytest.mark.parametrize("pattern", ["GET /users/current", "GET /users/current/", "GET /users/*"])
def test_a_last_slash_says_nothing(pattern: str) -> None:
    script = Script()
    script.add(Cue.parse({"endpoint": pattern, "answer": "html_502", "count": 0}))
    assert script.take("GET /users/current/")
    assert script.take("GET /users/current")
    assert script.take("GET /users/other/") is None or pattern.endswith("*")


def test_cues_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text("- {endpoint: 'PUT /asks/*', answer: race_400, count: 3}\n- {delay_s: 1}\n")
    assert [cue.left for cue in read(path)] == [3, 1]
    for content, why in (("{}", "a list"), ("- {answer: x}", "entry 1: no answer"), ("{", "YAML")):
        path.write_text(content)
        with pytest.raises(ValueError, match=why):
            read(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path / "none")


def test_the_menu_can_be_shown_as_json() -> None:
    for name, shape in MENU.items():
        assert shape.source, name
        json.dumps(shape.body)
