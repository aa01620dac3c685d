"""The one place where an error becomes an exit code, a sentence and a cure.

Verbs raise; they never exit and never word an error of a port. A traceback is for `--debug`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from keeper import ports
from keeper.cli.exit_codes import ExitCode
from keeper.core.text import plain


class Stopped(Exception):
    """A verb cannot or may not go on. ``cure`` says what to do about it, or is empty."""

    def __init__(self, code: ExitCode, what: str, cure: str = "") -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.cure = cure


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What is shown of an error on stderr, and the exit code."""

    code: ExitCode
    what: str
    cure: str = ""
    details: tuple[str, ...] = ()


# The most precise class first; the first that fits is taken: exit code, what it means, cure. Errors
# of the store come with their own cure, because only the store knows its file.
_PORT_ERRORS: tuple[tuple[type[ports.PortError], ExitCode, str, str], ...] = (
    (
        ports.Unauthorized,
        ExitCode.UNAUTHORIZED,
        "the marketplace refuses the API key",
        (
            "set VAST_API_KEY to a valid key, or use the systemd credential vast_api_key; keys are "
            "made at https://cloud.vast.ai/manage-keys/"
        ),
    ),
    (
        ports.OutOfCredit,
        ExitCode.FAILED,
        "the marketplace account has no credit, so nothing was rented",
        "add credit at https://cloud.vast.ai/billing/",
    ),
    (
        ports.HostKeyChanged,
        ExitCode.REFUSED,
        "the host shows another key than at first contact",
        "do not log in; if its owner has an explanation, use keeper replace SLOT",
    ),
    (
        ports.OfferGone,
        ExitCode.TRY_AGAIN,
        "somebody else took the offer",
        "run the same command again for the next one",
    ),
    (
        ports.QuotaSpent,
        ExitCode.TRY_AGAIN,
        "the marketplace's daily search quota is used up",
        "wait for midnight UTC",
    ),
    (
        ports.RateLimited,
        ExitCode.TRY_AGAIN,
        "the marketplace asks for patience",
        "wait a minute and run the same command again",
    ),
    (
        ports.Transient,
        ExitCode.TRY_AGAIN,
        "the marketplace cannot be reached",
        "check this box's network and vast.url (--vast-url), then run the same command again",
    ),
    (ports.Missing, ExitCode.NOT_FOUND, "it does not exist", ""),
    (
        ports.Uncertain,
        ExitCode.FAILED,
        "nobody knows yet whether it happened",
        "do not repeat it; look with keeper status",
    ),
    (
        ports.Malformed,
        ExitCode.FAILED,
        "the marketplace's answer is not what its contract says",
        "check vast.url (--vast-url); if it is right, its API may have changed: report this",
    ),
    (ports.StoreLocked, ExitCode.TRY_AGAIN, "", ""),
    (ports.StoreFull, ExitCode.TRY_AGAIN, "", ""),
    (ports.StoreError, ExitCode.FAILED, "", ""),
)

_OS_ERRORS: dict[int, tuple[ExitCode, str]] = {
    errno.EADDRINUSE: (
        ExitCode.TRY_AGAIN,
        "another program, perhaps another keeper, listens there: stop it or choose another port",
    ),
    errno.EADDRNOTAVAIL: (ExitCode.FAILED, "listen on an address that this box has"),
    errno.ENOSPC: (ExitCode.TRY_AGAIN, "make room on that disk"),
    errno.EDQUOT: (ExitCode.TRY_AGAIN, "make room in that quota"),
    errno.EROFS: (ExitCode.FAILED, "choose a folder that can be written"),
    errno.EACCES: (ExitCode.FAILED, "run as the user that owns it, or change its permissions"),
    errno.EPERM: (ExitCode.FAILED, "run as the user that owns it, or change its permissions"),
    errno.ENOENT: (ExitCode.FAILED, "check the path"),
}


def complaint_of(error: BaseException) -> Complaint:
    """Say what is shown of this error. Groups are looked into; what is known wins over bugs."""
    for leaf in _leaves(error):
        if known := _known(leaf):
            return known
    bug = next(_leaves(error))
    return Complaint(
        code=ExitCode.FAILED,
        what=f"keeper has met a bug of its own: {type(bug).__name__}: {plain(str(bug))}",
        cure="run it again as `keeper --debug …` and report what it shows",
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _known(error: BaseException) -> Complaint | None:
    match error:
        case Stopped():
            return Complaint(code=error.code, what=error.what, cure=error.cure)
        case ports.ConfigError():
            count = len(error.problems)
            noun = "one problem" if count == 1 else f"{count} problems"
            return Complaint(
                code=ExitCode.BAD_CONFIG,
                what=f"the configuration has {noun}",
                cure="`keeper schema` and config/keeper.example.yaml show every key",
                details=error.problems,
            )
        case ports.PortError():
            code, meaning, cure = next(
                (row[1:] for row in _PORT_ERRORS if isinstance(error, row[0])),
                (ExitCode.FAILED, "", ""),
            )
            if isinstance(error, ports.Unauthorized):
                # The adapter knows better which key it was, what it lacks and what helps.
                meaning = f"the API key lacks the right {error.right}" if error.right else meaning
                cure = error.cure or cure
            said = plain(str(error))
            return Complaint(code=code, what=f"{meaning}: {said}" if meaning else said, cure=cure)
        case OSError() if error.errno in _OS_ERRORS:
            code, cure = _OS_ERRORS[error.errno]
            return Complaint(code=code, what=_words(error), cure=cure)
        case KeyboardInterrupt():
            return Complaint(code=ExitCode.INTERRUPTED, what="interrupted")
        case _:
            return None


def _words(error: OSError) -> str:
    text = plain(error.strerror or str(error))
    return f"{text}: {plain(str(error.filename))}" if error.filename else text
