#!/usr/bin/env bash
# Checks every tracked or new shell script with shellcheck, found by its first line. A machine
# without shellcheck is told so; where everything is required that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v shellcheck >/dev/null 2>&1; then
    echo "lint: shellcheck is absent, shell scripts were NOT checked (make system)" >&2
    [[ "${KEEPER_TEST_REQUIRE_ALL:-}" != 1 ]]
    exit
fi

scripts=()
while IFS= read -r -d '' file; do
    [[ -f "$file" ]] || continue
    if LC_ALL=C head -c 64 "$file" | head -n 1 | grep -aqE '^#!.*\b(ba|da)?sh\b'; then
        scripts+=("$file")
    fi
done < <(git ls-files -z --cached --others --exclude-standard)
shellcheck "${scripts[@]}"
echo "lint: ${#scripts[@]} shell scripts are clean"
