"""Slates: rendered once into the state folder, published by a process that can be killed.

A process for each, because what it talks to is a stranger, and its calls cannot be broken off. Neither gets
anything of keeper's environment, and the address of the ingest goes through a pipe alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import os
import signal
import ssl
import sys
from pathlib import Path

from keeper.adapters import slate_push
from keeper.adapters.slate_card import Card
from keeper.adapters.slate_render import CHUNK_S, LOOP_S
from keeper.core.model import StreamName
from keeper.ports import PortError, Refused, Showing, SlateLook, TimedOut, Unreachable

_RENDER = "keeper.adapters.slate_render"
_PUSH = "keeper.adapters.slate_push"
_DRAWN = (
    1  # counted up when the drawing changes, so that what was drawn before is not shown any more
)
_COUNTDOWN_S = 600  # a longer wait is no number any more: it says that it will be soon
_RENDER_S = 900.0
_OTHERS_MAX = 2  # looks of an earlier configuration; each may be a hundred megabytes
_LEAVE_S = 2.0
_ENDINGS = {
    slate_push.REFUSED: "the ingest could not be reached, or has refused the slate",
    slate_push.LOST: "the ingest has ended the connection",
    slate_push.STALLED: "the ingest does not answer, or takes nothing any more",
    slate_push.BUSY: "the ingest sends without end",
    slate_push.ORPHAN: "it was not told to go on in time",
    -signal.SIGALRM: "the ingest does not answer, or takes nothing any more",
    slate_push.LOCKED: "another slate of this stream is there",
    slate_push.REFUSED_WITHIN_TLS: (
        "the ingest could not be reached, has refused the slate, or has no certificate for its name that this"
        " box trusts"
    ),
    slate_push.BROKEN: "the rendered slate cannot be read",
}


def is_installed() -> bool:
    """Whether the parts are there that render and publish (the extra ``media``)."""
    return all(importlib.util.find_spec(name) is not None for name in ("av", "numpy"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an ingest, and keeper itself, may say nothing."""

    connect_s: float = 12.0
    stall_s: float = 8.0
    # More than any hold of the loop that is not a failure; a daemon tells every two seconds.
    lease_s: float = 10.0


_PATIENCE = Patience()


class ProcessSlates:
    """Slates of this box."""

    def __init__(self, state_dir: Path, patience: Patience = _PATIENCE) -> None:
        self._folder = state_dir / "slates"
        self._patience = patience
        self._wanted: set[Path] = set()  # by this process
        self._rendering = asyncio.Lock()  # one at a time: each takes a core for a minute

    async def prepare(self, look: SlateLook) -> None:
        """Render a look, unless it has been. Raises Refused and TimedOut."""
        path = self._path(look)
        self._wanted.add(path)
        async with self._rendering:
            if path.exists():
                path.touch()
                return
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise Refused(f"no folder for slates: {error.strerror}") from error
            await self._render(look, path)
            self._tidy()

    async def _render(self, look: SlateLook, path: Path) -> None:
        job = {
            "card": {each.name: getattr(look, each.name) for each in dataclasses.fields(Card)},
            "path": str(path),
            "frames_per_s": look.frames_per_s,
            "bitrate_bps": look.bitrate_bps,
            "countdown_s": _COUNTDOWN_S,
        }
        process = await _start(_RENDER)
        try:
            async with asyncio.timeout(_RENDER_S):
                await process.communicate(json.dumps(job).encode() + b"\n")
        except TimeoutError as error:
            raise TimedOut("the slate was not rendered in time") from error
        finally:
            await _kill(process)
            for part in self._folder.glob(f"{path.name}.*.part"):
                part.unlink(missing_ok=True)
        if process.returncode or not path.exists():
            raise Refused(
                "the slate could not be rendered: the logo or the font cannot be read, a colour is none,"
                " or the disk is full"
            )

    def _tidy(self) -> None:
        """Keep the looks that were wanted last."""
        with contextlib.suppress(OSError):
            others = [each for each in self._folder.glob("*.mp4") if each not in self._wanted]
            others.sort(key=lambda each: each.stat().st_mtime, reverse=True)
            for each in others[_OTHERS_MAX:]:
                each.unlink(missing_ok=True)

    def _path(self, look: SlateLook) -> Path:
        """Return where a look is, or would be. Another logo under the same name is another look."""
        said = json.dumps([_DRAWN, _COUNTDOWN_S, dataclasses.asdict(look)], sort_keys=True)
        digest = hashlib.sha256(said.encode())
        for name in (look.logo_file, look.font_file):
            with contextlib.suppress(OSError):
                digest.update(Path(name).read_bytes() if name else b"")
        return self._folder / f"{digest.hexdigest()[:24]}.mp4"

    async def begin(
        self, stream: StreamName, look: SlateLook, ingest_url: str, left_s: float
    ) -> Showing:
        """Publish a prepared slate. Raises Refused, Unreachable and TimedOut."""
        path = self._path(look)
        if not path.exists():
            raise Refused("the slate has not been rendered yet")
        authorities = _authorities()
        if ingest_url.startswith("rtmps:") and not authorities:
            raise Refused(
                "this box has no file of the certificate authorities that it trusts: install"
                " ca-certificates, or name one in SSL_CERT_FILE"
            )
        job = {
            "url": ingest_url,
            "authorities": authorities,
            "path": str(path),
            "parent": os.getpid(),
            "lock": str(self._folder / f"{stream}.lock"),
            **dataclasses.asdict(self._patience),
            "left_s": left_s,
            "chunk_s": CHUNK_S,
            "loop_s": LOOP_S,
            "countdown_s": _COUNTDOWN_S,
        }
        process = await _start(_PUSH)
        showing = _Pushed(process)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(job).encode() + b"\n")
            async with asyncio.timeout(self._patience.connect_s + _LEAVE_S):
                answer = await process.stdout.readline()
                if answer != b"up\n":
                    raise _refusal(await process.wait())
        except TimeoutError as error:
            await _kill(process)
            raise TimedOut(_ENDINGS[slate_push.STALLED]) from error
        except BaseException:
            await _kill(process)
            raise
        return showing


def _authorities() -> str:
    """Return the file of the certificate authorities that this box trusts. "": it has none."""
    paths = ssl.get_default_verify_paths()
    # Where OpenSSL has a folder alone (Debian), the file of all of them lies in it.
    files = (paths.cafile, paths.capath and f"{paths.capath}/ca-certificates.crt")
    return next((each for each in files if each and Path(each).is_file()), "")


def _refusal(code: int) -> PortError:
    why = _ENDINGS.get(code, f"the process that shows it ended with {code}")
    if code in (slate_push.STALLED, -signal.SIGALRM):
        return TimedOut(why)
    is_no_answer = code in (slate_push.REFUSED, slate_push.REFUSED_WITHIN_TLS)
    return Unreachable(why) if is_no_answer else Refused(why)


class _Pushed:
    """A process that publishes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._is_told = False

    def go_on(self) -> None:
        self._say("on")

    def aim(self, left_s: float) -> None:
        self._say(f"aim {left_s:.1f}")

    def ended_because(self) -> str | None:
        code = self._process.returncode
        if code is None:
            return None
        return _ENDINGS.get(code, f"the process that shows it ended with {code}")

    async def end(self) -> None:
        self._say("end")
        try:
            async with asyncio.timeout(_LEAVE_S):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            await _kill(self._process)

    def _say(self, word: str) -> None:
        stdin = self._process.stdin
        if self._process.returncode is None and stdin is not None and not stdin.is_closing():
            stdin.write(f"{word}\n".encode())


async def _start(module: str) -> asyncio.subprocess.Process:
    """Start one of our own programs with nothing of ours in its environment, and no words of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        start_new_session=True,
    )


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End a process for certain, and wait until it is gone, also while we are being cancelled."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())
