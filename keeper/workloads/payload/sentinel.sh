#!/bin/sh
# Asks the workload's own questions on its host and speaks only when an answer has changed.
#
# It travels over an SSH channel's stdin, installs nothing and writes nothing but its lines: one JSON
# object each, {"seq":N,"facts":{...}} on change, {"hb":N} when nothing changed for a while. It ends
# with its link. POSIX sh only (dash, busybox). A look at a plain process forks nothing but `sleep`; a
# manager costs 150 ms of CPU, so it is asked every few looks, and when its process is another one.
#
# Whoever sends it puts assignments and sentinel_parts.sh in front of it; these are their defaults.
# shellcheck disable=SC2154 # what the parts set
: "${keeper_manager:=none}"       # background, pm2, supervisor or none
: "${keeper_name:=}"              # the program's name at its manager
: "${keeper_command:=}"           # how to call the manager, words separated by blanks
: "${keeper_node:=node}"          # PM2: the JavaScript runtime that reduces its answer
: "${keeper_pm2_home:=}"          # PM2: its home; empty: the usual one
: "${keeper_workdir:=.}"
: "${keeper_pid_file:=}"          # background: "<pid> <start time>"
: "${keeper_look_s:=2}"
: "${keeper_heartbeat_looks:=5}"
: "${keeper_ask_looks:=5}"        # every so many looks the manager is asked
: "${keeper_stuck_looks:=10}"     # PM2 waits 15 s at most between restarts: longer is for ever
: "${keeper_disk_looks:=15}"
: "${keeper_gpu_looks:=30}"
: "${keeper_has_gpu:=1}"          # 0: do not ask for one
: "${keeper_workload_looks:=5}"   # every so many looks the workload's own questions are asked
: "${keeper_asks_workload:=0}"    # 1: a function ask_workload stands in front of this program

# The restart command is a line of shell, where $HOME means something; so it does here.
case $keeper_command in
*\$*) eval "keeper_command=\"$keeper_command\"" ;;
esac

set -fu
export keeper_name

# answer STATE PID RESTARTS WHY: sets what is known of the process. A zombie is gone; a process
# stopped by a signal is there and does nothing, which the viewer's probe will judge.
answer() {
    state=$1 pid=$2 restarts=$3 why=$4 start=''
    if [ "$state" = up ]; then
        if ! inspect "$pid"; then
            state=gone why='not running' pid=0
        else
            start=$proc_start
            case $proc_state in
            Z | X) state=gone why='defunct' pid=0 start='' ;;
            T | t) why='suspended by a signal' ;;
            esac
        fi
    fi
}

ask_background() {
    recorded_pid='' recorded_start=''
    { read -r recorded_pid recorded_start <"$keeper_workdir/$keeper_pid_file"; } 2>/dev/null
    case $recorded_pid in
    '' | *[!0-9]*)
        answer gone 0 0 'never started here'
        return
        ;;
    esac
    answer up "$recorded_pid" 0 ''
    if [ "$state" = up ] && [ "$start" != "$recorded_start" ]; then
        answer gone 0 0 'its pid belongs to another process'
    fi
}

# PM2: a question to a dead daemon would start one, so look at its pid first. Its answer holds every
# environment variable, secrets included: it is reduced here and never crosses the wire.
ask_pm2() {
    pm2_home=${keeper_pm2_home:-${PM2_HOME:-${HOME:-/root}/.pm2}}
    daemon=''
    { read -r daemon <"$pm2_home/pm2.pid"; } 2>/dev/null
    case $daemon in
    '' | *[!0-9]*) title='' ;;
    *) title=$(tr '\0' ' ' 2>/dev/null <"/proc/$daemon/cmdline") ;;
    esac
    case $title in
    *PM2* | *pm2*) ;;
    *)
        answer manager_down 0 0 'no PM2 daemon'
        return
        ;;
    esac
    # It may end, or not listen yet, before the question arrives. A client that finds nobody starts a second one, unless
    # it cannot open the daemon's log (managers/pm2.py).
    # shellcheck disable=SC2016,SC2046,SC2086 # JavaScript, not shell; words are what is wanted
    set -- $(bounded env PM2_HOME="$pm2_home" PM2_LOG_FILE_PATH=/dev/null/none $keeper_command jlist -s 2>/dev/null | bounded $keeper_node -e '
        let text = "";
        process.stdin.on("data", (data) => { text += data; });
        process.stdin.on("end", () => {
            let list;
            try { list = JSON.parse(text.trim().split("\n").pop()); } catch (error) { return; }
            const names = process.env.keeper_name.split(" ");
            const mine = list.filter((one) => names.includes(one.name));
            const isWhole = names.every((name) => mine.some((one) => one.name === name));
            const bad = isWhole && (mine.find((one) => one.pm2_env.status !== "online") ||
                mine.find((one) => one.name === names[0]));
            const sum = mine.reduce((total, one) => total + (one.pm2_env.restart_time || 0), 0);
            console.log(bad ? String(bad.pm2_env.status).replace(/\W/g, "_") : "missing",
                bad ? bad.pid || 0 : 0, sum);
        });' 2>/dev/null)
    status=${1:-unreadable} pm2_pid=$(number "${2:-0}") count=$(number "${3:-0}")
    # A program that dies within milliseconds of its start is dead before PM2 has answered: PM2 is at work,
    # and two supervisors must not fight.
    [ "$status" != online ] || is_alive "$pm2_pid" || status=dead_already
    # Between an exit and the next start PM2 says "stopped", with a pid: what a person has stopped has none.
    [ "$status" != stopped ] || [ "$pm2_pid" = 0 ] || status=stopping
    case $status in
    waiting_restart | stopping | dead_already) waited=$((waited + keeper_ask_looks)) ;;
    *) waited=0 ;;
    esac
    case $status in
    online)
        answer up "$pm2_pid" "$count" ''
        # It has died in between; the next question will tell.
        [ "$state" != gone ] || answer retrying 0 "$count" 'died as soon as it was started'
        ;;
    dead_already)
        if [ "$waited" -gt "$keeper_stuck_looks" ]; then
            answer gone 0 "$count" 'PM2 calls it online, and it is not there'
        else
            answer retrying 0 "$count" 'died as soon as it was started'
        fi
        ;;
    launching | one_launch_status) answer starting 0 "$count" "$status" ;;
    waiting_restart | stopping)
        # PM2 that has given up on an app with a restart delay says "waiting restart" for ever.
        if [ "$waited" -gt "$keeper_stuck_looks" ]; then
            answer given_up 0 "$count" "$status for too long"
        else
            answer retrying 0 "$count" "$status"
        fi
        ;;
    errored) answer given_up 0 "$count" errored ;;
    stopped) answer stopped 0 "$count" stopped ;;
    missing) answer gone 0 0 'PM2 does not know it' ;;
    *) answer unknown 0 0 "PM2 gave no readable answer" ;;
    esac
}

# supervisord: judged by the program's own line (the exit code is 3 as soon as any program is down). All are
# asked for at once: a workload's own questions read the same answer, and a call costs 150 ms.
ask_supervisor() {
    # shellcheck disable=SC2086 # the command is several words
    supervisor_text=$(bounded $keeper_command status 2>&1)
    case $supervisor_text in
    *'://'*'no such file'* | *'refused connection'* | *SHUTDOWN_STATE*)
        answer manager_down 0 0 'no supervisord'
        return
        ;;
    esac
    word='' rest=''
    while read -r who what more; do
        case $who in
        "$keeper_name" | *":$keeper_name") word=$what rest=$more ;;
        esac
    done <<TEXT
$supervisor_text
TEXT
    [ "$word" = EXITED ] || waited=0
    case $word in
    RUNNING)
        rest=${rest#pid }
        answer up "$(number "${rest%%,*}")" 0 ''
        # It has ended since supervisord spoke, which will start it again in a moment.
        [ "$state" = up ] || answer unknown 0 0 'it has just ended'
        ;;
    STARTING) answer starting 0 0 starting ;;
    BACKOFF) answer retrying 0 0 "$(plain "$rest")" ;;
    FATAL) answer given_up 0 0 "$(plain "$rest")" ;;
    EXITED)
        # For a second between an end and the next start, too: only what is so twice has ended.
        waited=$((waited + 1)) now=gone
        [ "$waited" -gt 1 ] || now=retrying
        answer "$now" 0 0 "exited $(plain "$rest")"
        ;;
    STOPPED) answer stopped 0 0 "$(plain "$rest")" ;;
    STOPPING) answer unknown 0 0 stopping ;;
    '')
        case $supervisor_text in
        *' RUNNING '* | *' STOPPED '* | *' EXITED '* | *' STARTING'* | *' BACKOFF '* | *' FATAL '*)
            answer gone 0 0 'supervisord does not know it'
            ;;
        *) answer unknown 0 0 "$(plain "$supervisor_text")" ;;
        esac
        ;;
    *) answer unknown 0 0 "$(plain "$word")" ;;
    esac
}

ask_process() {
    case $keeper_manager in
    background) ask_background ;;
    pm2 | supervisor)
        # Between questions: is it still the process that the manager spoke of?
        if [ $((look % keeper_ask_looks)) -ne 0 ]; then
            [ "$state" = up ] || return
            was=$pid:$start:$why now=$pid:::
            if inspect "$pid"; then
                case $proc_state in
                Z | X) ;;
                T | t) now="$pid:$proc_start:suspended by a signal" ;;
                *) now="$pid:$proc_start:" ;;
                esac
            fi
            [ "$now" != "$was" ] || return
        fi
        "ask_$keeper_manager"
        ;;
    *) return ;;
    esac
    process=$(printf '"process":{"state":"%s","pid":%s,"start":"%s","restarts":%s,"why":"%s"}' \
        "$state" "$pid" "$start" "$restarts" "$why")
}

# In steps of 100 MB, so that a growing log is not news every time.
ask_disk() {
    folder=$keeper_workdir
    [ -d "$folder" ] || folder=.
    sizes=$(df -Pk "$folder" 2>/dev/null | {
        read -r _ && read -r _ size_kb _ free_kb _ && echo "$size_kb $free_kb"
    })
    size_kb=${sizes%% *} free_kb=${sizes##* }
    # shellcheck disable=SC2017 # rounding is the point
    case $size_kb:$free_kb in
    :* | *: | *[!0-9:]*) ;;
    *) disk="\"disk\":{\"free_mb\":$((free_kb / 102400 * 100)),\"size_mb\":$((size_kb / 1024))}" ;;
    esac
}

# One failed answer may be a busy driver; two in a row are a lost GPU.
ask_gpu() {
    [ "$keeper_has_gpu" = 1 ] && command -v nvidia-smi >/dev/null 2>&1 || return
    if shown=$(bounded nvidia-smi --query-gpu=display_active --format=csv,noheader 2>/dev/null); then
        gpu_misses=0
        case $shown in
        *Enabled* | *Yes*) gpu='"gpu":{"ok":true,"display":true}' ;;
        *) gpu='"gpu":{"ok":true,"display":false}' ;;
        esac
    else
        gpu_misses=$((gpu_misses + 1))
        [ "$gpu_misses" -lt 2 ] || gpu='"gpu":{"ok":false,"display":false}'
    fi
}

look=0 seq=0 beats=0 quiet=0 waited=0 gpu_misses=0
state=unknown pid=0 start='' restarts=0 why='' asked=nothing
process='' disk='' gpu='' workload='' supervisor_text='' said='nothing yet'
while :; do
    ask_process
    [ $((look % keeper_disk_looks)) -ne 0 ] || ask_disk
    [ $((look % keeper_gpu_looks)) -ne 0 ] || ask_gpu
    # And at once when the process has come, gone or changed: then its own last word matters most.
    if [ "$keeper_asks_workload" = 1 ] &&
        { [ $((look % keeper_workload_looks)) -eq 0 ] || [ "$state:$pid" != "$asked" ]; }; then
        asked=$state:$pid
        ask_workload
        quiet=$((quiet + 1)) # a hung server makes us wait, and that must not pass for silence
    fi
    facts=$process${disk:+${process:+,}$disk}
    facts=$facts${gpu:+${facts:+,}$gpu}
    facts=$facts${workload:+${facts:+,}$workload}
    if [ "$facts" != "$said" ]; then
        seq=$((seq + 1)) quiet=0 said=$facts
        printf '{"seq":%s,"facts":{%s}}\n' "$seq" "$facts" || exit 0
    else
        quiet=$((quiet + 1))
        if [ "$quiet" -ge "$keeper_heartbeat_looks" ]; then
            beats=$((beats + 1)) quiet=0
            printf '{"hb":%s}\n' "$beats" || exit 0
        fi
    fi
    look=$((look + 1))
    sleep "$keeper_look_s"
done
