"""Rented hosts over SSH: the kept link, and what goes through it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
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
    # Among steps: it takes back what an earlier one has begun, so it is done also when one before it
    # has failed. What becomes of it then changes nothing of that failure.
    is_closing: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A file of this box for a host, too big for memory: sent in pieces, and gone on with when cut.

    Which file is meant is said by its digest; that of its name may be another one by now. On the host
    ``path`` is whole or absent: what is under way is beside it, with the ending ``.part``.
    """

    name: str
    local_path: str  # on this box
    sha256: str  # of what is meant, in hexadecimal digits
    path: str  # on the host; its folder is made
    timeout_s: float  # for all of it, over however many links
    mode: int = 0o644
    stall_s: float = 60.0  # so long without a byte getting further, and it is given up
    # A POSIX-sh look on the host: with exit code 0 the file is not needed there any more.
    unless: str = ""
    # Its beginning must be one of these (where, what), if any; and what that means, for a person.
    heads: tuple[tuple[int, bytes], ...] = ()
    heads_said: str = ""


class SendStage(StrEnum):
    """What is being done with a parcel."""

    READING = "reading"  # the file on this box, for its digest
    COMPARING = "comparing"  # what is on the host with the file on this box
    SENDING = "sending"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendProgress:
    """How far a parcel has come."""

    stage: SendStage
    done_bytes: int
    total_bytes: int


Heard = Callable[[str], Awaitable[None]]
"""Takes what a command prints, while it does: some whole lines at a time, hostile."""
SendHeard = Callable[[SendProgress], Awaitable[None]]
"""Is told, many times a second at most, how far a parcel has come."""


class Link(Protocol):
    """One kept SSH connection to one host. When it is lost, every method raises Unreachable."""

    @property
    def host_key(self) -> str:
        """The host's public key, to be pinned at first contact."""
        ...

    async def run(self, command: Command, heard: Heard | None = None) -> CommandResult:
        """Run a command to its end. Raises TimedOut, Unreachable, Uncertain (sent, no answer).

        ``heard`` is given all of the answer's text, both streams of it, as it comes.
        """
        ...

    async def upload(self, upload: Upload) -> None:
        """Put a file on the host. May be repeated."""
        ...

    async def send(self, parcel: Parcel, heard: SendHeard) -> bool:
        """Put a file of this box on the host, from where an earlier try was cut; False: it is there.

        May be repeated. Raises LocalFileUnfit (another file than was meant lies here, or none),
        CommandFailed (the host cannot take it), Unreachable (also: no byte gets further).
        """
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
