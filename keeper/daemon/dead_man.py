"""Feeds the guards on hosts whose stream has a dead man, puts them there, and takes them away.

A guard is written down before it is put on a host, so that no keeper forgets one: an unfed guard stops
its host. Whatever holds keeper's hands (a pause, a fuse, `observe`) holds the putting, never the feeding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from keeper.core.events import DeadManArmed, DeadManRemoved, DeadManUnable, Event
from keeper.core.model import InstanceId
from keeper.daemon.target import Target
from keeper.daemon.watch import Watch
from keeper.ports import Clock, Command, CommandFailed, Link, PortError
from keeper.workloads.managers import dead_man
from keeper.workloads.managers.dead_man import Guard

_LOOK_S = 1.0
_DEADLINE_S = 60.0
_AT_ONCE = 16


class DeadMan:
    """The guards, as far as this process knows them."""

    def __init__(
        self,
        watch: Watch,
        clock: Clock,
        *,
        api_url: Callable[[], str],
        may_touch: Callable[[InstanceId], bool],
        note: Callable[[Event], None],
        nudge: Callable[[], None],
    ) -> None:
        self._watch = watch
        self._clock = clock
        self._api_url = api_url
        self._may_touch = may_touch
        self._note = note
        self._nudge = nudge
        # What is to be remembered of a rental: whether a guard is, or is about to be, there.
        self.marks: dict[InstanceId, bool] = {}
        self._due_s: dict[InstanceId, float] = {}
        self._armed: set[InstanceId] = set()
        self._told: dict[InstanceId, str] = {}
        self._concerned: dict[InstanceId, float | None] = {}
        self._has_work = asyncio.Event()
        self._bound = asyncio.Semaphore(_AT_ONCE)

    def follow(self, targets: Mapping[InstanceId, Target]) -> None:
        """Tend these rentals from now on; those that are gone take their guard with them."""
        wanted = {
            instance_id: target.dead_man_after_s
            for instance_id, target in targets.items()
            if target.dead_man_after_s is not None or target.is_guarded
        }
        for known in (self.marks, self._due_s, self._told):
            for instance_id in [each for each in known if each not in targets]:
                del known[instance_id]
        self._armed &= targets.keys()
        for instance_id, after_s in wanted.items():
            if self._concerned.get(instance_id) != after_s:
                self._due_s.pop(instance_id, None)  # another wish is not for later
        self._concerned = wanted
        if self._concerned:
            self._has_work.set()
        else:
            self._has_work.clear()

    async def run(self) -> None:
        """Tend for ever; without a stream that has a dead man, sleep."""
        while True:
            await self._has_work.wait()
            async with asyncio.TaskGroup() as group:
                for instance_id in sorted(self._concerned):
                    if self._clock.monotonic() >= self._due_s.get(instance_id, 0.0):
                        group.create_task(self._tend(instance_id))
            await asyncio.sleep(_LOOK_S)

    async def _tend(self, instance_id: InstanceId) -> None:
        target, link = self._watch.target(instance_id), self._watch.link_now(instance_id)
        if target is None or link is None:
            return  # looked at again in a moment
        async with self._bound:
            try:
                async with asyncio.timeout(_DEADLINE_S):
                    await self._see_to(target, instance_id, link)
            except CommandFailed as error:
                self._tell(target, instance_id, str(error))
            except (PortError, TimeoutError):
                return  # the link is lost, or the host is slow: tried again in a moment

    async def _see_to(self, target: Target, instance_id: InstanceId, link: Link) -> None:
        after_s = target.dead_man_after_s
        if after_s is None:
            if self.marks.get(instance_id) is not False:
                await _checked(link, dead_man.remove())
                self._remember(instance_id, is_guarded=False)
                self._armed.discard(instance_id)
                self._note(DeadManRemoved(slot=target.slot, instance_id=instance_id))
            return
        if not target.is_guarded:
            if self._may_touch(instance_id):
                self._remember(instance_id, is_guarded=True)
            return
        now_s = self._clock.monotonic()
        guard, why = await self._feed(after_s, instance_id, link)
        if guard is Guard.ABSENT and self._may_touch(instance_id):
            for step in dead_man.install():
                if isinstance(step, Command):
                    await _checked(link, step)
                else:
                    await link.upload(step)
            self._armed.discard(instance_id)
            guard, why = await self._feed(after_s, instance_id, link)
        self._due_s[instance_id] = now_s + dead_man.feed_apart_s(after_s)
        if guard is Guard.ARMED:
            self._told.pop(instance_id, None)
            if instance_id not in self._armed:
                self._armed.add(instance_id)
                self._note(DeadManArmed(slot=target.slot, instance_id=instance_id, after_s=after_s))
        elif guard is Guard.UNABLE:
            self._tell(target, instance_id, why)

    async def _feed(self, after_s: float, instance_id: InstanceId, link: Link) -> tuple[Guard, str]:
        return dead_man.read(await link.run(dead_man.feed(after_s, instance_id, self._api_url())))

    def _remember(self, instance_id: InstanceId, *, is_guarded: bool) -> None:
        self.marks[instance_id] = is_guarded
        self._nudge()

    def _tell(self, target: Target, instance_id: InstanceId, why: str) -> None:
        """State that a host has no guard, once for as long as it says the same."""
        after_s = target.dead_man_after_s or dead_man.FEED_APART_MAX_S
        self._due_s[instance_id] = self._clock.monotonic() + dead_man.feed_apart_s(after_s)
        if self._told.get(instance_id) != why:
            self._told[instance_id] = why
            self._note(DeadManUnable(slot=target.slot, instance_id=instance_id, error=why))


async def _checked(link: Link, command: Command) -> None:
    result = await link.run(command)
    if result.exit_code != 0:
        said = (result.stderr or result.stdout).strip()
        raise CommandFailed(f"{command.name} ended with {result.exit_code}: {said}")
