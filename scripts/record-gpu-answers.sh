#!/usr/bin/env bash
# Records what this machine's NVIDIA driver answers to the looks of an audition, for the tests
# (tests/data/gpu, read by tests/integration/workloads/test_audition_recorded.py). Run it on a machine with a
# GPU, once for each generation of drivers that can be had; it changes nothing there.
# Usage: scripts/record-gpu-answers.sh EXPECTED [FOLDER]
#   EXPECTED  what a person knows of this machine, as check=status words, for instance
#             "gpu=true display=unknown nvidia_drm=true vulkan=true encoder=true"
#   FOLDER    where to; tests/data/gpu
set -euo pipefail
cd "$(dirname "$0")/.."

if (($# < 1)); then
    sed -n 's/^# \{0,1\}//; 2,8p' "$0" >&2
    exit 2
fi
if ! command -v nvidia-smi >/dev/null 2>&1; then
    echo "record: there is no nvidia-smi here, so there is nothing to record" >&2
    exit 1
fi

readonly EXPECTED="$1"
readonly FOLDER="${2:-tests/data/gpu}"
# The name of the card and the driver's version: of a driver that does not answer, its exit code.
if named=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>&1); then
    named=$(head -n 1 <<<"$named")
else
    named="no answer $?"
fi
file="$FOLDER/$(tr -cs 'A-Za-z0-9.\n' '-' <<<"$named" | tr '[:upper:]' '[:lower:]').txt"

mkdir -p "$FOLDER"
{
    echo "# recorded: $(date -u +%F), kernel $(uname -r)"
    echo "# expected: $EXPECTED"
    keeper_sections='gpu display drm dri icd vulkan encoder' sh keeper/workloads/payload/audition_probe.sh
} >"$file.new"
mv "$file.new" "$file"
echo "record: $file"
