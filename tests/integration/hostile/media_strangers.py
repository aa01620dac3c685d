"""What a host may answer where a playlist or an RTMP server should be, one port each, in a process of its own.

``python -m tests.integration.hostile.media_strangers``; see strangers.py. What any HTTP server may do to a
viewer is in http_strangers.py; here is what only a playlist, its segments or a player's greeting can do.
"""

import asyncio
import json
import os
import sys
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Final

from tests.integration.hostile.http_strangers import (
    NASTY,
    OK,
    Talk,
    drips,
    is_asked,
    once,
    repeats,
    slams,
)
from tests.live_clip import segment

Files = Mapping[str, Talk]

HEAD: Final = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
ROW: Final = "#EXTINF:1,\n1.ts\n"


def file(body: bytes | str, kind: str = "text/html", length: int | None = None) -> Talk:
    data = body.encode() if isinstance(body, str) else body
    stated = len(data) if length is None else length
    head = f"Content-Type: {kind}\r\nContent-Length: {stated}\r\n\r\n"
    return once(OK + head.encode() + data, then_hang=False)


def leads_to(where: str, status: str = "302 Found") -> Talk:
    head = f"HTTP/1.1 {status}\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n"
    return once(head.encode(), then_hang=False)


def endless(data: bytes, first: bytes = b"") -> Talk:
    return repeats(data, first=OK + b"Content-Length: 1000000000\r\n\r\n" + first)


def each_time(make: Callable[[int], Talk]) -> Talk:
    """Answer otherwise each time."""
    numbers = count()

    async def talk(reader: Reader, writer: Writer) -> None:
        await make(next(numbers))(reader, writer)

    return talk


def listed(rows: str, *, number: int = 0, head: str = "") -> Talk:
    return file(f"{HEAD}#EXT-X-MEDIA-SEQUENCE:{number}\n{head}{rows}")


def live(first: Talk, **more: Talk) -> Files:
    """Serve this playlist, and good segments unless it is otherwise said."""
    return {"/": first, "/1.ts": file(segment(1)), "/2.ts": file(segment(2)), **more}


def with_segment(talk: Talk) -> Files:
    return live(listed(ROW), **{"/1.ts": talk})


def with_part(tag: str, talk: Talk) -> Files:
    """Serve good segments, and something else that has to be fetched before them."""
    return live(listed(ROW, head=f"{tag}\n"), **{"/part": talk})


KEY: Final = '#EXT-X-KEY:METHOD=AES-128,URI="part"'
MAP: Final = '#EXT-X-MAP:URI="part"'
CHOICE: Final = "#EXT-X-STREAM-INF:BANDWIDTH=1\n"
# A table of programs and a picture's first packets, and then filling: what never comes to a picture.
FILLING: Final = (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 300


PLAYLISTS: Final[dict[str, Files]] = {
    "good": live(each_time(lambda n: listed("#EXTINF:1,\n1.ts\n#EXTINF:1,\n2.ts\n", number=n))),
    "gigabyte_segment": with_segment(endless(b"x" * 65_536)),
    "gigabyte_after_a_picture": with_segment(endless(FILLING, segment(1))),
    "gigabyte_of_filling": with_segment(endless(FILLING)),
    "gigabyte_key": with_part(KEY, endless(b"x" * 65_536)),
    "gigabyte_head": with_part(MAP, endless(b"\x00" * 65_536)),
    "gigabyte_playlist": live(endless(ROW.encode() * 4000, HEAD.encode())),
    "gigabyte_line": live(endless(b"x" * 65_536, HEAD.encode())),
    "hundred_thousand_segments": live(listed("#EXTINF:1,\nnone.ts\n" * 100_000 + ROW)),
    "hundred_thousand_renditions": live(file(HEAD + f"{CHOICE}none\n" * 100_000)),
    "leads_to_itself": live(file(f"{HEAD}{CHOICE}/\n")),
    "leads_to_another_and_back": live(
        file(f"{HEAD}{CHOICE}back\n"), **{"/back": file(f"{HEAD}{CHOICE}/\n")}
    ),
    "redirects_from_segment_to_segment": with_segment(leads_to("/1.ts")),
    "goes_backwards": live(each_time(lambda n: listed(ROW, number=10**9 - n))),
    "repeats_itself": live(each_time(lambda n: listed(f"#EXTINF:1,\n{1 + n % 2}.ts\n", number=n))),
    "drips": live(drips((HEAD + ROW).encode())),
    "drips_a_playlist": live(drips(OK + b"\r\n" + (HEAD + ROW).encode())),
    "drips_a_segment": with_segment(drips(OK + b"\r\n" + segment(1))),
    "hangs_before_a_segment": with_segment(once(b"")),
    "slams_before_a_segment": with_segment(slams),
    "half_a_segment": with_segment(file(segment(1)[:3000], length=10**9)),
    "half_a_playlist": live(file(HEAD + "#EXTINF:1,\n1", length=10**9)),
    "segment_longer_than_it_says": with_segment(file(segment(1) * 9, length=200)),
    "segment_is_a_page": with_segment(file("<script>alert(1)</script>" * 99)),
    "segment_is_noise": with_segment(file(os.urandom(200_000))),
    "segment_is_a_playlist": with_segment(file(HEAD + "file:///etc/passwd\n")),
    "segment_lists_files": with_segment(file("ffconcat version 1.0\nfile /etc/passwd\n")),
    "segments_that_are_not_there": live(listed("#EXTINF:1,\nnone.ts\n")),
    "absurd_numbers": live(
        file(
            f"{HEAD}#EXT-X-MEDIA-SEQUENCE:{'9' * 4000}\n#EXTINF:1e999,\n1.ts\n#EXTINF:nan,\n2.ts\n"
        )
    ),
    "absurd_dates": live(listed(ROW, head="#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59Z\n")),
    "absurd_parts": live(listed(f"#EXT-X-BYTERANGE:{'9' * 18}@{'9' * 18}\n{ROW}")),
    "nasty_titles": live(listed(f"#EXTINF:1,{NASTY}\n1.ts\n", head=f"# {NASTY}\n")),
    "nasty_addresses": live(listed(f"#EXTINF:1,\n{NASTY}\n")),
    "nasty_method": live(listed(ROW, head=f'#EXT-X-KEY:METHOD={NASTY},URI="{NASTY}"\n')),
    "no_segments": live(file(HEAD)),
    "ended": live(listed(f"{ROW}#EXT-X-ENDLIST\n")),
    "metadata": live(listed("#EXTINF:1,\nhttp://169.254.169.254/latest/meta-data/\n")),
}

# RTMP 1.0, 5.2: a version, then 1,536 bytes of each side, and the same again as an answer.
GREETING: Final = b"\x03" + bytes(1536)
PLAYED: Final[dict[str, Talk]] = {
    "rtmp_silence": once(b""),
    "rtmp_slams": slams,
    "rtmp_garbage": repeats(bytes(range(256)) * 64),
    "rtmp_zeros": once(bytes(65_536)),
    "rtmp_greets_and_hangs": once(GREETING + bytes(1536)),
    "rtmp_greets_and_floods": repeats(b"\xff" * 65_536, first=GREETING + bytes(1536)),
    "rtmp_greets_and_claims_a_gigabyte": once(
        GREETING + bytes(1536) + b"\x03\x00\x00\x00\xff\xff\xff\x09\x01\x00\x00\x00" * 50
    ),
    "rtmp_drips": drips(GREETING),
    "rtmp_half_a_greeting": once(GREETING[:700], then_hang=False),
    "rtmp_is_http": once(OK + b"\r\n<html>"),
}


async def _open(files: Files | Talk) -> int:
    async def serve(reader: Reader, writer: Writer) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            if isinstance(files, Mapping):
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ")[1].decode("latin-1").partition("?")[0]
                missing = once(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", then_hang=False)
                await files.get(path, missing)(reader, writer)
            else:
                await files(reader, writer)
            with suppress(OSError):
                await asyncio.wait_for(writer.drain(), 1.0)
                writer.close()  # what was written still goes out
                return
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def _main() -> None:
    inside = await _open({"/": is_asked})
    away = f"http://127.0.0.1:{inside}/"
    inwards: dict[str, Files] = {
        "segment_inside": live(listed(f"#EXTINF:1,\n{away}\n")),
        "redirects_a_segment_inside": with_segment(leads_to(away)),
        "redirects_a_playlist_inside": live(leads_to(away, "308 Go")),
        "rendition_inside": live(file(f"{HEAD}{CHOICE}{away}\n")),
        "key_inside": live(listed(ROW, head=f'#EXT-X-KEY:METHOD=AES-128,URI="{away}"\n')),
        "head_inside": live(listed(ROW, head=f'#EXT-X-MAP:URI="{away}"\n')),
    }
    ports = {name: await _open(files) for name, files in {**PLAYLISTS, **inwards}.items()}
    ports |= {name: await _open(talk) for name, talk in PLAYED.items()}
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
