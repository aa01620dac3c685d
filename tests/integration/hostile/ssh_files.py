"""SSH servers that play their tricks when a file is put there: by SFTP, and with the digest afterwards."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Final

from asyncssh.packet import Byte, String, UInt32

from tests.integration.hostile.ssh_bytes import for_ever
from tests.integration.hostile.ssh_channels import Handler, Session


def _sftp(kind: int, number: int, body: bytes) -> bytes:
    return String(Byte(kind) + UInt32(number) + body)


_VERSION: Final = String(Byte(2) + UInt32(3))
_STATUS, _HANDLE, _NAME, _ATTRS = 101, 102, 104, 105


async def sftp_packet_of_four_gigabytes(session: Session) -> None:
    while True:
        await session.write(b"\xff" * 32_000)


async def sftp_endless_packet(session: Session) -> None:
    await session.write(_VERSION + b"\x00\x3f\xff\xff")
    while True:
        await session.write(bytes(32_000))


async def sftp_never_answers(session: Session) -> None:
    await session.write(_VERSION)
    await for_ever()


async def sftp_is_not_for_us(session: Session) -> None:
    await session.write(_VERSION)
    for number in count(1000):
        await session.write(_sftp(_STATUS, number, UInt32(0) + String("") + String("")))


async def sftp_claims_a_thousand_extensions(session: Session) -> None:
    pairs = (String(f"x{n}@evil") + String("\xff" * 20) for n in range(20_000))
    await session.write(String(Byte(2) + UInt32(3) + b"".join(pairs)))
    await for_ever()


def sftp_answers(answer: Callable[[int, int], bytes]) -> Handler:
    """Answer each request, by its kind and number."""

    async def handler(session: Session) -> None:
        at = 0
        while True:
            while len(session.inbox) - at >= 4:
                length = int.from_bytes(session.inbox[at : at + 4], "big")
                if len(session.inbox) - at - 4 < length:
                    break
                kind = session.inbox[at + 4]
                number = int.from_bytes(session.inbox[at + 5 : at + 9], "big")
                at += 4 + length
                await session.write(_VERSION if kind == 1 else answer(kind, number))
            session.news.clear()
            await session.news.wait()

    return handler


def _yes(number: int) -> bytes:
    return _sftp(_STATUS, number, UInt32(0) + String("") + String("en"))


_DIRECTORY: Final = UInt32(4) + UInt32(0o040755)


def obliging(kind: int, number: int) -> bytes:
    """Say yes to everything and keep nothing."""
    match kind:
        case 3:
            return _sftp(_HANDLE, number, String(b"h"))
        case 7 | 17:
            return _sftp(_ATTRS, number, _DIRECTORY)
        case 16:
            path = String("../../../../root/.ssh/authorized_keys")
            return _sftp(_NAME, number, UInt32(1) + path + path + UInt32(0))
        case _:
            return _yes(number)


def liar(kind: int, number: int) -> bytes:
    """Claim absurd sizes, and a handle of a megabyte."""
    match kind:
        case 3:
            return _sftp(_HANDLE, number, String(b"h" * 1_000_000))
        case 7 | 17:
            return _sftp(_ATTRS, number, UInt32(1) + b"\xff" * 8)
        case _:
            return _sftp(_NAME, number, UInt32(2**32 - 1))


def refuser(kind: int, number: int) -> bytes:
    """Refuse in the words of somebody who wants to be read."""
    said = "\x1b[31m<script>alert(1)</script> <!channel> " + "x" * 20_000
    return _sftp(_STATUS, number, UInt32(4) + String(said) + String("en"))


def keeps_open(kind: int, number: int) -> bytes:
    """Be a good server until the file is to be closed."""
    return b"" if kind == 4 else obliging(kind, number)


def files(sftp: Handler, digest: Callable[[bytes], bytes] | None = None) -> Handler:
    """Treat SFTP so, and run programs as if they had worked; the digest is made up."""

    async def handler(session: Session) -> None:
        if session.is_sftp:
            await sftp(session)
            return
        if not session.inbox:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await session.news.wait()
        if session.inbox:  # a program, with its nonce
            await session.write(await session.nonce())
        else:  # the digest is asked for
            await session.write(digest(b"") if digest else b"0" * 64 + b"  -\n")
        session.chan.exit(0)

    return handler


def parcels(sftp: Handler) -> Handler:
    """Treat SFTP so, have room for everything, and give made up digests of it."""

    async def handler(session: Session) -> None:
        if session.is_sftp:
            await sftp(session)
            return
        await session.write(await session.nonce())
        await session.write(b"parcel -1 -1 99999999\n")
        session.chan.exit(0)

    return handler


FILES: Final[dict[str, Handler]] = {
    "sftp_packet_of_four_gigabytes": files(sftp_packet_of_four_gigabytes),
    "sftp_endless_packet": files(sftp_endless_packet),
    "sftp_never_answers": files(sftp_never_answers),
    "sftp_answers_others": files(sftp_is_not_for_us),
    "sftp_extensions": files(sftp_claims_a_thousand_extensions),
    "sftp_says_yes_and_keeps_nothing": files(sftp_answers(obliging)),
    "sftp_lies": files(sftp_answers(liar)),
    "sftp_refuses_with_a_speech": files(sftp_answers(refuser)),
    "sftp_keeps_the_file_open": files(sftp_answers(keeps_open)),
    "digest_without_end": files(
        sftp_answers(obliging), lambda _: hashlib.sha256(b"").hexdigest().encode() * 100_000
    ),
    "parcel_never_answers": parcels(sftp_never_answers),
    "parcel_answers_others": parcels(sftp_is_not_for_us),
    "parcel_endless_packet": parcels(sftp_endless_packet),
    "parcel_says_yes_and_keeps_nothing": parcels(sftp_answers(obliging)),
    "parcel_lies": parcels(sftp_answers(liar)),
    "parcel_refuses_with_a_speech": parcels(sftp_answers(refuser)),
    "parcel_keeps_the_file_open": parcels(sftp_answers(keeps_open)),
}
