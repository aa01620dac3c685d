"""Clips on air: pushed to nginx-rtmp in real time, over and over; as live playlists; as MJPEG over HTTP.

Nothing is encoded here. A push copies packets, so that a hundred of them take one core.
"""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.clips.making import file_of
from tests.clips.table import HLS, MJPEG, RTMP, Clip
from tests.components import require
from tests.rtmp_sink import RtmpSink
from tests.waiting import eventually

Airing = tuple[Clip, str]  # a clip, and a way of sending it

_LOOP = ("-nostdin", "-loglevel", "quiet", "-re", "-stream_loop", "-1", "-i")
_SEGMENTED = [
    *("-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_list_size", "6"),
    *("-hls_flags", "delete_segments+omit_endlist"),
]
_HEAD = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"
_START = b"\xff\xd8"


@asynccontextmanager
async def on_air(
    airings: Sequence[Airing], clips: Path, folder: Path, free_port: Callable[[], int]
) -> AsyncIterator[dict[Airing, str]]:
    """Put clips on air, and give the address of each once all are."""
    server = TestServer(_mjpeg_server([clip for clip, way in airings if way == MJPEG], clips))
    await server.start_server()
    pushes: list[subprocess.Popen[bytes]] = []
    try:
        with RtmpSink(folder, free_port) as sink:
            try:
                pushed = {clip for clip, way in airings if _is_pushed(clip, way)}
                pushes += [_push(clip, clips, sink.url(_name(clip))) for clip in pushed]
                addresses = {each: _aired(each, clips, sink, server, pushes) for each in airings}
                names = [_name(clip) for clip in pushed]
                await eventually(lambda: len(sink.publishing(*names)) == len(names))
                lists = [_playlist(clip, sink) for clip, way in airings if way == HLS]
                await eventually(lambda: all(path.exists() for path in lists), patience_s=60)
                yield addresses
            finally:
                for push in pushes:
                    push.kill()
                    push.wait()
    finally:
        await server.close()


def _aired(
    airing: Airing,
    clips: Path,
    sink: RtmpSink,
    server: TestServer,
    pushes: list[subprocess.Popen[bytes]],
) -> str:
    clip, way = airing
    if way == MJPEG:
        return str(server.make_url(f"/{_name(clip)}"))
    if way == RTMP:
        return sink.url(_name(clip))
    playlist = _playlist(clip, sink)
    if not _is_pushed(clip, way):
        playlist.parent.mkdir(parents=True)
        form = ["-hls_segment_type", "fmp4"] if clip.is_fragmented else []
        pushes.append(_copy(clip, clips, [*_SEGMENTED, *form, str(playlist)]))
    return f"http://127.0.0.1:{sink.http_port}/{playlist.relative_to(sink.folder)}"


def _push(clip: Clip, clips: Path, url: str) -> subprocess.Popen[bytes]:
    return _copy(clip, clips, ["-c", "copy", "-f", "flv", url])


def _copy(clip: Clip, clips: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start to send a clip's packets as they are, in real time, over and over."""
    ffmpeg, source = str(require("ffmpeg")), str(file_of(clip, clips, RTMP))
    command = ["nice", "-n", "5", ffmpeg, *_LOOP, source, *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def _name(clip: Clip) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in clip.name)


def _is_pushed(clip: Clip, way: str) -> bool:
    """Whether nginx-rtmp carries it; other codecs and containers are segmented by ffmpeg."""
    is_beyond_nginx = clip.is_fragmented or clip.damage or "libx265" in clip.codec
    return way == RTMP or (way == HLS and not is_beyond_nginx)


def _playlist(clip: Clip, sink: RtmpSink) -> Path:
    name = _name(clip)
    if _is_pushed(clip, HLS):
        return sink.folder / "hls" / f"{name}.m3u8"
    return sink.folder / "segmented" / name / "live.m3u8"


def _mjpeg_server(clips: Sequence[Clip], folder: Path) -> web.Application:
    """Send each clip's frames at its pace, from where it is now, to whoever asks."""
    began_s = time.monotonic()
    app = web.Application()

    def handler(clip: Clip) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        frames = _frames(file_of(clip, folder, MJPEG).read_bytes())

        async def send(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            response.content_type = "multipart/x-mixed-replace; boundary=frame"
            await response.prepare(request)
            number = int((time.monotonic() - began_s) * clip.rate)
            with suppress(ConnectionError):  # whoever looked has seen enough
                while True:
                    await response.write(_HEAD + frames[number % len(frames)] + b"\r\n")
                    number += 1
                    await asyncio.sleep(max(0.0, began_s + number / clip.rate - time.monotonic()))
            return response

        return send

    for clip in clips:
        app.router.add_get(f"/{_name(clip)}", handler(clip))
    return app


def _frames(data: bytes) -> list[bytes]:
    return [_START + part for part in data.split(_START)[1:]]
