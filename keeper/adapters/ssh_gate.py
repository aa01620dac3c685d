"""Meters what one SSH connection makes us do, so that a host can waste only its own time.

SSH lets a server speak without being asked: packets to be ignored, requests that want an answer,
key exchanges, channels towards us. asyncssh works through all that arrives at once and never stops
reading, so a single host could hold the loop that serves all others. Here the bytes go in by pieces,
the time they cost is counted against an allowance, and a host that uses it up is read more slowly and
then cut off. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import asyncssh

# The most that is worked through in one turn of the loop: the smallest packets have 36 bytes and cost
# 30 µs each, so this is some 30 ms at worst. A busy video through a forward comes in such pieces too.
PIECE_BYTES = 32_768
# The share of the loop's time that one host may use for long. A check every two seconds uses a
# ten-thousandth, and a viewer's probe through a forward, 5 MB/s for 2.5 s of every ten, a quarter of a
# hundredth.
TIME_SHARE = 0.02
# What may be used at once: a login on a box that is busy takes 50 ms.
BURST_S = 0.5
# A host that is slowed down for as long as this without a break is not merely eager.
SLOWED_MAX_S = 10.0
# Answers that a host asks for and does not read wait in our memory. What we send by ourselves is
# bounded by the channels' windows (2 MiB of OpenSSH's).
UNREAD_MAX_BYTES = 16 * 1024 * 1024
# Channels that we gave up, or that a viewer's probe left, and whose end the host never confirms.
CHANNELS_MAX = 128
# A server may ask for new keys whenever it likes. OpenSSH does so by gigabytes or hours; one exchange
# costs some 3 ms.
KEY_EXCHANGES_MAX = 30
KEY_EXCHANGES_WITHIN_S = 60.0


class Gate:
    """Stands between one connection's socket and asyncssh."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, time_share: float = TIME_SHARE
    ) -> None:
        self._connection = connection
        self._time_share, self._burst_s, self._slowed_max_s = time_share, BURST_S, SLOWED_MAX_S
        self._work_through: Callable[[bytes], None] = connection.data_received
        self._loop = asyncio.get_running_loop()
        self._waiting = b""
        self._is_held = False
        self._debt_s = 0.0
        self._settled_at = self._loop.time()
        self._slowed_since: float | None = None
        self._key_exchanges: list[float] = []
        self.complaint = ""  # why the host was cut off
        # The one way in and the one way out: asyncssh offers no hook, and reads whatever it is given.
        connection.data_received = self._take  # type: ignore[method-assign]
        connection._send = self._give  # type: ignore[method-assign]  # noqa: SLF001

    def key_exchanged(self) -> None:
        """Count a key exchange. Raises asyncssh.ProtocolError when there are too many."""
        now = self._loop.time()
        self._key_exchanges = [
            at for at in self._key_exchanges if now - at < KEY_EXCHANGES_WITHIN_S
        ]
        self._key_exchanges.append(now)
        if len(self._key_exchanges) > KEY_EXCHANGES_MAX:
            self.complaint = "the host asks for new keys without end"
            raise asyncssh.ProtocolError(self.complaint)

    def _take(self, data: bytes, datatype: asyncssh.DataType = None) -> None:
        self._waiting += data
        if not self._is_held:
            self._turn()

    def _give(self, data: bytes) -> None:
        """Write, unless the host has hung up: asyncio would log a line for each answer to a flood."""
        transport: asyncio.Transport | None = self._connection._transport  # noqa: SLF001
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def _turn(self) -> None:
        """Work through one piece; then go on, wait, or give up."""
        self._is_held = False
        transport: asyncio.Transport | None = self._connection._transport  # noqa: SLF001
        if transport is None or transport.is_closing():
            self._waiting = b""
            return
        piece, self._waiting = self._waiting[:PIECE_BYTES], self._waiting[PIECE_BYTES:]
        # The processor's time, not the clock's: a busy box, or one that slept, is no fault of the host.
        began_s = time.thread_time()
        self._work_through(piece)
        cost_s = time.thread_time() - began_s
        ended = self._loop.time()
        earned_s = (ended - self._settled_at) * self._time_share
        self._debt_s = max(0.0, self._debt_s - earned_s) + cost_s
        self._settled_at = ended
        over_s = self._debt_s - self._burst_s
        if over_s > 0 and self._slowed_since is None:
            self._slowed_since = ended
        elif self._debt_s < self._burst_s / 2:  # a flood between two of its waves stays above
            self._slowed_since = None
        if complaint := self._complaint(transport, ended):
            self._cut_off(complaint)
        elif over_s > 0 or self._waiting:
            self._is_held = True
            transport.pause_reading()
            self._loop.call_later(max(0.0, over_s) / self._time_share, self._turn)
        else:
            transport.resume_reading()

    def _complaint(self, transport: asyncio.Transport, now: float) -> str:
        if self._slowed_since is not None and now - self._slowed_since > self._slowed_max_s:
            return "the host would not stop sending"
        if transport.get_write_buffer_size() > UNREAD_MAX_BYTES:
            return "the host asks and does not read our answers"
        if len(self._connection._channels) > CHANNELS_MAX:  # noqa: SLF001
            return "the host leaves too many channels half open"
        return ""

    def _cut_off(self, complaint: str) -> None:
        self.complaint = complaint
        self._waiting = b""
        try:
            raise asyncssh.ProtocolError(complaint)
        except asyncssh.ProtocolError:
            self._connection.internal_error()  # ends the connection with the exception at hand
