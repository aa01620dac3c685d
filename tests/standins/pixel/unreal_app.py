"""Stands in for a packaged Unreal application: a streamer that draws a small moving picture.

It takes the engine's own arguments, refuses root as the engine does, offers media to each player, and
comes back by itself when its socket is lost. What goes wrong is read from a file while it runs:
``live``, ``frozen``, ``black``, ``silent`` (no more frames), ``deaf`` (no offers), ``exit`` or ``exit0``.
Whoever comes while it says ``tone``, ``hush`` or ``mute`` is offered a track of sound: a tone, digital
silence, or not one packet.
"""

import argparse
import asyncio
import json
import os
import pwd
import sys
from array import array
from fractions import Fraction
from pathlib import Path

import aiohttp
import av
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.sdp import candidate_from_sdp
from typing_extensions import override

SIZE = (160, 90)
FRAMES_PER_S = 10


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prefix_chars="-", allow_abbrev=False)
    parser.add_argument("-PixelStreamingURL", "-PixelStreamingUrl", dest="url", required=True)
    parser.add_argument("-PixelStreamingID", dest="name", default="")
    parser.add_argument("-Mood", dest="mood", default="")
    known, _ = parser.parse_known_args()  # the engine ignores what it does not know
    return known


def refuse_root() -> None:
    """Refuse as the engine does; where the image's account is missing, there is nobody else to be."""
    try:
        pwd.getpwnam("user")
    except KeyError:
        return
    if os.geteuid() == 0:
        print("Refusing to run with the root privileges.", file=sys.stderr)
        sys.exit(1)


class Picture(VideoStreamTrack):
    """A square that wanders over grey."""

    def __init__(self, app: "App") -> None:
        super().__init__()
        self._app = app
        self._at = 0
        self._drawn = 0

    @override
    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(1 / FRAMES_PER_S)
        while self._app.mood == "silent":  # noqa: ASYNC110 - a file tells nobody that it changes
            await asyncio.sleep(0.05)
        self._at += 1
        if self._app.mood != "frozen":
            self._drawn += 1
        width, height = SIZE
        frame = av.VideoFrame(width, height, "yuv420p")
        for number, plane in enumerate(frame.planes):
            grey = 128 if number else (16 if self._app.mood == "black" else 120)
            rows = bytearray([grey]) * (plane.line_size * plane.height)
            if number == 0 and self._app.mood != "black":
                left = self._drawn * 7 % (width - 24)
                for row in range(20, 60):
                    at = row * plane.line_size + left
                    rows[at : at + 24] = bytes([230]) * 24
            plane.update(bytes(rows))
        frame.pts, frame.time_base = self._at * 90_000 // FRAMES_PER_S, Fraction(1, 90_000)
        return frame


class Sound(AudioStreamTrack):
    """A square wave at a tenth of full scale, or nothing."""

    def __init__(self, mood: str) -> None:
        super().__init__()
        self._mood = mood

    @override
    async def recv(self) -> av.AudioFrame:
        if self._mood == "mute":
            await asyncio.Event().wait()
        frame = await super().recv()
        assert isinstance(frame, av.AudioFrame)
        if self._mood == "tone":
            wave = array("h", ([3277] * 10 + [-3277] * 10) * (frame.samples // 20))
            frame.planes[0].update(wave.tobytes())
        return frame


class App:
    def __init__(self, url: str, name: str, mood: str) -> None:
        self._url = url
        self._name = name
        self._mood_file = Path(mood) if mood else None
        if self._mood_file:
            self._mood_file.unlink(
                missing_ok=True
            )  # a fresh process has none of the old one's trouble
        self._players: dict[str, RTCPeerConnection] = {}

    @property
    def mood(self) -> str:
        try:
            mood = self._mood_file.read_text().strip() if self._mood_file else ""
        except OSError:
            mood = ""
        if mood.startswith("exit"):
            print(f"LogCore: exit requested ({mood})", flush=True)
            os._exit(0 if mood == "exit0" else 3)
        return mood

    async def run(self) -> None:
        while True:
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.ws_connect(self._url) as socket,
                ):
                    print("LogPixelStreaming: connected to the signalling server", flush=True)
                    await self._talk(socket)
            except (aiohttp.ClientError, OSError) as error:
                print(f"LogPixelStreaming: {error}", flush=True)
            for player in list(self._players):
                await self._forget(player)
            await asyncio.sleep(0.3)

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async with asyncio.TaskGroup() as group:
            moods = group.create_task(self._follow_mood())
            async for message in socket:
                told = json.loads(message.data)
                match told["type"]:
                    case "identify":
                        name = {"type": "endpointId", "id": self._name, "protocolVersion": "1.3.0"}
                        await socket.send_json(name)
                    case "playerConnected" if self.mood != "deaf":
                        await self._offer(socket, told["playerId"])
                    case "answer":
                        answer = RTCSessionDescription(sdp=told["sdp"], type="answer")
                        await self._players[told["playerId"]].setRemoteDescription(answer)
                    case "iceCandidate":
                        await self._add(told)
                    case "playerDisconnected":
                        await self._forget(told["playerId"])
                    case _:
                        pass
            moods.cancel()

    async def _follow_mood(self) -> None:
        while True:
            _ = self.mood  # may end this process
            await asyncio.sleep(0.1)

    async def _offer(self, socket: aiohttp.ClientWebSocketResponse, player: str) -> None:
        connection = RTCPeerConnection()
        self._players[player] = connection
        connection.addTrack(Picture(self))
        if (mood := self.mood) in {"tone", "hush", "mute"}:
            connection.addTrack(Sound(mood))
        connection.createDataChannel("cirrus")
        await connection.setLocalDescription(await connection.createOffer())
        sdp = connection.localDescription.sdp
        # The engine sends its addresses one by one after the offer.
        kept = [line for line in sdp.splitlines() if not line.startswith("a=candidate:")]
        apart = [line[2:] for line in sdp.splitlines() if line.startswith("a=candidate:")]
        bare = "\r\n".join(line for line in kept if line != "a=end-of-candidates") + "\r\n"
        await socket.send_json({"type": "offer", "playerId": player, "sdp": bare})
        for candidate in apart:
            told = {"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0}
            await socket.send_json({"type": "iceCandidate", "playerId": player, "candidate": told})

    async def _add(self, told: dict[str, object]) -> None:
        connection = self._players.get(str(told["playerId"]))
        seen = told["candidate"]
        if connection is None or not isinstance(seen, dict) or not seen["candidate"]:
            return
        candidate = candidate_from_sdp(str(seen["candidate"]).removeprefix("candidate:"))
        candidate.sdpMid, candidate.sdpMLineIndex = seen["sdpMid"], seen["sdpMLineIndex"]
        await connection.addIceCandidate(candidate)

    async def _forget(self, player: str) -> None:
        connection = self._players.pop(player, None)
        if connection is not None:
            await connection.close()


if __name__ == "__main__":
    refuse_root()
    given = arguments()
    asyncio.run(App(given.url, given.name or "DefaultStreamer", given.mood).run())
