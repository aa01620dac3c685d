"""Carries one bounded HTTP exchange to Vast.ai, exactly once, and keeps the key at home.

It knows sessions, deadlines, redirects and sizes, and nothing of what is asked. Three things are
done here that aiohttp would do otherwise: nothing is ever resent behind the caller's back, the key
follows a redirect only to the same origin or within vast.ai, and no foreign exception is chained,
because those carry the request's headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from multidict import CIMultiDictProxy
from typing_extensions import override
from yarl import URL

from keeper import __version__
from keeper.adapters.vastai_reply import Effect, Reply, http_date
from keeper.adapters.vastai_rights import unauthorized
from keeper.ports import Clock, Malformed, PortError, TimedOut, Uncertain, Unreachable

BODY_MAX_BYTES: Final = 8 * 1024 * 1024  # 25 rentals with 32 kB of environment each are under 1 MB
_REDIRECTS_MAX: Final = 3
_CONNECT_SHARE: Final = 0.5  # of the deadline; so a late answer was certainly asked for
_READ_REDIRECTS: Final = frozenset({301, 302, 307, 308})
# Only these two promise that the request was not processed and ask for the same one elsewhere.
_WRITE_REDIRECTS: Final = frozenset({307, 308})
_HEADERS_READ: Final = ("content-type", "date", "retry-after", "x-ratelimit-reset", "location")


class _AnswerLost(Exception):
    """The connection ended after it was made and before an answer came."""


async def _send_once(
    request: ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Hide lost connections from aiohttp, which else resends GET, PUT and DELETE by itself.

    Vast rents by PUT. Seen with aiohttp 3.14 (client.py, "retry_persistent_connection"): a server
    that took the PUT and closed the connection got the same PUT a second time.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # never resent, and tells that nothing was sent
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _AnswerLost(type(error).__name__) from None


_MIDDLEWARES: Final = (_send_once,)


class VastHttp:
    """The connection to one marketplace with one key."""

    def __init__(
        self,
        *,
        url: str,
        api_key: str,
        clock: Clock,
        timeout_s: float,
        redact: Callable[[str], str],
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._origin = URL(url.strip().rstrip("/").removesuffix("/api/v0"))
        self._api_key = api_key
        self._clock = clock
        self._timeout_s = timeout_s
        self._timeouts = aiohttp.ClientTimeout(total=None, connect=timeout_s * _CONNECT_SHARE)
        self._redact = redact
        self._foreign_session = session
        self._own_sessions: dict[bool, aiohttp.ClientSession] = {}
        self._is_closed = False
        self._server_clock_offset_s: float | None = None

    @override
    def __repr__(self) -> str:
        return f"VastHttp({str(self._origin)!r})"

    @property
    def server_clock_offset_s(self) -> float | None:
        """How far the server's clock is ahead of ours; None before the first answer."""
        return self._server_clock_offset_s

    async def close(self) -> None:
        """Close what was opened here; a session that was given is left open. May be repeated."""
        self._is_closed = True
        sessions, self._own_sessions = self._own_sessions, {}
        for session in sessions.values():
            await session.close()

    async def exchange(
        self,
        call: str,
        path: str,
        *,
        effect: Effect,
        query: Mapping[str, str] = MappingProxyType({}),
        body: bytes | None = None,
    ) -> Reply:
        """Do one exchange; ``call`` is "METHOD /path/template" and opens each message.

        Raises Unreachable or TimedOut when nothing was sent, or when what was lost had no effect
        that counts; Uncertain when an effect that must happen once may have happened; Malformed
        when the answer is no HTTP or has no end.
        """
        if not self._api_key or not (self._api_key.isascii() and self._api_key.isprintable()):
            said = "not sent, the API key is empty or holds odd characters"
            raise unauthorized(f"{call}: {said}", call=call, slug="auth_error")
        if self._is_closed:
            raise Unreachable(f"{call}: not sent, keeper is closing")
        method = call.partition(" ")[0]
        url = self._origin.with_path(self._origin.path.rstrip("/") + path).with_query(query)
        # The error is raised outside of ``except``: aiohttp's own errors hold the request's
        # headers, the key among them, and would hang on as context.
        outcome = await self._attempt(call, method, url, body, effect)
        if isinstance(outcome, PortError):
            raise outcome
        return outcome

    async def _attempt(
        self, call: str, method: str, url: URL, body: bytes | None, effect: Effect
    ) -> Reply | PortError:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(call, method, url, body, effect)
        except aiohttp.ConnectionTimeoutError:
            return TimedOut(f"{call}: not sent, no connection in time")
        except (
            aiohttp.ClientConnectorError,
            aiohttp.InvalidURL,
            aiohttp.NonHttpUrlClientError,
        ) as e:
            return Unreachable(f"{call}: not sent, {self._reason(e)}")
        except TimeoutError:
            return _lost(TimedOut, f"{call}: no answer within {self._timeout_s:g} s", effect)
        except (_AnswerLost, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as e:
            name = str(e) if isinstance(e, _AnswerLost) else type(e).__name__
            return _lost(Unreachable, f"{call}: the connection was lost ({name})", effect)
        except (aiohttp.ClientError, OSError, ValueError) as e:
            return _lost(Malformed, f"{call}: the answer is not HTTP ({type(e).__name__})", effect)
        except PortError as e:
            return e

    async def _follow(
        self, call: str, method: str, url: URL, body: bytes | None, effect: Effect
    ) -> Reply:
        allowed = _READ_REDIRECTS if effect is Effect.READ else _WRITE_REDIRECTS
        for _ in range(_REDIRECTS_MAX + 1):
            reply = await self._send(call, method, url, body, effect)
            if not reply.is_redirect:
                return reply
            if reply.status not in allowed:
                # To a write, 303 means that it was done; the others leave it open.
                raise _lost(Malformed, f"{call}: HTTP {reply.status}, a redirect", effect)
            url = self._next(call, url, reply)
        raise Malformed(f"{call}: more than {_REDIRECTS_MAX} redirects in a row")

    def _next(self, call: str, url: URL, reply: Reply) -> URL:
        """Return where a redirect leads, or refuse to carry the key there. Nothing was processed."""
        location = reply.headers.get("location", "")
        target = url.join(URL(location))
        if not location or target == url:
            raise Malformed(f"{call}: HTTP {reply.status} leads nowhere else")
        if not may_carry_key(self._origin, target):
            where = self._redact(target.host or "nowhere")[:100]
            raise Malformed(f"{call}: HTTP {reply.status} leads to {where}; the key stays here")
        return target

    async def _send(
        self, call: str, method: str, url: URL, body: bytes | None, effect: Effect
    ) -> Reply:
        headers = {
            "Authorization": f"Bearer {self._api_key}",
            "Accept": "application/json",
            "User-Agent": f"keeper/{__version__}",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        session = self._session(is_fresh=effect is Effect.ONCE)
        async with session.request(
            method,
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=self._timeouts,
            middlewares=_MIDDLEWARES,
        ) as response:
            self._note_clock(response.headers)
            chunks: list[bytes] = []
            length = 0
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                length += len(chunk)
                if length > BODY_MAX_BYTES:
                    response.close()
                    raise _lost(Malformed, f"{call}: the answer has no end", effect)
            return Reply(
                status=response.status,
                body=b"".join(chunks),
                headers={name: response.headers.get(name, "") for name in _HEADERS_READ},
            )

    def _session(self, *, is_fresh: bool) -> aiohttp.ClientSession:
        """Return the session to use. What must happen once goes over a connection of its own.

        A kept connection that the server has just closed would make a create Uncertain for nothing.
        """
        if self._foreign_session is not None:
            return self._foreign_session
        session = self._own_sessions.get(is_fresh)
        if session is None:
            session = self._own_sessions[is_fresh] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=is_fresh),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return session

    def _note_clock(self, headers: CIMultiDictProxy[str]) -> None:
        """Remember how far the server's clock is ahead of ours; its Date is its only clock."""
        moment = http_date(headers.get("Date", ""))
        if moment is not None:
            # A Date is cut to the second, so on average half a second has gone since.
            self._server_clock_offset_s = (moment - self._clock.now()).total_seconds() + 0.5

    def _reason(self, error: Exception) -> str:
        """Say why there is no connection: the system's words, bounded."""
        cause = getattr(error, "os_error", None)
        said = getattr(cause, "strerror", None) or type(error).__name__
        return self._redact(" ".join(str(said).split()))[:100]


def may_carry_key(origin: URL, target: URL) -> bool:
    """Whether the key may go where a redirect leads: the same origin, or HTTPS within vast.ai.

    Vast's former host answers 308 to the present one (reports from the field, 2026-08).
    """
    if target.user is not None or target.password is not None:
        return False
    if target.absolute and target.origin() == origin.origin():
        return True
    hosts = (origin.host or "", target.host or "")
    is_family = all(host == "vast.ai" or host.endswith(".vast.ai") for host in hosts)
    return is_family and target.scheme == "https" and target.port == 443  # noqa: PLR2004 - HTTPS


def _lost(kind: type[PortError], message: str, effect: Effect) -> PortError:
    """Return the error of an answer that was lost on its way."""
    return Uncertain(message) if effect is Effect.ONCE else kind(message)
