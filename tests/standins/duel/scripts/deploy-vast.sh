#!/usr/bin/env bash
# The deploy script's lines and order: GPU looks, PM2 ended, build, PM2 started, local health.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "[deploy] $*"; }

mkdir -p logs dist .runtime-locks
if [[ -f faults/deploy_fails ]]; then
    rm faults/deploy_fails
    say "FATAL: nvidia-smi not found"
    exit 1
fi
say "nvidia_drm kernel module is loaded"
say "GPU device nodes found"
say "GPU display_mode: Enabled"
say "GPU display_mode is ENABLED"
say "Found NVIDIA ICD at: /usr/share/vulkan/icd.d/nvidia_icd.json"
say "Xorg started successfully on :99 with NVIDIA"
say "Test 1 Result: WEBGPU_RESULT: {\"ok\":true}"
say "WebGPU WORKING with configuration: headless-vulkan"
$PM2 kill -s >/dev/null 2>&1 || true
git rev-parse HEAD >dist/commit
$PM2 start ecosystem.config.cjs -s
port=$(sed -n "s/^PORT=//p" packages/server/.env | tr -d "'")
for n in $(seq 1 150); do
    if curl -fsS -m 2 "http://${SERVER_HOST:-127.0.0.1}:${port:-5555}/health" >/dev/null 2>&1; then
        say "Local services are healthy"
        say "Hyperscape deployed successfully"
        exit 0
    fi
    ((n % 10)) || say "health check $((n / 10))/30 pending (server= streaming= cdn=)"
    sleep 0.2
done
say "FATAL: the server did not come up"
exit 1
