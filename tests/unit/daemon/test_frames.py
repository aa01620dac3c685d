"""The last pictures of a rental: few, bounded, and all of them different."""

from datetime import UTC, datetime, timedelta

import pytest

from keeper.core.model import InstanceId
from keeper.daemon import frames as frames_module
from keeper.daemon.frames import BYTES_MAX, FRAMES_MAX, Frame, LastFrames

HOST = InstanceId(7)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def seen(*pictures: bytes) -> LastFrames:
    frames = LastFrames()
    for second, picture in enumerate(pictures):
        frames.add(HOST, picture, NOW + timedelta(seconds=second))
    return frames


def test_the_newest_are_kept_oldest_first() -> None:
    frames = seen(*(str(number).encode() for number in range(9)))
    assert [each.jpeg for each in frames.of(HOST)] == [b"4", b"5", b"6", b"7", b"8"]
    assert len(frames.of(HOST)) == FRAMES_MAX
    assert frames.newest(HOST) == Frame(at=NOW + timedelta(seconds=8), jpeg=b"8")


def test_a_picture_that_stands_still_leaves_room_for_what_was_before() -> None:
    """Of a frozen stream it is the last moving seconds that are asked for."""
    frames = seen(b"moving", b"still", b"still", b"still", b"still", b"still")
    assert [(each.jpeg, each.at) for each in frames.of(HOST)] == [
        (b"moving", NOW), (b"still", NOW + timedelta(seconds=1)),
    ]  # fmt: skip


def test_large_pictures_are_fewer_and_the_newest_is_always_there() -> None:
    large = BYTES_MAX // 2
    frames = seen(b"a" * large, b"b" * large, b"c" * large)
    assert [each.jpeg[:1] for each in frames.of(HOST)] == [b"b", b"c"]
    newest = seen(b"a", b"d" * (2 * BYTES_MAX)).newest(HOST)
    assert newest is not None
    assert newest.jpeg == b"d" * (2 * BYTES_MAX)
    assert len(seen(b"a", b"d" * (2 * BYTES_MAX)).of(HOST)) == 1


def test_the_last_good_picture_stays_whatever_comes_after_it() -> None:
    """A frozen picture with noise on it is another one in every look; so is a black one."""
    frames = LastFrames()
    for second in range(40):
        frames.add(HOST, b"%d" % second, NOW + timedelta(seconds=second))
        frames.judged(HOST, is_good=second < 10)
    assert [each.jpeg for each in frames.of(HOST)] == [b"9", b"36", b"37", b"38", b"39"]
    frames.add(HOST, b"40", NOW + timedelta(seconds=40))
    frames.judged(HOST, is_good=True)
    for second in range(41, 44):
        frames.add(HOST, b"%d" % second, NOW + timedelta(seconds=second))
        frames.judged(HOST, is_good=True)
    assert [each.jpeg for each in frames.of(HOST)] == [b"39", b"40", b"41", b"42", b"43"]


def test_the_last_good_picture_stays_however_large_it_is() -> None:
    """A camera's frames are as large as it likes, and two of them may be more than all is to be."""
    frames, large = LastFrames(), b"x" * BYTES_MAX
    for second, is_good in enumerate((True, True, False, False, False)):
        frames.add(HOST, b"%d" % second + large, NOW + timedelta(seconds=second))
        frames.judged(HOST, is_good=is_good)
    assert [each.jpeg[:1] for each in frames.of(HOST)] == [b"1", b"4"]


def test_a_picture_that_was_good_when_it_came_stays_so_when_it_freezes() -> None:
    frames = LastFrames()
    for is_good in (True, False):
        frames.add(HOST, b"a", NOW)
        frames.judged(HOST, is_good=is_good)
    assert [each.is_good for each in frames.of(HOST)] == [True]


def test_many_rentals_with_large_pictures_keep_only_their_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames_module, "ALL_BYTES_MAX", 10)
    frames = seen(b"a" * 4, b"b" * 4, b"c" * 4)
    other = InstanceId(8)
    for second, picture in enumerate((b"x" * 4, b"y" * 4)):
        frames.add(other, picture, NOW + timedelta(seconds=second))
    assert [len(frames.of(each)) for each in (HOST, other)] == [3, 1]
    frames.add(HOST, b"d", NOW + timedelta(seconds=9))
    assert len(frames.of(HOST)) == 4, "without it there is room"
    frames.forget(HOST)
    frames.add(other, b"z", NOW + timedelta(seconds=9))
    assert [each.jpeg for each in frames.of(other)] == [b"y" * 4, b"z"]


def test_a_rental_is_forgotten() -> None:
    frames = seen(b"a")
    frames.forget(HOST)
    assert not frames
    assert (frames.newest(HOST), frames.of(HOST)) == (None, ())
