"""What hosts answer, text by text, and what each means: the tables of the checks.

The texts of nvidia-smi, NVENC and the Vulkan loader are from NVIDIA's documents and issue threads, but
for those marked as seen here. None was recorded from a driver: no machine with a GPU was at hand.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.core.model import Meaning, Status
from keeper.core.text import plain
from keeper.ports import Command, CommandResult
from keeper.workloads.audition import SENTENCE_MAX, Check, CheckName, Finding, judged
from keeper.workloads.audition_checks import (
    AuditionSettings,
    Demands,
    Ingest,
    Speech,
    audition,
    ingest_at,
)
from keeper.workloads.audition_host import upload
from keeper.workloads.audition_probe import sections
from keeper.workloads.audition_webgpu import webgpu

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
CHECKS = {
    check.name: check
    for check in audition(
        Demands(
            workdir="/workspace",
            disk_free_min_gb=60,
            renders=True,
            encodes=True,
            x_display=":99",
            webgpu=True,
            ingest=Ingest(host="live.example.com", speech=Speech.RTMP),
            bitrate_bps=4_500_000,
            ports=(8000,),
            shm_min_gb=1,
        ),
        AuditionSettings(upload_test_url="https://up.example.com/"),
    )
}
T, F, U = Status.TRUE, Status.FALSE, Status.UNKNOWN
FIX, REBOOT, REPLACE, PERSON = (
    Meaning.FIX,
    Meaning.REBOOT,
    Meaning.REPLACE,
    Meaning.PERSON,
)


def answered(name: CheckName, section: str, text: str, code: int = 0) -> Finding:
    stdout = f"@keeper begin {section}\n{text}\n\n@keeper end {section} {code}\n"
    return judged(CHECKS[name], CommandResult(exit_code=0, stdout=stdout, stderr=""), NOW)


def ended(check: Check, text: str, code: int = 0) -> Finding:
    return judged(check, CommandResult(exit_code=code, stdout=text, stderr=""), NOW)


# --- the driver ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "status", "meaning"),
    [
        ("NVIDIA GeForce RTX 3090, 525.60.13, 24576 MiB", 0, T, None),
        ("NVIDIA RTX PRO 6000, 580.105.08, 97887 MiB\nNVIDIA RTX PRO 6000, 580.1, 97887 MiB", 0, T, None),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
            9, F, REPLACE,
        ),
        ("NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.", 12, F, REPLACE),
        ("Failed to initialize NVML: Driver/library version mismatch", 18, F, REPLACE),
        ("Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost.", 15, F, REBOOT),
        ("Failed to initialize NVML: Unknown Error", 255, F, REBOOT),
        ("No devices were found", 6, F, REBOOT),
        ("No devices were found", 0, F, REBOOT),
        ("", 124, F, REBOOT),
        ("", 127, U, None),
        ("", 0, U, None),
    ],
)  # fmt: skip
def test_the_driver(text: str, code: int, status: Status, meaning: Meaning | None) -> None:
    finding = answered(CheckName.GPU, "gpu", text, code)
    assert (finding.status, finding.meaning) == (status, meaning)


def test_the_driver_is_counted_by_its_cards() -> None:
    finding = answered(CheckName.GPU, "gpu", "A, 1, 24576 MiB\nB, 1, 24576 MiB")
    assert finding.numbers == {"gpus": 2, "memory_mib": 24576}


DEPRECATED = "[Requested functionality has been deprecated]"
NO_FIELD = 'Field "display_attached" is not a valid field to query.'


@pytest.mark.parametrize(
    ("mode", "active", "attached", "column", "status"),
    [
        ("Enabled", "Enabled", NO_FIELD, "On", T),
        ("Enabled, Validated", "Disabled", NO_FIELD, "Off", T),
        # Before an X server runs, nothing but the mode can say yes.
        ("Enabled", "Disabled", NO_FIELD, "Off", T),
        ("Disabled", "Disabled", NO_FIELD, "Off", F),
        # No monitor, and a display all the same.
        ("Disabled", "Enabled", NO_FIELD, "On", T),
        # 580.105 and newer: the one field that the original asks.
        (DEPRECATED, "Disabled", "Yes", "Off", T),
        (DEPRECATED, "Disabled", "No", "Off", F),
        (DEPRECATED, "Disabled", NO_FIELD, "Off", U),
        (DEPRECATED, DEPRECATED, "No", "On", T),
        ("[N/A]", "[N/A]", NO_FIELD, "", U),
        ("[Not Supported]", "[Not Supported]", "[Not Supported]", "", U),
        ("", "", "", "", U),
    ],
)
def test_displays_by_evidence(
    mode: str, active: str, attached: str, column: str, status: Status
) -> None:
    text = f"display_mode={mode}\ndisplay_active={active}\ndisplay_attached={attached}\n"
    finding = answered(CheckName.DISPLAY, "display", f"{text}Disp.A={column}")
    assert finding.status is status
    assert finding.meaning is (REPLACE if status is F else None)
    assert not finding.is_hard


@pytest.mark.parametrize(
    ("text", "status", "meaning"),
    [("loaded", T, None), ("absent", F, REPLACE), ("unreadable", U, None), ("", U, None)],
)
def test_the_kernel_module(text: str, status: Status, meaning: Meaning | None) -> None:
    finding = answered(CheckName.NVIDIA_DRM, "drm", text)
    assert (finding.status, finding.meaning) == (status, meaning)


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("by-path\ncard0\nrenderD128", 0, T),
        ("card1\nrenderD129", 0, T),
        ("card0", 0, F),
        ("", 0, F),
        ("", 1, F),
    ],
)
def test_the_device_nodes(text: str, code: int, status: Status) -> None:
    assert answered(CheckName.DEV_DRI, "dri", text, code).status is status


# --- Vulkan -------------------------------------------------------------------------------------------

SEED_MANIFEST = json.dumps(
    {"file_format_version": "1.0.0", "ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3.0"}},
    indent=4,
)  # fmt: skip


def icd(
    *,
    glx: str = "/usr/lib/x86_64-linux-gnu/libGLX_nvidia.so.0",
    egl: str = "",
    capabilities: str = "all",
    manifest: str | None = SEED_MANIFEST,
    more: str = "",
) -> str:
    lines = [
        f"library libGLX_nvidia.so.0={glx}",
        f"library libEGL_nvidia.so.0={egl}",
        f"capabilities={capabilities}",
    ]
    if manifest is not None:
        lines.append("manifest=/etc/vulkan/icd.d/nvidia_icd.json")
        lines += [f" {line}" for line in manifest.splitlines()]
    return "\n".join([*lines, more])


def naming(library: str) -> str:
    return json.dumps({"ICD": {"library_path": library}})


HERE = "/usr/lib/x86_64-linux-gnu/libGLX_nvidia.so.0"


@pytest.mark.parametrize(
    ("text", "status", "meaning", "is_machine_at_fault"),
    [
        pytest.param(icd(), T, None, True, id="as it should be"),
        pytest.param(icd(glx="", egl="/x", manifest=naming("libEGL_nvidia.so.0")), T, None, True, id="by EGL"),
        pytest.param(icd(manifest=naming(HERE), more=f"exists={HERE}"), T, None, True, id="by its path"),
        pytest.param(icd(manifest=naming(HERE)), F, FIX, True, id="by a path that is not there"),
        pytest.param(icd(manifest=None), F, FIX, True, id="no manifest"),
        pytest.param(icd(manifest="{"), F, FIX, True, id="no JSON"),
        pytest.param(icd(manifest="[]"), F, FIX, True, id="not that JSON"),
        pytest.param(icd(manifest=naming("libvulkan_lvp.so")), F, FIX, True, id="another's library"),
        pytest.param(icd(manifest=naming("libEGL_nvidia.so.0")), F, FIX, True, id="a library that is missing"),
        pytest.param(icd(glx="", capabilities="compute,utility"), F, REPLACE, False, id="for computing only"),
        pytest.param(icd(glx="", capabilities=""), F, REPLACE, False, id="nobody said what for"),
        pytest.param(icd(glx="", capabilities="graphics,utility"), F, REPLACE, True, id="the driver lacks it"),
        pytest.param(icd(glx="", capabilities="all"), F, REPLACE, True, id="the driver lacks it, too"),
        pytest.param("", U, None, True, id="nothing was said"),
    ],
)  # fmt: skip
def test_the_manifest(
    text: str, status: Status, meaning: Meaning | None, is_machine_at_fault: bool
) -> None:
    finding = answered(CheckName.VULKAN_ICD, "icd", text)
    assert (finding.status, finding.meaning) == (status, meaning)
    assert finding.is_machine_at_fault is is_machine_at_fault


def test_a_container_for_computing_is_told_how_to_be_made() -> None:
    finding = answered(CheckName.VULKAN_ICD, "icd", icd(glx="", capabilities="compute,utility"))
    assert "NVIDIA_DRIVER_CAPABILITIES=all" in finding.saw


def device(kind: str, name: str) -> str:
    return (
        f"GPU0:\n\tapiVersion         = 1.3.230\n\tdeviceType         = PHYSICAL_DEVICE_TYPE_{kind}\n"
        f"\tdeviceName         = {name}\n\tdriverName         = x\n"
    )


NVIDIA = device("DISCRETE_GPU", "NVIDIA GeForce RTX 4090")
LLVMPIPE = device("CPU", "llvmpipe (LLVM 15.0.6, 256 bits)")  # seen here, Mesa 22.3.6


@pytest.mark.parametrize(
    ("text", "code", "status", "meaning"),
    [
        pytest.param(NVIDIA, 0, T, None, id="the GPU"),
        pytest.param(LLVMPIPE + NVIDIA, 0, T, None, id="the GPU beside software"),
        pytest.param(LLVMPIPE, 0, F, REPLACE, id="software"),
        pytest.param(device("DISCRETE_GPU", "NVIDIA on llvmpipe"), 0, F, REPLACE, id="software that lies"),
        pytest.param(device("INTEGRATED_GPU", "Intel(R) UHD"), 0, F, REPLACE, id="another GPU"),
        # Seen here, loader 1.3.239 without any driver.
        pytest.param(
            "ERROR: [Loader Message] Code 0 : loader_get_json: Failed to open JSON file /x.json\n"
            "Cannot create Vulkan instance.\nERROR: [Loader Message] Code 0 : vkCreateInstance: Found "
            "no drivers!\nERROR at ./vulkaninfo/vulkaninfo.h:674:vkCreateInstance failed with "
            "ERROR_INCOMPATIBLE_DRIVER", 1, F, REPLACE, id="no driver",
        ),
        pytest.param("libXext.so.6: cannot open shared object file", 1, F, FIX, id="a library beside it"),
        pytest.param("", 127, U, FIX, id="no vulkaninfo"),
        pytest.param("", 124, F, REBOOT, id="it hangs"),
    ],
)  # fmt: skip
def test_vulkan(text: str, code: int, status: Status, meaning: Meaning | None) -> None:
    finding = answered(CheckName.VULKAN, "vulkan", text, code)
    assert (finding.status, finding.meaning) == (status, meaning)


# --- the X server -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status", "meaning"),
    [
        ("lock=alive\nanswer=welcome", T, None),
        ("lock=none\nanswer=welcome", T, None),
        ("lock=alive\nanswer=locked", T, None),
        ("lock=alive\nanswer=welcome\nlog=(II) Loading swrast_dri.so", T, None),
        ("lock=none\nanswer=no socket", F, FIX),
        ("lock=dead\nanswer=refused", F, FIX),
        ("lock=alive\nanswer=silent", F, FIX),
        ("lock=alive\nanswer=no tool", U, None),
        ("lock=dead\nanswer=no tool", F, FIX),
        ("", U, None),
    ],
)
def test_the_x_server(text: str, status: Status, meaning: Meaning | None) -> None:
    finding = answered(CheckName.X_SERVER, "x", text)
    assert (finding.status, finding.meaning) == (status, meaning)
    assert ("swrast" in text) == ("swrast" in finding.saw)


# --- the encoder --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "status", "meaning", "is_machine_at_fault"),
    [
        ("", 0, T, None, True),
        ("[h264_nvenc @ 0x55] OpenEncodeSessionEx failed: out of memory (10): (no details)", 1, F, REBOOT, True),
        ("[h264_nvenc @ 0x55] No capable devices found", 1, F, REBOOT, True),
        ("[h264_nvenc @ 0x55] Cannot load libnvidia-encode.so.1", 1, F, REPLACE, False),
        # Seen here, ffmpeg 5.1 on a machine without a driver.
        ("[h264_nvenc @ 0x55] Cannot load libcuda.so.1", 1, F, REPLACE, False),
        ("Cannot load libnvidia-encode.so.1\ncapabilities=compute,video", 1, F, REPLACE, True),
        (
            "[h264_nvenc @ 0x55] Driver does not support the required nvenc API version.",
            1, F, REPLACE, True,
        ),
        ("Unknown encoder 'h264_nvenc'", 1, U, None, True),
        ("", 127, U, FIX, True),
        ("", 124, F, REBOOT, True),
        ("something else", 1, F, REBOOT, True),
    ],
)  # fmt: skip
def test_the_encoder(
    text: str, code: int, status: Status, meaning: Meaning | None, is_machine_at_fault: bool
) -> None:
    finding = answered(CheckName.ENCODER, "encoder", text, code)
    assert (finding.status, finding.meaning) == (status, meaning)
    assert finding.is_machine_at_fault is is_machine_at_fault
    assert "0x55" not in finding.saw


# --- WebGPU -------------------------------------------------------------------------------------------


def tried(chosen: str, *results: tuple[str, str, str]) -> str:
    named = [{"mode": mode, "verdict": verdict, "vendor": who} for mode, verdict, who in results]
    return json.dumps({"chosen": chosen, "results": named})


@pytest.mark.parametrize(
    ("text", "code", "status", "meaning", "says"),
    [
        pytest.param(
            tried("headless-egl", ("headless-vulkan", "none", ""), ("headless-egl", "hardware", "nvidia")),
            0, T, None, "headless-egl draws on nvidia", id="the second works",
        ),
        pytest.param(
            tried("", ("headless-vulkan", "none", ""), ("swiftshader", "software", "google")),
            0, F, REPLACE, "only software draws: google", id="only software",
        ),
        pytest.param(
            tried("x", ("x", "hardware", "google swiftshader")), 0, F, REPLACE, "only software",
            id="software that says it is none",
        ),
        pytest.param(tried("", ("x", "none", "")), 0, F, REPLACE, "no configuration draws", id="none"),
        pytest.param(tried("x", ("x", "error", "")), 0, F, REPLACE, "only software", id="a host that lies"),
        pytest.param(
            tried("", ("a", "no_browser", ""), ("b", "no_display", "")), 0, U, FIX, "no browser",
            id="no browser",
        ),
        pytest.param("", 127, U, FIX, "neither python3 nor node", id="nothing to run it with"),
        pytest.param("", 124, F, REPLACE, "hangs", id="it hangs"),
        pytest.param("Traceback", 1, U, None, "no readable answer", id="the test broke"),
        pytest.param("{" * 100_000, 0, U, None, "no readable answer", id="a gigabyte deep"),
    ],
)  # fmt: skip
def test_webgpu(text: str, code: int, status: Status, meaning: Meaning | None, says: str) -> None:
    finding = ended(CHECKS[CheckName.WEBGPU], text, code)
    assert (finding.status, finding.meaning) == (status, meaning)
    assert says in finding.saw


def test_software_will_do_where_the_operator_says_so() -> None:
    check = webgpu(workdir=".", display="", allow_software=True)
    finding = ended(check, tried("swiftshader", ("swiftshader", "software", "google")))
    assert finding.status is T


# --- the host -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status", "meaning"),
    [
        ("live.example.com=0\ngithub.com=0", T, None),
        ("live.example.com=0\ngithub.com=2", T, None),
        ("live.example.com=2\ngithub.com=0", F, PERSON),
        ("live.example.com=2\ngithub.com=2", F, REPLACE),
        ("live.example.com=124\ngithub.com=124", F, REPLACE),
        ("live.example.com=127\ngithub.com=127", U, None),
        ("", U, None),
    ],
)
def test_names(text: str, status: Status, meaning: Meaning | None) -> None:
    finding = answered(CheckName.DNS, "dns", text)
    assert (finding.status, finding.meaning) == (status, meaning)


@pytest.mark.parametrize(
    ("text", "code", "status", "meaning"),
    [
        ("", 0, T, None),
        ("control=0\nbash: connect: Connection refused", 1, F, PERSON),
        ("control=0", 124, F, REPLACE),
        ("control=1\nbash: connect: Network is unreachable", 1, F, REPLACE),
        ("control=1\nbash: live.example.com: Name or service not known", 1, U, None),
        ("control=1\nTemporary failure in name resolution", 1, U, None),
        ("", 127, U, None),
    ],
)
def test_the_way_to_the_ingest(
    text: str, code: int, status: Status, meaning: Meaning | None
) -> None:
    finding = answered(CheckName.INGEST, "ingest", text, code)
    assert (finding.status, finding.meaning) == (status, meaning)


@pytest.mark.parametrize(
    ("text", "status", "meaning"),
    [
        ("greeted=3,1536", T, None),
        # What keeps nobody from trying is a connection alone.
        ("greeted=untried", T, None),
        ("", T, None),
        ("greeted=silent", F, REPLACE),
        ("greeted=,0", F, REPLACE),
        ("greeted=3,700", F, REPLACE),
        ("greeted=ConnectionResetError: [Errno 104] Connection reset by peer", F, REPLACE),
        # Something else answers there, and would answer every host.
        ("greeted=72,150", F, PERSON),
        ("greeted=\x1b[1m", F, REPLACE),
    ],
)
def test_the_ingest_is_greeted_as_rtmp_does(
    text: str, status: Status, meaning: Meaning | None
) -> None:
    to = Ingest(host="live.example.com", speech=Speech.RTMP)
    checks = audition(Demands(workdir="/workspace", ingest=to), AuditionSettings())
    (check,) = (each for each in checks if each.name is CheckName.INGEST)
    stdout = f"@keeper begin ingest\n{text}\n\n@keeper end ingest 0\n"
    finding = judged(check, CommandResult(exit_code=0, stdout=stdout, stderr=""), NOW)
    assert (finding.status, finding.meaning) == (status, meaning)
    assert "\x1b" not in finding.saw


@pytest.mark.parametrize(
    ("text", "host", "port", "speech"),
    [
        ("live.twitch.tv:1935", "live.twitch.tv", 1935, "rtmp"),
        ("live.twitch.tv:443", "live.twitch.tv", 443, "rtmps"),
        ("rtmps://live.example.com:8443", "live.example.com", 8443, "rtmps"),
        ("rtmp://live.example.com:443", "live.example.com", 443, "rtmp"),
        ("tcp://live.example.com:9999", "live.example.com", 9999, "tcp"),
    ],
)
def test_an_ingest_is_read(text: str, host: str, port: int, speech: str) -> None:
    expected = Ingest(host=host, port=port, speech=Speech(speech))
    assert ingest_at(text, unsaid=Speech.RTMP) == expected
    assert ingest_at("") is None


def test_a_blocked_port_is_told_apart_from_a_dead_network() -> None:
    blocked = answered(CheckName.INGEST, "ingest", "control=0", 124)
    assert "443" in blocked.saw
    dead = answered(CheckName.INGEST, "ingest", "control=124", 124)
    assert "443" not in dead.saw


@pytest.mark.parametrize(
    ("text", "code", "status", "meaning"),
    [
        # 9 Mbit/s are asked for.
        ("sent=200 9000000 7.2", 0, T, None),
        ("sent=201 9000000 7,9", 0, T, None),
        ("sent=200 9000000 20.0", 0, F, REPLACE),
        ("sent=000 1000000 12.0\ncurl: (28) Operation timed out", 28, F, REPLACE),
        # An answer that is no yes measures nothing.
        ("sent=403 0 0.1", 0, U, None),
        ("curl: (7) Failed to connect", 7, U, None),
        ("", 127, U, FIX),
        ("", 124, F, REPLACE),
        ("sent=200 " + "9" * 400 + " 1", 0, T, None),
        ("sent=200 9 0.0", 0, F, REPLACE),
        ("sent=200 9 1.2.3", 0, U, None),
        ("sent=200 9 ,", 0, U, None),
        ("sent=200 9 " + "9" * 400, 0, U, None),
    ],
)
def test_uploads(text: str, code: int, status: Status, meaning: Meaning | None) -> None:
    finding = ended(CHECKS[CheckName.UPLOAD], text, code)
    assert (finding.status, finding.meaning) == (status, meaning)


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("total_size=9000000\nout_time_us=8000000\nspeed=1.01x", 0, T),
        ("total_size=9000000\nout_time_us=8000000\nspeed=   1x", 0, T),
        ("total_size=9000000\nout_time_us=8000000\nspeed=0.5x", 0, F),
        ("total_size=9000000\nout_time_us=8000000\nspeed=N/A", 0, T),
        ("total_size=N/A\nout_time_us=N/A\nspeed=N/A", 0, U),
        ("total_size=9\nout_time_us=" + "0" * 15 + "1", 0, U),
        ("total_size=9\nout_time_us=" + "9" * 6000, 0, U),
        ("total_size=" + "9" * 6000 + "\nout_time_us=8000000", 0, U),
        ("rtmp://x: Connection refused", 1, U),
        ("Unknown encoder 'libx264'", 1, U),
        ("", 127, U),
    ],
)
def test_uploads_by_rtmp(text: str, code: int, status: Status) -> None:
    assert ended(upload("rtmp://x/live/test", 4_500_000), text, code).status is status


@pytest.mark.parametrize(
    ("text", "status", "meaning"),
    [
        ("overlay 125829120 20000000 105829120 16% /", T, None),
        ("overlay 125829120 125829120 0 100% /", F, FIX),
        ("overlay 62914560 2914560 58000000 5% /", F, FIX),
        ("df: /: Input/output error", U, None),
        ("", U, None),
    ],
)
def test_room(text: str, status: Status, meaning: Meaning | None) -> None:
    finding = answered(CheckName.DISK, "disk", text)
    assert (finding.status, finding.meaning) == (status, meaning)


@pytest.mark.parametrize(
    ("text", "status"),
    [("shm 1048576 0 1048576 0% /dev/shm", T), ("shm 65536 0 65536 0% /dev/shm", F), ("", U)],
)
def test_shared_memory_is_only_noted(text: str, status: Status) -> None:
    finding = answered(CheckName.SHM, "shm", text)
    assert (finding.status, finding.meaning) == (status, None)


@pytest.mark.parametrize(
    ("skew_s", "status", "meaning"),
    [
        (0, T, None),
        (299, T, None),
        (302, F, PERSON),
        (3600, F, PERSON),
        (-299, T, None),
        # The answer took its time on the way.
        (-330, T, None),
        (-400, F, PERSON),
        (-3600, F, PERSON),
    ],
)
def test_the_clock(skew_s: int, status: Status, meaning: Meaning | None) -> None:
    said = NOW + timedelta(seconds=skew_s)
    finding = answered(CheckName.CLOCK, "clock", f"{said.timestamp():.0f}")
    assert (finding.status, finding.meaning) == (status, meaning)
    assert finding.numbers["skew_s"] == skew_s


def test_a_clock_that_is_none_is_unknown() -> None:
    assert answered(CheckName.CLOCK, "clock", "%s").status is U
    assert answered(CheckName.CLOCK, "clock", "9" * 400).status is U


# --- hostile answers ----------------------------------------------------------------------------------


def test_a_section_that_did_not_end_is_no_answer() -> None:
    assert sections("@keeper begin gpu\nA, B, C\n") == {}
    cut = CommandResult(exit_code=137, stdout="@keeper begin gpu\nA, B, C\n", stderr="")
    finding = judged(CHECKS[CheckName.GPU], cut, NOW)
    assert (finding.status, finding.saw) == (U, "the host took too long to answer")


def test_a_section_ends_at_its_own_end() -> None:
    text = "@keeper begin a\nx\n@keeper end b 0\n\n@keeper end a 3\n@keeper begin b\n\n@keeper end b 0\n"
    found = sections(text)
    assert {name: section.exit_code for name, section in found.items()} == {"a": 3, "b": 0}


# As long as a host may answer: found in the time that one look may cost, or in minutes of everybody's.
_LONG = 65_536


@pytest.mark.parametrize(
    ("name", "section", "text"),
    [
        (CheckName.GPU, "gpu", "a, b, " + "9" * _LONG),
        (CheckName.GPU, "gpu", "@keeper begin gpu\n" * (_LONG // 18)),
        (CheckName.VULKAN, "vulkan", "deviceType = a" + "\n" * _LONG),
        (CheckName.VULKAN, "vulkan", "deviceType = a\n" * (_LONG // 15)),
        (CheckName.DISK, "disk", " 1 1" * (_LONG // 4)),
        (CheckName.ENCODER, "encoder", "OpenEncodeSession" + "[" * _LONG),
    ],
    ids=lambda each: str(each)[:24],
)
def test_a_long_answer_holds_nobody_up(name: CheckName, section: str, text: str) -> None:
    """The daemon reads it between two ticks: what grows with the square of it would take minutes."""
    for _ in range(40):
        answered(name, section, text, 1 if name is CheckName.ENCODER else 0)


_WORDS = st.sampled_from(
    ["greeted=3,1536\n", "greeted=", "greeted=silent", "@keeper begin gpu\n", "\n@keeper end gpu 0\n", "=", "\n", "{", '"', "answer=", "lock=dead",
     "sent=200 1 1", "speed=", "total_size=1", "out_time_us=0", "manifest=/x\n {", "deviceType = X\n",
     "deviceName = ", "9" * 30, "\x1b[2J", "\ud800", "Disp.A=", "libXext", "Cannot load libcuda",
     "library libGLX_nvidia.so.0=/x", " 1 1 1 1%", "display_mode=", "N/A"]
)  # fmt: skip


@given(
    name=st.sampled_from(sorted(set(CHECKS) - {CheckName.PORT})),
    words=st.lists(st.one_of(_WORDS, st.text(max_size=20)), max_size=20),
    code=st.sampled_from([0, 1, 9, 28, 124, 127, 255, -1]),
)
@settings(max_examples=300, deadline=None)
def test_no_answer_is_too_strange_to_be_judged(
    name: CheckName, words: list[str], code: int
) -> None:
    check = CHECKS[name]
    look = check.look
    assert isinstance(look, Command)
    text = "".join(words)
    bare = CommandResult(exit_code=code, stdout=text, stderr=text)
    framed = "".join(
        f"@keeper begin {each}\n{text}\n@keeper end {each} {abs(code)}\n"
        for each in ("gpu", "display", "drm", "dri", "icd", "vulkan", "encoder", "x", "dns", "ingest", "disk",
                     "shm", "clock")
    )  # fmt: skip
    for result in (bare, CommandResult(exit_code=0, stdout=framed, stderr="")):
        finding = judged(check, result, NOW)
        assert finding.saw == plain(finding.saw, SENTENCE_MAX)
        assert finding.status is not T or finding.meaning is None
