"""Which rentals are watched, and which readings of them are worth a decision. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from keeper.core.belief import is_moved_by
from keeper.core.conditions import KINDS, REACHABLE, RENTED, RUNNING, STREAMING
from keeper.core.model import (
    Instance,
    InstanceId,
    Policy,
    Reading,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Subject,
    Tenure,
    is_spare,
    stream_of,
)
from keeper.core.moments import elapsed_s
from keeper.core.silence import silent_at
from keeper.core.spare import SpareKind
from keeper.core.whereabouts import CUT_S, NOBODY_THERE, looks_count_from
from keeper.core.world import Listing
from keeper.daemon.declared import Declared
from keeper.daemon.target import Target
from keeper.workloads import Workload


def targets(
    records: Mapping[SlotId, SlotRecord],
    listing: Listing,
    declared: Declared,
    before: Mapping[InstanceId, Target],
    workload_of: Callable[[SlotId, str], Workload | None],
) -> dict[InstanceId, Target]:
    """Name every rental that runs, or ran when last seen; unchanged ones are the same object."""
    listed = {instance.instance_id: instance for instance in listing.instances}
    streams = {stream.name: stream for stream in declared.desired.streams}
    found: dict[InstanceId, Target] = {}
    for slot, record in records.items():
        stream = streams.get(stream_of(slot))
        if stream is None:
            continue
        for tenure in tenures(record):
            instance = _instance(tenure, listed, before)
            workload = workload_of(slot, tenure.revision)
            if instance is None or tenure.instance_id is None or workload is None:
                continue
            target = Target(
                slot=slot,
                instance=instance,
                workload=workload,
                pinned_host_key=tenure.host_key,
                # A deploy that came to no good end may have started something all the same: if viewers
                # see it, it is on air.
                is_deployed=(
                    tenure.deployed_at is not None
                    or tenure.deploy_unsure_at is not None
                    or tenure.deploy_failures > 0
                ),
                probe_interval_s=stream.policy.probe_interval_s,
                probe_timeout_s=stream.policy.probe_timeout_s,
                probe_stale_s=stream.policy.probe_stale_s,
                dead_man_after_s=_dead_man_after_s(slot, stream, declared),
                is_guarded=tenure.is_guarded,
                is_incoming=tenure is record.incoming,
                is_handing_over=record.incoming is not None,
            )
            known = before.get(tenure.instance_id)
            found[tenure.instance_id] = known if known == target else target
    return found


def _dead_man_after_s(slot: SlotId, stream: Stream, declared: Declared) -> float | None:
    """Return after how long a host is to stop itself; None: it is not to.

    A guard begins with its container and counts from when it was last fed: one on a spare that has
    stood still for days would stop it again as soon as it is started.
    """
    is_to_stand = is_spare(slot) and stream.spares.kind is SpareKind.STOPPED
    return None if is_to_stand or not declared.api_url else stream.policy.dead_man_after_s


def is_news(
    reading: Reading,
    heard_at: datetime | None,
    record: SlotRecord | None,
    policy: Policy,
    started_at: datetime,
    listing: Listing | None,
) -> bool:
    """Whether a reading could change a decision, as far as one alone can tell.

    It does while it still counts, and when it is the first that its witness has said since something
    about the rental became known: then it is fresh evidence.
    """
    if record is None:
        return True
    of_it = (each for each in tenures(record) if each.instance_id == reading.instance_id)
    tenure = next(of_it, None)
    if tenure is None or len(tenure.conditions) != len(KINDS):
        return True
    if is_moved_by(tenure, reading, policy, started_at):
        return True
    if reading.status is Status.UNKNOWN:
        return False
    if heard_at is None or heard_at < started_at:
        return True
    if reading.subject is not Subject.PICTURE:
        return False
    rented = tenure.conditions[RENTED]
    if rented.status is not Status.TRUE and heard_at < rented.since:
        return True
    if reading.reason not in NOBODY_THERE or not _may_have_moved(tenure, record):
        return False
    linked_at = tenure.conditions[REACHABLE].since
    return listing is None or heard_at <= looks_count_from(listing, linked_at, policy)


def _may_have_moved(tenure: Tenure, record: SlotRecord) -> bool:
    """Whether its link may have been cut with the picture (``core.whereabouts.may_have_moved``)."""
    link = tenure.conditions[REACHABLE]
    dark_since = min(tenure.conditions[STREAMING].since, tenure.conditions[RUNNING].since)
    if record.dark_since is not None:
        dark_since = min(dark_since, record.dark_since)
    return link.status is Status.TRUE and elapsed_s(link.since, dark_since) <= CUT_S


def silence_at(
    records: Mapping[SlotId, SlotRecord],
    streams: Iterable[Stream],
    heard_at: Mapping[tuple[InstanceId, Subject], datetime],
    started_at: datetime,
) -> datetime | None:
    """Return when a witness of any slot would count as silent, as far as it was heard until now."""
    stale_s = {stream.name: stream.policy.probe_stale_s for stream in streams}
    ends = []
    for slot, record in records.items():
        after_s = stale_s.get(stream_of(slot))
        if after_s is not None:
            ends += [silent_at(each, heard_at, started_at, after_s) for each in tenures(record)]
    return min([at for at in ends if at is not None], default=None)


def restless(records: Mapping[SlotId, SlotRecord]) -> frozenset[InstanceId]:
    """Name the rentals that are proving themselves or ailing: each reading of them may decide."""
    return frozenset(
        tenure.instance_id
        for record in records.values()
        for tenure in tenures(record)
        if tenure.instance_id is not None
        and (record.incoming or record.dark_since or not tenure.first_live_at)
    )


def tenures(record: SlotRecord) -> tuple[Tenure, ...]:
    """The rentals of a slot: the serving one and, while handing over, the incoming one."""
    if record.incoming is None:
        return () if record.tenure is None else (record.tenure,)
    return (record.incoming,) if record.tenure is None else (record.tenure, record.incoming)


def _instance(
    tenure: Tenure,
    listed: Mapping[InstanceId, Instance],
    before: Mapping[InstanceId, Target],
) -> Instance | None:
    if tenure.instance_id is None:
        return None
    if tenure.stop_asked_at is not None and tenure.start_asked_at is None:
        return None  # it is to stand still by keeper's own order: nobody is at home
    instance = listed.get(tenure.instance_id)
    known = before.get(tenure.instance_id)
    if instance is None and known is not None:
        return known.instance  # missing from one listing is not gone: keep looking
    if tenure.running_at is None and known is None:
        return None  # still booting: nobody is at home yet
    return instance
