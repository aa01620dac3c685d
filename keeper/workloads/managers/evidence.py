"""Looks at a host that is about to end, for those who ask later what went wrong.

Each is bounded in time and bytes and changes nothing. What they print may hold secrets that a workload
has logged: whoever keeps it takes them out first.
"""

from __future__ import annotations

from shlex import quote

from keeper.ports import Command

FRAMES = "last-frames."
"""How the name of a look begins that prints the last pictures, in base64; it ends as their file does."""

FRAMES_MAX_BYTES = 4_194_304  # some seconds of a stream
_TIMEOUT_S = 6.0
_LOG_TAIL_BYTES = 65_536
_OUTPUT_MAX_BYTES = 262_144

# In a container the kernel's log is mostly closed; what it says of the GPU (Xid) is worth the try.
_SYSTEM = r"""
echo '== uptime'; uptime
echo '== disk'; df -Pk . /
echo '== memory'; free -m 2>/dev/null
echo '== kernel'; dmesg 2>&1 | tail -n 60
echo '== processes'; ps -eo pid,ppid,stat,etime,pcpu,pmem,comm --sort=-pcpu 2>/dev/null | head -n 40
exit 0
"""

_GPU = r"""
command -v nvidia-smi >/dev/null 2>&1 || { echo 'no nvidia-smi'; exit 0; }
nvidia-smi 2>&1; echo "exit code $?"
nvidia-smi -q -d ECC,PAGE_RETIREMENT,PERFORMANCE,TEMPERATURE 2>&1 | head -n 120
exit 0
"""


def evidence_of(*, logs: tuple[str, ...], manager: str, workdir: str) -> tuple[Command, ...]:
    """Compose the looks. ``manager``: a line of shell that shows what the manager says, or ""."""
    into = f"cd -- {quote(workdir)} 2>/dev/null\n"
    looks = [_look("evidence.system", into + _SYSTEM), _look("evidence.gpu", _GPU)]
    if manager:
        looks.insert(0, _look("evidence.manager", f"{into}{manager}\nexit 0"))
    if logs:
        tails = "\n".join(_tail(path) for path in logs)
        looks.insert(0, _look("evidence.logs", f"{into}{tails}\nexit 0"))
    return tuple(looks)


def frames_of(folder: str, kind: str) -> Command:
    """Compose the look at the newest piece of a stream that lies in a folder, by the ending of its name."""
    script = (
        f"cd -- {_place(folder)} || exit 1\n"
        f"newest=$(ls -1t -- *.{kind} 2>/dev/null | head -n 1)\n"
        '[ -f "$newest" ] || { echo "there is no picture" >&2; exit 1; }\n'
        f'head -c {FRAMES_MAX_BYTES} -- "$newest" | base64\n'
    )
    return Command(
        name=f"{FRAMES}{kind}",
        script=script,
        timeout_s=_TIMEOUT_S * 2,
        output_max_bytes=FRAMES_MAX_BYTES * 4 // 3 + FRAMES_MAX_BYTES // 16,
    )


def _place(path: str) -> str:
    """Return a path for the remote shell: a relative one begins at its home."""
    if path.startswith("/"):
        return quote(path)
    return f'"$HOME"/{quote(path.removeprefix("~/"))}'


def _tail(path: str) -> str:
    # A home stands as ~/ and is the remote shell's to fill in.
    shown = _place(path) if path.startswith("~/") else quote(path)
    return f"echo {quote(f'== {path}')}; tail -c {_LOG_TAIL_BYTES} -- {shown} 2>&1; echo"


def _look(name: str, script: str) -> Command:
    return Command(
        name=name, script=script, timeout_s=_TIMEOUT_S, output_max_bytes=_OUTPUT_MAX_BYTES
    )
