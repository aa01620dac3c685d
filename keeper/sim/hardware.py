"""The software that a simulated host brings along: small stand-ins for what reads the hardware.

They answer the questions that keeper asks (``nvidia-smi --query-gpu=…``, ``vulkaninfo``, a browser over
its DevTools pipe, …) from files that a fault can change. Plain text in, plain text out; the texts
follow NVIDIA's own documents. What is a file on a real host (the driver's libraries and manifest, device
nodes, an X server's socket) stands below a root of the host's own, which sessions find in
``keeper_root``.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from keeper.sim.contract import Contract

GPU_LOST_FILE = "gpu-lost"
DISK_FULL_FILE = "disk-full"
DISPLAY_LOST_FILE = "display-lost"

# What else an audition may find: a file of this name beside the stand-ins makes a host fail that check.
FAULT_FILES = (
    "compute-only",  # no graphics libraries: the container was not asked for them
    "icd-missing",  # their manifest is not there; removed when it has struck, for a fix mends it
    "software-rendering",  # Vulkan and the browser draw without the GPU
    "x-dead",  # nobody answers on the X server's socket; a new server takes the file away
    "webgpu-lost",  # the browser has no adapter
    "encoder-full",  # other tenants have all sessions of the encoder
    "upload-slow",
    "names-lost",  # no name is resolved
    "shm-small",
    "clock-wrong",  # an hour ahead
)

_NVIDIA_SMI = """#!/bin/sh
# Stand-in for nvidia-smi on a simulated host.
here=$(dirname "$0")
root=${{here%/*}}/root
# What the faults take away; keeper asks this first, so the files are as the faults say from here on.
if [ -e "$here/{display_lost}" ]; then rm -rf "$root/dev/dri" "$root/sys/module/nvidia_drm"; fi
if [ -e "$here/compute-only" ]; then rm -f "$root"/usr/lib/x86_64-linux-gnu/lib*_nvidia.so.0; fi
if [ -e "$here/icd-missing" ]; then
  rm -f "$root"/usr/share/vulkan/icd.d/nvidia_icd.json "$here/icd-missing"
fi
if [ -e "$here/{gpu_lost}" ]; then
  echo "Unable to determine the device handle for GPU 0000:01:00.0: Unknown Error"
  exit 15
fi
display="{display}" attached="{attached}" on="{on}"
if [ -e "$here/{display_lost}" ]; then
  display=Disabled attached=No on=Off
fi
answer() {{
  case "$1" in
    index) echo 0 ;;
    name) echo "{name}" ;;
    uuid) echo "GPU-00000000-0000-0000-0000-{machine:012d}" ;;
    driver_version) echo "{driver}" ;;
    memory.total) echo "{memory} MiB" ;;
    memory.used) echo "2210 MiB" ;;
    memory.free) echo "{free} MiB" ;;
    display_mode | display_active) echo "$display" ;;
    display_attached) echo "$attached" ;;
    utilization.gpu) echo "71 %" ;;
    temperature.gpu) echo 58 ;;
    power.draw) echo "210.50 W" ;;
    encoder.stats.sessionCount) echo 0 ;;
    *) echo "[N/A]" ;;
  esac
}}
for word in "$@"; do
  case "$word" in
    --query-gpu=*) fields=${{word#--query-gpu=}} ;;
    --format=*) formats=,${{word#--format=}}, ;;
    -L) echo "GPU 0: {name} (UUID: GPU-00000000-0000-0000-0000-{machine:012d})"; exit 0 ;;
  esac
done
if [ -z "${{fields:-}}" ]; then
  echo "NVIDIA-SMI {driver}    Driver Version: {driver}    CUDA Version: {cuda}"
  echo "|   0  {name}    Off  |   00000000:01:00.0 $on |                  Off |"
  exit 0
fi
case "${{formats:-}}" in *,nounits,*) units=no ;; esac
header() {{
  case "$1" in
    memory.*) unit=" [MiB]" ;;
    utilization.*) unit=" [%]" ;;
    power.*) unit=" [W]" ;;
    *) unit= ;;
  esac
  echo "$1$unit"
}}
case "${{formats:-}}" in
  *,noheader,*) ;;
  *)
    line=
    for field in $(echo "$fields" | tr ',' ' '); do line="${{line:+$line, }}$(header "$field")"; done
    echo "$line"
    ;;
esac
for number in {gpus}; do
  line=
  for field in $(echo "$fields" | tr ',' ' '); do
    value=$(answer "$field")
    [ "${{units:-}}" = no ] && value=$(echo "$value" | sed 's/ [MWiB%]*$//')
    line="${{line:+$line, }}$value"
  done
  echo "$line"
done
"""

# In front of each of the others: ``here``, and ``real`` for the machine's own tool.
_BEGIN = """#!/bin/sh
# Stand-in on a simulated host.
here=$(dirname "$0")
has() { [ -e "$here/$1" ]; }
real() {
  PATH=$(printf ':%s:' "$PATH" | sed "s|:$here:|:|g; s/^://; s/:$//")
  export PATH
  exec "$@"
}
"""

_DF = """
if has disk-full; then
  echo "Filesystem     1024-blocks      Used Available Capacity Mounted on"
  echo "overlay          125829120 125829120         0     100% /"
  exit 0
fi
case "$*" in
*/dev/shm*)
  if has shm-small; then size=65536; else size=8388608; fi
  echo "Filesystem     1024-blocks      Used Available Capacity Mounted on"
  echo "shm                $size         0   $size       0% /dev/shm"
  exit 0
  ;;
esac
real df "$@"
"""

_VULKANINFO = """
root=${here%/*}/root
if [ ! -e "${VK_ICD_FILENAMES:-/nowhere}" ] ||
  [ ! -e "$root/usr/lib/x86_64-linux-gnu/libGLX_nvidia.so.0" ] || has gpu-lost || has display-lost; then
  echo "ERROR: [Loader Message] Code 0 : vkCreateInstance: Found no drivers!"
  echo "Cannot create Vulkan instance."
  exit 1
fi
type=DISCRETE_GPU name="@NAME@"
if has software-rendering; then type=CPU name="llvmpipe (LLVM 15.0.6, 256 bits)"; fi
echo "GPU0:"
echo "	deviceType         = PHYSICAL_DEVICE_TYPE_$type"
echo "	deviceName         = $name"
"""

_XDPYINFO = """
has x-dead && exit 1
[ -S "${here%/*}/root/tmp/.X11-unix/X99" ]
"""

# It serves nobody; its socket is what the others look for.
_XVFB = """
rm -f "$here/x-dead"
cd "${here%/*}/root/tmp/.X11-unix" || exit 1
exec python3 -c 'import os, signal, socket, sys
name = "X" + sys.argv[1].lstrip(":")
if os.path.exists(name):
    os.remove(name)
listener = socket.socket(socket.AF_UNIX)
listener.bind(name)
listener.listen()
signal.pause()' "$1"
"""

_FFMPEG = """
case "$*" in
*h264_nvenc*"-f null"*)
  if has compute-only; then echo "[h264_nvenc @ 0x1] Cannot load libnvidia-encode.so.1"; exit 1; fi
  if has encoder-full; then
    echo "[h264_nvenc @ 0x1] OpenEncodeSessionEx failed: out of memory (10): (no details)"
    exit 1
  fi
  has gpu-lost && { echo "[h264_nvenc @ 0x1] No capable devices found"; exit 1; }
  exit 0
  ;;
esac
real ffmpeg "$@"
"""

_CURL = """
case "$*" in *"-K /dev/fd/3 -T "*) if has upload-slow; then echo "sent=000 100000 12.0"; exit 28; fi ;; esac
real curl "$@"
"""

_GETENT = """
if [ "$1" = ahosts ]; then
  has names-lost && exit 2
  echo "127.0.0.1       STREAM $2"
  exit 0
fi
real getent "$@"
"""

_DATE = """
if has clock-wrong && [ "$*" = +%s ]; then
  PATH=$(printf ':%s:' "$PATH" | sed "s|:$here:|:|g; s/^://; s/:$//")
  echo $(($(date +%s) + 3600))
  exit 0
fi
real date "$@"
"""

# This is somebody's own machine: nothing is installed on it, and nothing of its is tidied away.
_APT = """
exit 0
"""

_BROWSER = """#!/usr/bin/env python3
'''Stand-in for a browser on a simulated host: says over its DevTools pipe what its GPU would.'''
import json
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))


def has(name):
    return os.path.exists(os.path.join(here, name))


def adapter():
    if has("webgpu-lost") or has("gpu-lost") or has("display-lost") or has("compute-only"):
        return {"verdict": "none", "why": "no adapter"}
    if has("software-rendering") or "--use-webgpu-adapter=swiftshader" in sys.argv:
        return {"verdict": "software", "vendor": "google", "architecture": "swiftshader"}
    return {"verdict": "hardware", "vendor": "nvidia", "description": "@NAME@"}


if "--remote-debugging-pipe" not in sys.argv:
    sys.exit("this stand-in only answers over a pipe")
read = b""
while True:
    data = os.read(3, 65536)
    if not data:
        break
    *messages, read = (read + data).split(b"\\0")
    for message in messages:
        asked = json.loads(message)
        result = {
            "Target.createTarget": {"targetId": "1"},
            "Target.attachToTarget": {"sessionId": "1"},
            "Runtime.evaluate": {"result": {"value": adapter()}},
        }.get(asked["method"], {})
        os.write(4, json.dumps({"id": asked["id"], "result": result}).encode() + b"\\0")
"""

_MANIFEST = """{
    "file_format_version": "1.0.0",
    "ICD": {
        "library_path": "libGLX_nvidia.so.0",
        "api_version": "1.3.0"
    }
}
"""


def install(folder: Path, contract: Contract) -> None:
    """Write the stand-ins for this rental's hardware."""
    folder.mkdir(parents=True, exist_ok=True)
    machine, gpu = contract.machine, contract.machine.gpu
    text = _NVIDIA_SMI.format(
        gpu_lost=GPU_LOST_FILE,
        display_lost=DISPLAY_LOST_FILE,
        name=f"NVIDIA GeForce {gpu.name}" if gpu.name.startswith("RTX") else f"NVIDIA {gpu.name}",
        machine=machine.machine_id,
        driver=machine.driver,
        cuda=machine.cuda_max,
        memory=gpu.ram_mib,
        free=gpu.ram_mib - 2210,
        display="Enabled" if machine.has_display else "Disabled",
        attached="Yes" if machine.has_display else "No",
        on="On" if machine.has_display else "Off",
        gpus=" ".join(str(number) for number in range(len(contract.gpus))),
    )
    shown = f"NVIDIA {gpu.name}"
    programs = {
        "nvidia-smi": text,
        "df": _BEGIN + _DF,
        "vulkaninfo": _BEGIN + _VULKANINFO.replace("@NAME@", shown),
        "xdpyinfo": _BEGIN + _XDPYINFO,
        "Xvfb": _BEGIN + _XVFB,
        "ffmpeg": _BEGIN + _FFMPEG,
        "curl": _BEGIN + _CURL,
        "getent": _BEGIN + _GETENT,
        "date": _BEGIN + _DATE,
        "apt-get": _BEGIN + _APT,
        "google-chrome-unstable": _BROWSER.replace("@NAME@", shown),
    }
    for name, program in programs.items():
        path = folder / name
        path.write_text(program)
        path.chmod(0o755)
    _furnish(root_of(folder), has_display=machine.has_display)


def root_of(folder: Path) -> Path:
    """Return where the files of the host whose stand-ins are in ``folder`` begin."""
    return folder.parent / "root"


def _furnish(root: Path, *, has_display: bool) -> None:
    """Put in place what is a file on a real host."""
    libraries = root / "usr/lib/x86_64-linux-gnu"
    manifest = root / "usr/share/vulkan/icd.d/nvidia_icd.json"
    sockets = root / "tmp/.X11-unix"
    for path in (libraries, manifest.parent, sockets):
        path.mkdir(parents=True, exist_ok=True)
    for library in ("libGLX_nvidia.so.0", "libEGL_nvidia.so.0"):
        (libraries / library).touch()
    manifest.write_text(_MANIFEST)
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/modules").write_text("nvidia 56807424 42 - Live 0x0000000000000000\n")
    if not (root / "proc/1").is_symlink():  # what the container was started with is known there
        (root / "proc/1").symlink_to("../../home/proc/1")
    if has_display:
        (root / "sys/module/nvidia_drm").mkdir(parents=True, exist_ok=True)
        (root / "dev/dri").mkdir(parents=True, exist_ok=True)
        for node in ("card0", "renderD128"):
            (root / "dev/dri" / node).touch()
    _leave_socket(sockets, "X99")


def _leave_socket(folder: Path, name: str) -> None:
    """Leave a socket that nobody serves; a socket's path may be no longer than 107 bytes."""
    if (folder / name).exists():
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{opened}/{name}")
    finally:
        os.close(opened)
