"""Rented hosts over SSH: the kept link, and what goes through it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where something listens.

    ``is_relay``: the marketplace's own machine stands there, passes sessions on, and shows its own
    host key.
    """

    host: str
    port: int
    is_relay: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A POSIX-sh script to run on a host.

    ``name`` says what it means ("deploy.start", "restart.process"): the log and the virtual hosts
    go by it. The adapter bounds it remotely too (``timeout -k``) and feeds it over stdin to sh.
    """

    name: str
    script: str
    timeout_s: float = 30.0
    output_max_bytes: int = 65_536
    env: Mapping[str, str] = field(default_factory=dict)  # may hold secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What came back. Text is bounded, decoded with replacement, hostile."""

    exit_code: int  # -1: ended by a signal
    stdout: str
    stderr: str
    is_truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file for a host, written atomically (temporary name, rename) and verified by checksum."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A long step, which runs apart from the link: a lost one does not end it.

    The host keeps its output and exit code. ``mark`` names what it does: a job with the same name and
    mark that has succeeded on this container is not run again, and one that runs is waited for.
    """

    name: str
    script: str
    timeout_s: float
    mark: str
    env: Mapping[str, str] = field(default_factory=dict)  # may hold secrets: never in a file
    # False: it starts something, too, which a reboot or a crash ends. Then only a success that nobody
    # has heard of yet (the link was lost) counts; one that is known is no reason not to run it again.
    # A job with the mark "" never lasts.
    is_lasting: bool = True


class Link(Protocol):
    """One kept SSH connection to one host. When it is lost, every method raises Unreachable."""

    @property
    def host_key(self) -> str:
        """The host's public key, to be pinned at first contact."""
        ...

    async def run(self, command: Command) -> CommandResult:
        """Run a command to its end. Raises TimedOut, Unreachable, Uncertain (sent, no answer)."""
        ...

    async def upload(self, upload: Upload) -> None:
        """Put a file on the host. May be repeated."""
        ...

    def watch(self, script: str) -> AsyncIterator[str]:
        """Run the sentinel and yield its lines (each at most 16 KiB). Ends when the link ends."""
        ...

    async def forward(self, remote_port: int) -> Address:
        """Open a local address that leads to a port on the host; closed with the link."""
        ...

    async def close(self) -> None:
        """End the link and everything on it. May be repeated."""
        ...


class Hosts(Protocol):
    """Opens links."""

    async def connect(
        self, addresses: Sequence[Address], *, pinned_host_key: str, timeout_s: float
    ) -> Link:
        """Dial the addresses in order until one answers; ``timeout_s`` is for all of them together.

        ``pinned_host_key`` is "" at first contact. Raises Unreachable, TimedOut, Unauthorized (our
        key is refused), HostKeyChanged.
        """
        ...

    @property
    def public_key(self) -> str:
        """Our public key, one line of OpenSSH form, for the marketplace and the container."""
        ...
