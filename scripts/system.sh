#!/usr/bin/env bash
# Puts the real components that the tests talk to on this machine: OpenSSH, supervisord, PM2,
# Prometheus, Alertmanager, Chromium, nginx with RTMP, ffmpeg, PostgreSQL, coturn, Caddy, shellcheck,
# Xvfb, Vulkan in software, the library of Pixel Streaming's signalling, and Vast.ai's own command line, the libraries that draw.
# Only what is missing is installed, and only as root on a machine with apt; otherwise this says
# what is missing and succeeds, because the test run itself names and counts what it could not do.
# Nothing is started, and no service that comes with a package is left running.
# Usage: scripts/system.sh           install what is missing, where allowed
#        scripts/system.sh --check   only say; exit 1 if something is missing
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PM2_VERSION=7.0.4
readonly TOOLS=.tools
readonly NGINX_RTMP=/usr/lib/nginx/modules/ngx_rtmp_module.so
# Exact versions and hashes of the signalling library are in a lock beside the stand-in that uses it.
readonly PIXEL_LOCK=tests/standins/pixel
readonly PIXEL="$TOOLS/pixel"

# Debian keeps daemons out of an ordinary user's PATH, and PostgreSQL's under its version.
PATH="$PATH:/usr/sbin:/sbin"
for bin in /usr/lib/postgresql/*/bin; do
    [[ -d "$bin" ]] && PATH="$PATH:$bin"
done

have() { command -v "$1" >/dev/null 2>&1; }

# One line per component: its name in the tests, how to see it, and the packages that bring it.
# The names are those of tests/components.py.
missing=()
packages=()
want() {
    local name="$1" package_list="$2"
    shift 2
    if ! "$@"; then
        missing+=("$name")
        # shellcheck disable=SC2206  # the list is words on purpose
        packages+=($package_list)
    fi
}
survey() {
    missing=()
    packages=()
    want sshd "openssh-server openssh-client" have sshd
    want supervisord supervisor have supervisord
    want node "nodejs npm" have node
    want prometheus prometheus have prometheus
    want promtool prometheus have promtool
    want alertmanager prometheus-alertmanager have prometheus-alertmanager
    want amtool prometheus-alertmanager have amtool
    want chromium chromium have chromium
    want ffmpeg ffmpeg have ffmpeg
    want nginx-rtmp "nginx libnginx-mod-rtmp" test -e "$NGINX_RTMP"
    want postgres postgresql have initdb
    want shellcheck shellcheck have shellcheck
    want systemd-analyze systemd have systemd-analyze
    want jq jq have jq
    want curl curl have curl
    want xvfb xvfb have Xvfb
    want xdpyinfo x11-utils have xdpyinfo
    want vulkaninfo vulkan-tools have vulkaninfo
    want lavapipe mesa-vulkan-drivers has_lavapipe
    want ps procps have ps
    want turnserver coturn have turnserver
    want caddy caddy have caddy
    want openssl openssl have openssl
    want pm2 "" test -x "$TOOLS/node_modules/.bin/pm2"
    want pixel-library "" has_pixel_library
    want vastai "" scripts/vastai-env.sh --check
    want diffusion "" scripts/diffusion-env.sh --check
}

has_lavapipe() { compgen -G '/usr/share/vulkan/icd.d/lvp_icd*.json' >/dev/null; }

has_pixel_library() {
    [[ -d "$PIXEL/node_modules/ws" ]] && cmp -s "$PIXEL_LOCK/package-lock.json" "$PIXEL/package-lock.json"
}

# Packages of daemons start them on install. A policy of our own forbids it for the moment,
# unless the machine already has one (most containers do).
install_packages() {
    local policy=/usr/sbin/policy-rc.d
    if [[ ! -e "$policy" ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        # shellcheck disable=SC2064  # the path is meant to be fixed now
        trap "rm -f $policy" EXIT
    fi
    local apt=(apt-get -q -y -o DPkg::Lock::Timeout=600)
    export DEBIAN_FRONTEND=noninteractive
    # Lists that are there are tried first: a machine set up in advance may have no way to update.
    "${apt[@]}" install --no-install-recommends "$@" || {
        "${apt[@]}" update
        "${apt[@]}" install --no-install-recommends "$@"
    }
}

# PM2 is AGPL: the tests run it as a tool, nothing of it is shipped, so it stays in an ignored folder.
install_pm2() {
    mkdir -p "$TOOLS"
    [[ -e "$TOOLS/package.json" ]] || printf '{"private": true}\n' >"$TOOLS/package.json"
    npm install --prefix "$TOOLS" --no-audit --no-fund --no-update-notifier --loglevel=error \
        "pm2@$PM2_VERSION"
}

# Only what the lock names, and only with its hashes; nothing that a package brings is run.
install_pixel_library() {
    rm -rf "$PIXEL"
    mkdir -p "$PIXEL"
    cp "$PIXEL_LOCK/package.json" "$PIXEL_LOCK/package-lock.json" "$PIXEL/"
    npm ci --prefix "$PIXEL" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
}

survey
if ((${#missing[@]} == 0)); then
    echo "system: every component is here"
    exit 0
fi

if [[ "${1:-}" == "--check" ]]; then
    echo "system: missing: ${missing[*]}"
    exit 1
fi

if ((${#packages[@]} > 0)); then
    if [[ "$(id -u)" == 0 ]] && have apt-get; then
        echo "system: installing for: ${missing[*]}"
        install_packages "${packages[@]}" || echo "system: apt-get could not install everything" >&2
    else
        echo "system: missing: ${missing[*]}"
        echo "system: as root, on Debian or Ubuntu: apt-get install --no-install-recommends ${packages[*]}"
    fi
fi
if [[ ! -x "$TOOLS/node_modules/.bin/pm2" ]]; then
    if have npm; then
        install_pm2 || echo "system: npm could not install pm2" >&2
    else
        echo "system: pm2 needs npm, which is missing"
    fi
fi
if ! has_pixel_library; then
    if have npm; then
        install_pixel_library || echo "system: npm could not install the signalling library" >&2
    else
        echo "system: the signalling library needs npm, which is missing"
    fi
fi
scripts/vastai-env.sh >/dev/null || echo "system: pip could not install vastai" >&2
scripts/diffusion-env.sh >/dev/null || echo "system: pip could not install the libraries that draw" >&2

survey
if ((${#missing[@]} > 0)); then
    echo "system: still missing: ${missing[*]}; tests that need them are named and counted"
else
    echo "system: every component is here"
fi
