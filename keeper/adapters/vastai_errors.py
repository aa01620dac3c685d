"""Turns Vast.ai's refusals into the errors of ports.py, in one place, as tables.

The number in an error text and the HTTP status can differ (the lost race says "404/3603" and comes
as HTTP 400), and the same status means different things (a wrong key is a 404 on a search). So the
slug in ``error`` decides first, then the text, then the status. Nothing here does I/O, and no text
leaves here that is not bounded and cleared of secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import quote

from keeper.adapters.vastai_wire import Complaint, decode, flag, integer, number, text
from keeper.core.model import InstanceId
from keeper.ports import (
    Invalid,
    Malformed,
    Missing,
    OfferGone,
    OutOfCredit,
    PortError,
    QuotaSpent,
    RateLimited,
    Refused,
    Transient,
    Unauthorized,
    Uncertain,
)

T = TypeVar("T")

_OK, _REDIRECTS = int(HTTPStatus.OK), int(HTTPStatus.MULTIPLE_CHOICES)
TEXT_MAX: Final = 200  # of foreign text in an exception
_QUOTA_RESET_MAX_S: Final = 90_000.0  # a day, and an hour for clocks that disagree
_HINT_MAX_S: Final = 300.0  # as in vastai_spacing.py: a broken hint must not keep a stream dark


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


# --------------------------------------------------------------------------------------------------
# The tables
# --------------------------------------------------------------------------------------------------

# Slugs that leave no doubt. Vast API docs and reports from the field, read 2026-08.
BY_SLUG: Final[Mapping[str, type[PortError]]] = MappingProxyType(
    {
        "auth_error": Unauthorized,  # 401, and 404 on a search
        "forbidden": Unauthorized,  # the key lacks a right
        "not_authorized": Unauthorized,
        "unauthorized": Unauthorized,
        "no_such_ask": OfferGone,
        "insufficient_credit": OutOfCredit,
        "missing_billing": OutOfCredit,  # no payment was ever set up: the same cure
        "no_such_instance": Missing,
        "not_found": Missing,
        "invalid_id": Missing,
        "rate_limit_exceeded": RateLimited,
        "search_quota_exceeded": QuotaSpent,
        "deprecated_endpoint": Malformed,  # once read as "no instances", with rentals in a loop
        "invalid_token": Malformed,  # a page cursor that the server gave us itself
        "invalid_price": Invalid,
        "label_too_long": Invalid,
        "no_ssh_key": Invalid,
        "no_ssh_key_for_vm": Invalid,
        "invalid_container_id": Invalid,
    }
)

# Pieces of text, for slugs that wrap anything (invalid_args) and for bodies without a slug.
BY_TEXT: Final[tuple[tuple[str, type[PortError]], ...]] = (
    ("requests too frequent", RateLimited),
    ("search quota", QuotaSpent),
    ("invalid user key", Unauthorized),  # also as 404
    ("two factor", Unauthorized),  # 2FA without a session: reads answer 401
    ("two-factor", Unauthorized),
    ("session expired", Unauthorized),
    ("no_such_ask", OfferGone),  # "error 404/3603: no_such_ask  Instance type by id …"
    ("is no longer available", OfferGone),
    ("insufficient_credit", OutOfCredit),
    ("insufficient credit", OutOfCredit),
    ("spend rate", OutOfCredit),  # the cap of new accounts; the cure is with the account's owner
    ("no_such_instance", Missing),
    ("instance not found", Missing),
)

# The daemon of a host took the request into a queue: it may come up days later and bill.
_QUEUED: Final = ("resources_unavailable", "state change queued")

_ALREADY_ATTACHED: Final = "already associated"


# --------------------------------------------------------------------------------------------------
# Reading an answer
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Reads answers. ``redact`` clears a text of secrets."""

    redact: Callable[[str], str]

    def failure_of(
        self, reply: Reply, *, call: str, effect: Effect, now: datetime
    ) -> PortError | None:
        """Return the error that an answer amounts to; None when it is a yes.

        A yes still has to hold what the caller needs. ``now`` is the wall clock, for hints that
        are moments.
        """
        complaint = read_complaint(reply)
        if reply.is_ok and not _says_no(complaint):
            if complaint is None and reply.status != HTTPStatus.NO_CONTENT:
                return self._unreadable(reply, call, effect)
            return None
        message = f"{call}: {self._describe(reply, complaint)}"
        if effect is Effect.ONCE and (doubt := _doubt(reply, complaint, message)):
            return doubt
        kind = _kind_of(reply, complaint)
        if kind is RateLimited:
            return RateLimited(message, retry_after_s=hint_s(reply, now))
        if kind is QuotaSpent:
            return QuotaSpent(message, until=_quota_until(reply, now))
        error = kind(message)
        if isinstance(error, Transient):
            error.retry_after_s = hint_s(reply, now)
        return error

    def _unreadable(self, reply: Reply, call: str, effect: Effect) -> PortError:
        kind = self.redact(reply.media_type)[:40] or "no content type"
        message = f"{call}: HTTP {reply.status} with a body that is no JSON object ({kind})"
        return Uncertain(message) if effect is Effect.ONCE else Malformed(message)

    def _describe(self, reply: Reply, complaint: Complaint | None) -> str:
        """Say what came back, in at most TEXT_MAX characters of theirs."""
        if complaint is None:
            # An HTML page says nothing to an operator; a plain line does.
            start = reply.body[:400]
            said = "" if b"<" in start else text(start.decode(errors="replace"))
        else:
            said = " ".join(filter(None, (text(complaint.error), _words(complaint))))
        said = self.redact(" ".join(said.split()))[:TEXT_MAX]
        return f"HTTP {reply.status}: {said}" if said else f"HTTP {reply.status}"


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


def is_already_attached(reply: Reply) -> bool:
    """Whether a refused key is there already (HTTP 200, success false: reports from the field)."""
    complaint = read_complaint(reply)
    return complaint is not None and _ALREADY_ATTACHED in _words(complaint).lower()


def says_no_such_instance(reply: Reply) -> bool:
    """Whether an answer says so in words, and is not just any 404.

    A proxy, or an API that has moved, answers 404 too; that is no proof of absence.
    """
    complaint = read_complaint(reply)
    return complaint is not None and _named_kind(complaint) is Missing


def is_pace_complaint(reply: Reply) -> bool:
    """Whether an answer says, in whatever way, that calls come too fast.

    A spent search quota is not that: it is over at midnight, not in seconds.
    """
    if reply.is_ok and not _says_no(read_complaint(reply)):
        return False
    return _kind_of(reply, read_complaint(reply)) is RateLimited


def threshold_s(reply: Reply) -> float | None:
    """Return the interval that a 429 text prints ("… endpoint threshold=4.5")."""
    found = re.search(rb"threshold\s*=\s*(\d{1,4}(?:\.\d{1,6})?)", reply.body[:2000])
    return float(found[1]) if found else None


def hint_s(reply: Reply, now: datetime) -> float | None:
    """Return the seconds that an answer asks us to wait; None when it does not say.

    The documents say that no Retry-After is sent, the newest official client honours one, and
    reports from the field found a ``retry_after`` in the body. So all are read.
    """
    header = reply.headers.get("retry-after", "")
    seconds = number(header)
    if seconds is None and header:
        seconds = _seconds_until(header, now)
    if seconds is None and (complaint := read_complaint(reply)) is not None:
        seconds = number(complaint.retry_after)
    return None if seconds is None else min(max(0.0, seconds), _HINT_MAX_S)


# --------------------------------------------------------------------------------------------------
# Leaves
# --------------------------------------------------------------------------------------------------


def _says_no(complaint: Complaint | None) -> bool:
    if complaint is None:
        return False
    return flag(complaint.success) is False or bool(complaint.error)


def _words(complaint: Complaint) -> str:
    """Return the human part, under whichever of the three names it came."""
    said = (text(part) for part in (complaint.msg, complaint.message, complaint.detail))
    return next(filter(None, said), "")


def _doubt(reply: Reply, complaint: Complaint | None, message: str) -> Uncertain | None:
    """Return the doubt that a failed answer leaves about an effect that must happen only once."""
    named = integer(complaint.new_contract) if complaint is not None else None
    if named is not None and named > 0:
        # A bid that is too low, for one, answers with an error and a stopped contract that bills.
        return Uncertain(message, instance_id=InstanceId(named))
    if reply.is_server_error or reply.status == HTTPStatus.REQUEST_TIMEOUT:
        return Uncertain(message)
    if complaint is None:
        return None
    said = f"{text(complaint.error)} {_words(complaint)}".lower()
    if any(word in said for word in _QUEUED):
        return Uncertain(message)
    if reply.is_ok and _named_kind(complaint) is None:
        return Uncertain(message)  # "no" with status 200 and in words we do not know
    return None


def _named_kind(complaint: Complaint) -> type[PortError] | None:
    """Return what slug or text say; None when they say nothing we know."""
    slug = _slug(complaint)
    if slug in BY_SLUG:
        return BY_SLUG[slug]
    said = f"{slug} {_words(complaint)}".lower()
    return next((kind for piece, kind in BY_TEXT if piece in said), None)


def _kind_of(reply: Reply, complaint: Complaint | None) -> type[PortError]:
    named = _named_kind(complaint) if complaint is not None else None
    if reply.is_server_error and not (named is not None and issubclass(named, RateLimited)):
        return Transient
    if named is not None:
        return named
    if complaint is None and b"requests too frequent" in reply.body[:400].lower():
        return RateLimited  # the documented plain text, under whatever status
    match reply.status:
        case 429:
            return RateLimited
        case 401:
            return Unauthorized
        case 403:
            # "invalid_args … Offer 1 is not your own" (accounts of hosts) is no matter of keys.
            return Invalid if _slug(complaint).startswith("invalid") else Unauthorized
        case 408:
            return Transient
        case 404 | 410 if complaint is not None:
            return Missing
        case status if status >= HTTPStatus.BAD_REQUEST and complaint is not None:
            return Invalid
        case _:
            return Invalid if _slug(complaint).startswith("invalid") else Malformed


def _slug(complaint: Complaint | None) -> str:
    return text(complaint.error).lower() if complaint is not None else ""


def _seconds_until(header: str, now: datetime) -> float | None:
    moment = http_date(header)
    return None if moment is None else (moment - now).total_seconds()


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


def _quota_until(reply: Reply, now: datetime) -> datetime:
    """Return when the daily search quota starts again: as told, else the next UTC midnight."""
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    epoch_s = number(reply.headers.get("x-ratelimit-reset"))
    if epoch_s is None or not 0 < epoch_s - now.timestamp() <= _QUOTA_RESET_MAX_S:
        return midnight  # a reset in the past or beyond a day is no reset of a daily quota
    return datetime.fromtimestamp(epoch_s, UTC)


# --------------------------------------------------------------------------------------------------
# Secrets
# --------------------------------------------------------------------------------------------------

REDACTED: Final = "[redacted]"

# A create answers with `instance_api_key`, the account read with `api_key` and an address, and a
# rental carries `jupyter_token`. Long hex and bearer tokens are none of a log's business either.
_SECRET_FIELDS: Final = re.compile(
    r"""(?ix) ( ["']? [\w-]* (?: api_?key | token | secret | password ) ["']? \s* [:=] \s* ["']? )
        [^\s"',;&}\]]+"""
)
_TOKENS: Final = re.compile(r"(?i)\b(?:bearer\s+\S+|[0-9a-f]{32,})")
_SHORTEST_SECRET: Final = 4  # the throw-away key "x" of a simulator would blank out every x


def redactor(api_key: str) -> Callable[[str], str]:
    """Return a function that clears a text of this key and of whatever looks like one."""
    forms = {api_key, quote(api_key, safe="")} if len(api_key) >= _SHORTEST_SECRET else set()

    def redact(said: str) -> str:
        for form in forms:
            said = said.replace(form, REDACTED)
            # The text may have been cut in the middle of the key.
            for length in range(len(form) - 1, _SHORTEST_SECRET - 1, -1):
                if said.endswith(form[:length]):
                    said = said[:-length] + REDACTED
                    break
        said = _TOKENS.sub(REDACTED, said)
        return _SECRET_FIELDS.sub(rf"\1{REDACTED}", said)

    return redact


def fits_port(error: PortError, *, allows: tuple[type[Refused], ...] = ()) -> PortError:
    """Return the error itself, or Malformed when the call's promise knows no such refusal.

    A read that asks for nothing wrong and is told that it is wrong, or that the whole resource is
    missing, has met another API than the one it was written for.
    """
    if isinstance(error, Missing | Refused) and not isinstance(error, (Unauthorized, *allows)):
        return Malformed(str(error))
    return error
