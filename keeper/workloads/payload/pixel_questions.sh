#!/bin/sh
# What a Pixel Streaming host is asked besides its programs: sets `workload` to a fragment of JSON.
#
# It stands in front of the sentinel, or of a few lines that print it once, and uses their `inspect`,
# `bounded`, `plain` and `supervisor_text`. Whoever sends it puts the assignments in front; the words
# are for the program that reads them. Nothing is changed on the host, and its token never leaves it.
# POSIX sh only.
# shellcheck disable=SC2034,SC2154 # set and read across the two halves of the program
: "${pixel_rare_looks:=6}" # every so many asks, what costs more and changes less

# of_environ NAME: sets `found` to a variable of the container, as its first process has it.
of_environ() {
    found=$(tr '\0' '\n' 2>/dev/null <"$pixel_environ" | sed -n "s/^$1=//p" | head -n 1)
}

read_environ() {
    of_environ OPEN_BUTTON_TOKEN
    case $found in *[!A-Za-z0-9._~+/=-]*) found='' ;; esac
    pixel_token=$found
    of_environ ENABLE_HTTPS
    case $found in [Tt]rue) pixel_scheme=https ;; *) pixel_scheme=http ;; esac
    of_environ TURN_USER
    pixel_told=${found:-user}
    of_environ TURN_USERNAME
    pixel_known=${found:-user}
    of_environ TURN_SERVER
    if [ -n "$found" ]; then
        pixel_relay=external
    elif [ "$pixel_told" != "$pixel_known" ]; then
        pixel_relay=names_differ
    else
        of_environ VAST_UDP_PORT_70000
        pixel_relay=${found:+mapped}
        of_environ CONTAINER_ID # without it this is no rental, and nothing is known of ports
        pixel_relay=${pixel_relay:-${found:+unmapped}}
    fi
}

# ask_programs: state, whether it keeps being respawned, and whether it was skipped on purpose. With
# startsecs=0 supervisord calls a program RUNNING however often it has to start it.
ask_programs() {
    programs='' count=0
    for each in $pixel_programs; do
        count=$((count + 1)) word=ABSENT rest='' one=''
        while read -r who what more; do
            case $who in "$each" | *":$each") word=$what rest=$more ;; esac
        done <<TEXT
$supervisor_text
TEXT
        case $word in *[!A-Z]*) word=UNKNOWN ;; esac
        if [ "$word" = RUNNING ]; then
            rest=${rest#pid } one=${rest%%,*}
            case $one in '' | *[!0-9]*) one='' ;; esac
            # One that has ended since supervisord spoke is another one only when there is another one.
            if [ -n "$one" ] && inspect "$one"; then one=$one:$proc_start; else one=''; fi
        fi
        eval "before=\${pixel_was_$count-} churn=\${pixel_churn_$count-0}"
        # A bucket that leaks while it stays up: one restart is none of our business, one after the
        # other is.
        if [ -n "$one" ] && [ -n "$before" ] && [ "$one" != "$before" ]; then
            churn=$((churn + 3))
        elif [ -n "$one" ] && [ "$churn" -gt 0 ]; then
            churn=$((churn - 1))
        fi
        [ "$churn" -le 9 ] || churn=9
        [ -n "$one" ] || one=$before
        eval "pixel_was_$count=\$one pixel_churn_$count=\$churn"
        skipped=0 respawns=0
        [ ! -e "$pixel_skips/$each" ] || skipped=1
        [ "$churn" -lt 6 ] || respawns=1
        programs="$programs${programs:+,}\"$each\":[\"$word\",$respawns,$skipped]"
        if [ "$each" = "$pixel_signalling" ]; then signalling=$word signalling_pid=${one%%:*}; fi
        [ "$each" != "${keeper_name-}" ] || app_is=$word
    done
}

# listens PORT: whether anybody does, told from the kernel's own tables.
listens() {
    grep -qs ":$(printf '%04X' "$1") [0-9A-F]*:0000 0A " /proc/net/tcp /proc/net/tcp6
}

# ask_caddy: what a person with the token would be shown. The placeholder comes with 502, and through a
# tunnel with 200: its header counts, whatever the code.
ask_caddy() {
    caddy=unknown behind=''
    command -v curl >/dev/null 2>&1 || return 0
    head=$(printf 'header = "Authorization: Bearer %s"\n' "$pixel_token" |
        bounded curl -skS -m 5 -o /dev/null -D - -K - "$pixel_scheme://127.0.0.1:$pixel_page/" \
            2>/dev/null)
    case $? in
    0) ;;
    7) caddy=refused && return 0 ;;
    *) caddy=silent && ask_behind && return 0 ;;
    esac
    head=$(printf '%s' "$head" | tr '[:upper:]' '[:lower:]' | tr -d '\r')
    code=${head#* } code=${code%% *}
    code=${code%%"
"*}
    case $head in
    *'x-portal-placeholder: true'*) caddy=placeholder && ask_behind ;;
    *)
        case $code in
        401) caddy=unauthorized ;;
        [23]??) caddy=well ;;
        *) caddy=error ;;
        esac
        ;;
    esac
}

# ask_behind: who is to blame that the proxy has nothing to show: the page behind it, if that takes a
# connection and does not answer. Where nobody listens, that is known already.
ask_behind() {
    bounded curl -sS -m 2 -o /dev/null "http://127.0.0.1:$pixel_page_inside/" 2>/dev/null
    case $? in
    0 | 7) ;;
    *) behind=silent ;;
    esac
}

# ask_hang: the pid of a curl that the start script waits for, when it has for too long. The shipped
# start asks an outside service for its address without a time limit.
ask_hang() {
    hang=0
    [ "$signalling" = RUNNING ] && [ -n "$signalling_pid" ] || return 0
    read -r up _ </proc/uptime
    set +f
    for file in /proc/[0-9]*/stat; do
        { read -r stat_line <"$file"; } 2>/dev/null || continue
        case $stat_line in *'(curl) '*) ;; *) continue ;; esac
        set -f
        # shellcheck disable=SC2086 # the words are what is wanted
        set -- ${stat_line##*) }
        # Of the program's own process group, and a hundred ticks are a second.
        if [ "$3" = "$signalling_pid" ] && [ $((${up%%.*} - ${20} / 100)) -ge "$pixel_hang_s" ]; then
            hang=${file#/proc/} hang=${hang%/stat}
        fi
        set +f
    done
    set -f
}

ask_boot() {
    boot=ready pixel_why=''
    if [ -e "$pixel_markers/.provisioning_failed" ]; then
        boot=failed pixel_why=$(tail -n 1 -- "$pixel_failures" 2>/dev/null)
        pixel_why=$(plain "$pixel_why")
    elif [ -e "$pixel_markers/.provisioning" ]; then
        boot=provisioning
    fi
    portal_file=1
    [ -s "$pixel_portal_file" ] || portal_file=0
}

# ask_signalling_log: what its own log says it fails by.
ask_signalling_log() {
    log=''
    pixel_said=$(tail -c 4096 -- "$pixel_log" 2>/dev/null)
    case $pixel_said in
    *EADDRINUSE*) log=port_in_use ;;
    esac
}

# ask_driver: the image fetches the driver's libraries at its first start, and goes on when it cannot.
ask_driver() {
    [ "$driver" != there ] || return 0
    if ldconfig -p 2>/dev/null | grep -qs 'libEGL_nvidia.so.0'; then
        driver=there
    elif grep -aqs 'Failed NVIDIA GPU driver download' "$pixel_log"; then
        driver=failed
    else
        driver=absent
    fi
}

# ask_app_log: what the application says since its latest start. supervisord has spoken before, perhaps of
# an earlier start: what that one ended by stands for one ask more, or it would seem to have no cause.
ask_app_log() {
    pixel_ended_by=$app_said app=''
    pixel_said=$(tail -c 16384 -- "$pixel_app_log" 2>/dev/null | tr -cd '[:print:]\n')
    pixel_said=${pixel_said##*"$pixel_start_line"}
    case $pixel_said in
    *'Refusing to run with the root'*) app=root ;;
    *'OpenEncodeSession'* | *'no capable devices'* | *'NV_ENC_ERR_OUT_OF_MEMORY'*) app=encoder ;;
    *'Out of video memory'* | *'VK_ERROR_OUT_OF_DEVICE_MEMORY'*) app=memory ;;
    *'VK_ERROR_DEVICE_LOST'* | *'GPU crash'*) app=gpu_lost ;;
    *'VK_ERROR_INCOMPATIBLE_DRIVER'* | *'Vulkan device not available'* | *'vkCreateInstance'*)
        app=vulkan
        ;;
    *'ermission denied'*) app=permission ;;
    *'No such file or directory'* | *': not found'*) app=missing ;;
    esac
    app_said=$app
    case $app_is:$app:$pixel_ended_by in
    RUNNING:* | *:?*:*) ;;
    *::root | *::permission | *::missing | *::vulkan) app=$pixel_ended_by ;;
    esac
}

# ask_tunnel: whether the portal still has the tunnel that was asked for.
ask_tunnel() {
    tunnel=''
    [ -n "$pixel_tunnel" ] && command -v curl >/dev/null 2>&1 || return 0
    code=$(bounded curl -sS -m 5 -o /dev/null -w '%{http_code}' \
        "http://127.0.0.1:$pixel_portal/get-existing-quick-tunnel/$pixel_tunnel" 2>/dev/null)
    case $code in
    200) tunnel=there ;;
    404) tunnel=gone ;;
    esac
}

ask_workload() {
    [ -n "${pixel_relay+known}" ] || read_environ
    if [ $((pixel_asks % pixel_rare_looks)) -eq 0 ]; then
        ask_driver
        ask_tunnel
    fi
    pixel_asks=$((pixel_asks + 1))
    signalling='' signalling_pid=''
    case $supervisor_text in
    *'://'*'no such file'* | *'refused connection'* | *SHUTDOWN_STATE*)
        workload='"workload":{"supervisor":"down"}'
        return 0
        ;;
    '') return 0 ;;
    esac
    ask_boot
    ask_programs
    page=0 streamer=0 inside=0 hang=0
    if listens "$pixel_page_inside"; then page=1; else ask_hang; fi
    if listens "$pixel_streamer"; then streamer=1; fi
    if listens "$pixel_portal"; then inside=1; fi
    ask_caddy
    # The token may have been changed meanwhile: it is read again before anybody is told.
    if [ "$caddy" = unauthorized ]; then
        read_environ
        ask_caddy
    fi
    ask_signalling_log
    ask_app_log
    [ "$app" != vulkan ] || ask_driver # the cause, where there is one
    workload=$(printf '"workload":{"boot":"%s","why":"%s","portal_file":%s,"page":%s,"streamer":%s,' \
        "$boot" "$pixel_why" "$portal_file" "$page" "$streamer")
    workload=$workload$(printf '"portal":%s,"caddy":"%s","behind":"%s","hang":%s,"log":"%s","driver":"%s",' \
        "$inside" "$caddy" "$behind" "$hang" "$log" "$driver")
    workload=$workload$(printf '"app":"%s","relay":"%s","tunnel":"%s","programs":{%s}}' \
        "$app" "$pixel_relay" "$tunnel" "$programs")
}
pixel_asks=0 driver='' tunnel='' app_said='' app_is=''
