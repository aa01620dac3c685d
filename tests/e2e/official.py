"""Vast.ai's own command line and SDK (vastai 1.9.1), unmodified, pointed at a marketplace of ours.

It lives in an environment of its own (`scripts/vastai-env.sh`, ``require("vastai")``). Everything
that it reads or writes is private: a throw-away key, folders of its own, and no look for updates.
Its exit code says little (it is 0 after an error of the API), so whoever uses this reads what it said.
"""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.components import require

PATIENCE_S = 120.0
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the command said, without colours."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def environment(url: str, key: str, folder: Path) -> Mapping[str, str]:
    """Return all that the client gets to see of this machine."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "COLUMNS": "400",
        "PAGER": "cat",
        "VAST_URL": url,
        "VAST_API_KEY": key,
        "VASTAI_NO_UPDATE_CHECK": "1",
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_DATA_HOME": str(folder / "data"),
    }


class Official:
    """The official client of one account."""

    def __init__(self, url: str, key: str, folder: Path) -> None:
        self.program = require("vastai")
        self.folder = folder
        for part in ("config", "cache", "state", "data"):
            # Two of its first calls at once fall over each other in making these.
            (folder / part / "vastai").mkdir(parents=True, exist_ok=True)
        self.environment = dict(environment(url, key, folder))
        folder.mkdir(exist_ok=True)
        self._slots = asyncio.Semaphore(3)  # each start costs half a second of a core

    async def __call__(self, *words: str | float, **environ: str) -> Said:
        """Run one command to its end."""
        return await self._run([str(self.program), *(str(word) for word in words)], environ)

    async def raw(self, *words: str | float) -> Any:
        """Run one command with --raw and read its JSON."""
        said = await self("--raw", *words)
        assert said.out.strip(), said.err
        return said.json()

    async def python(self, script: str) -> Any:
        """Run a script in the client's own Python, and read the JSON that it prints."""
        python = self.program.with_name("python")
        said = await self._run([str(python), "-c", script], {})
        assert said.code == 0, said.err
        return said.json()

    async def create(self, offer_id: int, *words: str | float) -> int:
        """Rent an offer; return the contract's id."""
        made = await self.raw("create", "instance", offer_id, *words)
        assert made["success"], made
        return int(made["new_contract"])

    def forget_addresses(self) -> None:
        """Empty the cache of ssh-url, which believes an address for ever."""
        for path in (self.folder / "cache" / "vastai").glob("ssh_*.json"):
            path.unlink()

    async def _run(self, words: list[str], environ: Mapping[str, str]) -> Said:
        async with self._slots:
            process = await asyncio.create_subprocess_exec(
                *words,
                env={**self.environment, **environ},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(PATIENCE_S):
                    out, err = await process.communicate()
            except BaseException:
                process.kill()
                await process.wait()
                raise
        return Said(code=process.returncode or 0, out=_plain(out), err=_plain(err))


def _plain(text: bytes) -> str:
    return _COLOURS.sub("", text.decode(errors="replace"))


def new_key(path: Path) -> Path:
    """Make a throw-away SSH key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def public(key: Path) -> str:
    """Return its public half, comment included."""
    return key.with_suffix(".pub").read_text().strip()


async def ssh(url: str, key: Path, command: str, *options: str) -> Said:
    """Log in with OpenSSH at the address that `ssh-url` printed, and run a command there."""
    user, host, port = url_parts(url)
    return await _real(
        *("ssh", "-F", "none", "-i", str(key), "-p", port, "-o", "BatchMode=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "IdentitiesOnly=yes", *options, f"{user}@{host}", command),
    )


async def scp(url: str, key: Path, source: Path, target: str) -> Said:
    """Copy a file to the address that `scp-url` printed."""
    user, host, port = url_parts(url)
    return await _real(
        *("scp", "-F", "none", "-q", "-i", str(key), "-P", port, "-o", "BatchMode=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *(str(source), f"{user}@{host}:{target}"),
    )


def url_parts(url: str) -> tuple[str, str, str]:
    """Take apart what `ssh-url` printed: user, host, port."""
    found = re.fullmatch(r"(?:ssh|scp)://([a-z]+)@([\w.-]+):([0-9]+)\s*", url)
    assert found, url
    return found[1], found[2], found[3]


async def _real(*words: str) -> Said:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return Said(code=process.returncode or 0, out=out.decode(), err=err.decode())
