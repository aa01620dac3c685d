"""The last pictures of a rental: few, bounded, and all of them different."""

from datetime import UTC, datetime, timedelta

from keeper.core.model import InstanceId
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


def test_a_rental_is_forgotten() -> None:
    frames = seen(b"a")
    frames.forget(HOST)
    assert not frames
    assert (frames.newest(HOST), frames.of(HOST)) == (None, ())
