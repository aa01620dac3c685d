"""Does a browser draw by WebGPU on the GPU? The configurations to try, and what their results mean.

The order and the flags are those of the workload's own deploy script (at 712516c9, read 2026-10); its
test is not, because it could neither succeed nor fail. The test itself is payload/webgpu_check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import quote

import msgspec

from keeper.core.model import Meaning
from keeper.ports import Command
from keeper.workloads.audition import Check, CheckName
from keeper.workloads.audition_gpu import is_software
from keeper.workloads.audition_probe import (
    NOT_FOUND,
    TIMED_OUT,
    Reader,
    Section,
    Verdict,
    check,
    failed,
    passed,
    untold,
)
from keeper.workloads.managers import payload

CHOSEN_FILE = ".keeper/webgpu.env"
"""Below the working directory: KEEPER_WEBGPU_MODE and KEEPER_WEBGPU_FLAGS, for a shell to read."""

BROWSERS = (
    "google-chrome-unstable",
    "google-chrome-beta",
    "google-chrome-stable",
    "google-chrome",
    "chromium",
    "chromium-browser",
)
_LIMIT_S = 30.0  # for one configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One way to start the browser."""

    mode: str
    flags: tuple[str, ...]
    needs_display: bool = False
    is_software: bool = False


_COMMON = (
    "--no-sandbox",
    "--disable-gpu-sandbox",
    "--disable-setuid-sandbox",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-breakpad",
    "--remote-debugging-pipe",
)
_HEADLESS = "--headless=new"
_WEBGPU = (
    "--enable-unsafe-webgpu",
    "--enable-features=Vulkan,UseSkiaRenderer,WebGPU",
    "--ignore-gpu-blocklist",
    "--disable-software-rasterizer",
    "--disable-gpu-driver-bug-workarounds",
)
_VULKAN = ("--use-vulkan", "--use-gl=angle", "--use-angle=vulkan", *_WEBGPU)

CONFIGURATIONS: tuple[Configuration, ...] = (
    Configuration(mode="headless-vulkan", flags=(*_VULKAN, _HEADLESS)),
    Configuration(mode="headless-egl", flags=("--use-gl=egl", "--use-vulkan", *_WEBGPU, _HEADLESS)),
    Configuration(mode="xvfb-vulkan", flags=_VULKAN, needs_display=True),
    Configuration(
        mode="ozone-headless",
        flags=("--ozone-platform=headless", *_VULKAN, "--enable-dawn-features=allow_unsafe_apis"),
    ),
    Configuration(
        mode="swiftshader",
        flags=(
            "--use-gl=angle",
            "--use-angle=swiftshader",
            "--enable-unsafe-webgpu",
            "--use-webgpu-adapter=swiftshader",
            "--enable-features=WebGPU",
            _HEADLESS,
        ),
        is_software=True,
    ),
    # As Playwright starts it: in a window, without the flags for Vulkan.
    Configuration(
        mode="playwright-xvfb",
        flags=("--use-gl=angle", "--use-angle=vulkan", "--enable-unsafe-webgpu"),
        needs_display=True,
    ),
)

# Ubuntu's own chromium is a snap, which runs in no container; Chrome's package has lain at this address
# for years (seen in public install scripts, read 2026-11).
_INSTALL_S = 600.0
_INSTALL = """
command -v apt-get >/dev/null 2>&1 || exit 0
export DEBIAN_FRONTEND=noninteractive
id=''
[ ! -r "${keeper_root:-}/etc/os-release" ] || id=$(. "${keeper_root:-}/etc/os-release" && echo "$ID")
apt-get update -qq >/dev/null
if [ "$id" != ubuntu ]; then
    apt-get install -qq -y --no-install-recommends chromium python3 >/dev/null
    exit
fi
apt-get install -qq -y --no-install-recommends ca-certificates curl python3 >/dev/null || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf -- "$folder"' EXIT
# The package's reader is another user.
chmod 755 "$folder"
curl -fsSL --max-time 300 -o "$folder/chrome.deb" \\
    https://dl.google.com/linux/direct/google-chrome-unstable_current_amd64.deb || exit 1
apt-get install -qq -y --no-install-recommends "$folder/chrome.deb" >/dev/null
"""

# A promise for one of the verdicts of payload/webgpu_check. "early": the page is not there yet.
_EXPRESSION = """(async () => {
  if (document.readyState !== "complete" || !location.protocol.startsWith("http")) {
    return {verdict: "early"};
  }
  if (!navigator.gpu) return {verdict: "none", why: "navigator.gpu is missing"};
  try {
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) return {verdict: "none", why: "no adapter"};
    const info = adapter.info || (adapter.requestAdapterInfo ? await adapter.requestAdapterInfo() : {});
    const device = await adapter.requestDevice();
    const names = [info.vendor, info.architecture, info.device, info.description].join(" ");
    const isSoftware = adapter.isFallbackAdapter || info.isFallbackAdapter ||
      /swiftshader|llvmpipe|lavapipe|softpipe|basic render/i.test(names);
    device.destroy();
    return {verdict: isSoftware ? "software" : "hardware", vendor: info.vendor || "",
      architecture: info.architecture || "", description: info.description || info.device || ""};
  } catch (error) {
    return {verdict: "none", why: String(error)};
  }
})()"""


def webgpu(
    *,
    workdir: str,
    display: str,
    allow_software: bool = False,
    browsers: Sequence[str] = BROWSERS,
    install_script: str = "",
    configurations: Sequence[Configuration] = CONFIGURATIONS,
    limit_s: float = _LIMIT_S,
) -> Check:
    """An adapter that is no software, and a device of it, by the first configuration that gives one.

    The choice is left in ``CHOSEN_FILE``. ``display``: "" where no X server is wanted.
    ``install_script``: shell that brings the browser; "": Debian's Chromium, or on Ubuntu Chrome.
    """
    fix = Command(
        name="audition.fix.webgpu", script=install_script or _INSTALL, timeout_s=_INSTALL_S
    )
    return check(
        CheckName.WEBGPU,
        expected="a WebGPU adapter and device on the hardware, by one of "
        + ", ".join(each.mode for each in configurations),
        look=Command(
            name="audition.webgpu",
            script=_script(workdir, display, allow_software, browsers, configurations, limit_s),
            # Starting and ending each browser takes its time, too.
            timeout_s=len(configurations) * (limit_s + 5.0) + 10.0,
        ),
        read=_reader(allow_software=allow_software),
        fix=fix,
    )


def _script(
    workdir: str,
    display: str,
    allow_software: bool,  # noqa: FBT001 - as declared
    browsers: Sequence[str],
    configurations: Sequence[Configuration],
    limit_s: float,
) -> str:
    told = {
        "browsers": list(browsers),
        "display": display,
        "allow_software": allow_software,
        "limit_s": limit_s,
        "flags": _COMMON,
        "expression": _EXPRESSION,
        "file": CHOSEN_FILE,
        "modes": [
            {"mode": each.mode, "flags": each.flags, "needs_display": each.needs_display}
            for each in configurations
        ],
    }
    python, javascript = (payload(f"webgpu_check.{kind}").decode() for kind in ("py", "js"))
    return (
        f"workdir={quote(workdir)}\n"
        'mkdir -p -- "$workdir" && cd -- "$workdir" || exit 1\n'
        f"told={quote(msgspec.json.encode(told).decode())}\n"
        "if command -v python3 >/dev/null 2>&1; then\n"
        f"python3 - \"$told\" <<'KEEPER_END'\n{python}\nKEEPER_END\n"
        "else\n"
        "javascript=$(command -v node || command -v bun) || exit 127\n"
        # bun runs no program from its stdin.
        "program=.keeper/webgpu_check.js\n"
        "mkdir -p .keeper\n"
        f"cat >\"$program\" <<'KEEPER_END'\n{javascript}\nKEEPER_END\n"
        '"$javascript" "$program" "$told"\n'
        "fi\n"
    )


class _Result(msgspec.Struct):
    mode: str = ""
    verdict: str = ""
    vendor: str = ""
    architecture: str = ""
    description: str = ""
    why: str = ""

    @property
    def device(self) -> str:
        words = (self.vendor, self.architecture, self.description)
        return " ".join(word for word in words if word)


class _Answer(msgspec.Struct):
    chosen: str = ""
    results: list[_Result] = msgspec.field(default_factory=list)


def _reader(*, allow_software: bool) -> Reader:
    def read(section: Section, _now: datetime) -> Verdict:
        if section.exit_code == NOT_FOUND:
            return untold("there is neither python3 nor node nor bun", may_fix=True)
        if section.exit_code in TIMED_OUT:
            return failed("the browser hangs", Meaning.REPLACE)
        answer = _answer(section)
        if answer is None:
            return untold(f"the test gave no readable answer: {section.last_line}")
        tried = [each for each in answer.results if each.verdict != "not_tried"]
        if tried and all(each.verdict in {"no_browser", "no_display"} for each in tried):
            return untold("there is no browser", may_fix=True)
        return _judged(answer, tried, allow_software=allow_software)

    return read


def _judged(answer: _Answer, tried: Sequence[_Result], *, allow_software: bool) -> Verdict:
    """A host that says hardware and names a renderer in software is not believed."""
    told = "; ".join(f"{each.mode} {each.verdict}" for each in tried)
    chosen = next((each for each in tried if each.mode == answer.chosen), None)
    if chosen is not None:
        is_soft = chosen.verdict != "hardware" or is_software(chosen.device)
        if not is_soft or allow_software:
            return passed(f"{chosen.mode} draws on {chosen.device} ({told})", tried=len(tried))
    soft = next((each for each in tried if each.verdict == "software"), chosen)
    if soft is not None:
        return failed(f"only software draws: {soft.device} ({told})", Meaning.REPLACE)
    why = next((f": {each.why}" for each in tried if each.why), "")
    return failed(f"no configuration draws ({told}){why}", Meaning.REPLACE)


def _answer(section: Section) -> _Answer | None:
    for line in reversed(section.lines):
        if line.startswith("{"):
            try:
                return msgspec.json.decode(line, type=_Answer)
            except (msgspec.DecodeError, RecursionError):
                return None
    return None
