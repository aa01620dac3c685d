#!/bin/sh
# Runs one long step apart from the link that asked for it, and says how it stands.
#
# Four verbs: `begin` starts it, or finds that it runs or has been done; `poll` says how it stands and
# what it has printed since; `end` ends it for certain, or notes that its result is known; `run` is the
# supervisor itself. keeper sends this text with the variables below in front; `begin` leaves a copy
# beside the job for `run`. POSIX sh (dash, busybox), and flock, setsid and mkfifo.
#
# .keeper-jobs/, in the folder where a session begins (and HOME may be said to be another)
#     lock           held (flock) by the supervisor of the one job that runs: the kernel lets go of it
#                    when that dies, so there is no stale one
#     current        the name of the job that was begun last
#     NAME/          its latest try; the one before it is NAME.before
#         try mark   who asked, and for what
#         script     what runs. Its environment is in no file: it came over stdin
#         pid child  "<pid> <start time>" of the supervisor and of what it supervises
#         log.BASE   what it prints. BASE counts the bytes before, so that a reader finds his place
#                    when the older half is thrown away
#         rc         its exit code, or "late"; taken: a keeper knows it
: "${kj_verb:=run}" "${kj_name:=}" "${kj_mark:=}" "${kj_try:=}" "${kj_limit_s:=60}"
: "${kj_log_max:=8388608}" "${kj_from:=0}" "${kj_bytes:=32768}" "${kj_lasting:=1}" "${kj_grace_s:=10}"

# kj_inspect PID: sets kj_state, kj_start (fields 3 and 22 of its stat); fails when it does not run.
kj_inspect() {
    kj_state='' kj_start=''
    { read -r kj_stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086 # words are what is wanted
    set -- ${kj_stat##*) }
    kj_state=$1 kj_start=${20}
    [ "$kj_state" != Z ] && [ "$kj_state" != X ]
}

# kj_runs FILE: whether the process recorded there runs; sets kj_pid. A pid may be somebody else's now.
kj_runs() {
    kj_pid='' kj_begun=''
    { read -r kj_pid kj_begun <"$1"; } 2>/dev/null
    case $kj_pid in '' | *[!0-9]*) return 1 ;; esac
    kj_inspect "$kj_pid" && [ "$kj_start" = "$kj_begun" ]
}

# kj_record PID FILE
kj_record() {
    kj_inspect "$1"
    printf '%s %s\n' "$1" "$kj_start" >"$2.new" && mv -f -- "$2.new" "$2"
}

# kj_word FILE: sets kj_said to its first line; "" when there is none.
kj_word() {
    kj_said=''
    { read -r kj_said <"$1"; } 2>/dev/null
}

kj_size() {
    kj_is=$(wc -c 2>/dev/null <"$1") || kj_is=0
    kj_is=$((kj_is + 0))
}

# kj_end_child: ends all that the job has started in its own group: asks, waits, kills.
kj_end_child() {
    kj_runs child || kj_pid=''
    [ -n "$kj_pid" ] || return 0
    kj_group=$kj_pid
    kill -TERM "-$kj_group" 2>/dev/null
    kj_left=$((kj_grace_s * 5))
    while kj_runs child && [ "$kj_left" -gt 0 ]; do
        sleep 0.2
        kj_left=$((kj_left - 1))
    done
    # More than once: what was just being started is not hit by the first.
    for kj_left in 1 2 3; do
        kill -KILL "-$kj_group" 2>/dev/null || return 0
        sleep 0.1
    done
}

# kj_drain: writes down what comes in, at once and without end, and keeps the newest. What the job
# leaves behind in the background may hold this open for ever: it never blocks and never fills the disk.
kj_drain() {
    kj_base=0
    while :; do
        kj_size "log.$kj_base"
        kj_before=$kj_is
        dd bs=4096 count=64 2>/dev/null >>"log.$kj_base"
        kj_size "log.$kj_base"
        [ "$kj_is" -gt "$kj_before" ] || return 0
        if [ "$kj_is" -ge $((kj_log_max / 2)) ]; then
            for kj_file in log.*; do
                [ "$kj_file" = "log.$kj_base" ] || rm -f -- "$kj_file"
            done
            kj_base=$((kj_base + kj_is))
        fi
    done
}

# kj_answer STATE RC: the line that keeper reads, then what was printed since kj_from.
kj_answer() {
    kj_word try
    kj_whose=$kj_said
    kj_base='' kj_low=''
    for kj_file in log.*; do
        kj_at=${kj_file#log.}
        case $kj_at in '' | *[!0-9]*) continue ;; esac
        if [ -z "$kj_low" ] || [ "$kj_at" -lt "$kj_low" ]; then kj_low=$kj_at; fi
        if [ "$kj_at" -le "$kj_from" ]; then
            if [ -z "$kj_base" ] || [ "$kj_at" -gt "$kj_base" ]; then kj_base=$kj_at; fi
        fi
    done
    if [ -z "$kj_base" ]; then # thrown away meanwhile: go on with the oldest that is there
        kj_base=${kj_low:-0}
        kj_from=$kj_base
    fi
    kj_size "log.$kj_base"
    kj_next=$((kj_base + kj_is))
    [ "$kj_from" -le "$kj_next" ] || kj_from=$kj_next
    [ $((kj_next - kj_from)) -le "$kj_bytes" ] || kj_next=$((kj_from + kj_bytes))
    printf 'job %s %s %s %s %s\n' "$1" "$2" "$kj_from" "$kj_next" "${kj_whose:-none}"
    [ "$kj_next" -eq "$kj_from" ] ||
        tail -c "+$((kj_from - kj_base + 1))" -- "log.$kj_base" | head -c $((kj_next - kj_from))
    exit 0
}

# kj_stand: how the try in this folder stands.
kj_stand() {
    kj_runs pid && kj_is_up=1 || kj_is_up=''
    kj_word rc # after that: it is written before the supervisor ends
    if [ -n "$kj_said" ]; then kj_answer ended "$kj_said"; fi
    if [ -n "$kj_is_up" ]; then kj_answer running -; fi
    kj_answer gone -
}

kj_unable() {
    printf 'job unable - 0 0 none\n%s\n' "$1"
    exit 0
}

kj_begin() {
    kj_umask=$(umask)
    umask 077
    for kj_tool in flock setsid mkfifo dd; do
        command -v "$kj_tool" >/dev/null 2>&1 || kj_unable "this host has no $kj_tool"
    done
    if ! { mkdir -p .keeper-jobs && cd .keeper-jobs && : >>lock; }; then
        kj_unable 'cannot write in ~/.keeper-jobs'
    fi
    exec 9>>lock
    if ! flock -n 9; then
        exec 9>&-
        kj_word current
        kj_running=$kj_said
        cd -- "./$kj_name" 2>/dev/null || { printf 'job busy - 0 0 none\n%s\n' "$kj_running"; exit 0; }
        kj_word try
        kj_theirs=$kj_said
        kj_word mark
        # One whose supervisor was killed a moment ago is none to attach to: the lock is free soon.
        if [ "$kj_theirs" = "$kj_try" ]; then kj_stand; fi
        if [ "$kj_running" = "$kj_name" ] && [ "$kj_said" = "$kj_mark" ]; then
            if kj_runs pid || [ -s rc ]; then kj_stand; fi
        fi
        printf 'job busy - 0 0 none\n%s\n' "$kj_running"
        exit 0
    fi
    if cd -- "./$kj_name" 2>/dev/null; then
        kj_word try
        [ "$kj_said" != "$kj_try" ] || kj_stand
        kj_word mark
        kj_theirs=$kj_said
        kj_word rc
        if [ "$kj_theirs" = "$kj_mark" ] && [ "$kj_said" = 0 ]; then
            if [ "$kj_lasting" = 1 ] || [ ! -e taken ]; then kj_answer ended 0; fi
        fi
        kj_end_child # its supervisor was killed and it was not
        cd .. && rm -rf -- "./$kj_name.before" && mv -f -- "./$kj_name" "./$kj_name.before"
    fi
    # shellcheck disable=SC2154 # keeper gives the program and the script
    if ! {
        mkdir -- "./$kj_name" && cd -- "./$kj_name" && printf '%s\n' "$kj_program" >job.sh &&
            printf '%s\n' "$kj_script" >script && printf '%s\n' "$kj_mark" >mark &&
            mkfifo out && : >log.0 && printf '%s\n' "$kj_name" >../current &&
            printf '%s\n' "$kj_try" >try
    }; then
        kj_unable 'cannot write in ~/.keeper-jobs: is the disk full?'
    fi
    setsid sh ./job.sh "$kj_limit_s" "$kj_log_max" "$kj_grace_s" "$kj_umask" </dev/null >/dev/null 2>&1 &
    kj_left=50 # until it has said who it is: before, a look would take it for gone
    while [ ! -s pid ] && [ "$kj_left" -gt 0 ]; do
        sleep 0.1
        kj_left=$((kj_left - 1))
    done
    kj_answer running -
}

kj_run() {
    kj_record $$ pid
    # Not `kj_drain 9>&-`: a shell keeps a copy of what it closes for a function, and with it the lock.
    (
        exec 9>&-
        kj_drain <out
    ) &
    kj_record $! drain
    kj_here=$(pwd)
    # What is ours is for its owner alone; what the script makes is as open as it would be by hand.
    (umask "$kj_umask" && cd ../.. && exec setsid sh "$kj_here/script" </dev/null >"$kj_here/out" 2>&1 9>&-) &
    kj_child=$!
    kj_record "$kj_child" child
    read -r kj_up _ </proc/uptime
    kj_until=$((${kj_up%%.*} + kj_limit_s))
    kj_looks=0 kj_late=''
    while kj_runs child; do
        read -r kj_up _ </proc/uptime
        if [ "${kj_up%%.*}" -ge "$kj_until" ]; then
            kj_late=late
            kj_end_child
            break
        fi
        kj_looks=$((kj_looks + 1))
        if [ "$kj_looks" -le 25 ]; then sleep 0.2 9>&-; else sleep 1 9>&-; fi
    done
    wait "$kj_child"
    kj_code=$?
    # What it printed last is on its way to the log, unless something that it left behind prints on.
    kj_left=10
    while kj_runs drain && [ "$kj_left" -gt 0 ]; do
        sleep 0.2
        kj_left=$((kj_left - 1))
    done
    printf '%s\n' "${kj_late:-$kj_code}" >rc.new && mv -f -- rc.new rc
}

case $kj_verb in
begin) kj_begin ;;
poll)
    cd -- ".keeper-jobs/$kj_name" 2>/dev/null || { echo 'job absent - 0 0 none'; exit 0; }
    kj_stand
    ;;
end)
    cd -- ".keeper-jobs/$kj_name" 2>/dev/null || exit 0
    kj_word try
    [ "$kj_said" = "$kj_try" ] || exit 0
    kj_word rc
    if [ -z "$kj_said" ]; then
        kj_end_child
        # The supervisor sees that; one that does not is ended, too.
        kj_left=25
        while [ ! -s rc ] && kj_runs pid && [ "$kj_left" -gt 0 ]; do
            sleep 0.2
            kj_left=$((kj_left - 1))
        done
        if [ ! -s rc ]; then
            if kj_runs pid; then kill -KILL "$kj_pid" 2>/dev/null; fi
            echo late >rc.new && mv -f -- rc.new rc
        fi
    fi
    : >taken
    exit 0
    ;;
run)
    kj_limit_s=$1 kj_log_max=$2 kj_grace_s=$3 kj_umask=$4
    kj_run
    ;;
esac
