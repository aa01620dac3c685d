"""What a viewer's look comes to, in one word: the words that people, metrics and the page know.

A reading's reason says more; several reasons share a word. The word drives nothing by itself: what is
believed after several looks does (belief.py).
"""

from __future__ import annotations

from enum import StrEnum

from keeper.core.model import Reading
from keeper.core.reasons import Reason


class Verdict(StrEnum):
    """What a viewer sees."""

    LIVE = "live"
    STATIC = "static"  # it stands still, and is meant to
    FROZEN = "frozen"
    BLACK = "black"
    SILENT = "silent"  # a picture, and not the sound that belongs to it
    STUTTERING = "stuttering"
    CORRUPT = "corrupt"
    WRONG = "wrong"  # a picture moves, and the workload says that it is not the stream
    NO_BYTES = "no_bytes"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"  # the look itself failed, or this box is cut off


_WORD: dict[Reason, Verdict] = {
    Reason.LIVE: Verdict.LIVE,
    Reason.STATIC_BY_DESIGN: Verdict.STATIC,
    Reason.FROZEN: Verdict.FROZEN,
    Reason.BLACK: Verdict.BLACK,
    Reason.NO_SOUND: Verdict.SILENT,
    Reason.STUTTERING: Verdict.STUTTERING,
    Reason.CORRUPT: Verdict.CORRUPT,
    Reason.WRONG_PICTURE: Verdict.WRONG,
    Reason.NO_BYTES: Verdict.NO_BYTES,
    Reason.HTTP_ERROR: Verdict.NO_BYTES,
    Reason.UNREACHABLE: Verdict.UNREACHABLE,
}


def verdict_of(picture: Reading) -> Verdict:
    """Return the word of one look. Where only an answer was looked for, the picture is not known."""
    return _WORD.get(picture.reason, Verdict.UNKNOWN)
