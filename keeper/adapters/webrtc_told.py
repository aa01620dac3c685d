"""What a player says of its look: read with suspicion, and made a sample of.

It has decoded what strangers sent, and may be theirs by now. Pure: it waits for nothing.
"""

from __future__ import annotations

import base64
from typing import Annotated

import msgspec

from keeper.adapters.loudness import SILENCE_DBFS
from keeper.ports import PictureSample, Region
from keeper.probes import grid

_JPEG_MAX = 1_000_000
_HTTP_OK = 200

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
_Amount = Annotated[float, msgspec.Meta(ge=0, le=10**6)]
_Level = Annotated[float, msgspec.Meta(ge=SILENCE_DBFS, le=0)]


class Seen(msgspec.Struct, frozen=True):
    """What a player has seen, by its own word."""

    relay: bool | None = None
    connected: bool = False
    bytes: _Count = 0
    error: str = ""
    frames: _Count = 0
    unique: _Count = 0
    sampled_s: _Amount = 0.0
    luma: _Amount | None = None
    bright: _Amount | None = None
    motion: _Amount | None = None
    jpeg: str = ""  # in base64
    grids: list[str] = []  # of the first and of the newest picture, the same
    has_sound: bool = False  # a track of it is offered
    sound_dbfs: _Level | None = None


class Told(msgspec.Struct, frozen=True):
    """One line of a player: its answer to the offer, or its last word."""

    answer: str = ""
    end: Seen | None = None


_TOLD = msgspec.json.Decoder(Told)


def told_by(line: bytes) -> Told | None:
    """Read a player's line; None: it is none. It has decoded what strangers sent, and may be theirs."""
    try:
        return _TOLD.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def picture_of(seen: Seen, ignored: tuple[Region, ...] = ()) -> PictureSample:
    """Return the sample of pictures; without a frame that can be shown there is none to show.

    Where parts are ignored, the first picture is compared with the newest beside those. Each look is
    judged by itself: what is kept of it tells a scene, and nothing of the next look.
    """
    jpeg = _decoded(seen.jpeg)
    shots = [
        grid.Shot(at_s=at_s, grid=_decoded(cells))
        for at_s, cells in zip((0.0, seen.sampled_s), seen.grids, strict=False)
    ]
    compared = grid.compare(b"", shots, ignored)
    return PictureSample(
        http_status=_HTTP_OK,
        frames=seen.frames,
        unique_frames=seen.unique,
        undecodable_frames=0,
        bytes_read=seen.bytes,
        sampled_s=seen.sampled_s,
        mean_luma=seen.luma,
        bright_luma=seen.bright,
        motion=seen.motion,
        newest_frame=jpeg if len(jpeg) <= _JPEG_MAX else b"",
        change=compared.change if ignored else None,
        compared_s=compared.compared_s if ignored else 0.0,
        has_sound=seen.has_sound,
        sound_dbfs=seen.sound_dbfs if seen.has_sound else None,
        memory=compared.memory,
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
