"""A real OpenSSH server on loopback, for tests: own keys, one authorised user, gone afterwards."""

import asyncio
import getpass
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from keeper.adapters.ssh import SshHosts
from keeper.ports import Address, Link
from tests.components import require

_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
MaxStartups 100
LogLevel ERROR
{more}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSshd:
    """Where it listens and how to log in."""

    address: Address
    private_key: bytes
    folder: Path
    pid: int

    def hosts(self, **options: object) -> SshHosts:
        """Make the adapter under test with the authorised key."""
        return SshHosts(
            private_key_file=None,
            private_key=self.private_key,
            username=getpass.getuser(),
            **options,  # type: ignore[arg-type]
        )

    async def link(self) -> Link:
        """Log in."""
        return await self.hosts().connect([self.address], pinned_host_key="", timeout_s=20)


@asynccontextmanager
async def running_sshd(
    folder: Path, port: int, *, more: str = "Subsystem sftp internal-sftp"
) -> AsyncIterator[RealSshd]:
    """Start sshd in ``folder``; end it, and every session process below it, afterwards."""
    sshd = require("sshd")
    folder.mkdir(parents=True, exist_ok=True)
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    host_key.write_private_key(folder / "host_key")
    (folder / "host_key").chmod(0o600)
    key = asyncssh.generate_private_key("ssh-ed25519")
    (folder / "authorized_keys").write_bytes(key.export_public_key())
    config = folder / "sshd_config"
    config.write_text(_CONFIG.format(port=port, folder=folder, more=more))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        sshd, "-D", "-e", "-f", config, stderr=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    try:
        await _until_it_accepts(port)
        yield RealSshd(
            address=Address(host="127.0.0.1", port=port),
            private_key=key.export_private_key(),
            folder=folder,
            pid=process.pid,
        )
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _until_it_accepts(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return
