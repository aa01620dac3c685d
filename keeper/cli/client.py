"""The client of a running keeper: its local API over the unix socket, without token or secrets.

Whoever may open the socket may order; its file mode is the lock. Answers are bounded and are JSON
of ours, but what hosts wrote into them is still hostile: it is shown through ``terminal.cell``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import msgspec

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.options import CONFIG_DEFAULT, SOCKET_DEFAULT
from keeper.core.text import plain
from keeper.core.world import OrderKind
from keeper.web.shapes import FleetStatus, OrderStatus, Refusal

if TYPE_CHECKING:
    from keeper.settings import Settings

_T = TypeVar("_T")

# A fleet of a thousand slots is 2 MB; whoever answers more is not keeper.
_ANSWER_MAX_BYTES = 64 * 1024 * 1024

_TIMEOUT_S = 15.0
# What is asked of a host takes as long as the host does, within the daemon's own deadline.
# So does what is sent to a channel.
_PATIENCE_S: Mapping[str, float] = {"report": 90.0, "logs": 45.0, "channels": 45.0}
# Of what goes on: it says something every few seconds, if only that it is still there.
_GOES_ON = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_S, sock_read=45.0)
_LINE_MAX_BYTES = 8 * 1024 * 1024
_REFUSAL_MAX_BYTES = 65_536
_HTTP_OK = range(200, 300)
_CODES: Mapping[int, ExitCode] = {
    400: ExitCode.USAGE,
    401: ExitCode.UNAUTHORIZED,
    403: ExitCode.UNAUTHORIZED,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.REFUSED,
    422: ExitCode.USAGE,
    429: ExitCode.TRY_AGAIN,
    503: ExitCode.TRY_AGAIN,
    504: ExitCode.TRY_AGAIN,
}


class LocalKeeper:
    """A running keeper, as its local API shows it. Every method raises Stopped."""

    def __init__(self, session: aiohttp.ClientSession, socket: Path) -> None:
        self._session = session
        self._socket = socket

    async def raw(self, path: str, **query: str | int) -> bytes:
        """Read an answer as it is."""
        return await self._call("GET", path, query=query)

    async def get(self, path: str, kind: type[_T], **query: str | int) -> _T:
        """Read an answer as one of ``keeper.web.shapes``."""
        return decoded(await self.raw(path, **query), kind)

    async def post(self, path: str, body: Mapping[str, Any], kind: type[_T]) -> _T:
        """Order something. It is on disk when this returns."""
        return decoded(await self._call("POST", path, body=body), kind)

    async def delete(self, path: str, kind: type[_T]) -> _T:
        """End something. It is on disk when this returns."""
        return decoded(await self._call("DELETE", path), kind)

    async def lines(self, path: str, **query: str | int) -> AsyncGenerator[bytes, None]:
        """Read an answer that goes on, line by line, until either side ends it."""
        waiting = b""
        try:
            async with self._session.get(
                f"http://keeper/api/v1/{path}", params=query, timeout=_GOES_ON
            ) as reply:
                if reply.status not in _HTTP_OK:
                    raise _refusal(reply.status, await reply.content.read(_REFUSAL_MAX_BYTES))
                async for data in reply.content.iter_any():
                    *whole, waiting = (waiting + data).split(b"\n")
                    for line in whole:
                        yield line
                    if len(waiting) > _LINE_MAX_BYTES:
                        raise _odd("a line without end")
        except (
            aiohttp.ClientOSError,
            aiohttp.ServerDisconnectedError,
            aiohttp.ClientPayloadError,  # it was killed in the middle of an answer
        ) as error:
            raise no_daemon(self._socket, error) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _odd(str(error) or "no answer in time") from error

    async def fleet(self) -> FleetStatus:
        """Read how the fleet is."""
        return await self.get("status", FleetStatus)

    async def order(
        self,
        kind: OrderKind,
        slot: str | None,
        *,
        reason: str = "",
        until_s: float | None = None,
        for_ever: bool = False,
        stream: str | None = None,
        offer_id: int | None = None,
        instance_id: int | None = None,
        is_now: bool = False,
    ) -> OrderStatus:
        """Give an operator's order; the next tick acts on it."""
        body: dict[str, Any] = {"kind": kind.value, "slot": slot, "reason": reason}
        if until_s is not None:
            body["until_s"] = until_s
        if instance_id is not None:
            body["instance_id"] = instance_id
        if for_ever:
            body["for_ever"] = True
        if stream is not None:
            body["stream"] = stream
        if offer_id is not None:
            body["offer_id"] = offer_id
        if is_now:
            body["is_now"] = True
        return await self.post("orders", body, OrderStatus)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> bytes:
        url = f"http://keeper/api/v1/{path}"
        try:
            patience_s = _PATIENCE_S.get(path.partition("/")[0], _TIMEOUT_S)
            patience = aiohttp.ClientTimeout(total=patience_s)
            async with self._session.request(
                method, url, params=query, json=body, timeout=patience
            ) as reply:
                content = await reply.content.read(_ANSWER_MAX_BYTES + 1)
                while len(content) <= _ANSWER_MAX_BYTES and not reply.content.at_eof():
                    content += await reply.content.read(_ANSWER_MAX_BYTES)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise no_daemon(self._socket, error) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _odd(str(error) or "no answer in time") from error
        if reply.status not in _HTTP_OK:
            raise _refusal(reply.status, content)
        return content


def decoded(content: bytes, kind: type[_T]) -> _T:
    """Read an answer. One of another version may lack what this one needs: then it is refused."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise _odd(str(error)) from error


def encoded(value: object) -> bytes:
    """Write one of ``keeper.web.shapes`` as the API does."""
    return msgspec.json.encode(value)


def _odd(what: str) -> Stopped:
    return Stopped(
        ExitCode.FAILED,
        f"keeper answers, but not as this version of the command expects: {plain(what)}",
        "compare `keeper --version` with what the service runs, and restart the service",
    )


def _refusal(status: int, content: bytes) -> Stopped:
    """Repeat the daemon's own words and cure."""
    try:
        problem = msgspec.json.decode(content, type=Refusal)
    except msgspec.MsgspecError:
        return _odd(f"HTTP {status}")
    what = problem.detail or problem.title
    if problem.detail and problem.title not in problem.detail:
        what = f"{problem.title}: {problem.detail}"
    return Stopped(_CODES.get(status, ExitCode.FAILED), plain(what), plain(problem.cure))


def no_daemon(socket: Path, error: BaseException | None = None) -> Stopped:
    """Say that nobody, or nobody who talks to us, is behind the socket."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, PermissionError):
        return Stopped(
            ExitCode.NO_DAEMON,
            f"this user may not talk to the keeper at {socket}",
            "join the group that owns the socket, or use sudo",
        )
    return Stopped(
        ExitCode.NO_DAEMON,
        f"no keeper is running behind {socket}",
        "start it (systemctl start keeper), or name its socket with --socket",
    )


def socket_of(config: Path, given: Path | None) -> Path:
    """Find the socket: as given, as configured, or where the service has it.

    The configuration need not be there or be whole for this: its owner may be another user, and a
    running keeper goes on with the old one while the file is broken.
    """
    if given is not None:
        return given
    from keeper.ports import ConfigError

    try:
        return settings_to_look(config).socket
    except ConfigError:
        if config != CONFIG_DEFAULT and not SOCKET_DEFAULT.exists():
            raise
        return SOCKET_DEFAULT


def settings_to_look(config: Path) -> Settings:
    """Read the configuration for a verb that asks the marketplace nothing: no API key is needed."""
    from keeper.settings import load_settings

    return load_settings(config, environ_to_look())


def environ_to_look() -> dict[str, str]:
    """Return the environment with an API key in it, for reading a configuration without using it."""
    return {**os.environ, "VAST_API_KEY": os.environ.get("VAST_API_KEY") or "not-needed"}


@contextlib.asynccontextmanager
async def local_keeper(socket: Path) -> AsyncIterator[LocalKeeper]:
    """Open a client; whether anybody answers is known at the first call."""
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(path=str(socket)),
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        trust_env=False,
    ) as session:
        yield LocalKeeper(session, socket)


async def is_running(socket: Path) -> bool:
    """Whether a keeper accepts connections there. Raises Stopped when we may not know."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            _, writer = await asyncio.open_unix_connection(str(socket))
    except PermissionError as error:
        raise no_daemon(socket, error) from error
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
