"""Brings keeper's public key to its hosts: once each is seen, and again to one that refuses it.

The key also travels in the container's start script, so nothing waits for this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from keeper.core.events import ActFailed, Event
from keeper.core.model import InstanceId, SlotRecord
from keeper.daemon.error_line import describe
from keeper.ports import Clock, Marketplace, PortError, Transient

_APART_S = 60.0
_DEADLINE_S = 120.0


class Keys:
    """Asks the marketplace to attach keeper's public key."""

    def __init__(
        self,
        marketplace: Marketplace,
        clock: Clock,
        *,
        public_key: Callable[[], str],
        may_touch: Callable[[InstanceId], bool],
        spawn: Callable[[Coroutine[Any, Any, None], str], object],
        note: Callable[[Event], None],
    ) -> None:
        self._marketplace = marketplace
        self._clock = clock
        self._public_key = public_key
        self._may_touch = may_touch
        self._spawn = spawn
        self._note = note
        self._asked_s: dict[InstanceId, float] = {}
        self._brought: frozenset[InstanceId] = frozenset()
        self._told = ""

    def bring(self, records: Iterable[SlotRecord]) -> None:
        """Attach the key to every rental that is new and on its way up.

        Not to the id that a create's answer names, but once a listing has shown it: only its label
        says that it is ours (I8).
        """
        young = {
            tenure.instance_id
            for record in records
            for tenure in (record.tenure, record.incoming)
            if tenure is not None
            and tenure.instance_id is not None
            and tenure.listed_at is not None
            and tenure.booted_at is None
        }
        for instance_id in sorted(young - self._brought):
            if self._may_touch(instance_id):
                self._brought |= {instance_id}
                self._spawn(self._attach(instance_id), f"attach_key:{instance_id}")
        self._brought &= young

    def refused(self, instance_id: InstanceId) -> None:
        """Take note of a refused dial; asks at most once a minute for each rental."""
        now_s = self._clock.monotonic()
        self._asked_s = {i: at_s for i, at_s in self._asked_s.items() if now_s - at_s < _APART_S}
        if instance_id in self._asked_s or not self._may_touch(instance_id):
            return
        self._asked_s[instance_id] = now_s
        self._spawn(self._attach(instance_id), f"attach_key:{instance_id}")

    async def _attach(self, instance_id: InstanceId) -> None:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._marketplace.attach_key(instance_id, self._public_key())
        except (Transient, TimeoutError):
            return  # the next refused dial asks again
        except PortError as error:
            self._tell(instance_id, describe(error))
        else:
            self._told = ""

    def _tell(self, instance_id: InstanceId, error: str) -> None:
        """State a refusal, once for as long as the marketplace says the same."""
        if error != self._told:
            self._told = error
            self._note(
                ActFailed(slot=None, instance_id=instance_id, decision="attach_key", error=error)
            )
