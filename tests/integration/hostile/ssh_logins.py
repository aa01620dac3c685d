"""SSH servers that play their tricks at the login, or send packets that nobody asked for after it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import asyncssh
from asyncssh.packet import Boolean, String, UInt32
from typing_extensions import override

from tests.integration.hostile.ssh_bytes import for_ever

OTHER_KEY: Final = asyncssh.generate_private_key("ssh-ed25519")

# RFC 4250, section 4.1.2.
_DISCONNECT, _IGNORE, _DEBUG = 1, 2, 4
_GLOBAL_REQUEST, _REQUEST_SUCCESS, _REQUEST_FAILURE = 80, 81, 82
CHANNEL_OPEN, _OPEN_FAILURE, _CHANNEL_CLOSE = 90, 92, 97

Connection = asyncssh.SSHServerConnection
Act = Callable[[Connection], Awaitable[None]]


def tell(name: str, what: str) -> None:
    """Write down what a server saw."""
    print(f"{name}: {what}", file=sys.stderr, flush=True)


def ignore(conn: Connection, *kinds: int) -> None:
    """Take no notice of packets of these kinds."""
    handlers: dict[int, Any] = dict(conn._packet_handlers)
    handlers.update(dict.fromkeys(kinds, lambda *_: True))
    conn._packet_handlers = handlers


# --- the login ---------------------------------------------------------------------------------


class Host(asyncssh.SSHServer):
    """Lets everybody in, and tells what it should not have been told."""

    name = "host"

    @override
    def connection_made(self, conn: Connection) -> None:
        self.conn = conn

    @override
    def begin_auth(self, username: str) -> Any:
        tell(self.name, "began to log in")
        return False


class Jailer(Host):
    """Lets nobody in."""

    @override
    def begin_auth(self, username: str) -> Any:
        return True


class AuthHangs(Jailer):
    @override
    async def begin_auth(self, username: str) -> bool:
        await for_ever()
        return True


class AuthBanners(Jailer):
    @override
    async def begin_auth(self, username: str) -> bool:
        for _ in range(1000):
            self.conn.send_auth_banner("root's password for \x1b]0;evil\x07 please: \r\n")
        return True


class AsksForPasswords(Jailer):
    """Wants a password, or answers to its questions, of whomever it likes."""

    name = "asks_for_passwords"

    @override
    def password_auth_supported(self) -> bool:
        return True

    @override
    def validate_password(self, username: str, password: str) -> bool:
        tell(self.name, f"a password: {password}")
        return True

    @override
    def kbdint_auth_supported(self) -> bool:
        return True

    @override
    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "admin", "Log in as admin", "en", [("VAST_API_KEY: ", True), ("Passphrase: ", False)]

    @override
    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        tell(self.name, f"answers: {responses}")
        return True

    @override
    def public_key_auth_supported(self) -> bool:
        return True

    @override
    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return False


class KeyChanged(Host):
    """Shows another key than the one that is known; asked for with a pin."""

    name = "key_changed"


# --- after the login: packets nobody asked for ---------------------------------------------------


class Intruder(Host):
    """Does something of its own accord as soon as somebody is in."""

    def __init__(self, act: Act) -> None:
        self._act = act

    @override
    def auth_completed(self) -> None:
        # It asks only to ask.
        ignore(self.conn, _REQUEST_SUCCESS, _REQUEST_FAILURE, _OPEN_FAILURE)
        self.conn.create_task(quietly(self._act(self.conn)))


async def quietly(act: Awaitable[None]) -> None:
    with suppress(OSError, asyncssh.Error, AttributeError):
        await act


async def _sent(conn: Connection) -> None:
    """Let the client read: without this the flood would only fill our own memory."""
    await asyncio.sleep(0)
    transport = conn._transport
    while transport is not None and transport.get_write_buffer_size() > 1_000_000:
        await asyncio.sleep(0.001)
        transport = conn._transport
    if transport is None:
        raise ConnectionResetError


def floods(kind: int, *parts: bytes) -> Act:
    """Send one packet over and over."""

    async def act(conn: Connection) -> None:
        while True:
            for _ in range(500):
                conn.send_packet(kind, *parts)
            await _sent(conn)

    return act


def says(*packets: tuple[int, bytes]) -> Act:
    """Send some packets once, in one go."""

    async def act(conn: Connection) -> None:
        for kind, body in packets:
            conn.send_packet(kind, body)

    return act


async def asks_and_does_not_read(conn: Connection) -> None:
    assert conn._transport is not None
    conn._transport.pause_reading()
    await floods(_GLOBAL_REQUEST, String("x" * 200) + Boolean(True))(conn)


async def rekeys_for_ever(conn: Connection) -> None:
    while conn._transport is not None:
        if conn._kex_complete and not conn._kex:
            conn._send_kexinit()
            conn._kexinit_sent = True
        await asyncio.sleep(0.002)


async def changes_its_key_later(conn: Connection) -> None:
    await asyncio.sleep(0.2)
    (other,) = asyncssh.load_keypairs(OTHER_KEY)
    conn._server_host_keys = dict.fromkeys(conn._server_host_keys, other)  # type: ignore[assignment]
    conn._send_kexinit()
    conn._kexinit_sent = True


def _opens(kind: str, more: bytes = b"") -> tuple[int, bytes]:
    return CHANNEL_OPEN, String(kind) + UInt32(0) + UInt32(2**31) + UInt32(32_768) + more


def _asks(name: str, more: bytes = b"") -> tuple[int, bytes]:
    return _GLOBAL_REQUEST, String(name) + Boolean(True) + more


_TOWARDS = String("127.0.0.1") + UInt32(9877) + String("169.254.169.254") + UInt32(80)
TOWARDS_US: Final = (
    _opens("session"),
    _opens("x11", String("127.0.0.1") + UInt32(6000)),
    _opens("auth-agent@openssh.com"),
    _opens("direct-tcpip", _TOWARDS),
    _opens("forwarded-tcpip", _TOWARDS),
    _opens("forwarded-streamlocal@openssh.com", String("/run/keeper/keeper.sock") + String("")),
    _opens("tun@openssh.com", UInt32(1) + UInt32(2**31 - 1)),
    _opens("no such thing \x1b[31m"),
    _asks("tcpip-forward", String("0.0.0.0") + UInt32(22)),
    _asks("streamlocal-forward@openssh.com", String("/tmp/x")),
    _asks("hostkeys-00@openssh.com", String(OTHER_KEY.public_data)),
    _asks("hostkeys-prove-00@openssh.com", String(OTHER_KEY.public_data)),
    _asks("no-more-sessions@openssh.com"),
    _asks("keepalive@openssh.com"),
)
# One that is answered a little later, and a thousand behind it, which are then answered in each other.
PILE: Final = (_asks("hostkeys-00@openssh.com"), *(_asks(f"a{n}") for n in range(3000)))

UNASKED: Final[dict[str, Act]] = {
    "floods_ignore": floods(_IGNORE, String(b"")),
    "floods_debug": floods(_DEBUG, Boolean(True) + String("\x1b[2J") + String("en")),
    "floods_unknown": floods(200, b""),
    "floods_requests": floods(*_asks("tell-me@evil.example")),
    "floods_channels": floods(*_opens("session")),
    "asks_and_does_not_read": asks_and_does_not_read,
    "rekeys_for_ever": rekeys_for_ever,
    "changes_its_key_later": changes_its_key_later,
    "opens_towards_us": says(*TOWARDS_US),
    "piles_up_requests": says(*PILE),
    "answers_nothing_asked": says((_REQUEST_SUCCESS, b"")),
    "closes_what_is_not_open": says((_CHANNEL_CLOSE, UInt32(77))),
    "disconnects_with_a_speech": says(
        (_DISCONNECT, UInt32(2) + String("\x1b[31m<script>" + "x" * 30_000) + String("en"))
    ),
    "disconnects_in_latin_1": says((_DISCONNECT, UInt32(2) + String(b"\xff\xfe") + String("en"))),
    "half_a_packet": says((_GLOBAL_REQUEST, b"\x00\x00\xff")),
}
