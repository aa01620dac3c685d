"""What a playlist says, and what no playlist can make of keeper."""

from datetime import UTC, datetime, timedelta

import pytest

from keeper.probes.playlist import (
    LINE_MAX,
    SEGMENTS_KEPT,
    VARIANTS_MAX,
    ByteRange,
    Choice,
    InitialPart,
    Playlist,
    Segment,
    Variant,
    attributes,
    cheapest,
    read_playlist,
)


def media(*lines: str, number: int = 5, target: object = 2) -> Playlist:
    head = f"#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{number}\n"
    found = read_playlist((head + "\n".join(lines) + "\n").encode())
    assert isinstance(found, Playlist)
    return found


def only(*lines: str) -> Segment:
    (segment,) = media(*lines).segments
    return segment


def master(*lines: str) -> tuple[Variant, ...]:
    found = read_playlist(("#EXTM3U\r\n" + "\r\n".join(lines)).encode())
    assert isinstance(found, Choice)
    return found.variants


def test_newest_segments_carry_their_numbers() -> None:
    found = media("#EXTINF:2.000,title", "a.ts?token=x%2Fy", "#EXTINF:1.5,", "b.ts")
    assert [(each.sequence, each.uri, each.duration_s) for each in found.segments] == [
        (5, "a.ts?token=x%2Fy", 2.0),
        (6, "b.ts", 1.5),
    ]
    assert (found.target_duration_s, found.is_ended) == (2.0, False)


def test_only_the_newest_of_a_hundred_thousand_are_kept() -> None:
    found = media(*("#EXTINF:1,\nx.ts" for _ in range(100_000)))
    assert (len(found.segments), found.segment_count) == (SEGMENTS_KEPT, 100_000)
    assert found.segments[-1].sequence == 100_004


def test_end_is_told_from_a_recording() -> None:
    assert not media("#EXTINF:1,", "a").is_ended
    ended = media("#EXTINF:1,", "a", "#EXT-X-ENDLIST")
    assert (ended.is_ended, ended.is_recording) == (True, False)
    assert media("#EXT-X-PLAYLIST-TYPE:VOD", "#EXTINF:1,", "a", "#EXT-X-ENDLIST").is_recording


def test_time_of_making_goes_on_to_later_segments_and_not_over_a_break() -> None:
    found = media(
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T08:00:00.500+0000", "#EXTINF:2,", "a",
        "#EXTINF:2,", "b", "#EXT-X-DISCONTINUITY", "#EXTINF:2,", "c",
    )  # fmt: skip
    first = datetime(2026, 11, 22, 8, 0, 0, 500_000, tzinfo=UTC)
    assert [each.made_at for each in found.segments] == [first, first + timedelta(seconds=2), None]
    assert [each.joint for each in found.segments] == [0, 0, 1]


@pytest.mark.parametrize(
    "said", ["", "yesterday", "2026-11-22T08:00:00", "9999-12-31T23:59:59.9+00:00", "2" * 8000]
)
def test_time_that_is_none_is_none(said: str) -> None:
    found = media(f"#EXT-X-PROGRAM-DATE-TIME:{said}", "#EXTINF:2,", "a", "#EXTINF:2,", "b")
    assert found.segments[-1].made_at is None


def test_parts_of_files_follow_each_other() -> None:
    found = media(
        '#EXT-X-MAP:URI="all.mp4",BYTERANGE="100@0"',
        "#EXTINF:2,", "#EXT-X-BYTERANGE:50@100", "all.mp4",
        "#EXTINF:2,", "#EXT-X-BYTERANGE:70", "all.mp4",
        "#EXTINF:2,", "whole.mp4",
    )  # fmt: skip
    assert [each.byte_range for each in found.segments] == [
        ByteRange(start=100, length=50), ByteRange(start=150, length=70), None,
    ]  # fmt: skip
    initial = InitialPart(uri="all.mp4", byte_range=ByteRange(start=0, length=100))
    assert all(each.initial == initial for each in found.segments)


def test_lock_holds_until_it_is_taken_away() -> None:
    found = media(
        '#EXT-X-KEY:METHOD=AES-128,URI="k?a=1,2",IV=0x0A', "#EXTINF:2,", "a",
        '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple"', "#EXTINF:2,", "b",
        "#EXT-X-KEY:METHOD=NONE", "#EXTINF:2,", "c",
    )  # fmt: skip
    first, second, third = (each.lock for each in found.segments)
    assert first is not None
    assert (first.method, first.uri, first.iv) == ("AES-128", "k?a=1,2", bytes(15) + b"\x0a")
    assert second is not None
    assert (second.method, second.key_format, second.iv) == ("SAMPLE-AES", "com.apple", None)
    assert third is None


def test_segments_that_are_missing_at_the_source_are_passed_over() -> None:
    found = media("#EXTINF:2,", "a", "#EXT-X-GAP", "#EXTINF:2,", "b")
    assert [each.uri for each in found.segments] == ["a"]
    assert found.segment_count == 2


def test_parts_of_low_latency_are_no_segments() -> None:
    assert only(
        '#EXT-X-PART:DURATION=0.3,URI="p1.mp4"', "#EXTINF:2,", "a.mp4",
        '#EXT-X-PART:DURATION=0.3,URI="p2.mp4"', '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p3.mp4"',
    ).uri == "a.mp4"  # fmt: skip


def test_characters_that_end_lines_elsewhere_do_not_cut_an_address() -> None:
    assert only("#EXTINF:2,\u2028x", "a.ts?x=\x85\u2028\x0bb").uri == "a.ts?x=\x85\u2028\x0bb"


def test_cheapest_rendition_with_a_picture_is_chosen() -> None:
    variants = master(
        '#EXT-X-STREAM-INF:BANDWIDTH=128000,CODECS="mp4a.40.2"', "audio.m3u8",
        '#EXT-X-STREAM-INF:BANDWIDTH=6000000,RESOLUTION=1920x1080,CODECS="avc1.64,mp4a"', "1080.m3u8",
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1000,URI="keyframes.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=300000,CODECS="avc1.42c00b,mp4a.40.2"', "160.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=1000", "says_nothing.m3u8",
    )  # fmt: skip
    chosen = cheapest(variants)
    assert chosen is not None
    assert (chosen.uri, chosen.bandwidth_bps) == ("160.m3u8", 300_000)
    assert cheapest(variants[:1]) is None
    assert cheapest(variants[-1:]) is not None


def test_sound_that_is_kept_apart_is_found() -> None:
    (variant,) = master(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="de",URI="de.m3u8"',
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="en.m3u8"',
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",URI="s.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=2x2,AUDIO="a"', "video.m3u8",
    )  # fmt: skip
    assert variant.sound_uri == "en.m3u8"


@pytest.mark.parametrize(
    "body", [b"", b"\n#EXTM3U", b"#EXTM3U8", b"<html>", b"\x47" * 188, b"\xff\xfe#"]
)
def test_what_is_no_playlist_is_none(body: bytes) -> None:
    assert read_playlist(body) is None


@pytest.mark.parametrize("body", [b"#EXTM3U", b"\xef\xbb\xbf#EXTM3U \r\n", b"#EXTM3U\nx.ts\n"])
def test_empty_playlist_is_one(body: bytes) -> None:
    found = read_playlist(body)
    assert isinstance(found, Playlist)
    assert found.segments == ()


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("2.5", 2.5), ("1e9", 3600.0), ("inf", 3600.0), ("nan", 0.0), ("-1", 0.0), ("x", 0.0), ("9" * 5000, 3600.0)],
)  # fmt: skip
def test_durations_are_bounded(said: str, seconds: float) -> None:
    found = media(f"#EXTINF:{said},", "a", target=said)
    assert (found.segments[0].duration_s, found.target_duration_s) == (seconds, seconds)


@pytest.mark.parametrize("said", ["-3", "x", "9" * 5000, "٣", ""])
def test_number_that_is_none_is_nought(said: str) -> None:
    assert media("#EXTINF:1,", "a", number=said).segments[0].sequence == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["x@y", "5@-1", "0@0", "9" * 50, "@", "5@x"])
def test_part_that_is_none_is_the_whole(said: str) -> None:
    assert only("#EXTINF:1,", f"#EXT-X-BYTERANGE:{said}", "a").byte_range is None


def test_number_of_renditions_and_length_of_lines_are_bounded() -> None:
    rows = (f"#EXT-X-STREAM-INF:BANDWIDTH={n}\n{n}.m3u8" for n in range(1000))
    assert len(master(*rows)) == VARIANTS_MAX
    assert media("#EXTINF:1,", "a" * (LINE_MAX + 1)).segments == ()


@pytest.mark.parametrize(
    "text", ['A="' * 2000, "A" * 8000, "=" * 8000, "a=," * 2000, '="', "a", ""]
)
def test_broken_attributes_are_a_few_or_none(text: str) -> None:
    assert len(attributes(text)) <= 64


def test_attributes_keep_commas_in_quotes() -> None:
    assert attributes('A=1,B="x,y=z", C=2') == {"A": "1", "B": "x,y=z", "C": "2"}
