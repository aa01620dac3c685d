#!/bin/sh
# Brings what the server of sd-turbo runs on: once, and again only what is missing or has changed.
#
# It looks before it installs, so a repeat costs seconds; what pip has downloaded whole is kept, so one
# that was cut off goes on about where it was. An image that has everything is used as it is; otherwise
# a virtual environment of our own is filled, and nobody else's packages are touched. The path of the
# Python that is to run the server ends up in .keeper/server.python. The exit code is 0, that of
# sd_turbo_model.py (20 libraries, 21 NumPy, 22 GPU against torch, 23 driver, 25 model refused), or 1.
#
# It is run in the folder of the server, by keeper or by hand. What it is told stands in front of it:
: "${python:=python3}"
: "${pip_args:=}"    # more words for pip: another index, a mirror
: "${step_s:=1200}"  # for one call of pip, or one try to bring the model
: "${proves:=1}"     # 0: there is no model to be brought and nothing to be proved
set -u
# The requirements, one a line; the first is installed first, being the largest.
pins=$(cat sd_turbo.pins) || exit 1
export pins
mkdir -p .keeper || exit 1
own=.keeper/python/bin/python

# Two at once would spoil each other's work; the later one finds it done.
if command -v flock >/dev/null 2>&1; then
    exec 9>.keeper/setup.lock
    flock -w "$step_s" 9 || { echo 'another set-up does not end' >&2; exit 1; }
fi

if timeout -k 1 1 true >/dev/null 2>&1; then
    within() { limit_s=$1; shift; timeout -k 10 "$limit_s" "$@"; }
else
    within() { shift; "$@"; }
fi

# missing PYTHON: prints the pins that this Python lacks. Fails when it does not run at all.
missing() {
    within 60 "$1" - <<'PYTHON'
import os
import re
from importlib import metadata

for line in os.environ["pins"].splitlines():
    match = re.match(r"\s*([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(?:==\s*([^\s;,]+)\s*(?:;.*)?$)?", line)
    if not match:
        continue
    name, wanted = match.groups()
    try:
        have = metadata.version(name)
    except metadata.PackageNotFoundError:
        have = None
    # "2.13.0" is content with "2.13.0+cpu", as pip is.
    if have is None or (wanted and wanted not in (have, have.partition("+")[0])):
        print(line)
PYTHON
}

make_own() {
    [ -x "$own" ] && "$own" -m pip --version >/dev/null 2>&1 && return 0
    command -v "$python" >/dev/null 2>&1 || { echo "setup: there is no $python" >&2; return 1; }
    echo 'setup: making an environment of our own'
    rm -rf .keeper/python
    within 120 "$python" -m venv .keeper/python && return 0
    # Debian's Python comes without what makes environments.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        DEBIAN_FRONTEND=noninteractive
        export DEBIAN_FRONTEND
        within 300 apt-get -q update && within 300 apt-get -qy install --no-install-recommends python3-venv
        rm -rf .keeper/python
        within 120 "$python" -m venv .keeper/python && return 0
    fi
    echo "setup: $python can make no virtual environment" >&2
    return 1
}

# shellcheck disable=SC2086 # words are what is wanted
install() {
    within "$step_s" "$own" -m pip install --no-input --disable-pip-version-check --no-color \
        --progress-bar off --retries 5 --timeout 30 -c sd_turbo.pins $pip_args "$@"
}

fill_own() {
    make_own || return 1
    lacking=$(missing "$own") || return 1
    [ -n "$lacking" ] || return 0
    echo "setup: installing $(printf '%s' "$lacking" | tr '\n' ' ')"
    # The largest by itself: when the line is cut after it, it is there and stays.
    first=$(printf '%s\n' "$pins" | head -n 1)
    case "$lacking" in
    *"$first"*) install "$first" || return 1 ;;
    esac
    install -r sd_turbo.pins || return 1
    [ -z "$(missing "$own")" ] || { echo 'setup: pip has installed something else' >&2; return 1; }
}

choose() {
    if lacking=$(missing "$python" 2>/dev/null) && [ -z "$lacking" ] && [ ! -f .keeper/own.python ]; then
        chosen=$(command -v "$python")
        echo "setup: $chosen has everything"
    else
        fill_own || return 1
        chosen=$PWD/$own
    fi
}

choose || exit 1
if [ "$proves" = 1 ]; then
    within 300 "$chosen" sd_turbo_model.py check
    code=$?
    if [ $code -ne 0 ] && [ $code -le 21 ]; then
        # The right versions and yet they do not load: files are damaged, or somebody else's are in the
        # way. Once more, from nothing, in an environment of our own.
        echo 'setup: the libraries do not load; making them again' >&2
        : >.keeper/own.python
        rm -rf .keeper/python
        choose || exit 1
        within 300 "$chosen" sd_turbo_model.py check
        code=$?
    fi
    [ $code -eq 0 ] || exit $code
    # A rate limit is lifted after minutes; a model that is refused is refused for good.
    for pause_s in 20 60 0; do
        within "$step_s" "$chosen" sd_turbo_model.py fetch
        code=$?
        if [ $code -eq 0 ] || [ $code -eq 25 ] || [ "$pause_s" -eq 0 ]; then break; fi
        echo "setup: the model could not be brought; again in $pause_s s" >&2
        sleep "$pause_s"
    done
    [ $code -eq 0 ] || exit $code
fi
printf '%s\n' "$chosen" >.keeper/server.python.new && mv -f .keeper/server.python.new .keeper/server.python
echo 'setup: done'
