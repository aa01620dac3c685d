#!/usr/bin/env bash
# Builds the libraries that draw SD-Turbo's pictures in an environment of its own, for the tests that load
# and run a real, very small model with them. It lands in .tools/diffusion and is made anew when its
# lock changes. Torch comes as its build for processors alone where pip is offered that (180 MB, say by
# PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL), and otherwise as the ordinary one with all of CUDA (4 GB).
# May be run at the same time by several; one of them builds.
# Usage: scripts/diffusion-env.sh           build it if it is not there; prints the folder
#        scripts/diffusion-env.sh --check   only say; exit 1 if it is absent or of another lock
set -euo pipefail
cd "$(dirname "$0")/.."

readonly LOCK=tests/integration/workloads/diffusion.lock
readonly HOME_OF_IT=.tools/diffusion
readonly STAMP="$HOME_OF_IT/.lock.sha256"
# The builds for processors of the locked torch, by the version of Python.
readonly CPU_TORCH="torch==2.13.0+cpu"
readonly CPU_HASHES=(
    sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b # 3.11, x86_64
)

is_built() { [[ -f "$STAMP" && "$(<"$STAMP")" == "$(sha256sum <"$LOCK")" ]]; }

if [[ "${1:-}" == "--check" ]]; then
    is_built
    exit
fi

# The lock with torch's other build, and without what only the ordinary one needs.
cpu_lock() {
    printf '%s' "$CPU_TORCH"
    printf ' --hash=%s' "${CPU_HASHES[@]}"
    printf '\n'
    awk '/^[^ #]/ { drop = /^(torch|triton|nvidia-|cuda-)/ } !drop' "$LOCK"
}

mkdir -p .tools
exec 9>.tools/diffusion.building
flock 9
if ! is_built; then
    python=.venv/bin/python
    [[ -x "$python" ]] || python=python3
    "$python" -m venv --clear "$HOME_OF_IT" >&2
    pip=("$HOME_OF_IT/bin/python" -m pip -qq --disable-pip-version-check install --require-hashes)
    cpu_lock >"$HOME_OF_IT/cpu.lock"
    head -n 1 "$HOME_OF_IT/cpu.lock" >"$HOME_OF_IT/torch.lock"
    if "${pip[@]}" --no-deps -r "$HOME_OF_IT/torch.lock" >/dev/null 2>&1; then
        "${pip[@]}" -r "$HOME_OF_IT/cpu.lock" >&2
    else
        echo "diffusion: no torch for processors alone is offered; fetching the ordinary one" >&2
        "${pip[@]}" -r "$LOCK" >&2
    fi
    # The stamp is the last thing written, so an interrupted build is simply done again.
    sha256sum <"$LOCK" >"$STAMP"
fi
printf '%s\n' "$HOME_OF_IT"
