"""How often the marketplace may be asked, per endpoint and identity, and how it says "too often".

The thresholds are those printed in the 429 examples of Vast.ai's endpoint documents (read 2026-08);
endpoints that print none have none here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

SPACING_S: Mapping[str, float] = MappingProxyType(
    {
        "PUT /asks/{id}/": 4.5,
        "GET /instances/": 1.0,
        "GET /instances/{id}/": 2.0,
        "PUT /instances/{id}/": 1.0,
        "DELETE /instances/{id}/": 3.0,
        "PUT /instances/reboot/{id}/": 1.0,
        "PUT /instances/recycle/{id}/": 1.0,
        "PUT /instances/bid_price/{id}/": 5.5,
        "PUT /instances/command/{id}/": 1.5,
        "POST /instances/start/": 2.0,
        "DELETE /instances/{id}/ssh/{id}/": 2.0,
        "POST /ssh/": 1.0,
        "PUT /ssh/{id}/": 1.0,
        "GET /secrets/": 5.0,
        "POST /secrets/": 3.0,
        "PUT /secrets/": 3.0,
        "DELETE /secrets/": 3.0,
        "GET /template/": 3.0,
        "GET /instances/balance/{id}/": 3.0,
    }
)
SEARCHES = frozenset({"POST /bundles/", "GET /bundles/", "PUT /search/asks/"})
SEARCHES_MAX = 10
SEARCHES_WINDOW_S = 60.0
# Printed beside the create's threshold and not explained; taken as extra seconds after a violation.
PENALTY_S: Mapping[str, float] = MappingProxyType({"PUT /asks/{id}/": 12.0})
# Two calls sent exactly the threshold apart may arrive a little closer.
SLACK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class TooOften:
    """A call that came too early."""

    wait_s: float
    threshold_s: float


class Limits:
    """Remembers when each identity last asked for what."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale  # 0: no limits
        self._ready_at: dict[tuple[str, str], float] = {}
        self._searches: dict[str, deque[float]] = {}

    def refuse(self, endpoint: str, identity: str, now: float) -> TooOften | None:
        """Count a call; returns why it is refused, or None. ``endpoint``: "METHOD /path/"."""
        if self.scale <= 0:
            return None
        if endpoint in SEARCHES:
            return self._refuse_search(identity, now)
        threshold_s = SPACING_S.get(endpoint, 0.0) * self.scale
        if not threshold_s:
            return None
        ready_at = self._ready_at.get((endpoint, identity), 0.0)
        if now < ready_at - SLACK_S:
            ready_at += PENALTY_S.get(endpoint, 0.0) * self.scale
            # Hammering must not push the door shut for ever.
            ready_at = min(ready_at, now + threshold_s + PENALTY_S.get(endpoint, 0.0) * self.scale)
            self._ready_at[endpoint, identity] = ready_at
            return TooOften(wait_s=ready_at - now, threshold_s=threshold_s)
        self._ready_at[endpoint, identity] = now + threshold_s
        return None

    def _refuse_search(self, identity: str, now: float) -> TooOften | None:
        window_s = SEARCHES_WINDOW_S * self.scale
        recent = self._searches.setdefault(identity, deque())
        while recent and recent[0] <= now - window_s:
            recent.popleft()
        if len(recent) >= SEARCHES_MAX:
            wait_s = recent[0] + window_s - now
            return TooOften(wait_s=wait_s, threshold_s=window_s / SEARCHES_MAX)
        recent.append(now)
        return None


def refusal_body(
    style: str, threshold_s: float, wait_s: float | None
) -> tuple[str | dict[str, Any], dict[str, str]]:
    """Return the body and headers of a 429 in one of the styles seen: text, detail, msg, hint."""
    text = "API requests too frequent"
    match style:
        case "text":
            return text, {}
        case "msg":
            return {"success": False, "error": "rate_limit_exceeded", "msg": text}, {}
        case "hint":
            wait_s = 1.0 if wait_s is None else wait_s
            body = {"success": False, "msg": text, "retry_after": round(wait_s, 2)}
            return body, {"Retry-After": str(max(1, round(wait_s)))}
        case _:
            return {"detail": f"{text} endpoint threshold={threshold_s:g}"}, {}
