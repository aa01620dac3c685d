"""supervisord: asks supervisorctl, and judges by what it says of the one program.

Its exit code is of no use: 0 for a start of what already runs and in a back-off, 3 as soon as any
other program is down, 1 for a restart of an unknown one (Debian 4.2.5 and PyPI 4.3.0, read 2026-10).
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from keeper.ports import Command

# startsecs and stopwaitsecs are ten seconds each by default, and supervisorctl waits for both.
_TIMEOUT_S = 60.0


class Supervisor(BaseModel):
    """A program under supervisord."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["supervisor"]
    # The program's name, "group:name" where it is in a group.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,60}$")]
    # How to call supervisorctl on the host; may be several words ("supervisorctl -c /x.conf").
    command: Annotated[str, Field(min_length=1, max_length=200)] = "supervisorctl"


def stop(settings: Supervisor, *, name: str) -> Command:
    """Stop the program. Not running, not known and no supervisord are a success."""
    script = f"{settings.command} stop {quote(settings.name)} >/dev/null 2>&1\nexit 0"
    return Command(name=name, script=script, timeout_s=_TIMEOUT_S)


def ended(settings: Supervisor, *, name: str) -> Command:
    """See that the program does not run. A supervisord that says nothing of it is no proof."""
    script = (
        "tries=50\n"
        "while :; do\n"
        f"    said=$({settings.command} status {quote(settings.name)} 2>&1)\n"
        "    case $said in\n"
        '    *STOPPED*|*EXITED*|*FATAL*|*"no such process"*) exit 0 ;;\n'
        '    *RUNNING*|*STARTING*|*STOPPING*|*BACKOFF*) [ "$tries" -gt 0 ] || break ;;\n'
        "    *) break ;;\n"
        "    esac\n"
        "    sleep 0.2\n    tries=$((tries - 1))\n"
        "done\n"
        "printf '%s\\n' \"$said\" >&2\nexit 1"
    )
    return Command(name=name, script=script, timeout_s=_TIMEOUT_S)


def start(
    settings: Supervisor, *, name: str, workdir: str, start_line: str, env: Mapping[str, str]
) -> Command:
    """Start the program by the operator's line, or take up changed configuration and restart it."""
    line = start_line or (
        f"{settings.command} reread >/dev/null && {settings.command} update >/dev/null || exit 1\n"
        f"{_restart_line(settings)}"
    )
    script = f"mkdir -p -- {quote(workdir)} && cd -- {quote(workdir)} || exit 1\n{line}"
    return Command(name=name, script=script, env=env, timeout_s=_TIMEOUT_S)


def restart(settings: Supervisor, *, name: str) -> Command:
    """Restart the program; one that supervisord gave up on is started again."""
    return Command(name=name, script=_restart_line(settings), timeout_s=_TIMEOUT_S)


def _restart_line(settings: Supervisor) -> str:
    return (
        f"said=$({settings.command} restart {quote(settings.name)} 2>&1)\n"
        'case $said in *": started"*) ;; *) printf \'%s\\n\' "$said" >&2; exit 1 ;; esac'
    )


def verify(settings: Supervisor, *, name: str) -> Command:
    """See whether supervisord calls the program running, or on its way, after a moment."""
    script = (
        f"sleep 1\nsaid=$({settings.command} status {quote(settings.name)} 2>&1)\n"
        "case $said in *RUNNING*|*STARTING*) exit 0 ;; esac\n"
        "printf '%s\\n' \"$said\" >&2\nexit 1"
    )
    return Command(name=name, script=script, timeout_s=_TIMEOUT_S)
