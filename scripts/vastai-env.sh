#!/usr/bin/env bash
# Builds the official command-line client of Vast.ai in an environment of its own, because its exact
# pins do not go with keeper's: the tests walk it through the simulator, the benchmarks measure beside
# it. It lands in .tools/vastai and is made anew when its lock changes. May be run at the same time by
# several; one of them builds.
# Usage: scripts/vastai-env.sh           build it if it is not there; prints the folder
#        scripts/vastai-env.sh --check   only say; exit 1 if it is absent or of another lock
set -euo pipefail
cd "$(dirname "$0")/.."

readonly LOCK=tests/e2e/vastai.lock
readonly HOME_OF_IT=.tools/vastai
readonly STAMP="$HOME_OF_IT/.lock.sha256"

is_built() { [[ -f "$STAMP" && "$(<"$STAMP")" == "$(sha256sum <"$LOCK")" ]]; }

if [[ "${1:-}" == "--check" ]]; then
    is_built
    exit
fi

mkdir -p .tools
exec 9>.tools/vastai.building
flock 9
if ! is_built; then
    python=.venv/bin/python
    [[ -x "$python" ]] || python=python3
    "$python" -m venv --clear "$HOME_OF_IT" >&2
    "$HOME_OF_IT/bin/python" -m pip -qq --disable-pip-version-check install \
        --require-hashes -r "$LOCK" >&2
    # The stamp is the last thing written, so an interrupted build is simply done again.
    sha256sum <"$LOCK" >"$STAMP"
fi
printf '%s\n' "$HOME_OF_IT"
