"""Which workloads are at hand: what is declared now, what was before, and what is made again.

Within one process an earlier workload is kept as it was, its secrets included, in memory only. After
a start it is made again from what the store keeps and the secrets of now; if that comes to something
else, hosts that have the earlier one are still looked at by it, and none is given it.
"""

from __future__ import annotations

from collections.abc import Mapping

from keeper.core.model import Makeable, Revision, StreamName
from keeper.daemon.declared import Declared
from keeper.workloads import Workload
from keeper.workloads.identity import Made

Kept = Mapping[StreamName, tuple[Revision, ...]]


class Revisions:
    """The workloads of all revisions that somebody may still ask for."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._made: dict[tuple[StreamName, str], Made] = {}
        self._looked_at: tuple[object, object] = (None, None)
        self._makeable: Mapping[StreamName, Mapping[str, Makeable]] = {}
        self.declare(declared)

    def declare(self, declared: Declared) -> None:
        """Take a configuration that is in force from now on."""
        self._declared = declared
        for stream in declared.desired.streams:
            workload = declared.workloads.get(stream.name)
            if workload is not None and stream.revision:
                makeable = Makeable(rental=stream.rental, rungs=stream.rungs)
                self._made[stream.name, stream.revision] = Made(
                    name=stream.revision, workload=workload, makeable=makeable
                )

    def at_hand(self, kept: Kept) -> Mapping[StreamName, Mapping[str, Makeable]]:
        """Return what can be put on hosts; the same object while nothing has changed."""
        basis = (kept, self._declared)
        if any(a is not b for a, b in zip(basis, self._looked_at, strict=True)):
            self._looked_at = basis
            self._recall(kept)
            found: dict[StreamName, dict[str, Makeable]] = {}
            for (stream, name), made in self._made.items():
                if made.name == name:
                    found.setdefault(stream, {})[name] = made.makeable
            self._makeable = found
        return self._makeable

    def workload(self, stream: StreamName, name: str) -> Workload | None:
        """Return what is, or is to be, on a host; what is declared where nobody knows."""
        made = self._made.get((stream, name))
        return self._declared.workloads.get(stream) if made is None else made.workload

    def _recall(self, kept: Kept) -> None:
        """Make again what is kept and not at hand, and forget what is not kept any more."""
        declared = {(stream.name, stream.revision) for stream in self._declared.desired.streams}
        wanted = {(stream, each.name): each for stream, known in kept.items() for each in known}
        self._made = {
            key: made for key, made in self._made.items() if key in wanted or key in declared
        }
        for (stream, name), revision in wanted.items():
            made = self._made.get((stream, name))
            if made is None or made.name != name:
                again = self._declared.remake(stream, revision.recipe)
                if again is not None:
                    self._made[stream, name] = again
