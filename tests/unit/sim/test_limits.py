"""How often one may ask, and every way in which "too often" is said."""

import json

import pytest

from keeper.sim.limits import DAY_S, PENALTY_S, SPACING_S, STYLES, Limits, refusal_body
from tests.unit.sim.test_api import Client


@pytest.mark.parametrize(("endpoint", "seconds"), SPACING_S.items())
def test_each_printed_threshold_holds(endpoint: str, seconds: float) -> None:
    limits, now = Limits(), 1_000.0
    assert limits.refuse(endpoint, "me", now) is None
    early = limits.refuse(endpoint, "me", now + seconds - 0.1)
    assert early is not None
    assert early.threshold_s == seconds
    penalty_s = PENALTY_S.get(endpoint, 0.0)
    assert early.wait_s == pytest.approx(0.1 + penalty_s)
    again = now + seconds - 0.1 + early.wait_s
    assert limits.refuse(endpoint, "me", again) is None
    assert limits.refuse(endpoint, "another", now) is None, "each identity counts for itself"


def test_an_identity_is_the_token_the_parameter_and_the_address() -> None:
    client = Client(spacing=1.0)
    listing = ("GET", "/api/v1/instances/")
    assert client.call(*listing).status == 200
    assert client.call(*listing, query={"api_key": "secret"}).status == 200
    assert client.call(*listing, query={"api_key": "secret"}, key="").status == 200
    assert client.call(*listing).status == 429


def test_hammering_does_not_shut_the_door_for_ever() -> None:
    limits, endpoint = Limits(), "PUT /asks/{id}/"
    for tenth in range(100):
        limits.refuse(endpoint, "me", 1_000.0 + tenth / 10)
    most = SPACING_S[endpoint] + PENALTY_S[endpoint]
    assert limits.refuse(endpoint, "me", 1_009.9 + most) is None


def test_the_daily_quota_ends_at_midnight_utc() -> None:
    client = Client(spacing=0.0)
    client.api.limits.change({"searches_per_day": 2})
    search = ("POST", "/api/v0/bundles/", {"limit": 1})
    assert [client.call(*search).status for _ in range(2)] == [200, 200]
    spent = client.call(*search)
    assert (spent.status, spent.body["error"]) == (429, "search_quota_exceeded")
    reset_at = int(spent.headers["X-RateLimit-Reset"])
    assert reset_at == (client.now // DAY_S + 1) * DAY_S
    assert client.call("GET", "/api/v0/bundles/", query={"q": "{}"}).status == 429
    assert client.call("GET", "/api/v1/instances/").status == 200, "nothing else is spent"
    client.now = reset_at
    assert client.call(*search).status == 200


def test_limits_change_while_it_runs() -> None:
    client = Client(spacing=0.0)
    listing = ("GET", "/api/v1/instances/")
    assert [client.call(*listing).status for _ in range(2)] == [200, 200]
    change = {"scale": 1, "style": "message", "spacing_s": {"GET /instances/": 9}}
    client.api.limits.change(change)
    assert client.call(*listing).status == 200
    client.now += 8
    refused = client.call(*listing)
    assert (refused.status, refused.body) == (429, {"message": "API requests too frequent"})
    with pytest.raises(ValueError, match="style: one of"):
        client.api.limits.change({"style": "loud"})
    with pytest.raises(ValueError, match="unknown: speed"):
        client.api.limits.change({"speed": 1})
    with pytest.raises(ValueError, match="below 0"):
        client.api.limits.change({"scale": -1})


@pytest.mark.parametrize("style", STYLES)
def test_every_style_says_too_frequent_and_only_some_say_how_long(style: str) -> None:
    body, headers = refusal_body(style, 4.5, 3.0)
    text = json.dumps(body)
    assert "API requests too frequent" in text
    assert isinstance(body, str) == (style in {"text", "threshold", "header"})
    assert ("threshold=4.5" in text) == (style in {"threshold", "detail"})
    assert ("retry_after" in text) == (style in {"body", "hint"})
    assert (headers == {"Retry-After": "3"}) == (style in {"header", "hint"})
