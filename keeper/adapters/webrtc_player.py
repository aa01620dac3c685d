"""The player itself: a process of its own that takes a few frames over WebRTC, and ends.

What it decodes was made by strangers, so it is started for one look, kept small by the kernel, and
killed by whoever started it when it is late. It reads JSON lines (the relay, the offer, addresses) and
writes two: its answer, and what it saw. It never speaks to the signalling server.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import logging
import resource
import socket
import sys
from contextlib import suppress
from typing import Any

from PIL import Image, ImageChops, ImageStat
from typing_extensions import override

from keeper.adapters.webrtc_heard import Heard
from keeper.probes.grid import COLUMNS, ROWS

LINE_MAX = 400_000
_MEMORY_MAX_BYTES = 3 << 30  # of addresses, not of memory: threads of the decoder reserve much
_CPU_MAX_S = 20
_FILES_MAX = 256
_RELAY_S = 2.0
_STUN_S = 1.0
_GRID = (64, 64)
# A coded picture that stands still is refined for a second, by a level or two. What moves moves more.
_NEW_LEVELS = 4
_IS_NEW = [0] * _NEW_LEVELS + [255] * (256 - _NEW_LEVELS)
_PIXELS_MAX = 40_000_000
_THUMBNAIL = (480, 480)
_ICE_S = 5.0
_BRIGHT_SHARE = 0.01


def main() -> None:
    """Be a player for as long as the first line says."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_MAX_BYTES, _MEMORY_MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_MAX_S, _CPU_MAX_S))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES_MAX, _FILES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()  # what a decoder thinks of a stranger's stream is no line of our log
    asyncio.run(_play())


async def _play() -> None:
    reader = await _stdin()
    first = json.loads(await reader.readline())
    player = _Player(first)
    relaying = asyncio.create_task(player.ask_relay())  # noqa: TID251 - awaited below, always
    listening = asyncio.create_task(player.listen(reader, relaying))  # noqa: TID251 - likewise
    await player.ended.wait()
    listening.cancel()
    relaying.cancel()
    await asyncio.gather(listening, relaying, return_exceptions=True)
    _say({"end": player.outcome()})
    with suppress(Exception):  # the other side is a stranger, and this process ends anyway
        await asyncio.wait_for(player.close(), 0.5)


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LINE_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class _Player:
    """One look."""

    def __init__(self, first: dict[str, Any]) -> None:
        self.ended = asyncio.Event()
        self._relay: dict[str, Any] | None = first.get("relay")
        self._stun: list[Any] | None = first.get("stun")
        self._sample_s = float(first["sample_s"])
        self._frames_max = int(first["frames_max"])
        self._has_relay: bool | None = None
        self._is_refused = False
        self._connection: Any = None
        self._watching: list[asyncio.Task[None]] = []
        self._is_connected = False
        self._has_udp = False
        self._tally = _Tally()
        self._error = ""
        self._bytes = 0
        self._heard = Heard()
        self._sound_packets: int | None = None

    async def ask_relay(self) -> None:
        """Ask the relay for a place as any player does; where none comes, see whether UDP leads out."""
        if self._relay is None:
            return
        from aioice import turn
        from aioice.stun import TransactionFailed

        address = (self._relay["host"], self._relay["port"])
        try:
            async with asyncio.timeout(_RELAY_S):
                transport, _ = await turn.create_turn_endpoint(
                    asyncio.DatagramProtocol,
                    server_addr=await _resolved(address),
                    username=self._relay["username"],
                    password=self._relay["credential"],
                    lifetime=60,
                )
                self._has_relay = True
                transport.close()
        except TransactionFailed:
            self._has_relay, self._is_refused = False, True  # it answered, and said no
        except Exception:  # noqa: BLE001 - whatever a stranger's server does, it gave no place
            self._has_relay = False
        if not self._has_relay and not self._is_refused:
            await self._ask_stun()

    async def _ask_stun(self) -> None:
        """Learn whether UDP leads out of this box at all, from the server that players are told of."""
        if self._stun is None:
            return
        from aioice import stun

        question = stun.Message(
            message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST
        )
        with suppress(Exception):
            async with asyncio.timeout(_STUN_S):
                address = await _resolved((str(self._stun[0]), int(self._stun[1])))
                transport, asking = await asyncio.get_running_loop().create_datagram_endpoint(
                    _Asking, remote_addr=address
                )
                try:
                    transport.sendto(bytes(question))
                    await asking.answered.wait()
                    self._has_udp = True
                finally:
                    transport.close()

    async def listen(self, reader: asyncio.StreamReader, relaying: asyncio.Task[None]) -> None:
        """Do what the lines say; their end is the end of the look."""
        try:
            while line := await reader.readline():
                told = json.loads(line)
                if "offer" in told:
                    await asyncio.wait([relaying])
                    await self._answer(told["offer"])
                elif "candidate" in told and self._connection is not None:
                    await self._add(told)
                else:
                    break
        except Exception as error:  # noqa: BLE001 - a stranger's offer; its words are the outcome
            self._error = self._error or f"{type(error).__name__}: {error}"[:200]
        self.ended.set()

    async def _answer(self, sdp: str) -> None:
        import aiortc

        servers = []
        if self._relay is not None and self._has_relay:
            servers.append(
                aiortc.RTCIceServer(
                    urls=f"turn:{self._relay['host']}:{self._relay['port']}",
                    username=self._relay["username"],
                    credential=self._relay["credential"],
                )
            )
        connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=servers))
        connection.on("track", self._track)
        connection.on("connectionstatechange", self._state)
        self._connection = connection
        await connection.setRemoteDescription(aiortc.RTCSessionDescription(sdp=sdp, type="offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        _say({"answer": connection.localDescription.sdp})

    async def _add(self, told: dict[str, Any]) -> None:
        from aiortc.sdp import candidate_from_sdp

        text = told["candidate"].removeprefix("candidate:")
        with suppress(AssertionError, ValueError, IndexError):
            candidate = candidate_from_sdp(text)
            if candidate.ip.endswith(".local"):  # would be asked for on this box's own network
                return
            candidate.sdpMid, candidate.sdpMLineIndex = told["mid"] or None, told["line"]
            await self._connection.addIceCandidate(candidate)

    def _state(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self._is_connected = True
        elif state in {"failed", "closed"}:
            self._error = self._error or f"the connection is {state}"
            self.ended.set()

    def _track(self, track: Any) -> None:
        watch = self._watch if track.kind == "video" else self._heard.listen
        self._watching.append(asyncio.create_task(watch(track)))  # noqa: TID251 - ended by close

    async def _watch(self, track: Any) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            while self._tally.frames < self._frames_max:
                left_s = self._sample_s - (loop.time() - began_s)
                if not self._tally.frames:
                    left_s = _ICE_S  # the first one comes when the path is open
                if left_s <= 0:
                    break
                frame = await asyncio.wait_for(track.recv(), left_s)
                if not self._tally.frames:
                    began_s = loop.time()
                self._tally.add(frame, loop.time() - began_s)
            self._tally.sampled_s = max(self._tally.sampled_s, loop.time() - began_s)
        except TimeoutError:
            self._tally.sampled_s = max(self._tally.sampled_s, loop.time() - began_s)
        except Exception as error:  # noqa: BLE001 - a stranger's stream; its words are the outcome
            self._error = self._error or f"{type(error).__name__}: {error}"[:200]
        await self._count()
        self.ended.set()

    async def _count(self) -> None:
        with suppress(Exception):
            report = await self._connection.getStats()
            self._bytes = sum(
                int(getattr(each, "bytesReceived", 0) or 0)
                for each in report.values()
                if each.type == "transport"
            )
            self._sound_packets = sum(
                int(each.packetsReceived)
                for each in report.values()
                if each.type == "inbound-rtp" and each.kind == "audio"
            )

    def outcome(self) -> dict[str, Any]:
        """Say what was seen."""
        has_relay = self._has_relay
        if has_relay is False and not (self._is_refused or self._has_udp or self._is_connected):
            has_relay = None  # perhaps it is this box from which no UDP leads out
        return {
            "relay": has_relay,
            "connected": self._is_connected or self._tally.frames > 0,
            "bytes": self._bytes,
            "error": self._error,
            **self._heard.numbers(self._tally.sampled_s, self._sound_packets),
            **self._tally.numbers(),
        }

    async def close(self) -> None:
        """Take leave, so that the application counts no player that is gone."""
        for task in self._watching:
            task.cancel()
        if self._connection is not None:
            await self._connection.close()


class _Asking(asyncio.DatagramProtocol):
    """Waits for any answer."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()

    @override
    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.answered.set()


class _Tally:
    """Frames, as numbers."""

    def __init__(self) -> None:
        self.frames = 0
        self.sampled_s = 0.0
        self._unique = 0
        self._first: Image.Image | None = None
        self._counted: Image.Image | None = None  # the last one that was new
        self._newest: Any = None
        self._small: Image.Image | None = None
        self._hashes: set[bytes] = set()

    def add(self, frame: Any, at_s: float) -> None:
        """Count one frame; new is what differs from the last new one by more than coding does."""
        if frame.width * frame.height > _PIXELS_MAX:
            raise ValueError("a frame is huge")
        small = _grey(frame)
        self.frames, self.sampled_s = self.frames + 1, at_s
        self._newest, self._small = frame, small
        self._first = self._first or small
        before = self._counted
        if before is not None:
            changed = ImageChops.difference(small, before).point(_IS_NEW)
            if changed.getbbox() is None:
                return
        self._counted = small
        self._hashes.add(hashlib.blake2b(small.tobytes(), digest_size=12).digest())

    def numbers(self) -> dict[str, Any]:
        """Return what a sample of pictures is made of."""
        luma = bright = motion = None
        jpeg = b""
        grids: list[str] = []
        if self._small is not None and self._first is not None:
            luma = float(ImageStat.Stat(self._small).mean[0])
            bright = _bright(self._small)
            if len(self._hashes) > 1:
                difference = ImageChops.difference(self._small, self._first)
                motion = float(ImageStat.Stat(difference).mean[0])
            jpeg = _jpeg(self._newest)
            grids = [_cells(self._first), _cells(self._small)]
        return {
            "frames": self.frames,
            "unique": len(self._hashes),
            "sampled_s": self.sampled_s,
            "luma": luma,
            "bright": bright,
            "motion": motion,
            "jpeg": base64.b64encode(jpeg).decode(),
            "grids": grids,
        }


def _bright(small: Image.Image) -> float:
    """Return the luma that one sample in a hundred exceeds."""
    left = _GRID[0] * _GRID[1] * _BRIGHT_SHARE
    for luma, count in reversed(list(enumerate(small.histogram()))):
        left -= count
        if left <= 0:
            return float(luma)
    return 0.0


def _cells(small: Image.Image) -> str:
    """Return a picture as the judges know it (probes/grid.py)."""
    cells = small.resize((COLUMNS, ROWS), Image.Resampling.BOX)
    return base64.b64encode(cells.tobytes()).decode()


def _grey(frame: Any) -> Image.Image:
    small = frame.reformat(width=_GRID[0], height=_GRID[1], format="gray")
    plane = small.planes[0]
    return Image.frombuffer("L", _GRID, bytes(plane), "raw", "L", plane.line_size, 1)


def _jpeg(frame: Any) -> bytes:
    picture = frame.to_image()
    picture.thumbnail(_THUMBNAIL)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=60)
    return out.getvalue()


async def _resolved(address: tuple[str, int]) -> tuple[str, int]:
    found = await asyncio.get_running_loop().getaddrinfo(
        *address, family=socket.AF_INET, type=socket.SOCK_DGRAM
    )
    host, port = found[0][4][:2]
    return str(host), int(port)


if __name__ == "__main__":
    main()
