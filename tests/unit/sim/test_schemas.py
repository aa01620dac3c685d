"""Every answer of the simulator fits the official description, or one of the listed exceptions.

`tests/data/vast_responses.json` holds the response schemas of the calls that are served, taken from
Vast.ai's description of its API (its `source` says which). A schema asks for little, so here every
described field must also be there. The exceptions name where the service is known to differ.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typing_extensions import override

from keeper.sim.access import Grant
from keeper.sim.api import ApiReply, fold
from keeper.sim.limits import Limits
from tests.unit.sim.test_api import Client

DESCRIBED: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "vast_responses.json").read_text()
)
KEY = {"ssh_key": "ssh-ed25519 AAAAmine me"}
_401 = "401 the status is not described"
# What does not fit, and where it is known (docs/vast-assumptions.md says on what evidence).
EXCEPTIONS: Mapping[str, str] = {
    # A bad key is said everywhere, whether or not the page of the call says so.
    f"DELETE /instances/{{id}}/ {_401}": "observed: a refused key",
    f"DELETE /instances/{{id}}/ssh/{{id}}/ {_401}": "observed: a refused key",
    f"DELETE /ssh/{{id}}/ {_401}": "observed: a refused key",
    f"GET /instances/balance/{{id}}/ {_401}": "observed: a refused key",
    f"PUT /instances/bid_price/{{id}}/ {_401}": "observed: a refused key",
    f"PUT /instances/prepay/{{id}}/ {_401}": "observed: a refused key",
    f"PUT /instances/request_logs/{{id}}/ {_401}": "observed: a refused key",
    f"PUT /ssh/{{id}}/ {_401}": "observed: a refused key",
    # So is a missing right; field reports show it without a page.
    "GET /instances/ 403 the status is not described": "observed: a missing right",
    "POST /ssh/ 403 the status is not described": "observed: a missing right",
    # Ten searches a minute, and a lost race as 409.
    "POST /bundles/ 429 the status is not described": "documented in the guide to limits",
    "PUT /asks/{id}/ 400 .error: enum 'insufficient_credit'": "observed: a refusal",
    "PUT /asks/{id}/ 409 the status is not described": "observed: a lost race (Q1)",
    "PUT /instances/command/{id}/ 404 the status is not described": "observed: a refusal",
    # Rows of rentals: pairs of variables, Docker's map of ports, nulls where seen.
    "GET /instances/{id}/ 200 .instances.extra_env[]: type list": "official client: pairs",
    "GET /instances/{id}/ 200 .instances.ports: type dict": "observed: a map of ports",
    "GET /instances/{id}/ 200 .instances: type NoneType": "observed: nothing by that id",
    "GET /instances/{id}/ 200 .instances.cpu_util: type NoneType": "observed: not reported",
    "GET /instances/ 200 .instances[].onstart: type NoneType": "observed: not reported",
}
# Described, and never said here.
UNSAID: Mapping[tuple[str, str], str] = {
    ("DELETE /instances/{id}/", "400"): "no reason is described",
    ("DELETE /instances/{id}/ssh/{id}/", "400"): "no reason is described",
    ("DELETE /instances/{id}/ssh/{id}/", "500"): "by order alone (POST /sim/answers)",
    ("GET /instances/{id}/", "400"): "an id that is no number leads to no call at all",
    ("GET /instances/{id}/ssh/", "400"): "the same",
    ("GET /users/current/", "500"): "by order alone",
    ("POST /template/", "429"): "no threshold is printed",
    ("POST /webhooks/{id}/test/", "400"): "nothing is delivered that could fail",
}


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference, and put the parts of an "allOf" together."""
    if "$ref" in schema:
        return resolved(DESCRIBED["definitions"][schema["$ref"].rpartition("/")[2]])
    parts = [resolved(part) for part in schema.get("allOf", ())]
    properties = {k: v for part in (*parts, schema) for k, v in part.get("properties", {}).items()}
    return {**schema, "properties": properties} if properties else schema


def absent(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    """Yield the described fields that are not there."""
    schema = resolved(schema)
    if isinstance(value, list):
        for one in value:
            yield from absent(schema.get("items", {}), one, f"{path}[]")
    elif isinstance(value, dict) and value.get("actual_status", "") is not None:
        # (A rental that boots says little more than its id; observed.)
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                yield from absent(inner, value[name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is absent"


def wrong(schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    """Yield what does not fit a schema."""
    whole = {**schema, "definitions": DESCRIBED["definitions"]}
    for error in Draft202012Validator(whole).iter_errors(value):
        path = "".join(
            "[]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
        )
        kind = type(error.instance).__name__
        why = f"{error.instance!r}" if error.validator == "enum" else kind
        yield f"{path}: {error.validator} {why}"


def is_refusal(body: Any) -> bool:
    """Whether a 200 says no."""
    return isinstance(body, dict) and body.get("success") is False


class Checked(Client):
    """Looks at every answer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.found: dict[str, str] = {}
        self.seen: set[tuple[str, str]] = set()

    @override
    def call(self, method: str, path: str, *args: Any, **options: Any) -> ApiReply:
        reply = super().call(method, path, *args, **options)
        endpoint, _ = fold(method, path)
        described = DESCRIBED["responses"].get(endpoint)
        if described is None or (endpoint == "GET /instances/" and "/v0/" in path):
            return reply
        status = str(reply.status)
        self.seen.add((endpoint, status))
        problems: list[str] = []
        if status not in described:
            problems = ["the status is not described"]
        elif described[status]:
            problems += wrong(described[status], reply.body)
            if reply.status == 200 and not is_refusal(reply.body):
                problems += absent(described[status], reply.body, "")
        for problem in problems:
            self.found[f"{endpoint} {status} {problem}"] = json.dumps(reply.body)[:300]
        return reply


def rent(client: Checked) -> tuple[int, int]:
    """Search, rent and list, in every way in which that is described to end."""
    offers = client.call("POST", "/api/v0/bundles/", {"rentable": {"eq": True}}).body["offers"]
    client.call("POST", "/api/v0/bundles/", {"colour": {"eq": 1}})
    client.call("POST", "/api/v0/bundles/", {}, key="")
    client.call("GET", "/api/v1/instances/")
    client.call("GET", "/api/v0/ssh/")
    client.call("POST", "/api/v0/ssh/", KEY)
    client.call("POST", "/api/v0/ssh/", {})
    client.call("GET", "/api/v0/ssh/")
    ask = f"/api/v0/asks/{offers[0]['id']}/"
    for body in ({"image": ""}, {"image": "x", "price": 999}, {"image": "x", "disk": 16}):
        client.call("PUT", ask, body)
    for _ in range(12):  # each form of a lost race
        client.call("PUT", "/api/v0/asks/1/", {"image": "x", "disk": 16})
    first = client.rent()
    client.now += 600
    body = {"image": "x", "disk": 16, "price": 1.0, "env": {"A": "1"}, "onstart": "true"}
    offers = client.call("POST", "/api/v0/bundles/", {"rentable": {"eq": True}}).body["offers"]
    bid = client.call("PUT", f"/api/v0/asks/{offers[0]['id']}/", body).body["new_contract"]
    client.call("GET", f"/api/v0/instances/{bid}/")
    client.now += 600
    for bad in ({"select_filters": "x"}, {"after_token": "!"}):
        client.call("GET", "/api/v1/instances/", query=bad)
    client.call("GET", "/api/v1/instances/")
    client.call("GET", "/api/v1/instances/", query={"limit": "1"})
    client.call("GET", "/api/v1/instances/", key="")
    return first, bid


def change(client: Checked, first: int, bid: int) -> None:
    """Do to a rental, to a bid and to nothing all that can be done."""
    one = f"/api/v0/instances/{first}/"
    for number in (first, bid, 1):
        client.call("GET", f"/api/v0/instances/{number}/")
        client.call("PUT", f"/api/v0/instances/{number}/", {"label": "x"})
        client.call("PUT", f"/api/v0/instances/reboot/{number}/")
        client.call("PUT", f"/api/v0/instances/recycle/{number}/")
        client.now += 600
        client.call("PUT", f"/api/v0/instances/bid_price/{number}/", {"price": 1.1})
        client.call("PUT", f"/api/v0/instances/bid_price/{number}/", {"price": 0})
        client.call("PUT", f"/api/v0/instances/prepay/{number}/", {"amount": 1})
        client.call("PUT", f"/api/v0/instances/prepay/{number}/", {"amount": 1e6})
        client.call("GET", f"/api/v0/instances/balance/{number}/")
        client.call("PUT", f"/api/v0/instances/command/{number}/", {"command": "ls /"})
        client.call("PUT", f"/api/v0/instances/command/{number}/", {"command": "x"})
        client.call("PUT", f"/api/v0/instances/command/{number}/", b"{")
        client.call("PUT", f"/api/v0/instances/request_logs/{number}/", {"tail": "9"})
        for _ in range(2):
            client.call("POST", f"/api/v0/instances/{number}/ssh/", KEY)
        client.call("POST", f"/api/v0/instances/{number}/ssh/", {"ssh_key": "x"})
        client.call("GET", f"/api/v0/instances/{number}/ssh/")
        for _ in range(2):
            client.call("DELETE", f"/api/v0/instances/{number}/ssh/1/")
        client.call("PUT", f"/api/v0/instances/{number}/", {"state": "x"})
    client.call("PUT", one, {"label": "x" * 1025})
    client.call("PUT", one, {"state": "stopped"})
    client.now += 60
    client.call("GET", one)
    contract = client.market.contracts[first]
    contract.machine.occupy(contract.gpus, "other:1")
    client.call("PUT", one, {"state": "running"})
    for _ in range(2):
        client.call("DELETE", one)
    client.market.give_credit(-client.market.credit(client.now) - 1)
    query = {"rentable": {"eq": True}}
    offer = client.call("POST", "/api/v0/bundles/", query).body["offers"][0]["id"]
    client.call("PUT", f"/api/v0/asks/{offer}/", {"image": "x", "disk": 16})
    client.market.give_credit(100)


def keep_account(client: Checked) -> None:
    """Use keys, variables, templates and webhooks."""
    key_id = next(iter(client.market.account_keys))
    for method, body in (("PUT", KEY), ("DELETE", {})):
        for _ in range(2):
            client.call(method, f"/api/v0/ssh/{key_id}/", body)
    secrets = "/api/v0/secrets/"
    for method, body in (
        ("POST", {"key": "a", "value": "b"}), ("POST", {"key": "a", "value": "b"}), ("POST", {}),
        ("GET", {}), ("PUT", {"key": "a", "value": "c"}), ("PUT", {"key": "x", "value": "c"}),
        ("DELETE", {"key": "a"}), ("DELETE", {"key": "a"}), ("DELETE", {}),
    ):  # fmt: skip
        client.call(method, secrets, body)
    client.call("GET", "/api/v0/users/current")
    client.call("GET", "/api/v0/users/current", key="")
    template = {"name": "t", "image": "x"}
    made = client.call("POST", "/api/v0/template/", template).body["template"]
    client.call("POST", "/api/v0/template/", {})
    client.call("PUT", "/api/v0/template/", {"hash_id": made["hash_id"], "desc": "x"})
    client.call("GET", "/api/v0/template/")
    client.call("GET", "/api/v0/template/", query={"select_filters": "x"})
    for _ in range(2):
        client.call("DELETE", "/api/v0/template/", {"template_id": made["id"]})
    hook = {"webhook_url": "https://example.com/", "event_types": ["client:outbid"], "name": "x"}
    client.call("POST", "/api/v0/webhooks/", hook)
    client.call("POST", "/api/v0/webhooks/", {})
    client.call("GET", "/api/v0/webhooks/")
    client.call("GET", "/api/v0/notification-types/")
    for number in (1, 9):
        client.call("PUT", f"/api/v0/webhooks/{number}/", {"name": "y"})
        client.call("POST", f"/api/v0/webhooks/{number}/rotate-secret/")
        client.call("POST", f"/api/v0/webhooks/{number}/test/")
        client.call("DELETE", f"/api/v0/webhooks/{number}/")
    client.call("POST", "/api/v0/webhooks/", hook)
    client.call("PUT", "/api/v0/webhooks/2/", {"webhook_url": "ftp://x"})


def be_refused(client: Checked) -> None:
    """Call without the right, without the key, and too often."""
    client.api.keys.give("none", Grant(rights=frozenset()))
    for method, path in (
        ("GET", "/api/v0/secrets/"), ("POST", "/api/v0/secrets/"), ("DELETE", "/api/v0/secrets/"),
        ("PUT", "/api/v0/asks/1/"), ("PUT", "/api/v0/instances/command/1/"),
        ("PUT", "/api/v0/instances/request_logs/1/"), ("GET", "/api/v1/instances/"),
        ("POST", "/api/v0/ssh/"),
    ):  # fmt: skip
        client.call(method, path, key="none")
    for endpoint in DESCRIBED["responses"]:
        method, _, path = endpoint.partition(" ")
        path = f"/api/v1{path}" if endpoint == "GET /instances/" else f"/api/v0{path}"
        path = path.replace("{id}", "1")
        client.call(method, path, key="")
        client.api.limits = Limits()
        for _ in range(11):
            reply = client.call(method, path)
            if reply.status == 429:
                break
        client.api.limits = Limits(0)


@pytest.fixture(scope="module")
def walked() -> Checked:
    client = Checked()
    client.market.give_credit(1000)
    change(client, *rent(client))
    keep_account(client)
    be_refused(client)
    return client


def test_every_answer_fits_or_is_a_listed_exception(walked: Checked) -> None:
    unlisted = {k: v for k, v in walked.found.items() if k not in EXCEPTIONS}
    assert unlisted == {}, "not as described, and no source says that the service differs"
    assert [one for one in EXCEPTIONS if one not in walked.found] == [], "no longer needed"


def test_every_described_answer_was_given(walked: Checked) -> None:
    described = {
        (endpoint, status)
        for endpoint, statuses in DESCRIBED["responses"].items()
        for status in statuses
    }
    assert described - walked.seen == set(UNSAID)


def test_an_offer_has_every_field_of_the_example(walked: Checked) -> None:
    (row,) = walked.call("POST", "/api/v0/bundles/", {"limit": 1}).body["offers"]
    assert sorted(set(DESCRIBED["offer_fields"]) - set(row)) == []
