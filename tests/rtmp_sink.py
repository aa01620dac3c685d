"""A platform's ingest and its viewers: nginx with its RTMP module, who published when, and what was seen.

    with RtmpSink(folder, free_port) as sink:
        sink.publish("x")                       # an ffmpeg of our own, or anything that pushes to sink.url("x")
        await eventually(lambda: sink.publishing("x"))
        with FrameViewer(sink.url("x")) as viewer:
            await eventually(lambda: viewer.seen_at)

A name has one publisher: nginx refuses the second one, as platforms do that give one stream key
(``refusals``). Two names of one application are a primary and a backup ingest. ``sink.begun`` lists who was
let in and until when, by nginx's own callbacks; ``sink.stat()`` is its statistics page. Moments are of one
monotonic clock, ``now()``, and each has its wall time beside it where keeper's facts are to be compared.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xml.etree import ElementTree as ET

from typing_extensions import override

from tests.components import NGINX_RTMP_MODULE, require

_CONFIG = """\
load_module {module};
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
rtmp {{
    server {{
        listen 127.0.0.1:{port};
        ping 5s;
        ping_timeout 5s;
        notify_method post;
        application live {{
            live on;
            record off;
            drop_idle_publisher 10s;
            on_publish http://127.0.0.1:{told}/publish;
            on_publish_done http://127.0.0.1:{told}/done;
            hls on;
            hls_path {folder}/hls;
            hls_fragment 1s;
            hls_playlist_length 6s;
        }}
    }}
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{http};
        location /stat {{ rtmp_stat all; }}
        location / {{ root {folder}; types {{
            application/vnd.apple.mpegurl m3u8;
            video/mp2t ts;
        }} add_header Cache-Control no-cache; }}
    }}
}}
"""
_JOIN_S = 30.0


def now() -> float:
    """Return the moment, of the clock by which everything here is dated; seconds."""
    return time.monotonic()


@dataclass(slots=True, kw_only=True)
class Publishing:
    """One publisher that nginx let in, or asked about before it refused it."""

    app: str
    name: str
    client: str  # nginx's number of the connection
    began_at: float
    began_wall_s: float  # of the epoch
    ended_at: float | None = None
    ended_wall_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStat:
    """One name, as nginx's statistics page has it."""

    name: str
    is_publishing: bool
    clients: int  # publishers and players together
    bytes_in: int


class RtmpSink:
    """The server. ``with`` starts and stops it; both also by hand, for a platform that goes away."""

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        self.folder = folder
        self.port, self.http_port = free_port(), free_port()
        self.begun: list[Publishing] = []
        self._nginx: subprocess.Popen[bytes] | None = None
        self._pushes: list[subprocess.Popen[bytes]] = []
        self._told: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start nginx and whoever writes down its callbacks. It accepts when this returns."""
        if self._told is None:
            self._told = ThreadingHTTPServer(("127.0.0.1", 0), _listener(self))
            threading.Thread(target=self._told.serve_forever, daemon=True).start()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "hls").mkdir(exist_ok=True)
        config = _CONFIG.format(
            module=NGINX_RTMP_MODULE,
            user="user root;" if os.geteuid() == 0 else "",
            folder=self.folder,
            port=self.port,
            http=self.http_port,
            told=self._told.server_port,
        )
        (self.folder / "nginx.conf").write_text(config)
        nginx = require("nginx-rtmp")
        self._nginx = subprocess.Popen(
            [nginx, "-p", self.folder, "-e", self.folder / "error.log", "-c", self.folder / "nginx.conf"],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        _wait(self._is_up, "nginx to answer")

    def stop(self) -> None:
        """End nginx at once: publishers and players lose their connections."""
        if self._nginx is not None:
            self._nginx.terminate()
            self._nginx.wait(_JOIN_S)
            self._nginx = None

    def close(self) -> None:
        """End everything that was started here."""
        for push in self._pushes:
            end(push)
        self.stop()
        if self._told is not None:
            self._told.shutdown()
            self._told.server_close()
            self._told = None

    def _is_up(self) -> bool:
        assert self._nginx is not None
        assert self._nginx.poll() is None, (self.folder / "error.log").read_text()
        try:
            self.stat()
        except OSError:
            return False
        return True

    # --- where it is ------------------------------------------------------------------------------

    def url(self, name: str, app: str = "live") -> str:
        """Return where a name is published, and watched."""
        return f"rtmp://127.0.0.1:{self.port}/{app}/{name}"

    def hls_url(self, name: str) -> str:
        """Return the live playlist of a name; it exists some seconds after the first frame."""
        return f"http://127.0.0.1:{self.http_port}/hls/{name}.m3u8"

    # --- publishers -------------------------------------------------------------------------------

    def publish(self, name: str, arguments: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Push a small live picture with a tone to a name; ``arguments`` are ffmpeg's, before the output."""
        push = subprocess.Popen(
            [require("ffmpeg"), *(arguments or picture()), "-f", "flv", self.url(name)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._pushes.append(push)
        return push

    def told(self, what: str, form: dict[str, str]) -> None:
        """Write down a callback of nginx's."""
        at, wall_s = time.monotonic(), time.time()
        with self._lock:
            if what == "publish":
                self.begun.append(
                    Publishing(
                        app=form["app"], name=form["name"], client=form["clientid"],
                        began_at=at, began_wall_s=wall_s,
                    )
                )  # fmt: skip
                return
            for each in self.begun:
                if each.client == form["clientid"] and each.ended_at is None:
                    each.ended_at, each.ended_wall_s = at, wall_s

    def publishing(self, *names: str) -> list[Publishing]:
        """Return who publishes one of these names now, by the callbacks; without names: any."""
        with self._lock:
            return [
                each
                for each in self.begun
                if each.ended_at is None and (not names or each.name in names)
            ]

    def refusals(self) -> int:
        """Return how many publishers nginx has refused because the name had one already."""
        return (self.folder / "error.log").read_text(errors="replace").count("already publishing")

    def stat(self) -> dict[str, StreamStat]:
        """Read the statistics page: the names of the application that has any client."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/stat", timeout=10) as page:
            tree = ET.fromstring(page.read())
        found = {}
        for stream in tree.iter("stream"):
            name = stream.findtext("name") or ""
            found[name] = StreamStat(
                name=name,
                is_publishing=stream.find("publishing") is not None,
                clients=int(stream.findtext("nclients") or 0),
                bytes_in=int(stream.findtext("bytes_in") or 0),
            )
        return found


def picture(frames_per_s: int = 10, size: str = "160x90") -> list[str]:
    """Return ffmpeg's arguments for a small moving picture with a tone, at the pace of real time."""
    return [
        "-nostdin", "-loglevel", "error",
        "-re", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={frames_per_s}",
        "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100",
        "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p",
        "-g", str(frames_per_s), "-threads", "1", "-b:v", "100k", "-c:a", "aac", "-b:a", "32k",
    ]  # fmt: skip


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours for certain."""
    if process.poll() is None:
        process.kill()
    process.wait(_JOIN_S)


class FrameViewer:
    """Watches one name and notes when each frame of its picture arrived. It comes back after each loss."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen_at: list[float] = []  # of each frame, by ``now()``
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join(_JOIN_S)
        assert not self._thread.is_alive(), "a viewer did not end"

    def _watch(self) -> None:
        import av

        while not self._is_over.is_set():
            with suppress(av.error.FFmpegError, OSError, TimeoutError), ExitStack() as stack:
                options = {"rtmp_live": "live", "fflags": "nobuffer", "probesize": "32768"}
                media: Any = stack.enter_context(
                    av.open(self.url, timeout=(5.0, 2.0), options=options)
                )
                for packet in media.demux(media.streams.video[:1]):
                    if packet.size:
                        self.seen_at.append(time.monotonic())
                    if self._is_over.is_set():
                        return
            self._is_over.wait(0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Where no frame was seen."""

    since: float
    until: float
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", self.until - self.since)


def longest_gap(*viewers: FrameViewer, since: float = 0.0, until: float = float("inf")) -> Gap:
    """Return the longest time without a frame from any of the viewers, within what is looked at.

    Several viewers count as one who takes whichever has frames.
    """
    seen = sorted(at for viewer in viewers for at in list(viewer.seen_at) if since <= at <= until)
    assert len(seen) > 1, "nothing was seen"
    return max(
        (Gap(since=a, until=b) for a, b in pairwise(seen)),
        key=lambda gap: gap.seconds,
    )


def overlaps(begun: Sequence[Publishing]) -> list[tuple[Publishing, Publishing]]:
    """Return the pairs of publishers that were there at the same moment."""
    ordered = sorted(begun, key=lambda each: each.began_at)
    return [
        (first, second)
        for position, first in enumerate(ordered)
        for second in ordered[position + 1 :]
        if first.ended_at is None or second.began_at < first.ended_at
    ]


def _wait(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _JOIN_S
    while not holds():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.02)


def _listener(sink: RtmpSink) -> type[BaseHTTPRequestHandler]:
    class Listener(BaseHTTPRequestHandler):
        """Takes nginx's callbacks and lets everybody in; nginx itself refuses a second one."""

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode(errors="replace")))
            sink.told(self.path.strip("/"), form)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Listener


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Freeze a publisher: it stays connected and sends nothing."""
    process.send_signal(signal.SIGSTOP)
