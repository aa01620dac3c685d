"""One request and one reply of the marketplace, before and after any transport. Values only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>"


class Delivery(StrEnum):
    """What becomes of the reply on its way back."""

    WHOLE = "whole"
    CUT = "cut"  # ends in the middle
    DROPPED = "dropped"  # the connection ends without a byte


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One call as it arrives."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    authorization: str = ""
    client: str = "127.0.0.1"
    base_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiReply:
    """What is answered. ``body`` is a JSON value, or text when ``is_text``."""

    status: int
    body: Any = None
    is_text: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE
    delay_s: float = 0.0
    note: str = ""  # the fault that changed it, for the ledger

    @property
    def content(self) -> bytes:
        """The bytes of the body."""
        if self.is_text:
            return str(self.body).encode()
        try:
            return orjson.dumps(self.body)
        except TypeError:  # a number that no 64 bits hold, say: the marketplace may lie
            return json.dumps(self.body).encode()

    @property
    def content_type(self) -> str:
        """What the body is said to be. The official command line refuses a charset behind it."""
        if not self.is_text:
            return "application/json"
        return "text/html" if str(self.body).lstrip().startswith("<") else "text/plain"
