"""A test card as a live MJPEG stream: what keeper puts on a host when no model is wanted.

Stands alone: the standard library and Pillow, Python 3.8 or newer. Routes and framing are those of
the SD-Turbo server that it stands in for, down to repeating the newest frame without waiting for the
next one, so a picture that froze still flows. It listens on ${SERVER_HOST:-0.0.0.0}:${SERVER_PORT:-8000}.

For tests and demonstrations it can be broken on purpose. A file ``fault`` in its working directory,
read once a second and removed at the next start, holds one of: ``freeze`` (the same frame for ever),
``black``, ``stall`` (no frames at all), ``crash``. A file ``crashloop``, which stays, ends it about a
second after every start; so does KEEPER_TESTCARD_CRASH_AFTER_S=<seconds>.
"""

from __future__ import annotations

import colorsys
import io
import json
import math
import os
import select
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SIZE = 512
BACKGROUNDS = 48  # drawn once; cycling them costs nothing
PROMPT_MAX = 200
BODY_MAX_BYTES = 65_536
REPEAT_S = 0.01
LOOK_FOR_FAULT_S = 1.0
CRASHLOOP_S = 1.0
FAULT_FILE = Path("fault")
CRASHLOOP_FILE = Path("crashloop")

BARS = ("#e9eef5", "#f2d33c", "#38d0d8", "#4ad66d", "#d867d8", "#ef5a5a", "#4c6ef5")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Test card</title>
<style>
 body{margin:0;min-height:100vh;display:grid;place-items:center;background:#0b0f1a;color:#e9eef5;
      font:16px/1.5 system-ui,sans-serif}
 main{width:min(92vw,540px)} img{width:100%;border-radius:16px;box-shadow:0 12px 48px #000a}
 form{display:flex;gap:8px;margin-top:16px} input{flex:1} input,button{font:inherit;padding:10px 14px;
      border-radius:10px;border:1px solid #2c3550;background:#141b2e;color:inherit}
</style></head><body><main>
<img src="/stream" alt="live picture" width="512" height="512">
<form id="f"><input id="p" name="prompt" placeholder="prompt" maxlength="200"><button>Show</button></form>
<script>
document.getElementById("f").addEventListener("submit", function (event) {
  event.preventDefault();
  fetch("/prompt", {method: "POST", headers: {"Content-Type": "application/json"},
                    body: JSON.stringify({prompt: document.getElementById("p").value})});
});
</script></main></body></html>
"""


def load_font(size: int) -> Any:
    """Return Pillow's own font; before 10.1 it had one size only."""
    try:
        return ImageFont.load_default(size)
    except TypeError:
        return ImageFont.load_default()


class TestCard:
    """Draws frames: colour bars, a sweep that never rests, a clock, a counter, the prompt."""

    def __init__(self) -> None:
        self._large, self._medium, self._small = load_font(40), load_font(24), load_font(16)
        self._backgrounds = [self._background(i / BACKGROUNDS) for i in range(BACKGROUNDS)]
        self._captions: dict[str, Image.Image] = {}

    @staticmethod
    def _background(phase: float) -> Image.Image:
        """Draw a slowly turning glow, tiny, and let enlarging it do the blending."""
        tiny = Image.new("RGB", (16, 16))
        pixels = []
        for y in range(16):
            for x in range(16):
                angle = math.atan2(y - 7.5, x - 7.5) / math.tau + phase
                far = min(1.0, math.hypot(x - 7.5, y - 7.5) / 10.6)
                red, green, blue = colorsys.hsv_to_rgb(
                    0.58 + 0.12 * math.sin(math.tau * angle), 0.75, 0.16 + 0.22 * (1 - far)
                )
                pixels.append((int(255 * red), int(255 * green), int(255 * blue)))
        tiny.putdata(pixels)
        image = tiny.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(image)
        width = (SIZE - 64) / len(BARS)
        for i, colour in enumerate(BARS):
            left = 32 + i * width
            draw.rectangle((left, 84, left + width - 4, 214), fill=colour)
        for i in range(16):
            grey = int(255 * i / 15)
            left = 32 + i * 28
            draw.rectangle((left, 222, left + 27, 242), fill=(grey, grey, grey))
        draw.rounded_rectangle((24, 24, SIZE - 24, SIZE - 24), radius=20, outline="#e9eef5", width=2)
        return image

    def _caption(self, prompt: str) -> Image.Image:
        """Draw the prompt once per prompt: text is the dearest part of a frame."""
        if prompt not in self._captions:
            self._captions.clear()
            image = Image.new("L", (SIZE - 80, 56))
            draw = ImageDraw.Draw(image)
            text = prompt if len(prompt) <= 24 else prompt[:23] + "…"
            box = draw.textbbox((0, 0), text, font=self._large)
            draw.text(((image.width - box[2] - box[0]) / 2, 4), text, font=self._large, fill=255)
            self._captions[prompt] = image
        return self._captions[prompt]

    def draw(self, number: int, seconds: float, prompt: str, frames_per_s: float) -> bytes:
        """Draw frame ``number`` at ``seconds`` of wall time."""
        image = self._backgrounds[number % BACKGROUNDS].copy()
        draw = ImageDraw.Draw(image)
        # The sweep crosses the bars every three seconds.
        at = 32 + (seconds / 3 % 1) * (SIZE - 64)
        draw.rectangle((at - 3, 76, at + 3, 250), fill="#ffffff")
        caption = self._caption(prompt)
        image.paste("#ffffff", (40, 264), caption)
        draw.text((40, 40), "KEEPER TEST CARD", font=self._medium, fill="#e9eef5")
        blink = "#ff4d4d" if seconds % 1 < 0.5 else "#5a2030"
        draw.ellipse((SIZE - 128, 46, SIZE - 112, 62), fill=blink)
        draw.text((SIZE - 104, 40), "LIVE", font=self._medium, fill="#e9eef5")
        self._draw_orbit(draw, seconds)
        clock = time.strftime("%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 10) % 10}"
        draw.text((200, 362), clock, font=self._large, fill="#7fe7ff")
        draw.text((200, 412), f"frame {number}", font=self._medium, fill="#e9eef5")
        draw.text((200, 446), f"UTC, {frames_per_s:g} frames a second", font=self._small, fill="#93a0bd")
        out = io.BytesIO()
        image.save(out, "JPEG", quality=72)
        return out.getvalue()

    @staticmethod
    def _draw_orbit(draw: Any, seconds: float) -> None:
        """Draw a dial with three dots chasing each other."""
        x, y, radius = 110, 412, 58
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline="#93a0bd", width=2)
        for i, colour in enumerate(("#7fe7ff", "#f2d33c", "#d867d8")):
            angle = math.tau * (seconds / (2 + i) + i / 3)
            dx, dy = x + radius * math.cos(angle), y + radius * math.sin(angle)
            draw.ellipse((dx - 8, dy - 8, dx + 8, dy + 8), fill=colour)


class Stream:
    """The newest frame and the prompt, shared between the generator and the viewers."""

    def __init__(self, prompt: str, frames_per_s: float) -> None:
        self.prompt = prompt
        self.frames_per_s = frames_per_s
        self.newest: bytes | None = None

    def generate(self) -> None:
        """Make frames for ever, at the target rate; do as the fault file says."""
        print("[gen] starting loop...")
        card = TestCard()
        black = io.BytesIO()
        Image.new("RGB", (SIZE, SIZE)).save(black, "JPEG")
        number, fault, looked = 0, "", 0.0
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if now - looked >= LOOK_FOR_FAULT_S:
                looked, fault = now, read_fault(fault)
            if fault == "crash":
                crash("as the fault file says")
            elif fault == "black":
                self.newest = black.getvalue()
            elif fault == "stall":
                self.newest = None
            elif fault != "freeze":
                number += 1
                self.newest = card.draw(number, time.time(), self.prompt, self.frames_per_s)
            due = max(due + 1 / self.frames_per_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


def read_fault(before: str) -> str:
    """Read the fault file; tell the log when it says something new."""
    try:
        fault = FAULT_FILE.read_text()[:20].strip()
    except (OSError, ValueError):
        fault = ""
    if fault != before:
        print(f"[gen] fault: {fault or 'none'}")
    return fault


def crash(why: str) -> None:
    """End at once, as a crash does: no cleaning up."""
    print(f"[gen] crashing {why}", flush=True)
    os._exit(1)


class Handler(BaseHTTPRequestHandler):
    """The routes."""

    protocol_version = "HTTP/1.1"
    stream: Stream

    def do_GET(self) -> None:
        """Serve the page and the stream."""
        if self.path == "/":
            self._answer(200, "text/html; charset=utf-8", PAGE.encode())
        elif self.path == "/stream":
            self._serve_stream()
        else:
            self._answer(404, "text/plain", b"not found\n")

    def do_POST(self) -> None:
        """Take a prompt."""
        if self.path != "/prompt":
            self._answer(404, "text/plain", b"not found\n")
            return
        prompt = self._read_prompt()
        if not prompt:
            self._answer(400, "application/json", b'{"error":"prompt missing"}')
            return
        self.stream.prompt = prompt
        answer = json.dumps({"status": "ok", "prompt": prompt}, separators=(",", ":"))
        self._answer(200, "application/json", answer.encode())

    def _read_prompt(self) -> str:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 < length <= BODY_MAX_BYTES:
            self.close_connection = True
            return ""
        try:
            value = json.loads(self.rfile.read(length))
        except ValueError:
            return ""
        prompt = value.get("prompt") if isinstance(value, dict) else None
        return prompt[:PROMPT_MAX] if isinstance(prompt, str) else ""

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _serve_stream(self) -> None:
        """Repeat the newest frame. The header goes out with the first one, as in the original."""
        self.close_connection = True
        print("[stream] Client connected.")
        try:
            while self.stream.newest is None:
                if self._is_gone():
                    return
                time.sleep(0.1)
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while not self._is_gone():
                frame = self.stream.newest
                if frame is not None:
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
                    part = head.encode() + frame + b"\r\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                time.sleep(REPEAT_S)
        except OSError:
            pass
        finally:
            print("[stream] Client disconnected.")

    def _is_gone(self) -> bool:
        """Whether the viewer has left: without frames to write nothing else would tell."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def log_message(self, format: str, *args: Any) -> None:  # type: ignore[explicit-override]
        """Keep requests out of the log: a probe comes every few seconds."""


class Server(ThreadingHTTPServer):
    """One thread a viewer; none of them keeps the process alive."""

    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    """Serve until killed."""
    FAULT_FILE.unlink(missing_ok=True)
    crash_after_s = float(os.environ.get("KEEPER_TESTCARD_CRASH_AFTER_S") or 0)
    if CRASHLOOP_FILE.exists():
        crash_after_s = CRASHLOOP_S
    if crash_after_s > 0:
        timer = threading.Timer(crash_after_s, crash, ["as it was told to"])
        timer.daemon = True
        timer.start()
    host = os.environ.get("SERVER_HOST") or "0.0.0.0"
    port = int(os.environ.get("SERVER_PORT") or 8000)
    prompt = (os.environ.get("INITIAL_PROMPT") or "cat")[:PROMPT_MAX]
    frames_per_s = min(60.0, max(0.1, float(os.environ.get("TARGET_FPS") or 10)))
    print("[init] loading the test card")
    Handler.stream = Stream(prompt, frames_per_s)
    server = Server((host, port), Handler)
    print("[init] ready")
    threading.Thread(target=Handler.stream.generate, daemon=True).start()
    print(f"[http] running on {host}:{port}")
    server.serve_forever()


if __name__ == "__main__":
    main()
