"""How the browser that has passed the audition becomes the one that draws the stream.

The audition leaves the name of the first configuration that draws by WebGPU; here it becomes the settings
that the bridge starts its own browser by. What an operator or a cure has set counts for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from keeper.workloads.audition_checks import CHOSEN_FILE
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings

_NAMES = (
    "STREAM_CAPTURE_HEADLESS",
    "STREAM_CAPTURE_USE_EGL",
    "STREAM_CAPTURE_OZONE_HEADLESS",
    "STREAM_CAPTURE_ANGLE",
)
# The settings in the order of _NAMES, by the configuration's name. The deploy script sets EGL with ANGLE's
# default, and Ozone, where their tests pass (at 712516c9, read 2026-11); it leaves the others to the bridge's
# defaults, which draw in a window, so that what was tried without one is asked for here.
_MODES: Mapping[str, tuple[str, str, str, str]] = {
    "headless-vulkan": ("true", "false", "false", "vulkan"),
    "headless-egl": ("true", "true", "false", "default"),
    "xvfb-vulkan": ("false", "false", "false", "vulkan"),
    "ozone-headless": ("false", "false", "true", "vulkan"),
    "swiftshader": ("true", "false", "false", "swiftshader"),
    "playwright-xvfb": ("false", "false", "false", "vulkan"),
}


def settings_of(mode: str) -> Mapping[str, str]:
    """Return the bridge's settings for a configuration; none for a name that nobody knows."""
    return dict(zip(_NAMES, _MODES.get(mode, ()), strict=False))


def chosen(settings: HyperscapeDuelSettings) -> str:
    """Return the shell that hands the chosen configuration on, by environment and in the stack's file.

    It runs in the checkout, after ``$secrets`` was read and ``$env_file`` written. What these hold already
    is left as it is, and so is what the operator has taken away.
    """
    cases = "".join(
        f"{mode}) drawn={quote(_words(mode, settings))} ;;\n" for mode in sorted(_MODES)
    )
    return (
        f"[ ! -f {CHOSEN_FILE} ] || . ./{CHOSEN_FILE}\n"
        "drawn=''\n"
        f"case ${{KEEPER_WEBGPU_MODE:-}} in\n{cases}esac\n"
        f"{_HAND_ON}"
    )


def _words(mode: str, settings: HyperscapeDuelSettings) -> str:
    said = settings_of(mode)
    return " ".join(f"{name}={said[name]}" for name in said if name not in settings.env)


_HAND_ON = r"""for each in $drawn; do
    if grep -q "^${each%%=*}=" "$secrets"; then continue; fi
    export "$each"
    [ -z "$env_file" ] || printf '%s\n' "$each" >>"$env_file"
done
"""
