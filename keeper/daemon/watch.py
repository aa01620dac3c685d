"""Watches every rental that could show a picture: from inside by its link, from outside as a viewer.

It says which rentals are watched, and lets the two know of each other. Nothing here decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from keeper.core.model import InstanceId, Status
from keeper.daemon.board import Board
from keeper.daemon.links import Links
from keeper.daemon.target import Target
from keeper.daemon.viewer import Viewer
from keeper.daemon.wheel import Wheel
from keeper.ports import Address, Clock, Foresight, Hosts, Link, Network
from keeper.workloads.viewing import Aids


class Watch:
    """All watched rentals."""

    def __init__(
        self,
        *,
        hosts: Hosts,
        network: Network,
        clock: Clock,
        board: Board,
        wheel: Wheel,
        spawn: Callable[..., asyncio.Task[None]],
        keep: Callable[..., asyncio.Task[None]],  # the same, begun again when it dies
        key_refused: Callable[[InstanceId], None],
        own_network: Callable[[], Status],
        foresight: Foresight | None = None,
        aids: Callable[[], Aids] = Aids,
    ) -> None:
        self._board = board
        self._targets: dict[InstanceId, Target] = {}
        self._viewer = Viewer(
            network=network,
            clock=clock,
            board=board,
            wheel=wheel,
            spawn=spawn,
            forward=self._forward,
            own_network=own_network,
            foresight=foresight,
            aids=aids,
        )
        self._links = Links(
            hosts=hosts,
            clock=clock,
            board=board,
            keep=keep,
            completed=self._viewer.completed,
            lost=self._viewer.look_again,
            key_refused=key_refused,
            foresight=foresight,
        )

    def follow(self, targets: Mapping[InstanceId, Target]) -> None:
        """Watch exactly these rentals from now on."""
        for instance_id in [known for known in self._targets if known not in targets]:
            self._drop(instance_id)
        for instance_id, target in targets.items():
            before = self._targets.get(instance_id)
            self._targets[instance_id] = target
            if before is None:
                self._links.begin(target)
                self._viewer.begin(target)
            elif before is not target:
                self._links.change(target)
                self._viewer.change(target)
            if instance_id in self._board.restless:
                self._viewer.look_again(instance_id)

    def target(self, instance_id: InstanceId) -> Target | None:
        """What is watched of a rental."""
        return self._targets.get(instance_id)

    def link_now(self, instance_id: InstanceId) -> Link | None:
        """Return the rental's link if it is up."""
        return self._links.now(instance_id)

    async def link(self, instance_id: InstanceId, timeout_s: float) -> Link:
        """Return the rental's link, waiting for it. Raises Unreachable."""
        return await self._links.get(instance_id, timeout_s)

    def release(self, instance_id: InstanceId) -> Link | None:
        """Give the rental's link away, if it is up: whoever takes it closes it.

        For one that ends: when it is watched no longer, what it knows can still be asked for.
        """
        return self._links.give(instance_id)

    async def close(self) -> None:
        """Drop every link."""
        tasks = self._links.tasks()
        for instance_id in list(self._targets):
            self._drop(instance_id)
        if tasks:
            await asyncio.wait(tasks)

    async def _forward(self, instance_id: InstanceId, port: int) -> Address | None:
        return await self._links.forward(instance_id, port)

    def _drop(self, instance_id: InstanceId) -> None:
        del self._targets[instance_id]
        self._viewer.drop(instance_id)
        self._links.drop(instance_id)
        self._board.forget(instance_id)
