"""Tells systemd how keeper is: ready, alive, reloading, stopping (sd_notify(3), read 2026-11).

Without NOTIFY_SOCKET, on a desk or in a container, every call is a no-op. Nothing here raises or
waits: a service manager that does not listen must never hold up a tick.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping

# One line for `systemctl status`; datagrams have a limit, and so has a reader's patience.
STATUS_MAX = 400


class SystemdHeartbeat:
    """Speaks the notify protocol on a datagram socket (``ports.Heartbeat``)."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read where to speak: a path, or ``@name`` for an abstract socket; absent: nowhere."""
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name

    def ready(self, status: str) -> None:
        """Start-up (or a reload) is complete."""
        self._send("READY=1", _status(status))

    def alive(self, status: str) -> None:
        """A tick has finished: feed the watchdog. Nothing else may call this."""
        self._send("WATCHDOG=1", _status(status))

    def reloading(self) -> None:
        """The configuration is being read again; ``ready`` ends it."""
        # systemd 253 pairs RELOADING with READY by this clock; older ones pass over the second line.
        moment_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._send("RELOADING=1", f"MONOTONIC_USEC={moment_us}")

    def stopping(self) -> None:
        """Draining."""
        self._send("STOPPING=1", _status("stopping"))

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError, ValueError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker,
        ):
            speaker.settimeout(0)  # a full queue at the other end is not ours to wait for
            speaker.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)


def _status(text: str) -> str:
    """Fold a sentence to one line: a line break would begin another assignment."""
    return "STATUS=" + " ".join(text.split())[:STATUS_MAX]
