"""Where the real components are on this machine, and what to do when one is not.

Tests that talk to real sshd, PM2 or Prometheus name what they need, by marker or by call:

    @pytest.mark.real("sshd", "supervisord")
    async def test_restarts_program(): ...

    def test_scrape():
        prometheus = require("prometheus")  # a Path, ready to start

If a component is absent the test is skipped, and the end of the run names and counts it
(`conftest.py`). With KEEPER_TEST_REQUIRE_ALL=1, as in CI, that is a failure.
`scripts/system.sh` installs the components and uses the same names.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parent.parent
TOOLS_BIN: Final = REPOSITORY / ".tools" / "node_modules" / ".bin"
NGINX_RTMP_MODULE: Final = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")

# How a skip for an absent component begins; the summary and nothing else reads it.
ABSENT: Final = "absent component: "

# Debian keeps daemons out of an ordinary user's PATH.
_SEARCH_PATH: Final = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _command(*names: str) -> Callable[[], Path | None]:
    """Look for the first of these commands; the path is absolute, as sshd demands to be started."""

    def look() -> Path | None:
        found = (shutil.which(name, path=_SEARCH_PATH) for name in names)
        return next((Path(path).absolute() for path in found if path), None)

    return look


def _pm2() -> Path | None:
    """PM2 lives in the project's ignored tools folder, because its licence keeps it out of ours."""
    local = TOOLS_BIN / "pm2"
    return local if local.exists() else _command("pm2")()


def _nginx_rtmp() -> Path | None:
    """Nginx counts only with the RTMP module, which is what the tests load."""
    return _command("nginx")() if NGINX_RTMP_MODULE.exists() else None


def _pixel_library() -> Path | None:
    """Give the folder of the signalling library, if it is the one of the stand-in's lock."""
    built = REPOSITORY / ".tools" / "pixel"
    wanted = REPOSITORY / "tests" / "standins" / "pixel" / "package-lock.json"
    found = built / "package-lock.json"
    is_whole = (built / "node_modules" / "ws").is_dir() and found.exists()
    return built if is_whole and found.read_bytes() == wanted.read_bytes() else None


def _vastai() -> Path | None:
    """Give the official client, which lives in an environment of its own; one of another lock is none.

    Its exact pins do not go with ours (`scripts/vastai-env.sh` builds it).
    """
    built = REPOSITORY / ".tools" / "vastai"
    stamp = built / ".lock.sha256"
    lock = REPOSITORY / "tests" / "e2e" / "vastai.lock"
    if not stamp.exists():
        return None
    is_of_this_lock = stamp.read_text().split()[0] == hashlib.sha256(lock.read_bytes()).hexdigest()
    return built / "bin" / "vastai" if is_of_this_lock else None


def _lavapipe() -> Path | None:
    """Give the manifest of Mesa's Vulkan driver in software."""
    return next(iter(sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))), None)


def _diffusion() -> Path | None:
    """Give the Python that has torch and diffusers; an environment of another lock is none.

    They are what keeper installs on hosts, and nothing of keeper's own imports them
    (`scripts/diffusion-env.sh` builds it).
    """
    built = REPOSITORY / ".tools" / "diffusion"
    stamp = built / ".lock.sha256"
    lock = REPOSITORY / "tests" / "integration" / "workloads" / "diffusion.lock"
    if not stamp.exists():
        return None
    is_of_this_lock = stamp.read_text().split()[0] == hashlib.sha256(lock.read_bytes()).hexdigest()
    return built / "bin" / "python" if is_of_this_lock else None


def _postgres() -> Path | None:
    """Give the folder that holds initdb, pg_ctl and postgres; Debian hides it by version."""
    initdb = _command("initdb")()
    if initdb is not None:
        return initdb.resolve().parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    return versions[-1].parent if versions else None


COMPONENTS: Final[Mapping[str, Callable[[], Path | None]]] = MappingProxyType(
    {
        "alertmanager": _command("prometheus-alertmanager", "alertmanager"),
        "amtool": _command("amtool"),
        "caddy": _command("caddy"),
        "openssl": _command("openssl"),
        "chromium": _command("chromium", "chromium-browser", "google-chrome"),
        "curl": _command("curl"),
        "diffusion": _diffusion,
        "ffmpeg": _command("ffmpeg"),
        "jq": _command("jq"),
        "lavapipe": _lavapipe,
        "nginx-rtmp": _nginx_rtmp,
        "node": _command("node"),
        "pixel-library": _pixel_library,
        "pm2": _pm2,
        "postgres": _postgres,
        "prometheus": _command("prometheus"),
        "promtool": _command("promtool"),
        "shellcheck": _command("shellcheck"),
        "sshd": _command("sshd"),
        "supervisord": _command("supervisord"),
        "systemd-analyze": _command("systemd-analyze"),
        "turnserver": _command("turnserver"),
        "vastai": _vastai,
        "vulkaninfo": _command("vulkaninfo"),
        "xdpyinfo": _command("xdpyinfo"),
        "xvfb": _command("Xvfb"),
    }
)


def locate(component: str) -> Path | None:
    """Say where a component is, or None if this machine lacks it. KeyError: no such name."""
    return COMPONENTS[component]()


def require(component: str) -> Path:
    """Give the component's path, or skip the calling test and have it counted."""
    path = locate(component)
    if path is None:
        pytest.skip(f"{ABSENT}{component}")
    return path
