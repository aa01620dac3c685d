#!/bin/sh
# What the sentinel asks the server of sd-turbo: its own word, and when it has none, why it ended.
# Stands in front of sentinel.sh, which calls it every few looks, and uses the sentinel's variables.
# shellcheck disable=SC2034,SC2154 # the sentinel's
# The server's answer is cut to size here and must look like what it is; it is judged elsewhere.
: "${keeper_server:=}"       # where it listens; empty: the host's own idea, or loopback
: "${keeper_server_port:=8000}"
: "${keeper_health:=/healthz?brief}"
sd_misses=0

sd_fetch() {
    sd_host=${keeper_server:-${SERVER_HOST:-127.0.0.1}}
    case $sd_host in 0.0.0.0 | ::) sd_host=127.0.0.1 ;; esac
    sd_url="http://$sd_host:$keeper_server_port$keeper_health"
    if command -v curl >/dev/null 2>&1; then
        # Without its own proxy settings: they are for the world outside.
        bounded curl -q -s -m 2 --noproxy '*' "$sd_url" 2>/dev/null
    else
        { read -r sd_python <"$keeper_workdir/.keeper/server.python"; } 2>/dev/null || sd_python=python3
        bounded "$sd_python" -c '
import socket, sys, urllib.error, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    sys.stdout.write(opener.open(sys.argv[1], timeout=2).read(8000).decode())
except (socket.timeout, TimeoutError):
    sys.exit(28)
except urllib.error.URLError as error:
    sys.exit(28 if isinstance(error.reason, (socket.timeout, TimeoutError)) else 7)' "$sd_url" 2>/dev/null
    fi
    printf ' code=%s' $?
}

# Why it ended, in one word, where it could not say so itself: the interpreter was missing, say.
sd_last_words() {
    case $(tail -c 4096 -- "$keeper_workdir/server.log" 2>/dev/null) in
    *'No space left on device'*) echo disk_full ;;
    *'Address already in use'*) echo port_in_use ;;
    *'compiled using NumPy 1.x'*) echo numpy ;;
    *'no kernel image is available'*) echo no_kernel ;;
    *'out of memory'*) echo out_of_memory ;;
    *ModuleNotFoundError* | *ImportError* | *SyntaxError*) echo imports ;;
    *'not found'* | *"can't open file"* | *'No such file'*) echo files ;;
    *) echo none ;;
    esac
}

ask_workload() {
    # When it has ended, whoever answers on its port is somebody else.
    sd_text=gone
    [ "$state" != up ] || sd_text=$(sd_fetch | LC_ALL=C tr -cd '\40-\176' | head -c 3400)
    case $sd_text in
    '{"keeper":"sd-turbo",'*'} code=0')
        sd_misses=0
        workload="\"workload\":{\"health\":${sd_text% code=0}}"
        return
        ;;
    *code=28 | *code=124 | *code=137) sd_how=silent ;;
    *code=7) sd_how=refused ;;
    gone) sd_how=gone ;;
    *) sd_how=strange ;;
    esac
    sd_misses=$((sd_misses + 1))
    # One answer may be lost on a busy host; a process that is gone has no other to give.
    [ "$sd_misses" -ge 2 ] || [ "$state" != up ] || return
    sd_death=$(head -c 700 -- "$keeper_workdir/.keeper/server.death" 2>/dev/null | tr -cd '\40-\176')
    case $sd_death in
    '{"kind": '*'}') ;;
    *) sd_death="{\"kind\":\"$(sd_last_words)\"}" ;;
    esac
    [ -f "$keeper_workdir/realtime_stream.py" ] && sd_here=true || sd_here=false
    workload="\"workload\":{\"how\":\"$sd_how\",\"here\":$sd_here,\"death\":$sd_death}"
}
