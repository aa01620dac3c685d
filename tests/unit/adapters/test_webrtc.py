"""What a player says is not believed blindly: it has decoded what strangers sent, and may be theirs by now."""

import base64
import json
from typing import Any

import pytest

from keeper.adapters.webrtc import Told, picture_of, told_by

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
