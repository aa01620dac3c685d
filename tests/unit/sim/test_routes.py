"""What calls about offers, rentals and the account mean, beside the everyday ones."""

import json
import math
from typing import Any

import pytest

from tests.unit.sim.test_api import LABEL, Client


@pytest.fixture
def client() -> Client:
    return Client()


def offers(client: Client, **query: Any) -> list[dict[str, Any]]:
    wanted = {"rentable": {"eq": True}, "num_gpus": {"eq": 1}, "order": [["dph_total", "asc"]]}
    found: list[dict[str, Any]] = client.call("POST", "/api/v0/bundles/", wanted | query).body[
        "offers"
    ]
    return found


def create(client: Client, **body: Any) -> Any:
    plain = {"image": "x", "disk": 16, "label": LABEL}
    return client.call("PUT", f"/api/v0/asks/{offers(client)[0]['id']}/", plain | body)


# --- search ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {"type": "gift"},
        {"type": []},
        {"limit": "many"},
        {"limit": -1},
        {"limit": True},
        {"allocated_storage": {"gte": 1}},
        {"allocated_storage": "much"},
        {"order": "dph"},
        {"order": [["colour", "asc"]]},
        {"gpu_ram": {"around": 1}},
    ],
)
def test_refuses_a_search_it_does_not_understand(client: Client, query: Any) -> None:
    reply = client.call("POST", "/api/v0/bundles/", query)
    assert (reply.status, reply.body["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("kind", ["on-demand", "ondemand", "ask", "reserved"])
def test_both_spellings_of_a_type_are_in_use(client: Client, kind: str) -> None:
    shown, plain = offers(client, type=kind), offers(client)
    assert [(row["id"], row["is_bid"]) for row in shown] == [(row["id"], False) for row in plain]


def test_a_reserved_offer_says_what_a_deposit_saves(client: Client) -> None:
    (plain,), (reserved,) = (offers(client, type=kind, limit=1) for kind in ("ask", "reserved"))
    assert (plain["discount_rate"], plain["discounted_dph_total"]) == (None, plain["dph_total"])
    assert reserved["dph_total"] == plain["dph_total"]
    saved = reserved["dph_base"] * reserved["discount_rate"]
    assert reserved["discounted_dph_total"] == pytest.approx(reserved["dph_total"] - saved)


def test_plain_values_may_come_as_text(client: Client) -> None:
    rows = offers(client, limit="2", allocated_storage="50")
    assert [row["id"] for row in rows] == [
        row["id"] for row in offers(client, limit=2, allocated_storage=50)
    ]
    at_50 = rows[0]["dph_base"] + rows[0]["storage_cost"] * 50 / 720
    assert rows[0]["dph_total"] == pytest.approx(at_50)


def test_never_more_than_64_unless_unbundled(client: Client) -> None:
    found = client.call("POST", "/api/v0/bundles/", {"limit": 1000}).body["offers"]
    everything = client.call("POST", "/api/v0/bundles/", {"disable_bundling": True}).body["offers"]
    assert len(found) == 64 < len(everything)


def test_the_newer_search_picks_columns(client: Client) -> None:
    body = {"select_cols": ["id", "colour"], "q": {"limit": 1}}
    (row,) = client.call("PUT", "/api/v0/search/asks/", body).body["offers"]
    assert (sorted(row), row["colour"]) == (["colour", "id"], None)


# --- create ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "slug", "why"),
    [
        ({"image": None}, "invalid_args", "an image or a template"),
        ({"image": "x" * 1025}, "invalid_args", "longer than 1024"),
        ({"image": 7}, "invalid_args", "a text is expected"),
        ({"label": "x" * 257}, "invalid_args", "longer than 256"),
        ({"disk": 7}, "invalid_args", "at least 8"),
        ({"disk": "16"}, "invalid_args", "at least 8"),
        ({"disk": 1_000_000}, "invalid_args", "are free"),
        ({"price": 0}, "invalid_price", "price: 0"),
        ({"price": 129}, "invalid_price", "price: 129"),
        ({"price": "1"}, "invalid_price", "price: 1"),
        ({"runtype": "ssh_dirct"}, "invalid_args", "ssh_dirct is none"),
        ({"target_state": "flying"}, "invalid_args", "running or stopped"),
        ({"env": [1]}, "invalid_args", "an object"),
        ({"env": {"A": "x" * 300}}, "invalid_args", "longer than 256"),
        ({"env": {str(n): "x" * 200 for n in range(200)}}, "invalid_args", "longer than 32768"),
        ({"onstart": "x" * 4000, "args": ["y" * 97]}, "invalid_args", "400/3471"),
        ({"volume_info": 3}, "invalid_args", "volume_info"),
        ({"vm": True}, "no_ssh_key_for_vm", "SSH key"),
        ({"template_hash_id": "none"}, "invalid_args", "no template"),
    ],
)
def test_refuses_a_create_that_the_service_refuses(
    client: Client, body: dict[str, Any], slug: str, why: str
) -> None:
    reply = create(client, **body)
    assert (reply.status, reply.body["error"]) == (400, slug)
    assert why in reply.body["msg"]
    assert client.market.contracts == {}


def test_takes_what_clients_send_and_ignores_what_it_does_not_know(client: Client) -> None:
    sent = {"client_id": "me", "price": None, "extra": None, "colour": "red", "env": "-e A=1"}
    made = create(client, **sent, args=["-c", "true"], runtype="ssh_direc ssh_proxy").body
    contract = client.market.contracts[made["new_contract"]]
    assert contract.env == {}, "variables as a flag string take no effect"
    assert not contract.is_bid


def test_a_rental_may_be_wanted_stopped(client: Client) -> None:
    made = create(client, target_state="stopped").body
    client.now += 600
    client.market.advance()
    contract = client.market.contracts[made["new_contract"]]
    assert (contract.intended, contract.actual in {"stopped", "exited"}) == ("stopped", True)


def test_several_offers_at_once(client: Client) -> None:
    by_machine = {row["machine_id"]: row["id"] for row in offers(client)}
    ids = [*list(by_machine.values())[:2], 1]
    body = {"ids": ids, "image": "x", "disk": 16}
    reply = client.call("POST", "/api/v0/asks/bulk/", body)
    assert not reply.body["success"]
    assert [one.get("success") for one in reply.body["results"]] == [True, True, False]
    assert len(client.market.contracts) == 2
    assert client.call("POST", "/api/v0/asks/bulk/", {"image": "x"}).status == 400


def test_launch_searches_and_rents_in_one_call(client: Client) -> None:
    query = {"gpu_name": {"eq": "RTX 4090"}, "allocated_storage": {"gte": 32}, "limit": 3}
    body = {"q": query, "num_gpus": 1, "image": "x", "disk": 32, "label": LABEL}
    made = client.call("PUT", "/api/v0/launch_instance/", body).body
    contract = client.market.contracts[made["new_contract"]]
    assert (contract.machine.gpu.name, contract.label) == ("RTX 4090", LABEL)
    none = client.call("PUT", "/api/v0/launch_instance/", body | {"q": {"num_gpus": {"gt": 99}}})
    assert (none.status, none.body["error"]) == (404, "no_such_ask")


# --- rentals ---------------------------------------------------------------------------------


def test_pages_go_on_in_any_order_even_when_the_row_is_gone(client: Client) -> None:
    ids = [client.rent(f"n{number % 3}") for number in range(9)]
    query = {"limit": "4", "order_by": '[{"col":"label","dir":"desc"}]'}
    first = client.call("GET", "/api/v1/instances/", query=query).body
    last = first["instances"][-1]["id"]
    client.call("DELETE", f"/api/v0/instances/{last}/")
    rest = client.call(
        "GET", "/api/v1/instances/", query=query | {"after_token": first["next_token"]}
    ).body
    seen = [row["id"] for row in (*first["instances"], *rest["instances"])]
    assert len(seen) == 8
    expected = sorted(ids, key=lambda one: (-(ids.index(one) % 3), one))
    assert seen == expected[:8]


def test_limits_of_a_page(client: Client) -> None:
    for number in range(27):
        client.rent(f"n{number}")
    sizes = [
        len(client.call("GET", "/api/v1/instances/", query={"limit": limit}).body["instances"])
        for limit in ("100", "25", "3", "0", "-2")
    ]
    assert sizes == [25, 25, 3, 5, 5]


def test_only_the_list_shows_volumes(client: Client) -> None:
    instance_id = client.rent()
    client.now += 600
    listed = client.call("GET", "/api/v1/instances/").body["instances"][0]
    shown = client.call("GET", f"/api/v0/instances/{instance_id}/").body["instances"]
    assert listed["volume_info"] == []
    assert "volume_info" not in shown


def test_bulk_start_stop_and_destroy(client: Client) -> None:
    ids = [client.rent("a"), client.rent("b")]
    client.now += 600
    body = {"state": "stopped", "ids": ids}
    assert client.call("PUT", "/api/v0/instances/", body).body == {"success": True}
    client.now += 60
    contracts = [client.market.contracts[one] for one in ids]
    assert {one.intended for one in contracts} == {"stopped"}
    contracts[0].machine.occupy(contracts[0].gpus, "other:1")
    reply = client.call("POST", "/api/v0/instances/start", {"IDs": ids})
    assert (reply.status, reply.body["error"]) == (200, "resources_unavailable")
    assert {one.intended for one in contracts} == {"running"}
    assert client.call("DELETE", "/api/v0/instances/", {"instance_ids": ids}).body["success"]
    assert client.call("GET", "/api/v1/instances/").body["total_instances"] == 0


def test_a_deposit_moves_credit_and_comes_back(client: Client) -> None:
    instance_id = client.rent()
    path = f"/api/v0/instances/prepay/{instance_id}/"
    before = client.market.credit(client.now)
    paid = client.call("PUT", path, {"amount": 60})
    assert paid.body["success"]
    monthly = client.market.contracts[instance_id].dollars_per_hour * 720
    assert paid.body["timescale"] == pytest.approx(60 / monthly, abs=0.001)
    assert client.market.credit(client.now) == pytest.approx(before - 60)
    shown = client.call("GET", f"/api/v0/instances/balance/{instance_id}/").body
    assert shown["refundable_deposit"] == 60
    assert client.call("PUT", path, {"amount": 1000}).status == 411
    assert client.call("PUT", path, {"amount": -1}).status == 400
    client.call("DELETE", f"/api/v0/instances/{instance_id}/")
    assert client.market.credit(client.now) == pytest.approx(before)


def test_an_update_makes_the_container_anew(client: Client) -> None:
    instance_id = client.rent()
    client.now += 600
    contract = client.market.contracts[instance_id]
    body = {"id": instance_id, "image": "y", "env": "-e B=2", "onstart": "true"}
    assert client.call("PUT", f"/api/v0/instances/update_template/{instance_id}/", body).body[
        "success"
    ]
    assert (contract.image, contract.onstart, contract.incarnation) == ("y", "true", 1)
    assert contract.env == {"-p 8000:8000": "1", "B": "2"}


@pytest.mark.parametrize("price", ["1", True, 0, 33, [1]])
def test_refuses_a_bid_that_is_none(client: Client, price: Any) -> None:
    made = create(client, price=offers(client)[0]["dph_base"]).body
    path = f"/api/v0/instances/bid_price/{made['new_contract']}/"
    reply = client.call("PUT", path, {"client_id": "me", "price": price})
    assert (reply.status, reply.body["error"]) == (400, "invalid_args")


def test_logs_can_be_cut_filtered_and_of_the_daemon(client: Client) -> None:
    asked: list[tuple[int, int]] = []

    def read(instance_id: int, lines: int) -> str:
        asked.append((instance_id, lines))
        return "one\ntwo\nthree\n"

    client.api.routes.rentals.read_logs = read
    instance_id = client.rent()
    client.now += 600
    path = f"/api/v0/instances/request_logs/{instance_id}/"

    def text(**body: Any) -> str | None:
        url = client.call("PUT", path, body).body["result_url"]
        client.now += 1
        return client.api.routes.result(url.rpartition("/")[2])

    assert text(tail="7") == "one\ntwo\nthree\n"
    assert asked == [(instance_id, 7)]
    assert text(filter="t") == "two\nthree\n"
    assert "running" in (text(daemon_logs="true") or "")
    assert client.call("PUT", path, {"tail": "x"}).status == 400


# --- the account -----------------------------------------------------------------------------


def test_secrets_are_masked_and_their_names_are_upper_case(client: Client) -> None:
    path = "/api/v0/secrets/"
    assert client.call("POST", path, {"key": "token", "value": "hush"}).body["success"]
    shown = client.call("GET", path)
    assert shown.body["secrets"] == {"TOKEN": "*****"}
    for method, body, slug in (
        ("POST", {"key": "token", "value": "x"}, "existing_key"),
        ("POST", {"key": "token"}, "missing_input"),
        ("PUT", {"key": "other", "value": "x"}, "nonexistent_key"),
        ("DELETE", {"key": "other"}, "nonexistent_key"),
        ("DELETE", {}, "missing_input"),
    ):
        reply = client.call(method, path, body)
        assert (reply.status, reply.body["error"]) == (400, slug)
    assert client.call("PUT", path, {"key": "Token", "value": "x"}).body["success"]
    assert client.call("DELETE", path, {"key": "token"}).body["success"]
    assert client.call("GET", path).body["secrets"] == {}


def test_secrets_reach_new_rentals(client: Client) -> None:
    client.call("POST", "/api/v0/secrets/", {"key": "token", "value": "hush"})
    made = create(client, env={"A": "1"}).body
    contract = client.market.contracts[made["new_contract"]]
    own = {"CONTAINER_ID": str(contract.instance_id), "CONTAINER_API_KEY": contract.api_key}
    assert contract.environment == {"TOKEN": "hush", "A": "1", **own}


def test_keys_of_the_account_can_be_changed_and_dropped(client: Client) -> None:
    made = client.call("POST", "/api/v0/ssh/", {"ssh_key": "ssh-ed25519 AAAAone me"}).body["key"]
    path = f"/api/v0/ssh/{made['id']}/"
    assert client.call("PUT", path, {"ssh_key": "ssh-ed25519 AAAAtwo"}).body["success"]
    assert client.call("GET", "/api/v0/ssh/").body[0]["key"] == "ssh-ed25519 AAAAtwo"
    assert client.call("DELETE", path).body["success"]
    assert client.call("GET", "/api/v0/ssh/").status == 404
    assert client.call("POST", "/api/v0/ssh/", {}).body["error"] == "no_ssh_key"
    for method in ("PUT", "DELETE"):
        gone = client.call(method, path, {"ssh_key": "ssh-ed25519 AAAAtwo"})
        assert (gone.status, gone.body["error"]) == (400, "no_ssh_key")


def test_a_key_of_a_rental_can_be_detached(client: Client) -> None:
    path = f"/api/v0/instances/{client.rent()}/ssh/"
    client.call("POST", path, {"ssh_key": "ssh-ed25519 AAAAmine"})
    (key,) = json.loads(client.call("GET", path).body["ssh_keys"])
    assert client.call("DELETE", f"{path}{key['id']}/").body["success"]
    gone = client.call("DELETE", f"{path}{key['id']}/")
    assert (gone.status, gone.body["error"]) == (404, "no_such_ssh_key")


TEMPLATE = {
    "name": "mine",
    "image": "vllm/vllm-openai",
    "env": "-e MODEL=a -e TOKENS=4096 -p 8000:8000",
    "onstart": "serve",
    "runtype": "ssh",
    "ssh_direct": True,
    "recommended_disk_space": 50,
}


def test_a_template_lives_by_number_and_by_hash(client: Client) -> None:
    path = "/api/v0/template/"
    made = client.call("POST", path, TEMPLATE).body["template"]
    again = client.call("POST", path, TEMPLATE).body
    assert again["template"]["id"] == made["id"], "the same content is found, not made"
    query = {"select_filters": json.dumps({"hash_id": {"eq": made["hash_id"]}})}
    found = client.call("GET", path, query=query).body
    assert (found["templates_found"], found["templates"][0]["name"]) == (1, "mine")
    for version in ("v0", "v1"):
        body = {"id": made["id"], "hash_id": made["hash_id"], "desc": version}
        edited = client.call("PUT", f"/api/{version}/template/", body).body["template"]
        assert edited["id"] == made["id"]
        assert edited["hash_id"] != made["hash_id"]
    assert client.call("GET", path, query=query).body["templates_found"] == 0
    picked = client.call("GET", path, query={"select_cols": '["id"]', "order_by": "id"}).body
    assert [*picked["templates"][0]] == ["id"]
    assert client.call("DELETE", path, {"template_id": made["id"]}).body["success"]
    assert client.call("DELETE", path, {"template_id": made["id"]}).status == 404
    assert client.call("DELETE", path, {"template_id": 101_001}).status == 404, "not one's own"
    assert client.call("POST", path, {"name": "x"}).body["error"] == "invalid_args"
    bad = {"select_filters": '{"colour":{"eq":1}}'}
    assert client.call("GET", path, query=bad).status == 400


def test_a_create_wins_over_its_template_and_merges_the_variables(client: Client) -> None:
    made = client.call("POST", "/api/v0/template/", TEMPLATE).body["template"]
    body = {"image": None, "disk": 20, "template_hash_id": made["hash_id"], "env": {"MODEL": "b"}}
    contract_id = create(client, **body).body["new_contract"]
    contract = client.market.contracts[contract_id]
    assert contract.env == {"MODEL": "b", "TOKENS": "4096", "-p 8000:8000": "1"}
    assert (contract.image, contract.disk_gb) == ("vllm/vllm-openai:latest", 20)
    assert (contract.onstart, contract.runtype) == ("serve", "ssh_direc ssh_proxy")
    client.now += 600
    row = client.call("GET", f"/api/v0/instances/{contract_id}/").body["instances"]
    named = ("template_id", "template_hash_id", "template_name")
    assert [row[name] for name in named] == [made["id"], made["hash_id"], "mine"]


HOOK = {"webhook_url": "https://example.com/hook", "event_types": ["client:outbid"]}


def test_webhooks_tell_their_secret_once(client: Client) -> None:
    path = "/api/v0/webhooks/"
    made = client.call("POST", path, HOOK | {"name": "ops"}).body["webhook"]
    assert made["webhook_secret"]
    one = f"{path}{made['id']}/"
    listed = client.call("GET", path).body["webhooks"]
    changed = client.call("PUT", one, {"name": "night"}).body["webhook"]
    assert all("webhook_secret" not in row for row in (*listed, changed))
    turned = client.call("POST", f"{one}rotate-secret/").body["webhook"]
    assert turned["webhook_secret"] != made["webhook_secret"]
    assert (turned["name"], turned["webhook_url"]) == ("night", HOOK["webhook_url"])
    assert client.call("POST", f"{one}test/").body["success"], "accepted; nothing is delivered"
    assert client.call("DELETE", one).body["success"]
    for method, gone in (("DELETE", one), ("PUT", one), ("POST", f"{one}test/")):
        assert client.call(method, gone).status == 404
    keys = [row["key"] for row in client.call("GET", "/api/v0/notification-types/").body[
        "notification_types"
    ]]  # fmt: skip
    assert HOOK["event_types"][0] in keys


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook_url": "http://example.com/"},
        {"webhook_url": "https:///x"},
        {"webhook_url": 7},
        {"webhook_url": "https://example.com/" + "x" * 2048},
        {"event_types": []},
        {"event_types": ["client:rain"]},
        {"name": "x" * 121},
        {"name": "a\nb"},
    ],
)
def test_refuses_a_webhook_that_the_documents_refuse(client: Client, wrong: Any) -> None:
    assert client.call("POST", "/api/v0/webhooks/", HOOK | wrong).status == 400


def test_four_webhooks_are_the_most(client: Client) -> None:
    statuses = [client.call("POST", "/api/v0/webhooks/", HOOK).status for _ in range(5)]
    assert statuses == [200] * 4 + [400]


ODD: tuple[Any, ...] = ({}, {"id": "x"}, {"ids": "x"}, {"state": [1]}, {"label": {"a": 1}},
                        {"tail": [1]}, {"ssh_key": 7}, {"env": 7}, {"command": {}}, {"key": 1},
                        {"amount": "x"}, {"q": 7}, {"order": 7}, {"event_types": 7}, [1], 7, "x",
                        None, {"amount": math.nan}, {"price": math.nan, "image": "x"},
                        {"disk": math.inf, "image": "x"}, {"limit": math.inf},
                        {"select_cols": [[]]}, {"select_cols": 7}, {"price": {}}, {"image": []}, {"template_hash_id": {}})  # fmt: skip


def test_no_odd_body_is_an_accident(client: Client) -> None:
    """Whatever is sent, there is an answer; the book shows that nothing was rented by it."""
    instance_id = client.rent()
    client.now += 600
    for endpoint in client.api.routes.endpoints:
        method, _, path = endpoint.partition(" ")
        path = path.replace("{id}", str(instance_id), 1).replace("{id}", "1")
        for body in ODD:
            reply = client.call(method, f"/api/v0{path}", json.dumps(body).encode())
            assert 200 <= reply.status < 500, (endpoint, body)
    assert len(client.market.ledger.rentals) == 1
    assert math.isfinite(client.market.credit(client.now))


ODD_QUERIES = (
    {"limit": "inf"}, {"limit": "nan"}, {"limit": ""}, {"select_cols": "[[]]"},
    {"select_cols": "7"}, {"select_filters": "[]"}, {"select_filters": '{"id":7}'},
    {"select_filters": '{"id":{"in":7}}'}, {"select_filters": '{"id":{"gt":[]}}'},
    {"order_by": "{}"}, {"order_by": "[7]"}, {"order_by": '[["id"]]'}, {"after_token": "e30="},
    {"after_token": "W10="}, {"after_token": "eyJ2YWx1ZXMiOiB7ImlkIjogSW5maW5pdHl9fQ=="},
    {"after_token": "eyJ2YWx1ZXMiOiB7ImlkIjogWzFdfX0="}, {"q": "7"}, {"q": "{"}, {"api_key": ""},
)  # fmt: skip


@pytest.mark.parametrize("query", ODD_QUERIES, ids=str)
def test_no_odd_query_is_an_accident(client: Client, query: dict[str, str]) -> None:
    client.rent()
    client.now += 600
    for path in (
        "/api/v1/instances/",
        "/api/v0/instances/",
        "/api/v0/bundles/",
        "/api/v0/template/",
    ):
        assert client.call("GET", path, query=query).status in {200, 400}
