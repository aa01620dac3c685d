"""Looks at a Pixel Streaming server as a player: signalling here, media in a process that can be killed.

The server and the application behind it are strangers': messages are bounded in number and size, each
stage has its deadline, and what decodes their pictures is another process with no secret in its
environment. Nothing is raised: whatever happens becomes a sample.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from keeper.adapters.webrtc_told import Seen, picture_of, told_by
from keeper.core.text import plain
from keeper.ports import PlayerLimits, PlayerSample, Reached
from keeper.probes.signalling import (
    MESSAGE_MAX_BYTES,
    Action,
    Answer,
    Candidate,
    Exchange,
    Finish,
    IceServers,
    Prepare,
    Send,
    answer_of,
    connected,
    watching,
)

_PLAYER = "keeper.adapters.webrtc_player"
_LINE_MAX = 2_000_000  # the last line holds a small JPEG
_REST_MAX_BYTES = 262_144
_REST_S = 1.0
_REST_EVERY_S = 0.5
# Whoever is refused for keeper's sake tries again soon, or never.
_REST_OFTEN_S = 0.2
_END_S = 1.0  # for a player to take its leave and say what it saw
_CLOSE_S = 0.2
_TEXT_MAX = 200
_HTTP_OK = 200
# A process each, and a good part of a CPU: a fleet's players take turns.
_PLAYERS_AT_ONCE = 4


def is_installed() -> bool:
    """Whether this box can watch: the extra brings a decoder, and not everybody needs one."""
    return importlib.util.find_spec("aiortc") is not None


class Players:
    """Looks of one box."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_PLAYERS_AT_ONCE)

    async def sample(
        self, session: aiohttp.ClientSession, url: str, limits: PlayerLimits
    ) -> PlayerSample:
        """Look once, within the limits."""
        if limits.is_subscribing and not is_installed():
            return PlayerSample(
                reached=Reached.NOWHERE,
                error="the extra `webrtc` of keeper is not installed",
                is_own_fault=True,
            )
        if not limits.is_subscribing:
            return await _Look(session, url, limits).take()
        async with self._turns:
            return await _Look(session, url, limits).take()


class _Look:
    """One look while it is being taken."""

    def __init__(self, session: aiohttp.ClientSession, url: str, limits: PlayerLimits) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._limits = limits
        self._exchange = Exchange(
            is_subscribing=limits.is_subscribing, streamer_id=limits.streamer_id
        )
        self._is_connected = False
        self._others: int | None = None
        self._has_left = False
        self._error = ""
        self._is_own_fault = False
        self._has_died = False  # the player, before anybody asked it to end
        self._is_ending = False
        self._seen: Seen | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._begin: Callable[[Coroutine[Any, Any, None]], None]
        self._heard = asyncio.Event()  # the player has said its last
        self._done = asyncio.Event()  # nothing more is to be learnt

    async def take(self) -> PlayerSample:
        try:
            async with asyncio.timeout(max(_END_S, self._limits.timeout_s - _END_S)):
                await self._yield_to_others()
                await self._talk()
        except TimeoutError:
            self._error = self._error or ("" if self._is_connected else "timeout")
        except aiohttp.WSServerHandshakeError as error:
            self._is_connected = True
            self._error = f"HTTP {error.status}, and no socket"
        except aiohttp.ClientConnectorError as error:
            self._error = (
                "refused" if isinstance(error.os_error, ConnectionRefusedError) else "unreachable"
            )
        except (aiohttp.ClientError, OSError) as error:
            self._error = self._error or plain(type(error).__name__, _TEXT_MAX)
        except ValueError as error:
            self._error, self._is_own_fault = plain(str(error), _TEXT_MAX), True
        return self._sample()

    async def _yield_to_others(self) -> None:
        """Do not begin beside a real player, nor where one might find no place for our sake."""
        if not self._limits.is_subscribing:
            return
        if self._limits.has_rest:
            self._others = await self._ask_others(ours=0)
        cannot_tell = self._others is None and self._limits.places > 0
        if self._others or cannot_tell:
            self._has_left = True
            self._exchange.is_subscribing = False
            if cannot_tell:
                self._error = "the server does not say whether a place is free"

    async def _ask_others(self, *, ours: int) -> int | None:
        """Count who else watches, or would; ``ours``: so many are this look's own. None: not told."""
        players = watching(await self._ask("/api/streamers"))
        if players is None:
            return None
        if self._limits.places == 1:
            # Somebody who was refused the one place is connected all the same, and tries again.
            sockets = connected(await self._ask("/api/status"))
            if sockets is None:
                return None
            players = max(players, sockets)
        return max(0, players - ours)

    async def _ask(self, path: str) -> bytes:
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with (
                asyncio.timeout(_REST_S),
                self._session.get(f"{self._url}{path}", allow_redirects=False) as reply,
            ):
                if reply.status == _HTTP_OK:
                    return await reply.content.read(_REST_MAX_BYTES)
        return b""

    async def _talk(self) -> None:
        async with await self._connect() as socket:
            tasks: list[asyncio.Task[None]] = []
            async with asyncio.TaskGroup() as group:
                self._begin = lambda job: tasks.append(group.create_task(job))
                self._begin(self._listen(socket))
                try:
                    await self._done.wait()
                finally:
                    await self._end_player()
                    for task in tasks:
                        task.cancel()

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        closing = aiohttp.ClientWSTimeout(ws_close=_CLOSE_S)
        try:
            async with asyncio.timeout(self._limits.greeting_s):
                socket = await self._session.ws_connect(
                    self._url, max_msg_size=MESSAGE_MAX_BYTES, timeout=closing
                )
        except TimeoutError:
            # A server that hangs has its connections accepted by the kernel: not the same as nobody.
            self._is_connected = await self._accepts()
            raise
        self._is_connected = True
        return socket

    async def _accepts(self) -> bool:
        where = urlsplit(self._url)
        try:
            async with asyncio.timeout(_REST_S):
                _, writer = await asyncio.open_connection(where.hostname, where.port)
        except (OSError, TimeoutError):
            return False
        writer.transport.abort()
        return True

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Read what the server says; each stage has its own deadline."""
        loop = asyncio.get_running_loop()
        stage = self._exchange.reached
        with suppress(TimeoutError):  # how far it came says what was missing
            async with asyncio.timeout(self._limits.greeting_s) as deadline:
                async for message in socket:
                    for action in self._exchange.receive(_text_of(message)):
                        await self._do(action, socket)
                    if self._exchange.reached is not stage:
                        stage = self._exchange.reached
                        deadline.reschedule(self._deadline_s(stage, loop.time()))
                    if self._done.is_set():
                        return
                self._error = self._error or "the server closed the connection"
        self._done.set()

    def _deadline_s(self, stage: Reached, now_s: float) -> float | None:
        if stage is Reached.OFFERED:
            return None  # the player has its own, and the look has one
        is_asked = stage is Reached.SUBSCRIBED
        return now_s + (self._limits.offer_s if is_asked else self._limits.greeting_s)

    async def _do(self, action: Action, socket: aiohttp.ClientWebSocketResponse) -> None:
        match action:
            case Send(text=text):
                await socket.send_str(text)
            case Prepare(servers=servers):
                self._process = await _start_player()
                self._tell(_first_line(servers, self._limits))
                self._begin(self._hear(self._process, socket))
                if self._limits.has_rest:
                    self._begin(self._look_for_others())
            case Answer(sdp=sdp):
                self._tell({"offer": sdp})
            case Candidate(candidate=candidate, mid=mid, line=line):
                self._tell({"candidate": candidate, "mid": mid, "line": line})
            case Finish(error=error):
                self._error = self._error or error
                self._done.set()

    # --- the player -----------------------------------------------------------------------------------

    def _tell(self, what: dict[str, Any]) -> None:
        """Give the player a line; one that has died takes none."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, RuntimeError):
                self._process.stdin.write(json.dumps(what).encode() + b"\n")

    async def _hear(
        self, process: asyncio.subprocess.Process, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        """Pass its answer on, and keep what it saw."""
        assert process.stdout is not None
        with suppress(ValueError, aiohttp.ClientError, OSError):
            while line := await process.stdout.readline():
                told = told_by(line)
                if told is None or told.end is not None:
                    self._seen = None if told is None else told.end
                    break
                await socket.send_str(answer_of(told.answer))
        self._has_died = self._seen is None and not self._is_ending
        self._heard.set()
        self._done.set()

    async def _look_for_others(self) -> None:
        """Leave at once when somebody else begins to watch."""
        every_s = _REST_OFTEN_S if self._limits.places == 1 else _REST_EVERY_S
        while True:
            await asyncio.sleep(every_s)
            others = await self._ask_others(ours=1)
            if others:
                self._others, self._has_left = others, True
                self._done.set()
                return

    async def _end_player(self) -> None:
        process, self._is_ending = self._process, True
        if process is None:
            return
        try:
            with suppress(OSError, RuntimeError):
                assert process.stdin is not None
                process.stdin.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await self._heard.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()

    # --- the sample -----------------------------------------------------------------------------------

    def _sample(self) -> PlayerSample:
        talk, seen = self._exchange, self._seen or Seen()
        reached = talk.reached if self._is_connected else Reached.NOWHERE
        if reached is Reached.OFFERED and seen.connected:
            reached = Reached.MEDIA
        error, is_own_fault = self._error, self._is_own_fault
        if self._has_died:
            # It was ended by its own limits, or a stranger's stream has broken it: nothing was seen.
            is_own_fault, error = True, "the player has died"
        if reached in {Reached.OFFERED, Reached.MEDIA}:
            error = plain(seen.error or error, _TEXT_MAX)
        return PlayerSample(
            reached=reached,
            streamers=talk.streamers,
            watched=talk.watched,
            others=self._others,
            is_full=talk.is_full,
            places=talk.places,
            has_left=self._has_left,
            has_relay=seen.relay,
            picture=picture_of(seen, self._limits.ignored) if reached is Reached.MEDIA else None,
            error=error,
            is_own_fault=is_own_fault,
        )


def _first_line(servers: IceServers, limits: PlayerLimits) -> dict[str, Any]:
    relay = servers.relay
    return {
        "relay": None
        if relay is None
        else {
            "host": relay.host,
            "port": relay.port,
            "username": relay.username,
            "credential": relay.credential,
        },
        "stun": servers.stun,
        "sample_s": limits.sample_s,
        "frames_max": limits.frames_max,
    }


async def _start_player() -> asyncio.subprocess.Process:
    """Start a player with nothing of ours in its environment."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-m",
        _PLAYER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LINE_MAX,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        start_new_session=True,
    )


def _text_of(message: aiohttp.WSMessage) -> str:
    if message.type is aiohttp.WSMsgType.TEXT:
        return str(message.data)
    if message.type is aiohttp.WSMsgType.BINARY:
        return bytes(message.data).decode("utf-8", "replace")
    return ""
