"""What channels said of the messages that opened incidents, for the messages that follow."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from keeper.alerts import Notice
from keeper.ports import Clock, Receipt

# The store forgets what is older than the retention; an incident may go on for longer.
_FRESH = timedelta(days=1)
_KEPT_MAX = 5000  # in memory; an end that was never delivered leaves one behind


class Receipts:
    """By incident and channel: the first that a channel gave counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], Receipt] = {}
        self._unnoted: dict[tuple[str, str], Receipt] = {}

    def remember(self, saved: Iterable[Receipt]) -> None:
        """Take up what the store holds."""
        for each in sorted(saved, key=lambda each: each.at):
            self._keep(each)

    def of(self, notice: Notice, channel: str) -> str:
        """Return what a channel said of the message that opened this incident; "": nothing."""
        found = self._known.get((notice.incident_id, channel))
        return "" if found is None else found.receipt

    def delivered(self, notice: Notice, channel: str, receipt: str) -> None:
        """Keep what a channel said of a message that it took."""
        if not notice.incident_id:
            return
        known, now = self._known.get((notice.incident_id, channel)), self._clock.now()
        if known is not None:
            receipt = known.receipt
        if not receipt or (known is not None and now - known.at < _FRESH):
            return
        fresh = Receipt(incident_id=notice.incident_id, channel=channel, receipt=receipt, at=now)
        self._keep(fresh)
        self._unnoted[fresh.incident_id, channel] = fresh

    def forget(self, notice: Notice, channel: str) -> None:
        """Drop what nobody will ask for again: the incident is over, and that was told."""
        self._known.pop((notice.incident_id, channel), None)

    @property
    def unnoted(self) -> tuple[Receipt, ...]:
        """What the store does not know yet."""
        return tuple(self._unnoted.values())

    def noted(self, receipts: Iterable[Receipt]) -> None:
        """The store knows them."""
        for each in receipts:
            if self._unnoted.get((each.incident_id, each.channel)) is each:
                del self._unnoted[each.incident_id, each.channel]

    def _keep(self, receipt: Receipt) -> None:
        self._known.pop((receipt.incident_id, receipt.channel), None)
        self._known[receipt.incident_id, receipt.channel] = receipt
        while len(self._known) > _KEPT_MAX:
            del self._known[next(iter(self._known))]
