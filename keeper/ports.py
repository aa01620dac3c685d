"""The promises keeper needs from the outside, as small Protocols, and the errors they may raise.

Each method says what a repeat does. Foreign errors are translated to these classes in the adapter,
in one place; nothing above an adapter sees an aiohttp, asyncssh or SQLAlchemy exception.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from keeper.core.events import Event
from keeper.core.meter import Meter
from keeper.core.model import (
    Condemned,
    Instance,
    InstanceId,
    Intent,
    IntentId,
    MachineId,
    Offer,
    OfferId,
    OfferNeeds,
    Quarantine,
    RentalSpec,
    Revision,
    SlotId,
    SlotRecord,
    StreamName,
)
from keeper.core.world import Order, Pause, Snapshot

# --------------------------------------------------------------------------------------------------
# Errors. The docstring is the message unless one is given; causes are chained with ``from``.
# --------------------------------------------------------------------------------------------------


class PortError(Exception):
    """Something outside did not do what was asked."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class Transient(PortError):
    """It did not work now; the same call may work later. Nothing happened on the other side."""

    retry_after_s: float | None = None


class RateLimited(Transient):
    """The other side asks for patience."""

    def __init__(self, message: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unreachable(Transient):
    """Nobody answers there."""


class TimedOut(Transient):
    """No answer in time, and nothing was sent that could have had an effect."""


class Refused(PortError):
    """The other side said no; repeating the same call is pointless."""


class OfferGone(Refused):
    """Somebody else took the offer. Ordinary life."""


class OutOfCredit(Refused):
    """The account has no credit left."""


class Unauthorized(Refused):
    """The credentials are not accepted, or lack a right.

    ``right`` names the missing one when it is known, ``cure`` what the account's owner can do.
    """

    def __init__(self, message: str = "", *, right: str = "", cure: str = "") -> None:
        super().__init__(message)
        self.right = right
        self.cure = cure


class Invalid(Refused):
    """The other side finds the request wrong."""


class QuotaSpent(Refused):
    """The daily search quota is used up."""

    def __init__(self, message: str = "", until: datetime | None = None) -> None:
        super().__init__(message)
        self.until = until


class HostKeyChanged(Refused):
    """The host shows another key than the one pinned at first contact."""


class CommandFailed(Refused):
    """A command on the host ended with a code that was not expected."""


class Missing(PortError):
    """It does not exist. For a destroy this is success."""


class Malformed(PortError):
    """The answer is not what the contract says; the other side may have changed."""


class Uncertain(PortError):
    """The effect may have happened. Never repeat; observe."""

    def __init__(self, message: str = "", instance_id: InstanceId | None = None) -> None:
        super().__init__(message)
        self.instance_id = instance_id  # an error answer that still named a contract


class Queued(Uncertain):
    """It waits for room: it has not happened, may happen days later, and costs from then on."""


class StoreError(PortError):
    """The store cannot be read or written. Nothing may be executed until it can."""


class StoreLocked(StoreError):
    """Another process holds the store."""


class StoreCorrupt(StoreError):
    """The store is damaged."""


class StoreFull(StoreError):
    """The disk under the store is full."""


class ConfigError(Exception):
    """The configuration is wrong; ``problems`` lists every finding as ``file:line:col: what``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


# --------------------------------------------------------------------------------------------------
# Time
# --------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Tells the time. Sleeping is plain asyncio."""

    def now(self) -> datetime:
        """Return the wall clock as an aware UTC datetime. It may step."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""
        ...


class Cadence(Protocol):
    """Calendar work: coarse jobs, never per slot."""

    def every(self, name: str, interval_s: float, job: Callable[[], Awaitable[None]]) -> None:
        """Run ``job`` each ``interval_s``; missed beats coalesce; one run at a time."""
        ...

    def cron(self, name: str, expression: str, job: Callable[[], Awaitable[None]]) -> None:
        """Run ``job`` by a five-field cron expression in UTC."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    async def stop(self) -> None:
        """Stop; running jobs are cancelled and awaited."""
        ...


class Heartbeat(Protocol):
    """The service manager: told when keeper is ready, alive, reloading, stopping."""

    def ready(self, status: str) -> None:
        """Start-up is complete."""
        ...

    def alive(self, status: str) -> None:
        """A tick has finished: feed the watchdog. Nothing else may call this."""
        ...

    def reloading(self) -> None:
        """The configuration is being read again."""
        ...

    def stopping(self) -> None:
        """Draining."""
        ...


# --------------------------------------------------------------------------------------------------
# Marketplace
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the account can still pay for."""

    credit_dollars: float
    balance_dollars: float
    email: str = ""

    @property
    def spendable_dollars(self) -> float:
        """Credit, less what is owed (Vast.ai: a negative balance is a debt)."""
        return self.credit_dollars + min(0.0, self.balance_dollars)


class Marketplace(Protocol):
    """Rents machines. Every method may raise Transient, Unauthorized and Malformed."""

    async def list_instances(self) -> tuple[Instance, ...]:
        """Return *all* rentals of the account, or raise: never a part of them (I9)."""
        ...

    async def show_instance(self, instance_id: InstanceId) -> Instance | None:
        """Return one rental, or None when the marketplace says that it does not exist."""
        ...

    async def search_offers(
        self, needs: OfferNeeds, *, offer_id: OfferId | None = None
    ) -> tuple[Offer, ...]:
        """Return rentable offers near the needs, cheapest first, priced for the disk asked for.

        By ``needs.pricing`` they are on demand, interruptible, or both. The needs are sent as
        filters but are not trusted: core.market filters again. With ``offer_id`` that one offer
        alone, whatever it misses, or nothing. May raise QuotaSpent.
        """
        ...

    async def survey_offers(self, needs: OfferNeeds) -> tuple[Offer, ...]:
        """Return what is on the market around the needs, for an explanation of what they exclude.

        What misses one need alone is among it, also what is only priced on the other basis; of what
        is dearer not all. It takes several searches. May raise QuotaSpent.
        """
        ...

    async def create(
        self,
        offer_id: OfferId,
        label: str,
        spec: RentalSpec,
        *,
        bid_dollars_per_hour: float | None = None,
    ) -> InstanceId:
        """Rent an offer: on demand, or with a bid for its GPU part. Sent once, never again.

        Raises OfferGone, OutOfCredit, Invalid, Unauthorized, RateLimited (nothing is rented) or
        Uncertain (a rental with this label may exist; its id is on the error when it was named).
        """
        ...

    async def destroy(self, instance_id: InstanceId) -> None:
        """End a rental. May be repeated; Missing means it is gone already."""
        ...

    async def reboot(self, instance_id: InstanceId) -> None:
        """Stop and start the container on the same contract. Raises Missing, Uncertain."""
        ...

    async def stop(self, instance_id: InstanceId) -> None:
        """Stop the container; the disk stays and bills, the GPU is free for anybody. Raises Missing.

        A yes is an order taken, no more: it bills in full until a listing shows it stopped. Raises
        Uncertain where the answer is lost.
        """
        ...

    async def start(self, instance_id: InstanceId) -> None:
        """Start a stopped container on its own machine, if its GPU is free; else it raises Queued.

        Raises Missing, OutOfCredit, or Invalid where its contract has ended; Uncertain where the
        answer is lost. A listing says what became of it; a queued start ends with a stop or a destroy.
        """
        ...

    async def change_bid(self, instance_id: InstanceId, dollars_per_hour: float) -> None:
        """Bid this for the GPU part of an interruptible rental. May be repeated. Raises Missing."""
        ...

    async def attach_key(self, instance_id: InstanceId, public_key: str) -> None:
        """Let this SSH public key log in. May be repeated."""
        ...

    async def register_key(self, public_key: str) -> bool:
        """Register this SSH public key with the account; False: it was there. May be repeated.

        The marketplace's proxy lets in only keys of the account. Raises Invalid or Unauthorized
        where an account may have none (a team's).
        """
        ...

    async def account(self) -> Account:
        """Return what is left to spend."""
        ...


# --------------------------------------------------------------------------------------------------
# Hosts
# --------------------------------------------------------------------------------------------------


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


# --------------------------------------------------------------------------------------------------
# Outside-in network
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One bounded HTTP exchange."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout_s: float = 5.0
    reply_max_bytes: int = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """What came back, cut at the bound."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLimits:
    """A picture probe stops at whichever comes first."""

    sample_s: float = 2.5
    timeout_s: float = 5.0
    bytes_max: int = 12_000_000
    frames_max: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSample:
    """What a viewer received in one sample, in numbers. ``error`` is empty when bytes were asked for
    and the exchange itself worked.
    """

    http_status: int  # 0: no answer
    frames: int
    unique_frames: int
    undecodable_frames: int
    bytes_read: int
    sampled_s: float
    mean_luma: float | None  # 0..255, of the newest decodable frame
    motion: float | None  # mean absolute luma difference of two unique frames, 0..255
    newest_frame: bytes  # JPEG, for the thumbnail; empty when none
    error: str = ""  # "refused", "timeout", "reset", "not mjpeg", …
    is_own_fault: bool = False  # the probe failed for a reason on this box


class Network(Protocol):
    """Looks from the outside, and delivers messages."""

    async def fetch(self, request: HttpRequest) -> HttpReply:
        """Do one exchange. Raises Unreachable, TimedOut, Uncertain (sent, no whole answer)."""
        ...

    async def dial(self, address: Address, timeout_s: float) -> None:
        """Open and close a TCP connection. Raises Unreachable, TimedOut."""
        ...

    async def sample_mjpeg(self, url: str, limits: PictureLimits) -> PictureSample:
        """Watch an MJPEG stream as a viewer would, within the limits. Never raises PortError."""
        ...


# --------------------------------------------------------------------------------------------------
# Foresight
# --------------------------------------------------------------------------------------------------


class Promise(Protocol):
    """A word that an answer stays as it is, until it is broken or given back."""

    def release(self) -> None:
        """Give it back: nobody is told any more when it breaks. May be repeated."""
        ...


class Foresight(Protocol):
    """What a simulated world knows of its own future. No real port can know it, so none has it.

    Asked about an answer just received: a Promise means that the same question keeps the same answer
    until ``broken`` is called, once, at the very moment at which that may be over. None: ask again
    on your beat. Who holds a promise need not ask, and nothing else may be different for it.
    """

    def of_listing(self, broken: Callable[[], None]) -> Promise | None:
        """Ask whether the list of rentals stays as it is."""
        ...

    def of_own_network(self, broken: Callable[[], None]) -> Promise | None:
        """Ask whether this box's own network goes on working."""
        ...

    def of_picture(self, address: Address, broken: Callable[[], None]) -> Promise | None:
        """Ask whether viewers of this address go on seeing what they see."""
        ...

    def of_sentinel(self, lines: AsyncIterator[str], broken: Callable[[], None]) -> Promise | None:
        """Ask whether a sentinel would only repeat its heartbeat; then it is silent meanwhile."""
        ...


# --------------------------------------------------------------------------------------------------
# Store
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One fact, as written."""

    at: datetime
    tick: int
    event: str
    slot: SlotId | None
    facts: Mapping[str, Any]
    seq: int = 0  # given by the store


class NoticeKind(StrEnum):
    """Where in its life an alert is when a message goes out."""

    FIRING = "firing"
    UPDATE = "update"
    REPEAT = "repeat"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A message on its way to one channel. ``notice_id`` stays the same over retries."""

    notice_id: str
    channel: str
    alert: str
    kind: NoticeKind
    payload: Mapping[str, Any]  # alerts.Notice as plain values
    created_at: datetime
    attempts: int = 0
    next_try_at: datetime | None = None
    delivered_at: datetime | None = None
    given_up: bool = False
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Everything the store holds that a starting keeper needs."""

    keeper_id: str
    records: tuple[SlotRecord, ...] = ()
    condemned: tuple[Condemned, ...] = ()
    intents: tuple[Intent, ...] = ()
    quarantine: tuple[Quarantine, ...] = ()
    pause: Pause | None = None
    slot_pauses: Mapping[SlotId, Pause] = field(default_factory=dict)
    alert_state: Mapping[str, Any] = field(default_factory=dict)
    outbox: tuple[OutboxRow, ...] = ()  # undelivered
    clean_stop: bool = True
    meter: Meter = field(default_factory=Meter)
    revisions: Mapping[StreamName, tuple[Revision, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one commit writes, all or nothing."""

    records: tuple[SlotRecord, ...] = ()
    records_deleted: tuple[SlotId, ...] = ()
    condemned: tuple[Condemned, ...] | None = None  # the whole new list; None: unchanged
    intents_opened: tuple[Intent, ...] = ()
    intents_closed: tuple[IntentId, ...] = ()
    quarantine: tuple[Quarantine, ...] = ()
    quarantine_deleted: tuple[MachineId, ...] = ()
    pause: Pause | bool | None = False  # False: unchanged; None: resumed
    slot_pauses: Mapping[SlotId, Pause] | None = None  # the whole new mapping; None: unchanged
    alert_state: Mapping[str, Any] | None = None
    outbox: tuple[OutboxRow, ...] = ()  # inserted or updated by notice_id
    journal: tuple[JournalEntry, ...] = ()
    meter: Meter | None = None  # with those tallies that have changed; None: unchanged
    meter_periods_deleted: tuple[str, ...] = ()
    # The whole new list of each stream in it, oldest first.
    revisions: Mapping[StreamName, tuple[Revision, ...]] = field(default_factory=dict)

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return self == Batch()


class Store(Protocol):
    """Durable memory behind one writer. A decision is acted on only after its commit."""

    async def load(self) -> Saved:
        """Read everything; makes the schema and the keeper id at first use. Raises StoreError."""
        ...

    async def commit(self, batch: Batch) -> None:
        """Write all of it or none. Returns when it is durable. Raises StoreError."""
        ...

    async def journal(
        self, *, slot: SlotId | None = None, limit: int = 200, after_seq: int = 0
    ) -> tuple[JournalEntry, ...]:
        """Read the newest facts (after a sequence number), oldest first."""
        ...

    async def prune(self, before: datetime) -> int:
        """Forget facts and delivered messages older than this; returns how many."""
        ...

    async def close(self) -> None:
        """Write what is queued and close. May be repeated."""
        ...


# --------------------------------------------------------------------------------------------------
# Control: the running daemon, as the local API sees it
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReport:
    """What a reload did. ``problems`` is empty when the new configuration is in force."""

    changed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Control(Protocol):
    """What the web layer may ask of the daemon."""

    def snapshot(self) -> Snapshot | None:
        """Return the last tick's snapshot; None before the first."""
        ...

    def is_healthy(self) -> bool:
        """Whether ticks finish."""
        ...

    def not_ready_because(self) -> str:
        """Return "" when ready: store open, first complete listing seen."""
        ...

    async def order(self, order: Order) -> None:
        """Take an operator's order; journalled, then acted on by the next tick."""
        ...

    async def reload(self) -> ReloadReport:
        """Read the configuration again; a bad one keeps the old."""
        ...

    async def journal(
        self, *, slot: SlotId | None = None, limit: int = 200, after_seq: int = 0
    ) -> tuple[JournalEntry, ...]:
        """Read the newest facts."""
        ...

    def thumbnail(self, slot: SlotId) -> bytes:
        """Return the newest JPEG a viewer probe saw of a slot; empty when none."""
        ...

    async def changed(self) -> None:
        """Wait for the next snapshot."""
        ...


class Sink(Protocol):
    """Takes facts as they happen (log lines, counters). Must not block or raise."""

    def publish(self, event: Event, *, at: datetime, tick: int) -> None:
        """Take one fact."""
        ...

    def observe_call(self, port: str, method: str, outcome: str, duration_s: float) -> None:
        """Take one finished call of a port; outcome is "ok" or the error class in snake case."""
        ...
