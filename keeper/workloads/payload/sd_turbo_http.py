"""The routes of the server, one thread a connection, and so many connections and no more."""

from __future__ import annotations

import json
import select
import socket
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sd_turbo_state import PROMPT_MAX, Stream, brief, say

BODY_MAX_BYTES = 65_536
# A picture that stands still is repeated, so that a viewer can tell it from a dead connection.
REPEAT_S = 0.2
# A viewer that takes nothing for so long is gone, whatever TCP believes; so is a silent request.
PATIENCE_S = 10.0

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Live pictures</title>
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


class Handler(BaseHTTPRequestHandler):
    """The routes."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S
    stream: Stream

    def do_GET(self) -> None:
        """Serve the page, the stream and what is known."""
        if self.path in ("/", "/stream"):
            self.stream.check_page()
        if self.path == "/":
            self._answer(200, "text/html; charset=utf-8", PAGE.encode())
        elif self.path == "/stream":
            self._serve_stream()
        elif self.path in ("/healthz", "/healthz?brief"):
            health = self.stream.health()
            self._answer_json(200, brief(health) if self.path.endswith("brief") else health)
        else:
            self._answer(404, "text/plain", b"not found\n")

    def do_POST(self) -> None:
        """Take a prompt."""
        if self.path != "/prompt":
            self.close_connection = True  # its body is not read
            self._answer(404, "text/plain", b"not found\n")
            return
        try:
            prompt = self._read_prompt()
            if not prompt:
                self._answer_json(400, {"error": "prompt missing"})
                return
            self.stream.check_prompt(prompt)
            self.stream.prompt.change(prompt)
        except Exception as error:
            self.stream.prompt_errors.append(time.monotonic())
            say(f"[prompt] failed: {type(error).__name__}: {error}\n{traceback.format_exc()}")
            self.close_connection = True
            self._answer_json(500, {"error": "the prompt could not be taken; the log says why"})
            return
        say(f"[prompt] => Successfully set to: {json.dumps(prompt)}")
        self._answer_json(200, {"status": "ok", "prompt": prompt})

    def _read_prompt(self) -> str:
        say("[prompt] Request received")
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 < length <= BODY_MAX_BYTES:
            self.close_connection = True
            return ""
        try:
            value = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError):
            return ""
        prompt = value.get("prompt") if isinstance(value, dict) else None
        if not isinstance(prompt, str):
            return ""
        # Controls, and halves of surrogate pairs: they could be neither kept nor shown to anybody.
        shown = "".join(each for each in prompt[: 4 * PROMPT_MAX] if each.isprintable())
        return shown[:PROMPT_MAX].strip()

    def _answer_json(self, status: int, value: Any) -> None:
        self._answer(status, "application/json", json.dumps(value, separators=(",", ":")).encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _serve_stream(self) -> None:
        """Send each new picture once; one that stands still is repeated now and then."""
        self.close_connection = True
        stream = self.stream
        with stream.fresh:
            is_full = stream.viewers >= stream.options.viewers_max
            stream.viewers += not is_full
        if is_full:
            self._answer(503, "text/plain", b"too many viewers\n")
            return
        # keeper looks every few seconds: its comings and goings would be all that the log shows.
        is_told = not self.headers.get("User-Agent", "").startswith("keeper/")
        if is_told:
            say("[stream] Client connected.")
        try:
            self.connection.settimeout(PATIENCE_S)
            # At once, also without a picture: a viewer can tell loading from a server that hangs.
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._send_frames()
        except OSError:
            pass
        finally:
            with stream.fresh:
                stream.viewers -= 1
            if is_told:
                say("[stream] Client disconnected.")

    def _send_frames(self) -> None:
        seen = -1
        while not self._is_gone():
            with self.stream.fresh:
                if self.stream.number == seen or self.stream.newest is None:
                    self.stream.fresh.wait(REPEAT_S)
                seen, frame = self.stream.number, self.stream.newest
            if frame is not None:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
                part = head.encode() + frame + b"\r\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def _is_gone(self) -> bool:
        """Whether the viewer has left: without frames to write nothing else would tell."""
        poll = select.poll()  # select() knows no descriptor above 1023
        poll.register(self.connection, select.POLLIN)
        return bool(poll.poll(0)) and not self.connection.recv(1, socket.MSG_PEEK)

    def log_message(self, format: str, *args: Any) -> None:  # type: ignore[explicit-override]
        """Keep requests out of the log: a probe comes every few seconds."""


class Server(ThreadingHTTPServer):
    """One thread a connection, so many and no more; none of them keeps the process alive."""

    daemon_threads = True
    request_queue_size = 64
    stream: Stream

    def __init__(self, address: tuple[str, int], connections_max: int) -> None:
        super().__init__(address, Handler)
        self._free = threading.BoundedSemaphore(connections_max)

    def process_request(self, request: Any, client_address: Any) -> None:  # type: ignore[explicit-override]
        """Turn away who would need one thread too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # type: ignore[explicit-override]
        """Serve, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # type: ignore[explicit-override]
        """A viewer that leaves is no error; anything else is one of ours, and is counted."""
        error = sys.exc_info()[1]
        if isinstance(error, (ConnectionError, TimeoutError, socket.timeout)):
            return
        self.stream.request_errors.append(time.monotonic())
        say(f"[http] Error: {type(error).__name__}: {error}\n{traceback.format_exc()}")
