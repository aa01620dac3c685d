"""Looks from the outside as a viewer would, and carries messages: ports.Network over aiohttp.

Every exchange is bounded in time and bytes. Nothing is decompressed. Redirects are followed only from an
address that the operator has declared: a probe asks one address one question. aiohttp's exceptions stop here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import aiohttp

import keeper
from keeper.adapters.decoder import Decoded, Decoders
from keeper.adapters.faults import FAULTS, Fault, fault_of
from keeper.adapters.media import Media
from keeper.adapters.mjpeg import FrameReader, FrameTally, boundary_of
from keeper.adapters.reach import Ended, Reach
from keeper.adapters.webrtc import Players
from keeper.ports import (
    Address,
    HttpReply,
    HttpRequest,
    Invalid,
    MediaSource,
    PictureLimits,
    PictureSample,
    PlayerLimits,
    PlayerSample,
    TimedOut,
    Uncertain,
    Unreachable,
)

# aiohttp's own connect limit fires first, so that what comes later was certainly sent.
_SENT_MARGIN_S = 0.1
# Of a picture probe's time: a connection that takes longer is none; the rest waits for the answer.
_CONNECT_SHARE = 0.6
_IDLE_S = 75.0
_CHUNK_BYTES = 65_536  # taken apart in one go: some thousand frames of a few bytes at worst
_HTTP_OK = 200
_TEXT_MAX = 200


class HttpNetwork:
    """Outside-in network of this box. Made in a running loop or before; closed once."""

    def __init__(self, *, session: aiohttp.ClientSession | None = None) -> None:
        self._foreign_session = session
        self._own_sessions: dict[bool, aiohttp.ClientSession] = {}
        self._players = Players()
        self._decoders = Decoders()
        self._media = Media(decoders=self._decoders)

    def _open(self, *, is_view: bool = False) -> aiohttp.ClientSession:
        """Return the session to use; a view's connection is never used again.

        A stream does not end by itself. One that does all the same would have the next look begin
        where this one was left, and wait there for an answer.
        """
        if self._foreign_session is not None:
            return self._foreign_session
        session = self._own_sessions.get(is_view)
        if session is None:
            idle_s = None if is_view else _IDLE_S
            session = self._own_sessions[is_view] = aiohttp.ClientSession(
                # A silent host must hold only itself: no limit shared by all of them.
                connector=aiohttp.TCPConnector(
                    limit=0, force_close=is_view, keepalive_timeout=idle_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"keeper/{keeper.__version__}"},
                auto_decompress=False,
                trust_env=False,
            )
        return session

    async def close(self) -> None:
        """Close kept connections. May be repeated."""
        await self._media.close()
        for session in self._own_sessions.values():
            await session.close()

    async def fetch(self, request: HttpRequest) -> HttpReply:
        """Do one exchange; the body is cut at its bound and the rest is not read."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        headers = {"Accept-Encoding": "identity", **request.headers}
        try:
            async with (
                asyncio.timeout(request.timeout_s + _SENT_MARGIN_S),
                self._open().request(
                    request.method,
                    request.url,
                    headers=headers,
                    data=request.body or None,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=request.timeout_s),
                ) as response,
            ):
                body = await _read_bounded(response, request.reply_max_bytes)
                return HttpReply(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=body,
                    elapsed_s=loop.time() - started,
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise TimedOut(f"{_host(request.url)}: no connection in time") from error
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"{_host(request.url)}: {_text(error)}") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError) as error:
            raise Invalid(f"not a usable request: {_text(error)}") from error
        except TimeoutError as error:
            message = f"{_host(request.url)}: no whole answer in {request.timeout_s:g} s"
            raise Uncertain(message) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Uncertain(f"{_host(request.url)}: {_text(error)}") from error

    async def dial(self, address: Address, timeout_s: float) -> None:
        """Open and close a TCP connection."""
        try:
            async with asyncio.timeout(timeout_s):
                _, writer = await asyncio.open_connection(address.host, address.port)
        except TimeoutError as error:
            raise TimedOut(f"{address.host}:{address.port}: no connection in time") from error
        except OSError as error:
            raise Unreachable(f"{address.host}:{address.port}: {_text(error)}") from error
        writer.transport.abort()

    async def sample_mjpeg(
        self, url: str, limits: PictureLimits, *, is_declared: bool = False
    ) -> PictureSample:
        """Watch a stream for a moment. Whatever happens becomes a sample; nothing is raised."""
        loop = asyncio.get_running_loop()
        watching = _Watching()
        started = loop.time()
        try:
            async with asyncio.timeout(limits.timeout_s):
                if is_declared:
                    await self._watch_declared(url, limits, watching)
                else:
                    await self._watch(url, limits, watching)
        except Ended as ended:
            watching.http_status = ended.status
            watching.fail(Fault(word=ended.word, is_own=ended.is_own))
        except FAULTS as error:
            watching.fail(fault_of(error))
        tally = watching.tally
        sampled_s = loop.time() - (watching.answered_at or started)
        look = await self._decoded(tally, limits, url)
        return PictureSample(
            http_status=watching.http_status,
            frames=tally.frames,
            unique_frames=tally.unique,
            undecodable_frames=tally.damaged + watching.broken_parts + look.undecodable_frames,
            bytes_read=watching.bytes_read,
            sampled_s=sampled_s,
            mean_luma=look.mean_luma,
            bright_luma=look.bright_luma,
            motion=look.motion,
            change=look.change,
            compared_s=look.compared_s,
            newest_frame=look.newest_frame,
            newest_age_s=loop.time() - tally.newest_at_s if tally.newest else None,
            memory=look.memory,
            error=look.error if look.is_own_fault else watching.error,
            is_own_fault=watching.is_own_fault or look.is_own_fault,
        )

    async def _decoded(self, tally: FrameTally, limits: PictureLimits, url: str) -> Decoded:
        """Have two frames decoded, and some between them where those two show the same picture."""
        if not tally.newest:
            return Decoded(memory=limits.memory)
        shots = [(tally.newest_at_s, tally.newest)]
        if tally.other != tally.newest:
            shots.insert(0, (tally.other_at_s, tally.other))
        found = await self._jpegs(shots, limits, url)
        between = [shot for shot in tally.between if shots[0][0] < shot[0] < shots[-1][0]]
        if found.change is None or found.change > 0 or not between:
            return found
        closer = await self._jpegs(
            [shots[0], *between, shots[-1]], replace(limits, wants_frame=False), url
        )
        return found if closer.is_own_fault else replace(closer, newest_frame=found.newest_frame)

    async def _jpegs(
        self, shots: Sequence[tuple[float, bytes]], limits: PictureLimits, url: str
    ) -> Decoded:
        return await self._decoders.jpegs(
            [frame for _, frame in shots],
            limits,
            at_s=[at_s for at_s, _ in shots],
            source=url,
        )

    async def sample_media(self, source: MediaSource, limits: PictureLimits) -> PictureSample:
        """Look at a playlist, a played stream or single pictures. Nothing is raised."""
        return await self._media.sample(source, limits)

    async def sample_webrtc(self, url: str, limits: PlayerLimits) -> PlayerSample:
        """Look as a player does. Whatever happens becomes a sample; nothing is raised."""
        return await self._players.sample(self._open(is_view=True), url, limits)

    async def _watch(self, url: str, limits: PictureLimits, watching: _Watching) -> None:
        timeout = aiohttp.ClientTimeout(total=None, connect=limits.timeout_s * _CONNECT_SHARE)
        session = self._open(is_view=True)
        response = await session.get(url, allow_redirects=False, timeout=timeout)
        await self._read(response, limits, watching)

    async def _watch_declared(self, url: str, limits: PictureLimits, watching: _Watching) -> None:
        """Watch what may lead on: a platform's address, not a host's."""
        reach = Reach(url, is_declared=True, timeout_s=limits.timeout_s)
        try:
            response, _ = await reach.opened(url)
            await self._read(response, limits, watching)
        finally:
            await reach.close()

    async def _read(
        self, response: aiohttp.ClientResponse, limits: PictureLimits, watching: _Watching
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            watching.http_status = response.status
            watching.answered_at = loop.time()
            if response.status != _HTTP_OK:
                return
            boundary = boundary_of(response.headers.get("Content-Type", ""))
            if boundary is None:
                watching.error = "not mjpeg"
                return
            reader = FrameReader(boundary)
            # The end of the sample is no error: that is how every healthy stream ends here.
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.sample_s):
                    await _read_frames(response, reader, limits, watching)
        finally:
            response.close()


class _Watching:
    """One sample while it is being taken."""

    def __init__(self) -> None:
        self.http_status = 0
        self.answered_at = 0.0
        self.bytes_read = 0
        self.broken_parts = 0
        self.error = ""
        self.is_own_fault = False
        self.tally = FrameTally()

    def fail(self, fault: Fault) -> None:
        """Note why there is no more of it. Of a stream that answers in time, too little is no error."""
        if fault.word != "timeout" or not self.http_status:
            self.error, self.is_own_fault = fault.word, fault.is_own


async def _read_frames(
    response: aiohttp.ClientResponse,
    reader: FrameReader,
    limits: PictureLimits,
    watching: _Watching,
) -> None:
    # Parts that hold nothing count, too: a kilobyte has room for two hundred of them.
    while (
        watching.bytes_read < limits.bytes_max
        and watching.tally.frames + reader.broken_parts < limits.frames_max
    ):
        chunk = await response.content.read(_CHUNK_BYTES)
        if not chunk:
            watching.error = "closed"
            return
        watching.bytes_read += len(chunk)
        now_s = asyncio.get_running_loop().time()
        for frame in reader.feed(chunk):
            watching.tally.add(frame, now_s)
        watching.broken_parts = reader.broken_parts


async def _read_bounded(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    body = bytearray()
    while len(body) < bytes_max:
        chunk = await response.content.readany()
        if not chunk:
            return bytes(body)
        body += chunk
    response.close()  # the rest would have to be read before the connection could be used again
    return bytes(body[:bytes_max])


def _host(url: str) -> str:
    """Name the other side without path and query: those hold tokens (webhooks)."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2][:_TEXT_MAX]


def _text(error: BaseException) -> str:
    """Word a foreign error, bounded, without the URL that aiohttp puts into some."""
    cause = getattr(error, "os_error", None) or error
    text = getattr(cause, "strerror", None) or type(error).__name__
    return str(text)[:_TEXT_MAX]
