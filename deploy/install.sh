#!/usr/bin/env bash
# Installs, upgrades and removes keeper as a service on a Debian ops box. deploy/README.md explains it.
#
#   install.sh [install]     put this version on the box; the same as an upgrade
#   install.sh rollback      go back to the version before, without this folder's
#   install.sh uninstall     take keeper away; configuration and memory stay
#
#   --from PATH        what to install: a checkout, a release archive, or a wheel with requirements.lock
#                      beside it (default: where this script lies)
#   --dry-run          say what would be done, and do nothing
#   --ready-s N        how long the new version may take to be ready (default 200)
#   --no-start         put everything in its place, start and stop nothing
#   --python PATH      the Python to build on (default: python3), 3.11 or newer
#   --wheels DIR       take every package from this folder, and none from an index
#   --skip-config-check  upgrade although the new version finds mistakes in the configuration
#   --purge            uninstall: configuration, secrets, memory and backups as well
#   --even-with-rentals  uninstall although rentals go on, and cost, without anybody to end them
#   --root DIR         do it below this folder, as nobody in particular (for tests, and to look)
#
# A second run changes nothing and says so. An upgrade that is not ready in time goes back to the version
# before; the memory is never put back, because an older copy has forgotten what was rented since.
# Exit codes: 0 done; 1 failed, and said what runs now; 2 usage; 6 refused, nothing was changed.
set -euo pipefail
# Whoever installs may have a stricter one; the service's user has to read the program.
umask 022

readonly READY_S=200  # longer than the unit's TimeoutStartSec
readonly KEPT_BACKUPS=5
readonly KEPT_VERSIONS=3

verb=install from="" root="" ready_s=$READY_S python=python3 wheels=""
is_dry="" may_start=1 is_purge="" even_with_rentals="" skip_config_check="" has_said_why=""
changes=0

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" | folded >&2; }
folded() { if [[ -t 2 ]]; then fold -s -w 80; else cat; fi; }
fail() {
    local code="$1"
    shift
    has_said_why=1
    printf 'error: %s\n' "$@" | folded >&2
    exit "$code"
}
usage() {
    sed -n '2,/^set -euo/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit "$1"
}
value() { [[ $# -ge 2 && -n "$2" ]] || fail 2 "$1 needs a value"; }

while (($# > 0)); do
    case "$1" in
        install | rollback | uninstall) verb="$1" ;;
        --from) value "$@"; from="$2"; shift ;;
        --root) value "$@"; root="$2"; shift ;;
        --ready-s) value "$@"; ready_s="$2"; shift ;;
        --python) value "$@"; python="$2"; shift ;;
        --wheels)
            value "$@"
            [[ -d "$2" ]] || fail 2 "there is no folder $2 (--wheels)"
            wheels="$(realpath -- "$2")"
            shift
            ;;
        --dry-run) is_dry=1 ;;
        --no-start) may_start="" ;;
        --purge) is_purge=1 ;;
        --even-with-rentals) even_with_rentals=1 ;;
        --skip-config-check) skip_config_check=1 ;;
        -h | --help) usage 0 ;;
        *) fail 2 "unknown argument: $1 (see --help)" ;;
    esac
    shift
done
[[ "$ready_s" =~ ^[1-9][0-9]*$ ]] || fail 2 "--ready-s wants whole seconds, not '$ready_s'"
if ! command -v -- "$python" >/dev/null; then
    [[ "$python" == python3 ]] || fail 2 "there is no Python at $python (--python)"
    fail 6 "there is no python3 here; take one: apt-get install python3-venv, or --python PATH"
fi
if [[ "$verb" == install ]]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail 6 "keeper needs Python 3.11 or newer, and $python is $("$python" --version 2>&1 | sed -n 1p)"
fi
if [[ -n "$root" ]]; then
    mkdir -p -- "$root"
    root="$(realpath -- "$root")"
fi

readonly OPT="$root/opt/keeper"
readonly CONFIG="$root/etc/keeper"
readonly STATE="$root/var/lib/keeper"
readonly BACKUPS="$root/var/backups/keeper"
readonly UNIT="$root/usr/local/lib/systemd/system/keeper.service"
readonly OLD_UNIT="$root/etc/systemd/system/keeper.service"
readonly SYSUSERS="$root/usr/local/lib/sysusers.d/keeper.conf"
readonly COMMAND="$root/usr/local/bin/keeper"
readonly COMPLETION="$root/usr/local/share/bash-completion/completions/keeper"
# What `systemctl enable` makes of the unit's WantedBy.
readonly WANTED="$root/etc/systemd/system/multi-user.target.wants/keeper.service"
# Below another root there is no systemd to ask, unless a test brings one.
has_systemd=1
if [[ -n "$root" && -z "${SYSTEMCTL:-}" ]]; then
    has_systemd="" may_start=""
fi
readonly SYSTEMCTL="${SYSTEMCTL:-systemctl}"

# --- one step each: looks first, and counts what it had to change ------------------------------------

would() { # say what is done, or would be; false when it is not to be done
    changes=$((changes + 1))
    if [[ -n "$is_dry" ]]; then
        say "would: $*"
        return 1
    fi
    say "$*"
}
folder() { # PATH MODE
    [[ -d "$1" ]] && return
    if would "make $1"; then install -d -m "$2" -- "$1"; fi
}
put() { # FILE PATH MODE
    cmp -s -- "$1" "$2" && return
    if would "write $2"; then
        install -D -m "$3" -- "$1" "$2.new"
        mv -f -- "$2.new" "$2"
    fi
}
link() { # TARGET PATH: in one step, so that there is always one
    [[ "$(readlink -- "$2" || true)" == "$1" ]] && return
    if would "point $2 to $1"; then
        mkdir -p -- "$(dirname -- "$2")"
        ln -sfn -- "$1" "$2.new"
        mv -fT -- "$2.new" "$2"
    fi
}
gone() { # PATH...
    local path
    for path in "$@"; do
        [[ -e "$path" || -L "$path" ]] || continue
        if would "remove $path"; then rm -rf -- "$path"; fi
    done
}
systemctl() {
    # By `command`: its name may be that of this function.
    if [[ -n "$has_systemd" ]]; then command "$SYSTEMCTL" "$@"; else [[ "$1" != is-* ]]; fi
}
is_active() { systemctl is-active --quiet keeper.service; }
is_enabled() {
    if [[ -n "$has_systemd" ]]; then systemctl is-enabled --quiet keeper.service 2>/dev/null; else [[ -L "$WANTED" ]]; fi
}
# Stopped on purpose: somebody who has stopped keeper does not want an upgrade to start it. One that failed, or
# that systemd tries again and again, is another matter, and so is one that has never run.
is_stopped() { [[ -s "$STATE/keeper.db" && "$(systemctl is-active keeper.service || true)" == inactive ]]; }
current() { readlink -- "$OPT/current" 2>/dev/null | sed 's|^versions/||' || true; }
previous() { readlink -- "$OPT/previous" 2>/dev/null | sed 's|^versions/||' || true; }
what_runs() { # one line, for whoever has to read why something failed
    local now
    now="$(current)"
    if [[ -z "$now" ]]; then
        say "no version is installed"
    elif [[ -z "$has_systemd" ]]; then
        say "$now is installed"
    else
        say "$now is installed, and keeper.service is $(systemctl is-active keeper.service || true)"
    fi
}

# --- what to install --------------------------------------------------------------------------------

source_dir="" wheel="" lock="" version="" scratch="" half_built=""
clean_up() {
    local code=$?
    [[ -z "$scratch" ]] || rm -rf -- "$scratch"
    [[ -z "$half_built" ]] || rm -rf -- "$half_built"
    [[ "$code" != 0 && -z "$has_said_why" ]] || return 0
    # No space, a signal, a file that is in the way: what failed has said so itself, in its own words.
    fail 1 "not done to the end: $(what_runs)" "correct the cause, and run this again"
}
trap clean_up EXIT

find_source() {
    local at="${from:-$(dirname -- "$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")")}"
    [[ -e "$at" ]] || fail 2 "there is no $at"
    at="$(realpath -- "$at")"
    if [[ -f "$at" && "$at" == *.tar.gz ]]; then
        tar -xzf "$at" -C "$scratch" --no-same-owner --one-top-level=source --strip-components=1 ||
            fail 1 "$at cannot be unpacked; nothing was changed: $(what_runs)"
        at="$scratch/source"
    fi
    if [[ -f "$at" && "$at" == *.whl ]]; then
        wheel="$at"
        lock="$(dirname -- "$at")/requirements.lock"
        # What goes beside the program lies where this script does.
        source_dir="$(dirname -- "$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")")"
    elif [[ -d "$at" ]]; then
        source_dir="$at"
        lock="$at/requirements.lock"
        if [[ ! -f "$at/pyproject.toml" ]]; then
            local found=("$at"/vast_keeper-*.whl)
            [[ ${#found[@]} == 1 && -f "${found[0]}" ]] ||
                fail 2 "$at is no checkout, and holds not exactly one vast_keeper-*.whl"
            wheel="${found[0]}"
        fi
    else
        fail 2 "$at is neither a folder nor a wheel nor a .tar.gz"
    fi
    [[ -f "$lock" ]] || fail 2 "$lock is missing: without it nothing says which packages are the right ones"
    local part
    for part in deploy/systemd/keeper.service deploy/systemd/keeper.sysusers config/keeper.example.yaml; do
        [[ -f "$source_dir/$part" ]] || fail 2 "$source_dir/$part is missing"
    done
    name_version
}

# A version's folder is named after its number and what is in it: another build is another folder.
name_version() {
    local number digest
    if [[ -n "$wheel" ]]; then
        number="$(basename -- "$wheel")"
        number="${number#vast_keeper-}"
        number="${number%%-*}"
    else
        number="$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$source_dir/keeper/__init__.py")"
    fi
    [[ "$number" =~ ^[0-9A-Za-z.+]+$ ]] || fail 2 "no version can be read from $source_dir"
    digest="$(
        {
            if [[ -n "$wheel" ]]; then
                sha256sum <"$wheel"
            else
                cd "$source_dir"
                find keeper -type f ! -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum
                sha256sum pyproject.toml
            fi
            sha256sum <"$lock"
            sha256sum <"$source_dir/deploy/systemd/keeper.service"
            sha256sum <"$source_dir/deploy/systemd/keeper.sysusers"
            sha256sum <"$source_dir/config/keeper.example.yaml"
        } | sha256sum
    )"
    version="$number-${digest:0:10}"
}

# --- building a version -----------------------------------------------------------------------------

# The folder goes again, by clean_up.
not_built() { fail 1 "$1; nothing was changed: $(what_runs)"; }

build() {
    local at="$OPT/versions/$version"
    # The stamp comes last: what was interrupted is done anew.
    [[ -f "$at/.complete" ]] && return
    if [[ -z "$root" && "$(realpath -- "$(command -v "$python" || true)")" =~ ^/(root|home|run/user)/ ]]; then
        fail 6 "$python lies in somebody's home, which the service cannot see (ProtectHome)" \
            "take the system's: --python /usr/bin/python3"
    fi
    "$python" -c 'import ensurepip' 2>/dev/null || fail 6 "$python makes no environments: apt-get install python3-venv"
    would "build $at" || return 0
    half_built="$at"
    rm -rf -- "$at"
    mkdir -p -- "$at" || not_built "$at cannot be made"
    "$python" -m venv "$at" || not_built "the environment $at cannot be made"
    local pip=("$at/bin/python" -m pip --quiet --disable-pip-version-check --no-input)
    local index=()
    [[ -z "$wheels" ]] || index=(--no-index --find-links "$wheels")
    local made="$wheel"
    if [[ -z "$made" ]]; then
        "${pip[@]}" wheel --no-deps "${index[@]}" --wheel-dir "$scratch/wheel" "$source_dir" ||
            not_built "packages to build with cannot be had, or $source_dir cannot be built"
        made="$(echo "$scratch"/wheel/vast_keeper-*.whl)"
    fi
    # By hash, all of them; the lock is complete, so nothing is resolved.
    printf '%s --hash=sha256:%s\n' "$made" "$(sha256sum <"$made" | cut -d' ' -f1)" >"$scratch/own.txt"
    "${pip[@]}" install --no-deps --require-hashes "${index[@]}" -r "$lock" -r "$scratch/own.txt" ||
        not_built "packages cannot be had, or are not those of requirements.lock"
    install -D -m 0644 -- "$source_dir/deploy/systemd/keeper.service" "$at/share/keeper/keeper.service"
    install -D -m 0644 -- "$source_dir/deploy/systemd/keeper.sysusers" "$at/share/keeper/keeper.sysusers"
    install -D -m 0644 -- "$source_dir/config/keeper.example.yaml" "$at/share/keeper/keeper.example.yaml"
    "$at/bin/keeper" completion bash >"$at/share/keeper/completion.bash" ||
        not_built "what was built does not start"
    touch -- "$at/.complete"
    half_built=""
}

# What does not depend on the version that runs.
lay_out() {
    folder "$CONFIG" 0755
    folder "$CONFIG/credentials" 0700
    folder "$CONFIG/credentials/secret" 0700
    local example="$OPT/versions/$version/share/keeper/keeper.example.yaml"
    [[ -f "$example" ]] || example="$source_dir/config/keeper.example.yaml"
    put "$example" "$CONFIG/keeper.example.yaml" 0644
    [[ -e "$CONFIG/keeper.yaml" ]] || put "$example" "$CONFIG/keeper.yaml" 0644
}

# The unit and what else belongs to one version, so that going back takes them along.
switch_to() {
    local share="$OPT/versions/$1/share/keeper"
    if [[ -n "$is_dry" && ! -d "$share" ]]; then
        would "put the unit, the user, the command and the completion of $1 in their places" || true
        would "point $OPT/current to versions/$1" || true
        return
    fi
    put "$share/keeper.sysusers" "$SYSUSERS" 0644
    put "$share/keeper.service" "$UNIT" 0644
    put "$share/completion.bash" "$COMPLETION" 0644
    link "$OPT/current/bin/keeper" "$COMMAND"
    link "versions/$1" "$OPT/current"
}

# --- the memory -------------------------------------------------------------------------------------

# SQLite's own copy: right while keeper runs, and whole. The file is root's alone.
back_up() {
    local tag="$1" store="$STATE/keeper.db"
    [[ -s "$store" ]] || return 0
    would "copy the memory to $BACKUPS" || return 0
    install -d -m 0700 -- "$BACKUPS"
    local copy
    copy="$BACKUPS/keeper-$(date -u +%Y%m%dT%H%M%SZ)-before-$tag.db"
    (umask 077 && "$python" -I - "$store" "$copy" <<'PYTHON') || fail 6 "the memory cannot be copied; nothing was changed"
import os
import sqlite3
import sys
from urllib.parse import quote

store, copy = sys.argv[1:]
source = sqlite3.connect(f"file:{quote(store)}?mode=ro", uri=True, timeout=30)
target = sqlite3.connect(copy + ".part")
source.backup(target)
assert target.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
target.close()
source.close()
os.replace(copy + ".part", copy)
PYTHON
    find "$BACKUPS" -maxdepth 1 -name 'keeper-*-before-*.db' -printf '%f\n' | sort -r |
        tail -n "+$((KEPT_BACKUPS + 1))" | while IFS= read -r name; do rm -f -- "$BACKUPS/$name"; done
}

# Whether a version can use the memory as it is now: its own word (docs/upgrading.md). Writes nothing.
can_read() {
    [[ -s "$STATE/keeper.db" ]] || return 0
    "$OPT/versions/$1/bin/python" -I -c '
import sys
from pathlib import Path
from keeper.adapters.peek import peek
from keeper.ports import StoreError
try:
    peek(Path(sys.argv[1]))
except StoreError as error:
    sys.exit(str(error))
' "$STATE/keeper.db"
}

# --- the service ------------------------------------------------------------------------------------

# Whether the operator has said what keeper needs to know: a key, and a configuration of their own.
is_told_all() {
    [[ -s "$CONFIG/credentials/vast_api_key" ]] || return 1
    ! cmp -s -- "$CONFIG/keeper.yaml" "$CONFIG/keeper.example.yaml"
}

# The new version reads the configuration before the old one stops, with the secrets where systemd puts them.
check_config() {
    local given="$scratch/credentials" file name
    mkdir -m 0700 -- "$given"
    for name in vast_api_key http_token ssh_key; do
        [[ ! -f "$CONFIG/credentials/$name" ]] || ln -s -- "$CONFIG/credentials/$name" "$given/$name"
    done
    for file in "$CONFIG/credentials/secret"/*; do
        [[ ! -f "$file" ]] || ln -s -- "$file" "$given/secret_$(basename -- "$file")"
    done
    (
        if [[ -r "$CONFIG/keeper.env" ]]; then
            while IFS= read -r line; do
                [[ "$line" =~ ^[[:space:]]*([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || continue
                name="${BASH_REMATCH[1]}" line="${BASH_REMATCH[2]}"
                [[ "$line" =~ ^\"(.*)\"$ || "$line" =~ ^\'(.*)\'$ ]] && line="${BASH_REMATCH[1]}"
                export "$name=$line"
            done <"$CONFIG/keeper.env"
        fi
        export CREDENTIALS_DIRECTORY="$given"
        "$OPT/versions/$version/bin/keeper" check-config "$CONFIG/keeper.yaml" >"$scratch/check" 2>&1
    ) && return
    cat "$scratch/check" >&2
    [[ -n "$skip_config_check" ]] || fail 6 \
        "$version finds mistakes in $CONFIG/keeper.yaml; what runs goes on, and $version is built" \
        "correct them and run this again, or add --skip-config-check"
}

# Ready by systemd's word (the store is open, the first complete listing is in), and by keeper's own.
is_ready() { # SECONDS
    # The old one finishes its acts first; that time is not the new one's.
    systemctl stop keeper.service || return 1
    systemctl reset-failed keeper.service 2>/dev/null || true  # earlier failures do not count
    timeout "$1" "$SYSTEMCTL" start keeper.service || return 1
    # 7: nobody answers on the local socket. How the streams are is another matter.
    local code=0
    "$OPT/current/bin/keeper" status --exit-code --config "$CONFIG/keeper.yaml" >/dev/null 2>"$scratch/status" || code=$?
    [[ "$code" == 0 || "$code" == 3 ]] && is_active
}

tell_log() {
    [[ -z "$root" ]] || return 0
    journalctl -u keeper.service -n 20 -o cat --no-pager 2>/dev/null | sed 's/^/  | /' >&2 || true
}

start_or_go_back() {
    local old="$1"
    would "restart keeper.service, and wait up to $ready_s s until it is ready" || return 0
    if is_ready "$ready_s"; then
        say "$version runs and is ready"
        return
    fi
    warn "$version was not ready (it had $ready_s s)"
    tell_log
    if [[ -z "$old" || "$old" == "$version" ]]; then
        fail 1 "there is no other version to go back to; see: journalctl -u keeper"
    fi
    go_back "$old"
}

# Only the program goes back. An older copy of the memory does not know what was rented since.
go_back() {
    local old="$1" why
    systemctl stop keeper.service || true
    if ! why="$(can_read "$old" 2>&1)"; then
        why="${why##*$'\n'}"
        # Its own advice ends with an older copy, which is the last thing to do here.
        fail 1 "$version was not ready, and $old cannot use the memory any more: ${why%%: install that version*}" \
            "$version is installed and stopped; rentals go on and cost, and nobody looks after them" \
            "see: journalctl -u keeper; then correct the cause and: systemctl start keeper" \
            "do not put a copy from $BACKUPS back: it has forgotten what was rented since, and that is rented twice"
    fi
    switch_to "$old"
    systemctl daemon-reload
    # However short the patience with the new one was: this one has shown that it can.
    if is_ready "$((ready_s > READY_S ? ready_s : READY_S))"; then
        fail 1 "$version was not ready in time; $old runs again and is ready, and the memory is as it was left"
    fi
    fail 1 "neither $version nor $old is ready; $old is in its place and systemd goes on trying" \
        "perhaps the marketplace cannot be reached; see: journalctl -u keeper"
}

# --- the verbs --------------------------------------------------------------------------------------

one_at_a_time() {
    [[ -n "$is_dry" ]] && return
    mkdir -p -- "$OPT"
    exec 9>"$OPT/.lock"
    flock -n 9 || fail 6 "another install.sh is at work on $OPT"
}
need_root() {
    [[ -n "$root" || -n "$is_dry" || "$(id -u)" == 0 ]] || fail 6 "this needs root (or --root DIR, to look)"
}

install_it() {
    find_source
    [[ ! -e "$OLD_UNIT" ]] || fail 6 \
        "$OLD_UNIT hides the unit that is installed here" \
        "put what you changed in it into a drop-in (systemctl edit keeper), and remove it"
    local old was_stopped="" was_active=""
    old="$(current)"
    ! is_stopped || was_stopped=1
    ! is_active || was_active=1
    [[ -z "$root" && -z "$is_dry" && ! -d /run/systemd/system ]] && warn "systemd does not run here"
    build
    lay_out
    if [[ "$old" != "$version" && -n "$may_start" && -z "$is_dry" ]] && is_told_all; then check_config; fi
    [[ "$old" == "$version" || -z "$old" ]] || back_up "$version"
    local before="$changes"
    switch_to "$version"
    if [[ "$changes" != "$before" && -z "$is_dry" ]]; then
        [[ -n "$root" ]] || systemd-sysusers "$SYSUSERS"
        systemctl daemon-reload
    fi
    if ! is_enabled; then
        if would "enable keeper.service"; then enable_it; fi
    fi
    if [[ -n "$was_stopped" && -n "$old" ]]; then
        say "it was stopped and stays so: systemctl start keeper"
    elif [[ "$old" != "$version" || (-n "$has_systemd" && -z "$was_active") || "$changes" != "$before" ]]; then
        start_it "$old"
    fi
    if [[ -n "$old" && "$old" != "$version" ]]; then link "versions/$old" "$OPT/previous"; fi
    forget_old_versions
    if ((changes == 0)); then
        say "nothing to change: $version is installed"
    fi
}

# Below another root it is enabled for the system that is once started from there.
enable_it() {
    if [[ -n "$has_systemd" ]]; then
        systemctl enable --quiet keeper.service
    else
        mkdir -p -- "$(dirname -- "$WANTED")"
        ln -sfn -- "${UNIT#"$root"}" "$WANTED"
    fi
}

start_it() {
    if [[ -z "$has_systemd" ]]; then
        say "not started: below $root there is no systemd"
    elif [[ -z "$may_start" ]]; then
        say "not started, as asked: systemctl restart keeper"
    elif [[ -z "$is_dry" ]] && ! is_told_all; then
        say "installed, and not started yet; what is left to do:"
        say "  streams   \$EDITOR $CONFIG/keeper.yaml"
        say "  key       install -m 0600 /dev/stdin $CONFIG/credentials/vast_api_key"
        say "  check     keeper doctor"
        say "  start     systemctl start keeper"
    else
        start_or_go_back "$1"
    fi
}

forget_old_versions() {
    [[ -z "$is_dry" && -d "$OPT/versions" ]] || return 0
    local name keep
    keep=" $(current) $(previous) "
    find "$OPT/versions" -mindepth 1 -maxdepth 1 -printf '%T@ %f\n' | sort -rn | cut -d' ' -f2 |
        tail -n "+$((KEPT_VERSIONS + 1))" | while IFS= read -r name; do
        [[ "$keep" == *" $name "* ]] || rm -rf -- "${OPT:?}/versions/$name"
    done
}

roll_back() {
    local old new why was_stopped=""
    new="$(current)" old="$(previous)"
    ! is_stopped || was_stopped=1
    [[ -n "$old" && -f "$OPT/versions/$old/.complete" ]] || fail 6 "there is no version before $new"
    why="$(can_read "$old" 2>&1)" || fail 6 "$old cannot use the memory any more: ${why##*$'\n'}" "$new goes on"
    version="$old"
    back_up "$old"
    switch_to "$old"
    link "versions/$new" "$OPT/previous"
    [[ -n "$is_dry" ]] || systemctl daemon-reload
    if [[ -n "$may_start" && -z "$was_stopped" ]]; then start_or_go_back "$new"; fi
}

# What would go on and cost when nobody is there to end it, by keeper's own word.
rentals() {
    "$OPT/current/bin/keeper" status --json --config "$CONFIG/keeper.yaml" 2>/dev/null | "$python" -I -c '
import json
import sys

fleet = json.load(sys.stdin)
slots = [slot for stream in fleet["streams"] for slot in stream["slots"]]
hosts = [host for slot in slots for host in (slot["host"], slot["incoming"]) if host]
print(len(hosts) + len(fleet["condemned"]) + len(fleet["orphans"]))' 2>/dev/null
}

uninstall_it() {
    [[ -e "$OPT/current" || -e "$UNIT" || -n "$is_purge" ]] || {
        say "nothing to remove: keeper is not installed"
        return
    }
    if [[ -z "$even_with_rentals" && -s "$STATE/keeper.db" ]]; then
        local count
        count="$(rentals)" || fail 6 "whether rentals go on cannot be told, so nothing was removed" \
            "look at the marketplace, then add --even-with-rentals"
        [[ "$count" == 0 ]] || fail 6 "rentals go on ($count), and would cost without anybody to end them" \
            "end them with: keeper destroy --all; or add --even-with-rentals"
    fi
    # Also one that is not active at the moment: systemd tries one that fails again and again.
    if [[ -n "$has_systemd" && "$(systemctl is-active keeper.service || true)" != inactive ]]; then
        if would "stop keeper.service"; then systemctl stop keeper.service; fi
    fi
    if is_enabled; then
        if would "disable keeper.service"; then
            if [[ -n "$has_systemd" ]]; then systemctl disable --quiet keeper.service; else rm -f -- "$WANTED"; fi
        fi
    fi
    gone "$UNIT" "$SYSUSERS" "$COMPLETION" "$COMMAND" "$OPT/current" "$OPT/previous" "$OPT/versions" "$OPT/.lock"
    [[ -n "$is_dry" ]] || systemctl daemon-reload
    rmdir -- "$OPT" 2>/dev/null || true
    if [[ -n "$is_purge" ]]; then
        gone "$CONFIG" "$STATE" "$BACKUPS"
        if [[ -z "$root" ]] && getent passwd keeper >/dev/null; then
            if would "remove the user keeper"; then userdel keeper || warn "the user keeper is still there"; fi
        fi
    else
        say "kept: $CONFIG, $STATE and $BACKUPS (--purge removes them)"
    fi
}

need_root
one_at_a_time
scratch="$(mktemp -d)"
case "$verb" in
    install) install_it ;;
    rollback) roll_back ;;
    uninstall) uninstall_it ;;
esac
