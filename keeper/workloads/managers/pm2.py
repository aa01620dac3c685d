"""PM2: asks it to restart what it manages. Facts and traps: npm pm2 7.0.4 and 5.4.3, read 2026-10.

The command is the operator's own (``pm2``, ``bunx pm2``): on a non-interactive shell's PATH there may
be none. Its full listing carries every environment variable, so no command here prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from keeper.ports import Command

# The first call of a PM2 version unpacks and starts a daemon; a drain may take its kill_timeout.
_TIMEOUT_S = 60.0


class Pm2(BaseModel):
    """An app under PM2."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["pm2"]
    # The app's name, as in its ecosystem file.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")]
    # How to call PM2 on the host; may be several words.
    command: Annotated[str, Field(min_length=1, max_length=200)] = "pm2"
    # The JavaScript runtime that reduces PM2's answer on the host.
    node: Annotated[str, Field(min_length=1, max_length=200)] = "node"
    # PM2_HOME; empty: PM2's default.
    home: str = ""


def stop(settings: Pm2, *, name: str) -> Command:
    """Take the app out of PM2. An app or a daemon that is not there is a success.

    Deleting, because only a new start reads the environment again: PM2 keeps the old one.
    """
    script = (
        f"{_home(settings)}"
        'daemon=""; { read -r daemon <"${PM2_HOME:-$HOME/.pm2}/pm2.pid"; } 2>/dev/null\n'
        '[ -n "$daemon" ] && kill -0 "$daemon" 2>/dev/null || exit 0\n'
        f"{settings.command} delete {quote(settings.name)} -s >/dev/null 2>&1\n"
        "exit 0"
    )
    return Command(name=name, script=script, timeout_s=_TIMEOUT_S)


def start(
    settings: Pm2, *, name: str, workdir: str, start_line: str, env: Mapping[str, str]
) -> Command:
    """Start the app by the operator's line (``pm2 start ecosystem.config.cjs``)."""
    line = start_line or f"{settings.command} restart {quote(settings.name)} --update-env -s"
    script = f"{_home(settings)}mkdir -p -- {quote(workdir)} && cd -- {quote(workdir)} || exit 1\n"
    return Command(name=name, script=f"{script}{line}", env=env, timeout_s=_TIMEOUT_S)


def restart(settings: Pm2, *, name: str, env: Mapping[str, str]) -> Command:
    """Ask PM2 to restart the app; fails when PM2 does not know it (a fresh daemon knows nothing)."""
    script = f"{_home(settings)}{settings.command} restart {quote(settings.name)} --update-env -s"
    return Command(name=name, script=script, env=env, timeout_s=_TIMEOUT_S)


def word(settings: Pm2) -> str:
    """Return the shell that shows what PM2 says of its apps: never its JSON, which has every secret.

    A question to a dead daemon would start one, so its pid is looked at first.
    """
    return (
        f"{_home(settings)}"
        'daemon=""; { read -r daemon <"${PM2_HOME:-$HOME/.pm2}/pm2.pid"; } 2>/dev/null\n'
        '[ -n "$daemon" ] && kill -0 "$daemon" 2>/dev/null || { echo "no PM2 daemon"; exit 0; }\n'
        f"{settings.command} ls -m --no-color 2>&1 | head -n 60\n"
        'tail -n 60 -- "${PM2_HOME:-$HOME/.pm2}/pm2.log" 2>&1'
    )


def verify(settings: Pm2, *, name: str) -> Command:
    """See whether PM2 has a pid for the app after a moment."""
    script = (
        f"{_home(settings)}sleep 1\n"
        f"pid=$({settings.command} pid {quote(settings.name)} 2>/dev/null | tail -n 1)\n"
        'case $pid in "" | 0 | *[!0-9]*) ;; *) [ -d "/proc/$pid" ] && exit 0 ;; esac\n'
        "echo 'PM2 has no running process of that name' >&2\nexit 1"
    )
    return Command(name=name, script=script, timeout_s=_TIMEOUT_S)


def _home(settings: Pm2) -> str:
    return f"export PM2_HOME={quote(settings.home)}\n" if settings.home else ""
