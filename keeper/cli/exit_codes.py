"""What each exit code means: the one table behind `keeper help exit-codes`.

Scripts and systemd units depend on these numbers; they never change their meaning. 75 and 78 are
EX_TEMPFAIL and EX_CONFIG of sysexits(3), 130 is what a shell reports for Ctrl-C.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a verb ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DEGRADED = 3
    UNAUTHORIZED = 4
    NOT_FOUND = 5
    REFUSED = 6
    NO_DAEMON = 7
    TRY_AGAIN = 75
    BAD_CONFIG = 78
    INTERRUPTED = 130


MEANING: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "it could not be done; the message says why",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.DEGRADED: "status --exit-code: a slot is not on air; doctor: something fails",
    ExitCode.UNAUTHORIZED: "the marketplace, or the daemon, refuses the credentials",
    ExitCode.NOT_FOUND: "there is no such stream, slot, rental, channel or silence",
    ExitCode.REFUSED: "refused by a safety rule, or not confirmed; nothing was changed",
    ExitCode.NO_DAEMON: "no keeper answers on its local socket",
    ExitCode.TRY_AGAIN: "not now: busy, in use, full or out of reach; the same may work later",
    ExitCode.BAD_CONFIG: "the configuration is wrong; every problem is listed",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C or a signal",
}
