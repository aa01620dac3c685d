"""Webhooks for notifications: kept and checked as documented; ``notifications`` delivers where asked to.

Rules follow Vast.ai's page on notification webhooks (read 2026-08). Deliveries go to public
addresses over HTTPS alone, and a simulator has none: where it delivers, this machine's own are taken.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from keeper.sim.calls import OK, Answer, Call, Handler, bad, words_of

WEBHOOKS_MAX = 4
URL_MAX, NAME_MAX = 2048, 120
TEST = "webhook_test"
# The keys that the documents name for renters.
EVENTS = (
    "client:low_credit",
    "client:outbid",
    "client:instance_created",
    "client:instance_started",
    "client:instance_stopped",
    "client:upcoming_downtime",
)


@dataclass(slots=True)
class Webhooks:
    """The account's webhooks, by number; the secret stands beside its row and is rarely shown."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[int, str] = field(default_factory=dict)
    made: int = 0
    takes_loopback: bool = False  # http addresses of this machine too: somebody delivers there
    _tests: list[int] = field(default_factory=list)  # asked for, and not delivered yet

    def wanting(self, kind: str) -> Iterator[tuple[str, str]]:
        """Yield address and secret of those that are told of this; a test names its webhook."""
        for number, row in self.rows.items():
            if kind in row["event_types"] or kind == f"{TEST}#{number}":
                yield row["webhook_url"], self.secrets[number]

    def tests(self) -> Iterator[tuple[str, str]]:
        """Yield the tests that were asked for, once."""
        tests, self._tests = self._tests, []
        for number in tests:
            yield f"{TEST}#{number}", "A test"

    def table(self, now: Any) -> Mapping[str, Handler]:  # noqa: ANN401 - a clock
        """Return the calls about webhooks. ``now``: a function."""
        return {
            "GET /notification-types/": _types,
            "GET /webhooks/": lambda _: Answer(
                body={"success": True, "webhooks": [*self.rows.values()]}
            ),
            "POST /webhooks/": lambda call: self._create(call, now()),
            "PUT /webhooks/{id}/": lambda call: self._change(call, now()),
            "DELETE /webhooks/{id}/": self._delete,
            "POST /webhooks/{id}/rotate-secret/": self._rotate,
            "POST /webhooks/{id}/test/": self._test,
        }

    def _create(self, call: Call, now: float) -> Answer:
        if len(self.rows) >= WEBHOOKS_MAX:
            return bad("invalid_args", f"At most {WEBHOOKS_MAX} webhooks are allowed.")
        if why := _problem(call.body, is_new=True, takes_loopback=self.takes_loopback):
            return bad("invalid_args", why)
        self.made += 1
        row = {
            "id": self.made,
            "user_id": 150_412,
            "name": call.body.get("name"),
            "webhook_url": call.body["webhook_url"],
            "event_types": words_of(call, "event_types"),
            "created_at": now,
            "updated_at": now,
        }
        self.rows[self.made] = row
        return self._with_secret(row, {"enabled_notification_preferences": row["event_types"]})

    def _change(self, call: Call, now: float) -> Answer:
        row = self.rows.get(call.ids[0])
        if row is None:
            return _absent()
        if why := _problem(call.body, is_new=False, takes_loopback=self.takes_loopback):
            return bad("invalid_args", why)
        names = ("name", "webhook_url", "event_types")
        row |= {name: call.body[name] for name in names if name in call.body}
        row["updated_at"] = now
        more = {"enabled_notification_preferences": row["event_types"]}
        return Answer(body={"success": True, "webhook": dict(row), **more})

    def _delete(self, call: Call) -> Answer:
        return OK if self.rows.pop(call.ids[0], None) else _absent()

    def _rotate(self, call: Call) -> Answer:
        row = self.rows.get(call.ids[0])
        return self._with_secret(row, {}) if row else _absent()

    def _test(self, call: Call) -> Answer:
        if call.ids[0] not in self.rows:
            return _absent()
        if self.takes_loopback:
            self._tests.append(call.ids[0])
        return Answer(body={"success": True, "msg": "Test delivery accepted."})

    def _with_secret(self, row: dict[str, Any], more: Mapping[str, Any]) -> Answer:
        """Show a webhook with a new secret, the only time that it is shown."""
        number = row["id"]
        turn = int(self.secrets.get(number, "whsec_0_0").rpartition("_")[2]) + 1
        self.secrets[number] = f"whsec_{number}_{turn}"
        shown = {**row, "webhook_secret": self.secrets[number]}
        return Answer(body={"success": True, "webhook": shown, **more})


def _types(_: Call) -> Answer:
    rows = [
        {
            "key": key,
            "slug": key.partition(":")[2],
            "context": "client",
            "topic": "billing" if "credit" in key else "instances",
            "category": "billing" if "credit" in key else "instances",
            "display_name": key.partition(":")[2].replace("_", " ").capitalize(),
            "default_preferences": {"email": True, "webhooks": False},
            "mandatory_email": False,
        }
        for key in EVENTS
    ]
    return Answer(body={"success": True, "notification_types": rows})


def _problem(body: Mapping[str, Any], *, is_new: bool, takes_loopback: bool) -> str:
    """Return what is wrong with a webhook; "" when nothing is."""
    url, name, events = body.get("webhook_url"), body.get("name"), body.get("event_types")
    if url is not None or is_new:
        parts = urlsplit(url) if isinstance(url, str) else None
        is_near = takes_loopback and parts is not None and _is_loopback(parts.hostname or "")
        schemes = ("https", "http") if is_near else ("https",)
        if parts is None or parts.scheme not in schemes or not parts.hostname:
            return "webhook_url: an https address with a host is required"
        if len(str(url)) > URL_MAX:
            return f"webhook_url: longer than {URL_MAX}"
    if name is not None and not (
        isinstance(name, str) and len(name) <= NAME_MAX and name.isprintable()
    ):
        return f"name: at most {NAME_MAX} characters, none of them for control"
    if events is not None or is_new:
        if not isinstance(events, list) or not events:
            return "event_types: at least one is required"
        if unknown := [one for one in events if one not in EVENTS]:
            return f"event_types: {unknown[0]} is none"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _absent() -> Answer:
    return bad("not_found", "Webhook not found.", status=404)
