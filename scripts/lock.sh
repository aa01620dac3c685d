#!/usr/bin/env bash
# Writes the two locks: exact versions and hashes, no addresses, so they install from any index.
#   requirements.lock      what the image, `make demo` and an ops box install
#   requirements-dev.lock  the same and everything `make check` needs
# Usage: scripts/lock.sh [--upgrade]     (without it, versions already locked are kept)
set -euo pipefail
cd "$(dirname "$0")/.."

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# uv resolves; it lives in a throw-away environment because nothing else needs it.
if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    python3 -m venv "$work/uv"
    "$work/uv/bin/pip" --quiet install uv
    uv="$work/uv/bin/uv"
fi

# The resolver's own lock names the index it used, so it is made elsewhere and thrown away.
mkdir "$work/project"
cp -r pyproject.toml keeper README.md LICENSE "$work/project/"
# What is locked today is offered as a constraint, or every lock would be an upgrade.
if [[ "${1:-}" != "--upgrade" && -f requirements-dev.lock ]]; then
    {
        printf '\n[tool.uv]\nconstraint-dependencies = [\n'
        sed -n 's/^\([A-Za-z0-9._-]*==[^\\]*[^ \\]\) .*/    "\1",/p' requirements-dev.lock
        printf ']\n'
    } >>"$work/project/pyproject.toml"
fi
(
    cd "$work/project"
    "$uv" lock --quiet
    export_lock() {
        "$uv" export --quiet --frozen --format requirements-txt --no-emit-project --no-header "$@"
    }
    export_lock --extra postgres --extra media --extra webrtc --extra demo >"$work/requirements.lock"
    export_lock --all-extras >"$work/requirements-dev.lock"
)

if grep -n '://' "$work"/requirements*.lock; then
    echo "error: a lock names an address; the locks must install from any index" >&2
    exit 1
fi
cp "$work/requirements.lock" "$work/requirements-dev.lock" .
wc -l requirements.lock requirements-dev.lock
