"""What may go wrong outside, sorted by what the caller may do. Causes are chained with ``from``.

The docstring of an error is its message unless one is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from keeper.core.model import InstanceId


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


class NobodyListens(Unreachable):
    """The host answers, and refuses the connection: nobody listens on that port."""


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


class LocalFileUnfit(Refused):
    """A file of this box that is to go to a host is absent, unreadable, or not the one that is meant.

    No host is to blame, and another one would not get it either.
    """


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


class ArchiveFailed(PortError):
    """What people might ask for later could not be kept. Nothing else depends on it."""
