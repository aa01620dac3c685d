#!/usr/bin/env bash
# Writes the four locks: exact versions and hashes, no addresses, so they install from any index.
#   requirements.lock      what the image, `make demo` and an ops box install
#   requirements-dev.lock  the same and everything `make check` needs
#   tests/e2e/vastai.lock  Vast.ai's own command line, which the tests run in an environment apart
#   tests/integration/workloads/diffusion.lock  what draws on hosts, for the tests too
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
    export_lock --extra postgres --extra media --extra webrtc --extra apprise --extra demo >"$work/requirements.lock"
    export_lock --all-extras >"$work/requirements-dev.lock"
)

# The official client pins exact versions that are not ours. The version is the one that the
# simulator was written against; a newer one is another piece of work, and so is named here.
readonly VASTAI=1.9.1
mkdir "$work/vastai"
cat >"$work/vastai/pyproject.toml" <<TOML
[project]
name = "official-client"
version = "0"
requires-python = ">=3.11"
dependencies = ["vastai==$VASTAI"]
TOML
if [[ "${1:-}" != "--upgrade" && -f tests/e2e/vastai.lock ]]; then
    {
        printf '\n[tool.uv]\nconstraint-dependencies = [\n'
        sed -n 's/^\([A-Za-z0-9._-]*==[^\\]*[^ \\]\) .*/    "\1",/p' tests/e2e/vastai.lock
        printf ']\n'
    } >>"$work/vastai/pyproject.toml"
fi
(
    cd "$work/vastai"
    "$uv" lock --quiet
    "$uv" export --quiet --frozen --format requirements-txt --no-emit-project --no-header \
        >"$work/vastai.lock"
)

# What keeper installs on hosts that draw by SD-Turbo: its own pins, and what they bring along.
mkdir "$work/diffusion"
pins="$(PYTHONPATH=. "${PYTHON:-.venv/bin/python}" -c '
from keeper.workloads.sd_turbo.pins import PRESETS, PinsName
print(", ".join(f"\"{each}\"" for each in PRESETS[PinsName.CURRENT].requirements))')"
cat >"$work/diffusion/pyproject.toml" <<TOML
[project]
name = "diffusion"
version = "0"
requires-python = ">=3.11"
dependencies = [$pins]
[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64'"]
TOML
(
    cd "$work/diffusion"
    "$uv" lock --quiet
    {
        echo "# The libraries that draw, as keeper installs them on hosts (keeper/workloads/sd_turbo/pins.py)."
        echo "# Written by scripts/lock.sh; scripts/diffusion-env.sh installs it."
        "$uv" export --quiet --frozen --format requirements-txt --no-emit-project --no-header
    } >"$work/diffusion.lock"
)

if grep -n '://' "$work"/*.lock; then
    echo "error: a lock names an address; the locks must install from any index" >&2
    exit 1
fi
cp "$work/requirements.lock" "$work/requirements-dev.lock" .
cp "$work/vastai.lock" tests/e2e/
cp "$work/diffusion.lock" tests/integration/workloads/
wc -l requirements.lock requirements-dev.lock tests/e2e/vastai.lock
