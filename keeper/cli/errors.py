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


# The most precise class first; the first that fits is taken.
_PORT_ERRORS: tuple[tuple[type[ports.PortError], ExitCode, str], ...] = (
    (
        ports.Unauthorized,
        ExitCode.UNAUTHORIZED,
        (
            "put a valid key of your Vast.ai account into VAST_API_KEY, or into the systemd "
            "credential of that name; keys are made at https://cloud.vast.ai/manage-keys/"
        ),
    ),
    (
        ports.OutOfCredit,
        ExitCode.FAILED,
        "add credit at https://cloud.vast.ai/billing/; nothing was rented",
    ),
    (
        ports.HostKeyChanged,
        ExitCode.REFUSED,
        "do not log in; if you trust the host, replace it: keeper replace SLOT",
    ),
    (ports.OfferGone, ExitCode.TRY_AGAIN, "run the same command again for the next offer"),
    (ports.QuotaSpent, ExitCode.TRY_AGAIN, "wait until the quota is renewed"),
    (ports.RateLimited, ExitCode.TRY_AGAIN, "wait a minute and run the same command again"),
    (
        ports.Transient,
        ExitCode.TRY_AGAIN,
        "check this box's network, and --vast-url if you gave it; then run the same command again",
    ),
    (ports.Missing, ExitCode.NOT_FOUND, ""),
    (
        ports.Uncertain,
        ExitCode.FAILED,
        "it may have happened all the same: look with keeper status before you repeat it",
    ),
    (
        ports.Malformed,
        ExitCode.FAILED,
        "the marketplace may have changed its API; check --vast-url, and report this",
    ),
    (
        ports.StoreLocked,
        ExitCode.TRY_AGAIN,
        "another keeper is using this state folder: talk to it, or stop it first",
    ),
    (
        ports.StoreFull,
        ExitCode.TRY_AGAIN,
        "make room on the disk that holds the state folder; what was recorded is still there",
    ),
    (
        ports.StoreCorrupt,
        ExitCode.FAILED,
        (
            "move the database file aside (do not delete it) or restore a backup; a keeper with an "
            "empty store reports the rentals it no longer knows as orphans and touches none of them"
        ),
    ),
    (
        ports.StoreError,
        ExitCode.FAILED,
        "check that the state folder exists and that this user may write in it",
    ),
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
            code, cure = next(
                ((code, cure) for kind, code, cure in _PORT_ERRORS if isinstance(error, kind)),
                (ExitCode.FAILED, ""),
            )
            return Complaint(code=code, what=plain(str(error)), cure=cure)
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
