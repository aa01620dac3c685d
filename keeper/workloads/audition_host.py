"""Names, upload, disk, clock and ports of a host, judged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from shlex import quote

from keeper.core.model import Meaning
from keeper.ports import Command, CommandResult
from keeper.workloads.audition import (
    OPEN,
    REFUSED,
    UNMAPPED,
    Check,
    CheckName,
    Finding,
    PortLook,
)
from keeper.workloads.audition_probe import (
    NOT_FOUND,
    TIMED_OUT,
    Reader,
    Section,
    Verdict,
    check,
    failed,
    install,
    passed,
    untold,
)

# --- names --------------------------------------------------------------------------------------------


def dns(look: Command, names: Sequence[str], control: str) -> Check:
    """Every name resolves. A control name tells a wrong name from a broken resolver."""

    def read(section: Section, _now: datetime) -> Verdict:
        wanted = tuple(names) or (control,)
        codes = {name: section.value(name) for name in (*wanted, control)}
        if str(NOT_FOUND) in codes.values():
            return untold("there is no getent")
        if None in codes.values():
            return untold("the host did not say")
        lost = ", ".join(name for name in wanted if codes[name] != "0")
        if not lost:
            return passed(f"{', '.join(wanted)} can be resolved")
        if "0" in codes.values():
            # The resolver works, so the name is wrong, and every other host would find the same.
            return failed(f"{lost} does not exist, other names do", Meaning.PERSON)
        return failed(f"no name can be resolved: {lost}", Meaning.REPLACE)

    return check(
        CheckName.DNS,
        expected=f"{', '.join(names) or control} can be resolved",
        look=look,
        section="dns",
        read=read,
    )


# --- upwards -----------------------------------------------------------------------------------

_UPLOAD_S = 8.0
_HTTP = re.compile(
    r"^sent=(?P<status>\d{3}) (?P<bytes>\d+) (?P<seconds>\d{1,6}([.,]\d{1,9})?)$", re.MULTILINE
)
_CURL_CUT_OFF = 28
# The size of the upload is known beforehand, as some servers want it, and its bytes take no disk.
# curl reads the address from a file descriptor: it may hold a token, which `ps` would show.
_PUT = """
command -v curl >/dev/null 2>&1 || exit 127
zeros=$(mktemp) || exit 1
trap 'rm -f -- "$zeros"' EXIT
truncate -s "$bytes" "$zeros" || exit 1
curl -sS -K /dev/fd/3 -T "$zeros" --max-time "$seconds" -o /dev/null \\
    -w 'sent=%{http_code} %{size_upload} %{time_total}\\n' 3<<TEXT
url = "$keeper_upload_url"
TEXT
"""
# Filler makes a quiet picture as many bits as are asked for, at hardly any cost to the processor.
_PUSH = """
command -v ffmpeg >/dev/null 2>&1 || exit 127
ffmpeg -hide_banner -nostdin -loglevel error -progress pipe:1 -re \\
    -f lavfi -i testsrc2=size=320x180:rate=15 -t "$seconds" -c:v libx264 -preset ultrafast \\
    -pix_fmt yuv420p -g 30 -x264-params nal-hrd=cbr:filler=1 \\
    -b:v "$rate" -minrate "$rate" -maxrate "$rate" -bufsize "$rate" -f flv "$keeper_upload_url"
"""


def upload(url: str, bitrate_bps: float, factor: float = 2.0, *, for_s: float = _UPLOAD_S) -> Check:
    """Send what the operator's test address takes, for some seconds, and see how much went through.

    ``url``: http or https (PUT), or rtmp. An rtmp address is seen by everyone on the host, as the
    workload's own is: it must not hold a stream's key.
    """
    rate_bps = bitrate_bps * factor
    is_rtmp = url.startswith("rtmp")
    variables = {
        "bytes": f"{rate_bps * for_s / 8:.0f}",
        "rate": f"{rate_bps:.0f}",
        # An HTTP upload has the same bytes to send and half as much time again for the handshake.
        "seconds": f"{for_s if is_rtmp else for_s * 1.5:g}",
    }
    prelude = "".join(f"{name}={quote(value)}\n" for name, value in variables.items())
    return check(
        CheckName.UPLOAD,
        expected=f"{_mbps(rate_bps)} upwards for {for_s:g} s, {factor:g} times the stream's",
        look=Command(
            name="audition.upload",
            script=prelude + (_PUSH if is_rtmp else _PUT),
            timeout_s=for_s * 4,
            env={"keeper_upload_url": url},
        ),
        read=_read_push(rate_bps) if is_rtmp else _read_put(rate_bps),
        fix=install("audition.fix.upload", "ffmpeg" if is_rtmp else "curl"),
    )


def _read_put(rate_bps: float) -> Reader:
    def read(section: Section, _now: datetime) -> Verdict:
        if section.exit_code == NOT_FOUND:
            return untold("there is no curl", may_fix=True)
        match = _HTTP.search(section.text)
        sent = int(match["bytes"][:15]) if match else 0
        took_s = float(match["seconds"].replace(",", ".")) if match else 0.0
        if section.exit_code not in {0, _CURL_CUT_OFF} or match is None:
            return _unreached(section)
        if section.exit_code == 0 and not match["status"].startswith("2"):
            return untold(f"the upload test address answered {match['status']}")
        return _against(rate_bps, sent * 8 / took_s if took_s > 0 else 0.0)

    return read


def _read_push(rate_bps: float) -> Reader:
    def read(section: Section, _now: datetime) -> Verdict:
        if section.exit_code == NOT_FOUND:
            return untold("there is no ffmpeg", may_fix=True)
        if "Unknown encoder" in section.text:
            return untold("this ffmpeg knows no libx264")
        progress = dict(line.split("=", 1) for line in section.lines if "=" in line)
        sent, took = (_count(progress.get(name, "")) for name in ("total_size", "out_time_us"))
        speed = progress.get("speed", "").strip().removesuffix("x")
        if section.exit_code or sent is None or not took:
            return _unreached(section)
        slow = min(1.0, float(speed)) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", speed) else 1.0
        return _against(rate_bps, sent * 8e6 / took * slow)

    return read


def _count(text: str) -> int | None:
    """Read a number that ffmpeg has counted; None: it says that it has none, or is no ffmpeg."""
    return int(text) if re.fullmatch(r"\d{1,15}", text) else None


def _unreached(section: Section) -> Verdict:
    """A test server that is down says nothing of the host; one that cannot be reached may."""
    said = next((line for line in section.lines[::-1] if "=" not in line), "") or section.last_line
    if section.exit_code in TIMED_OUT:
        return failed("the upload stalled", Meaning.REPLACE, upload_bps=0.0)
    return untold(f"the upload test did not work (exit code {section.exit_code}): {said}")


# A measurement of some seconds is not exact, and the first of them go into opening the window.
_SLACK = 0.9


def _against(rate_bps: float, seen_bps: float) -> Verdict:
    if seen_bps >= rate_bps * _SLACK:
        return passed(f"{_mbps(seen_bps)} went through", upload_bps=seen_bps)
    return failed(f"only {_mbps(seen_bps)} went through", Meaning.REPLACE, upload_bps=seen_bps)


def _mbps(rate_bps: float) -> str:
    return f"{rate_bps / 1e6:.3g} Mbit/s"


# --- room ---------------------------------------------------------------------------------------------

_GB = 1e9
_DF = re.compile(r"\s(?P<total>\d{1,15})\s+\d{1,15}\s+(?P<free>\d{1,15})\s+\d{1,3}%")
# Only what a former life of the same container has left and nobody misses.
_TRIM = """
cd -- "$workdir" 2>/dev/null && rm -f -- ./*.log.1 ./.keeper/*.log.1 ./logs/*.log.[0-9]*
apt-get clean >/dev/null 2>&1
rm -rf -- "${HOME:-/root}/.npm/_cacache" "${HOME:-/root}/.cache/pip"
"""


def disk(look: Command, *, workdir: str, free_min_gb: float, free_min_ratio: float) -> Check:
    """Room for the workload where it goes."""

    def read(section: Section, _now: datetime) -> Verdict:
        match = _DF.search(section.last_line)
        if match is None:
            return untold(f"df gave no readable answer: {section.last_line}")
        total_gb, free_gb = (int(match[name]) * 1024 / _GB for name in ("total", "free"))
        saw = f"{free_gb:.1f} GB of {total_gb:.1f} GB are free"
        if free_gb >= max(free_min_gb, total_gb * free_min_ratio):
            return passed(saw, free_gb=free_gb)
        return failed(saw, Meaning.FIX, free_gb=free_gb)

    return check(
        CheckName.DISK,
        expected=f"{free_min_gb:g} GB and {free_min_ratio:.0%} of the disk free",
        look=look,
        section="disk",
        read=read,
        fix=Command(name="audition.fix.disk", script=f"workdir={quote(workdir)}\n{_TRIM}exit 0\n"),
    )


def shm(look: Command, *, min_gb: float) -> Check:
    """Room in /dev/shm. Browsers are started so that they do without, so a lack is a note."""

    def read(section: Section, _now: datetime) -> Verdict:
        match = _DF.search(section.last_line)
        if match is None:
            return untold("the host has no /dev/shm that df knows")
        total_gb = int(match["total"]) * 1024 / _GB
        saw = f"there are {total_gb:.2f} GB of shared memory"
        return passed(saw) if total_gb >= min_gb else failed(saw, None)

    return check(
        CheckName.SHM,
        expected=f"{min_gb:g} GB of /dev/shm",
        look=look,
        section="shm",
        read=read,
        is_hard=False,
    )


# --- the clock ----------------------------------------------------------------------------------------


def clock(look: Command, *, skew_max_s: float) -> Check:
    """The host's clock against ours, when its answer came.

    Nobody in a container can set the clock, and of two clocks that differ either may be wrong: that is
    for a person to see, and costs nothing until then.
    """

    def read(section: Section, now: datetime) -> Verdict:
        said = section.last_line
        if not re.fullmatch(r"\d{1,12}", said):
            return untold(f"date gave no readable answer: {said}")
        skew_s = int(said) - now.timestamp()
        # The answer was on its way for up to the look's own time; a second is lost in rounding.
        early_s = look.timeout_s + 1.0
        saw = f"the host's clock is {abs(skew_s):.0f} s {'ahead' if skew_s > 0 else 'behind'}"
        is_fine = -skew_max_s - early_s <= skew_s <= skew_max_s + 1.0
        if is_fine:
            return passed(saw, skew_s=skew_s)
        return failed(saw, Meaning.PERSON, skew_s=skew_s)

    return check(
        CheckName.CLOCK,
        expected=f"a clock within {skew_max_s:g} s of keeper's",
        look=look,
        section="clock",
        read=read,
    )


# --- ports --------------------------------------------------------------------------------------------

# One connection, or a quarter of a minute. Whoever listens there already may listen to the inside
# only, so his refusal says nothing.
_LISTEN = """
command -v python3 >/dev/null 2>&1 || { echo 'no tool'; exit 0; }
python3 - "$port" <<'KEEPER_END'
import os, socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.settimeout(15)
try:
    listener.bind(("", int(sys.argv[1])))
except OSError:
    print("taken")
    sys.exit()
listener.listen(1)
print("listening", flush=True)
if os.fork():
    os._exit(0)
os.setsid()
nothing = os.open(os.devnull, os.O_RDWR)
for each in (0, 1, 2):
    os.dup2(nothing, each)
try:
    listener.accept()
except OSError:
    pass
KEEPER_END
"""


def port(container_port: int) -> Check:
    """A port of the container, reached from this box by its public mapping."""
    expected = f"port {container_port} can be reached from outside"

    def judge(result: CommandResult, _now: datetime) -> Finding:
        verdict = _read_dial(result, container_port)
        return Finding(
            check=CheckName.PORT,
            status=verdict.status,
            saw=verdict.saw,
            expected=expected,
            meaning=verdict.meaning,
            is_hard=True,
        )

    opener = Command(
        name="audition.port", script=f"port={container_port}\n{_LISTEN}", timeout_s=10.0
    )
    look = PortLook(container_port=container_port, opener=opener)
    return Check(name=CheckName.PORT, expected=expected, look=look, judge=judge)


def _read_dial(result: CommandResult, container_port: int) -> Verdict:
    named = f"port {container_port}"
    if result.exit_code == OPEN:
        return passed(f"{named} can be reached")
    if result.exit_code == UNMAPPED:
        # The marketplace tells of ports some time after the boot.
        return failed(f"{named} has no public port yet", Meaning.WAIT)
    how = "refuses" if result.exit_code == REFUSED else "does not answer"
    if result.stdout == "listening":
        return failed(f"{named} {how} although somebody listens: {result.stderr}", Meaning.REPLACE)
    if result.exit_code == REFUSED:
        return untold(f"{named} refuses, and perhaps nothing listens there yet")
    # Where nothing listens a host refuses; silence is a firewall's, or a bad moment of the network's.
    return failed(f"{named} does not answer: {result.stderr}", Meaning.WAIT)
