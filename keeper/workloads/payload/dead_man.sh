#!/bin/sh
# The dead man: stops this rental by its own key when no keeper has been heard for too long.
#
# The one thing of keeper's that outlives its link, and only where a stream asks for it
# (policy.dead_man_after_s). keeper writes a line into `heartbeat` from time to time:
#     <uptime at that moment> <stop after s> <look every s> <instance id> <address of the API>
# Uptime and not the time of day: clocks are set, uptime only grows, and begins anew with the machine.
# Without that file there is nothing to guard, and the program ends. POSIX sh only (dash, busybox).
#
# The key is the instance's own, which can stop and destroy this one rental. It is never in an
# argument. Whoever starts this may say where process 1 keeps its environment.
: "${keeper_environ:=/proc/1/environ}"
: "${keeper_lines_max:=200}"
: "${keeper_wait_s:=10}" # before the second try; then twice as long each time, up to five minutes

set -fu
LC_ALL=C
export LC_ALL
umask 077

lines=0
# say TEXT: a line in the log, so many and no more: this disk is not ours to fill.
say() {
    lines=$((lines + 1))
    [ "$lines" -le "$keeper_lines_max" ] || return 0
    printf '%s up=%s %s\n' "$(date -u '+%Y-%m-%dT%H:%M:%SZ')" "$up" "$1"
}

# is_number WORD
is_number() {
    case $1 in
    '' | *[!0-9]*) return 1 ;;
    esac
}

read_uptime() {
    { read -r up _; } 2>/dev/null </proc/uptime || up=''
    up=${up%%.*}
    is_number "$up"
}

# read_heartbeat: sets fed, after, look, id and url; fails when there is none that can be read.
read_heartbeat() {
    fed='' after='' look='' id='' url=''
    { read -r fed after look id url; } 2>/dev/null <heartbeat || return 1
    is_number "$fed" && is_number "$after" && is_number "$look" && is_number "$id" && [ -n "$url" ]
}

# find NAME: sets `found` to a variable of the container: of this session, of process 1, or of what a
# login reads.
find() {
    eval "found=\${$1-}"
    if [ -z "$found" ] && [ -r "$keeper_environ" ]; then
        found=$(tr '\0' '\n' <"$keeper_environ" 2>/dev/null | sed -n "s/^$1=//p" | head -n 1)
    fi
    if [ -z "$found" ] && [ -r /etc/environment ]; then
        found=$(sed -n "s/^$1=//p" /etc/environment | tail -n 1)
        found=${found#[\"\']} found=${found%[\"\']}
    fi
}

# What asks: curl, or Python. Both take the key from stdin.
if command -v curl >/dev/null 2>&1; then
    tool=curl
elif command -v python3 >/dev/null 2>&1; then
    tool=python3
else
    tool=''
fi

# ask_to_stop: sets `why` unless the marketplace has said yes.
ask_to_stop() {
    find CONTAINER_API_KEY
    key=$found
    case $key in
    '' | *[!A-Za-z0-9._-]*)
        why='the container has no key of its own'
        return 1
        ;;
    esac
    where=$url/api/v0/instances/$id/
    case $tool in
    curl)
        answer=$(printf 'header = "Authorization: Bearer %s"\n' "$key" |
            curl -sS -m 20 -K - -X PUT -H 'Content-Type: application/json' \
                -d '{"state":"stopped"}' -w '\n%{http_code}' -- "$where" 2>&1)
        ;;
    python3)
        # shellcheck disable=SC2016 # Python, not shell
        answer=$(printf '%s' "$key" | python3 -c '
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], method="PUT", data=b"{\"state\":\"stopped\"}")
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer " + sys.stdin.read())
try:
    with urllib.request.urlopen(request, timeout=20) as reply:
        print(reply.read(4096).decode("utf-8", "replace"), reply.status, sep="\n")
except urllib.error.HTTPError as error:
    print(error.read(4096).decode("utf-8", "replace"), error.code, sep="\n")
' "$where" 2>&1)
        ;;
    *)
        why='neither curl nor python3 is there'
        return 1
        ;;
    esac
    status=${answer##*
}
    case $status:$answer in
    200:*'"success": true'* | 200:*'"success":true'*) return 0 ;;
    esac
    # Cut, and without what is no plain text or could be the key.
    why=$(printf '%s' "$answer" | tr '\n' ' ' | tr -cd 'A-Za-z0-9 _.,:/()-' | cut -c1-160)
    case $why in
    *"$key"*) why="refused, status $status" ;;
    esac
    return 1
}

up=0 since='' wait_s=0 next=0
while read_heartbeat; do
    if read_uptime; then
        # A machine that has booted since counts from its boot on: nobody could have fed us before.
        if [ "$up" -lt "$fed" ]; then fed=0; fi
        if [ $((up - fed)) -lt "$after" ]; then
            [ -z "$since" ] || say 'a keeper is heard again'
            since='' wait_s=0 next=0
        elif [ "$up" -ge "$next" ]; then
            if [ -z "$since" ]; then
                since=$up
                say "no keeper for $((up - fed)) s: this rental is to stop"
            fi
            if ask_to_stop; then
                say 'the marketplace was asked to stop it, and has said yes'
                wait_s=300
            else
                say "not stopped: $why"
                if [ "$wait_s" -eq 0 ]; then wait_s=$keeper_wait_s; else wait_s=$((wait_s * 2)); fi
                if [ "$wait_s" -gt 300 ]; then wait_s=300; fi
            fi
            next=$((up + wait_s))
        fi
    fi
    sleep "$look" || exit 1
done
