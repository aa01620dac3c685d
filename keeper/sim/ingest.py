"""Where simulated streams are sent to: a platform that takes one publisher of each, the first that came."""

from __future__ import annotations

from keeper.core.labels import parse
from keeper.core.model import stream_of


class Ingest:
    """Who publishes, of the streams that take one publisher. Of all others nobody is asked."""

    def __init__(self) -> None:
        self.streams: frozenset[str] = frozenset()
        self._came: dict[str, list[int]] = {}  # by stream: who publishes, in the order of coming

    def stream_of(self, label: str | None) -> str:
        """Return the stream that a rental publishes; "": one that takes any number, or none of ours."""
        found = parse(label) if self.streams and label else None
        name = "" if found is None else str(stream_of(found.slot))
        return name if name in self.streams else ""

    def note(self, stream: str, instance_id: int, *, publishes: bool) -> bool:
        """Note whether a host sends its stream; returns whether that is new."""
        came = self._came.setdefault(stream, [])
        if publishes is (instance_id in came):
            return False
        if publishes:
            came.append(instance_id)
        else:
            came.remove(instance_id)
        return True

    def served(self, stream: str) -> int | None:
        """Return whose picture viewers get; None: nobody sends one."""
        came = self._came.get(stream)
        return came[0] if came else None
