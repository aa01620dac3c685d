"""Numbers out of real streams, whatever they are coded in, and whatever has become of them on the way."""

import io
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import av
import pytest
import pytest_asyncio
from PIL import Image

from keeper.adapters import watching
from keeper.adapters.decoder import Decoded, Decoders
from keeper.ports import PictureLimits, Region
from tests.coded_clip import coded, moving, standing

pytestmark = [
    pytest.mark.xdist_group("decoder"),
    pytest.mark.asyncio(loop_scope="module"),
]

LIMITS = PictureLimits()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoders() -> AsyncIterator[Decoders]:
    made = Decoders()
    yield made
    await made.close()


async def test_a_live_segment_in_numbers(decoders: Decoders) -> None:
    found = await decoders.segments([coded(seconds=2.0, loudness=0.5)], LIMITS)
    assert (found.error, found.is_own_fault, found.undecodable_frames) == ("", False, 0)
    assert (found.frames, found.unique_frames) == (40, 40)
    assert found.media_s == pytest.approx(2.0, abs=0.05)
    assert found.keyframe_interval_s == pytest.approx(0.5, abs=0.01)
    assert found.mean_luma == pytest.approx(70, abs=2)
    assert found.bright_luma == pytest.approx(220, abs=4)
    assert found.change is not None
    assert found.change > 20
    assert found.motion is not None
    assert found.motion > 5
    assert found.compared_s >= 1.0
    assert (found.has_video, found.has_sound) == (True, True)
    assert found.sound_dbfs == pytest.approx(-9.0, abs=2.5)  # a tone of half of full scale, pressed
    assert found.bytes_read > 0


@pytest.mark.parametrize("form", ["mpegts", "mp4"])
async def test_segments_are_one_stream(decoders: Decoders, form: str) -> None:
    if form == "mp4":
        whole = coded(form="mp4", seconds=2.0)
        at = whole.index(b"moof") - 4
        parts = [whole[:at], whole[at:]]
    else:
        parts = [coded(begin_s=at) for at in (10.0, 11.0)]
    found = await decoders.segments(parts, LIMITS)
    assert (found.frames, found.error) == (40, "")
    assert found.media_s == pytest.approx(2.0, abs=0.1)


async def test_a_clock_that_is_set_back_is_the_same_stream(decoders: Decoders) -> None:
    parts = [coded(begin_s=at) for at in (90_000.0, 3.0)]
    found = await decoders.segments(parts, LIMITS)
    assert found.frames == 40
    assert found.media_s == pytest.approx(2.0, abs=0.2)


async def test_sound_alone_is_heard(decoders: Decoders) -> None:
    for form in ("adts", "mpegts"):
        clip = coded(form=form, has_picture=False, loudness=0.5)
        found = await decoders.segments([clip], LIMITS)
        assert (found.has_video, found.has_sound, found.frames) == (False, True, 0)
        assert found.sound_dbfs == pytest.approx(-9.0, abs=2.5)
        assert found.media_s == pytest.approx(1.0, abs=0.1)


async def test_silence_has_a_level_and_no_sound_has_none(decoders: Decoders) -> None:
    silent = await decoders.segments([coded(loudness=0.0)], LIMITS)
    assert silent.has_sound
    assert silent.sound_dbfs is not None
    assert silent.sound_dbfs < -80
    mute = await decoders.segments([coded()], LIMITS)
    assert (mute.has_sound, mute.sound_dbfs) == (False, None)


@pytest.mark.parametrize("luma", [0, 16, 128, 255])
async def test_darkness_is_darkness_in_the_narrow_range_of_video(
    decoders: Decoders, luma: int
) -> None:
    found = await decoders.segments([coded(draw=standing(luma))], LIMITS)
    assert found.mean_luma == pytest.approx(luma, abs=2)
    assert found.bright_luma == pytest.approx(luma, abs=2)


async def test_a_look_is_compared_with_the_look_before(decoders: Decoders) -> None:
    first = await decoders.segments([coded(draw=standing(90), gop=100)], LIMITS)
    kept = replace(LIMITS, memory=first.memory)
    same = await decoders.segments([coded(draw=standing(90), gop=100)], kept)
    assert same.change == 0
    other = await decoders.segments([coded(draw=standing(120), gop=100)], kept)
    assert other.change is not None
    assert other.change > 10


async def test_what_is_ignored_moves_nothing(decoders: Decoders) -> None:
    everywhere = Region(left=0.0, top=0.25, width=1.0, height=0.5)
    limits = replace(LIMITS, ignored=(everywhere,))
    found = await decoders.segments([coded(seconds=2.0)], limits)
    assert not found.change


@pytest.mark.parametrize(
    "options", [{}, {"x264-params": "nal-hrd=cbr:bitrate=900:vbv-maxrate=900"}]
)
async def test_frames_that_are_repeated_are_not_counted_as_new(
    decoders: Decoders, options: dict[str, str]
) -> None:
    """An encoder that must keep a bitrate fills a repeated frame up with nothing."""
    limited = {**options, "b": "900k", "maxrate": "900k", "bufsize": "900k"} if options else {}
    clip = coded(
        draw=lambda index, size: moving(index // 6, size), rate=30, gop=30, options=limited
    )
    found = await decoders.segments([clip], LIMITS)
    assert found.frames == 30
    assert 4 <= found.unique_frames <= 15  # five, and what is refined after each of them


async def test_a_thumbnail_is_made_only_when_it_is_wanted(decoders: Decoders) -> None:
    clip = coded(size=(960, 540), seconds=0.2)
    found = await decoders.segments([clip], LIMITS)
    picture = Image.open(io.BytesIO(found.newest_frame))
    assert (picture.format, picture.size) == ("JPEG", (320, 180))
    plain = await decoders.segments([clip], replace(LIMITS, wants_frame=False))
    assert plain.newest_frame == b""
    assert plain.mean_luma == found.mean_luma


INTERLACED = 1 << 18  # AV_CODEC_FLAG_INTERLACED_DCT, libavcodec/avcodec.h
CODED: dict[str, dict[str, Any]] = {
    "10 bits": {"pixels": "yuv420p10le"},
    "4:4:4": {"pixels": "yuv444p"},
    "full range": {"pixels": "yuvj420p"},
    "interlaced": {"flags": INTERLACED, "options": {"x264-params": "tff=1"}},
    "B frames": {"options": {"preset": "fast", "bf": "3"}},
    "HEVC": {"codec": "libx265", "options": {"x265-params": "log-level=none:pools=1"}},
    "HEVC of 10 bits": {
        "codec": "libx265",
        "pixels": "yuv420p10le",
        "options": {"x265-params": "log-level=none:pools=1"},
    },
    "VP9": {"codec": "libvpx-vp9", "form": "mp4", "options": {"deadline": "realtime"}},
    "MPEG-2": {"codec": "mpeg2video"},
    "tiny": {"size": (16, 16)},
    "tall": {"size": (108, 640)},
    "all keyframes": {"gop": 1},
}


@pytest.mark.parametrize("name", CODED)
async def test_any_way_of_coding_gives_the_same_numbers(decoders: Decoders, name: str) -> None:
    found = await decoders.segments([coded(draw=standing(120), **CODED[name])], LIMITS)
    assert (found.error, found.undecodable_frames, found.is_own_fault) == ("", 0, False)
    assert found.frames == 20
    assert found.mean_luma == pytest.approx(120, abs=3)
    assert found.newest_frame


async def test_a_stream_of_one_keyframe_is_seen(decoders: Decoders) -> None:
    found = await decoders.segments([coded(seconds=3.0, gop=1000)], LIMITS)
    assert (found.frames, found.keyframe_interval_s) == (60, None)
    assert found.mean_luma is not None
    assert found.change is not None


async def test_a_look_between_two_keyframes_knows_nothing_of_the_picture(
    decoders: Decoders,
) -> None:
    out = io.BytesIO()
    whole = io.BytesIO(coded(seconds=2.0, gop=1000))
    with av.open(whole, "r") as source, av.open(out, "w", format="mpegts") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and not packet.is_keyframe:
                packet.stream = stream
                target.mux(packet)
    found = await decoders.segments([out.getvalue()], LIMITS)
    assert (found.is_own_fault, found.error) == (True, "no keyframe came while it was looked at")
    assert (found.frames, found.mean_luma) == (39, None)


async def test_a_picture_may_change_its_size_under_way(decoders: Decoders) -> None:
    parts = [
        coded(size=(192, 108), draw=standing(100)),
        coded(size=(640, 360), draw=standing(100), begin_s=1.0),
        coded(size=(64, 64), draw=standing(100), begin_s=2.0),
    ]
    found = await decoders.segments(parts, LIMITS)
    assert found.frames == 60
    assert found.mean_luma == pytest.approx(100, abs=2)
    assert not found.change


# --- what strangers send ------------------------------------------------------------------------------

CLIP = coded(loudness=0.2)
HEAD = coded(form="mp4")
BROKEN = {
    "nothing": b"",
    "a byte": b"G",
    "zeros": bytes(50_000),
    "noise": random.Random(3).randbytes(50_000),
    "a page": b"<html><body>404</body></html>" * 50,
    "text of a playlist": b"#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n",
    "packets of nothing": (b"G" + bytes(187)) * 500,
    "packets of noise": b"".join(b"G" + random.Random(at).randbytes(187) for at in range(500)),
    "a head without fragments": HEAD[: HEAD.index(b"moof") - 4],
    "fragments without a head": HEAD[HEAD.index(b"moof") - 4 :],
    "a box of four gigabytes": b"\xff\xff\xff\xffmoov" + bytes(5_000),
    "a tag that never ends": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(5_000),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_stream_is_named_and_survived(decoders: Decoders, name: str) -> None:
    found = await decoders.segments([BROKEN[name]], LIMITS)
    assert not found.is_own_fault
    assert (found.frames, found.mean_luma) == (0, None)
    assert found.error
    assert len(found.error) <= 200
    assert (await decoders.segments([CLIP], LIMITS)).frames == 20


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_a_segment_that_breaks_off_still_gives_its_frames(
    decoders: Decoders, share: float
) -> None:
    found = await decoders.segments([CLIP[: int(len(CLIP) * share)]], LIMITS)
    assert not found.is_own_fault
    assert found.frames < 20
    assert share < 0.5 or found.mean_luma is not None


async def test_damage_anywhere_ends_as_an_answer(decoders: Decoders) -> None:
    dice = random.Random(11)
    for whole in (CLIP, HEAD):
        for _ in range(20):
            damaged = bytearray(whole)
            for _ in range(dice.choice((1, 5, 50))):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            found = await decoders.segments([bytes(damaged)], LIMITS, source="damaged")
            assert isinstance(found, Decoded)
            assert not found.error.startswith("the decoder has failed"), found
            assert found.frames < 1_000


async def test_a_picture_of_absurd_size_is_not_decoded(decoders: Decoders) -> None:
    """A few bytes of H.264 can announce sixty thousand pixels square."""
    small = coded(gop=1, seconds=0.5)
    huge = _announcing(small, 60_000, 60_000)
    assert huge != small
    found = await decoders.segments([huge], LIMITS)
    assert not found.is_own_fault
    assert found.mean_luma is None
    assert found.undecodable_frames
    assert (await decoders.segments([CLIP], LIMITS)).frames == 20


def _announcing(clip: bytes, width: int, height: int) -> bytes:
    """Return the clip with a parameter set of our own making before each picture, muxed anew."""

    bits = f"{_ue(0)}{_ue(0)}{_ue(2)}{_ue(1)}0{_ue(width // 16 - 1)}{_ue(height // 16 - 1)}11001"
    bits += "0" * (-len(bits) % 8)
    sps = bytes([0, 0, 0, 1, 0x67, 66, 0, 62])
    sps += int(bits, 2).to_bytes(len(bits) // 8, "big")
    out = io.BytesIO()
    with av.open(io.BytesIO(clip), "r") as source, av.open(out, "w", format="mpegts") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                data = bytes(packet)
                at = data.index(b"\x67")
                end = data.index(b"\x00\x00\x01", at)
                made = av.Packet(data[: at - 4] + sps + data[end - 1 :])
                made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
                made.is_keyframe = packet.is_keyframe
                made.stream = stream
                target.mux(made)
    return out.getvalue()


def _ue(number: int) -> str:
    """Return an Exp-Golomb code (ITU-T H.264, 9.1)."""
    plain = f"{number + 1:b}"
    return "0" * (len(plain) - 1) + plain


@pytest.mark.parametrize(("work_s", "most"), [(1.5, 9), (0.0, 3)])
async def test_a_look_that_has_cost_enough_is_over(
    monkeypatch: pytest.MonkeyPatch, work_s: float, most: int
) -> None:
    """A large picture that stands, looked at closer, would end its decoder, and twice would be corrupt."""
    monkeypatch.setattr(watching, "_WORK_S", work_s)
    with av.open(io.BytesIO(coded(seconds=2.0, draw=standing(90), gop=5)), "r") as container:
        look = watching.Watching(container)
        look.watch(lambda: False)
        look.look_closer()
        look.count_new(has_moved=True)
    assert 1 <= len(look.pictures) <= most
    assert look.packets.count == 40
    assert look.undecodable == 0


# --- single pictures ------------------------------------------------------------------------------


async def test_pictures_are_compared_by_what_they_show(decoders: Decoders) -> None:
    found = await decoders.jpegs([jpeg(50), jpeg(150)], LIMITS, at_s=[1.0, 2.0])
    assert found.mean_luma == pytest.approx(150, abs=2)
    assert found.motion == pytest.approx(100, abs=3)
    assert found.change is not None
    assert found.change > 50
    assert found.compared_s == 1.0
    assert (found.undecodable_frames, found.is_own_fault) == (0, False)


async def test_only_the_newest_picture_says_how_dark_it_is(decoders: Decoders) -> None:
    broken = b"\xff\xd8" + bytes(300) + b"\xff\xd9"
    found = await decoders.jpegs([jpeg(50), broken], LIMITS)
    assert (found.mean_luma, found.undecodable_frames) == (None, 1)
    assert await decoders.jpegs([], LIMITS) == Decoded()


async def test_the_same_picture_again_is_not_decoded_again() -> None:
    there = Decoders()
    first = await there.jpegs([jpeg(77)], LIMITS, at_s=[1.0])
    await there.close()  # nothing can be decoded any more
    again = await there.jpegs([jpeg(77)], replace(LIMITS, memory=first.memory), at_s=[9.0])
    assert (again.mean_luma, again.bright_luma) == (first.mean_luma, first.bright_luma)
    assert (again.change, again.compared_s) == (0.0, 8.0)
    assert not again.is_own_fault
    other = await there.jpegs([jpeg(78)], LIMITS)
    assert other.is_own_fault


async def test_without_the_extra_pictures_are_decoded_and_streams_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    there = Decoders()
    monkeypatch.undo()
    found = await there.segments([CLIP], LIMITS)
    assert found.is_own_fault
    assert "`media`" in found.error
    assert (await there.jpegs([jpeg(50)], LIMITS)).mean_luma == pytest.approx(50, abs=2)
    await there.close()


def jpeg(luma: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (320, 180), luma).save(out, "JPEG")
    return out.getvalue()
