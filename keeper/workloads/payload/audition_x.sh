#!/bin/sh
# Brings up an X server on a display that has none: Xorg with the NVIDIA driver, else Xvfb.
#
# It travels over an SSH channel's stdin. A server that greets is left alone; one that hangs is ended by
# its pid, if that is an X server's; a lock and a socket go only when the lock's process is dead. What it
# starts outlives the link. Exit code 0: a server greets.
: "${keeper_display:=:99}"
: "${keeper_size:=1280x720}"
: "${keeper_workdir:=.}"
: "${keeper_root:=}"

set -u
LC_ALL=C
export LC_ALL

number=${keeper_display#:}
number=${number%%.*}
socket=$keeper_root/tmp/.X11-unix/X$number
lock=$keeper_root/tmp/.X$number-lock
kept=$keeper_workdir/.keeper

has() { command -v "$1" >/dev/null 2>&1; }

greets() {
    [ -S "$socket" ] || return 1
    if has xdpyinfo; then
        timeout 6 xdpyinfo -display ":$number" >/dev/null 2>&1
    elif has python3; then
        timeout 6 python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
s.connect(sys.argv[1])
s.sendall(b"l\0\x0b\0\0\0\0\0\0\0\0\0")
sys.exit(s.recv(1) != b"\1")' "$socket" 2>/dev/null
    else
        return 0
    fi
}

owner_of_lock() {
    owner=''
    [ ! -r "$lock" ] || read -r owner <"$lock"
    case $owner in *[!0-9]*) owner='' ;; esac
}

# A zombie waits to be reaped, in a container often for ever, and is as dead as one that is gone.
is_alive() {
    { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
    case ${stat_line##*) } in Z* | X*) return 1 ;; esac
}

# Only what calls itself an X server is ended, and what is dead is tidied away.
clear_away() {
    owner_of_lock
    if [ -n "$owner" ] && is_alive "$owner"; then
        title=''
        read -r title <"/proc/$owner/comm"
        case $title in
        Xorg | Xvfb | X) ;;
        *)
            echo "the lock of :$number is held by $title, pid $owner: not touched" >&2
            exit 1
            ;;
        esac
        kill -TERM "$owner" 2>/dev/null
        kill -CONT "$owner" 2>/dev/null
        tries=15
        while is_alive "$owner" && [ "$tries" -gt 0 ]; do sleep 0.2; tries=$((tries - 1)); done
        kill -KILL "$owner" 2>/dev/null
        tries=10
        while is_alive "$owner" && [ "$tries" -gt 0 ]; do sleep 0.2; tries=$((tries - 1)); done
    fi
    rm -f -- "$lock" "$socket"
}

launch() {
    if has setsid; then launcher="setsid"; else launcher="nohup"; fi
    $launcher "$@" </dev/null >"$kept/x.log" 2>&1 &
    tries=50
    while [ "$tries" -gt 0 ]; do
        ! greets || return 0
        is_alive $! || return 1
        sleep 0.2
        tries=$((tries - 1))
    done
    return 1
}

# A card without a monitor still draws when it is allowed an empty configuration.
write_configuration() {
    bus=$(nvidia-smi --query-gpu=pci.bus_id --format=csv,noheader 2>/dev/null | head -n 1)
    case $bus in
    [0-9A-Fa-f]*:[0-9A-Fa-f][0-9A-Fa-f]:[0-9A-Fa-f][0-9A-Fa-f].[0-9]) ;;
    *) return 1 ;;
    esac
    rest=${bus#*:}
    device=${rest#*:}
    bus=$(printf 'PCI:%d:%d:%d' "0x${rest%%:*}" "0x${device%%.*}" "${device##*.}")
    cat >"$kept/xorg.conf" <<TEXT
Section "Device"
    Identifier "gpu"
    Driver "nvidia"
    BusID "$bus"
    Option "AllowEmptyInitialConfiguration" "true"
EndSection
Section "Screen"
    Identifier "screen"
    Device "gpu"
    DefaultDepth 24
    SubSection "Display"
        Depth 24
        Virtual ${keeper_size%x*} ${keeper_size#*x}
    EndSubSection
EndSection
TEXT
}

# Xorg that fell back to software is worse than Xvfb, where the browser still finds Vulkan.
start_xorg() {
    has Xorg && has nvidia-smi && write_configuration || return 1
    log=$keeper_root/var/log/Xorg.$number.log
    if launch Xorg ":$number" -config "$kept/xorg.conf" -logfile "$log" -noreset -nolisten tcp &&
        ! grep -qi -e swrast -e 'NVIDIA.*Failed to initialize' "$log"; then
        return 0
    fi
    clear_away
    return 1
}

start_xvfb() {
    if ! has Xvfb && has apt-get; then
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends xvfb >/dev/null 2>&1 ||
            { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends xvfb; } >/dev/null 2>&1
    fi
    has Xvfb || { echo 'there is neither Xorg nor Xvfb' >&2; return 1; }
    launch Xvfb ":$number" -screen 0 "${keeper_size}x24" -nolisten tcp -noreset
}

if greets; then
    echo 'it greets already'
    exit 0
fi
mkdir -p -- "$kept" "${socket%/*}" || exit 1
chmod 1777 "${socket%/*}" 2>/dev/null
clear_away
if start_xorg; then
    echo 'Xorg with the NVIDIA driver'
elif start_xvfb; then
    echo 'Xvfb'
else
    tail -n 5 "$kept/x.log" >&2
    exit 1
fi
