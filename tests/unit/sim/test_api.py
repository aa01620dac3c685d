"""The marketplace's door: what it answers to what, before any byte is sent."""

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest

from keeper.sim.api import Api, ApiReply, ApiRequest, Delivery, fold
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.limits import Limits
from keeper.sim.market import Market, MarketShape

LABEL = "k:duel/0:1"
STILL = MarketShape(renters_every_s=0, price_drift_every_s=0, bids_move_every_s=0)


class Client:
    """Calls the API as a program would."""

    def __init__(self, *, spacing: float = 0.0, **options: Any) -> None:
        self.now = 1_800_000_000.0
        self.market = Market(rng=random.Random(7), clock=lambda: self.now, shape=STILL)
        self.api = Api(self.market, limits=Limits(spacing), **options)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        key: str = "secret",
    ) -> ApiReply:
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        request = ApiRequest(
            method=method,
            path=path,
            query=query or {},
            body=content,
            authorization=f"Bearer {key}" if key else "",
        )
        return self.api.answer(request)

    def rent(self, label: str = LABEL) -> int:
        offers = self.call(
            "POST",
            "/api/v0/bundles/",
            {"rentable": {"eq": True}, "num_gpus": {"eq": "1"}, "order": [["dph_total", "asc"]]},
        ).body["offers"]
        body = {"image": "x", "disk": 32, "label": label, "env": {"-p 8000:8000": "1"}}
        reply = self.call("PUT", f"/api/v0/asks/{offers[0]['id']}/", body)
        assert reply.status == 200
        contract: int = reply.body["new_contract"]
        return contract


@pytest.fixture
def client() -> Client:
    return Client()


# --- shapes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v0/users/current", "/api/v0/users/current/"])
def test_a_trailing_slash_does_not_matter(client: Client, path: str) -> None:
    reply = client.call("GET", path)
    assert reply.status == 200
    assert reply.body["credit"] == STILL.credit_dollars
    assert reply.body["api_key"] == "secret"
    assert reply.body["host_agreement_accepted"] is False


def test_folds_ids_and_versions_out_of_paths() -> None:
    assert fold("GET", "/api/v0/instances/12/") == ("GET /instances/{id}/", (12,))
    assert fold("DELETE", "/api/v0/instances/12/ssh/3") == (
        "DELETE /instances/{id}/ssh/{id}/",
        (12, 3),
    )
    assert fold("GET", "/api/v1/instances") == ("GET /instances/", ())


def test_lists_by_pages_and_counts_all(client: Client) -> None:
    ids = sorted(client.rent(f"k:s/{number}:1") for number in range(7))
    seen: list[int] = []
    query = {"limit": "3", "order_by": '[{"col":"id","dir":"asc"}]'}
    for _ in range(3):
        page = client.call("GET", "/api/v1/instances/", query=query).body
        assert page["total_instances"] == 7
        assert page["instances_found"] == len(page["instances"])
        assert page["label_counts"] == {f"k:s/{number}:1": 1 for number in range(7)}
        seen += [row["id"] for row in page["instances"]]
        query["after_token"] = page["next_token"] or ""
    assert query["after_token"] == ""
    assert seen == ids


def test_a_page_goes_on_where_a_destroyed_row_was(client: Client) -> None:
    ids = sorted(client.rent(f"k:s/{number}:1") for number in range(4))
    page = client.call("GET", "/api/v1/instances/", query={"limit": "2"}).body
    client.call("DELETE", f"/api/v0/instances/{ids[1]}/")
    rest = client.call(
        "GET", "/api/v1/instances/", query={"limit": "2", "after_token": page["next_token"]}
    ).body
    assert [row["id"] for row in rest["instances"]] == ids[2:]


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ({"after_token": "!"}, "invalid_token"),
        ({"select_filters": '{"dph_total":{"gt":1}}'}, "invalid_request"),
        ({"order_by": '[{"col":"colour","dir":"asc"}]'}, "invalid_request"),
        ({"select_filters": "nonsense"}, "invalid_request"),
        ({"select_filters": '{"num_gpus":{"eq":1}}'}, "invalid_request"),
        ({"limit": "many"}, "invalid_request"),
    ],
)
def test_refuses_a_list_it_cannot_make(client: Client, query: dict[str, str], slug: str) -> None:
    client.rent()
    reply = client.call("GET", "/api/v1/instances/", query=query)
    assert (reply.status, reply.body["error"]) == (400, slug)


def test_a_list_can_be_filtered_and_cut_to_columns(client: Client) -> None:
    client.rent("a")
    client.rent("b")
    page = client.call(
        "GET",
        "/api/v1/instances/",
        query={"select_filters": '{"label":{"in":["b"]}}', "select_cols": '["label","colour"]'},
    ).body
    assert page["instances"] == [{"label": "b", "colour": None}]
    assert page["total_instances"] == 1


def test_the_older_list_has_no_pages(client: Client) -> None:
    client.rent()
    body = client.call("GET", "/api/v0/instances/", query={"owner": "me"}).body
    assert (body["instances_found"], len(body["instances"])) == (1, 1)


def test_shows_one_under_a_plural_name_and_null_when_unknown(client: Client) -> None:
    instance_id = client.rent()
    shown = client.call("GET", f"/api/v0/instances/{instance_id}/").body["instances"]
    assert (shown["id"], shown["label"]) == (instance_id, LABEL)
    assert client.call("GET", "/api/v0/instances/1/").body == {"instances": None}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "slug"),
    [
        ("POST", "/api/v0/bundles/", {"num_gpus": 1}, 400, "bad_request"),
        ("POST", "/api/v0/bundles/", {"colour": {"eq": 1}}, 400, "invalid_request"),
        ("POST", "/api/v0/bundles/", b"{", 400, "invalid_request"),
        ("PUT", "/api/v0/asks/1/", {"image": "x"}, None, "no_such_ask"),
        ("DELETE", "/api/v0/instances/1/", {}, 404, "no_such_instance"),
        ("PUT", "/api/v0/instances/1/", {"label": "x"}, 404, "no_such_instance"),
        ("PUT", "/api/v0/instances/reboot/1/", {}, 400, "invalid_args"),
        ("PUT", "/api/v0/instances/recycle/1/", {}, 400, "invalid_id"),
        ("PUT", "/api/v0/instances/bid_price/1/", {"price": 1}, 404, "no_such_instance"),
        ("PUT", "/api/v0/instances/command/1/", b"{", 483, "invalid_args"),
        ("POST", "/api/v0/instances/start", {"IDs": "1"}, 400, "missing_input"),
        ("PUT", "/api/v0/instances/", {"state": "flying", "ids": [1]}, 400, "invalid_args"),
        ("DELETE", "/api/v0/instances/", {"instance_ids": []}, 400, "missing_input"),
        ("PUT", "/api/v0/instances/prepay/1/", {"amount": 1}, 400, "No such instance"),
        ("POST", "/api/v0/instances/1/ssh/", {"ssh_key": "ssh-x"}, 404, "no_such_instance"),
        ("DELETE", "/api/v0/ssh/1/", {}, 400, "no_ssh_key"),
    ],
)
def test_error_bodies(
    client: Client, method: str, path: str, body: Any, status: int | None, slug: str
) -> None:
    reply = client.call(method, path, body)
    assert slug in json.dumps(reply.body)
    assert reply.status == status or (status is None and reply.status in {400, 404, 409, 410})


def test_an_unknown_path_is_not_found(client: Client) -> None:
    assert client.call("GET", "/api/v0/unicorns/").status == 404


def test_a_search_can_come_three_ways(client: Client) -> None:
    wanted = {"gpu_name": {"eq": "RTX 4090"}, "order": [["dph_total", "asc"]], "limit": 2}
    posted = client.call("POST", "/api/v0/bundles/", wanted).body["offers"]
    got = client.call("GET", "/api/v0/bundles/", query={"q": json.dumps(wanted)}).body["offers"]
    put = client.call("PUT", "/api/v0/search/asks/", {"select_cols": ["*"], "q": wanted}).body
    ids = [[row["id"] for row in rows] for rows in (posted, got, put["offers"])]
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) == 2


def test_keys_of_the_account_reach_new_rentals_and_attaching_twice_is_said(client: Client) -> None:
    assert client.call("GET", "/api/v0/ssh/").status == 404
    client.call("POST", "/api/v0/ssh/", {"ssh_key": "ssh-ed25519 AAAAaccount me@there"})
    assert client.call("GET", "/api/v0/ssh/").body[0]["public_key"] == "ssh-ed25519 AAAAaccount"
    path = f"/api/v0/instances/{client.rent()}/ssh/"
    key = {"ssh_key": "ssh-ed25519 AAAAmine me"}
    assert client.call("POST", path, key).body["success"] is True
    again = client.call("POST", path, key)
    assert (again.status, again.body["success"]) == (200, False)
    assert "already associated" in again.body["msg"]
    keys = json.loads(client.call("GET", path).body["ssh_keys"])
    assert [one["public_key"] for one in keys] == [
        "ssh-ed25519 AAAAaccount",
        "ssh-ed25519 AAAAmine",
    ]


def test_logs_come_in_two_steps(client: Client) -> None:
    instance_id = client.rent()
    reply = client.call("PUT", f"/api/v0/instances/request_logs/{instance_id}/", {"tail": "10"})
    name = reply.body["result_url"].rpartition("/")[2]
    assert client.api.routes.result(name) is None
    client.now += 1
    assert "no such container" in (client.api.routes.result(name) or "")


def test_execute_is_no_shell(client: Client) -> None:
    path = f"/api/v0/instances/command/{client.rent()}/"
    early = client.call("PUT", path, {"command": "ls /"})
    assert (early.status, early.body["error"]) == (400, "invalid_container_id")
    client.now += 600
    assert client.call("PUT", path, {"command": "ls /"}).body["result_url"]
    for command in ("curl x", "", "ls " + "x" * 510):
        refused = client.call("PUT", path, {"command": command})
        assert (refused.status, refused.body["error"]) == (400, "invalid_args")


# --- the door --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/v1/instances/", 401), ("POST", "/api/v0/bundles/", 404)],
)
def test_a_bad_key_is_said_differently_by_a_search(method: str, path: str, status: int) -> None:
    client = Client(api_key="right")
    for key in ("", "wrong"):
        reply = client.call(method, path, key=key)
        assert (reply.status, reply.body["error"]) == (status, "auth_error")
    assert client.call(method, path, key="right").status == 200
    assert client.call(method, path, query={"api_key": "right"}, key="").status == 200


def test_calls_too_close_are_refused_per_endpoint_and_identity() -> None:
    client = Client(spacing=1.0)
    listing = ("GET", "/api/v1/instances/")
    assert client.call(*listing).status == 200
    refused = client.call(*listing)
    assert refused.status == 429
    assert refused.body == {"detail": "API requests too frequent endpoint threshold=1"}
    assert client.call(*listing, key="another").status == 200
    assert client.call("GET", "/api/v0/users/current").status == 200
    client.now += 1.0
    assert client.call(*listing).status == 200


def test_ten_searches_a_minute() -> None:
    client = Client(spacing=1.0)
    statuses = [client.call("POST", "/api/v0/bundles/", {"limit": 1}).status for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    client.now += 60
    assert client.call("POST", "/api/v0/bundles/", {"limit": 1}).status == 200


# --- lies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "rows", "total"),
    [
        (FaultKind.LIST_EMPTY, 0, 0),
        (FaultKind.LIST_PAGE_REPEATS, 3, 2),
        (FaultKind.LIST_SKIPS_ROW, 1, 2),
    ],
)
def test_a_list_can_lie_in_good_form(
    client: Client, kind: FaultKind, rows: int, total: int
) -> None:
    client.rent("a")
    client.rent("b")
    client.market.arm(Fault(kind=kind))
    lie = client.call("GET", "/api/v1/instances/")
    assert (len(lie.body["instances"]), lie.body["total_instances"]) == (rows, total)
    assert client.market.ledger.requests[-1].note == kind.value
    assert len(client.call("GET", "/api/v1/instances/").body["instances"]) == 2
    assert client.market.ledger.requests[-1].note == ""


def test_a_list_can_lack_its_array(client: Client) -> None:
    client.market.arm(Fault(kind=FaultKind.LIST_WITHOUT_ARRAY, count=2))
    reply = client.call("GET", "/api/v1/instances/")
    assert reply.status == 200
    assert "instances" not in reply.body


@pytest.mark.parametrize(
    ("kind", "status", "delivery", "made"),
    [
        (FaultKind.HTTP_502, 502, Delivery.WHOLE, 0),
        (FaultKind.HTTP_429, 429, Delivery.WHOLE, 0),
        (FaultKind.HTML_FOR_JSON, 200, Delivery.WHOLE, 0),
        (FaultKind.DROP_BEFORE, 0, Delivery.DROPPED, 0),
        (FaultKind.DROP_AFTER, 0, Delivery.DROPPED, 1),
        (FaultKind.HTTP_502_AFTER, 502, Delivery.WHOLE, 1),
        (FaultKind.TRUNCATED_JSON, 200, Delivery.CUT, 1),
        (FaultKind.CREATE_REPLY_LOST, 0, Delivery.DROPPED, 1),
        (FaultKind.CREATE_ERROR_BUT_MADE, 500, Delivery.WHOLE, 1),
        (FaultKind.CREATE_SUCCESS_WITHOUT_ID, 200, Delivery.WHOLE, 1),
        (FaultKind.CREATE_SUCCESS_FALSE_200, 200, Delivery.WHOLE, 0),
    ],
)
def test_the_answer_to_a_create_says_little_about_what_was_made(
    client: Client, kind: FaultKind, status: int, delivery: Delivery, made: int
) -> None:
    offer = client.call("POST", "/api/v0/bundles/", {"rentable": {"eq": True}}).body["offers"][0]
    client.market.arm(Fault(kind=kind, params={"endpoint": "PUT /asks/*"}))
    assert client.call("GET", "/api/v1/instances/").status == 200, "aimed at creates alone"
    body = {"image": "x", "disk": 32, "label": LABEL}
    reply = client.call("PUT", f"/api/v0/asks/{offer['id']}/", body)
    assert (reply.status, reply.delivery) == (status, delivery)
    assert len(client.market.ledger.rentals) == made
    written = client.market.ledger.requests[-1]
    assert (written.endpoint, written.label) == ("/asks/{id}/", LABEL)
    assert written.is_mutating
    assert written.note
    assert written.instance_id is None


@pytest.mark.parametrize(
    ("style", "is_text", "has_hint"),
    [("text", True, False), ("detail", False, False), ("msg", False, False), ("hint", False, True)],
)
def test_a_429_has_several_bodies(
    client: Client, style: str, is_text: bool, has_hint: bool
) -> None:
    client.market.arm(Fault(kind=FaultKind.HTTP_429, params={"style": style}))
    reply = client.call("GET", "/api/v1/instances/")
    assert (reply.is_text, "Retry-After" in reply.headers) == (is_text, has_hint)


def test_the_ledger_holds_no_key(client: Client) -> None:
    client.rent()
    assert "secret" not in json.dumps(client.market.ledger.plain())


def test_spent_search_quota_names_its_end(client: Client) -> None:
    client.market.arm(Fault(kind=FaultKind.SEARCH_QUOTA))
    reply = client.call("POST", "/api/v0/bundles/", {})
    assert (reply.status, reply.body["error"]) == (429, "search_quota_exceeded")
    reset_at = int(reply.headers["X-RateLimit-Reset"])
    assert reset_at % 86_400 == 0
    # Whoever reads the ledger knows it from a call that came too soon, however late the answer was.
    assert client.market.ledger.requests[-1].note == FaultKind.SEARCH_QUOTA
    client.market.arm(Fault(kind=FaultKind.LATENCY))
    assert client.call("POST", "/api/v0/bundles/", {}).delay_s
    assert client.market.ledger.requests[-1].note == FaultKind.SEARCH_QUOTA
    # Whoever has forgotten that, or will not wait, is told again; and it is over when it was said to be.
    client.now = reset_at - 1.0
    assert client.call("POST", "/api/v0/bundles/", {}).status == 429
    client.now = float(reset_at)
    assert client.call("POST", "/api/v0/bundles/", {}).status == 200
