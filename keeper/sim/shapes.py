"""The menu of strange answers: every shape in which the marketplace is known to say something odd.

Each is one answer as it arrives, by a name that ``POST /sim/answers`` understands. Sources: Vast.ai
docs and description of its API, the official client 1.9.1, and field reports, read 2026-08; each
shape says which. Data only. In a body, "{id}" stands for the number in the path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from keeper.sim.exchange import HTML, Delivery
from keeper.sim.refusals import GONE_TEXT

TOO_FREQUENT = "API requests too frequent"
TWO_FACTOR = "This requires you to have logged in using Two Factor Authentication."
SESSION_EXPIRED = "Session expired. Please log in again."
_HTML_503 = HTML.replace("502 Bad Gateway", "503 Service Unavailable").replace("502", "503")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One answer as it arrives."""

    status: int
    body: Any = None  # a JSON value, or text
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE
    is_after: bool = False  # what was asked for is done all the same
    source: str = ""

    @property
    def is_text(self) -> bool:
        """Whether the body is sent as it is."""
        return isinstance(self.body, str)


def _no(status: int, slug: str, text: str, source: str, **more: Any) -> Shape:  # noqa: ANN401
    body = {"success": False, "error": slug, "msg": text} | more
    return Shape(status=status, body=body, source=source)


def _gone(status: int, slug: str, text: str, source: str) -> Shape:
    return _no(status, slug, text, source, ask_id="{id}")


_GONE = GONE_TEXT.format("{id}")
_LIVE = "field reports"
_DOCS = "docs"
_CLIENT = "official client"

MENU: Mapping[str, Shape] = MappingProxyType(
    {
        # The key.
        "key_401": _no(401, "auth_error", "Invalid user key", _DOCS),
        "key_404": _no(404, "auth_error", "Invalid user key", "docs, search; field reports"),
        "key_404_bare": Shape(status=404, body={"msg": "Invalid user key"}, source=_DOCS),
        "key_403_expired": Shape(
            status=403, body={"msg": "Invalid or expired API key"}, source=_LIVE
        ),
        "key_401_text": Shape(status=401, body="Unauthorized", source=_CLIENT),
        "forbidden": Shape(
            status=403,
            body={"error": "forbidden", "msg": "Your key lacks the instance_read permission group"},
            source=_LIVE,  # without `success`
        ),
        "not_authorized": _no(403, "not_authorized", "You do not own this.", "docs, logs"),
        "two_factor": _no(401, "auth_error", TWO_FACTOR, "official client, its own notes"),
        "session_expired_401": _no(401, "auth_error", SESSION_EXPIRED, _CLIENT),
        "session_expired_404": Shape(status=404, body={"msg": SESSION_EXPIRED}, source=_CLIENT),
        "team_ssh_keys": _no(
            400, "invalid_args", "team SSH keys are not supported", "the service's own notes"
        ),
        # The request.
        "bad_request": _no(400, "bad_request", "q.gpu_ram: must be an object", _LIVE),
        "invalid_request": Shape(
            status=400,
            body={"error": "invalid_request", "msg": "Invalid json body"},
            source="docs, search",
        ),
        "invalid_args": _no(
            400,
            "invalid_args",
            "error 400/3467: Invalid args: 'id' is required and must be a valid offer ID",
            "docs, create",
        ),
        "invalid_price": _no(400, "invalid_price", "price is out of range", "docs, create"),
        "args_too_long": _no(
            400, "invalid_args", "error 400/3471: len(args) > 4096", "the service's own notes"
        ),
        "not_your_own": _no(
            403,
            "invalid_args",
            "error 403/3586: Offer {id} is not your own. Hosts can only rent their own machines.",
            "docs, create",
            ask_id="{id}",
        ),
        "unprocessable_422": Shape(
            status=422,
            body={"detail": [{"loc": ["body"], "msg": "field required"}]},
            source=_CLIENT,
        ),
        "bad_json_483": _no(483, "invalid_args", "Invalid json_body", "docs, execute"),
        "invalid_token": Shape(
            status=400,
            body={"error": "invalid_token", "msg": "Invalid pagination token."},
            source="docs, show instances",
        ),
        "label_too_long": _no(400, "label_too_long", "Label is too long.", "docs, label"),
        "no_ssh_key": _no(400, "no_ssh_key", "No such SSH key.", "docs, ssh keys"),
        "no_ssh_key_for_vm": _no(
            400, "no_ssh_key_for_vm", "A VM needs an SSH key on the account.", "docs, create"
        ),
        "invalid_container_id": _no(
            400, "invalid_container_id", "The instance has no container.", "docs, execute"
        ),
        # The offer: one event, five ways to say it.
        "race_400": _gone(400, "invalid_args", _GONE, "field reports: the live form"),
        "race_404": _gone(404, "invalid_args", _GONE, "docs, create"),
        "race_404_slug": _gone(404, "no_such_ask", _GONE, "docs, create"),
        "race_409": _gone(409, "no_such_ask", "The ask was taken.", "a field report"),
        "race_410": _gone(
            410,
            "no_such_ask",
            "error 410/3907: no_such_ask Instance type {id} is no longer available.",
            "docs, create",
        ),
        # Money.
        "insufficient_credit": Shape(
            status=400,
            body={"error": "insufficient_credit", "msg": "Your account lacks credit; see billing."},
            source=_LIVE,  # without `success`
        ),
        "missing_billing": _no(400, "missing_billing", "Set up billing first.", "docs, stop"),
        "spend_limit": Shape(
            status=403, body={"msg": "Account spend rate limit reached"}, source="docs, reference"
        ),
        # The rental.
        "queued_200": _no(
            200,
            "resources_unavailable",
            "Required resources are currently unavailable, state change queued.",
            _LIVE,
        ),
        "queued_400": _no(
            400,
            "resources_unavailable",
            "Required resources are currently unavailable, state change queued.",
            _LIVE,
        ),
        "no_such_instance": _no(404, "no_such_instance", "Instance {id} not found.", _DOCS),
        "not_found": _no(404, "not_found", "Instance not found", "docs, logs"),
        "invalid_id": _no(404, "invalid_id", "Invalid instance id", "other clients"),
        "detail_404": Shape(status=404, body={"detail": "Not found"}, source=_LIVE),
        "null_instance": Shape(status=200, body={"instances": None}, source=_LIVE),
        "already_attached": Shape(
            status=200,
            body={"success": False, "msg": "SSH key already associated with instance."},
            source=_LIVE,
        ),
        # Too often.
        "429_text": Shape(status=429, body=TOO_FREQUENT, source=_DOCS),
        "429_text_threshold": Shape(
            status=429, body=f"{TOO_FREQUENT}: endpoint threshold=4.5", source=_DOCS
        ),
        "429_detail": Shape(
            status=429,
            body={"detail": f"{TOO_FREQUENT} endpoint threshold=4.5"},
            source="the description's examples",
        ),
        "429_msg": _no(429, "rate_limit_exceeded", TOO_FREQUENT, "docs, destroy"),
        "429_message": Shape(status=429, body={"message": TOO_FREQUENT}, source=_DOCS),
        "429_body_hint": Shape(
            status=429,
            body={"success": False, "msg": TOO_FREQUENT, "retry_after": 1.5},
            source=_LIVE,
        ),
        "429_header_hint": Shape(
            status=429, body=TOO_FREQUENT, headers={"Retry-After": "2"}, source=_CLIENT
        ),
        "429_far_hint": Shape(
            status=429, body=TOO_FREQUENT, headers={"Retry-After": "600"}, source=_CLIENT
        ),
        "429_empty": Shape(status=429, body="", source="a guess at the worst"),
        "search_quota": _no(429, "search_quota_exceeded", "Daily search quota exceeded.", _CLIENT),
        # What is no answer at all.
        "deprecated_endpoint": _no(200, "deprecated_endpoint", "Use the new list.", _LIVE),
        "success_false_200": _no(200, "server_error", "Please try again.", "other clients"),
        "success_false_bare": Shape(status=200, body={"success": False}, source="other clients"),
        "list_without_array": Shape(status=200, body={"success": True}, source=_LIVE),
        "message_only_500": Shape(status=500, body={"message": "internal error"}, source=_DOCS),
        "html_200": Shape(status=200, body=HTML, source=_LIVE),
        "html_404": Shape(status=404, body="<html>404 Not Found</html>", source=_LIVE),
        "html_500": Shape(status=500, body="<html>500</html>", source=_LIVE),
        "html_502": Shape(status=502, body=HTML, source=_LIVE),
        "html_503": Shape(status=503, body=_HTML_503, source=_LIVE),
        "html_504": Shape(status=504, body="<html>504 Gateway Time-out</html>", source=_LIVE),
        "html_502_after": Shape(status=502, body=HTML, is_after=True, source=_LIVE),
        "empty_200": Shape(status=200, body="", source="a guess at the worst"),
        "empty_204": Shape(status=204, body="", source="a guess at the worst"),
        "null_200": Shape(status=200, body=None, source="a guess at the worst"),
        "array_200": Shape(status=200, body=[1], source="a guess at the worst"),
        "array_400": Shape(
            status=400, body=[{"msg": "?"}], source="official client: it would crash"
        ),
        "truncated": Shape(status=0, delivery=Delivery.CUT, is_after=True, source=_LIVE),
        "drop_before": Shape(status=0, delivery=Delivery.DROPPED, source=_LIVE),
        "drop_after": Shape(status=0, delivery=Delivery.DROPPED, is_after=True, source=_LIVE),
        # The way there. "{url}" is where the request should have gone.
        "moved_308": Shape(
            status=308, body="", headers={"Location": "{url}"}, source="field reports: the old host"
        ),
        "moved_307": Shape(status=307, body="", headers={"Location": "{url}"}, source=_CLIENT),
        "moved_302": Shape(status=302, body="", headers={"Location": "{url}"}, source="a guess"),
        "moved_away": Shape(
            status=308,
            body="",
            headers={"Location": "http://elsewhere.invalid/api/v0/"},
            source="a guess at the worst: the key must not go there",
        ),
    }
)
