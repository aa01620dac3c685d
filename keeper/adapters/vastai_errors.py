"""Turns Vast.ai's refusals into the errors of ports/errors.py, in one place, as tables.

The number in an error text and the HTTP status can differ (the lost race says "404/3603" and comes
as HTTP 400), and the same status means different things (a wrong key is a 404 on a search). So the
slug in ``error`` decides first, then the text, then the status. Nothing here does I/O, and no text
leaves here that is not bounded and cleared of secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from keeper.adapters.vastai_hints import hint_s, quota_until
from keeper.adapters.vastai_reply import (
    Effect,
    Reply,
    read_complaint,
    says_no,
    slug_of,
    words_of,
)
from keeper.adapters.vastai_rights import unauthorized
from keeper.adapters.vastai_wire import Complaint, flag, integer, text
from keeper.core.model import InstanceId
from keeper.ports import (
    Invalid,
    Malformed,
    Missing,
    OfferGone,
    OutOfCredit,
    PortError,
    Queued,
    QuotaSpent,
    RateLimited,
    Refused,
    Transient,
    Unauthorized,
    Uncertain,
)

TEXT_MAX: Final = 200  # of foreign text in an exception

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
    ("session expired", Unauthorized),  # as 404: "Session expired. Please log in again."
    ("session has expired", Unauthorized),
    ("expired api key", Unauthorized),  # "Invalid or expired API key": said of scoped keys too
    ("permission group", Unauthorized),  # "Your key lacks the machine_read permission group"
    ("team ssh key", Unauthorized),  # as 400: "team SSH keys are not supported"
    ("no_such_ask", OfferGone),  # "error 404/3603: no_such_ask  Instance type by id …"
    ("is no longer available", OfferGone),
    ("insufficient_credit", OutOfCredit),
    ("insufficient credit", OutOfCredit),
    ("spend rate", OutOfCredit),  # the cap of new accounts; the cure is with the account's owner
    ("no_such_instance", Missing),
    ("instance not found", Missing),
    ("invalid instance_id", Missing),  # a reboot of what is gone, as 400 invalid_args
)

# The daemon of a host took the request into a queue: it may come up days later and bill.
_QUEUED: Final = ("resources_unavailable", "state change queued")

# "SSH key already associated with instance." (reports from the field, 2026-08); the others are how
# one would say it of an account.
_ALREADY_THERE: Final = ("already associated", "already registered", "already exists")


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
        if reply.is_ok and not says_no(complaint):
            if complaint is None and reply.status != HTTPStatus.NO_CONTENT:
                return self._unreadable(reply, call, effect)
            if effect is Effect.ONCE and _is_yes_for_later(reply, complaint):
                return Queued(f"{call}: {self._describe(reply, complaint)}")
            return None
        message = f"{call}: {self._describe(reply, complaint)}"
        if effect is Effect.ONCE and (doubt := _doubt(reply, complaint, message)):
            return doubt
        kind = _kind_of(reply, complaint)
        if kind is RateLimited:
            return RateLimited(message, retry_after_s=hint_s(reply, now))
        if kind is QuotaSpent:
            return QuotaSpent(message, until=quota_until(reply, now))
        if kind is Unauthorized:
            return unauthorized(
                message,
                call=call,
                slug=slug_of(complaint),
                said=_said(reply, complaint),
                status=reply.status,
                is_json=complaint is not None,
            )
        if kind is Malformed and complaint is None and effect is Effect.ONCE:
            return Uncertain(message)  # not in their words, so it says nothing about what they did
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
            said = _plain_line(reply)
        else:
            said = " ".join(filter(None, (text(complaint.error), words_of(complaint))))
        said = self.redact(" ".join(said.split()))[:TEXT_MAX]
        return f"HTTP {reply.status}: {said}" if said else f"HTTP {reply.status}"


def is_already_there(reply: Reply) -> bool:
    """Whether a refused key is there already: HTTP 200 with success false, or a 400."""
    complaint = read_complaint(reply)
    if complaint is None:
        return False
    said = words_of(complaint).lower()
    return any(piece in said for piece in _ALREADY_THERE)


def says_no_such_instance(reply: Reply) -> bool:
    """Whether an answer says so in words, and is not just any 404.

    A proxy, or an API that has moved, answers 404 too; that is no proof of absence.
    """
    complaint = read_complaint(reply)
    return complaint is not None and _named_kind(reply, complaint) is Missing


def is_pace_complaint(reply: Reply) -> bool:
    """Whether an answer says, in whatever way, that calls come too fast.

    A spent search quota is not that: it is over at midnight, not in seconds.
    """
    if reply.is_ok and not says_no(read_complaint(reply)):
        return False
    return _kind_of(reply, read_complaint(reply)) is RateLimited


# --------------------------------------------------------------------------------------------------
# Leaves
# --------------------------------------------------------------------------------------------------


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
    if _is_queued(reply, complaint):
        return Queued(message)
    # A no whose status or whose "success" says yes, in words that we do not know.
    is_half_yes = reply.is_ok or flag(complaint.success) is True
    return Uncertain(message) if is_half_yes and _named_kind(reply, complaint) is None else None


def _is_queued(reply: Reply, complaint: Complaint | None) -> bool:
    """Whether an answer says, be it a yes or a no, that the order waits for a GPU that is let."""
    said = _said(reply, complaint)
    return any(words in said for words in _QUEUED)


def _is_yes_for_later(reply: Reply, complaint: Complaint | None) -> bool:
    """Whether a yes says that it is for later. One that names a contract is an answer to a create."""
    if complaint is None or integer(complaint.new_contract) is not None:
        return False
    return _is_queued(reply, complaint)


def _said(reply: Reply, complaint: Complaint | None) -> str:
    """Return what an answer says, in lower case: slug and words, or its one plain line."""
    if complaint is None:
        return _plain_line(reply).lower()
    return f"{slug_of(complaint)} {words_of(complaint)}".lower()


def _plain_line(reply: Reply) -> str:
    """Return the text of a body that is no JSON object; "" for an HTML page, which says nothing."""
    start = reply.body[:400]
    return "" if b"<" in start else text(start.decode(errors="replace"))


def _named_kind(reply: Reply, complaint: Complaint | None) -> type[PortError] | None:
    """Return what slug or text say; None when they say nothing we know."""
    slug = slug_of(complaint)
    if slug in BY_SLUG:
        return BY_SLUG[slug]
    said = _said(reply, complaint)
    return next((kind for piece, kind in BY_TEXT if piece in said), None)


def _kind_of(reply: Reply, complaint: Complaint | None) -> type[PortError]:
    named = _named_kind(reply, complaint)
    if reply.is_server_error and not (named is not None and issubclass(named, RateLimited)):
        return Transient
    if named is not None:
        return named
    match reply.status:
        case 429:
            return RateLimited
        case 401:
            return Unauthorized
        case 403:
            # "invalid_args … Offer 1 is not your own" (accounts of hosts) is no matter of keys.
            return Invalid if slug_of(complaint).startswith("invalid") else Unauthorized
        case 408:
            return Transient
        case 404 | 410 if complaint is not None:
            return Missing
        case status if status >= HTTPStatus.BAD_REQUEST and complaint is not None:
            return Invalid
        case _:
            return Invalid if slug_of(complaint).startswith("invalid") else Malformed


def fits_port(error: PortError, *, allows: tuple[type[Refused], ...] = ()) -> PortError:
    """Return the error itself, or Malformed when the call's promise knows no such refusal.

    A read that asks for nothing wrong and is told that it is wrong, or that the whole resource is
    missing, has met another API than the one it was written for.
    """
    if isinstance(error, Missing | Refused) and not isinstance(error, (Unauthorized, *allows)):
        return Malformed(str(error))
    return error
