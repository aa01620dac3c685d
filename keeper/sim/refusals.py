"""How the marketplace says no, and when: statuses, slugs and texts as seen in the field. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

GONE_TEXT = "error 404/3603: no_such_ask  Instance type by id {} is not available."


class Refusal(Exception):
    """The marketplace says no: an HTTP status (200 is possible) and a body."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {dict(body)}")
        self.status = status
        self.body = dict(body)


class ReplyLost(Exception):
    """It was done, and nobody will ever be told."""


def race_lost(offer_id: int, luck: random.Random) -> Refusal:
    """Say that the offer is gone, in one of the forms seen in the field; mostly the first."""
    forms: Sequence[tuple[int, dict[str, Any]]] = (
        (400, {"error": "invalid_args", "msg": GONE_TEXT.format(offer_id)}),
        (400, {"error": "invalid_args", "msg": GONE_TEXT.format(offer_id)}),
        (410, {"error": "no_such_ask", "msg": f"No ask by id {offer_id}."}),
        (404, {"error": "no_such_ask", "msg": GONE_TEXT.format(offer_id)}),
        (409, {"error": "no_such_ask", "msg": "The ask was taken."}),
    )
    status, body = forms[luck.randrange(len(forms))]
    return Refusal(status, {"success": False, "ask_id": offer_id} | body)


def check_create(body: Mapping[str, Any]) -> None:
    """Refuse what the marketplace refuses. Lengths and bounds: Vast.ai docs, create instance."""
    problems = []
    if not body.get("image") and not body.get("template_hash_id"):
        problems.append("image: an image or a template is required")
    if len(str(body.get("image") or "")) > 1024:
        problems.append("image: longer than 1024")
    if len(str(body.get("label") or "")) > 256:
        problems.append("label: longer than 256")
    disk = body.get("disk")
    if disk is not None and not (isinstance(disk, int | float) and disk >= 8):
        problems.append("disk: a number of at least 8 is required")
    price = body.get("price")
    if price is not None and not (isinstance(price, int | float) and 0.001 <= price <= 128):
        raise Refusal(400, {"success": False, "error": "invalid_price", "msg": f"price: {price}"})
    if len(str(body.get("onstart") or "")) > 4096:
        problems.append("error 400/3471: len(args) > 4096")
    if problems:
        text = "; ".join(problems)
        raise Refusal(400, {"success": False, "error": "invalid_args", "msg": text})
