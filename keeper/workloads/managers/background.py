"""A plain background process with nobody above it: keeper brings pid file, log and a certain end.

The pid file holds "<pid> <start time>", so that a pid which now belongs to somebody else is never
signalled. Nothing is ever killed by name: a pattern matches its own remote shell (seen: rc 255).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from shlex import quote
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from keeper.ports import Command

# How long a started process must stay up before the start is called a success.
_PROOF_S = 1.0
_KILL_WAIT_S = 10


class Background(BaseModel):
    """No manager at all: keeper starts it, watches its pid, and starts it again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["background"] = "background"
    # Names the pid file and the log; two workloads in one folder need two names.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$")] = "workload"
    # Seconds between SIGTERM and SIGKILL; more for a process that drains.
    stop_s: Annotated[float, Field(gt=0, le=120)] = 10.0

    @property
    def pid_file(self) -> str:
        """Relative to the working directory."""
        return f".keeper/{self.name}.pid"

    @property
    def log_file(self) -> str:
        """Relative to the working directory; the previous one has ``.1`` appended."""
        return f"{self.name}.log"


# inspect PID: state, start, group (fields 3, 22, 5 of /proc/PID/stat); fails when there is none.
INSPECT = r"""
set -f
inspect() {
    state='' start_time='' group=''
    { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
    set -- ${stat_line##*) }
    state=$1 group=$3 start_time=${20}
    [ "$state" != Z ] && [ "$state" != X ]
}
recorded() {
    pid='' begun=''
    { read -r pid begun <"$pid_file"; } 2>/dev/null
    case $pid in '' | *[!0-9]*) return 1 ;; esac
}
is_ours() { inspect "$pid" && [ "$start_time" = "$begun" ]; }
"""

# A group whose leader is gone, or waits as a zombie, can only be ours: its number is not given away
# while it has members. They did not go with their leader, so they are not asked again.
_STOP = r"""
cd -- "$workdir" 2>/dev/null || exit 0
recorded || exit 0
if is_ours; then
    target=$pid
    [ "$group" != "$pid" ] || target=-$pid
    kill -TERM "$target" 2>/dev/null
    kill -CONT "$target" 2>/dev/null
    tries=$stop_tries
    while is_ours && [ "$tries" -gt 0 ]; do sleep 0.2; tries=$((tries - 1)); done
    tries=50
    while is_ours && [ "$tries" -gt 0 ]; do
        kill -KILL "$target" 2>/dev/null
        sleep 0.2
        tries=$((tries - 1))
    done
    if is_ours; then echo "process $pid cannot be killed (state $state)" >&2; exit 1; fi
fi
if ! inspect "$pid"; then
    case $start_time in '' | "$begun") kill -KILL "-$pid" 2>/dev/null ;; esac
fi
rm -f -- "$pid_file"
exit 0
"""

_START = r"""
mkdir -p -- "$workdir/.keeper" && cd -- "$workdir" || exit 1
if recorded && is_ours; then exit 0; fi
[ ! -f "$log" ] || mv -f -- "$log" "$log.1"
if command -v setsid >/dev/null 2>&1; then launcher=setsid; else launcher=nohup; fi
$launcher sh -c "$start" </dev/null >"$log" 2>&1 3<&- &
pid=$!
inspect "$pid"
printf '%s %s\n' "$pid" "$start_time" >"$pid_file.new" && mv -f -- "$pid_file.new" "$pid_file"
"""

_VERIFY = r"""
cd -- "$workdir" || exit 1
sleep "$proof_s"
if recorded && is_ours; then exit 0; fi
echo "the process ended at once; its log says:" >&2
tail -n 15 -- "$log" >&2
exit 1
"""


def stop(settings: Background, *, name: str, workdir: str) -> Command:
    """End the process and its group for certain. Nothing to stop is a success."""
    variables = assignments(settings, workdir, stop_tries=str(math.ceil(settings.stop_s * 5)))
    timeout_s = settings.stop_s + _KILL_WAIT_S + 10
    return Command(name=name, script=variables + INSPECT + _STOP, timeout_s=timeout_s)


def start(
    settings: Background, *, name: str, workdir: str, start_line: str, env: Mapping[str, str]
) -> Command:
    """Start the process unless it runs; its previous log is kept once."""
    variables = assignments(settings, workdir, start=start_line)
    return Command(name=name, script=variables + INSPECT + _START, env=env)


def verify(settings: Background, *, name: str, workdir: str) -> Command:
    """See whether it is still there after a moment; else the end of its log is the error."""
    variables = assignments(settings, workdir, proof_s=f"{_PROOF_S:g}")
    return Command(name=name, script=variables + INSPECT + _VERIFY)


def assignments(settings: Background, workdir: str, **more: str) -> str:
    """Return the shell assignments that the scripts of a background process begin with."""
    values = {
        "workdir": workdir,
        "pid_file": settings.pid_file,
        "log": settings.log_file,
        **more,
    }
    return "".join(f"{name}={quote(value)}\n" for name, value in values.items())
