"""SSH servers that never get as far as a login: bytes, and a real server behind a bad line."""

import asyncio
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Final

RawTalk = Callable[[Reader, Writer], Awaitable[None]]


async def for_ever() -> None:
    """Wait without an end."""
    await asyncio.Event().wait()


# --- before the login: bytes -------------------------------------------------------------------


async def says_nothing(_: Reader, __: Writer) -> None:
    await for_ever()


async def banner_lines(_: Reader, writer: Writer) -> None:
    while True:
        writer.write(b"Welcome to vast.ai.\x1b[2J\r\n" * 10)
        await writer.drain()
        await asyncio.sleep(0.001)


async def banner_without_newline(_: Reader, writer: Writer) -> None:
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def banner_then_silence(_: Reader, writer: Writer) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await for_ever()


async def banner_byte_by_byte(_: Reader, writer: Writer) -> None:
    for byte in b"SSH-2.0-OpenSSH_9.2" * 1000:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.1)


async def garbage_packets(_: Reader, writer: Writer) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n" + bytes(range(256)) * 4096)
    await for_ever()


async def endless_packet(_: Reader, writer: Writer) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\x00\x03\xff\xf0\x04")
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


async def packet_of_four_gigabytes(_: Reader, writer: Writer) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\xff\xff\xff\xff\x00" + bytes(64))
    await for_ever()


async def slams(_: Reader, writer: Writer) -> None:
    writer.transport.abort()


async def answers_http(_: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await for_ever()


RAW: Final[dict[str, RawTalk]] = {
    talk.__name__: talk
    for talk in (
        says_nothing,
        banner_lines,
        banner_without_newline,
        banner_then_silence,
        banner_byte_by_byte,
        garbage_packets,
        endless_packet,
        packet_of_four_gigabytes,
        slams,
        answers_http,
    )
}


# --- before the login: a real server behind a bad line ---------------------------------------------


def stalls_after(behind: int, bytes_max: int) -> RawTalk:
    """Pass on so much of what the server says, then nothing more, and keep the line."""

    async def talk(reader: Reader, writer: Writer) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", behind)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, far_writer))
            left = bytes_max
            while left and (data := await far_reader.read(left)):
                writer.write(data)
                left -= len(data)
            await for_ever()

    return talk


def cuts_after(behind: int, lengths: Iterator[int]) -> RawTalk:
    """Cut the line in the middle of whatever happens; a little later at each dial."""

    async def talk(reader: Reader, writer: Writer) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", behind)
        left = next(lengths)
        pump = asyncio.get_running_loop().create_task(_pump(reader, far_writer))
        while left and (data := await far_reader.read(left)):
            writer.write(data)
            left -= len(data)
        await writer.drain()
        writer.transport.abort()
        far_writer.transport.abort()
        pump.cancel()

    return talk


def flips_bits(behind: int, places: Iterator[int]) -> RawTalk:
    """Spoil one byte of what the server says; another one at each dial."""

    async def talk(reader: Reader, writer: Writer) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", behind)
        place, at = next(places), 0
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, far_writer))
            while data := await far_reader.read(65_536):
                if at <= place < at + len(data):
                    spoiled = bytearray(data)
                    spoiled[place - at] ^= 1 << place % 8 or 0x80
                    data = bytes(spoiled)
                at += len(data)
                writer.write(data)
            writer.transport.abort()

    return talk


async def _pump(reader: Reader, writer: Writer) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.transport.abort()
