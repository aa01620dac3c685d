"""Live playlists against a real server on loopback: what is asked, what is not, and what comes of it."""

import gzip
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keeper.adapters import hls
from keeper.adapters.decoder import Decoders
from keeper.adapters.kept import grids_of, recalled, written
from keeper.adapters.media import Media
from keeper.ports import MediaKind, MediaSource, PictureLimits, PictureSample
from tests.live_clip import fragments, segment, sound

pytestmark = [pytest.mark.xdist_group("hls"), pytest.mark.asyncio(loop_scope="module")]

LIMITS = PictureLimits(timeout_s=30.0, wants_frame=False)
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


class Clock:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Origin:
    """A server that has files, and notes what it is asked for."""

    files: dict[str, bytes | web.Response] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        if "Range" in request.headers:
            self.ranges.append(request.headers["Range"])
        found = self.files.get(request.path)
        if found is None:
            return web.Response(status=404)
        if not isinstance(found, bytes):
            return web.Response(status=found.status, headers=found.headers.copy(), body=found.body)
        if "Range" in request.headers:
            first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
            return web.Response(status=206, body=found[int(first) : int(last) + 1])
        return web.Response(body=found)

    def lists(
        self, *numbers: int, first: int | None = None, head: str = "", tail: str = ""
    ) -> None:
        """Publish a playlist of segments, and the segments."""
        for number in numbers:
            self.files[f"/{number}.ts"] = segment(number)
        rows = "".join(f"#EXTINF:1.0,\n{number}.ts\n" for number in numbers)
        number = numbers[0] if first is None else first
        self.files["/live.m3u8"] = (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{number}\n{head}{rows}{tail}"
        ).encode()

    def says(self, text: str, path: str = "/live.m3u8") -> None:
        self.files[path] = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{text}".encode()


@pytest_asyncio.fixture(loop_scope="module")
async def origin() -> AsyncIterator[Origin]:
    async for each in _served():
        yield each


@pytest_asyncio.fixture(loop_scope="module")
async def other() -> AsyncIterator[Origin]:
    async for each in _served():
        yield each


async def _served() -> AsyncIterator[Origin]:
    origin, app = Origin(), web.Application()
    app.router.add_get("/{path:.*}", origin.answer)
    async with TestServer(app) as server:
        origin.url = str(server.make_url("/live.m3u8"))
        yield origin


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def media() -> AsyncIterator[Media]:
    media = Media(decoders=Decoders(decoders=1), clock=Clock())
    yield media
    await media.close()


async def look(
    media: Media, origin: Origin, before: PictureSample | None = None, **more: object
) -> PictureSample:
    limits = replace(LIMITS, memory=before.memory if before else b"")
    source = MediaSource(kind=MediaKind.HLS, url=origin.url, is_declared=bool(more.pop("free", 0)))
    return await media.sample(source, replace(limits, **more))  # type: ignore[arg-type]


def later(sample: PictureSample, origin: Origin, seconds: float) -> PictureSample:
    """Let so much time have passed since a look."""
    kept = recalled(sample.memory, origin.url)
    kept.since_s -= seconds
    return replace(sample, memory=written(kept, grids_of(sample.memory), origin.url))


async def test_the_newest_segments_are_looked_at(media: Media, origin: Origin) -> None:
    origin.lists(*range(10))
    sample = await look(media, origin, sample_s=2.5)
    assert (sample.http_status, sample.error, sample.has_video) == (200, "", True)
    assert sorted(origin.asked) == ["/7.ts", "/8.ts", "/9.ts", "/live.m3u8"]
    assert sample.media_s == pytest.approx(3.0, abs=0.2)
    assert sample.change
    assert sample.newest_age_s == 0.0
    assert sample.bytes_read == sum(len(segment(number)) for number in (7, 8, 9))


async def test_two_segments_are_enough_where_they_are_long(media: Media, origin: Origin) -> None:
    origin.lists(1, 2, 3)
    await look(media, origin, sample_s=0.5)
    assert origin.asked == ["/live.m3u8", "/3.ts", "/2.ts"]


async def test_of_segments_that_cost_much_one_is_enough_for_a_second_look(
    media: Media, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hls, "_DEAR_BYTES", 1000)
    origin.lists(1, 2)
    first = await look(media, origin, sample_s=0.5)
    assert origin.asked == ["/live.m3u8", "/2.ts", "/1.ts"]
    origin.asked.clear()
    origin.lists(2, 3)
    second = await look(media, origin, first, sample_s=0.5)
    assert origin.asked == ["/live.m3u8", "/3.ts"]
    assert second.frames
    assert second.keyframe_interval_s


async def test_a_playlist_that_has_not_advanced_costs_one_question(
    media: Media, origin: Origin
) -> None:
    origin.lists(1, 2)
    first = await look(media, origin)
    origin.asked.clear()
    again = await look(media, origin, later(first, origin, 4.0))
    assert origin.asked == ["/live.m3u8"]
    assert (again.frames, again.mean_luma, again.error) == (first.frames, first.mean_luma, "")
    assert (first.is_repeat, again.is_repeat) == (False, True)
    assert again.newest_age_s is not None
    assert again.newest_age_s >= 4.0
    stalled = await look(media, origin, later(again, origin, 60.0))
    assert (stalled.error, stalled.frames, stalled.http_status) == ("stalled", 0, 200)
    origin.lists(2, 3)
    moved = await look(media, origin, stalled)
    assert (moved.error, moved.newest_age_s, moved.is_repeat) == ("", 0.0, False)
    assert moved.frames


async def test_tokens_that_change_make_no_new_segment(media: Media, origin: Origin) -> None:
    origin.lists(1, 2)
    listed = origin.files["/live.m3u8"]
    assert isinstance(listed, bytes)
    origin.files["/live.m3u8"] = listed.replace(b".ts", b".ts?token=a%2Fb~c")
    first = await look(media, origin)
    assert "/2.ts?token=a%2Fb~c" in origin.asked
    origin.asked.clear()
    origin.files["/live.m3u8"] = listed.replace(b".ts", b".ts?token=z")
    await look(media, origin, first)
    assert origin.asked == ["/live.m3u8"]


async def test_a_playlist_that_repeats_its_segments_under_new_names_is_no_live_one(
    media: Media, origin: Origin
) -> None:
    origin.lists(1, 2)
    first = await look(media, origin, sample_s=0.5)
    for number in (3, 4):
        origin.files[f"/{number}.ts"] = segment(number - 2)
    rows = "#EXTINF:1,\n3.ts\n#EXTINF:1,\n4.ts\n"
    origin.says(f"#EXT-X-MEDIA-SEQUENCE:3\n{rows}")
    again = await look(media, origin, later(first, origin, 60.0), sample_s=0.5)
    assert again.error == "stalled"


async def test_numbers_that_go_backwards_begin_anew(media: Media, origin: Origin) -> None:
    """An encoder that was started again counts from nought."""
    origin.lists(100, 101)
    first = await look(media, origin)
    origin.lists(0, 1)
    second = await look(media, origin, first)
    assert (second.error, second.newest_age_s) == ("", 0.0)
    assert second.frames


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ("#EXT-X-ENDLIST\n", "ended"),
        ("#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-ENDLIST\n", "ended"),
        ("#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-ENDLIST\n", "recording"),
    ],
)
async def test_an_end_is_said(media: Media, origin: Origin, tail: str, said: str) -> None:
    origin.lists(1, 2, tail=tail)
    sample = await look(media, origin)
    assert (sample.http_status, sample.error, sample.frames) == (200, said, 0)
    assert origin.asked == ["/live.m3u8"]


async def test_latency_is_told_where_the_playlist_says_when_it_was_made(
    media: Media, origin: Origin
) -> None:
    made = (NOW - timedelta(seconds=9)).isoformat()
    origin.lists(1, 2, 3, head=f"#EXT-X-PROGRAM-DATE-TIME:{made}\n")
    assert (await look(media, origin)).latency_s == pytest.approx(6.0)
    made = (NOW + timedelta(days=9)).isoformat()
    origin.lists(1, 2, 3, 4, head=f"#EXT-X-PROGRAM-DATE-TIME:{made}\n")
    assert (await look(media, origin)).latency_s is None


async def test_only_one_timeline_is_looked_at(media: Media, origin: Origin) -> None:
    origin.lists(1, 2)
    origin.files["/3.ts"] = segment(3)
    origin.files["/live.m3u8"] += b"#EXT-X-DISCONTINUITY\n#EXTINF:1,\n3.ts\n"  # type: ignore[operator]
    await look(media, origin)
    assert origin.asked == ["/live.m3u8", "/3.ts"]


MASTER = (
    '#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2"\nsound.m3u8\n'
    "#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080\nlarge.m3u8\n"
    "#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=160x90\nlive.m3u8?expires=1\n"
)


async def test_the_cheapest_picture_is_chosen_once(media: Media, origin: Origin) -> None:
    origin.lists(1, 2)
    origin.says(MASTER, "/master.m3u8")
    origin.url = origin.url.replace("live", "master")
    first = await look(media, origin)
    assert origin.asked[:2] == ["/master.m3u8", "/live.m3u8?expires=1"]
    origin.asked.clear()
    again = await look(media, origin, first)
    assert origin.asked == ["/live.m3u8?expires=1"]
    # The address is good for a while only: all of them are asked for again, within the same look.
    origin.asked.clear()
    origin.lists(2, 3)
    origin.files["/new.m3u8"] = origin.files.pop("/live.m3u8")
    origin.says(MASTER.replace("live", "new"), "/master.m3u8")
    renewed = await look(media, origin, again)
    assert origin.asked[:3] == ["/live.m3u8?expires=1", "/master.m3u8", "/new.m3u8?expires=1"]
    assert renewed.frames


@pytest.mark.parametrize("how", ["ended", "stalled"])
async def test_a_stream_that_begins_anew_elsewhere_is_found(
    media: Media, origin: Origin, how: str
) -> None:
    """A platform gives each broadcast its own addresses, and leaves the old playlist where it was."""
    origin.lists(1, 2)
    origin.says(MASTER, "/master.m3u8")
    origin.url = origin.url.replace("live", "master")
    first = await look(media, origin)
    if how == "ended":
        origin.lists(1, 2, tail="#EXT-X-ENDLIST\n")
    over = await look(media, origin, later(first, origin, 60.0))
    assert (over.error, over.frames) == (how, 0)
    old = origin.files["/live.m3u8"]
    origin.lists(7, 8)
    origin.files["/new.m3u8"], origin.files["/live.m3u8"] = origin.files["/live.m3u8"], old
    origin.says(MASTER.replace("live", "new"), "/master.m3u8")
    anew = await look(media, origin, over)
    assert (anew.error, anew.newest_age_s) == ("", 0.0)
    assert anew.frames


async def test_a_choice_that_leads_to_a_choice_ends(media: Media, origin: Origin) -> None:
    origin.says(MASTER)
    sample = await look(media, origin)
    assert "another choice" in sample.error
    assert origin.asked == ["/live.m3u8", "/live.m3u8?expires=1"]


async def test_sound_that_is_kept_apart_is_heard(media: Media, origin: Origin) -> None:
    origin.lists(1, 2)
    origin.says(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="sound.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=3,RESOLUTION=2x2,AUDIO="a"\nlive.m3u8\n',
        "/master.m3u8",
    )
    origin.files["/1.aac"] = sound(1)
    origin.says("#EXTINF:1,\n1.aac\n", "/sound.m3u8")
    origin.url = origin.url.replace("live", "master")
    sample = await look(media, origin)
    assert (sample.has_video, sample.has_sound) == (True, True)
    assert sample.sound_dbfs == pytest.approx(-13, abs=3)
    del origin.files["/sound.m3u8"]
    origin.lists(2, 3)
    sample = await look(media, origin, sample)
    assert (sample.has_sound, sample.sound_dbfs) == (True, None)  # not heard, which is not silent


async def test_parts_of_one_file_with_a_head(media: Media, origin: Origin) -> None:
    head, first = fragments(1)
    _, second = fragments(2)
    origin.files["/all.mp4"] = head + first + second
    rows = "".join(
        f"#EXTINF:1,\n#EXT-X-BYTERANGE:{len(part)}{at}\nall.mp4\n"
        for part, at in ((first, f"@{len(head)}"), (second, ""))
    )
    origin.says(f'#EXT-X-MAP:URI="all.mp4",BYTERANGE="{len(head)}@0"\n{rows}')
    sample = await look(media, origin)
    assert (sample.error, sample.has_video) == ("", True)
    assert sample.media_s == pytest.approx(2.0, abs=0.2)
    assert origin.ranges == [
        f"bytes=0-{len(head) - 1}",
        f"bytes={len(head) + len(first)}-{len(head) + len(first) + len(second) - 1}",
        f"bytes={len(head)}-{len(head) + len(first) - 1}",
    ]


@pytest.mark.parametrize("iv", [None, 77])
async def test_encrypted_segments_whose_key_anybody_gets_are_opened(
    media: Media, origin: Origin, iv: int | None
) -> None:
    key = bytes(range(16))
    origin.files["/key"] = key
    origin.lists(5, 6)
    for number in (5, 6):
        padder = padding.PKCS7(128).padder()
        start = (number if iv is None else iv).to_bytes(16, "big")
        encryptor = Cipher(algorithms.AES128(key), modes.CBC(start)).encryptor()
        padded = padder.update(segment(number)) + padder.finalize()
        origin.files[f"/{number}.ts"] = encryptor.update(padded) + encryptor.finalize()
    said = "" if iv is None else f",IV={iv:#034x}"
    origin.files["/live.m3u8"] = origin.files["/live.m3u8"].replace(  # type: ignore[union-attr]
        b"#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="key"{said}\n#EXTINF'.encode(), 1
    )
    sample = await look(media, origin)
    assert sample.frames
    assert sample.change
    assert origin.asked.count("/key") == 1


async def test_encryption_that_keeper_does_not_open_is_unknown(
    media: Media, origin: Origin
) -> None:
    origin.lists(1, head='#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"\n')
    sample = await look(media, origin)
    assert sample.is_own_fault
    assert "encrypted" in sample.error


async def test_a_packed_playlist_is_read_though_nobody_asked_for_it(
    media: Media, origin: Origin
) -> None:
    origin.lists(1, 2)
    packed = gzip.compress(origin.files["/live.m3u8"])  # type: ignore[arg-type]
    origin.files["/live.m3u8"] = web.Response(body=packed, headers={"Content-Encoding": "gzip"})
    assert (await look(media, origin)).frames


async def test_a_segment_beyond_the_bound_is_judged_by_what_came(
    media: Media, origin: Origin
) -> None:
    origin.lists(1)
    origin.files["/1.ts"] = b"".join(segment(number) for number in range(30))
    sample = await look(media, origin, bytes_max=40_000)
    assert sample.bytes_read <= 40_000
    assert (sample.error, sample.has_video) == ("", True)
    assert sample.change


async def test_an_answer_that_is_none_is_said(media: Media, origin: Origin) -> None:
    assert (await look(media, origin)).http_status == 404
    origin.files["/live.m3u8"] = b"<html>"
    assert (await look(media, origin)).error == "not playlist"
    origin.says("")
    assert (await look(media, origin)).error == "the playlist is empty"
    origin.lists(1, 2)
    del origin.files["/2.ts"]
    assert (await look(media, origin)).http_status == 404
    origin.lists(1, 2)
    origin.files["/1.ts"] = origin.files["/2.ts"] = b"<html>" * 100
    sample = await look(media, origin)
    assert (sample.frames, sample.undecodable_frames) == (0, 1)


async def test_a_certificate_that_nobody_vouches_for_is_said(media: Media, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = x509.CertificateBuilder(
        name, name, key.public_key(), 7, NOW, NOW.replace(year=2099)
    )
    (tmp_path / "pem").write_bytes(
        certificate.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pem")
    origin = Origin()
    server = TestServer(web.Application(), scheme="https")
    await server.start_server(ssl=context)
    try:
        origin.url = str(server.make_url("/live.m3u8"))
        sample = await look(media, origin)
        assert (sample.http_status, sample.is_own_fault) == (0, False)
        assert "certificate" in sample.error
    finally:
        await server.close()


# --- where a source may lead -----------------------------------------------------------------------


def away(target: str) -> web.Response:
    return web.Response(status=302, headers={"Location": target})


async def test_three_redirects_are_followed_and_a_fourth_is_not(
    media: Media, origin: Origin
) -> None:
    origin.lists(1, 2)
    origin.files["/live.m3u8"], live = away("a"), origin.files["/live.m3u8"]
    origin.files |= {
        "/a": away("/b?x=1"),
        "/b": away(origin.url.replace("live", "c")),
        "/c.m3u8": live,
    }
    assert (await look(media, origin)).frames
    assert origin.asked[:4] == ["/live.m3u8", "/a", "/b?x=1", "/c.m3u8"]
    origin.files["/c.m3u8"] = away("/d.m3u8")
    origin.files["/d.m3u8"] = live
    assert "redirects" in (await look(media, origin)).error


EVIL = (
    "{other}",
    "http://169.254.169.254/latest/meta-data/",
    "http://localhost:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "//127.0.0.1:9877/x.ts",
    "http://127.1:9877/",
    "http://2130706433/",
    "https://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "rtmp://127.0.0.1/",
    "data:video/mp2t;base64,AAAA",
    "http://user@evil.example:{port}/",
    "http://[::",
    "http://127.0.0.1:99999999/",
    "HTTP://127.0.0.1.:{port}/",
)


@pytest.mark.parametrize("way", ["redirect", "segment", "rendition", "key", "head", "sound"])
@pytest.mark.parametrize("evil", EVIL)
async def test_a_host_leads_nowhere_but_to_itself(
    media: Media, origin: Origin, other: Origin, way: str, evil: str
) -> None:
    port = origin.url.rpartition(":")[2].partition("/")[0]
    target = evil.format(other=other.url, port=port)
    origin.lists(1, 2)
    listed = origin.files["/live.m3u8"]
    assert isinstance(listed, bytes)
    match way:
        case "redirect":
            origin.files["/live.m3u8"] = away(target)
        case "segment":
            origin.says(f"#EXTINF:1,\n1.ts\n#EXTINF:1,\n{target}\n")
        case "rendition":
            origin.says(f"#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n")
        case "key":
            origin.lists(1, 2, head=f'#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n')
        case "head":
            origin.lists(1, 2, head=f'#EXT-X-MAP:URI="{target}"\n')
        case _:
            origin.files["/live.m3u8"] = (
                f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="{target}"\n'
                '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nv.m3u8\n'
            ).encode()
            origin.files["/v.m3u8"] = listed
    sample = await look(media, origin)
    assert other.asked == []
    if way == "sound":
        assert sample.frames
    else:
        assert (sample.frames, sample.is_own_fault) == (0, False)
        assert "leads elsewhere" in sample.error


async def test_what_the_operator_declared_may_lead_on(
    media: Media, origin: Origin, other: Origin
) -> None:
    """A platform's playlists and segments are on several servers; here all of them are as near as the first."""
    other.lists(1, 2)
    origin.files["/live.m3u8"] = away(other.url)
    assert (await look(media, origin, free=True)).frames
    origin.says("#EXTINF:1,\nhttp://169.254.169.254/latest/x.ts\n")
    sample = await look(media, origin, free=True)
    assert "leads elsewhere" in sample.error


async def test_memory_of_another_source_counts_for_nothing(
    media: Media, origin: Origin, other: Origin
) -> None:
    origin.lists(1, 2)
    other.lists(1, 2)
    first = await look(media, origin)
    assert (await look(media, other, first)).newest_age_s == 0.0
    assert "/2.ts" in other.asked
    for memory in (b"x", first.memory[:-7], first.memory[40:], bytes(2000)):
        assert (await look(media, other, replace(first, memory=memory))).frames


async def test_no_text_of_a_look_shows_the_tokens_of_its_addresses(
    media: Media, origin: Origin
) -> None:
    origin.lists(1, 2)
    origin.says(MASTER.replace("expires=1", "token=s3cret"), "/master.m3u8")
    origin.url = origin.url.replace("live.m3u8", "master.m3u8?token=s3cret")
    limits = replace(LIMITS, memory=(await look(media, origin)).memory)
    assert b"s3cret" in limits.memory
    source = MediaSource(kind=MediaKind.HLS, url=origin.url)
    del origin.files["/live.m3u8"], origin.files["/master.m3u8"]
    sample = await media.sample(source, limits)
    assert sample.http_status == 404
    assert "s3cret" not in f"{source!r} {limits!r} {sample!r}"
