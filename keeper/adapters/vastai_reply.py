"""One answer of Vast.ai as it came: whole, bounded, and not yet understood.

What a yes holds is decoded by whom it concerns; what a no says is read here, because any answer may
be one. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, TypeVar

from keeper.adapters.vastai_wire import Complaint, decode, flag, text
from keeper.ports import Malformed

T = TypeVar("T")

_OK, _REDIRECTS = int(HTTPStatus.OK), int(HTTPStatus.MULTIPLE_CHOICES)


class Effect(StrEnum):
    """What a call does on the other side; it decides what a lost or broken answer means."""

    READ = "read"  # nothing: a lost answer is merely lost
    REPEATABLE = "repeatable"  # something, but doing it twice is the same as once
    ONCE = "once"  # something that must not happen twice: a lost answer is Uncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One whole answer, bounded."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    _read: dict[type, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def read(self, kind: type[T]) -> T:
        """Return the body as ``kind``, decoded once. Raises Malformed."""
        if kind not in self._read:
            value = self._read[kind] = decode(self.body, kind)
            if isinstance(value, Complaint):  # a page is also all that a complaint could be
                self._read[Complaint] = value
        found: T = self._read[kind]
        return found

    @property
    def is_ok(self) -> bool:
        """Whether the status says yes. The body may still say no."""
        return _OK <= self.status < _REDIRECTS

    @property
    def is_redirect(self) -> bool:
        """Whether the status leads elsewhere."""
        return _REDIRECTS <= self.status < HTTPStatus.BAD_REQUEST

    @property
    def is_server_error(self) -> bool:
        """Whether the server, or something before it, broke down. It may have acted first."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; "" when there is none."""
        return _media_type(self.headers.get("content-type", ""))

    @property
    def is_json(self) -> bool:
        """Whether the content type allows the body to be read as JSON."""
        return _is_json(self.headers.get("content-type", ""))


# Plain text and absence are let through: proxies relabel, and the decoder has the last word.
_JSON_MEDIA_TYPES: Final = frozenset(
    {"", "application/json", "text/json", "text/plain", "application/octet-stream"}
)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


@lru_cache(maxsize=16)
def _is_json(content_type: str) -> bool:
    kind = _media_type(content_type)
    return kind in _JSON_MEDIA_TYPES or kind.endswith("+json")


def read_complaint(reply: Reply) -> Complaint | None:
    """Return the part of a body that can hold an error; None when it is not a JSON object.

    A yes must be labelled as JSON. A no is read whatever its label, since it only explains itself.
    """
    if reply.is_ok and not reply.is_json:
        return None
    try:
        return reply.read(Complaint)
    except Malformed:
        return None


def says_no(complaint: Complaint | None) -> bool:
    """Whether a body says no by itself, whatever its status."""
    if complaint is None:
        return False
    return flag(complaint.success) is False or bool(complaint.error)


def words_of(complaint: Complaint) -> str:
    """Return the human part, under whichever of the three names it came."""
    said = (text(part) for part in (complaint.msg, complaint.message, complaint.detail))
    return next(filter(None, said), "")


def slug_of(complaint: Complaint | None) -> str:
    """Return the short name of the error, in lower case; "" when there is none."""
    return text(complaint.error).lower() if complaint is not None else ""


# How servers write it: "Sat, 21 Nov 2026 05:21:51 GMT" (RFC 9110, section 5.6.7).
_DATE: Final = re.compile(r"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)


def http_date(header: str) -> datetime | None:
    """Read an HTTP date; None when it is none."""
    try:
        if (usual := _DATE.fullmatch(header)) is not None:
            day, month, *rest = usual.groups()
            year, hour, minute, second = map(int, rest)
            return datetime(
                year, _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC
            )
        moment = parsedate_to_datetime(header)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
