"""Hands one message to apprise and says how that went: a process that is killed when it is late.

Its input is a line of JSON with the address, which holds the receiver's secrets; no argument and no variable
does. Its answer is a line that repeats nothing of it. It writes no file, and takes no address by which a
program of this box, and not somebody elsewhere, would get the message. Facts about apprise: 2.2, read 2026-11.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
from contextlib import suppress
from typing import Any

LINE_MAX = 100_000
# What they reach is this box: its log, its desktop, a lamp on it, or files that they keep on it.
_LOCAL = frozenset(
    {
        "blink1",
        "dbus",
        "gio",
        "glib",
        "gnome",
        "kde",
        "macosx",
        "qt",
        "syslog",
        "vapid",
        "windows",
    }
)
_SCHEMA = re.compile(r"([a-z][a-z0-9+.-]{0,30}):", re.IGNORECASE)
_STATUS = re.compile(r"error=(\d{3})\b")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Do the one job, and answer."""
    _die_with_parent()
    _limit()
    try:
        job = json.loads(sys.stdin.buffer.readline(LINE_MAX))
        answer = hand_on(**job)
    except Exception as error:  # noqa: BLE001 - whatever a plug-in of theirs raises, its text may hold the address
        answer = {"outcome": "failed", "error": type(error).__name__}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def hand_on(url: str, title: str, body: str, severity: str, timeout_s: float) -> dict[str, Any]:
    """Send, and say ``sent``, ``failed`` (it may work later) or ``refused`` (it will not), and why."""
    schema = schema_of(url)
    if schema in _LOCAL:
        return _refused(f"{schema}:// reaches this box and nobody else")
    import apprise

    asset = apprise.AppriseAsset(
        app_id="keeper",
        app_desc="keeper",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        # Nothing of a message is a template, an emoji or an escape: hosts may have written it.
        interpret_emojis=False,
        interpret_escapes=False,
        secure_logging=True,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        service_timeout=timeout_s,
    )
    receiver: Any = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if receiver is None:
        return _refused("apprise does not understand the address, or lacks what it needs for it")
    if _LOCAL & set(receiver.schemas()):
        return _refused("the address reaches this box and nobody else")
    handed = apprise.Apprise(asset=asset)
    handed.add(receiver)
    result = handed.notify(
        title=title,
        body=body,
        notify_type={
            "ok": apprise.NotifyType.SUCCESS,
            "warning": apprise.NotifyType.WARNING,
            "critical": apprise.NotifyType.FAILURE,
        }.get(severity, apprise.NotifyType.INFO),
        body_format=apprise.NotifyFormat.TEXT,
    )
    if result:
        return {"outcome": "sent", "error": ""}
    return _failed(schema, _status(result))


def schema_of(url: str) -> str:
    """Return what an address begins with, in lower case; "" when it is none."""
    found = _SCHEMA.match(url.strip())
    return found[1].lower() if found else ""


def _status(result: Any) -> int:
    """Return the status of HTTP that apprise noted; 0: none. Its other words may repeat the address."""
    with suppress(Exception):
        for entry in result.logs():
            if found := _STATUS.search(str(entry.message)):
                return int(found[1])
    return 0


def _failed(schema: str, status: int) -> dict[str, Any]:
    said = f"{schema}: HTTP {status}" if status else f"{schema}: not delivered"
    # As with keeper's own channels: asked for the same again, or for later, or trouble that passes.
    is_final = 300 <= status < 500 and status not in {408, 425, 429}  # noqa: PLR2004 - HTTP's classes
    return _refused(said) if is_final else {"outcome": "failed", "error": said}


def _refused(why: str) -> dict[str, Any]:
    return {"outcome": "refused", "error": why}


def _die_with_parent() -> None:
    with suppress(Exception):  # where that cannot be asked for, its own deadline must do
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _limit() -> None:
    """Take no file and no core: what it holds is a secret, and what it does is elsewhere."""
    for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(what, (0, 0))


if __name__ == "__main__":
    main()
