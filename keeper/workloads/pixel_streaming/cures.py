"""A cure for each symptom of a Pixel Streaming host, as commands that bear repetition.

The application is ended with SIGKILL, by its process group: one that hangs takes no SIGTERM, and its
supervisor would wait for that first.
"""

from __future__ import annotations

from keeper.ports import Command
from keeper.probes import player
from keeper.workloads.pixel_streaming.scripts import assignments, verify
from keeper.workloads.pixel_streaming.settings import PixelStreamingSettings

_CONTROL_S = 90.0
_OF_SIGNALLING = frozenset(
    {"signalling_respawned", "signalling_silent", "page_down", "placeholder"}
)
_OF_RELAY = frozenset({"relay_down", "relay_names_differ", player.RELAY_FAILED})

# restart NAME: supervisorctl's own exit code says nothing; its words do.
_RESTART = r"""
restart() {
    said=$($supervisorctl restart "$1" 2>&1)
    case $said in *': started'*) return 0 ;; esac
    printf '%s\n' "$said" >&2
    return 1
}
"""

_START_APP = r"""
pid=$($supervisorctl pid "$program" 2>/dev/null)
case $pid in
'' | 0 | *[!0-9]*) ;;
*) kill -KILL "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null ;;
esac
sleep 0.3
said=$($supervisorctl start "$program" 2>&1)
case $said in *': started'* | *'already started'*) exit 0 ;; esac
printf '%s\n' "$said" >&2
exit 1
"""

# Whoever holds a port of the signalling server and is none of its children is left over from a server
# that was killed. Told by the socket's number in the kernel's table, and looked up among the processes.
_FREE_PORTS = r"""
parent_of() {
    { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
    set -- ${stat_line##*) }
    parent=$2
}
is_child() {
    at=$1
    while [ "$at" -gt 1 ]; do
        [ "$at" != "$own" ] || return 0
        parent_of "$at" || return 1
        at=$parent
    done
    return 1
}
free_port() {
    hex=$(printf '%04X' "$1")
    inodes=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r _ here _ state _ _ _ _ _ inode _; do
        case $here:$state in *":$hex:0A") echo "$inode" ;; esac
    done)
    for inode in $inodes; do
        for link in $(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" 2>/dev/null); do
            holder=${link#/proc/} holder=${holder%%/*}
            is_child "$holder" && continue
            name=$(tr '\0' ' ' <"/proc/$holder/cmdline" 2>/dev/null | cut -c1-120)
            case $name in
            *sshd*) echo "port $1 is held by $name" >&2 ;;
            *) echo "ending process $holder, which holds port $1: $name"; kill -KILL "$holder" ;;
            esac
            break
        done
    done
}
own=$($supervisorctl pid "$signalling" 2>/dev/null)
case $own in '' | *[!0-9]*) own=0 ;; esac
free_port "$page"
free_port "$streamer"
restart "$signalling" || exit 1
"""

_UNTIL_OPEN = r"""
tries=0
until grep -qs ":$(printf '%04X' "$page") [0-9A-F]*:0000 0A " /proc/net/tcp /proc/net/tcp6; do
    tries=$((tries + 1))
    [ "$tries" -lt 40 ] || { echo "nobody listens on port $page" >&2; exit 1; }
    sleep 0.5
done
"""

_END_HANGING = r"""
own=$($supervisorctl pid "$signalling" 2>/dev/null)
case $own in '' | 0 | *[!0-9]*) echo 'the signalling server does not run' >&2; exit 1 ;; esac
found=''
for file in /proc/[0-9]*/stat; do
    { read -r stat_line <"$file"; } 2>/dev/null || continue
    case $stat_line in *'(curl) '*) ;; *) continue ;; esac
    pid=${file#/proc/} pid=${pid%/stat}
    set -- ${stat_line##*) }
    if [ "$3" = "$own" ]; then
        kill -KILL "$pid" && found=$pid
    fi
done
[ -n "$found" ] || { echo 'no curl hangs there' >&2; exit 1; }
"""

_CHAIN = r"""
for each in $chain; do
    said=$($supervisorctl stop "$each" 2>&1)
done
for each in $chain; do
    said=$($supervisorctl start "$each" 2>&1)
    case $said in
    *': started'* | *'already started'*) ;;
    *) printf '%s\n' "$said" >&2; exit 1 ;;
    esac
done
"""

_TUNNEL = r"""
curl -fsS -m 30 -o /dev/null -X POST \
    "http://127.0.0.1:$portal/refresh-quick-tunnel/$tunnel" && exit 0
curl -fsS -m 30 -o /dev/null -X POST "http://127.0.0.1:$portal/start-quick-tunnel/$tunnel"
"""


def cure(settings: PixelStreamingSettings, symptom: str) -> tuple[Command, ...]:
    """Return what helps against a symptom; against an unknown one, a fresh application."""
    image = settings.image_layout
    if symptom == "start_hangs":
        return (
            _command(settings, "end_hanging_start", _END_HANGING),
            _command(settings, "wait_for_page", _UNTIL_OPEN),
        )
    if symptom in _OF_SIGNALLING:
        script = _RESTART + _FREE_PORTS + _UNTIL_OPEN
        return (_command(settings, "restart_signalling", script),)
    if symptom == "signalling_ended":
        script = _RESTART + 'restart "$signalling" || exit 1\n' + _UNTIL_OPEN
        return (_command(settings, "start_signalling", script),)
    if symptom == "caddy_down":
        return (_restart(settings, "restart_caddy", image.caddy),)
    if symptom in _OF_RELAY:
        return (_restart(settings, "restart_relay", image.relay),)
    if symptom == "audio_down":
        return (_command(settings, "restart_audio", _CHAIN),)
    if symptom == "portal_down":
        return (_restart(settings, "restart_portal", image.portal),)
    if symptom == "tunnel_gone":
        return (_command(settings, "refresh_tunnel", _TUNNEL),)
    return (start_app(settings), verify(settings, name="verify.process"))


def start_app(settings: PixelStreamingSettings) -> Command:
    """End the application for certain, and start it."""
    return _command(settings, "start_app", _START_APP)


def _restart(settings: PixelStreamingSettings, name: str, program: str) -> Command:
    return _command(settings, name, f"{_RESTART}restart '{program}' || exit 1\n")


def _command(settings: PixelStreamingSettings, name: str, script: str) -> Command:
    image = settings.image_layout
    values = {
        "supervisorctl": image.supervisorctl,
        "program": settings.app.program,
        "signalling": image.signalling,
        "page": str(image.page_port_inside),
        "streamer": str(image.streamer_port),
        "portal": str(image.portal_port_inside),
        "chain": " ".join(image.audio),
        "tunnel": settings.tunnel_url,
    }
    return Command(
        name=f"restart.process.{name}", script=assignments(values) + script, timeout_s=_CONTROL_S
    )
