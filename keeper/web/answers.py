"""How the API answers: JSON of ours, problems by RFC 9457, who may order, what a browser may do."""

from __future__ import annotations

import hmac
import pwd
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ValidationError

from keeper.core.text import plain
from keeper.core.world import Snapshot
from keeper.ports import Clock, Control, StoreError, TimedOut, Uncertain

_B = TypeVar("_B", bound=BaseModel)

CONTROL: Final = web.AppKey("control", Control)
CLOCK: Final = web.AppKey("clock", Clock)
METRICS: Final = web.AppKey("metrics", CollectorRegistry)
TOKEN: Final = web.AppKey("token", str)
IS_LOCAL: Final = web.AppKey("is_local", bool)
# Where docs/runbooks is served, as configured now; "": nowhere.
RUNBOOKS_URL: Final = web.AppKey[Callable[[], str]]("runbooks_url")

# Everything comes from here and nothing may be framed, sniffed, referred to or kept.
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Problem(Exception):
    """A request that cannot be answered as asked."""

    def __init__(self, status: int, title: str, detail: str = "", **more: object) -> None:
        super().__init__(detail or title)
        self.status = status
        self.body = {"title": title, "status": status, "detail": detail, **more}


def json_answer(value: Any, status: int = 200, kind: str = "application/json") -> web.Response:  # noqa: ANN401 - JSON leaves here
    """Answer with JSON; dataclasses, dates and enumerations are written as such."""
    return web.Response(
        body=orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS),
        status=status,
        content_type=kind,
        headers={"Cache-Control": "no-store"},
    )


def plain_values(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - JSON leaves here
    """Make every text in a JSON value safe to show, and bound it."""
    match value:
        case str():
            return plain(value, 2000)
        case None | bool() | int() | float():
            return value
        case Mapping() if depth < 6:  # noqa: PLR2004 - facts are two levels deep
            return {
                plain(str(key), 100): plain_values(each, depth + 1) for key, each in value.items()
            }
        case Sequence() if depth < 6:  # noqa: PLR2004
            return [plain_values(each, depth + 1) for each in value]
        case _:
            return plain(str(value), 2000)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every refusal as application/problem+json, ours and aiohttp's alike."""
    try:
        return await handler(request)
    except Problem as problem:
        return _problem(problem)
    except StoreError as error:
        title = "the store cannot be used now"
        return _problem(Problem(503, title, plain(str(error)), cure="look at disk and log"))
    except Uncertain as error:
        # An order whose commit is still on its way: neither a yes nor a no would be true.
        title = "nobody knows yet whether it was taken"
        return _problem(Problem(504, title, plain(str(error)), cure="see keeper events"))
    except TimedOut as error:
        return _problem(Problem(503, "it was not taken", plain(str(error)), cure="try again"))
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004 - a redirect is no refusal
            raise
        answer = _problem(Problem(error.status, error.reason.lower()))
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer


def _problem(problem: Problem) -> web.Response:
    answer = json_answer(problem.body, problem.status, "application/problem+json")
    if problem.status == 401:  # noqa: PLR2004
        answer.headers["WWW-Authenticate"] = 'Bearer realm="keeper"'
    if problem.status == 503:  # noqa: PLR2004
        answer.headers["Retry-After"] = "5"
    return answer


async def secure(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on every answer."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if "Server" in response.headers:
        del response.headers["Server"]


def read_body(content: bytes, kind: type[_B], title: str) -> _B:
    """Read what was asked. Problem 422: it is not understood, with every finding."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        # Without the input: it may be anything, invalid UTF-8 included, and is known to the caller.
        found = error.errors(include_url=False, include_context=False, include_input=False)
        wrong = [
            {"at": ".".join(str(part) for part in each["loc"]), "what": each["msg"]}
            for each in found
        ]
        detail = "; ".join(f"{each['at'] or 'body'}: {each['what']}" for each in wrong)
        raise Problem(422, title, plain(detail), problems=wrong) from error


def snapshot_of(request: web.Request) -> Snapshot:
    """Return the last snapshot. Problem 503: there is none yet."""
    snapshot = request.app[CONTROL].snapshot()
    if snapshot is None:
        reason = request.app[CONTROL].not_ready_because() or "the first tick has not finished"
        raise Problem(503, "keeper is starting", plain(reason), cure="ask again in a moment")
    return snapshot


def now_of(request: web.Request) -> datetime:
    """Return the time."""
    return request.app[CLOCK].now()


def allow_order(request: web.Request) -> str:
    """Return who orders. Whoever may open the local socket may order; over TCP the token decides."""
    if request.app[IS_LOCAL]:
        return _peer(request)
    token = request.app[TOKEN]
    if not token:
        raise Problem(
            403,
            "orders are not taken here",
            "no token is configured for HTTP",
            cure="set http.token, or use the local socket",
        )
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # Bytes: compare_digest refuses text that is not ASCII, and a header may hold anything.
    is_right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    if scheme.lower() != "bearer" or not is_right:
        raise Problem(401, "the token is missing or wrong", cure="Authorization: Bearer TOKEN")
    return f"http:{request.remote or 'unknown'}"


def _peer(request: web.Request) -> str:
    """Name the user at the other end of a unix socket, as the kernel knows it."""
    transport = request.transport
    peer = transport.get_extra_info("socket") if transport is not None else None
    if peer is None or peer.family != socket.AF_UNIX:
        return "local"
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    try:
        return f"local:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"local:uid {uid}"
