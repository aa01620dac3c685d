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
_K = TypeVar("_K", bound=str)
_T = TypeVar("_T")
# As adapters name them: the moment, the slot with a dot for its stroke, the rental.
_BUNDLE = re.compile(r"post-mortems/\w+-([a-z0-9-]+)\.([\w-]+)-\d+\.tar\.gz")
_LOG = re.compile(r"deploys/[^/]+/(.+)-\d+\.log")


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
        self._logs: Mapping[str, str] = {}  # the latest of each rental, by its label's core
        self.note = note
        self.redact = redact
        self.deploys: Mapping[SlotId, DeployProgress] = {}  # replaced, never changed in place
        self.kept: Mapping[SlotId, KeptFor] = {}

    @property
    def is_there(self) -> bool:
        """Whether anything is kept at all."""
        return self._archive is not None

    async def recall(self) -> None:
        """Learn the names of the logs and bundles that are there already, as an earlier keeper left them."""
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
            elif found := _LOG.fullmatch(each.name):
                self._note_log(found[1], each.name)

    async def open_log(self, slot: SlotId, label: str) -> str:
        """Begin a deploy's log; "" when none can be."""
        if self._archive is None:
            return ""
        try:
            log = await self._archive.open_log(slot, label)
        except ArchiveFailed as failure:
            self._tell(failure)
            return ""
        self._note_log(label, log)
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

    def log_of(self, label: str) -> str:
        """Return the name of a rental's latest log; "" when there is none."""
        return self._logs.get(_core(label), "")

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

    def _note_log(self, label: str, log: str) -> None:
        core = _core(label)
        self._logs = {**_all_but(self._logs, core), core: log}

    def _remember(self, slot: SlotId, kept: KeptFor) -> None:
        self.kept = {**_all_but(self.kept, slot), slot: kept}

    def _tell(self, failure: ArchiveFailed) -> None:
        said = str(failure)
        if said != self._error:
            self._error = said
            self.note(ArchiveUnable(error=said))


def _core(label: str) -> str:
    """Return what an archive leaves of a label in a name."""
    return "".join(each for each in label if each.isalnum())


def _all_but(known: Mapping[_K, _T], key: _K) -> dict[_K, _T]:
    """Return the latest, without this one: slots and rentals come and go."""
    others = [(each, told) for each, told in known.items() if each != key]
    return dict(others[-_SLOTS_MAX + 1 :])
