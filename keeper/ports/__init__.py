"""The promises keeper needs from the outside, as small Protocols, and the errors they may raise.

Each method says what a repeat does. Foreign errors are translated to these classes in the adapter,
in one place; nothing above an adapter sees an aiohttp, asyncssh or SQLAlchemy exception.
"""

from __future__ import annotations

from keeper.ports.archive import Archive, Kept
from keeper.ports.control import Control, ReloadReport, Sink
from keeper.ports.errors import (
    ArchiveFailed,
    CommandFailed,
    ConfigError,
    HostKeyChanged,
    Invalid,
    Malformed,
    Missing,
    OfferGone,
    OutOfCredit,
    PortError,
    Queued,
    QuotaSpent,
    RateLimited,
    Refused,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    TimedOut,
    Transient,
    Unauthorized,
    Uncertain,
    Unreachable,
)
from keeper.ports.foresight import Foresight, Promise
from keeper.ports.hosts import Address, Command, CommandResult, Hosts, Job, Link, Upload
from keeper.ports.marketplace import Account, Marketplace
from keeper.ports.network import (
    HttpReply,
    HttpRequest,
    Network,
    PictureLimits,
    PictureSample,
    PlayerLimits,
    PlayerSample,
    Reached,
)
from keeper.ports.store import Batch, JournalEntry, NoticeKind, OutboxRow, Saved, Store
from keeper.ports.time import Cadence, Clock, Heartbeat

__all__ = [
    "Account",
    "Address",
    "Archive",
    "ArchiveFailed",
    "Batch",
    "Cadence",
    "Clock",
    "Command",
    "CommandFailed",
    "CommandResult",
    "ConfigError",
    "Control",
    "Foresight",
    "Heartbeat",
    "HostKeyChanged",
    "Hosts",
    "HttpReply",
    "HttpRequest",
    "Invalid",
    "Job",
    "JournalEntry",
    "Kept",
    "Link",
    "Malformed",
    "Marketplace",
    "Missing",
    "Network",
    "NoticeKind",
    "OfferGone",
    "OutOfCredit",
    "OutboxRow",
    "PictureLimits",
    "PictureSample",
    "PlayerLimits",
    "PlayerSample",
    "PortError",
    "Promise",
    "Queued",
    "QuotaSpent",
    "RateLimited",
    "Reached",
    "Refused",
    "ReloadReport",
    "Saved",
    "Sink",
    "Store",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "TimedOut",
    "Transient",
    "Unauthorized",
    "Uncertain",
    "Unreachable",
    "Upload",
]
