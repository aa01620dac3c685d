#!/usr/bin/env bash
# Prints the digests that deploy/compose.yaml asks for, of the tags that it and the Dockerfile name:
#   deploy/compose/pin.sh > deploy/.env
# Needs docker with buildx, and a way to the registry. What is printed is what will run, until you print it anew.
set -euo pipefail
cd "$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")/.."

digest() { # IMAGE
    local found
    found="$("${DOCKER:-docker}" buildx imagetools inspect "$1" --format '{{.Manifest.Digest}}')"
    [[ "$found" =~ ^sha256:[0-9a-f]{64}$ ]] || {
        printf 'error: no digest for %s\n' "$1" >&2
        return 1
    }
    printf '%s' "$found"
}

printed=""
if [[ -f ../Dockerfile ]]; then
    base="$(sed -n 's/^ARG PYTHON_IMAGE=//p' ../Dockerfile)"
    printed+="PYTHON_DIGEST=$(digest "$base")"$'\n'
else
    # From a release archive nothing is built: name the released image yourself.
    printed+="PYTHON_DIGEST=none"$'\n'"KEEPER_IMAGE=${KEEPER_IMAGE:?name the released image, with its digest}"$'\n'
fi
while read -r image name; do
    printed+="$name=$(digest "$image")"$'\n'
done < <(sed -n 's/^ *image: "\(.*\)@${\([A-Z_]*\):?.*"$/\1 \2/p' compose.yaml)
# All of them or none: half a file would start half of it.
printf '%s' "$printed"
