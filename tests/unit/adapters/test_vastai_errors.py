"""Vast.ai's error bodies and what they mean, as a table, and what is said about them."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any

import pytest

from keeper.adapters.vastai_errors import BY_SLUG, Judge, fits_port, is_pace_complaint
from keeper.adapters.vastai_hints import hint_s, threshold_s
from keeper.adapters.vastai_reply import Effect, Reply
from keeper.adapters.vastai_secrets import redactor
from keeper.ports import (
    Invalid,
    Malformed,
    Missing,
    OfferGone,
    OutOfCredit,
    PortError,
    QuotaSpent,
    RateLimited,
    Transient,
    Unauthorized,
    Uncertain,
)

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
KEY = "0123456789abcdef"
JUDGE = Judge(redact=redactor(KEY))


def reply(status: int, body: Any = "", **headers: str) -> Reply:
    raw = body if isinstance(body, str) else json.dumps(body)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=raw.encode(), headers=names)


def failure(answer: Reply, effect: Effect = Effect.READ) -> PortError | None:
    return JUDGE.failure_of(answer, call="GET /x", effect=effect, now=NOW)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # Wrong or weak keys.
        (401, {"success": False, "error": "auth_error", "msg": "Invalid user key"}, Unauthorized),
        (404, {"success": False, "error": "auth_error", "msg": "Invalid user key"}, Unauthorized),
        (404, {"msg": "Invalid user key"}, Unauthorized),
        (401, "<html>", Unauthorized),
        (401, {"msg": "Two Factor Authentication required"}, Unauthorized),
        (404, {"message": "Your session expired"}, Unauthorized),
        (403, {"error": "forbidden", "msg": "missing right"}, Unauthorized),
        (403, {"error": "not_authorized"}, Unauthorized),
        (403, "", Unauthorized),
        # The request.
        (400, {"error": "bad_request", "msg": "q.gpu_ram: not an object"}, Invalid),
        (400, {"error": "invalid_request", "msg": "Invalid json body"}, Invalid),
        (400, {"error": "invalid_args", "msg": "error 400/3467: Invalid args"}, Invalid),
        (400, {"error": "invalid_price"}, Invalid),
        (400, {"error": "label_too_long"}, Invalid),
        (400, {"error": "something new"}, Invalid),
        (400, {"detail": [{"loc": ["body"], "msg": "field required"}]}, Invalid),
        (422, {"detail": "?"}, Invalid),
        (483, {"msg": "malformed JSON"}, Invalid),
        (403, {"error": "invalid_args", "msg": "error 403/3586: not your own"}, Invalid),
        # The offer and the money.
        (
            400,
            {"error": "invalid_args", "msg": "error 404/3603: no_such_ask  Instance type by id 7"},
            OfferGone,
        ),
        (410, {"error": "no_such_ask", "msg": "is no longer available."}, OfferGone),
        (400, {"error": "insufficient_credit", "msg": "?"}, OutOfCredit),
        (400, {"error": "missing_billing"}, OutOfCredit),
        (403, {"msg": "Account spend rate limit reached"}, OutOfCredit),
        # The rental.
        (404, {"error": "no_such_instance"}, Missing),
        (404, {"error": "not_found", "msg": "Instance not found"}, Missing),
        (404, {"error": "invalid_id"}, Missing),
        (404, {"detail": "Not found"}, Missing),
        (200, {"success": False, "error": "no_such_instance"}, Missing),
        (400, {"error": "invalid_args", "msg": "invalid instance_id"}, Missing),
        # The pace.
        (429, "API requests too frequent", RateLimited),
        (429, "API requests too frequent: endpoint threshold=4.5", RateLimited),
        (429, {"detail": "API requests too frequent endpoint threshold=4.5"}, RateLimited),
        (429, {"success": False, "error": "rate_limit_exceeded", "msg": "?"}, RateLimited),
        (429, {"message": "slow down", "retry_after": 3}, RateLimited),
        (429, "", RateLimited),
        (200, {"success": False, "msg": "API requests too frequent"}, RateLimited),
        (503, {"msg": "API requests too frequent"}, RateLimited),
        (429, {"error": "search_quota_exceeded"}, QuotaSpent),
        # The server.
        (500, {"success": False, "error": "server_error"}, Transient),
        (502, "<html>", Transient),
        (503, "", Transient),
        (504, "", Transient),
        (408, "", Transient),
        # The contract.
        (200, {"success": False, "error": "deprecated_endpoint"}, Malformed),
        (200, {"success": False}, Malformed),
        (200, {"error": True}, Malformed),
        (200, "<html>", Malformed),
        (200, "", Malformed),
        (200, "[1]", Malformed),
        (404, "<html>", Malformed),
        (418, "teapot", Malformed),
        (400, {"error": "invalid_token"}, Malformed),
    ],
)
def test_an_error_body_is_one_class(status: int, body: Any, kind: type[PortError]) -> None:
    error = failure(reply(status, body))
    assert type(error) is kind


def test_a_yes_is_no_error() -> None:
    assert failure(reply(200, {"success": True, "error": None})) is None
    assert failure(reply(200, {"instances": []})) is None
    assert failure(reply(204)) is None


def test_a_yes_must_be_labelled_as_json() -> None:
    assert failure(reply(200, {}, content_type="application/json; charset=utf-8")) is None
    assert failure(reply(200, {}, content_type="application/problem+json")) is None
    assert failure(reply(200, {}, content_type="text/plain")) is None
    assert type(failure(reply(200, {}, content_type="text/html"))) is Malformed


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520])
def test_a_broken_server_leaves_a_doubt_about_what_happens_once(status: int) -> None:
    error = failure(reply(status, {"error": "no_such_ask"}), Effect.ONCE)
    assert isinstance(error, Uncertain)
    assert type(failure(reply(status), Effect.REPEATABLE)) is Transient


def test_every_slug_is_told_by_itself() -> None:
    for slug, kind in BY_SLUG.items():
        assert type(failure(reply(400, {"error": slug.upper()}))) is kind


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (reply(429, "", retry_after="3"), 3.0),
        (reply(429, "", retry_after="0.5"), 0.5),
        (reply(429, "", retry_after="-4"), 0.0),
        (reply(429, "", retry_after="Sat, 01 Aug 2026 12:00:30 GMT"), 30.0),
        (reply(429, "", retry_after="Sat, 01 Aug 2026 11:00:00 GMT"), 0.0),
        (reply(429, "", retry_after="soon"), None),
        (reply(429, {"retry_after": 1.5}), 1.5),
        (reply(429, {"retry_after": "2"}), 2.0),
        (reply(429, {"retry_after": "NaN"}), None),
        (reply(429, {"retry_after": 2}, retry_after="9"), 9.0),
        (reply(429, "API requests too frequent"), None),
    ],
)
def test_a_hint_is_read_from_wherever_it_is(answer: Reply, seconds: float | None) -> None:
    assert hint_s(answer, NOW) == seconds
    error = failure(answer)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == seconds


def test_a_printed_threshold_is_read() -> None:
    assert threshold_s(reply(429, "too frequent: endpoint threshold=4.5")) == 4.5
    assert threshold_s(reply(429, {"detail": "too frequent endpoint threshold=2"})) == 2.0
    assert threshold_s(reply(429, "too frequent")) is None


def test_a_spent_quota_is_no_matter_of_pace() -> None:
    assert is_pace_complaint(reply(429, "too much"))
    assert not is_pace_complaint(reply(429, {"error": "search_quota_exceeded"}))
    assert not is_pace_complaint(reply(200, {}))
    assert not is_pace_complaint(reply(502))


@pytest.mark.parametrize(
    ("header", "until"),
    [
        (str(int(NOW.timestamp()) + 600), datetime(2026, 8, 1, 12, 10, tzinfo=UTC)),
        ("", datetime(2026, 8, 2, tzinfo=UTC)),
        ("0", datetime(2026, 8, 2, tzinfo=UTC)),
        ("9e18", datetime(2026, 8, 2, tzinfo=UTC)),
        ("tomorrow", datetime(2026, 8, 2, tzinfo=UTC)),
    ],
)
def test_a_quota_ends_when_told_or_at_midnight(header: str, until: datetime) -> None:
    answer = reply(429, {"error": "search_quota_exceeded"}, x_ratelimit_reset=header)
    error = failure(answer)
    assert isinstance(error, QuotaSpent)
    assert error.until == until


SOON = NOW + timedelta(seconds=300)


@pytest.mark.parametrize(
    ("reset_s", "date_s", "until"),
    [
        # Our clock is an hour ahead: our midnight has come, theirs has not, and they tell the time.
        (3600.0, 0.0, NOW + timedelta(hours=1)),
        (0.0, -3600.0, NOW + timedelta(hours=1)),
        # It is an hour behind: ours comes an hour later.
        (7200.0, 3600.0, NOW + timedelta(hours=1)),
        # They tell no time: a reset that has just been is our clock's doing.
        (-1.0, None, SOON),
        (-7200.0, None, SOON),
        (-7201.0, None, datetime(2026, 8, 2, tzinfo=UTC)),
    ],
)
def test_a_quota_is_waited_for_by_the_clock_of_whom_it_is_of(
    reset_s: float, date_s: float | None, until: datetime
) -> None:
    """A box whose clock was an hour ahead took the reset for one that had been, and waited for a day."""
    headers = {"x_ratelimit_reset": str(int(NOW.timestamp() + reset_s))}
    if date_s is not None:
        headers["date"] = formatdate(NOW.timestamp() + date_s, usegmt=True)
    error = failure(reply(429, {"error": "search_quota_exceeded"}, **headers))
    assert isinstance(error, QuotaSpent)
    assert error.until == until


def test_a_read_that_is_told_it_is_wrong_has_met_another_api() -> None:
    assert type(fits_port(Invalid("x"))) is Malformed
    assert type(fits_port(Missing("x"))) is Malformed
    assert type(fits_port(Unauthorized("x"))) is Unauthorized
    assert type(fits_port(Transient("x"))) is Transient
    assert type(fits_port(Invalid("x"), allows=(Invalid,))) is Invalid


def test_a_message_says_what_was_asked_and_what_came() -> None:
    error = failure(reply(400, {"error": "invalid_args", "msg": "no\n such\tthing"}))
    assert str(error) == "GET /x: HTTP 400: invalid_args no such thing"
    assert str(failure(reply(502, "<html><b>secret</b>"))) == "GET /x: HTTP 502"


@pytest.mark.parametrize(
    "said",
    [
        f"your key {KEY}",
        f"Authorization: Bearer {KEY}",
        '{"api_key": "zzzsecretzzz"}',
        "instance_api_key=zzzsecretzzz",
        "'jupyter_token': 'zzzsecretzzz'",
        f"cut in the middle of {KEY[:9]}",
        "deadbeef" * 8,
    ],
)
def test_secrets_are_cleared_from_what_is_said(said: str) -> None:
    redact = redactor(KEY)
    for cleared in (redact(said), redact(said), redact(f"{5000 * '.'} {said}")):
        assert "[redacted]" in cleared
        for secret in (KEY[:9], "zzzsecretzzz", "deadbeef"):
            assert secret not in cleared


def test_harmless_words_stay() -> None:
    said = "error 404/3603: no_such_ask  Instance type by id 30110001 is not available."
    assert redactor(KEY)(said) == said
    assert redactor("")(said) == said
    assert redactor("e")(said) == said
