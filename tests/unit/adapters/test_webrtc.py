"""What a player says is not believed blindly: it has decoded what strangers sent, and may be theirs by now."""

import base64
import json
from typing import Any

import pytest

from keeper.adapters.webrtc_told import Told, picture_of, told_by
from keeper.ports import Region
from keeper.probes.grid import COLUMNS, ROWS, recall

SEEN: dict[str, Any] = {
    "relay": True, "connected": True, "bytes": 90_000, "error": "", "frames": 30, "unique": 29,
    "sampled_s": 2.5, "luma": 90.5, "motion": None, "jpeg": base64.b64encode(b"\xff\xd8").decode(),
}  # fmt: skip


def said(**changed: Any) -> bytes:
    return json.dumps({"end": {**SEEN, **changed}}).encode()


def test_what_a_player_says_is_read() -> None:
    told = told_by(said())
    assert told is not None
    assert told.end is not None
    picture = picture_of(told.end)
    assert (picture.frames, picture.unique_frames, picture.mean_luma) == (30, 29, 90.5)
    assert picture.newest_frame == b"\xff\xd8"
    assert told_by(b'{"answer": "v=0"}') == Told(answer="v=0")


def test_what_was_heard_is_read_and_is_nothing_without_a_track() -> None:
    told = told_by(said(has_sound=True, sound_dbfs=-42.5, bright=200.0))
    assert told is not None
    assert told.end is not None
    picture = picture_of(told.end)
    assert (picture.has_sound, picture.sound_dbfs, picture.bright_luma) == (True, -42.5, 200.0)
    told = told_by(said(sound_dbfs=-42.5))
    assert told is not None
    assert told.end is not None
    assert picture_of(told.end).sound_dbfs is None


def cells(left: int, right: int = 0) -> str:
    """A picture whose right half differs from its left."""
    row = bytes([left]) * (COLUMNS // 2) + bytes([right or left]) * (COLUMNS // 2)
    return base64.b64encode(row * ROWS).decode()


def test_what_moves_where_nothing_counts_is_no_life() -> None:
    right = (Region(left=0.5, top=0.0, width=0.5, height=1.0),)
    moved = told_by(said(grids=[cells(90, 20), cells(90, 200)]))
    assert moved is not None
    assert moved.end is not None
    beside, whole = picture_of(moved.end, right), picture_of(moved.end)
    assert (beside.change, beside.compared_s) == (0.0, 2.5)
    # Without such parts it is judged by the frames that were counted, as ever.
    assert (whole.change, whole.compared_s) == (None, 0.0)
    kept = recall(whole.memory)
    assert kept is not None
    assert kept.newest.grid == base64.b64decode(cells(90, 200))


@pytest.mark.parametrize(
    "grids", [[], ["!", "ä"], ["", ""], [cells(9)], ["AAAA"] * 3, [cells(1)] * 5]
)
def test_grids_that_are_none_are_none(grids: list[str]) -> None:
    told = told_by(said(grids=grids))
    assert told is not None
    assert told.end is not None
    assert picture_of(told.end).change is None
    assert len(picture_of(told.end).memory) < 2000


JUNK = [
    b"5\n",
    b"null",
    b'"answer"',
    b"[" * 100_000,
    b'{"end": ' * 5000,
    b'{"end": 7}',
    b'{"answer": {"sdp": "v=0"}}',
    b"\xff\xfe",
    b"",
    said(luma=float("nan")),
    said(sampled_s=float("inf")),
    said(frames="30"),
    said(relay="yes"),
    said(has_sound=1),
    said(sound_dbfs=40.0),
    said(sound_dbfs=-1e9),
    said(sound_dbfs=float("-inf")),
    said(frames=-1),
    said(sampled_s=-0.5),
    b'{"end": {"frames": ' + b"9" * 5000 + b"}}",
]


@pytest.mark.parametrize("line", JUNK, ids=[f"junk {number}" for number in range(len(JUNK))])
def test_what_cannot_be_read_is_no_word(line: bytes) -> None:
    assert told_by(line) is None


@pytest.mark.parametrize(
    "jpeg", ["", "!", "ä", "a" * 2_000_000], ids=["none", "wrong", "strange", "huge"]
)
def test_a_picture_is_a_small_one_or_none(jpeg: str) -> None:
    told = told_by(said(jpeg=jpeg))
    assert told is not None
    assert told.end is not None
    assert picture_of(told.end).newest_frame == b""
