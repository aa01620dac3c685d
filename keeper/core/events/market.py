"""Facts about the marketplace and the account: lists, searches, keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from keeper.core.events.level import Level
from keeper.core.model import StreamName
from keeper.core.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketUnreadable:
    """No trustworthy listing: nothing destructive until one comes."""

    name: ClassVar[str] = "market.unreadable"
    level: ClassVar[Level] = Level.WARNING
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketReadable:
    """A complete listing again, after this long without."""

    name: ClassVar[str] = "market.readable"
    level: ClassVar[Level] = Level.INFO
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUnreadable:
    """The API key may not read the account, so nobody knows how long the credit lasts. Told once."""

    name: ClassVar[str] = "account.unreadable"
    level: ClassVar[Level] = Level.WARNING
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRegistered:
    """Keeper's SSH key is now one of the account's: the marketplace's proxy lets keeper in."""

    name: ClassVar[str] = "key.registered"
    level: ClassVar[Level] = Level.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNotRegistered:
    """The account does not take keeper's SSH key: hosts are reached directly or not at all."""

    name: ClassVar[str] = "key.not_registered"
    level: ClassVar[Level] = Level.WARNING
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OffersSearched:
    """An offer search came back for a stream that has a vacant slot."""

    name: ClassVar[str] = "offers.searched"
    level: ClassVar[Level] = Level.DEBUG
    stream: StreamName
    found: int
    suitable: int
    detail: str  # which filter removed how many, nearest miss


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchesAllowed:
    """The marketplace lets keeper search again, after so long."""

    name: ClassVar[str] = "offers.allowed"
    level: ClassVar[Level] = Level.INFO
    reason: Reason  # why it did not
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchesRefused:
    """The marketplace lets nobody search: vacant slots stay vacant until it does. Told once."""

    name: ClassVar[str] = "offers.refused"
    level: ClassVar[Level] = Level.WARNING
    reason: Reason
    error: str
    until: datetime | None = None
