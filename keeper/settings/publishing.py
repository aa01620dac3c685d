"""What cannot be where the ingest takes one publisher: another one, or one that keeper could not end."""

from __future__ import annotations

from collections.abc import Iterator

from keeper.core.model import Publishers
from keeper.settings.document import Place
from keeper.settings.tree import Settings


def publisher_problems(settings: Settings) -> Iterator[tuple[tuple[Place, ...], str]]:
    """Find what would publish beside the one publisher, or what keeper could not end."""
    for index, stream in enumerate(settings.streams):
        here: Place = ("streams", index)
        if stream.publishers is Publishers.SEVERAL:
            continue
        if stream.replicas > 1:
            yield (
                ((*here, "replicas"), (*here, "publishers")),
                (
                    f"stream '{stream.name}': {stream.replicas} replicas publish at the same time, and"
                    " publishers is one: declare a stream with a key of its own for each"
                ),
            )
        if stream.spares.count and stream.spares.is_started:
            yield (
                ((*here, "spares", "is_started"), (*here, "publishers")),
                (
                    f"stream '{stream.name}': a spare that is started publishes too, and publishers is"
                    " one: set spares.is_started to false"
                ),
            )
        if getattr(getattr(stream.workload, "manager", None), "kind", "") == "none":
            yield (
                ((*here, "workload", "manager"), (*here, "publishers")),
                (
                    f"stream '{stream.name}': publishers is one, and with the manager 'none' keeper could"
                    " not end the publisher on the old host before the new one starts"
                ),
            )
