"""Sees a big file on its way to a host: told while it goes, and gone on with over the next link.

What has come of it stays on the host, so a lost link, a stop of keeper or a deploy that failed for
another reason costs little of it. How it is cut into pieces is the adapter's affair.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from keeper.daemon.relink import Relink, linked_again
from keeper.ports import (
    Clock,
    CommandFailed,
    Link,
    Parcel,
    PortError,
    SendProgress,
    SendStage,
    Transient,
)

POLL_S = 2.0
# So long without a byte, over whatever links there were, and the act has failed for lack of one.
LINK_PATIENCE_S = 120.0
_SHOWN_EVERY_S = 1.0
_LOGGED_EVERY_S = 10.0
_GB_BYTES = 1e9


class Tell(Protocol):
    """Takes a line about how far it is; one that is not kept is replaced by the next."""

    async def __call__(self, line: str, *, is_kept: bool = True) -> None:
        """Tell it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Senders:
    """Carries parcels."""

    clock: Clock
    poll_s: float = POLL_S
    link_patience_s: float = LINK_PATIENCE_S

    async def run(self, parcel: Parcel, link: Link, relink: Relink, tell: Tell) -> None:
        """Put it there, unless it is. Raises LocalFileUnfit, CommandFailed, Unreachable.

        ``relink`` gives the link that is up now, or raises Unreachable.
        """
        way = _Way(self, parcel, link, relink, tell)
        try:
            async with asyncio.timeout(parcel.timeout_s):
                await way.through()
        except TimeoutError as late:
            raise CommandFailed(
                f"{parcel.name} was not done in {parcel.timeout_s:.0f} s, {way.told}; what has come"
                " stays on the host, and the next try goes on there"
            ) from late


class _Way:
    """One parcel, one host."""

    def __init__(
        self,
        senders: Senders,
        parcel: Parcel,
        link: Link,
        relink: Relink,
        tell: Tell,
    ) -> None:
        self._senders = senders
        self._parcel = parcel
        self._link = link
        self._relink = relink
        self._tell = tell
        self._latest: SendProgress | None = None
        self._moved_s = self._now_s()  # when something last got further
        self._shown_s = self._logged_s = float("-inf")
        self._begun: tuple[float, int] | None = None  # of the sending over this link: when, where
        self._carried_bytes = 0
        self.told = "and nothing was sent"

    async def through(self) -> None:
        while True:
            try:
                is_sent = await self._link.send(self._parcel, self._heard)
            except Transient as lost:
                await self._tell(str(lost))
                await self._link_again(lost)
                continue
            said = f"all of it is there, {_size(self._carried_bytes)} of it by this link"
            await self._tell(said if is_sent else "it is there already: nothing was sent")
            return

    async def _heard(self, progress: SendProgress) -> None:
        """Show how far it is once a second, and write it down more rarely."""
        before, self._latest = self._latest, progress
        now_s, is_new = self._now_s(), before is None or before.stage is not progress.stage
        if progress != before:
            self._moved_s = now_s
        if progress.stage is SendStage.SENDING:
            if self._begun is None:
                self._begun = now_s, progress.done_bytes
            self._carried_bytes = progress.done_bytes - self._begun[1]
        is_logged = is_new or now_s - self._logged_s >= _LOGGED_EVERY_S
        if is_logged or now_s - self._shown_s >= _SHOWN_EVERY_S:
            self.told = self._worded(progress)
            self._shown_s = now_s
            self._logged_s = now_s if is_logged else self._logged_s
            await self._tell(self.told, is_kept=is_logged)

    def _worded(self, progress: SendProgress) -> str:
        done, total = progress.done_bytes, progress.total_bytes
        share = f"{_size(done)} of {_size(total)} ({done * 100 // max(1, total)} %)"
        match progress.stage:
            case SendStage.READING:
                return f"reading {self._parcel.local_path}: {share}"
            case SendStage.COMPARING:
                return f"comparing what is there: {share}"
            case SendStage.SENDING:
                return f"sending {self._parcel.local_path}: {share}{self._rate()}"

    def _rate(self) -> str:
        assert self._begun is not None
        begun_s, begun_at = self._begun
        took_s = self._now_s() - begun_s
        if not self._carried_bytes:
            return f", from {_size(begun_at)} on" if begun_at else ""
        return f", {self._carried_bytes / 1e6 / took_s:.1f} MB/s" if took_s > 0 else ""

    async def _link_again(self, lost: PortError) -> None:
        """Wait for a link that answers. Raises Unreachable when nothing got further for too long."""
        self._begun, self._carried_bytes = None, 0
        self._link = await linked_again(
            self._relink,
            lost,
            what=self._parcel.name,
            clock=self._senders.clock,
            until_s=self._moved_s + self._senders.link_patience_s,
            poll_s=self._senders.poll_s,
        )

    def _now_s(self) -> float:
        return self._senders.clock.monotonic()


def _size(size_bytes: int) -> str:
    """Write a size as people say it."""
    if size_bytes >= _GB_BYTES:
        return f"{size_bytes / _GB_BYTES:.2f} GB"
    return f"{size_bytes / 1e6:.1f} MB"
