"""How the duel comes onto a host and comes up again: the workflow's order, each step repeatable.

Maintenance, secrets file, one long job (set-up, checkout, the duel's own deploy script), proof. The job's
output is the deploy log that the duel's documents name and no script of theirs writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from shlex import quote

from keeper.ports import Command, Job, Upload
from keeper.workloads import Step
from keeper.workloads import managers as manager_of
from keeper.workloads.hyperscape_duel import browser, scripts
from keeper.workloads.hyperscape_duel.settings import CURES, HyperscapeDuelSettings

# A PM2 that unpacks itself first, and an orchestrator that is told to end (its children have 1.2 s).
_STOP_TIMEOUT_S = 90.0
_START_TIMEOUT_S = 120.0
# Five wrong codes of strangers lock the admin calls for five minutes.
_LOCK_S = 310.0
# Symptoms that a mere start cures not: the code on the host is not what was declared.
_NEED_THE_DEPLOY = frozenset({"other_commit"})
# Symptoms of the bridge alone: it is ended by its pid, and the orchestrator begins it again.
_OF_THE_BRIDGE = frozenset(
    {
        "all_platforms_down",
        "black",
        "bridge_hung",
        "capture_stalled",
        "ffmpeg_gave_up",
        "gpu_memory",
        "loading_screen",
        "output_flat",
        "placeholder_shown",
        "scene_frozen",
        "sound_gone",
    }
)


def deploy(settings: HyperscapeDuelSettings, secrets: Mapping[str, str]) -> tuple[Step, ...]:
    """Let the duel end, put everything there, start it, prove it."""
    return (
        _enter(settings, secrets, "deploy"),
        _secrets_file(settings, secrets),
        _job(settings, secrets),
        _ensure(settings),
        verify(settings, secrets, "verify.deploy"),
        _exit(settings, secrets, "deploy"),
    )


def prepare(settings: HyperscapeDuelSettings, secrets: Mapping[str, str]) -> tuple[Step, ...]:
    """Put everything there but the deploy script's part, which would publish."""
    return (
        _secrets_file(settings, secrets),
        Job(
            name="deploy.prepare",
            script=_logged(settings, _SETUP + _CHECKOUT),
            timeout_s=settings.deploy_timeout_s,
            mark=_mark(settings, secrets),
        ),
    )


def start(settings: HyperscapeDuelSettings, secrets: Mapping[str, str]) -> tuple[Step, ...]:
    """Start what is there; the deploy script runs where it has not run in this container."""
    return (
        _secrets_file(settings, secrets),
        _job(settings, secrets),
        _ensure(settings),
        verify(settings, secrets, "verify.start"),
    )


def stop(settings: HyperscapeDuelSettings, secrets: Mapping[str, str]) -> tuple[Command, ...]:
    """End everything of ours and see it gone: nothing begins it again but a start."""
    return (
        replace(_stop(settings), name="swap.stop"),
        scripts.act(settings, secrets, verb="clear", name="swap.clear"),
    )


def restart_process(
    settings: HyperscapeDuelSettings, secrets: Mapping[str, str], symptom: str
) -> tuple[Command, ...]:
    """End the bridge alone where it is the bridge; else ask PM2 for a new orchestrator.

    Nothing is ended where the server has only to be let out of the maintenance that keeper put it into.
    """
    if symptom == "in_maintenance":
        name = "restart.process.maintenance.exit"
        return (scripts.act(settings, secrets, verb="maintenance_exit", name=name),)
    if symptom in _OF_THE_BRIDGE:
        sound = (_sound(settings),) if symptom == "sound_gone" else ()
        kill = scripts.act(settings, secrets, verb="kill_bridge", name="restart.process")
        return (*sound, kill)
    app = quote(settings.pm2.apps[0])
    script = (
        f"{scripts.prelude(settings)}cd -- {scripts.place(settings.workdir)} || exit 1\n"
        f"{settings.pm2.command} restart {app} -s || exit 1\n{_proof(settings)}"
    )
    return (Command(name="restart.process", script=script, timeout_s=_START_TIMEOUT_S),)


def restart_workload(
    settings: HyperscapeDuelSettings, secrets: Mapping[str, str], symptom: str
) -> tuple[Step, ...]:
    """Stop everything of ours, see it gone, wait where that cures, and start what is there.

    The orchestrator builds afresh at every start, so the deploy script is left out unless the code
    itself is another. Whatever that script had started beside PM2, display and sound, is started too:
    nothing of it is there after a reboot. A full disk is only trimmed: whatever it has ended is begun
    again by PM2.
    """
    if symptom == "no_space":
        return (scripts.act(settings, secrets, verb="trim", name="restart.workload.trim"),)
    if symptom in _NEED_THE_DEPLOY:
        return (
            _enter(settings, secrets, "restart.workload"),
            _secrets_file(settings, secrets),
            Command(
                name="restart.workload.deploy",
                script=_deploy_script(settings),
                timeout_s=settings.deploy_timeout_s,
            ),
            verify(settings, secrets, "verify.restart"),
            _exit(settings, secrets, "restart.workload"),
        )
    wait_s = settings.database_drain_s if symptom == "database" else 0.0
    return (
        _secrets_file(settings, secrets, _cure_of(settings, symptom)),
        _stop(settings),
        scripts.act(settings, secrets, verb="clear", name="restart.workload.clear"),
        _start(settings, wait_s=wait_s),
    )


def verify(settings: HyperscapeDuelSettings, secrets: Mapping[str, str], name: str) -> Command:
    """Compose the wait for health, and for the commit that was asked for."""
    return scripts.act(
        settings,
        secrets,
        verb="verify",
        name=name,
        wait_s=settings.verify_timeout_s,
        timeout_s=settings.verify_timeout_s + 30,
    )


# --- the parts --------------------------------------------------------------------------------------


def _enter(settings: HyperscapeDuelSettings, secrets: Mapping[str, str], act: str) -> Command:
    return scripts.act(
        settings,
        secrets,
        verb="maintenance_enter",
        name=f"{act}.maintenance.enter",
        wait_s=settings.maintenance_wait_s,
        timeout_s=settings.maintenance_wait_s + 30,
    )


def _exit(settings: HyperscapeDuelSettings, secrets: Mapping[str, str], act: str) -> Command:
    """Take back what ``_enter`` did, also after a failure: the server of before is well, and idle."""
    return scripts.act(
        settings,
        secrets,
        verb="maintenance_exit",
        name=f"{act}.maintenance.exit",
        wait_s=_LOCK_S,
        timeout_s=_LOCK_S + 60,
        is_closing=True,
    )


def _secrets_file(
    settings: HyperscapeDuelSettings,
    secrets: Mapping[str, str],
    cure: Mapping[str, str] | None = None,
) -> Upload:
    content = scripts.secrets_text(settings, secrets, cure)
    return Upload(path=settings.secrets_file, content=content.encode(), mode=0o600)


def _cure_of(settings: HyperscapeDuelSettings, symptom: str) -> Mapping[str, str]:
    return {**CURES.get(symptom, {}), **settings.cures.get(symptom, {})}


def _job(settings: HyperscapeDuelSettings, secrets: Mapping[str, str]) -> Job:
    return Job(
        name="deploy.run",
        script=_deploy_script(settings),
        timeout_s=settings.deploy_timeout_s,
        mark=_mark(settings, secrets),
        is_lasting=False,  # it starts the duel, too: after a reboot it is to run again
    )


def _mark(settings: HyperscapeDuelSettings, secrets: Mapping[str, str]) -> str:
    """Name what is deployed, so that the same is not deployed twice onto a container that has it."""
    parts = f"{_deploy_script(settings)}\0{scripts.mark_of(settings, secrets)}"
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _deploy_script(settings: HyperscapeDuelSettings) -> str:
    return _logged(settings, _SETUP + _CHECKOUT + _environment(settings) + _RUN)


def _logged(settings: HyperscapeDuelSettings, body: str) -> str:
    values = {
        "repository": settings.repository,
        "branch": settings.branch,
        "commit": settings.commit,
        "env_file": settings.env_file,
        "deploy_script": settings.deploy_script,
        "setup": settings.setup,
        "PM2": settings.pm2.command,
    }
    assignments = "".join(f"{name}={quote(value)}\n" for name, value in values.items())
    inner = f"{scripts.prelude(settings)}{_places(settings)}{assignments}{body}"
    return (
        f"{_places(settings)}{_LOGGED_BEFORE}"
        f'sh -c {quote(inner)} </dev/null >>"$log" 2>&1 9>&-\n{_LOGGED_AFTER}'
    )


def _environment(settings: HyperscapeDuelSettings) -> str:
    """Compose what the stack is started with: settings, secrets, and the browser that draws here."""
    return f"{_SETTINGS}{browser.chosen(settings)}{_SETTINGS_END}"


def _places(settings: HyperscapeDuelSettings) -> str:
    named = {
        "workdir": settings.workdir,
        "secrets": settings.secrets_file,
        "log": settings.deploy_log,
    }
    return "".join(f"{name}={scripts.place(path)}\n" for name, path in named.items())


def _stop(settings: HyperscapeDuelSettings) -> Command:
    """End PM2 itself: it would give its apps the environment of their first start."""
    stop = _STOP.replace("PM2_COMMAND", settings.pm2.command)
    script = f"{scripts.prelude(settings)}{manager_of.PM2_RUNS}{stop}"
    return Command(name="restart.workload.stop", script=script, timeout_s=_STOP_TIMEOUT_S)


def _ensure(settings: HyperscapeDuelSettings) -> Command:
    """Start what does not run: a job that was done before a reboot is not done again."""
    start = _start(settings, wait_s=0.0)
    script = (
        f"{scripts.prelude(settings)}( {_proof(settings)} ) 2>/dev/null && exit 0\n{start.script}"
    )
    return Command(name="deploy.ensure", script=script, timeout_s=start.timeout_s)


def _start(settings: HyperscapeDuelSettings, *, wait_s: float) -> Command:
    values = {
        "env_file": settings.env_file,
        "wait_s": f"{wait_s:g}",
        "start_display": settings.start_display if settings.display else "",
        "start_sound": _sound_line(settings),
        "ecosystem": settings.pm2.ecosystem,
    }
    assignments = "".join(f"{name}={quote(value)}\n" for name, value in values.items())
    script = (
        f"{scripts.prelude(settings)}{_places(settings)}{assignments}"
        f'cd -- "$workdir" || exit 1\n{_environment(settings)}{_BESIDE}'
        f"{settings.pm2.command} start {quote(settings.pm2.ecosystem)} -s </dev/null || exit 1\n"
        f"{settings.pm2.command} save -s >/dev/null 2>&1\n{_proof(settings)}"
    )
    return Command(
        name="restart.workload.start", script=script, timeout_s=_START_TIMEOUT_S + wait_s
    )


def _sound(settings: HyperscapeDuelSettings) -> Command:
    script = (
        f"{scripts.prelude(settings)}secrets={scripts.place(settings.secrets_file)}\n"
        f'set -a; . "$secrets"; set +a\n{_sound_line(settings) or ":"}\nexit 0'
    )
    return Command(name="restart.process.sound", script=script, timeout_s=30.0)


def _sound_line(settings: HyperscapeDuelSettings) -> str:
    has_sound = settings.environment().get("STREAM_AUDIO_ENABLED") == "true"
    return settings.start_sound if has_sound else ""


def _proof(settings: HyperscapeDuelSettings) -> str:
    """See by PM2's own pid files that each app has a process; PM2 is not asked once more."""
    names = " ".join(quote(name) for name in settings.pm2.apps)
    return f"set -- {names}\n{_PROOF}"


# The log is the duel's documented one; each line of it is also this script's own output, for whoever
# follows the job. What the deploy script leaves in the background must hold neither pipe nor lock.
_LOGGED_BEFORE = r"""
mkdir -p -- "$workdir/.keeper" "${log%/*}" || exit 1
exec 9>"$workdir/.keeper/deploy.lock"
if command -v flock >/dev/null 2>&1 && ! flock -w 10 9; then
    echo 'another deploy is under way on this host' >&2
    exit 75
fi
[ ! -f "$log" ] || mv -f -- "$log" "$log.1"
: >"$log" && chmod 600 "$log" || exit 1
tail -n +1 -f -- "$log" 9>&- &
teller=$!
"""
_LOGGED_AFTER = r"""code=$?
sleep 0.3
kill "$teller" 2>/dev/null
wait "$teller" 2>/dev/null
if [ "$code" -ne 0 ]; then echo "the deploy ended with $code:" >&2; tail -n 12 -- "$log" >&2; fi
exit "$code"
"""

_SETUP = r"""
cd / || exit 1
( eval "$setup" ) || { echo 'keeper: the set-up failed'; exit 1; }
"""

# Into a folder that may hold something already, and never a prompt. A server need not give a commit by its
# name: then the branch is fetched whole.
_CHECKOUT = r"""
export GIT_TERMINAL_PROMPT=0
mkdir -p -- "$workdir" && cd -- "$workdir" || exit 1
[ -d .git ] || git init -q . || exit 1
git config --replace-all remote.origin.url "$repository" || exit 1
wanted=${commit:-$branch}
fetched=FETCH_HEAD
tries=3
until git fetch -q --depth 1 origin "$wanted"; do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ]; then
        [ -n "$commit" ] && git fetch -q origin "$branch" || { echo 'keeper: git fetch failed'; exit 1; }
        fetched=$commit
        break
    fi
    [ -z "$commit" ] || { git fetch -q origin "$branch" && fetched=$commit && break; }
    sleep 5
done
git reset -q --hard "$fetched" || exit 1
echo "keeper: checked out $(git rev-parse HEAD)"
"""

_SETTINGS = r"""
if [ -n "$env_file" ]; then
    mkdir -p -- "$(dirname -- "$env_file")" &&
        install -m 600 -- "$secrets" "$env_file" || exit 1
fi
# PM2 saves there what its apps were started with, secrets too.
mkdir -p -- "${PM2_HOME:-$HOME/.pm2}" && chmod 700 -- "${PM2_HOME:-$HOME/.pm2}" || exit 1
set -a
. "$secrets" || exit 1
"""
_SETTINGS_END = r"""set +a
[ -z "${XDG_RUNTIME_DIR:-}" ] || { mkdir -p -- "$XDG_RUNTIME_DIR" && chmod 700 "$XDG_RUNTIME_DIR"; }
"""

_RUN = r"""
export PM2
bash "$deploy_script" </dev/null
"""

_STOP = r"""
pm2_runs || exit 0
PM2_COMMAND kill -s >/dev/null 2>&1 </dev/null
tries=50
while kill -0 "$daemon" 2>/dev/null && [ "$tries" -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
! kill -0 "$daemon" 2>/dev/null || { echo "PM2 (pid $daemon) does not end" >&2; exit 1; }
exit 0
"""

# A lock of an X server whose pid is dead, or somebody else's by now, keeps the next one from starting.
_BESIDE = r"""
has_x_server() {
    { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
    case $stat_line in *') Z '*) return 1 ;; "$1 (X"*) ;; *) return 1 ;; esac
}
[ "$wait_s" = 0 ] || sleep "$wait_s"
if [ -n "$start_display" ]; then
    number=${DISPLAY#*:} number=${number%%.*}
    holder=$(tr -cd 0-9 2>/dev/null <"/tmp/.X$number-lock")
    if [ -z "$holder" ] || ! has_x_server "$holder"; then
        rm -f -- "/tmp/.X$number-lock" "/tmp/.X11-unix/X$number"
        setsid sh -c "$start_display" </dev/null >/dev/null 2>&1 &
        sleep 1
    fi
fi
[ -z "$start_sound" ] || setsid sh -c "$start_sound" </dev/null >/dev/null 2>&1
"""

_PROOF = r"""
sleep 1
for name; do
    found=0
    for file in "${PM2_HOME:-$HOME/.pm2}/pids/$name"-*.pid; do
        pid=''
        { read -r pid <"$file"; } 2>/dev/null || [ -n "$pid" ]
        case $pid in '' | *[!0-9]*) ;; *) [ ! -d "/proc/$pid" ] || found=1 ;; esac
    done
    [ "$found" = 1 ] || { echo "PM2 runs no process for $name" >&2; exit 1; }
done
exit 0
"""
