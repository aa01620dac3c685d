"""Messages that go by apprise, the extra: each in a process of its own, so that none blocks or outlives its time.

apprise waits in threads that nobody can end, and its plug-ins are many hands' work: a process can be killed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from contextlib import suppress
from typing import Any

from keeper.core.text import plain
from keeper.ports import Malformed, Refused, Relayed, TimedOut, Unreachable

_PROGRAM = "keeper.adapters.relay_child"
_LINE_MAX = 10_000
_ROOM_S = 2.0  # of a message's time: for the process to say that the receiver took too long


def is_installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("apprise") is not None


class AppriseRelay:
    """Hands messages to apprise."""

    async def send(self, message: Relayed) -> None:
        """Hand one on. Raises Unreachable, TimedOut (it may come again later), Refused (it may not)."""
        job = {
            "url": message.url,
            "title": message.title,
            "body": message.body,
            "severity": message.severity,
            "timeout_s": max(1.0, message.timeout_s - _ROOM_S),
        }
        answer = await _done(json.dumps(job).encode() + b"\n", message.timeout_s)
        error = plain(str(answer.get("error", "")), 200)
        match answer.get("outcome"):
            case "sent":
                return
            case "refused":
                raise Refused(f"apprise: {error}")
            case "failed":
                raise Unreachable(f"apprise: {error}")
            case _:
                raise Malformed("apprise's process answered something else")


async def _done(line: bytes, deadline_s: float) -> dict[str, Any]:
    try:
        process = await _start()
    except OSError as error:
        raise Unreachable(f"no process for apprise can be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(deadline_s):
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(OSError):  # its death is heard below
                process.stdin.write(line)
                await process.stdin.drain()
            said = await process.stdout.readline()
        answer = json.loads(said) if said else None
    except TimeoutError as error:
        raise TimedOut(f"apprise: nobody took the message in {deadline_s:g} s") from error
    except ValueError as error:
        raise Malformed("apprise's process answered something else") from error
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())
    if not isinstance(answer, dict):
        raise Unreachable("apprise's process ended before it had answered")
    return answer


async def _start() -> asyncio.subprocess.Process:
    """Start one with nothing of ours in its environment."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-m",
        _PROGRAM,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LINE_MAX,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        start_new_session=True,
    )
