"""Fetches what one look at a source needs, and goes nowhere that the source may not lead.

A playlist or a redirect names addresses, and a host's playlist is written by a stranger: it must not make
this box ask its own services, its network or the cloud's metadata service. What a host answers leads to
the same server only. What an operator has declared may lead on, to public addresses, or to such as it is
itself. Connections are kept within a look and end with it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urljoin

import aiohttp
from yarl import URL

import keeper
from keeper.adapters.faults import FAULTS, fault_of
from keeper.adapters.vastai_addresses import is_near
from keeper.probes.playlist import LINE_MAX, ByteRange

HTTP_OK = 200
_HTTP_PARTIAL = 206
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX = 3
# Of a look's time: a connection that takes longer is none; the rest waits for the answer.
_CONNECT_SHARE = 0.6
_BUFFER_BYTES = 262_144  # the more comes in one go, the less a segment costs
# Said of an address that may not be asked.
_ELSEWHERE = "it leads elsewhere"


class Ended(Exception):
    """There is nothing more to look at. ``word``: why, as samples say it."""

    def __init__(self, word: str, *, status: int = 0, is_own: bool = False) -> None:
        super().__init__(word)
        self.word, self.status, self.is_own = word, status, is_own


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said in the end, within the bound and the time."""

    status: int
    url: str  # addresses in the body start from here
    body: bytes
    is_whole: bool  # it ended by itself, and as it had said
    is_late: bool = False  # the time of the look was over before it


class Reach:
    """The connections of one look. Close it."""

    def __init__(self, url: str, *, is_declared: bool, timeout_s: float) -> None:
        self._declared = url
        self._is_free = is_declared
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + timeout_s
        self._connect_s = timeout_s * _CONNECT_SHARE
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._is_barred = False
        self.bytes_read = 0

    async def close(self) -> None:
        """End the connections."""
        for session in self._sessions.values():
            await session.close()

    async def get(self, url: str, bytes_max: int, *, byte_range: ByteRange | None = None) -> Answer:
        """Ask for a file, or a part of it; of its body comes what fits the bound and the look's time.

        Raises Ended where there is no answer at all, or none that may be asked for.
        """
        response, url = await self.opened(url, byte_range=byte_range)
        try:
            return await self._read(response, url, bytes_max, byte_range)
        finally:
            _leave(response)

    async def opened(
        self, url: str, *, byte_range: ByteRange | None = None
    ) -> tuple[aiohttp.ClientResponse, str]:
        """Ask for what is read as it comes, and say where it is in the end; close it. Raises Ended."""
        for _ in range(_REDIRECTS_MAX + 1):
            response = await self._ask(url, byte_range)
            target = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not target:
                return response, url
            _leave(response)
            url = joined(url, target)
        raise Ended("redirects without end")

    async def _ask(self, url: str, byte_range: ByteRange | None) -> aiohttp.ClientResponse:
        headers = {"Accept-Encoding": "identity"}
        if byte_range is not None:
            last = byte_range.start + byte_range.length - 1
            headers["Range"] = f"bytes={byte_range.start}-{last}"
        try:
            async with asyncio.timeout_at(self._ends_at):
                return await self._session(url).get(
                    _url_of(url),
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_s),
                )
        except FAULTS as error:
            if self._is_barred:
                raise Ended(_ELSEWHERE) from error
            fault = fault_of(error)
            raise Ended(fault.word, is_own=fault.is_own) from error

    async def _read(
        self,
        response: aiohttp.ClientResponse,
        url: str,
        bytes_max: int,
        byte_range: ByteRange | None,
    ) -> Answer:
        status, skip, limit = response.status, 0, bytes_max
        if byte_range is not None:
            if status == _HTTP_PARTIAL:
                status = HTTP_OK
            else:
                skip = byte_range.start  # it sends all of the file
            limit = min(bytes_max, skip + byte_range.length)
        chunks: list[bytes] = []
        size, is_whole, is_late = 0, False, False
        try:
            async with asyncio.timeout_at(self._ends_at):
                while size < limit and not is_whole:
                    chunk = await response.content.readany()
                    size += len(chunk)
                    is_whole = not chunk
                    chunks.append(chunk)
            is_whole = is_whole or response.content.at_eof() or byte_range is not None
        except FAULTS as error:
            # What came before a cut, or a lie about its length, may be enough to see a picture.
            is_late = isinstance(error, TimeoutError)
        self.bytes_read += min(size, limit)
        body = b"".join(chunks)
        if skip or size > limit:
            body = body[skip:limit]
        return Answer(status=status, url=url, body=body, is_whole=is_whole, is_late=is_late)

    def _session(self, url: str) -> aiohttp.ClientSession:
        server = origin(url)
        is_own_server = server == origin(self._declared)
        if server is None or not (is_own_server or self._is_free):
            raise Ended(_ELSEWHERE)
        session = self._sessions.get(is_own_server)
        if session is None:
            session = self._sessions[is_own_server] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    # Where names lead is seen when they are resolved, and no sooner.
                    limit=0,
                    socket_factory=None if is_own_server else self._socket,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"keeper/{keeper.__version__}"},
                auto_decompress=False,
                read_bufsize=_BUFFER_BYTES,
                trust_env=False,
            )
        return session

    def _socket(self, where: aiohttp.AddrInfoType) -> socket.socket:
        """Make a socket for an address, unless the source may not lead there."""
        family, kind, protocol, _, address = where
        if not may_lead(self._declared, str(address[0])):
            self._is_barred = True
            raise OSError(_ELSEWHERE)
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)  # noqa: FBT003 - the socket's own face
        return made


def _leave(response: aiohttp.ClientResponse) -> None:
    if not response.content.at_eof():
        response.close()  # nobody waits for the rest of it


def may_lead(declared: str, address: str) -> bool:
    """Whether a declared source may lead to an address: a public one, or one as near as itself."""
    if not is_near(address):
        return True
    server = origin(declared)
    here = "" if server is None else server[1]
    return _nearness(here) == _nearness(address) != ""


def _nearness(host: str) -> str:
    """Say whether this is on this box or in its network; "" for what nobody means to stream from."""
    if host == "localhost":
        return "box"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if address.is_loopback:
        return "box"
    is_odd = address.is_link_local or address.is_multicast or address.is_unspecified
    return "network" if address.is_private and not is_odd else ""


def origin(url: str) -> tuple[str, str, int] | None:
    """Return the server of an address; None: it is none that is asked over HTTP.

    Read by what connects, too: two readers that differ about one address are a way around both.
    """
    try:
        read = _url_of(url)
        scheme, host, port = read.scheme.lower(), read.host, read.port
    except ValueError:
        return None
    if scheme not in {"http", "https"} or not host or not port:
        return None
    return scheme, host.lower(), port


def joined(base: str, url: str) -> str:
    """Return where an address leads that stands in what came from another one. Raises Ended."""
    try:
        whole = urljoin(base, url)
    except ValueError as error:
        raise Ended(_ELSEWHERE) from error
    if len(whole) > 2 * LINE_MAX:
        raise Ended(_ELSEWHERE)
    return whole


def _url_of(url: str) -> URL:
    # An address that is written as it must be stays as it is: its signature is over these very bytes.
    is_clean = url.isascii() and url.isprintable() and " " not in url
    return URL(url, encoded=is_clean)
