"""What a host may answer at its viewer's port, one port each, in a process of their own.

``python -m tests.integration.hostile.http_strangers``; see strangers.py. Each answers with bytes: no
HTTP server would send most of them.
"""

import asyncio
import gzip
import io
import json
import sys
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from typing import Final

from PIL import Image

from tests.integration.hostile.ssh_logins import tell

Talk = Callable[[Reader, Writer], Awaitable[None]]

OK: Final = b"HTTP/1.1 200 OK\r\n"
PAGE: Final = OK + b"Content-Type: text/html\r\n"
MJPEG: Final = OK + b"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n"


def jpeg(colour: int, size: tuple[int, int] = (64, 48), **more: bool) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (colour, colour, colour)).save(out, "JPEG", **more)
    return out.getvalue()


def part(body: bytes, length: object = None) -> bytes:
    stated = len(body) if length is None else length
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {stated}\r\n\r\n"
    return head.encode() + body + b"\r\n"


def of_size(width: int, height: int) -> bytes:
    """Return a picture that claims another size than it has."""
    plain = jpeg(50)
    at = plain.index(b"\xff\xc0")
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return plain[: at + 5] + size + plain[at + 9 :]


def _scans(count: int) -> bytes:
    """Return a picture that is to be gone over so many times."""
    plain = jpeg(50, (3840, 2160), progressive=True)
    at = plain.rindex(b"\xff\xda")
    return plain[:-2] + plain[at:-2] * count + b"\xff\xd9"


def once(data: bytes, *, then_hang: bool = True) -> Talk:
    async def talk(_: Reader, writer: Writer) -> None:
        writer.write(data)
        await writer.drain()
        if then_hang:
            await asyncio.Event().wait()

    return talk


def repeats(data: bytes, *, first: bytes = b"", pause_s: float = 0.0) -> Talk:
    """Say something first, then the same for ever."""

    async def talk(_: Reader, writer: Writer) -> None:
        writer.write(first)
        while True:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return talk


def drips(data: bytes) -> Talk:
    async def talk(_: Reader, writer: Writer) -> None:
        for byte in data * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    return talk


async def slams(_: Reader, writer: Writer) -> None:
    writer.transport.abort()


async def is_asked(_: Reader, writer: Writer) -> None:
    """Stand where a redirect leads: nobody may ever come here."""
    tell("inside", "asked")
    writer.write(OK + b"Content-Length: 0\r\n\r\n")


def leads_to(where: str, status: str = "302 Found") -> Talk:
    return once(f"HTTP/1.1 {status}\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())


def later(make: Callable[[], Talk]) -> Talk:
    """Make what takes a second to make only when it is asked for, and once."""
    made = cache(make)

    async def talk(reader: Reader, writer: Writer) -> None:
        await (await asyncio.to_thread(made))(reader, writer)

    return talk


@cache
def bomb() -> bytes:
    """Return what grows a thousandfold."""
    return gzip.compress(bytes(128 * 1024 * 1024), 6)


def packed(head: bytes) -> Talk:
    """Say that the bomb is a body."""
    said = head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    return later(lambda: once(said % len(bomb()) + bomb()))


NASTY: Final = (
    "\x1b[31m<script>alert(1)</script> <!channel> <https://evil.example|a> *b* `c` \u202e\x9b"
)

TALKS: Final[dict[str, Talk]] = {
    "good": repeats(part(jpeg(50)) + part(jpeg(150)), first=MJPEG, pause_s=0.005),
    # headers
    "silence": once(b""),
    "slams": slams,
    "endless_header_line": repeats(b"y" * 32_768, first=OK + b"X: "),
    "endless_headers": repeats(b"X-Junk: " + b"y" * 4000 + b"\r\n", first=OK),
    "tiny_headers": repeats(b"a:b\r\n" * 5000, first=OK),
    "endless_continue": repeats(b"HTTP/1.1 100 Continue\r\n\r\n" * 500),
    "dripping_header": drips(OK),
    "not_http": repeats(bytes(range(256)) * 64),
    "ssh": once(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "status_of_a_million": once(b"HTTP/1.1 1000000 OK\r\n\r\n"),
    "binary_headers": once(OK + b"Content-Type: \xff\xfe\x9b31m\r\nX: \xed\xa0\x80\r\n\r\n"),
    "nasty_reason": once(f"HTTP/1.1 503 {NASTY}\r\nContent-Length: 0\r\n\r\n".encode()),
    "nasty_type": once(OK + f"Content-Type: {NASTY}\r\n\r\n".encode()),
    # bodies
    "endless_body": repeats(b"x" * 65_536, first=PAGE + b"\r\n"),
    "endless_chunks": repeats(b"1\r\nx\r\n" * 10_000, first=CHUNKED + b"\r\n"),
    "chunk_extensions": repeats(b"1;" + b"a=b;" * 8_000, first=CHUNKED + b"\r\n"),
    "chunk_of_an_exabyte": repeats(b"x" * 65_536, first=CHUNKED + b"\r\nfffffffffffffff\r\n"),
    "dripping_body": drips(PAGE + b"\r\nx"),
    "longer_than_it_says": once(PAGE + b"Content-Length: 5\r\n\r\n" + b"x" * 1_000_000),
    "shorter_than_it_says": once(PAGE + b"Content-Length: 999999\r\n\r\nx", then_hang=False),
    "negative_length": once(PAGE + b"Content-Length: -1\r\n\r\n"),
    "two_lengths": once(PAGE + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\nxxxxxxx"),
    "gzip_bomb": packed(PAGE),
    "mjpeg_in_gzip": packed(MJPEG[:-2]),
    # redirects
    "redirects_to_itself": leads_to("/"),
    "redirects_to_a_file": leads_to("file:///etc/passwd"),
    "redirects_to_metadata": leads_to("http://169.254.169.254/latest/meta-data/", "307 Go"),
    "refreshes": once(
        PAGE + b"Refresh: 0; url=http://127.0.0.1:9877/\r\nContent-Length: 0\r\n\r\n"
    ),
    # pictures
    "no_boundary": once(
        OK + b"Content-Type: multipart/x-mixed-replace\r\n\r\n" + part(jpeg(50)) * 99
    ),
    "boundary_never_comes": repeats(b"junk" * 16_000, first=MJPEG),
    "boundary_of_one_dash": repeats(
        b"-" * 32_768, first=OK + b"Content-Type: multipart/x; boundary=-\r\n\r\n"
    ),
    "separators_only": repeats(b"--frame" * 9_000, first=MJPEG),
    "empty_parts": repeats(b"--frame\n\n" * 7_000, first=MJPEG),
    "parts_of_a_byte": repeats(b"--frame\n\nx\r\n" * 5_000, first=MJPEG),
    "headers_of_a_part_without_end": repeats(b"X: y\r\n" * 9_000, first=MJPEG + b"--frame\r\n"),
    "huge_part": repeats(b"x" * 65_536, first=MJPEG + part(b"", 2**31)),
    "part_of_nine_digits": repeats(b"x" * 65_536, first=MJPEG + part(b"\xff\xd8", 999_999_999)),
    "part_without_end": repeats(b"\x00" * 65_536, first=MJPEG + b"--frame\r\n\r\n\xff\xd8"),
    "lying_lengths": repeats(part(jpeg(50), 7) + part(jpeg(150), 10**9), first=MJPEG),
    "one_frame": repeats(part(jpeg(50)), first=MJPEG, pause_s=0.005),
    "black": repeats(part(jpeg(0)) + part(jpeg(1)), first=MJPEG, pause_s=0.005),
    "three_frames_then_nothing": once(MJPEG + part(jpeg(50)) + part(jpeg(99)) + part(jpeg(150))),
    "broken_frames": repeats(part(b"\xff\xd8" + b"\x00" * 300 + b"\xff\xd9"), first=MJPEG),
    "sixty_thousand_square": repeats(part(of_size(60_000, 60_000)), first=MJPEG),
    "forty_million_pixels": later(
        lambda: repeats(part(jpeg(50, (6300, 6300), progressive=True)), first=MJPEG)
    ),
    "ten_thousand_scans": later(lambda: repeats(part(_scans(10_000)), first=MJPEG)),
    "html_as_pictures": repeats(part(b"<script>alert(1)</script>"), first=MJPEG),
    "page_in_a_picture": repeats(
        part(jpeg(50)[:-2] + b"<script>alert(1)</script>\xff\xd9")
        + part(jpeg(150)[:-2] + b"<html>\xff\xd9"),
        first=MJPEG,
        pause_s=0.005,
    ),
}


async def _open(talk: Talk) -> int:
    async def serve(reader: Reader, writer: Writer) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def _main() -> None:
    inside = await _open(is_asked)
    talks = {**TALKS, "redirects_inside": leads_to(f"http://127.0.0.1:{inside}/")}
    ports = {name: await _open(talk) for name, talk in talks.items()}
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
