"""One call to Vast.ai, from its turn to its verdict: what every endpoint has in common.

Which endpoint is called with what, and what a yes must hold, is the caller's. Nothing is retried
here, and nothing is remembered but the pace.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import msgspec

from keeper.adapters.vastai_errors import Judge, fits_port, is_pace_complaint
from keeper.adapters.vastai_hints import hint_s, threshold_s
from keeper.adapters.vastai_reply import Effect, Reply
from keeper.adapters.vastai_spacing import Endpoint, Limiter
from keeper.adapters.vastai_wire import Complaint
from keeper.ports import Malformed, PortError, RateLimited, Refused

T = TypeVar("T")


class Connection(Protocol):
    """What carries exchanges to a marketplace: VastHttp, or the simulator without a socket."""

    @property
    def server_clock_offset_s(self) -> float | None:
        """How far the server's clock is ahead of ours; None before the first answer."""
        ...

    async def exchange(
        self,
        call: str,
        path: str,
        *,
        effect: Effect,
        query: Mapping[str, str] = MappingProxyType({}),
        body: bytes | None = None,
    ) -> Reply:
        """Do one exchange, exactly once; see VastHttp for what is raised."""
        ...

    async def close(self) -> None:
        """Let go of what is open. May be repeated."""
        ...


class Calls:
    """Makes calls over one connection, each in its endpoint's turn."""

    def __init__(
        self,
        *,
        connection: Connection,
        limiter: Limiter,
        judge: Judge,
        now: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._limiter = limiter
        self._judge = judge
        self._now = now

    async def read(
        self,
        endpoint: Endpoint,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        allows: tuple[type[Refused], ...] = (),
        holds: type[Complaint] = Complaint,
    ) -> Reply:
        """Return a yes, or raise what the port allows a read to raise, and ``allows``."""
        reply = await self.send(
            endpoint, path, query=query, body=body, effect=Effect.READ, holds=holds
        )
        error = self.failure(reply, endpoint, Effect.READ)
        if error is not None:
            raise fits_port(error, allows=allows)
        return reply

    async def change(
        self,
        endpoint: Endpoint,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        effect: Effect = Effect.REPEATABLE,
    ) -> None:
        """Do something of which only the yes counts."""
        reply = await self.send(endpoint, path, body=body or {}, effect=effect)
        error = self.failure(reply, endpoint, effect)
        if error is not None:
            raise error

    def failure(self, reply: Reply, endpoint: Endpoint, effect: Effect) -> PortError | None:
        """Return the error that an answer amounts to; None when it is a yes."""
        error = self._judge.failure_of(reply, call=endpoint, effect=effect, now=self._now())
        if isinstance(error, RateLimited):
            # The lane may stay shut for longer than the server asked.
            error.retry_after_s = max(error.retry_after_s or 0.0, self._limiter.wait_s(endpoint))
        return error

    async def send(
        self,
        endpoint: Endpoint,
        path: str,
        *,
        effect: Effect,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        holds: type[Complaint] = Complaint,
    ) -> Reply:
        """Wait for the endpoint's turn, do one exchange, and tell the lane how it was received.

        ``holds`` is what a yes is read as at once, before it is searched for complaints.
        """
        async with self._limiter.turn(endpoint) as turn:
            reply = await self._connection.exchange(
                endpoint,
                path,
                effect=effect,
                query=query or {},
                body=None if body is None else msgspec.json.encode(body),
            )
            if reply.is_ok:
                with contextlib.suppress(Malformed):  # said later, by whom it concerns
                    reply.read(holds)
            if is_pace_complaint(reply):
                hint = hint_s(reply, self._now())
                turn.was_limited(hint_s=hint, threshold_s=threshold_s(reply))
            else:
                turn.was_accepted()
            return reply


def decoded(reply: Reply, kind: type[T], endpoint: Endpoint) -> T:
    """Return a yes as ``kind``. Raises Malformed, naming the endpoint."""
    try:
        return reply.read(kind)
    except Malformed as error:
        raise Malformed(f"{endpoint}: {error}") from None
