"""What a refused key lacks, and what its owner is told to do."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from keeper.adapters.vastai_errors import Judge
from keeper.adapters.vastai_reply import Effect, Reply
from keeper.adapters.vastai_rights import CURE, RIGHT, Why
from keeper.adapters.vastai_secrets import redactor
from keeper.adapters.vastai_spacing import Endpoint
from keeper.ports import Unauthorized

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
REDACT = redactor("0123456789abcdef")
TWO_FACTOR = "This endpoint requires you to have logged in using Two Factor Authentication."


def refused(call: str, status: int, body: Any) -> Unauthorized:
    raw = body if isinstance(body, str) else json.dumps(body)
    error = Judge(redact=REDACT).failure_of(
        Reply(status=status, body=raw.encode()), call=call, effect=Effect.READ, now=NOW
    )
    assert isinstance(error, Unauthorized)
    return error


def test_every_endpoint_needs_a_right() -> None:
    """Vast API docs, permissions, read 2026-08."""
    assert set(RIGHT) == set(Endpoint)
    assert set(RIGHT.values()) == {
        "misc",
        "instance_read",
        "instance_write",
        "user_read",
        "user_write",
    }


@pytest.mark.parametrize("call", list(Endpoint))
def test_a_missing_right_is_named(call: Endpoint) -> None:
    for body in ({"error": "forbidden", "msg": "?"}, {"detail": "Permission denied"}):
        error = refused(call, 403, body)
        assert error.right == RIGHT[call]
        assert f"the right {RIGHT[call]}" in error.cure


def test_a_right_that_the_answer_names_is_believed() -> None:
    said = {"success": False, "msg": "Your key lacks the user_write permission group"}
    error = refused(Endpoint.LIST, 401, said)
    assert error.right == "user_write"
    assert "user_write" in error.cure


@pytest.mark.parametrize(
    ("status", "body", "piece"),
    [
        (401, {"error": "auth_error", "msg": "Invalid user key"}, "VAST_API_KEY"),
        (404, {"error": "auth_error", "msg": "Invalid user key"}, "VAST_API_KEY"),
        (401, "", "what stands between"),
        (403, "<html>Access denied</html>", "what stands between"),
        (401, {"error": "auth_error", "msg": TWO_FACTOR}, "asks for two-factor"),
        (401, {"msg": "two-factor login needed"}, "asks for two-factor"),
        (404, {"msg": "Session expired. Please log in again."}, "session of this key is over"),
        (401, {"error": "auth_error", "msg": "Session has expired"}, "session of this key is over"),
        (400, {"msg": "team SSH keys are not supported"}, "a team has no SSH keys"),
        (403, {"error": "not_authorized", "msg": "?"}, "another account or team"),
        (401, {"msg": "Invalid or expired API key"}, "or it lacks the right instance_read"),
        (401, {"error": "unauthorized"}, "or it lacks the right instance_read"),
    ],
)
def test_each_refusal_says_what_to_do(status: int, body: Any, piece: str) -> None:
    error = refused(Endpoint.LIST, status, body)
    assert piece in error.cure
    assert error.right == "", "only a right that is known to be missing is named"


def test_a_cure_fits_a_line_and_holds_no_secret() -> None:
    for why in Why:
        cure = CURE[why].format(right="instance_write")
        assert len(cure) <= 400
        assert "{" not in cure
        assert REDACT(cure) == cure
