#!/bin/sh
# What the sentinel and those who ask a workload's own questions once have in common. POSIX sh only (dash,
# busybox); it does nothing by itself.
# shellcheck disable=SC2034 # what `inspect` sets is for whoever calls it
LC_ALL=C
export LC_ALL

# A tool that hangs must not silence us. Old busybox has a timeout that knows no -k: do without.
if timeout -k 1 1 true >/dev/null 2>&1; then
    bounded() { timeout -k 2 10 "$@"; }
else
    bounded() { "$@"; }
fi

# inspect PID: sets proc_state and proc_start (/proc/PID/stat fields 3 and 22; the name in field 2 may
# hold blanks and brackets). Fails when there is no such process. Forks nothing.
inspect() {
    proc_state='' proc_start=''
    { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086 # the words are what is wanted
    set -- ${stat_line##*) }
    proc_state=$1 proc_start=${20}
}

# is_alive PID: there is such a process, and it is no zombie.
is_alive() {
    inspect "$1" || return 1
    case $proc_state in Z | X) return 1 ;; esac
}

# A number, or 0: whatever a manager printed goes into JSON.
number() {
    case $1 in
    '' | *[!0-9]*) echo 0 ;;
    *) echo "$1" ;;
    esac
}

# Free text, made safe for JSON and short.
plain() {
    printf '%s' "$1" | tr -cd 'A-Za-z0-9 _.,:/()=+-' | cut -c1-120
}
