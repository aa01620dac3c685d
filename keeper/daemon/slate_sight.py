"""What one stream's slate goes by: looks at its hosts, whether they can publish, what the ingest says.

Gathered from what the daemon knows anyway; only the ingest is asked, every few seconds. Nothing is decided
here, and nothing is begun or ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from keeper.core.model import (
    Condemned,
    Instance,
    InstanceId,
    IntentKind,
    Mode,
    Reading,
    SlotId,
    Status,
    Stream,
    StreamName,
    Subject,
    stream_of,
)
from keeper.core.slate import Ingest, Publisher, Rental, publisher_among
from keeper.core.windows import Allowance, strictest
from keeper.core.world import Snapshot
from keeper.ports import Clock, HttpRequest, Network, PortError
from keeper.probes.ingest import STAT_MAX_BYTES, publishers_at

_STAT_S = 2.0
_STAT_TIMEOUT_S = 4.0
_STAT_STALE_S = 10.0
_LOOK_OLD_S = (
    15.0  # a look is pinned as soon as it is judged; what seems older is a clock that was set
)
_HOSTS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the rest of the daemon knows, as the slates ask for it at each look."""

    snapshot: Snapshot | None
    latest: Mapping[tuple[InstanceId, Subject], Reading]
    acting: tuple[tuple[SlotId, IntentKind], ...]  # acts under way
    is_stopping: bool

    def stream(self, name: StreamName) -> Stream | None:
        """Return a stream as declared; None: it is not, or nothing is known yet."""
        streams = () if self.snapshot is None else self.snapshot.desired.streams
        return next((each for each in streams if each.name == name), None)


class Sight:
    """What is seen of one stream's hosts."""

    def __init__(self, stream: StreamName, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        now_s = clock.monotonic()
        self.good_s = now_s  # the latest good look; before one: since keeper looks
        self.publisher = Publisher.MAYBE
        self.publisher_s = now_s  # since when it is that, of the same processes
        self._good: dict[InstanceId, Reading] = {}  # the latest good look at each host
        self._mark: object = None

    def look(self, known: Known, now_s: float) -> bool:
        """Take in what is known now; says whether a good look is among it that was not before."""
        snapshot, stream = known.snapshot, known.stream(self._stream)
        if snapshot is None or stream is None:
            self._set(Publisher.MAYBE, None, now_s)
            return False
        rentals = tuple(_rentals(snapshot, self._stream))
        ending = tuple(_ending(snapshot, self._stream))
        publisher = publisher_among(rentals, ending, stream.policy, self._clock.now())
        # Another process is another publisher, even where one answers for it as for the one before.
        tenures = [each.tenure for each in rentals]
        mark = tuple((each.instance_id, each.process_identity, each.acted_at) for each in tenures)
        self._set(publisher, mark, now_s)
        good = [each for each in tenures if self._see(known, each.instance_id, now_s)]
        return bool(good)

    def begin_anew(self, now_s: float) -> None:
        """Count anew for how long nobody can have been publishing: the slate was there until now."""
        self.publisher_s = max(self.publisher_s, now_s)

    def _set(self, publisher: Publisher, mark: object, now_s: float) -> None:
        if (publisher, mark) != self._mark:
            self.publisher, self.publisher_s, self._mark = publisher, now_s, (publisher, mark)

    def _see(self, known: Known, instance_id: InstanceId | None, now_s: float) -> bool:
        """Note a good look as it was: what is believed after several would come too late here."""
        if instance_id is None:
            return False
        reading = known.latest.get((instance_id, Subject.PICTURE))
        if reading is None or reading.status is not Status.TRUE:
            return False
        if self._good.get(instance_id) is reading:
            return False
        # By identity: a clock that is set must not hide that a host is back.
        age_s = (self._clock.now() - reading.at).total_seconds()
        if len(self._good) > _HOSTS_MAX:
            self._good.clear()
        self._good[instance_id] = reading
        self.good_s = max(self.good_s, now_s - min(max(0.0, age_s), _LOOK_OLD_S))
        return True


class IngestWord:
    """What an ingest's own page says of who publishes, by looks every few seconds."""

    def __init__(self, network: Network, clock: Clock, *, stat_url: str, ingest_url: str) -> None:
        self._network = network
        self._clock = clock
        self._stat_url = stat_url
        self._ingest_url = ingest_url
        self._said, self._read_s = Ingest.UNKNOWN, clock.monotonic()
        self.since_s = self._read_s

    def now(self, now_s: float) -> Ingest:
        """Return what it says; what it said long ago is not known any more."""
        return Ingest.UNKNOWN if now_s - self._read_s > _STAT_STALE_S else self._said

    def begin_anew(self, now_s: float) -> None:
        """Forget what it said: the slate has begun, or ended."""
        self._said, self.since_s = Ingest.UNKNOWN, now_s

    async def ask(self, ours: Callable[[], int | None]) -> None:
        """Ask for ever. ``ours``: how many of its publishers are keeper's; None: that is just changing."""
        while self._stat_url:
            before = ours()
            publishers = await self._publishers()
            # What was asked before a change may have been answered before it, or after.
            if before is not None and before == ours():
                self._hear(publishers, before)
            await asyncio.sleep(_STAT_S)

    def _hear(self, publishers: int | None, ours: int) -> None:
        now_s = self._clock.monotonic()
        if publishers is None:
            said = Ingest.UNKNOWN
        else:
            said = Ingest.TAKEN if publishers > ours else Ingest.EMPTY
        if said is not self._said or now_s - self._read_s > _STAT_STALE_S:
            self._said, self.since_s = said, now_s
        self._read_s = now_s

    async def _publishers(self) -> int | None:
        request = HttpRequest(
            method="GET",
            url=self._stat_url,
            timeout_s=_STAT_TIMEOUT_S,
            reply_max_bytes=STAT_MAX_BYTES,
        )
        try:
            async with asyncio.timeout(_STAT_TIMEOUT_S * 2):
                reply = await self._network.fetch(request)
        except (PortError, TimeoutError):
            return None
        if reply.status != 200:  # noqa: PLR2004 - HTTP's word for yes
            return None
        return publishers_at(reply.body, self._ingest_url)


def is_barred(snapshot: Snapshot | None, stream: Stream | None, now: datetime) -> bool:
    """Whether keeper keeps its hands off the stream, or the stream is not wanted."""
    if snapshot is None or stream is None or len(stream.slots) != 1 or stream.mode is not Mode.ACT:
        return True
    world, slot = snapshot.world, stream.slots[0]
    record = snapshot.records.get(slot)
    window = strictest(world.windows, stream.name, now)
    return (
        not world.is_leader
        or world.pause is not None
        or slot in world.slot_pauses
        or (window is not None and window.allow is Allowance.OBSERVE)
        or (record is not None and record.destroy_asked_at is not None)
    )


def _listed(snapshot: Snapshot, instance_id: InstanceId | None) -> Instance | None:
    listing = snapshot.world.listing
    if listing is None or instance_id is None:
        return None
    if (snapshot.at - listing.at).total_seconds() > snapshot.desired.fleet.listing_stale_s:
        return None
    return next((each for each in listing.instances if each.instance_id == instance_id), None)


def _rentals(snapshot: Snapshot, name: StreamName) -> Iterator[Rental]:
    """Yield the rentals of a stream's slots, and of its spares: a warm one may have been started."""
    for slot, record in snapshot.records.items():
        if stream_of(slot) == name:
            for tenure in (record.tenure, record.incoming):
                if tenure is not None:
                    yield Rental(tenure=tenure, listed=_listed(snapshot, tenure.instance_id))


def _ending(snapshot: Snapshot, name: StreamName) -> Iterator[tuple[Condemned, Instance | None]]:
    for each in snapshot.plan.condemned:
        if each.slot is not None and stream_of(each.slot) == name:
            yield each, _listed(snapshot, each.instance_id)
