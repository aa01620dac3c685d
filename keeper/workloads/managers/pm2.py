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
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}"
_NAMES = rf"^{_NAME}( {_NAME}){{0,4}}$"


# What is kept of each app: everything else in PM2's answer may hold a secret (PM2 7.0.4: 11 KB for two apps,
# nearly all of it environment, twice).
FIELDS = (
    "name",
    "pm_id",
    "pid",
    "status",
    "restart_time",
    "unstable_restarts",
    "pm_uptime",
    "memory",
)


# A question to a dead daemon would start one, so its pid is looked at first. The file outlives its process,
# and after a reboot its number is soon somebody else's: the title tells (PM2 7.0.4: "PM2 v7.0.4: God Daemon").
PM2_RUNS = r"""
pm2_runs() {
    daemon=''
    { read -r daemon <"${PM2_HOME:-$HOME/.pm2}/pm2.pid"; } 2>/dev/null
    case $daemon in '' | *[!0-9]*) return 1 ;; esac
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$daemon/cmdline") in *PM2* | *pm2*) ;; *) return 1 ;; esac
}
"""


# A client that finds no daemon starts one; one that cannot open the daemon's log fails instead (PM2 7.0.4,
# lib/Client.js and paths.js, seen 2026-11-22). Where another is being started or ended just now, a second one would
# know half of the apps.
_ASK_ONLY = "PM2_LOG_FILE_PATH=/dev/null/none "


class Pm2(BaseModel):
    """An app under PM2, or several that are judged as one: the worst of them counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["pm2"]
    # The app's name, as in its ecosystem file; several with blanks between, the most telling first.
    name: Annotated[str, Field(pattern=_NAMES)]
    # How to call PM2 on the host; may be several words.
    command: Annotated[str, Field(min_length=1, max_length=200)] = "pm2"
    # The JavaScript runtime that reduces PM2's answer on the host.
    node: Annotated[str, Field(min_length=1, max_length=200)] = "node"
    # PM2_HOME; empty: PM2's default.
    home: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Each app's name."""
        return tuple(self.name.split())


def stop(settings: Pm2, *, name: str) -> Command:
    """Take the app out of PM2. An app or a daemon that is not there is a success.

    Deleting, because only a new start reads the environment again: PM2 keeps the old one.
    """
    script = (
        f"{_home(settings)}{PM2_RUNS}pm2_runs || exit 0\n"
        f"{_ASK_ONLY}{settings.command} delete {_words(settings)} -s >/dev/null 2>&1\n"
        "exit 0"
    )
    return Command(name=name, script=script, timeout_s=_TIMEOUT_S)


# A daemon that was killed leaves its apps running, and nobody to ask; the files with their pids stay. Those of
# an app that PM2 has ended are gone (PM2 7.0.4, lib/God/Methods.js).
_ENDED = r"""
tries=50
while :; do
    left=''
    for app in $apps; do
        for file in "${PM2_HOME:-$HOME/.pm2}/pids/$app-"[0-9]*.pid; do
            pid=$(cat -- "$file" 2>/dev/null)
            case $pid in '' | *[!0-9]*) continue ;; esac
            [ -d "/proc/$pid" ] && left="$left $app (pid $pid)"
        done
    done
    [ -n "$left" ] || exit 0
    [ "$tries" -gt 0 ] || break
    sleep 0.2
    tries=$((tries - 1))
done
echo "still running:$left" >&2
exit 1
"""


def ended(settings: Pm2, *, name: str) -> Command:
    """See that no process of the app is left."""
    script = f"{_home(settings)}apps={quote(' '.join(settings.names))}\n{_ENDED}"
    return Command(name=name, script=script, timeout_s=_TIMEOUT_S)


def start(
    settings: Pm2, *, name: str, workdir: str, start_line: str, env: Mapping[str, str]
) -> Command:
    """Start the app by the operator's line (``pm2 start ecosystem.config.cjs``)."""
    line = start_line or f"{settings.command} restart {_words(settings)} --update-env -s"
    script = f"{_home(settings)}mkdir -p -- {quote(workdir)} && cd -- {quote(workdir)} || exit 1\n"
    return Command(name=name, script=f"{script}{line}", env=env, timeout_s=_TIMEOUT_S)


def restart(settings: Pm2, *, name: str, env: Mapping[str, str]) -> Command:
    """Ask PM2 to restart the app; fails when PM2 does not know it (a fresh daemon knows nothing)."""
    script = f"{_home(settings)}{settings.command} restart {_words(settings)} --update-env -s"
    return Command(name=name, script=script, env=env, timeout_s=_TIMEOUT_S)


def word(settings: Pm2) -> str:
    """Return the shell that shows what PM2 says of its apps, in eight fields, and its own journal."""
    return (
        f"{_home(settings)}{PM2_RUNS}"
        'pm2_runs || { echo "no PM2 daemon"; exit 0; }\n'
        f"{_ASK_ONLY}{settings.command} jlist -s 2>/dev/null </dev/null | {settings.node} -e {quote(_REDUCE)}\n"
        'tail -n 60 -- "${PM2_HOME:-$HOME/.pm2}/pm2.log" 2>&1'
    )


# The list is on the last line: before it may stand a banner, or that a daemon was started.
_REDUCE = f"""
const fields = {list(FIELDS)};
let text = "";
process.stdin.on("data", (data) => {{ text += data; }});
process.stdin.on("end", () => {{
    let list = [];
    try {{ list = JSON.parse(text.trim().split("\\n").pop()); }} catch (error) {{ /* unreadable */ }}
    if (!Array.isArray(list)) list = [];
    for (const one of list.slice(0, 50)) {{
        const all = {{ ...one.monit, ...one.pm2_env, name: one.name, pm_id: one.pm_id, pid: one.pid }};
        all.memory = (one.monit || {{}}).memory;
        console.log(JSON.stringify(Object.fromEntries(fields.map((name) => [name, all[name]]))));
    }}
}});
"""


def verify(settings: Pm2, *, name: str) -> Command:
    """See whether PM2 has a pid for each app after a moment."""
    script = (
        f"{_home(settings)}sleep 1\n"
        f"for app in {_words(settings)}; do\n"
        f'    pid=$({_ASK_ONLY}{settings.command} pid "$app" 2>/dev/null </dev/null | tail -n 1)\n'
        '    case $pid in "" | 0 | *[!0-9]*) pid=none ;; esac\n'
        '    [ -d "/proc/$pid" ] && continue\n'
        '    echo "PM2 has no running process of the name $app" >&2\n    exit 1\n'
        "done\nexit 0"
    )
    return Command(name=name, script=script, timeout_s=_TIMEOUT_S)


def _words(settings: Pm2) -> str:
    return " ".join(quote(name) for name in settings.names)


def _home(settings: Pm2) -> str:
    return f"export PM2_HOME={quote(settings.home)}\n" if settings.home else ""
