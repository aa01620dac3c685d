"""Puts keeper's SSH key into the marketplace's account, once, so that its proxy lets keeper in.

Hosts also get the key with each rental; the proxy, which is the only way to a host whose ports are
shut, knows the account's keys alone. Nothing waits for it: a refusal is a fact with its cure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from keeper.core.events import Event, KeyNotRegistered, KeyRegistered
from keeper.core.model import Desired, Mode
from keeper.core.world import Snapshot
from keeper.daemon.error_line import describe
from keeper.ports import Hosts, Marketplace, PortError, Transient

_DEADLINE_S = 120.0
_AGAIN_AFTER_S = 15.0
_AGAIN_AFTER_MAX_S = 3600.0


class _Declared(Protocol):
    @property
    def desired(self) -> Desired: ...
    @property
    def register_ssh_key(self) -> bool: ...


class Enroll:
    """Keeper's key and the account."""

    def __init__(
        self,
        marketplace: Marketplace,
        hosts: Hosts,
        *,
        declared: Callable[[], _Declared],
        snapshot: Callable[[], Snapshot | None],
        changed: Callable[[], Awaitable[None]],
        spawn: Callable[..., asyncio.Task[None]],
        note: Callable[[Event], None],
    ) -> None:
        self._marketplace = marketplace
        self._hosts = hosts
        self._declared = declared
        self._snapshot = snapshot
        self._changed = changed
        self._spawn = spawn
        self._note = note
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin, unless it is under way or not wanted. A reload asks again: rights may have been given."""
        is_under_way = self._task is not None and not self._task.done()
        if self._declared().register_ssh_key and not is_under_way:
            self._task = self._spawn(self._run(), "enroll")

    async def _run(self) -> None:
        """Try, as soon as keeper may act at all, until there is an answer: yes or no."""
        await self._until_allowed()
        wait_s = _AGAIN_AFTER_S
        while not await self._is_answered():
            await asyncio.sleep(wait_s)
            await self._until_allowed()
            wait_s = min(_AGAIN_AFTER_MAX_S, 2.0 * wait_s)

    async def _until_allowed(self) -> None:
        """Wait until keeper may change something: a stream acts, and neither pause nor fuse holds."""
        while not self._is_allowed():
            await self._changed()

    def _is_allowed(self) -> bool:
        declared, snapshot = self._declared(), self._snapshot()
        return (
            declared.register_ssh_key
            and snapshot is not None
            and snapshot.world.pause is None
            and not snapshot.plan.fuses
            and any(s.mode is Mode.ACT and s.slots for s in declared.desired.streams)
        )

    async def _is_answered(self) -> bool:
        """Ask once; False when the same question may have an answer later."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                is_new = await self._marketplace.register_key(self._hosts.public_key)
        except (Transient, TimeoutError):
            return False
        except PortError as error:
            self._note(KeyNotRegistered(error=describe(error)))
            return True
        if is_new:
            self._note(KeyRegistered())
        return True
