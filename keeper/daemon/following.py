"""Keeps the watch on every rental of a slot that the marketplace shows as running."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from keeper.core.drift import burn_of
from keeper.core.model import InstanceId, Reading, SlotId, is_spare
from keeper.core.spend import traffic_by_instance
from keeper.core.world import Listing
from keeper.daemon.board import Board
from keeper.daemon.dead_man import DeadMan
from keeper.daemon.follow import is_news, restless, targets
from keeper.daemon.ground import Ground
from keeper.daemon.keys import Keys
from keeper.daemon.permit import stream_named
from keeper.daemon.purse import Purse
from keeper.daemon.strips import Place
from keeper.daemon.survey import Survey
from keeper.daemon.target import Target
from keeper.daemon.watch import Watch
from keeper.workloads import Workload


class Following:
    """Who is watched, and everybody who has to know."""

    def __init__(
        self,
        ground: Ground,
        *,
        board: Board,
        survey: Survey,
        watch: Watch,
        keys: Keys,
        dead_man: DeadMan,
        purse: Purse,
        workload_of: Callable[[SlotId, str], Workload | None],
    ) -> None:
        self._ground = ground
        self._board = board
        self._survey = survey
        self._watch = watch
        self._keys = keys
        self._dead_man = dead_man
        self._purse = purse
        self._workload_of = workload_of
        self._targets: dict[InstanceId, Target] = {}
        self._basis: tuple[object, object, object] = (None, None, None)

    def anew(self) -> None:
        """Tell everybody again with the next listing, whatever it says."""
        self._basis = (None, None, None)

    def follow(self, listing: Listing | None, *, is_old: bool) -> None:
        """Bring everybody up to a listing and the records."""
        records, declared = self._ground.memory.records, self._ground.declared
        if listing is None:
            return
        basis = (listing.instances, records, declared)
        if all(a is b for a, b in zip(basis, self._basis, strict=True)):
            return  # the quiet case: nothing that matters here has changed
        self._basis = basis
        if not is_old:
            self._purse.pays(burn_of(listing.instances, traffic_by_instance(records)))
        self._keys.bring(records.values())
        self._targets = targets(records, listing, declared, self._targets, self._workload_of)
        self._board.restless = restless(records)
        self._watch.follow(self._targets)
        self._dead_man.follow(self._targets)

    def is_news(self, reading: Reading, heard_at: datetime | None) -> bool:
        """Whether a reading could change a decision."""
        memory, target = self._ground.memory, self._targets.get(reading.instance_id)
        stream = None if target is None else stream_named(self._ground.desired, target.slot)
        if target is None or stream is None:
            return True
        record, listing = memory.records.get(target.slot), self._survey.listing_now()
        return is_news(reading, heard_at, record, stream.policy, memory.started_at, listing)

    def place_of(self, instance_id: InstanceId) -> Place:
        """Say whose viewers see a rental's picture: nobody's, of a host to come and of a spare."""
        target = self._targets.get(instance_id)
        if target is None:
            return Place()
        record = self._ground.memory.records.get(target.slot)
        tenure = None if record is None else record.tenure
        is_seen = tenure is not None and tenure.instance_id == instance_id
        return Place(
            slot=target.slot if is_seen and not is_spare(target.slot) else None,
            stale_s=target.probe_stale_s,
        )
