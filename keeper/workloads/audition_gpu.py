"""Does the GPU compute, draw and encode? nvidia-smi, the kernel module, Vulkan and NVENC, judged.

The texts come from NVIDIA's documents, the loader's source and issue threads (read 2026-10); no
driver was at hand when this was written. scripts/record-gpu-answers.sh records what a real one says.
"""

from __future__ import annotations

import re
from datetime import datetime
from shlex import quote

import msgspec

from keeper.core.model import Meaning
from keeper.ports import Command
from keeper.workloads.audition import Check, CheckName
from keeper.workloads.audition_probe import (
    NOT_FOUND,
    TIMED_OUT,
    Section,
    Verdict,
    check,
    failed,
    install,
    passed,
    probe,
    untold,
)

# --- the driver ---------------------------------------------------------------------------------------

_REPLACE_CODES = {
    9: "the driver is not loaded",
    10: "the kernel has trouble with an interrupt of the GPU",
    12: "the driver's library is missing",
    14: "the infoROM is corrupted",
}
_NO_DEVICES = "No devices were found"
# Kernel module and library of different versions: the machine's own reboot would help, ours does not.
_MISMATCH = "version mismatch"
_MIB = re.compile(r"\b(\d{1,9}) ?MiB")


def gpu(look: Command) -> Check:
    """Driver and GPU answer."""
    return check(
        CheckName.GPU,
        expected="nvidia-smi names at least one GPU",
        look=look,
        section="gpu",
        read=_read_gpu,
    )


def _read_gpu(section: Section, _now: datetime) -> Verdict:
    """nvidia-smi's exit codes are those of its manual (page "RETURN VALUE", read 2026-10)."""
    code, said = section.exit_code, section.last_line
    if code == NOT_FOUND:
        return untold("there is no nvidia-smi")
    if code in TIMED_OUT:
        return failed("nvidia-smi hangs", Meaning.REBOOT)
    if code in _REPLACE_CODES:
        return failed(f"{_REPLACE_CODES[code]}: {said}", Meaning.REPLACE)
    if _MISMATCH in section.text:
        return failed(f"the driver does not fit its library: {said}", Meaning.REPLACE)
    # 15 is a GPU that fell off the bus; 6 and 255 are seen when the container has lost its device,
    # which a restart of the container gives back.
    if code or _NO_DEVICES in section.text:
        return failed(f"nvidia-smi ended with {code}: {said or 'nothing'}", Meaning.REBOOT)
    cards = [line for line in section.lines if line.count(",") >= 2]  # noqa: PLR2004 - three fields
    if not cards:
        return untold(f"nvidia-smi gave no readable answer: {said or 'nothing'}")
    memory = _MIB.search(cards[0])
    return passed(cards[0], gpus=len(cards), memory_mib=float(memory[1]) if memory else 0.0)


# --- the kernel module --------------------------------------------------------------------------------


def nvidia_drm(look: Command) -> Check:
    """The module that drives displays."""
    return check(
        CheckName.NVIDIA_DRM,
        expected="the kernel module nvidia_drm is loaded",
        look=look,
        section="drm",
        read=_read_drm,
    )


def _read_drm(section: Section, _now: datetime) -> Verdict:
    match section.last_line:
        case "loaded":
            return passed("nvidia_drm is loaded")
        case "absent":
            return failed("nvidia_drm is not loaded", Meaning.REPLACE)
        case _:
            return untold("the host does not show its kernel modules")


# --- Vulkan: the manifest -----------------------------------------------------------------------------

_LIBRARIES = ("libGLX_nvidia.so.0", "libEGL_nvidia.so.0")
_MANIFEST = "/usr/share/vulkan/icd.d/nvidia_icd.json"
# As NVIDIA's own packages write it.
_MANIFEST_TEXT = """{
    "file_format_version": "1.0.0",
    "ICD": {
        "library_path": "libGLX_nvidia.so.0",
        "api_version": "1.3.0"
    }
}
"""


def vulkan_icd(look: Command) -> Check:
    """The driver's manifest, and the library that it names. A missing manifest is written."""
    return check(
        CheckName.VULKAN_ICD,
        expected="a manifest nvidia_icd.json that names libGLX_nvidia.so.0, and that library",
        look=look,
        section="icd",
        read=_read_icd,
        fix=_write_manifest(),
    )


def _read_icd(section: Section, _now: datetime) -> Verdict:
    libraries = [name for name in _LIBRARIES if section.value(f"library {name}")]
    if section.value(f"library {_LIBRARIES[0]}") is None:
        return untold("the host did not say which libraries it has")
    if not libraries:
        return _without_libraries(section, "libGLX_nvidia.so.0 is missing", "graphics")
    manifests = _manifests(section.text)
    for path, text in manifests:
        named = _library_of(text)
        exists = named in libraries or f"exists={named}" in section.lines
        if named.rpartition("/")[2] in _LIBRARIES and exists:
            return passed(f"{path} names {named}")
    if manifests:
        return failed(f"{manifests[0][0]} is no valid manifest of the driver", Meaning.FIX)
    return failed("the library is there, nvidia_icd.json is not", Meaning.FIX)


def _without_libraries(section: Section, what: str, needed: str) -> Verdict:
    """A container for computing only gets no other libraries; they are asked for at its creation."""
    capabilities = section.value("capabilities") or ""
    if {word.strip() for word in capabilities.split(",")} & {"all", needed}:
        return failed(
            f"{what}, though the container has {capabilities!r}: the machine's driver lacks it",
            Meaning.REPLACE,
        )
    return failed(
        f"{what}: the container was made for computing only; "
        "create it with NVIDIA_DRIVER_CAPABILITIES=all",
        Meaning.REPLACE,
        is_machine_at_fault=False,
    )


def _manifests(text: str) -> list[tuple[str, str]]:
    """Return each manifest's path and text; its lines stand behind a blank."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("manifest="):
            found.append((line.removeprefix("manifest="), []))
        elif line.startswith(" ") and found:
            found[-1][1].append(line[1:])
    return [(path, "\n".join(lines)) for path, lines in found]


class _Icd(msgspec.Struct):
    library_path: str = ""


class _Manifest(msgspec.Struct):
    ICD: _Icd = msgspec.field(default_factory=_Icd)


def _library_of(text: str) -> str:
    try:
        return msgspec.json.decode(text, type=_Manifest).ICD.library_path
    except (msgspec.DecodeError, RecursionError):
        return ""


def _write_manifest() -> Command:
    """Write it where the driver's package would, and keep what was there instead."""
    script = (
        f'manifest="${{keeper_root:-}}{_MANIFEST}"\n'
        'mkdir -p -- "${manifest%/*}" || exit 1\n'
        '[ ! -f "$manifest" ] || mv -f -- "$manifest" "$manifest.before"\n'
        f'printf %s {quote(_MANIFEST_TEXT)} >"$manifest.new" && mv -f -- "$manifest.new" "$manifest"\n'
    )
    return Command(name="audition.fix.vulkan_icd", script=script)


# --- Vulkan: a device ---------------------------------------------------------------------------------

_SOFTWARE = ("llvmpipe", "lavapipe", "swiftshader", "softpipe", "swrast")
_NO_X_LIBRARY = "libXext"


def vulkan(look: Command) -> Check:
    """A device by Vulkan that is the GPU, and not this host's processor pretending."""
    return check(
        CheckName.VULKAN,
        expected="vulkaninfo names an NVIDIA device, and not only one of software",
        look=look,
        section="vulkan",
        read=_read_vulkan,
        # The driver's library loads only beside libXext (container-toolkit issues 191 and 1952).
        fix=install(
            "audition.fix.vulkan", "vulkan-tools", "libvulkan1", "libxext6", timeout_s=240.0
        ),
    )


def _read_vulkan(section: Section, _now: datetime) -> Verdict:
    if section.exit_code == NOT_FOUND:
        return untold("there is no vulkaninfo", may_fix=True)
    if section.exit_code in TIMED_OUT:
        return failed("vulkaninfo hangs", Meaning.REBOOT)
    devices = _devices(section)
    for kind, name in devices:
        if kind != "CPU" and not is_software(name) and "nvidia" in name.lower():
            return passed(f"Vulkan draws on {name}", devices=len(devices))
    if _NO_X_LIBRARY in section.text:
        return failed("the driver's library needs libXext, which is missing", Meaning.FIX)
    if devices:
        kind, name = devices[0]
        what = "in software" if kind == "CPU" or is_software(name) else "on another device"
        return failed(f"Vulkan draws {what}: {name}", Meaning.REPLACE, devices=len(devices))
    errors = [line for line in section.lines if "ERROR" in line or "Cannot" in line]
    said = errors[0] if errors else section.last_line or "nothing"
    return failed(f"Vulkan has no device: {said}", Meaning.REPLACE)


def _devices(section: Section) -> list[tuple[str, str]]:
    """Return the type and the name of each device; a type stands in front of its name."""
    found: list[tuple[str, str]] = []
    kind = ""
    for line in section.lines:
        field, _, value = (part.strip() for part in line.partition("="))
        if field == "deviceType":
            kind = value.removeprefix("PHYSICAL_DEVICE_TYPE_")
        elif field == "deviceName" and kind:
            found.append((kind, value))
            kind = ""
    return found


def is_software(name: str) -> bool:
    """Say whether a device's name is that of a renderer in software."""
    return any(word in name.lower() for word in _SOFTWARE)


# --- the encoder --------------------------------------------------------------------------------------

_SESSIONS = ("OpenEncodeSession", "out of memory", "No capable devices found")
_COMPUTE_ONLY = ("Cannot load libnvidia-encode", "Cannot load libcuda")


def encoder(needed_for: str = "the workload encodes") -> Check:
    """One second of H.264 by the GPU, really encoded."""
    return check(
        CheckName.ENCODER,
        expected=f"one second of video can be encoded by h264_nvenc ({needed_for})",
        look=probe("audition.encoder", "encoder", timeout_s=50.0),
        section="encoder",
        read=_read_encoder,
        fix=install("audition.fix.encoder", "ffmpeg", timeout_s=300.0),
    )


def _read_encoder(section: Section, _now: datetime) -> Verdict:
    code, text = section.exit_code, section.text
    if code == 0:
        return passed("a second of video was encoded by h264_nvenc")
    if code == NOT_FOUND:
        return untold("there is no ffmpeg", may_fix=True)
    if code in TIMED_OUT:
        return failed("the encoder hangs", Meaning.REBOOT)
    if "Unknown encoder" in text:
        return untold("this ffmpeg knows no h264_nvenc")
    if any(word in text for word in _COMPUTE_ONLY):
        return _without_libraries(section, _telling(section, _COMPUTE_ONLY), "video")
    if "nvenc API version" in text:
        return failed(
            f"the driver is too old: {_telling(section, ('nvenc API version',))}", Meaning.REPLACE
        )
    if any(word in text for word in _SESSIONS):
        return failed(f"no encoder session: {_telling(section, _SESSIONS)}", Meaning.REBOOT)
    said = [line for line in section.lines if not line.startswith("capabilities=")]
    return failed(f"ffmpeg ended with {code}: {said[-1] if said else 'nothing'}", Meaning.REBOOT)


def _telling(section: Section, words: tuple[str, ...]) -> str:
    """Return the line that says it, without ffmpeg's own bracket."""
    line = next(line for line in section.lines if any(word in line for word in words))
    return re.sub(r"^\[[^\]]*\] *", "", line)
