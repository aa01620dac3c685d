"""Long steps on a host, apart from the link: how one is begun, asked after and ended. Pure.

``payload/job.sh`` does it there. Whatever it answers may be a lie or cut short: what cannot be read is
``None``, never an exception. Who asks, how often and for how long is the daemon's affair.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from shlex import quote

from keeper.ports import Command, CommandResult, Job
from keeper.workloads.managers import payload

FOLDER = ".keeper-jobs"
"""Relative to where a session of the SSH user begins."""

LOG_MAX_BYTES = 8 * 1024 * 1024  # on the host, for a job; the older half is thrown away
POLL_MAX_BYTES = 32_768  # of what it printed, in one answer
_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 45.0  # ten seconds of asking, then killing, and a slow host
_HEADER_WORDS = 6
_DIGITS_MAX = 30
_NAME = re.compile(r"[^A-Za-z0-9_-]+")


class JobState(StrEnum):
    """How the host says a job stands."""

    RUNNING = "running"
    ENDED = "ended"
    GONE = "gone"  # it was killed, or the host rebooted: nobody knows its exit code
    ABSENT = "absent"  # it was never begun here
    BUSY = "busy"  # another one runs: one at a time on a host
    UNABLE = "unable"  # the host cannot run any; the text says why


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReply:
    """What a host answers. The text is what was printed since the last answer, hostile."""

    state: JobState
    exit_code: int | None = None  # of an ended one; None with is_late
    is_late: bool = False  # its time was up and it was ended
    offset: int = 0  # where the text begins: later than asked for if some was thrown away unread
    next_offset: int = 0  # where the next look goes on
    attempt: str = ""  # whose try it is
    text: str = ""


def begin(job: Job, attempt: str) -> Command:
    """Begin the job unless it runs, or was done, under this mark. The same ``attempt`` may be repeated.

    Its secrets travel in the environment, over stdin.
    """
    program = payload("job.sh").decode()
    values = {
        "kj_mark": _mark(job),
        "kj_try": attempt,
        "kj_limit_s": str(max(1, math.ceil(job.timeout_s))),
        "kj_log_max": str(LOG_MAX_BYTES),
        "kj_lasting": "1" if job.is_lasting and job.mark else "0",
        "kj_script": job.script,
    }
    command = _command(job, "begin", program, values)
    return Command(
        name=command.name,
        script=command.script,
        timeout_s=_TIMEOUT_S,
        output_max_bytes=command.output_max_bytes,
        env=job.env,
    )


def poll(job: Job, offset: int) -> Command:
    """Ask how it stands, and for what it has printed since. Changes nothing."""
    return _command(job, "poll", payload("job.sh").decode(), {"kj_from": str(offset)})


def end(job: Job, attempt: str) -> Command:
    """End it for certain if it runs, and note that its result is known. May be repeated."""
    command = _command(job, "end", payload("job.sh").decode(), {"kj_try": attempt})
    return Command(name=command.name, script=command.script, timeout_s=_END_TIMEOUT_S)


def read(result: CommandResult) -> JobReply | None:
    """Read an answer; None: it is none."""
    head, _, text = result.stdout.partition("\n")
    words = head.split()
    if len(words) != _HEADER_WORDS or words[0] != "job" or words[1] not in set(JobState):
        return None
    if (
        not (words[3].isdecimal() and words[4].isdecimal())
        or len(words[3] + words[4]) > _DIGITS_MAX
    ):
        return None
    state, said = JobState(words[1]), words[2]
    is_late = said == "late"
    is_code = said.isdecimal() and len(said) <= 3  # noqa: PLR2004 - exit codes end at 255
    if state is JobState.ENDED and not (is_late or is_code):
        return None
    return JobReply(
        state=state,
        exit_code=int(said) if is_code else None,
        is_late=is_late,
        offset=int(words[3]),
        next_offset=int(words[4]),
        attempt=words[5][:64],
        text=text,
    )


def _command(job: Job, verb: str, program: str, values: dict[str, str]) -> Command:
    given = {
        "kj_verb": verb,
        "kj_name": _NAME.sub("-", job.name)[:80],
        "kj_bytes": str(POLL_MAX_BYTES),
        **values,
        "kj_program": program,
    }
    lines = "".join(f"{name}={quote(value)}\n" for name, value in given.items())
    return Command(
        name=f"{job.name}.job.{verb}",
        script=f'{lines}eval "$kj_program"',
        timeout_s=_TIMEOUT_S,
        # One byte that is no UTF-8 becomes three, but only here: this bounds what is sent.
        output_max_bytes=POLL_MAX_BYTES + 4096,
    )


def _mark(job: Job) -> str:
    """Return the mark as a word of the shell; a job without one is known by its script."""
    return hashlib.sha256((job.mark or job.script).encode()).hexdigest()[:24]
