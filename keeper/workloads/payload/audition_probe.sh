#!/bin/sh
# Looks at the host for an audition: several cheap looks in one round trip.
#
# It travels over an SSH channel's stdin, changes nothing, and prints one section for each name in
# keeper_sections: "@keeper begin NAME", what was seen, "@keeper end NAME CODE". POSIX sh only. Each
# tool has a deadline and a bound on what it may say; a section that did not end is read as no answer.
#
# Whoever sends it puts assignments in front of it; these are their defaults.
: "${keeper_sections:=}"      # which looks, separated by blanks
: "${keeper_workdir:=.}"
: "${keeper_display:=:99}"
: "${keeper_names:=}"         # host names that must resolve
: "${keeper_control:=}"       # a name that always does, to tell a bad name from a bad resolver
: "${keeper_ingest:=}"        # "HOST PORT SPEECH" of where the stream goes; SPEECH is tcp, rtmp or rtmps
: "${keeper_root:=}"          # in front of the paths looked at; simulated hosts have one of their own

set -u
LC_ALL=C
export LC_ALL

if timeout -k 1 1 true >/dev/null 2>&1; then
    bounded() {
        limit_s=$1
        shift
        timeout -k 2 "$limit_s" "$@"
    }
else
    bounded() {
        shift
        "$@"
    }
fi

has() { command -v "$1" >/dev/null 2>&1; }

# --- the GPU ----------------------------------------------------------------------------------------

# An empty answer with exit code 127 is a tool that is not there.
query() {
    has nvidia-smi || return 127
    bounded 15 nvidia-smi "--query-gpu=$1" --format=csv,noheader
}

look_gpu() { query name,driver_version,memory.total; }

# One question a field: a driver that does not know one of them refuses the whole question.
look_display() {
    has nvidia-smi || return 127
    for field in display_mode display_active display_attached; do
        printf '%s=%s\n' "$field" "$(query "$field" 2>&1 | head -n 1)"
    done
    # The column Disp.A stands behind the bus address.
    bounded 15 nvidia-smi 2>/dev/null | sed -n 's/^.*[0-9A-Fa-f]:[0-9A-Fa-f][0-9A-Fa-f]\.[0-9]  *\(On\|Off\)[ |].*$/Disp.A=\1/p' | head -n 1
}

# lsmod is part of kmod, which many images lack; the kernel says the same without it.
look_drm() {
    if [ -d "$keeper_root/sys/module/nvidia_drm" ]; then
        echo loaded
    elif [ ! -r "$keeper_root/proc/modules" ]; then
        echo unreadable
    elif grep -q '^nvidia_drm ' "$keeper_root/proc/modules"; then
        echo loaded
    else
        echo absent
    fi
}

look_dri() {
    [ -d "$keeper_root/dev/dri" ] || return 1
    ls "$keeper_root/dev/dri"
}

# --- Vulkan -----------------------------------------------------------------------------------------

manifests() {
    for manifest in "$keeper_root"/usr/share/vulkan/icd.d/nvidia_icd*.json "$keeper_root"/etc/vulkan/icd.d/nvidia_icd*.json; do
        [ ! -f "$manifest" ] || echo "$manifest"
    done
}

library() {
    found=$({ PATH=$PATH:/sbin:/usr/sbin bounded 10 ldconfig -p; } 2>/dev/null | sed -n "s/^.*$1 .*=> //p" | head -n 1)
    if [ -z "$found" ]; then
        for folder in /usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu /usr/lib64 /usr/lib; do
            [ ! -e "$keeper_root$folder/$1" ] || found=$folder/$1
        done
    fi
    echo "$found"
}

# What the container was created with; a login shell may have lost it.
capabilities() {
    printf 'capabilities=%s\n' "$(tr '\0' '\n' 2>/dev/null <"$keeper_root/proc/1/environ" | sed -n 's/^NVIDIA_DRIVER_CAPABILITIES=//p' | head -n 1)"
}

# A manifest is short; its lines are told apart from ours by a blank in front of them.
look_icd() {
    for wanted in libGLX_nvidia.so.0 libEGL_nvidia.so.0; do
        printf 'library %s=%s\n' "$wanted" "$(library "$wanted")"
    done
    capabilities
    manifests | head -n 4 | while read -r manifest; do
        printf 'manifest=%s\n' "${manifest#"$keeper_root"}"
        head -c 1500 "$manifest" | sed 's/^/ /'
        echo
        for named in $(sed -n 's/^.*"library_path"[^"]*"\(\/[^" ]*\)".*$/\1/p' "$manifest" | head -n 1); do
            [ ! -e "$keeper_root$named" ] || printf 'exists=%s\n' "$named"
        done
    done
}

# Without XDG_RUNTIME_DIR some drivers answer with ERROR_INCOMPATIBLE_DRIVER.
look_vulkan() {
    has vulkaninfo || return 127
    if [ -z "${XDG_RUNTIME_DIR:-}" ] || [ ! -d "$XDG_RUNTIME_DIR" ]; then
        XDG_RUNTIME_DIR=${TMPDIR:-/tmp}
        export XDG_RUNTIME_DIR
    fi
    if [ -z "${VK_ICD_FILENAMES:-}" ]; then
        manifest=$(manifests | head -n 1)
        if [ -n "$manifest" ]; then
            VK_ICD_FILENAMES=$manifest
            export VK_ICD_FILENAMES
        fi
    fi
    bounded 20 vulkaninfo --summary
}

# One second of video, encoded by the GPU and thrown away.
look_encoder() {
    has ffmpeg || return 127
    bounded 40 ffmpeg -hide_banner -nostdin -loglevel warning \
        -f lavfi -i testsrc2=size=1280x720:rate=30 -t 1 -pix_fmt yuv420p -c:v h264_nvenc -f null -
    code=$?
    capabilities
    return "$code"
}

# --- the X server -----------------------------------------------------------------------------------

# A socket outlives its server, and a server that hangs still accepts. So it is greeted, and must greet:
# the first byte of its answer is 1 (welcome), 0 or 2 (there, and wants to know who asks).
greet() {
    if has xdpyinfo && bounded 6 xdpyinfo -display "$keeper_display" >/dev/null 2>&1; then
        echo welcome
    elif has python3; then
        bounded 6 python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
try:
    s.connect(sys.argv[1])
except OSError:
    print("refused"); sys.exit()
try:
    s.sendall(b"l\0\x0b\0\0\0\0\0\0\0\0\0")
    print({b"\1": "welcome", b"\0": "locked", b"\2": "locked"}.get(s.recv(1), "silent"))
except OSError:
    print("silent")' "$1"
    elif has perl; then
        # shellcheck disable=SC2016 # perl's own
        bounded 6 perl -MIO::Socket::UNIX -e '
            my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or do { print "refused\n"; exit };
            $SIG{ALRM} = sub { print "silent\n"; exit }; alarm 5;
            syswrite($s, "l\0\x0b\0\0\0\0\0\0\0\0\0"); my $b = "";
            sysread($s, $b, 1); my $n = length $b ? ord $b : 9;
            print $n == 1 ? "welcome\n" : $n == 0 || $n == 2 ? "locked\n" : "silent\n"' "$1"
    else
        echo 'no tool'
    fi
}

# A zombie waits to be reaped, in a container often for ever, and is as dead as one that is gone.
is_alive() {
    { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
    case ${stat_line##*) } in Z* | X*) return 1 ;; esac
}

look_x() {
    number=${keeper_display#:}
    number=${number%%.*}
    socket=$keeper_root/tmp/.X11-unix/X$number lock=$keeper_root/tmp/.X$number-lock
    owner=''
    [ ! -r "$lock" ] || read -r owner <"$lock"
    case $owner in
    '' | *[!0-9]*) echo 'lock=none' ;;
    *) if is_alive "$owner"; then echo 'lock=alive'; else echo 'lock=dead'; fi ;;
    esac
    if [ -S "$socket" ]; then
        said=$(greet "$socket")
        printf 'answer=%s\n' "${said:-silent}"
    else
        echo 'answer=no socket'
    fi
    log=$keeper_root/var/log/Xorg.$number.log
    [ ! -r "$log" ] || grep -i -m 3 -e swrast -e 'NVIDIA.*Failed to initialize' "$log" | head -c 300 | sed 's/^/log=/'
}

# --- the host ---------------------------------------------------------------------------------------

resolves() {
    has getent || return 127
    bounded 10 getent ahosts "$1" >/dev/null 2>&1
}

look_dns() {
    for name in $keeper_names $keeper_control; do
        resolves "$name" || {
            sleep 1
            resolves "$name"
        }
        printf '%s=%s\n' "$name" "$?"
    done
}

connect() {
    if has bash; then
        # shellcheck disable=SC2016 # for that bash
        bounded 8 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>&1
    elif has python3; then
        bounded 8 python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 8)' "$1" "$2" 2>&1
    else
        return 127
    fi
}

# RTMP begins with a version and 1536 bytes from each side, before any key. Prints the version that came
# back and how many bytes came behind it.
greet_ingest() {
    if [ "$3" = rtmp ] && has bash; then
        # shellcheck disable=SC2016 # for that bash
        bounded 8 bash -c 'exec 3<>"/dev/tcp/$0/$1" || exit 1
            { printf "\003"; head -c 1536 /dev/zero; } >&3
            head -c 1537 <&3 | {
                version=$(dd bs=1 count=1 2>/dev/null | od -An -tu1)
                printf "%s,%s\n" "${version//[!0-9]/}" "$(wc -c)"
            }' "$1" "$2" 2>/dev/null
    elif has python3; then
        bounded 8 python3 -c 'import socket, ssl, sys
host, port, speech = sys.argv[1:]
link = socket.create_connection((host, int(port)), 6)
if speech == "rtmps":
    link = ssl.create_default_context().wrap_socket(link, server_hostname=host)
link.sendall(b"\3" + bytes(1536))
came = b""
try:
    while len(came) < 1537:
        piece = link.recv(1537)
        if not piece:
            break
        came += piece
except socket.timeout:
    sys.exit()
except ConnectionError:
    pass
print("%s,%d" % (came[0] if came else "", max(0, min(len(came), 1537) - 1)))' "$@" 2>&1 | tail -n 1
    else
        echo untried
    fi
}

look_ingest() {
    # shellcheck disable=SC2086 # three words
    set -- $keeper_ingest
    said=$(connect "$1" "$2")
    code=$?
    # One bad moment of a network is no reason to give a host up; an answer is an answer.
    case "$code $said" in
    0* | 127* | *refused* | *'not known'* | *'name resolution'*) ;;
    *)
        sleep 2
        said=$(connect "$1" "$2")
        code=$?
        ;;
    esac
    if [ "$code" -ne 0 ] && [ -n "$keeper_control" ]; then
        connect "$keeper_control" 443 >/dev/null
        printf 'control=%s\n' "$?"
    fi
    if [ "$code" -eq 0 ] && [ "${3:-tcp}" != tcp ]; then
        greeted=$(greet_ingest "$@")
        case $greeted in 3,1536 | untried) ;; *) sleep 2 && greeted=$(greet_ingest "$@") ;; esac
        printf 'greeted=%s\n' "${greeted:-silent}"
    fi
    printf '%s\n' "$said" | tail -n 2
    return "$code"
}

# What is free where the workload goes; of a folder that is not there yet, where it would be.
look_disk() {
    folder=$keeper_workdir
    while [ ! -d "$folder" ]; do
        case $folder in
        */*) folder=${folder%/*} ;;
        *) folder=. ;;
        esac
        folder=${folder:-/}
    done
    df -Pk "$folder" | tail -n 1
}

look_shm() { df -Pk /dev/shm | tail -n 1; }

look_clock() { date +%s; }

# --- one section each -------------------------------------------------------------------------------

for section in $keeper_sections; do
    printf '@keeper begin %s\n' "$section"
    # The exit code by another way than the text, which is cut at a bound, and the rest let go.
    {
        code=$({
            {
                "look_$section" </dev/null 2>&1 3>&- 4>&-
                echo $? >&3
            } | {
                head -c 12000 >&4
                cat >/dev/null
            }
        } 3>&1)
    } 4>&1
    printf '\n@keeper end %s %s\n' "$section" "$code"
done
