"""What `keeper doctor` asks others: the marketplace, the running keeper, names, and receivers of messages.

Only questions: nothing is rented, ordered or registered. Each answer is bounded, each wait too. An address
of a receiver may be a secret, so of it only the host is ever told.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from keeper.cli.doctor_box import Box, credential_of_key
from keeper.cli.doctor_facts import (
    Canaries,
    Daemon,
    Market,
    Money,
    Name,
    Receiver,
    Registered,
    Web,
)
from keeper.core.text import plain
from keeper.ports import PortError, Unauthorized

if TYPE_CHECKING:
    from yarl import URL

    from keeper.adapters.vastai import VastMarketplace

_T = TypeVar("_T")

DIAL_S = 10.0
_ANSWER_MAX_BYTES = 4_000_000
_HTTP_OK = 200
_HTTP_NOT_YET = 503


class _NotYet(Exception):
    """The keeper has not finished its first tick."""


# --- the running keeper --------------------------------------------------------------------------


async def daemon_of(box: Box, path: Path, *, is_installed: bool) -> tuple[Daemon, dict[str, Any]]:
    """Ask the keeper behind the socket who it is and how its fleet is; the answer, too."""
    from keeper import __version__

    about: dict[str, Any] = {
        "socket": str(path),
        "ours": __version__,
        "is_installed": is_installed,
        "config": str(box.config),
    }
    version = ""
    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=str(path)),
            timeout=aiohttp.ClientTimeout(total=DIAL_S),
            trust_env=False,
        ) as session:
            document = await _json(session, "http://keeper/api/openapi.json")
            version = plain(str(document.get("info", {}).get("version", "")), 40)
            fleet = await _json(session, "http://keeper/api/v1/status")
    except _NotYet:
        return Daemon(is_running=True, is_ready=False, version=version, **about), {}
    except PermissionError:
        return Daemon(is_running=None, **about), {}
    except aiohttp.ClientConnectorError as error:
        is_shut = isinstance(error.os_error, PermissionError)
        return Daemon(is_running=None if is_shut else False, **about), {}
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return Daemon(is_running=True, error=_words(error), **about), {}
    slots, on_air = fleet.get("slots"), fleet.get("on_air")
    found = Daemon(
        is_running=True,
        version=version,
        slots=slots if isinstance(slots, int) else 0,
        on_air=on_air if isinstance(on_air, int) else 0,
        **about,
    )
    return found, fleet


async def channels_of(path: Path) -> tuple[dict[str, Any], ...]:
    """Ask the keeper behind the socket how its channels are; nothing where nobody answers."""
    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=str(path)),
            timeout=aiohttp.ClientTimeout(total=DIAL_S),
            trust_env=False,
        ) as session:
            found = (await _json(session, "http://keeper/api/v1/alerts")).get("channels")
    except (_NotYet, aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return ()  # which is told of the keeper itself
    return (
        tuple(each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()
    )


async def _json(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    import json

    async with session.get(url) as reply:
        if reply.status == _HTTP_NOT_YET:
            raise _NotYet
        if reply.status != _HTTP_OK:
            raise ValueError(f"it answers {reply.status}")
        found = json.loads(await _read(reply))
    if not isinstance(found, dict):
        raise ValueError("its answer is no document")  # noqa: TRY004 - what is told, not what was given
    return found


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for data in reply.content.iter_chunked(65_536):
        body += data
        if len(body) > _ANSWER_MAX_BYTES:
            raise ValueError("its answer has no end")
    return body


async def web_of(box: Box, *, is_running: bool) -> Web:
    """Say who listens where the page and the metrics are to be."""
    from keeper.settings import http_address

    address = http_address(box.settings)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - asked on loopback
    shown = f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
    about: dict[str, Any] = {"address": shown, "port": address.port, "is_running": is_running}
    if not address.port:
        return Web(**about)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=DIAL_S), trust_env=False
            ) as session,
            session.get(f"http://{shown}/metrics") as reply,
        ):
            body = await _read(reply)
    except aiohttp.ClientConnectorError as error:
        # Nobody listens, or nobody answers: the first is what a keeper needs that is to start.
        is_free = isinstance(error.os_error, ConnectionRefusedError)
        return Web(is_taken=False if is_free else None, error=_words(error), **about)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return Web(is_taken=True, error=_words(error), **about)
    families = sum(1 for line in body.splitlines() if line.startswith(b"# TYPE keeper_"))
    return Web(
        is_taken=True,
        is_keeper=families > 0,
        metrics=families,
        error="" if families else f"something else answers there ({reply.status})",
        **about,
    )  # fmt: skip


# --- the marketplace -----------------------------------------------------------------------------


async def market_of(
    box: Box, public_key: str, fleet: dict[str, Any]
) -> tuple[Market, Money, Registered]:
    """Ask the marketplace what a read tells: whether the key is good, the credit, the keys, the time.

    While a keeper runs, what it knows is not asked again: two programs with one key share its patience.
    """
    about: dict[str, Any] = {
        "url": box.settings.vast.url,
        "credential": credential_of_key(box),
        "sudo": box.sudo,
        "is_hidden": box.is_hidden,
    }
    will_be = box.settings.vast.register_ssh_key
    key: dict[str, Any] = {
        "will_be": will_be,
        "has_key": bool(public_key),
        "key": str(box.key),
    }
    if not box.has_key or not box.is_known:
        # A key is shown to nobody but the marketplace that is declared.
        why = "there is no API key" if not box.has_key else "the configuration cannot be read"
        nobody = Registered(is_there=None, error=why, **key)
        return (
            Market(has_key=box.has_key, why_not=why, **about),
            Money(spendable_dollars=None, dollars_per_hour=None),
            nobody,
        )
    async with _marketplace(box) as market:
        asked = _Asked()
        async with asyncio.TaskGroup() as group:
            account = group.create_task(asked.of("user_read", market.account))
            rentals = None
            if not fleet:
                rentals = group.create_task(asked.of("instance_read", market.list_instances))
            knows = None
            if public_key:
                knows = group.create_task(
                    asked.of("user_read", lambda: market.knows_key(public_key))
                )
        offset_s = market.server_clock_offset_s
    found = account.result()
    listed = rentals.result() if rentals is not None else None
    rate = sum(each.dollars_per_hour for each in listed) if listed is not None else None
    if fleet:
        told = (fleet.get("account") or {}).get("dollars_per_hour")
        rate = float(told) if isinstance(told, int | float) else None
    return (
        asked.market(offset_s, about),
        Money(spendable_dollars=found.spendable_dollars if found else None, dollars_per_hour=rate),
        Registered(is_there=knows.result() if knows else None, error=asked.error, **key),
    )


@contextlib.asynccontextmanager
async def _marketplace(box: Box) -> AsyncIterator[VastMarketplace]:
    from keeper import bootstrap
    from keeper.adapters.clock import SystemClock

    async with bootstrap.open_marketplace(box.settings, SystemClock()) as market:
        yield market


class _Asked:
    """What became of the questions to the marketplace."""

    def __init__(self) -> None:
        self.may: set[str] = set()
        self.lacks: set[str] = set()
        self.refused = ""
        self.cure = ""
        self.error = ""

    async def of(self, right: str, ask: Callable[[], Awaitable[_T]]) -> _T | None:
        """Ask once. None: there was no answer that can be used."""
        try:
            answer = await ask()
        except Unauthorized as error:
            self.cure = self.cure or error.cure
            self.error = self.error or plain(str(error), 200)
            if error.right:
                self.lacks.add(error.right)
            else:
                self.refused = plain(str(error), 200)
            return None
        except (PortError, TimeoutError) as error:
            self.error = self.error or _words(error)
            return None
        self.may.add(right)
        return answer

    def market(self, offset_s: float | None, about: dict[str, Any]) -> Market:
        is_reached = bool(self.may or self.lacks or self.refused)
        return Market(
            is_reached=is_reached,
            error=self.refused or self.error,
            # One call that a good key may not make refuses that call; a bad key is refused by all.
            is_refused=bool(self.refused) and not self.may,
            cure=self.cure,
            lacks=tuple(sorted(self.lacks)),
            may=tuple(sorted(self.may)),
            offset_s=offset_s,
            **about,
        )


# --- names, canaries, receivers ------------------------------------------------------------------


async def name_of(box: Box) -> Name:
    """Say whether the marketplace's name resolves."""
    from yarl import URL

    host = URL(box.settings.vast.url).host or ""
    try:
        async with asyncio.timeout(DIAL_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except TimeoutError:
        return Name(host=host, addresses=0, error="no answer in time")
    except (OSError, UnicodeError) as error:
        return Name(host=host, addresses=0, error=_words(error))
    return Name(host=host, addresses=len(found))


async def canaries_of(box: Box) -> Canaries:
    """Dial who answers nearly always."""
    from keeper.settings import canary_addresses

    addresses = canary_addresses(box.settings)
    errors = await asyncio.gather(*(_dialled(each.host, each.port, None) for each in addresses))
    silent = [
        f"{each.host}:{each.port}" for each, error in zip(addresses, errors, strict=True) if error
    ]
    return Canaries(
        asked=len(addresses), answered=len(addresses) - len(silent), silent=", ".join(silent)
    )


async def receiver_of(name: str, address: URL | None) -> Receiver:
    """Open a connection to a receiver as a message would, and send nothing."""
    if address is None:
        return Receiver(name=name, is_by_library=True)
    host, port = address.host or "", address.port or 443
    about: dict[str, Any] = {"name": name, "host": host, "port": port, "scheme": address.scheme}
    if host.endswith(".invalid"):  # stands for a secret that is not given
        return Receiver(is_reached=None, error="its secret is not given", **{**about, "host": ""})
    tls = ssl.create_default_context() if address.scheme == "https" else None
    error = await _dialled(host, port, tls)
    if error is None:
        return Receiver(is_reached=True, **about)
    is_bad = isinstance(error, ssl.SSLCertVerificationError)
    said = (
        error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else _words(error)
    )
    return Receiver(is_reached=False, is_bad_certificate=is_bad, error=plain(said, 200), **about)


async def _dialled(host: str, port: int, tls: ssl.SSLContext | None) -> Exception | None:
    """Open a connection and close it; what it failed with, or None."""
    try:
        async with asyncio.timeout(DIAL_S):
            _, writer = await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=host if tls else None
            )
    except (OSError, TimeoutError, UnicodeError, ValueError) as error:
        return error
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
    return None


def _words(error: Exception) -> str:
    """Say an error without what it may quote: addresses of receivers hold their secrets."""
    match error:
        case aiohttp.ClientConnectorError():
            return _words(error.os_error)
        case socket.gaierror():
            return "the name does not resolve"
        case ssl.SSLError():
            return "no TLS can be spoken with it"
        case TimeoutError():
            return "no answer in time"
        case ConnectionRefusedError():
            return "nobody listens there"
        case OSError():
            return plain(error.strerror or type(error).__name__, 100)
        case PortError() | ValueError():
            return plain(str(error), 200)
        case _:
            return type(error).__name__
