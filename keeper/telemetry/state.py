"""What a snapshot says in numbers, and what adds up between two snapshots. Pure values in and out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import inf

from keeper.core.cause import Trait
from keeper.core.conditions import condition_of
from keeper.core.model import (
    ConditionKind,
    InstanceId,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
    Tenure,
    is_spare,
    stream_of,
)
from keeper.core.pauses import of_slots
from keeper.core.reasons import Reason
from keeper.core.revisions import find, is_bad
from keeper.core.spare_state import SPARE_STATES, spare_state
from keeper.core.spend import burn_dollars_per_hour, runway_s
from keeper.core.strays import strays
from keeper.core.windows import Allowance
from keeper.core.world import Pause, Snapshot, World
from keeper.telemetry.metrics import Samples
from keeper.telemetry.money import money_gauges
from keeper.telemetry.viewer import viewer_gauges

# Shown as 0 while they let acts through, so that a rule can tell "not tripped" from "not measured".
FUSES: tuple[Reason, ...] = (
    Reason.NOT_LEADER,
    Reason.PAUSED,
    Reason.OWN_NETWORK_DOWN,
    Reason.MARKET_UNREADABLE,
    Reason.MASS_FAILURE,
    Reason.COMMON_CAUSE,
    Reason.OUT_OF_CREDIT,
)


def gauges(snapshot: Snapshot) -> Samples:
    """Read every state gauge off a snapshot."""
    world, records = snapshot.world, snapshot.records
    tripped = set(snapshot.plan.fuses)
    samples: Samples = {
        "keeper_paused": [((), float(world.pause is not None))],
        "keeper_silences": [((), float(sum(each.until > snapshot.at for each in world.silences)))],
        "keeper_paused_slots": [((), float(len(of_slots(world.slot_pauses))))],
        "keeper_pause_end_timestamp_seconds": _pauses(world, records.keys()),
        "keeper_open_windows": [
            ((allow.value,), float(sum(each.allow is allow for each in world.windows)))
            for allow in Allowance
        ],
        "keeper_fuse_tripped": [
            ((reason.value,), float(reason in tripped))
            for reason in (*FUSES, *sorted(tripped.difference(FUSES)))
        ],
        "keeper_common_cause_hosts": _causes(snapshot),
        "keeper_deploy_bad": [
            ((stream.name,), float(is_bad(find(snapshot.revisions.get(stream.name, ()), name))))
            for stream in snapshot.desired.streams
            if (name := stream.revision)
        ],
        "keeper_deploy_hosts": list(_deploys(snapshot)),
        "keeper_stream_on_air": [
            ((stream_of(slot), slot), float(is_on_air(record)))
            for slot, record in records.items()
            if not is_spare(slot)
        ],
        "keeper_slate_on": [
            ((stream,), float(shown.is_on)) for stream, shown in sorted(snapshot.slates.items())
        ],
        "keeper_symptom": _symptoms(records.values()),
        "keeper_slots": _conditions(r for slot, r in records.items() if not is_spare(slot)),
        "keeper_spares": _spares(snapshot),
        "keeper_spend_dollars_per_hour": [
            ((stream,), dollars) for stream, dollars in sorted(spend(snapshot).items())
        ],
        "keeper_rentals": [
            ((stream,), float(count)) for stream, count in sorted(_rentals(snapshot).items())
        ],
        "keeper_condemned_rentals": [((), float(len(snapshot.plan.condemned)))],
        "keeper_orphans": [((), float(len(strays(snapshot))))],
        "keeper_market_readable": [
            ((), float(world.listing is not None and world.unreadable_since is None))
        ],
    }
    if world.listing is not None:
        age_s = (snapshot.at - world.listing.at).total_seconds()
        samples["keeper_listing_age_seconds"] = [((), max(0.0, age_s))]
    if world.account is not None:
        samples["keeper_account_credit_dollars"] = [((), world.account.spendable_dollars)]
    left_s = runway_s(world.account, burn_dollars_per_hour(world, records))
    if left_s is not None:
        samples["keeper_account_runway_seconds"] = [((), left_s)]
    return samples | viewer_gauges(snapshot) | money_gauges(snapshot)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """What two snapshots in a row show to have ended between them, in seconds, by stream."""

    detected_s: tuple[tuple[StreamName, float], ...] = ()  # first bad look to belief
    started_s: tuple[tuple[StreamName, float], ...] = ()  # order of a rental to its first good look


@dataclass(slots=True)
class Accruals:
    """What adds up while keeper looks: dollars and replacements, per stream."""

    dollars: dict[StreamName, float] = field(default_factory=dict)
    replacements: dict[StreamName, int] = field(default_factory=dict)
    before: Snapshot | None = None
    spared: set[str] = field(default_factory=set)  # labels of rentals that have been spares

    def add(self, snapshot: Snapshot) -> Lived:
        """Add what happened since the snapshot before. A clock that stepped back adds nothing."""
        before, self.before = self.before, snapshot
        known = {stream_of(slot) for slot in snapshot.records} | spend(snapshot).keys()
        for totals in (self.dollars, self.replacements):
            for gone in totals.keys() - known:
                del totals[gone]  # nothing of the stream is left, so nothing more can add up
            for stream in known - totals.keys():
                totals[stream] = 0
        self._remember_spares(snapshot)
        if before is None:
            return Lived()
        elapsed_s = max(0.0, (snapshot.at - before.at).total_seconds())
        for stream, dollars in spend(before).items():
            if stream in self.dollars:
                self.dollars[stream] += dollars * elapsed_s / 3600.0
        for slot, record in snapshot.records.items():
            stream = stream_of(slot)
            old = before.records.get(slot)
            is_counted = old is not None and not is_spare(slot)
            if is_counted and old is not None and record.replaced_at != old.replaced_at:
                self.replacements[stream] += len(set(record.replaced_at) - set(old.replaced_at))
        return Lived(
            detected_s=tuple(_detected(before, snapshot)),
            started_s=tuple(_started(before, snapshot, self.spared)),
        )

    def _remember_spares(self, snapshot: Snapshot) -> None:
        present = set()
        for slot, record in snapshot.records.items():
            labels = {each.label for each in _tenures(record)}
            present |= labels
            if is_spare(slot):
                self.spared |= labels
        self.spared &= present

    def samples(self) -> Samples:
        """Return the counters that are kept here."""
        return {
            "keeper_spend_dollars_total": [((s,), n) for s, n in sorted(self.dollars.items())],
            "keeper_replacements_total": [
                ((s,), float(n)) for s, n in sorted(self.replacements.items())
            ],
        }


def _detected(before: Snapshot, after: Snapshot) -> Iterator[tuple[StreamName, float]]:
    for slot, record in after.records.items():
        old = before.records.get(slot)
        if record.dark_since is not None and old is not None and old.dark_since is None:
            yield stream_of(slot), max(0.0, (after.at - record.dark_since).total_seconds())


def _started(
    before: Snapshot, after: Snapshot, spared: AbstractSet[str]
) -> Iterator[tuple[StreamName, float]]:
    """Yield how long hosts took that were seen good for the first time.

    What was seen before and is to be seen anew (a host that takes over) is no start of a new host, and
    a spare has waited for its turn.
    """
    coming = {
        tenure.label
        for record in before.records.values()
        for tenure in _tenures(record)
        if tenure.first_live_at is None and tenure.warm_at is None and tenure.label not in spared
    }
    for slot, record in after.records.items():
        for tenure in _tenures(record):
            if tenure.first_live_at is not None and tenure.label in coming:
                took_s = (tenure.first_live_at - tenure.requested_at).total_seconds()
                yield stream_of(slot), max(0.0, took_s)


def is_on_air(record: SlotRecord) -> bool:
    """Whether the viewer sees the slot's picture. Not knowing for a moment is not dark."""
    tenure = record.tenure
    return tenure is not None and tenure.first_live_at is not None and record.dark_since is None


def spend(snapshot: Snapshot) -> dict[StreamName, float]:
    """Return dollars per hour by stream, at the listed price where a rental is listed.

    A condemned rental of no slot (an orphan that is being ended) counts under the empty name.
    """
    listing = snapshot.world.listing
    listed = (
        {instance.instance_id: instance.dollars_per_hour for instance in listing.instances}
        if listing is not None
        else {}
    )
    totals: dict[StreamName, float] = {}
    for slot, record in snapshot.records.items():
        stream = stream_of(slot)
        totals.setdefault(stream, 0.0)
        for tenure in _tenures(record):
            totals[stream] += _price(tenure.instance_id, tenure.dollars_per_hour, listed)
    for condemned in snapshot.plan.condemned:
        stream = stream_of(condemned.slot) if condemned.slot is not None else StreamName("")
        price = _price(condemned.instance_id, condemned.dollars_per_hour, listed)
        totals[stream] = totals.get(stream, 0.0) + price
    return totals


def _tenures(record: SlotRecord) -> Iterator[Tenure]:
    for tenure in (record.tenure, record.incoming):
        if tenure is not None and tenure.instance_id is not None:
            yield tenure


def _price(
    instance_id: InstanceId | None, agreed: float, listed: Mapping[InstanceId, float]
) -> float:
    return agreed if instance_id is None else listed.get(instance_id, agreed)


def _rentals(snapshot: Snapshot) -> Counter[StreamName]:
    counts = Counter[StreamName]({stream.name: 0 for stream in snapshot.desired.streams})
    for slot, record in snapshot.records.items():
        counts[stream_of(slot)] += sum(1 for _ in _tenures(record))
    return counts


def _spares(snapshot: Snapshot) -> list[tuple[tuple[str, ...], float]]:
    counts: Counter[tuple[str, str]] = Counter(
        {
            (stream.name, state): 0
            for stream in snapshot.desired.streams
            if stream.spares.count
            for state in SPARE_STATES
        }
    )
    for slot, record in snapshot.records.items():
        if is_spare(slot):
            counts[stream_of(slot), spare_state(record)] += 1
    return [(labels, float(count)) for labels, count in sorted(counts.items())]


def _pauses(world: World, slots: AbstractSet[SlotId]) -> list[tuple[tuple[str, ...], float]]:
    """Give the ends of pauses. One may outlive its slot, and is then nobody's."""
    paused = of_slots(world.slot_pauses).items()
    every: dict[str, Pause] = {slot: pause for slot, pause in paused if slot in slots}
    if world.pause is not None:
        every[""] = world.pause
    return [
        ((slot,), inf if pause.until is None else pause.until.timestamp())
        for slot, pause in sorted(every.items())
    ]


def _causes(snapshot: Snapshot) -> list[tuple[tuple[str, ...], float]]:
    found = {cause.trait: cause.failed for cause in snapshot.plan.causes}
    return [((trait.value,), float(found.get(trait, 0))) for trait in Trait]


def _deploys(snapshot: Snapshot) -> Iterator[tuple[tuple[str, ...], float]]:
    for stream in snapshot.desired.streams:
        hosts = Counter({"declared": 0, "other": 0})
        for slot in stream.slots:
            record = snapshot.records.get(slot)
            tenure = record.tenure if record is not None else None
            if tenure is not None and tenure.deployed_at is not None:
                is_declared = tenure.revision == stream.revision and not tenure.putting
                hosts["declared" if is_declared else "other"] += 1
        if stream.revision:
            yield from (((stream.name, runs), float(count)) for runs, count in hosts.items())


def _symptoms(records: Iterable[SlotRecord]) -> list[tuple[tuple[str, ...], float]]:
    found = []
    for record in records:
        working = condition_of(record.tenure, ConditionKind.WORKING)
        if working is not None and working.symptom is not None:
            found.append(((stream_of(record.slot), record.slot, working.symptom.code), 1.0))
    return sorted(found)


def _conditions(records: Iterable[SlotRecord]) -> list[tuple[tuple[str, ...], float]]:
    counts = Counter({(kind.value, status.value): 0 for kind in ConditionKind for status in Status})
    for record in records:
        judged = (
            {} if record.tenure is None else {c.kind: c.status for c in record.tenure.conditions}
        )
        # Nothing can hold of a slot without a rental; of a rental nobody has judged it is unknown.
        missing = Status.FALSE if record.tenure is None else Status.UNKNOWN
        for kind in ConditionKind:
            counts[kind.value, judged.get(kind, missing).value] += 1
    return [(labels, float(count)) for labels, count in sorted(counts.items())]
