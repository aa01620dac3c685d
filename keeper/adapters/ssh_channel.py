"""One command or one sentinel on an SSH channel: what is sent, and how hostile answers are bounded.

Programs travel over stdin to ``sh``, never on the command line (``ps`` on a stranger's machine shows
those). Everything a host sends back is cut to a bound while it arrives, not afterwards. Connections,
keys and files are ssh.py's affair.
"""

from __future__ import annotations

import asyncio
import math
import re
import shlex
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import asyncssh
from typing_extensions import override

from keeper.core.text import plain
from keeper.ports import Invalid

LINE_MAX_BYTES = 16_384
# A consumer that falls this far behind stops the host from sending (SSH flow control).
LINES_WAITING_MAX = 64
# A host that sends this much more than was asked for is cut off instead of being read on.
FLOOD_MAX_BYTES = 32 * 1024 * 1024
CHATTER_MAX_BYTES = 4096
# Of what a sentinel has no business to send (errors, lines too long, chatter before its start). The
# honest one sends none; a login shell's greeting fits in many times over.
SENTINEL_WASTE_MAX_BYTES = 4 * 1024 * 1024
# Small on purpose: what a host may have under way to us before we have looked at any of it.
WINDOW_BYTES = 131_072
STDERR = asyncssh.EXTENDED_DATA_STDERR

# What asyncssh raises, and what hostile packets were seen to make it stumble over: such an exception
# ends the connection, and everything that waits for it is told that same exception.
HOSTILE = (
    OSError,
    asyncssh.Error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,  # RecursionError among them
    TypeError,
    ValueError,
)
_TEXT_MAX = 300

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawResult:
    """The bytes of one finished command, without the nonce line and what a login shell said first."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    is_truncated: bool
    is_proven: bool  # the nonce came back, so our program really ran


def bounded_shell(timeout_s: float) -> str:
    """Compose the command line that reads a program from stdin and ends it after ``timeout_s``.

    Works in any login shell. Exit code 124 or 137 means that the time was up. ``timeout`` is tried
    rather than looked for, because old busybox has one that knows no ``-k``; without it the shell
    watches itself, which ends the program but not its children.
    """
    limit = max(1, math.ceil(timeout_s))
    alone = (
        "exec 3<&0; sh -s <&3 3<&- & p=$!; exec 3<&-; "
        f"(sleep {limit}; kill $p; sleep 5; kill -9 $p) >/dev/null 2>&1 </dev/null & w=$!; "
        "wait $p; r=$?; kill $w 2>/dev/null; exit $r"
    )
    script = (
        "if timeout -k 1 1 true >/dev/null 2>&1; then "
        f"exec timeout -k 5 {limit} sh -s; else {alone}; fi"
    )
    return f"exec sh -c {shlex.quote(script)}"


def command_program(script: str, env: Mapping[str, str], nonce: str) -> bytes:
    """Compose what is fed to the shell: the nonce, the environment, the script.

    The braces make the shell read all of it before it runs any of it: a program cut short by a lost
    link is a syntax error, not half a deploy, and the script's own commands cannot swallow its rest.
    """
    if "\0" in script:
        raise Invalid("a script cannot contain a NUL byte")
    exports = "".join(f"export {_name(name)}={_value(value)}\n" for name, value in env.items())
    return f"printf '%s\\n' {nonce}\n{exports}{{\n{script}\n}} </dev/null\n".encode()


def watch_program(script: str, nonce: str) -> bytes:
    """Compose a program that ends with its stdin, so that nothing of ours outlives the link."""
    return (
        f"printf '%s\\n' {nonce}\n"
        "exec 3<&0\n"
        "{\n"
        # Its own descriptor: the shell gives /dev/null to whatever runs in the background.
        "(while read -r _; do :; done; kill -TERM -$$ || kill $$) <&3 >/dev/null 2>&1 &\n"
        "keeper_guard=$!\n"
        f"{script}\n"
        "kill $keeper_guard\n"
        "exit 0\n"  # or the shell would go on to read its stdin, which stays open
        "} </dev/null\n"
    ).encode()


def _name(name: str) -> str:
    if not _NAME.match(name):
        raise Invalid(f"{name!r} cannot be the name of an environment variable")
    return name


def _value(value: str) -> str:
    if "\0" in value:
        raise Invalid("an environment variable cannot contain a NUL byte")
    return shlex.quote(value)


class CommandSession(asyncssh.SSHClientSession[bytes]):
    """Collects one command's answer: so much and no more."""

    def __init__(self, program: bytes, nonce: bytes, output_max_bytes: int) -> None:
        self._program = program
        self._nonce = nonce + b"\n"
        self._max = output_max_bytes
        self._out = bytearray()
        self._err = bytearray()
        self._discarded = 0
        self._told = {False: 0, True: 0}  # of which stream so much was handed on while it ran
        self._exit_code: int | None = None
        self._chan: asyncssh.SSHClientChannel[bytes] | None = None
        self.is_proven = not nonce
        self.is_sent = False
        self.ended: asyncio.Future[RawResult | None] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """Send the program right behind the exec request: waiting for its reply costs a round trip."""
        self._chan = chan
        asyncio.get_running_loop().call_soon(self._send, chan)

    def _send(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        if chan.is_closing():
            return
        self.is_sent = True
        chan.write(self._program)
        chan.write_eof()

    @override
    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        sink = self._err if datatype == STDERR else self._out
        sink += data
        if sink is self._out and not self.is_proven:
            self._look_for_nonce()
        # Until the nonce came, what was said is a login shell's chatter: only its end can matter.
        is_chatter = sink is self._out and not self.is_proven
        excess = len(sink) - (max(self._max, CHATTER_MAX_BYTES) if is_chatter else self._max)
        if excess <= 0:
            return
        del sink[slice(None, excess) if is_chatter else slice(self._max, None)]
        self._discarded += excess
        if self.has_flooded and self._chan is not None:
            self._chan.abort()
            self._end(None)  # a host that floods us need not confirm the close either

    def news(self) -> str:
        """Return the lines that were printed since the last call; at the end, all that is left."""
        if not self.is_proven:
            return ""
        found = []
        for is_error, sink in ((False, self._out), (True, self._err)):
            begin, is_over = self._told[is_error], self.ended.done()
            end = sink.rfind(b"\n", begin) + 1
            if is_over or len(sink) - begin > LINE_MAX_BYTES:
                end = len(sink)
            if end > begin:
                self._told[is_error] = end
                text = bytes(sink[begin:end]).decode("utf-8", "replace")
                found.append(text if text.endswith("\n") else f"{text}\n")
        return "".join(found)

    def _look_for_nonce(self) -> None:
        at = self._out.find(self._nonce)
        if at >= 0:
            self.is_proven = True
            self._discarded = 0
            del self._out[: at + len(self._nonce)]

    @property
    def has_flooded(self) -> bool:
        """Whether the host was cut off because it would not stop sending."""
        return self._discarded > FLOOD_MAX_BYTES

    @override
    def exit_status_received(self, status: int) -> None:
        self._exit_code = status

    @override
    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._exit_code = -1

    @override
    def eof_received(self) -> bool:
        return True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the outcome; None when the channel ended without an exit code.

        Where the whole link went, a code without our nonce proves nothing: asyncssh drops what came
        while the channel was being opened.
        """
        is_proven = self.is_proven and len(self._nonce) > 1
        if self._exit_code is None or (exc is not None and not is_proven):
            self._end(None)
            return
        result = RawResult(
            exit_code=self._exit_code,
            stdout=bytes(self._out),
            stderr=bytes(self._err),
            is_truncated=self._discarded > 0,
            is_proven=self.is_proven,
        )
        self._end(result)

    def _end(self, result: RawResult | None) -> None:
        if not self.ended.done():
            self.ended.set_result(result)


class WatchSession(asyncssh.SSHClientSession[bytes]):
    """Cuts a sentinel's output into lines, each bounded, few of them waiting."""

    def __init__(self, program: bytes, nonce: bytes) -> None:
        self._program = program
        self._nonce = nonce
        self._part = bytearray()
        self._is_skipping = False  # inside a line that was too long
        self._is_paused = False
        self._wasted = 0
        self._chan: asyncssh.SSHClientChannel[bytes] | None = None
        self.lines: deque[str] = deque()
        self.news = asyncio.Event()
        self.is_proven = False
        self.has_ended = False

    @override
    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """Send the program right behind the exec request; stdin stays open as the sign of life."""
        self._chan = chan
        asyncio.get_running_loop().call_soon(self._send, chan)

    def _send(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        if not chan.is_closing():
            chan.write(self._program)

    @override
    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype == STDERR:
            self._waste(len(data))
            return
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._extend(piece)
            if not self._is_skipping:
                self._take(bytes(self._part))
            self._part.clear()
            self._is_skipping = False
        self._extend(rest)
        if len(self.lines) > LINES_WAITING_MAX and not self._is_paused and self._chan is not None:
            self._is_paused = True
            self._chan.pause_reading()

    def _extend(self, piece: bytes) -> None:
        if self._is_skipping or len(self._part) + len(piece) > LINE_MAX_BYTES:
            self._is_skipping = True
            self._waste(len(self._part) + len(piece))
            self._part.clear()
        else:
            self._part += piece

    def _take(self, line: bytes) -> None:
        if self.is_proven:
            self.lines.append(line.decode("utf-8", "replace"))
            self.news.set()
        elif line == self._nonce:
            self.is_proven = True
            self.news.set()
        else:
            self._waste(len(line) + 1)

    def _waste(self, length: int) -> None:
        """Count what is of no use; a host that sends it without end is cut off."""
        self._wasted += length
        if self.has_flooded and not self.has_ended:
            self.has_ended = True
            self.news.set()
            if self._chan is not None:
                self._chan.abort()

    @property
    def has_flooded(self) -> bool:
        """Whether the host was cut off because it would not stop sending."""
        return self._wasted > SENTINEL_WASTE_MAX_BYTES

    def pop(self) -> str:
        """Take the oldest line; let the host go on sending when few are left."""
        line = self.lines.popleft()
        if self._is_paused and len(self.lines) < LINES_WAITING_MAX // 2 and self._chan is not None:
            self._is_paused = False
            self._chan.resume_reading()
        return line

    @override
    def eof_received(self) -> bool:
        self.has_ended = True
        self.news.set()
        return False

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.has_ended = True
        self.news.set()


def error_text(error: BaseException) -> str:
    """Word a foreign error: bounded, printable, and named when it says nothing."""
    return plain(str(error), _TEXT_MAX).strip() or type(error).__name__
