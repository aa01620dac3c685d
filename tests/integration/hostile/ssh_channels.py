"""SSH servers that play their tricks on a channel: with a command, or with the sentinel."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import asyncssh
from asyncssh.packet import Boolean, String, UInt32
from typing_extensions import override

from tests.integration.hostile.ssh_bytes import for_ever
from tests.integration.hostile.ssh_logins import quietly

Channel = asyncssh.SSHServerChannel[bytes]
_CHANNEL_DATA = 94


class Session(asyncssh.SSHServerSession[bytes]):
    """One channel; what it does is a function."""

    def __init__(self, handler: Callable[["Session"], Awaitable[None]]) -> None:
        self._handler = handler
        self.is_sftp = False
        self.inbox = bytearray()
        self.news = asyncio.Event()
        self.has_room = asyncio.Event()
        self.has_room.set()

    @override
    def connection_made(self, chan: Channel) -> None:
        self.chan = chan

    @override
    def exec_requested(self, command: str) -> bool:
        return True

    @override
    def subsystem_requested(self, subsystem: str) -> bool:
        self.is_sftp = True
        return True

    @override
    def session_started(self) -> None:
        self.chan.get_connection().create_task(quietly(self._handler(self)))

    @override
    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.inbox += data
        self.news.set()

    @override
    def eof_received(self) -> bool:
        return True

    @override
    def pause_writing(self) -> None:
        self.has_room.clear()

    @override
    def resume_writing(self) -> None:
        self.has_room.set()

    async def nonce(self) -> bytes:
        """Wait for the first line of the program and return the nonce that it would print."""
        while b"\n" not in self.inbox:
            self.news.clear()
            await self.news.wait()
        return bytes(self.inbox.partition(b"\n")[0].split()[-1]) + b"\n"

    async def write(self, data: bytes, datatype: asyncssh.DataType = None) -> None:
        """Send as fast as the other side takes it."""
        if self.chan.is_closing():
            raise ConnectionResetError
        self.chan.write(data, datatype)
        await asyncio.sleep(0)
        await self.has_room.wait()


Handler = Callable[[Session], Awaitable[None]]
ERR: Final = asyncssh.EXTENDED_DATA_STDERR


def repeats(data: bytes, *, first: bytes = b"", datatype: asyncssh.DataType = None) -> Handler:
    """Prove that the program runs, then say the same for ever."""

    async def handler(session: Session) -> None:
        await session.write(await session.nonce() + first)
        while True:
            await session.write(data, datatype)

    return handler


def says_once(data: bytes, exit_status: int | None = 0, *, first: bytes = b"") -> Handler:
    """Prove that the program runs, say something, and end; None: without a status."""

    async def handler(session: Session) -> None:
        await session.write(await session.nonce() + first)
        for at in range(0, len(data), 32_768):
            await session.write(data[at : at + 32_768])
        if exit_status is None:
            session.chan.close()
        else:
            session.chan._send_request(b"exit-status", UInt32(exit_status))
            session.chan.close()

    return handler


async def hangs(session: Session) -> None:
    await for_ever()


async def hangs_after_its_start(session: Session) -> None:
    await session.write(await session.nonce())
    await for_ever()


async def ends_by_a_signal_with_a_speech(session: Session) -> None:
    await session.write(await session.nonce())
    speech = String("KILL") + Boolean(True) + String("\x1b[31m" + "x" * 20_000) + String("en")
    session.chan._send_request(b"exit-signal", speech)
    session.chan.close()


async def drips(session: Session) -> None:
    for byte in await session.nonce() + b"x" * 100_000:
        await session.write(bytes([byte]))


async def sends_more_than_the_window(session: Session) -> None:
    await session.nonce()
    packet = UInt32(session.chan._send_chan or 0) + String(bytes(32_000))
    for _ in range(100):
        session.chan.get_connection().send_packet(_CHANNEL_DATA, packet)


async def cuts_in_the_middle(session: Session) -> None:
    await session.write(await session.nonce() + b"half a li")
    session.chan.get_connection().abort()


async def never_proves(session: Session) -> None:
    while True:
        await session.write(b"no sessions\n")


def lines(*said: bytes) -> Handler:
    """Say these lines over and over, as fast as they are taken."""
    return repeats(b"\n".join(said) + b"\n")


DEEP: Final = b'{"facts":' * 1_700 + b"1" + b"}" * 1_700
NASTY_LINES: Final = (
    b'{"facts":{"disk":{"free_mb":NaN}}}',
    b'{"facts":{"disk":{"free_mb":1e308}}}',
    b'{"facts":{"disk":{"free_mb":-1e308}}}',
    b'{"facts":{"process":{"state":"up","pid":' + b"9" * 3000 + b',"restarts":' + b"9" * 500 + b"}}}",
    b'{"facts":{"process":{"state":"up","restarts":9223372036854775807}}}',
    b'{"facts":{"process":{"state":"\\u001b[31m<script>*<!channel>*"}}}',
    b'{"facts":{"process":{"state":"gone","why":"\\u001b]0;x\\u0007<img src=x> <!here> \\ud800"}}}',
    b'{"facts":{"process":{"state":"up","state":"gone"}},"facts":{"gpu":{"ok":false}}}',
    b'{"facts":{"gpu":{"ok":"no"}}, "who":"knows", "hb": []}',
    b'{"hb":' + b"9" * 4000 + b"}",
    DEEP,
    b"[" * 4_000,
    b"\xff\xfe\x00\x9b31m",
    b"\x00" * 100,
    b"",
)  # fmt: skip

HANDLERS: Final[dict[str, Handler]] = {
    "shell_hangs": hangs,
    "hangs_after_its_start": hangs_after_its_start,
    "endless_stdout": repeats(b"x\n" * 16_000),
    "endless_stderr": repeats(b"x\n" * 16_000, datatype=ERR),
    "endless_without_newline": repeats(b"x" * 32_000),
    "drips": drips,
    "ten_megabytes_in_a_line": says_once(b"y" * 10_000_000 + b"\nlast\n", first=b"first\n"),
    "not_utf_8": says_once(b"\xff\xfe\x00\x1b[31mred\x9b0m\xc3(\xed\xa0\x80\n"),
    "no_exit_status": says_once(b"done\n", None),
    "absurd_exit_status": says_once(b"done\n", 2**32 - 1),
    "ends_by_a_signal_with_a_speech": ends_by_a_signal_with_a_speech,
    "more_than_the_window": sends_more_than_the_window,
    "cuts_in_the_middle": cuts_in_the_middle,
    "never_proves": never_proves,
    "nasty_lines": lines(*NASTY_LINES),
    "empty_lines": repeats(b"\n" * 32_000),
    "heartbeats_without_end": repeats(b'{"hb":1}\n' * 3_500),
}


async def repeats_slowly(session: Session) -> None:
    await session.write(await session.nonce())
    while True:
        await session.write(b'{"hb":1}\n')
        await asyncio.sleep(0.05)


async def never_reads(session: Session) -> None:
    session.chan.pause_reading()
    await for_ever()
