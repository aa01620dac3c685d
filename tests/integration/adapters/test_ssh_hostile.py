"""Hosts are strangers' machines: whatever they do to the SSH adapter ends in time and in bounds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncssh
import pytest

from keeper.adapters import ssh_channel
from keeper.adapters.ssh import SshHosts
from keeper.ports import (
    Address,
    Command,
    Link,
    Malformed,
    PortError,
    TimedOut,
    Uncertain,
    Unreachable,
)

KEY = asyncssh.generate_private_key("ssh-ed25519")
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
QUICK = Command(name="test", script="true", timeout_s=20.0, output_max_bytes=1000)
BRIEF = replace(QUICK, timeout_s=0.5)  # where only our own deadline ends it

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def hosts() -> SshHosts:
    key = KEY.export_private_key()
    return SshHosts(private_key_file=None, private_key=key, answer_slack_s=0.5)


# --- before the login ----------------------------------------------------------------------------


async def _says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _endless_banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"Welcome to vast.ai.\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def _endless_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 4096)
        await writer.drain()


async def _garbage_packets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n" + bytes(range(256)) * 64)
    await reader.read()


async def _huge_packet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\xff\xff\xff\xff\x00")
    await reader.read()


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def _slams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _version_then_silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await reader.read()


async def _binary_version(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-\xff\xfe\r\n")
    await reader.read()


@pytest.mark.parametrize(
    "talk",
    [
        _says_nothing,
        _endless_banner,
        _endless_line,
        _garbage_packets,
        _huge_packet,
        _http,
        _slams,
        _version_then_silence,
        _binary_version,
    ],
)
async def test_dial_ends_whatever_answers(talk: Talk) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    with pytest.raises((Unreachable, TimedOut)):
        await hosts().connect([address], pinned_host_key="", timeout_s=1.0)
    server.close()
    await server.wait_closed()


async def test_silent_hosts_hold_only_their_own_dial() -> None:
    """A shared pool made healthy hosts wait five times as long when one in ten was silent."""
    gate = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.transport.abort()

    silent = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = Address(host="127.0.0.1", port=silent.sockets[0].getsockname()[1])
    dialler = hosts()
    async with serving(_obedient) as there, asyncio.TaskGroup() as group:
        stuck = [group.create_task(_try(dialler, address)) for _ in range(10)]
        await asyncio.sleep(0)
        link = await dialler.connect([there], pinned_host_key="", timeout_s=10)
        assert not any(task.done() for task in stuck)
        gate.set()
        await link.close()
    assert all(isinstance(task.result(), Unreachable) for task in stuck)
    silent.close()
    await silent.wait_closed()


async def _try(dialler: SshHosts, address: Address) -> PortError | None:
    try:
        await dialler.connect([address], pinned_host_key="", timeout_s=30)
    except PortError as error:
        return error
    return None


class _BannerServer(asyncssh.SSHServer):
    """Says hello for ever, which restarts nobody's patience."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:  # type: ignore[explicit-override]
        self._conn = conn

    async def begin_auth(self, username: str) -> bool:  # type: ignore[explicit-override]
        for _ in range(1000):
            self._conn.send_auth_banner("Welcome to vast.ai. Have fun!\r\n")
        return True


async def test_login_with_banners_without_end_is_given_up() -> None:
    acceptor = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=_BannerServer, server_host_keys=[HOST_KEY]
    )
    address = Address(host="127.0.0.1", port=acceptor.get_port())
    with pytest.raises(Unreachable, match="banners"):
        await hosts().connect([address], pinned_host_key="", timeout_s=10)
    acceptor.close()
    await acceptor.wait_closed()


# --- after the login -----------------------------------------------------------------------------

Process = asyncssh.SSHServerProcess[bytes]
Handler = Callable[[Process, bytes], Awaitable[None]]


class _Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:  # type: ignore[explicit-override]
        return False


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Address]:
    """Serve SSH without a lock; each command's nonce goes to the handler."""

    async def handle(process: Process) -> None:
        try:
            first = await process.stdin.readline()
            await handler(process, first.split()[-1] + b"\n")
        except (OSError, asyncssh.Error):
            pass

    acceptor = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=_Server, server_host_keys=[HOST_KEY],
        process_factory=handle, encoding=None,
    )  # fmt: skip
    yield Address(host="127.0.0.1", port=acceptor.get_port())
    acceptor.close()
    await acceptor.wait_closed()


@asynccontextmanager
async def linked(handler: Handler) -> AsyncIterator[Link]:
    async with serving(handler) as address:
        link = await hosts().connect([address], pinned_host_key="", timeout_s=10)
        yield link
        await link.close()


async def _obedient(process: Process, nonce: bytes) -> None:
    process.stdout.write(nonce + b"done\n")
    process.exit(0)


async def test_chatter_before_our_program_is_not_its_output() -> None:
    """Banners, messages of the day and a shell's start-up files all speak first."""

    async def chatty(process: Process, nonce: bytes) -> None:
        process.stdout.write(b"Welcome\x1b[2J\n" * 3000)
        await _obedient(process, nonce)

    async with linked(chatty) as link:
        result = await link.run(QUICK)
        assert (result.stdout, result.is_truncated) == ("done\n", False)


async def test_nonce_in_small_pieces_is_still_found() -> None:
    async def dripping(process: Process, nonce: bytes) -> None:
        for byte in nonce + b"done\n":
            process.stdout.write(bytes([byte]))
            await process.stdout.drain()
            await asyncio.sleep(0.001)
        process.exit(0)

    async with linked(dripping) as link:
        assert (await link.run(QUICK)).stdout == "done\n"


async def _exits_without_running(process: Process, nonce: bytes) -> None:
    process.stdout.write(b"no sessions\n")
    process.exit(0)


async def _never_ends(process: Process, nonce: bytes) -> None:
    process.stdout.write(nonce)
    await asyncio.Event().wait()


async def _never_begins(process: Process, nonce: bytes) -> None:
    await asyncio.Event().wait()


async def _closes_without_a_code(process: Process, nonce: bytes) -> None:
    process.stdout.write(nonce)
    process.close()


async def _floods(process: Process, nonce: bytes) -> None:
    process.stdout.write(nonce)
    while True:
        process.stdout.write(b"x" * 32_768)
        await process.stdout.drain()


async def _floods_errors(process: Process, nonce: bytes) -> None:
    while True:
        process.stderr.write(b"x" * 32_768)
        await process.stderr.drain()


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (_never_ends, Uncertain),
        (_never_begins, Uncertain),
        (_closes_without_a_code, Uncertain),
        (_floods, Uncertain),
        (_floods_errors, Uncertain),
    ],
)
async def test_command_ends_whatever_the_host_does(
    handler: Handler, error: type[PortError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_channel, "FLOOD_MAX_BYTES", 2_000_000)
    async with linked(handler) as link:
        with pytest.raises(error):
            await link.run(BRIEF)


async def test_command_that_did_not_run_is_not_believed() -> None:
    async with linked(_exits_without_running) as link:
        with pytest.raises(Malformed):
            await link.run(QUICK)


async def test_refused_channel_is_unreachable_because_nothing_ran() -> None:
    class Refusing(_Server):
        def session_requested(self) -> bool:  # type: ignore[explicit-override]
            return False

    acceptor = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Refusing, server_host_keys=[HOST_KEY]
    )
    address = Address(host="127.0.0.1", port=acceptor.get_port())
    link = await hosts().connect([address], pinned_host_key="", timeout_s=10)
    with pytest.raises(Unreachable, match="opens no channel"):
        await link.run(QUICK)
    await link.close()
    acceptor.close()
    await acceptor.wait_closed()


async def test_line_without_end_is_dropped_and_takes_no_memory() -> None:
    async def endless_line(process: Process, nonce: bytes) -> None:
        process.stdout.write(nonce + b"first\n")
        for _ in range(100):
            process.stdout.write(b"x" * 32_768)
            await process.stdout.drain()
        process.stdout.write(b"\nlast\n")
        process.exit(0)

    async with linked(endless_line) as link:
        assert [line async for line in link.watch("true")] == ["first", "last"]


async def test_cancelled_command_leaves_the_link_usable() -> None:
    calls = 0

    async def first_hangs(process: Process, nonce: bytes) -> None:
        nonlocal calls
        calls += 1
        await (_never_ends if calls == 1 else _obedient)(process, nonce)

    async with linked(first_hangs) as link:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await link.run(Command(name="test", script="true", timeout_s=30))
        assert (await link.run(QUICK)).stdout == "done\n"
