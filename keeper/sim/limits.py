"""How often the marketplace may be asked, per endpoint and identity, and how it says "too often".

The thresholds are those printed in the 429 examples of Vast.ai's endpoint documents (read 2026-08);
endpoints that print none have none here. The size of the daily search quota is published nowhere.
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
        "PUT /instances/prepay/{id}/": 2.0,
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
DAY_S = 86_400.0
# Printed beside the create's threshold and not explained; taken as extra seconds after a violation.
PENALTY_S: Mapping[str, float] = MappingProxyType({"PUT /asks/{id}/": 12.0})
# Two calls sent exactly the threshold apart may arrive a little closer.
SLACK_S = 0.02
STYLES = ("text", "threshold", "detail", "msg", "message", "body", "header", "hint")


@dataclass(frozen=True, slots=True, kw_only=True)
class TooOften:
    """A call that came too early. ``reset_at``: the daily quota is spent until then (UTC)."""

    wait_s: float
    threshold_s: float
    reset_at: float | None = None


class Limits:
    """Remembers when each identity last asked for what."""

    def __init__(self, scale: float = 1.0, *, searches_per_day: int = 0) -> None:
        self.scale = scale  # 0: no limits
        self.searches_per_day = searches_per_day  # 0: as many as one likes
        self.style = ""  # "": as the API was made
        self._own_s: dict[str, float] = {}
        self._ready_at: dict[tuple[str, str], float] = {}
        self._searches: dict[str, deque[float]] = {}
        self._today: dict[str, tuple[int, int]] = {}  # identity: the day, and searches on it

    def change(self, row: Mapping[str, Any]) -> None:
        """Change limits while it runs. Raises ValueError in plain words."""
        known = {"scale", "style", "searches_per_day", "spacing_s"}
        if unknown := sorted(set(row) - known):
            raise ValueError(f"unknown: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        style = str(row.get("style", self.style))
        if style and style not in STYLES:
            raise ValueError(f"style: one of {', '.join(STYLES)}")
        scale = float(row.get("scale", self.scale))
        per_day = int(row.get("searches_per_day", self.searches_per_day))
        spacing_s = {str(name): float(value) for name, value in row.get("spacing_s", {}).items()}
        if min(scale, per_day, *spacing_s.values()) < 0:
            raise ValueError("no limit is below 0")
        self.style, self.scale, self.searches_per_day = style, scale, per_day
        self._own_s |= spacing_s

    def spacing_s(self, endpoint: str) -> float:
        """Return the seconds that must lie between two calls."""
        return self._own_s.get(endpoint, SPACING_S.get(endpoint, 0.0)) * self.scale

    def refuse(self, endpoint: str, identity: str, now: float) -> TooOften | None:
        """Count a call; returns why it is refused, or None. ``endpoint``: "METHOD /path/"."""
        if endpoint in SEARCHES and (spent := self._refuse_day(identity, now)):
            return spent
        if self.scale <= 0:
            return None
        if endpoint in SEARCHES:
            return self._refuse_search(identity, now)
        threshold_s = self.spacing_s(endpoint)
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

    def _refuse_day(self, identity: str, now: float) -> TooOften | None:
        """Count a search of this UTC day."""
        if not self.searches_per_day:
            return None
        today = int(now // DAY_S)
        day, count = self._today.get(identity, (today, 0))
        count = count if day == today else 0
        if count >= self.searches_per_day:
            reset_at = (today + 1) * DAY_S
            return TooOften(wait_s=reset_at - now, threshold_s=0.0, reset_at=reset_at)
        self._today[identity] = (today, count + 1)
        return None


def refusal_body(
    style: str, threshold_s: float, wait_s: float | None
) -> tuple[str | dict[str, Any], dict[str, str]]:
    """Return the body and headers of a 429 in one of the STYLES seen."""
    text = "API requests too frequent"
    wait_s = 1.0 if wait_s is None else wait_s
    header = {"Retry-After": str(max(1, round(wait_s)))}
    hint = {"success": False, "msg": text, "retry_after": round(wait_s, 2)}
    match style:
        case "text":
            return text, {}
        case "threshold":
            return f"{text}: endpoint threshold={threshold_s:g}", {}
        case "msg":
            return {"success": False, "error": "rate_limit_exceeded", "msg": text}, {}
        case "message":
            return {"message": text}, {}
        case "body":
            return hint, {}
        case "header":
            return text, header
        case "hint":
            return hint, header
        case _:
            return {"detail": f"{text} endpoint threshold={threshold_s:g}"}, {}


def quota_body(reset_at: float) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body and headers of a spent daily quota, as the official client reads them."""
    body = {
        "success": False,
        "error": "search_quota_exceeded",
        "msg": "Daily search quota exceeded.",
    }
    return body, {"X-RateLimit-Reset": str(int(reset_at))}
