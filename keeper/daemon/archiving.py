"""Keeps what people may ask for later, and lets nobody wait or fail for it.

An archive that cannot be written to is one fact, and another when it fails for another reason.
Everything passes through ``redact`` here before it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from keeper.core.events import ArchiveUnable, Event
from keeper.core.model import InstanceId, SlotId
from keeper.core.under_way import DeployProgress, KeptFor
from keeper.ports import Archive, ArchiveFailed, Clock

_SLOTS_MAX = 1000
_T = TypeVar("_T")
# As adapters name them: the moment, the slot with a dot for its stroke, the rental.
_BUNDLE = re.compile(r"post-mortems/\w+-([a-z0-9-]+)\.([\w-]+)-\d+\.tar\.gz")


def _tell_nobody(_: Event) -> None:
    return


class Archiving:
    """The archive, if there is one, and the names of what was kept for each slot."""

    def __init__(
        self,
        archive: Archive | None,
        clock: Clock,
        *,
        redact: Callable[[str], str],
        note: Callable[[Event], None] = _tell_nobody,
    ) -> None:
        self._archive = archive
        self._clock = clock
        self._error = ""
        self._logs: Mapping[SlotId, str] = {}
        self.note = note
        self.redact = redact
        self.deploys: Mapping[SlotId, DeployProgress] = {}  # replaced, never changed in place
        self.kept: Mapping[SlotId, KeptFor] = {}

    @property
    def is_there(self) -> bool:
        """Whether anything is kept at all."""
        return self._archive is not None

    async def recall(self) -> None:
        """Learn the names of the bundles that are there already, as an earlier keeper left them."""
        if self._archive is None:
            return
        try:
            kept = await self._archive.kept()
        except ArchiveFailed as failure:
            self._tell(failure)
            return
        for each in kept:
            if found := _BUNDLE.fullmatch(each.name):
                slot = SlotId("/".join(found.groups()))
                self._remember(slot, KeptFor(post_mortem=each.name))

    async def open_log(self, slot: SlotId, label: str) -> str:
        """Begin a deploy's log; "" when none can be."""
        if self._archive is None:
            return ""
        try:
            log = await self._archive.open_log(slot, label)
        except ArchiveFailed as failure:
            self._tell(failure)
            return ""
        self._logs = {**_all_but(self._logs, slot), slot: log}
        return log

    async def append(self, log: str, text: str) -> None:
        """Write at the end of a log. Its secrets were taken out line by line."""
        if self._archive is None or not log or not text:
            return
        try:
            await self._archive.append(log, text)
        except ArchiveFailed as failure:
            self._tell(failure)
        else:
            self._error = ""

    async def tail(self, log: str, bytes_max: int) -> str:
        """Return the end of a log; "" when it cannot be read."""
        if self._archive is None or not log:
            return ""
        try:
            return await self._archive.tail(log, bytes_max)
        except ArchiveFailed as failure:
            self._tell(failure)
            return ""

    def log_of(self, slot: SlotId) -> str:
        """Return the name of a slot's latest log; "" when there is none since keeper began."""
        return self._logs.get(slot, "")

    async def keep(
        self, slot: SlotId | None, instance_id: InstanceId, files: Mapping[str, bytes]
    ) -> str:
        """Keep a bundle about a rental that ends; returns its name, "" when it could not be kept."""
        if self._archive is None:
            return ""
        try:
            name = await self._archive.keep(slot, instance_id, self._clock.now(), files)
        except ArchiveFailed as failure:
            self._tell(failure)
            return ""
        self._error = ""
        if slot is not None:
            self._remember(slot, replace(self.kept.get(slot, KeptFor()), post_mortem=name))
        return name

    def failed(self, slot: SlotId, log: str) -> None:
        """Remember the log of a deploy that failed."""
        self._remember(slot, replace(self.kept.get(slot, KeptFor()), deploy_log=log))

    def show(self, progress: DeployProgress) -> None:
        """Show how far a deploy has come."""
        self.deploys = {**self.deploys, progress.slot: progress}

    def hide(self, slot: SlotId) -> None:
        """Show no deploy of a slot any more."""
        self.deploys = _all_but(self.deploys, slot)

    def _remember(self, slot: SlotId, kept: KeptFor) -> None:
        self.kept = {**_all_but(self.kept, slot), slot: kept}

    def _tell(self, failure: ArchiveFailed) -> None:
        said = str(failure)
        if said != self._error:
            self._error = said
            self.note(ArchiveUnable(error=said))


def _all_but(known: Mapping[SlotId, _T], slot: SlotId) -> dict[SlotId, _T]:
    """Return the latest, without this one: slots come and go."""
    others = [(each, told) for each, told in known.items() if each != slot]
    return dict(others[-_SLOTS_MAX + 1 :])
