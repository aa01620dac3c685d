"""A small live stream as a program of its own: ffmpeg draws and encodes it, this serves its playlist.

What it shows is said by one word in the file ``mode`` beside it, so that a test can spoil the picture
while every process goes on: ``live``, ``frozen``, ``black`` or ``mute``. A start begins live again, as
a workload does that is restarted.

    python3 source.py ADDRESS PORT
"""

from __future__ import annotations

import functools
import http.server
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

FRAMES_PER_S = 10
MOVING = f"testsrc2=size=160x90:rate={FRAMES_PER_S}"
TONE = "sine=frequency=440"
# What is shown, and what is heard.
MODES = {
    "live": (MOVING, TONE),
    "frozen": (f"smptebars=size=160x90:rate={FRAMES_PER_S}", TONE),
    "black": (f"color=black:size=160x90:rate={FRAMES_PER_S}", TONE),
    "mute": (MOVING, "anullsrc=r=44100:cl=mono"),
}
LOOK_S = 0.2


class Handler(http.server.SimpleHTTPRequestHandler):
    """Says nothing of who asks for what."""

    # Whatever Python a host has runs this: none of our packages is there.
    def log_message(self, *_: object) -> None:  # type: ignore[explicit-override]
        """Keep quiet."""


def encoder(mode: str, folder: Path) -> subprocess.Popen[bytes]:
    """Go on with the playlist, in another mode."""
    picture, sound = MODES[mode]
    return subprocess.Popen(
        [
            # It ends with this process, however that ends.
            *("setpriv", "--pdeathsig", "KILL"),
            *("ffmpeg", "-loglevel", "error", "-nostdin"),
            *("-re", "-f", "lavfi", "-i", picture, "-re", "-f", "lavfi", "-i", sound),
            *("-threads", "1", "-c:v", "libx264", "-preset", "ultrafast", "-g", str(FRAMES_PER_S)),
            *("-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "48k", "-ac", "1"),
            *("-f", "hls", "-hls_time", "1", "-hls_list_size", "4"),
            *("-hls_flags", "delete_segments+append_list+discont_start+omit_endlist+temp_file"),
            str(folder / "stream.m3u8"),
        ]
    )


def main(address: str, port: int) -> None:
    """Serve, and encode what the file says, until a signal comes."""
    here = Path(__file__).resolve().parent
    folder, said = here / "live", here / "mode"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    said.write_text("live")
    handler = functools.partial(Handler, directory=str(here))
    server = http.server.ThreadingHTTPServer((address, port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    mode, running = "live", encoder("live", folder)
    while not ended.wait(LOOK_S):
        wanted = said.read_text().strip() or mode
        if wanted != mode or running.poll() is not None:
            running.terminate()
            running.wait()
            mode, running = wanted, encoder(wanted, folder)
    running.kill()
    running.wait()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
