"""Stands in for the image's instance portal: its health, its view of supervisord, its tunnels.

Tunnels are files of a folder: what is not there has expired.
"""

import http.client
import json
import os
import socket
import sys
import xmlrpc.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

from typing_extensions import override

SOCKET, SKIPS, TUNNELS = (Path(word) for word in sys.argv[2:5])
SHOWN = ("name", "group", "description", "pid", "start", "now")


class _Connection(http.client.HTTPConnection):
    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(SOCKET))


class _Transport(xmlrpc.client.Transport):
    @override
    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection("localhost")


def processes() -> list[dict[str, Any]]:
    proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_Transport())
    everything: Any = proxy.supervisor.getAllProcessInfo()
    return [
        {**{name: one[name] for name in SHOWN}, "state": one["statename"], "unstoppable": False}
        for one in everything
        if not (SKIPS / one["name"]).exists()
    ]


class Portal(BaseHTTPRequestHandler):
    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, status: int, what: Any) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _tunnel(self) -> Path:
        return TUNNELS / quote(self.path.split("/", 2)[2], safe="")

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, {"status": "ok"})
        elif self.path == "/supervisor/processes":
            self._answer(200, processes())
        elif self.path.startswith("/get-existing-quick-tunnel/"):
            is_there = self._tunnel().exists()
            self._answer(200 if is_there else 404, {"detail": "" if is_there else "not found"})
        else:
            self._answer(404, {"detail": "not found"})

    def do_POST(self) -> None:
        if self.path.startswith("/refresh-quick-tunnel/"):
            self._answer(404, {"detail": "Tunnel not found"})
        elif self.path.startswith("/start-quick-tunnel/"):
            self._tunnel().touch()
            self._answer(200, {"tunnel_url": "https://example.invalid"})
        else:
            self._answer(404, {"detail": "not found"})


if __name__ == "__main__":
    TUNNELS.mkdir(exist_ok=True)
    print(f"portal of process {os.getpid()}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Portal).serve_forever()
