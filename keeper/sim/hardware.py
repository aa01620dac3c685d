"""The software that a simulated host brings along: small stand-ins for what reads the hardware.

They answer the questions that keeper asks (``nvidia-smi --query-gpu=…``, ``df``) from files that a
fault can change. Plain text in, plain text out; the texts follow NVIDIA's own documents.
"""

from __future__ import annotations

from pathlib import Path

from keeper.sim.contract import Contract

GPU_LOST_FILE = "gpu-lost"
DISK_FULL_FILE = "disk-full"
DISPLAY_LOST_FILE = "display-lost"

_NVIDIA_SMI = """#!/bin/sh
# Stand-in for nvidia-smi on a simulated host.
here=$(dirname "$0")
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
  echo "|   0  {name}     $on |"
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

_DF = """#!/bin/sh
# Stand-in for df: the machine's own answer, or a full disk.
here=$(dirname "$0")
PATH=${{PATH#*:}}
if [ -e "$here/{disk_full}" ]; then
  echo "Filesystem     1024-blocks      Used Available Capacity Mounted on"
  echo "overlay          125829120 125829120         0     100% /"
  exit 0
fi
exec df "$@"
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
    for name, program in (
        ("nvidia-smi", text),
        ("df", _DF.format(disk_full=DISK_FULL_FILE)),
    ):
        path = folder / name
        path.write_text(program)
        path.chmod(0o755)
