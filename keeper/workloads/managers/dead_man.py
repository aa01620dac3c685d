"""The dead man on a host: how it is put there, fed, asked after and taken away.

A guard that outlives the link (payload/dead_man.sh) and stops the rental with the instance's own key
when no keeper has been heard for ``policy.dead_man_after_s``. Everything else of keeper's on a host ends
with its link, or is a job that ends by itself.
"""

from __future__ import annotations

import hashlib
import math
from enum import StrEnum
from shlex import quote

from keeper.core.model import InstanceId
from keeper.ports import Command, CommandResult, Upload
from keeper.workloads.managers import background
from keeper.workloads.managers.background import Background

# Relative to the home of the SSH user: no workload's own folder.
FOLDER = ".keeper-dead-man"
_PROGRAM = "dead_man.sh"
_STARTER = "start.sh"
# Of each container's start: a reboot ends the guard, and who would start it again may be gone. Where
# none was put, nothing happens.
ONSTART = f"[ ! -f ~/{FOLDER}/{_STARTER} ] || (cd && sh {FOLDER}/{_STARTER}) >/dev/null 2>&1;"
_MANAGER = Background(name="dead_man", stop_s=2)
_FEED_TIMEOUT_S = 20.0
# It is fed this often at least, and so often within its time that one lost feed is no reason.
FEED_APART_MAX_S = 60.0
_FEEDS_WITHIN = 4
# Looking costs a fork: rarely, and still a small part of the time that it waits.
_LOOK_MAX_S = 15.0
_LOOKS_WITHIN = 10


class Guard(StrEnum):
    """What the host says of its guard."""

    ARMED = "armed"  # the right program runs, and was fed
    ABSENT = "absent"  # it does not run, or is not the right program
    UNABLE = "unable"  # it could not do its one thing: the detail says why


def feed_apart_s(after_s: float) -> float:
    """Return how often a guard is fed."""
    return min(FEED_APART_MAX_S, after_s / _FEEDS_WITHIN)


def feed(after_s: float, instance_id: InstanceId, api_url: str) -> Command:
    """Write the heartbeat, and say whether the right guard runs. Starts nothing."""
    look_s = max(1, math.floor(min(_LOOK_MAX_S, after_s / _LOOKS_WITHIN)))
    values = f"{math.ceil(after_s)} {look_s} {int(instance_id)} {api_url.rstrip('/')}"
    script = background.assignments(
        _MANAGER, FOLDER, program=_PROGRAM, digest=_digest(), line=values
    )
    return Command(
        name="dead_man.feed", script=script + background.INSPECT + _FEED, timeout_s=_FEED_TIMEOUT_S
    )


def install() -> tuple[Upload | Command, ...]:
    """Put the guard there and start it. It was fed before: an unfed one ends at once."""
    start = background.start(
        _MANAGER,
        name="dead_man.start",
        workdir=FOLDER,
        start_line=f"exec sh ./{_PROGRAM}",
        env={"keeper_environ": "/proc/1/environ"},
    )
    again = "".join(f"export {name}={quote(value)}\n" for name, value in start.env.items())
    return (
        background.stop(_MANAGER, name="dead_man.stop", workdir=FOLDER),
        Upload(path=f"{FOLDER}/{_PROGRAM}", content=_program(), mode=0o700),
        Upload(path=f"{FOLDER}/{_STARTER}", content=(again + start.script).encode(), mode=0o700),
        start,
        background.verify(_MANAGER, name="dead_man.verify", workdir=FOLDER),
    )


def remove() -> Command:
    """End the guard and take its folder away. None there is a success."""
    script = f"rm -f -- {quote(FOLDER)}/heartbeat\n"  # first: without it the guard ends by itself
    stop = background.stop(_MANAGER, name="", workdir=FOLDER).script
    return Command(
        name="dead_man.remove",
        script=f"{script}(\n{stop}\n) || exit 1\nrm -rf -- {quote(FOLDER)}",
        timeout_s=_FEED_TIMEOUT_S,
    )


def read(result: CommandResult) -> tuple[Guard, str]:
    """Read the answer to a feed. Whoever wrote it may be lying or broken."""
    word, _, why = result.stdout.strip().partition(" ")
    if result.exit_code == 0 and word in {Guard.ARMED, Guard.ABSENT}:
        return Guard(word), ""
    if result.exit_code == 0 and word == Guard.UNABLE:
        return Guard.UNABLE, why
    return Guard.UNABLE, (result.stderr or result.stdout).strip() or f"exit {result.exit_code}"


def _program() -> bytes:
    from keeper.workloads.managers import payload  # noqa: PLC0415 - it imports this package

    return payload(_PROGRAM)


def _digest() -> str:
    return hashlib.sha256(_program()).hexdigest()


_FEED = r"""
umask 077
mkdir -p -- "$workdir" && cd -- "$workdir" || exit 1
read -r up _ </proc/uptime || { echo 'unable there is no /proc/uptime'; exit 0; }
printf '%s %s\n' "${up%%.*}" "$line" >heartbeat.new && mv -f -- heartbeat.new heartbeat || exit 1
command -v curl >/dev/null 2>&1 || command -v python3 >/dev/null 2>&1 ||
    { echo 'unable neither curl nor python3 is there'; exit 0; }
if command -v sha256sum >/dev/null 2>&1; then
    found=$(sha256sum 2>/dev/null <"$program")
    [ "${found%% *}" = "$digest" ] || { echo absent; exit 0; }
else
    [ -f "$program" ] || { echo absent; exit 0; }
fi
if recorded && is_ours; then echo armed; else echo absent; fi
exit 0
"""
