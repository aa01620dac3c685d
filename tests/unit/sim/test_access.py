"""Keys with rights, two-factor sessions, teams, and the key that a container gets."""

from typing import Any

import pytest

from keeper.sim.access import RIGHTS, Grant, Keyring, Session, right_for
from tests.unit.sim.test_api import LABEL, Client


@pytest.fixture
def client() -> Client:
    return Client(api_key="master")


CALLS = (
    ("POST", "/api/v0/bundles/", "misc"),
    ("PUT", "/api/v0/search/asks/", "misc"),
    ("GET", "/api/v1/instances/", "instance_read"),
    ("GET", "/api/v0/instances/1/", "instance_read"),
    ("GET", "/api/v0/instances/1/ssh/", "instance_read"),
    ("GET", "/api/v0/instances/balance/1/", "instance_read"),
    ("PUT", "/api/v0/instances/request_logs/1/", "instance_read"),
    ("PUT", "/api/v0/asks/1/", "instance_write"),
    ("PUT", "/api/v0/instances/1/", "instance_write"),
    ("DELETE", "/api/v0/instances/1/", "instance_write"),
    ("PUT", "/api/v0/instances/reboot/1/", "instance_write"),
    ("PUT", "/api/v0/instances/bid_price/1/", "instance_write"),
    ("PUT", "/api/v0/instances/command/1/", "instance_write"),
    ("POST", "/api/v0/instances/1/ssh/", "instance_write"),
    ("GET", "/api/v0/users/current", "user_read"),
    ("GET", "/api/v0/ssh/", "user_read"),
    ("GET", "/api/v0/secrets/", "user_read"),
    ("GET", "/api/v0/template/", "user_read"),
    ("POST", "/api/v0/ssh/", "user_write"),
    ("DELETE", "/api/v0/ssh/1/", "user_write"),
    ("POST", "/api/v0/template/", "user_write"),
    ("POST", "/api/v0/secrets/", "user_write"),
)


@pytest.mark.parametrize(("method", "path", "right"), CALLS)
def test_a_call_needs_one_right_and_no_other(
    client: Client, method: str, path: str, right: str
) -> None:
    client.api.keys.give("all-but", Grant(rights=RIGHTS - {right}))
    refused = client.call(method, path, key="all-but")
    assert (refused.status, refused.body["error"]) == (403, "forbidden")
    assert right in refused.body["msg"]
    assert "success" not in refused.body, "as field reports show it"
    client.api.keys.give("only", Grant(rights=frozenset({right})))
    assert client.call(method, path, key="only").status != 403


def test_names_of_gpus_are_told_to_anybody(client: Client) -> None:
    names = client.call("GET", "/api/v0/gpu_names/unique/", key="").body["gpu_names"]
    assert "RTX 4090" in names


def test_what_has_no_page_of_its_own_is_the_accounts() -> None:
    assert right_for("POST /webhooks/") == "user_write"
    assert right_for("PUT /launch_instance/") == "instance_write"


@pytest.mark.parametrize(
    ("session", "status", "text"),
    [
        (Session.NEEDED, 401, "Two Factor Authentication"),
        (Session.EXPIRED, 401, "Session expired"),
        (Session.EXPIRED_404, 404, "Session expired. Please log in again."),
    ],
)
def test_without_a_second_factor_only_search_works(
    client: Client, session: Session, status: int, text: str
) -> None:
    client.api.keys.give("half", Grant(session=session))
    reply = client.call("GET", "/api/v1/instances/", key="half")
    assert reply.status == status
    assert text in reply.body["msg"]
    assert client.call("POST", "/api/v0/bundles/", {"limit": 1}, key="half").status == 200


def test_a_team_registers_no_ssh_keys_and_rents_all_the_same(client: Client) -> None:
    client.api.keys.give("team", Grant(is_team=True))
    reply = client.call("POST", "/api/v0/ssh/", {"ssh_key": "ssh-ed25519 AAAA"}, key="team")
    assert (reply.status, reply.body["msg"]) == (400, "team SSH keys are not supported")
    assert client.market.account_keys == {}
    assert client.call("GET", "/api/v1/instances/", key="team").status == 200


def test_a_key_can_be_taken_away(client: Client) -> None:
    client.api.keys.give("guest", Grant())
    assert client.call("GET", "/api/v0/users/current", key="guest").status == 200
    assert client.api.keys.take("guest")
    assert client.call("GET", "/api/v0/users/current", key="guest").status == 401
    assert not client.api.keys.take("guest")


def test_where_any_key_is_known_a_deleted_one_is_not() -> None:
    keys = Keyring()
    keys.give("reader", Grant())
    assert keys.take("reader")
    assert keys.take("never given by name")
    assert (keys.grant_of("reader"), keys.grant_of("never given by name")) == (None, None)
    assert keys.grant_of("any other") is not None
    keys.give("reader", Grant())
    assert keys.grant_of("reader") is not None


def test_a_containers_own_key_reaches_its_own_rental_only() -> None:
    client = Client()
    first = client.rent("a")
    body = {"image": "x", "disk": 32, "label": LABEL}
    query = {"rentable": {"eq": True}, "num_gpus": {"eq": 1}}
    offers = client.call("POST", "/api/v0/bundles/", query).body["offers"]
    made = client.call("PUT", f"/api/v0/asks/{offers[0]['id']}/", body).body
    own, path = made["instance_api_key"], f"/api/v0/instances/{made['new_contract']}/"
    assert client.call("GET", path, key=own).body["instances"]["id"] == made["new_contract"]
    for method, other in (
        ("GET", f"/api/v0/instances/{first}/"),
        ("DELETE", f"/api/v0/instances/{first}/"),
        ("GET", "/api/v1/instances/"),
        ("GET", "/api/v0/users/current"),
        ("POST", "/api/v0/bundles/"),
        ("PUT", f"/api/v0/instances/reboot/{made['new_contract']}/"),
        ("PUT", f"/api/v0/instances/bid_price/{made['new_contract']}/"),
        ("POST", f"{path}ssh/"),
    ):
        assert client.call(method, other, key=own).status == 403, other
    assert client.call("PUT", path, {"state": "stopped"}, key=own).status == 200
    assert client.call("DELETE", path, key=own).status == 200


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"rights": ["everything"]}, "rights: a list out of"),
        ({"rights": "misc"}, "rights: a list out of"),
        ({"session": "lost"}, "session: one of"),
        ({"right": []}, "unknown: right"),
    ],
)
def test_what_no_key_can_have_is_said(row: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Grant.parse(row)
