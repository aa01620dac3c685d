"""Where others may say that something may have changed: Vast.ai's notifications, Alertmanager's webhook.

The only addresses that strangers reach without a token of keeper's: each call is bounded in size, in time
and in number, and is answered only where a secret is configured. Whose headers prove nothing takes no place
from others: its body is not even read. A hint decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import web
from pydantic import BaseModel, Field

from keeper.ports import Hint
from keeper.web.answers import CONTROL, Problem, json_answer, now_of
from keeper.web.hints import (
    HintSource,
    Why,
    is_alertmanager,
    may_be_vast,
    read_alertmanager,
    read_vast,
)
from keeper.web.telling_shapes import HintAnswer

_BODY_MAX: Final = 262_144
_BODY_S: Final = 5.0  # Vast.ai waits for ten seconds
_AT_ONCE_MAX: Final = 16

MayBe = Callable[[str, Mapping[str, str]], bool]
Read = Callable[[str, Mapping[str, str], bytes, datetime], Hint | Why]


class VastNotification(BaseModel):
    """A notification of Vast.ai, as far as it is read; signed in X-Vast-Signature-256."""

    event_id: str = ""
    notif_type: str = ""


class AlertmanagerMessage(BaseModel):
    """A webhook of Alertmanager, as far as it is read; with a bearer token."""

    version: str = "4"
    status: str = ""
    alerts: list[Mapping[str, object]] = Field(default_factory=list)


@dataclass(slots=True, eq=False)
class Hooks:
    """What those who may hint prove themselves with, as configured now, and how many are answered."""

    secret_of: Callable[[HintSource], str] = lambda _: ""  # "": nobody may
    at_once: int = 0

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Take one more call. Problem 429: there are enough."""
        if self.at_once >= _AT_ONCE_MAX:
            raise Problem(429, "too many at once", cure="send it again in a moment")
        self.at_once += 1
        try:
            yield
        finally:
            self.at_once -= 1


HOOKS: Final = web.AppKey("hooks", Hooks)


async def post_vast(request: web.Request) -> web.Response:
    """Take a notification of Vast.ai as a hint."""
    return await _take(request, HintSource.VAST, may_be_vast, read_vast)


async def post_alertmanager(request: web.Request) -> web.Response:
    """Take a webhook of Alertmanager as a hint."""
    return await _take(request, HintSource.ALERTMANAGER, is_alertmanager, read_alertmanager)


async def _take(
    request: web.Request, source: HintSource, may_be: MayBe, read: Read
) -> web.Response:
    hooks, control = request.app[HOOKS], request.app[CONTROL]
    secret = hooks.secret_of(source)
    if not secret:
        raise web.HTTPNotFound
    found: Hint | Why = Why.FORGED
    if may_be(secret, request.headers):
        with hooks.taking():
            body = await _body(request)
        found = read(secret, request.headers, body, now_of(request))
    if isinstance(found, Why):
        control.hint_refused(source, found)
        raise _refusal(found)
    return json_answer(HintAnswer(is_news=control.hint(found)))


def _refusal(why: Why) -> Problem:
    match why:
        case Why.FORGED:
            return Problem(401, "not taken")  # without a word of what was wrong
        case Why.LATE:
            return Problem(400, "late", "it was signed more than five minutes away from now")
        case Why.MALFORMED:
            return Problem(400, "not understood")


async def _body(request: web.Request) -> bytes:
    """Read a body, never more of it and never for longer than a notification takes."""
    if "Content-Encoding" in request.headers:
        raise Problem(415, "not as it is", cure="send it without Content-Encoding")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > _BODY_MAX:
                    raise Problem(413, "too long", f"at most {_BODY_MAX} bytes are read")
    except TimeoutError as error:
        raise Problem(408, "too slow", f"it must be whole within {_BODY_S:g} s") from error
    except (ConnectionError, web.RequestPayloadError) as error:
        # A stranger may go at any time; it is no error of ours, and no traceback in the log.
        raise Problem(400, "not whole") from error
    return bytes(body)
