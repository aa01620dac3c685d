"""What an operator declares of spares: hosts that are rented ahead and take over when one is lost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SpareKind(StrEnum):
    """What a spare costs while nobody needs it, and how soon it can serve."""

    WARM = "warm"  # runs: the whole price, ready at once
    STOPPED = "stopped"  # proven, then stopped: its disk alone, and a start if its GPU is free then


class Spread(StrEnum):
    """How far a spare must be from the stream's hosts and from its other spares."""

    OWNER_AND_NETWORK = "owner_and_network"
    OWNER = "owner"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spares:
    """The spares of one stream. None are kept unless a count is declared."""

    count: int = 0
    kind: SpareKind = SpareKind.WARM
    # All spares of the stream together, disk and traffic included; beside every other cap.
    max_dollars_per_hour: float = 1.0
    # An older one is given back, and another is rented where that is allowed.
    expire_after_s: float = 604_800.0
    spread: Spread = Spread.OWNER_AND_NETWORK
    # Where the ingest takes one publisher only, a spare is prepared and its workload not started.
    is_started: bool = True
    # A start that has not come to anything by then is given up. Vast.ai says that more than 30 s mean
    # that the GPU is let to another (docs, manage instances, read 2026-08).
    start_within_s: float = 120.0
