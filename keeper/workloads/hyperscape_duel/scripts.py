"""What runs on the duel's host: shell around two small programs in JavaScript, and nothing left behind.

The programs are run by the host's own runtime with ``-e``. Secrets go by environment, never by argument.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from shlex import quote

from keeper.ports import Command
from keeper.workloads import managers as manager_of
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings

# One answer of a server on the same host.
_ASK_TIMEOUT_MS = 2_500
_BACKLOG_BYTES = 32_768
_SOUND_EVERY_LOOKS = 6
_ROTATION_S = 60.0
# The steps in which ages are told: each step is a line.
_STEP_MAX_S = 10.0
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,-]*")
# What means something between double quotes, to one reader or the other.
_NOT_IN_DOUBLE_QUOTES = frozenset('"$`\\')


def secrets_text(
    settings: HyperscapeDuelSettings,
    secrets: Mapping[str, str],
    cure: Mapping[str, str] | None = None,
) -> str:
    """Return the settings and secrets as a file that shells and dotenv readers take alike.

    ``cure``: settings that are changed against a symptom, over both.
    """
    merged = {**settings.environment(), **secrets, **(cure or {})}
    lines = [f"{name}={_value(merged[name])}" for name in sorted(merged)]
    lines.append(f"KEEPER_MARK={mark_of(settings, secrets)}")
    return "\n".join(lines) + "\n"


def mark_of(settings: HyperscapeDuelSettings, secrets: Mapping[str, str]) -> str:
    """Return what tells one environment from another; nobody can read a value out of it."""
    text = json.dumps([settings.environment(), dict(secrets)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _value(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    # A shell's own way to quote a quote is not a dotenv reader's.
    if "'" in text and _NOT_IN_DOUBLE_QUOTES.isdisjoint(text):
        return f'"{text}"'
    return quote(text)


def config(settings: HyperscapeDuelSettings, secrets: Mapping[str, str]) -> str:
    """Return what the programs on the host need to know; no secret."""
    patience, env = settings.patience, settings.environment()
    shortest_s = min(patience.flat_s, patience.silent_s, patience.still_s, patience.phase_margin_s)
    has_sound = env.get("STREAM_AUDIO_ENABLED") == "true"
    device = env.get("PULSE_AUDIO_DEVICE", "")
    return json.dumps(
        {
            "port": settings.port,
            "dir": settings.workdir,
            "hls": settings.hls_path,
            "logs": settings.logs,
            "env_file": settings.env_file,
            "secrets_file": settings.secrets_file,
            "deploy_log": settings.deploy_log,
            "app": settings.pm2.apps[0],
            "apps": settings.pm2.apps,
            "bridge_app": settings.pm2.bridge_app,
            "bridge_word": settings.pm2.bridge_word,
            "mark": mark_of(settings, secrets),
            "commit": settings.commit,
            "display": settings.display,
            "audio": device if has_sound else "",
            "sound_env": {n: env[n] for n in ("PULSE_SERVER", "XDG_RUNTIME_DIR") if n in env},
            "sound_looks": _SOUND_EVERY_LOOKS if shortest_s > _STEP_MAX_S else 1,
            "phases_s": settings.phases_s(),
            "margin_s": patience.phase_margin_s,
            "still_s": patience.still_s,
            "stale_s": patience.flat_s,
            "start_s": patience.startup_s,
            "bridge_start_s": patience.bridge_start_s,
            "stream_max_s": patience.stream_max_s,
            "memory_mb": patience.memory_max_mb,
            "keep_s": patience.log_s,
            "rotation_s": min(_ROTATION_S, patience.flat_s),
            "calm_s": shortest_s / 2,
            "step_s": min(_STEP_MAX_S, shortest_s / 4),
            "respawn_s": 30,
            "verify_every_ms": 1000,
            "timeout_ms": _ASK_TIMEOUT_MS,
            "backlog_bytes": _BACKLOG_BYTES,
        },
        sort_keys=True,
    )


def program(name: str) -> str:
    """Return one of the two programs, with what they share in front."""
    parts = manager_of.payload("hyperscape_parts.js") + manager_of.payload(f"hyperscape_{name}.js")
    return parts.decode()


def prelude(settings: HyperscapeDuelSettings) -> str:
    """Return the shell that every script of ours begins with: a PATH that knows the runtime."""
    home = f"export PM2_HOME={quote(settings.pm2.home)}\n" if settings.pm2.home else ""
    path = f'PATH="{settings.path}:$PATH"\n' if settings.path else ""
    # Quoted so that the host's own variables mean something; the settings allow no other character.
    return f'{path}export PATH keeper_address="{settings.address}"\n{home}'


def place(path: str) -> str:
    """Return a path of the host for its shell: a relative one begins at the home of the SSH user."""
    return quote(path) if path.startswith("/") else f'"$HOME"/{quote(path)}'


def asker(settings: HyperscapeDuelSettings, secrets: Mapping[str, str]) -> str:
    """Return the sentinel's function: one look every few, whose memory is a variable of the shell."""
    return (
        f"{prelude(settings)}"
        f"duel_config={quote(config(settings, secrets))}\n"
        f"duel_program={quote(program('look'))}\n"
        f"duel_runtime={quote(settings.runtime)}\n"
        f"{_ASKER}"
    )


_ASKER = r"""
duel_memory='{}'
duel_break='
'
ask_workload() {
    # shellcheck disable=SC2154 # `state` is the sentinel's: what the manager said last
    duel_said=$(
        export keeper_memory="$duel_memory" keeper_config="$duel_config" keeper_process="$state"
        # shellcheck disable=SC2086 # the runtime may be several words
        bounded $duel_runtime -e "$duel_program" 2>/dev/null
    )
    case $duel_said in
    '{'*"$duel_break"'{'*)
        duel_memory=${duel_said%%"$duel_break"*}
        workload="\"workload\":${duel_said#*"$duel_break"}"
        ;;
    *) workload='"workload":null' ;;
    esac
}
"""


def act(
    settings: HyperscapeDuelSettings,
    secrets: Mapping[str, str],
    *,
    verb: str,
    name: str,
    timeout_s: float = 60.0,
    wait_s: float = 0.0,
    is_closing: bool = False,
) -> Command:
    """Compose one verb of the program of acts. The admin code goes by environment, if it is needed."""
    needs_code = verb.startswith(("maintenance", "drain"))
    code = secrets.get(settings.admin_code_secret, "") if needs_code else ""
    env = {"keeper_admin_code": code} if code else {}
    script = (
        f"{prelude(settings)}"
        f"export keeper_verb={verb} keeper_wait_ms={int(wait_s * 1000)}\n"
        f"export keeper_config={quote(config(settings, secrets))}\n"
        f"command -v {settings.runtime.split()[0]} >/dev/null 2>&1 || {_without_runtime(verb)}\n"
        f"{settings.runtime} -e {quote(program('acts'))}"
    )
    return Command(name=name, script=script, env=env, timeout_s=timeout_s, is_closing=is_closing)


def _without_runtime(verb: str) -> str:
    """Say what it means that the runtime is not there: nothing was ever deployed here, or it broke."""
    if verb.startswith("maintenance") or verb in {"clear", "trim"}:
        return "{ echo 'nothing runs here yet'; exit 0; }"
    return "{ echo 'the runtime is missing' >&2; exit 2; }"
