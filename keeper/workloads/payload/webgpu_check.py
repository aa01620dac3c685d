"""Does this host's browser draw by WebGPU on the hardware? Tries configurations until one does.

Stands alone: the standard library, Python 3.8 or newer. Its one argument is a JSON object made by
keeper/workloads/audition_webgpu.py; webgpu_check.js does the same for hosts with node or bun only.

Presence of ``navigator.gpu`` proves nothing: it is there in every secure context. So the page asks for
an adapter and a device and waits for both. The browser is driven by the DevTools protocol over a pipe
(--remote-debugging-pipe): no port is opened on a stranger's machine, nobody else can talk to it, and
it ends when this program does.

Prints one line of JSON: {"chosen": MODE or "", "results": [{"mode", "verdict", ...}]}. The verdicts:
hardware, software, none (no adapter or device), error, no_browser, no_display, not_tried.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Dict, List, Optional

Told = Dict[str, Any]  # JSON, as it comes

TEXT_MAX = 200
MESSAGE_MAX_BYTES = 1 << 20


class Page(BaseHTTPRequestHandler):
    """An empty page of this machine's own: a secure context, which about:blank is not."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>keeper</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # type: ignore[explicit-override]
        pass


class Gone(Exception):
    """The browser ended, or said too much."""


class Browser:
    """One browser with a profile of its own, in a process group of its own."""

    def __init__(self, command: List[str], environment: Dict[str, str]) -> None:
        self._profile = tempfile.mkdtemp(prefix="keeper-webgpu-")
        self._log = open(os.path.join(self._profile, "log"), "wb")
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        # The protocol's ends are file descriptors 3 and 4; they are kept free from the start.
        os.dup2(to_read, 3)
        os.dup2(to_write, 4)
        # What it leaves elsewhere stays for ever when it is killed; and some drivers want a runtime folder.
        environment = {"XDG_RUNTIME_DIR": self._profile, **environment, "TMPDIR": self._profile}
        try:
            self._process = subprocess.Popen(
                [*command, "--user-data-dir=" + self._profile, "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=environment,
                pass_fds=(3, 4),
                start_new_session=True,
            )
        finally:
            os.close(to_read)
            os.close(to_write)
            keep_free()
        self._read = b""
        self._number = 0

    def ask(
        self, method: str, deadline: float, session: Optional[str] = None, **parameters: object
    ) -> Told:
        """Send one question and wait for its answer."""
        self._number += 1
        question: Told = {"id": self._number, "method": method, "params": parameters}
        if session:
            question["sessionId"] = session
        try:
            os.write(self._to, json.dumps(question).encode() + b"\0")
        except OSError:
            raise Gone
        while True:
            message: Told = json.loads(self._message(deadline))
            if message.get("id") == self._number:
                return message

    def _message(self, deadline: float) -> bytes:
        while b"\0" not in self._read:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._from], [], [], left_s)[0]:
                raise TimeoutError
            data = os.read(self._from, 65536)
            if not data or len(self._read) > MESSAGE_MAX_BYTES:
                raise Gone
            self._read += data
        message, _, self._read = self._read.partition(b"\0")
        return message

    def complaint(self) -> str:
        """Return the last thing the browser wrote."""
        with open(os.path.join(self._profile, "log"), "rb") as log:
            lines = log.read(65536).decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def end(self) -> None:
        """Kill it and all it started, and remove its profile."""
        for each in (self._to, self._from):
            os.close(each)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._log.close()
        # What was killed may take a moment to let go of its files.
        for _ in range(20):
            shutil.rmtree(self._profile, ignore_errors=True)
            if not os.path.exists(self._profile):
                break
            time.sleep(0.1)


def keep_free() -> None:
    """Occupy file descriptors 3 and 4, so that nothing else gets them."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for wanted in (3, 4):
        if nothing != wanted:
            os.dup2(nothing, wanted)
    if nothing not in (3, 4):
        os.close(nothing)


def try_one(mode: Told, told: Told, url: str, expression: str) -> Told:
    """Try one configuration; never raises."""
    browser = next(filter(None, map(shutil.which, mode.get("browsers") or told["browsers"])), None)
    if browser is None:
        return {"verdict": "no_browser"}
    environment = dict(os.environ)
    environment.pop("DISPLAY", None)
    if mode["needs_display"]:
        if not told["display"]:
            return {"verdict": "no_display"}
        environment["DISPLAY"] = told["display"]
    deadline = time.monotonic() + told["limit_s"]
    try:
        running = Browser([browser, *told["flags"], *mode["flags"]], environment)
    except OSError as error:
        return {"verdict": "error", "why": str(error)[:TEXT_MAX]}
    try:
        return answer(running, url, expression, deadline)
    except TimeoutError:
        return {"verdict": "error", "why": "no answer in %g s" % told["limit_s"]}
    except (Gone, KeyError, ValueError):
        return {"verdict": "error", "why": ("the browser ended: " + running.complaint())[:TEXT_MAX]}
    finally:
        running.end()


def answer(running: Browser, url: str, expression: str, deadline: float) -> Told:
    """Open the page and ask it; it is asked again while the page is not there yet."""
    made = running.ask("Target.createTarget", deadline, url=url)
    target = made["result"]["targetId"]
    attached = running.ask("Target.attachToTarget", deadline, targetId=target, flatten=True)
    session = attached["result"]["sessionId"]
    while True:
        said = running.ask(
            "Runtime.evaluate",
            deadline,
            session,
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        value = said.get("result", {}).get("result", {}).get("value")
        if isinstance(value, dict) and value.get("verdict") != "early":
            return {str(key)[:20]: str(what)[:TEXT_MAX] for key, what in list(value.items())[:8]}
        time.sleep(0.1)


def remember(path: str, mode: Told) -> None:
    """Leave the configuration for the deploy; words and flags are keeper's own, not the host's."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    flags = " ".join(mode["flags"])
    with open(path + ".new", "w") as file:
        file.write("KEEPER_WEBGPU_MODE='%s'\nKEEPER_WEBGPU_FLAGS='%s'\n" % (mode["mode"], flags))
    os.replace(path + ".new", path)


def main() -> None:
    keep_free()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    told = json.loads(sys.argv[1])
    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d/" % server.server_address[1]
    results: List[Told] = []
    chosen: Optional[Told] = None
    for mode in told["modes"]:
        if chosen is not None:
            results.append({"mode": mode["mode"], "verdict": "not_tried"})
            continue
        result = try_one(mode, told, url, told["expression"])
        results.append({"mode": mode["mode"], **result})
        if result["verdict"] == "hardware" or (
            result["verdict"] == "software" and told["allow_software"]
        ):
            chosen = mode
    if chosen is not None:
        remember(told["file"], chosen)
    elif os.path.exists(told["file"]):
        os.remove(told["file"])  # what a former life chose holds no more
    print(json.dumps({"chosen": chosen["mode"] if chosen else "", "results": results}))


main()
