"""All SSH servers that play tricks, one port each, in a process of their own.

``python -m tests.integration.hostile.ssh_strangers``: what keeper uses of memory and time is then its
own. The ports go to standard output as JSON, one line; what a server was told that it must never be
told goes to standard error.
"""

import asyncio
import json
import sys
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import asyncssh
from typing_extensions import override

from tests.integration.hostile.ssh_bytes import (
    RAW,
    RawTalk,
    cuts_after,
    flips_bits,
    for_ever,
    stalls_after,
)
from tests.integration.hostile.ssh_channels import (
    HANDLERS,
    Handler,
    Session,
    never_reads,
    repeats_slowly,
    says_once,
)
from tests.integration.hostile.ssh_files import FILES
from tests.integration.hostile.ssh_logins import (
    CHANNEL_OPEN,
    UNASKED,
    Act,
    AsksForPasswords,
    AuthBanners,
    AuthHangs,
    Connection,
    Host,
    Intruder,
    KeyChanged,
    ignore,
)

HOST_KEY: Final = asyncssh.generate_private_key("ssh-ed25519")


class NoChannels(Host):
    """Never answers when a channel is to be opened, for a session or for a tunnel."""

    @override
    def auth_completed(self) -> None:
        ignore(self.conn, CHANNEL_OPEN)


class NoTunnels(Host):
    """Runs the sentinel well and never answers when a tunnel is to be opened."""

    @override
    def session_requested(self) -> Any:
        return Session(repeats_slowly)

    @override
    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        return for_ever()


class NoWindow(Host):
    """Grants one byte of window, and never more."""

    @override
    def session_requested(self) -> Any:
        channel = self.conn.create_server_channel(encoding=None, window=1)
        return channel, Session(never_reads)


async def _raw(talk: RawTalk) -> int:
    async def serve(reader: Reader, writer: Writer) -> None:
        with suppress(OSError, ExceptionGroup):
            await talk(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def _ssh(factory: Callable[[], asyncssh.SSHServer], **more: Any) -> int:
    acceptor = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=factory, server_host_keys=[HOST_KEY], login_timeout=0, **more
    )
    return acceptor.get_port()


def _with(handler: Handler, act: Act | None = None) -> Callable[[], asyncssh.SSHServer]:
    class Serving(Intruder):
        @override
        def session_requested(self) -> Any:
            channel = self.conn.create_server_channel(encoding=None)
            return channel, Session(handler)

    async def nothing(_: Connection) -> None:
        pass

    return lambda: Serving(act or nothing)


obedient: Final = says_once(b"done\n")


async def _open_all() -> dict[str, int]:
    good = await _ssh(_with(obedient))
    ports = {"good": good, "steady": await _ssh(_with(repeats_slowly))}
    for name, talk in RAW.items():
        ports[name] = await _raw(talk)
    ports["stalls_in_the_exchange"] = await _raw(stalls_after(good, 1200))
    ports["cuts_the_line"] = await _raw(cuts_after(good, iter(range(1, 4000, 97))))
    ports["flips_bits"] = await _raw(flips_bits(good, iter(range(0, 4000, 37))))
    for factory in (AuthHangs, AuthBanners, AsksForPasswords, KeyChanged, NoChannels, NoTunnels):
        ports[factory.__name__] = await _ssh(factory)
    ports["NoWindow"] = await _ssh(NoWindow)
    for name, act in UNASKED.items():
        ports[name] = await _ssh(_with(repeats_slowly, act))
    for name, handler in {**HANDLERS, **FILES}.items():
        ports[name] = await _ssh(_with(handler))
    return ports


async def _main() -> None:
    print(json.dumps(await _open_all()), flush=True)
    # Whoever started us holds our standard input; with him we go.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
