"""Every small world, one after the other: how they are built, and how many there are.

A world is a multiset of *places* (slots and loose rentals) under one *weather* (what the fleet may
do), one market and one budget. Slots of a stream are alike and so are hosts, so worlds that differ
only by which slot or which machine it is are one world here. ``docs/reliability.md`` says what is
left out. This file is the model: a new kind of place, weather or limit is a row of a table below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from itertools import combinations_with_replacement, product

from typing_extensions import override

from keeper.core.labels import label_for
from keeper.core.meter import Meter, Tally, day_of
from keeper.core.model import (
    Condemned,
    ConditionKind,
    Desired,
    FleetPolicy,
    HostId,
    Instance,
    InstanceId,
    Intent,
    IntentId,
    IntentKind,
    MachineId,
    MarketState,
    Mode,
    Offer,
    OfferId,
    Quarantine,
    RemedyUse,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    StreamName,
    Subject,
    Tenure,
    slot_id,
)
from keeper.core.reasons import Reason
from keeper.core.world import AccountSeen, Listing, OfferBook, Pause, World
from tests.builders import (
    KEEPER_ID,
    NOW,
    a_condition,
    a_stream,
    a_tenure,
    ago,
    an_instance,
    an_offer,
    conditions,
)

STREAM = StreamName("duel")
HOSTS_MAX = 4
SLOTS_MAX = 4
OFFERS_MAX = 3
LISTED_AT = ago(5)
# What each rental costs; the offers are cheaper and dearer than that.
HOST_DOLLARS = 0.50
CHEAP_DOLLARS, DEAR_DOLLARS = 0.40, 0.80
USED_DOLLARS = 7.0  # today
QUARANTINED_MACHINE = MachineId(299)


class Health(StrEnum):
    """What the witnesses say of a host."""

    GOOD = "good"
    BAD = "bad"  # for minutes, with every cheaper remedy used up: its replacement is due
    UNKNOWN = "unknown"  # nobody has heard of it


class Shown(StrEnum):
    """What the marketplace says of a rental, whatever the witnesses say."""

    RUNNING = "running"
    STOPPED = "stopped"  # for minutes
    SKIPPED = "skipped"  # two listings without it; by its id it is still there
    GONE = "gone"  # two listings without it, and by its id nothing


class Loose(StrEnum):
    """A rental that sits in no slot."""

    CONDEMNED = "condemned"  # told to end, and still listed
    FADING = "fading"  # told to end; one listing without it
    ENDED = "ended"  # told to end; all three witnesses agree
    STUBBORN = "stubborn"  # told to end often, never with an answer
    STRAY = "stray"  # our label, our journal, no slot
    ORPHAN = "orphan"  # a keeper's label that our journal does not know, seen for the second time
    FOREIGN = "foreign"  # somebody else's


class Creating(StrEnum):
    """A create whose answer was lost."""

    UNSEEN = "unseen"  # a later listing lacks it, not yet for long
    SEEN = "seen"  # the listing shows its label
    LOST = "lost"  # listings have lacked it for as long as is waited


class Good(StrEnum):
    """An offer."""

    CHEAP = "cheap"
    DEAR = "dear"
    UNSUITABLE = "unsuitable"  # of a machine in quarantine


class Budget(StrEnum):
    """What the limits leave room for, beside what is committed already."""

    AMPLE = "ample"
    TIGHT = "tight"  # one cheap host, not a dear one
    NONE = "none"
    SPENT = "spent"  # the day's cap is used up: the hard stop


class Limit(StrEnum):
    """Which limit is the one that binds. Worlds take turns; each must hold like the others."""

    OF_STREAM_PER_HOUR = "of_stream_per_hour"
    OF_FLEET_PER_HOUR = "of_fleet_per_hour"
    OF_STREAM_PER_DAY = "of_stream_per_day"
    OF_FLEET_PER_DAY = "of_fleet_per_day"


class Weather(StrEnum):
    """What the fleet may do, and what was asked of it."""

    CALM = "calm"
    PAUSED = "paused"
    SLOT_PAUSED = "slot_paused"  # the first slot
    UNREADABLE = "unreadable"  # the last listing failed
    OUTAGE = "outage"  # none for minutes
    UNREAD = "unread"  # none since this process began
    BLIND = "blind"  # the ops box's own network fails
    NOT_LEADER = "not_leader"
    STOPPING = "stopping"
    NO_CREDIT = "no_credit"
    OBSERVE = "observe"
    SUGGEST = "suggest"
    REMOVED = "removed"  # the stream is no longer declared
    REPLACE_ORDERED = "replace_ordered"  # of the first slot
    DESTROY_ORDERED = "destroy_ordered"
    PAUSED_DESTROY_ORDERED = "paused_destroy_ordered"


# In these nothing may be rented or given up, whatever is on the market.
CLOSED = (
    Weather.PAUSED, Weather.UNREADABLE, Weather.OUTAGE, Weather.UNREAD, Weather.BLIND,
    Weather.NOT_LEADER, Weather.STOPPING, Weather.OBSERVE, Weather.SUGGEST,
)  # fmt: skip
# The marketplace shows nothing that could be believed.
UNLISTED = (Weather.UNREADABLE, Weather.OUTAGE, Weather.UNREAD)
ORDERED = (Weather.REPLACE_ORDERED, Weather.DESTROY_ORDERED, Weather.PAUSED_DESTROY_ORDERED)
# In these the first slot is unlike the others, so each slot of a world takes its turn.
WITH_A_FIRST = (Weather.SLOT_PAUSED, *ORDERED)


@dataclass(frozen=True, slots=True)
class Host:
    """One seated rental: what witnesses and marketplace say of it."""

    health: Health
    shown: Shown


@dataclass(frozen=True, slots=True)
class Place:
    """A slot with what sits in it. Both None: vacant."""

    serving: Host | Creating | None = None
    incoming: Host | Creating | None = None

    @property
    def hosts(self) -> int:
        return (self.serving is not None) + (self.incoming is not None)


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The places that worlds are made of."""

    slots: tuple[Place, ...]
    loose: tuple[Loose, ...]


HOSTS = tuple(Host(health, shown) for health in Health for shown in Shown)


def _alphabet(
    hosts: tuple[Host, ...], creating: tuple[Creating, ...], loose: tuple[Loose, ...]
) -> Alphabet:
    return Alphabet(
        slots=(
            *(Place(host) for host in hosts),
            *(Place(create) for create in creating),
            *(Place(host, incoming) for host in hosts for incoming in hosts),
            *(Place(host, create) for host in hosts for create in creating),
        ),
        loose=loose,
    )


WHOLE = _alphabet(HOSTS, tuple(Creating), tuple(Loose))
# Only the healths: the marketplace calls every host running.
HEALTHS = _alphabet(
    tuple(host for host in HOSTS if host.shown is Shown.RUNNING), tuple(Creating), tuple(Loose)
)
# Each kind of evidence once: what four hosts can do to each other, without every shade of each.
PLAIN = _alphabet(
    tuple(host for host in HOSTS if host.shown in (Shown.RUNNING, Shown.GONE)),
    (Creating.UNSEEN, Creating.SEEN),
    (Loose.CONDEMNED, Loose.STRAY, Loose.FOREIGN),
)
MARKETS: tuple[tuple[Good, ...], ...] = tuple(
    goods
    for size in range(OFFERS_MAX + 1)
    for goods in combinations_with_replacement(tuple(Good), size)
)


@dataclass(frozen=True, slots=True)
class Small:
    """One small world, as a description."""

    slots: tuple[Place, ...]
    loose: tuple[Loose, ...] = ()
    weather: Weather = Weather.CALM
    budget: Budget = Budget.AMPLE
    market: tuple[Good, ...] = ()


def layouts(
    hosts: int, slots: int = SLOTS_MAX, alphabet: Alphabet = WHOLE
) -> Iterator[tuple[tuple[Place, ...], tuple[Loose, ...]]]:
    """Yield every choice of places with exactly so many hosts and at most so many slots."""
    singles = tuple(place for place in alphabet.slots if place.hosts == 1)
    doubles = tuple(place for place in alphabet.slots if place.hosts > 1)
    for pairs in range(hosts // 2 + 1):
        for alone in range(hosts - 2 * pairs + 1):
            rest = hosts - 2 * pairs - alone
            if pairs + alone > slots:
                continue
            for seated in product(
                combinations_with_replacement(doubles, pairs),
                combinations_with_replacement(singles, alone),
                combinations_with_replacement(alphabet.loose, rest),
                range(slots - pairs - alone + 1),
            ):
                two, one, loose, vacant = seated
                places = (*two, *one, *(Place(),) * vacant)
                if places:
                    yield places, loose


def turned(places: tuple[Place, ...]) -> Iterator[tuple[Place, ...]]:
    """Yield the same slots with each different one in the first place, once."""
    for position in range(len(places)):
        if position == 0 or places[position] != places[position - 1]:
            yield (places[position], *places[:position], *places[position + 1 :])


# --- from a description to a world -----------------------------------------------------------------


class Watched(dict[StreamName, OfferBook]):
    """Offers that know whether they were looked at: where not, any other market is the same world."""

    was_asked = False

    @override
    def __getitem__(self, name: StreamName) -> OfferBook:
        self.was_asked = True
        return super().__getitem__(name)

    @override
    def get(self, name: StreamName, default: OfferBook | None = None) -> OfferBook | None:  # type: ignore[override]
        self.was_asked = True
        return super().get(name, default)


@dataclass(slots=True)
class Parts:
    """What one place or one loose rental adds to a world."""

    record: SlotRecord | None = None
    instances: tuple[Instance, ...] = ()
    shown: Mapping[InstanceId, Instance | None] = field(default_factory=dict)
    heard: Mapping[tuple[InstanceId, Subject], datetime] = field(default_factory=dict)
    condemned: Condemned | None = None
    intent: Intent | None = None
    committed: float = 0.0  # dollars per hour that it may bill
    known_orphan: InstanceId | None = None


def build(small: Small) -> tuple[World, Desired]:
    """Make the world of a description."""
    parts = [_slot_parts(number, place) for number, place in enumerate(small.slots)]
    parts += [_loose_parts(number, loose) for number, loose in enumerate(small.loose)]
    records: dict[SlotId, SlotRecord] = {}
    instances: list[Instance] = []
    shown: dict[InstanceId, Instance | None] = {}
    heard: dict[tuple[InstanceId, Subject], datetime] = {}
    for part in parts:
        if part.record is not None:
            records[part.record.slot] = part.record
        instances.extend(part.instances)
        shown.update(part.shown)
        heard.update(part.heard)
    known = frozenset(p.known_orphan for p in parts if p.known_orphan is not None)
    world = World(
        keeper_id=KEEPER_ID,
        records=records,
        listing=Listing(instances=tuple(instances), at=LISTED_AT),
        shown=shown,
        offers=Watched({STREAM: _book(small.market)}),
        heard_at=heard,
        condemned=tuple(p.condemned for p in parts if p.condemned is not None),
        intents=tuple(p.intent for p in parts if p.intent is not None),
        quarantine=_QUARANTINE,
        orphans_known=known,
        orphans_seen_at=dict.fromkeys(known, ago(65)),
        started_at=ago(7200),
        meter=_METER,
    )
    desired = _desired(small, sum(part.committed for part in parts))
    return _under(small.weather, world, desired)


def _desired(small: Small, committed: float) -> Desired:
    room = {
        Budget.AMPLE: 100.0,
        # A limit that is crossed already is as good as one that is just met.
        Budget.TIGHT: (CHEAP_DOLLARS + DEAR_DOLLARS) / 2,
        Budget.NONE: CHEAP_DOLLARS / 2,
        Budget.SPENT: 0.0,
    }[small.budget]
    limit = Limit.OF_FLEET_PER_DAY
    if small.budget is not Budget.SPENT:
        turn = len(small.slots) + sum(place.hosts for place in small.slots) + len(small.loose)
        limit = tuple(Limit)[turn % len(Limit)]
    per_hour = round(committed + room, 6)
    # A spend of the day must fit for an hour more.
    per_day = USED_DOLLARS + (per_hour if small.budget is not Budget.SPENT else 0.0)
    return _desire(len(small.slots), limit, per_hour, per_day)


@cache
def _desire(slots: int, limit: Limit, per_hour: float, per_day: float) -> Desired:
    far = 1000.0
    is_daily = limit in (Limit.OF_STREAM_PER_DAY, Limit.OF_FLEET_PER_DAY)
    stream = replace(
        _STREAM,
        replicas=slots,
        spend_max_dollars_per_hour=per_hour if limit is Limit.OF_STREAM_PER_HOUR else far,
        spend_max_dollars_per_day=per_day if limit is Limit.OF_STREAM_PER_DAY else None,
    )
    fleet = FleetPolicy(
        spend_max_dollars_per_hour=per_hour if limit is Limit.OF_FLEET_PER_HOUR else far,
        spend_max_dollars_per_day=per_day
        if is_daily and stream.spend_max_dollars_per_day is None
        else None,
    )
    return Desired(streams=(stream,), fleet=fleet)


def _under(weather: Weather, world: World, desired: Desired) -> tuple[World, Desired]:
    if weather in _MODES:
        return world, _in_mode(desired, _MODES[weather])
    if weather is Weather.REMOVED:
        return world, replace(desired, streams=())
    return _CHANGED[weather](world), desired


def _in_mode(desired: Desired, mode: Mode) -> Desired:
    return replace(desired, streams=tuple(replace(each, mode=mode) for each in desired.streams))


def _asked(world: World, slot: SlotId, **asked: datetime) -> World:
    if slot not in world.records:
        return world
    record = replace(world.records[slot], **asked)  # type: ignore[arg-type]
    return replace(world, records={**world.records, slot: record})


def _cut_off(world: World) -> World:
    assert world.listing is not None
    return replace(world, listing=replace(world.listing, at=ago(400)), unreadable_since=ago(390))


_FIRST = slot_id(STREAM, 0)
_PAUSE = Pause(since=ago(60), until=None, actor="ada", reason="maintenance")
_MODES = {Weather.OBSERVE: Mode.OBSERVE, Weather.SUGGEST: Mode.SUGGEST}
_CHANGED: Mapping[Weather, Callable[[World], World]] = {
    Weather.CALM: lambda world: world,
    Weather.PAUSED: lambda world: replace(world, pause=_PAUSE),
    Weather.SLOT_PAUSED: lambda world: replace(world, slot_pauses={_FIRST: _PAUSE}),
    Weather.UNREADABLE: lambda world: replace(world, unreadable_since=ago(2)),
    Weather.OUTAGE: _cut_off,
    Weather.UNREAD: lambda world: replace(world, listing=None, shown={}),
    Weather.BLIND: lambda world: replace(world, own_network=Status.FALSE),
    Weather.NOT_LEADER: lambda world: replace(world, is_leader=False),
    Weather.STOPPING: lambda world: replace(world, is_stopping=True),
    Weather.NO_CREDIT: lambda world: replace(
        world, account=AccountSeen(spendable_dollars=0.0, at=ago(9), empty_at=ago(9))
    ),
    Weather.REPLACE_ORDERED: lambda world: _asked(world, _FIRST, replace_asked_at=ago(3)),
    Weather.DESTROY_ORDERED: lambda world: _asked(world, _FIRST, destroy_asked_at=ago(3)),
    Weather.PAUSED_DESTROY_ORDERED: lambda world: _asked(
        replace(world, slot_pauses={_FIRST: _PAUSE}, pause=_PAUSE),
        _FIRST,
        destroy_asked_at=ago(3),
    ),
}


# --- the pieces ------------------------------------------------------------------------------------

_METER = Meter(
    metered_at=NOW, tallies={day_of(NOW): {STREAM: Tally(dollars=USED_DOLLARS, good_s=0.0)}}
)
_STREAM: Stream = a_stream(STREAM)
_QUARANTINE = {
    QUARANTINED_MACHINE: Quarantine(
        machine_id=QUARANTINED_MACHINE, host_id=HostId(399), strikes=1,
        until=ago(-3600), reason=Reason.BOOT_STUCK,
    )
}  # fmt: skip
# Everything cheaper than another host has been tried, within its window.
_SPENT = tuple(
    RemedyUse(rung=rung, at=ago(seconds))
    for rung, seconds in (
        (Rung.RESTART_PROCESS, 900), (Rung.RESTART_PROCESS, 800), (Rung.RESTART_PROCESS, 700),
        (Rung.RESTART_WORKLOAD, 600), (Rung.REBOOT, 500),
    )
)  # fmt: skip
_DARK = ago(400)


@cache
def _slot_parts(number: int, place: Place) -> Parts:
    slot = slot_id(STREAM, number)
    serving = _seat_parts(slot, 10 * number + 1, 1, place.serving)
    incoming = _seat_parts(slot, 10 * number + 2, 2, place.incoming)
    was_good = place.serving is None or isinstance(place.serving, Host)
    is_dark = isinstance(place.serving, Host) and place.serving.health is Health.BAD
    record = SlotRecord(
        slot=slot,
        attempt=2,
        serial=7,
        tenure=serving[0],
        incoming=incoming[0],
        remedies=_SPENT if is_dark else (),
        ever_on_air=was_good,
        dark_since=_DARK if is_dark else None,
        healthy_since=None if is_dark or not was_good else ago(3000),
    )
    return Parts(
        record=record,
        instances=serving[1].instances + incoming[1].instances,
        shown={**serving[1].shown, **incoming[1].shown},
        heard={**serving[1].heard, **incoming[1].heard},
        intent=serving[1].intent or incoming[1].intent,
        committed=serving[1].committed + incoming[1].committed,
    )


def _seat_parts(
    slot: SlotId, number: int, attempt: int, what: Host | Creating | None
) -> tuple[Tenure | None, Parts]:
    if what is None:
        return None, Parts()
    label = label_for(KEEPER_ID, slot, attempt)
    machine_id = MachineId(200 + number)
    common = a_tenure(
        label=label,
        attempt=attempt,
        offer_id=OfferId(900 + number),
        machine_id=machine_id,
        host_id=HostId(300 + number),
        dollars_per_hour=HOST_DOLLARS,
        offered_dollars_per_hour=HOST_DOLLARS,
        instance_id=InstanceId(7000 + number),
    )
    instance = an_instance(
        7000 + number,
        label,
        machine_id=machine_id,
        host_id=HostId(300 + number),
        dollars_per_hour=HOST_DOLLARS,
        disk_dollars_per_hour=0.05,
    )
    if isinstance(what, Creating):
        return _creating(slot, common, instance, what)
    return _hosted(common, instance, what)


def _creating(
    slot: SlotId, common: Tenure, instance: Instance, what: Creating
) -> tuple[Tenure, Parts]:
    asked_at = ago(200 if what is Creating.LOST else 40)
    tenure = Tenure(
        label=common.label,
        attempt=common.attempt,
        offer_id=common.offer_id,
        machine_id=common.machine_id,
        host_id=common.host_id,
        gpu_name=common.gpu_name,
        dollars_per_hour=common.dollars_per_hour,
        requested_at=asked_at,
        acted_at=asked_at,  # in doubt since then
        missing_since=ago(190) if what is Creating.LOST else None,
        missing_listed_at=ago(35) if what is Creating.LOST else None,
    )
    intent = Intent(
        intent_id=IntentId(f"{slot}#{common.attempt}"),
        kind=IntentKind.RENT,
        slot=slot,
        label=common.label,
        instance_id=None,
        opened_at=asked_at,
        reason=Reason.VACANT,
    )
    seen = (instance,) if what is Creating.SEEN else ()
    return tenure, Parts(instances=seen, intent=intent, committed=HOST_DOLLARS)


def _hosted(common: Tenure, instance: Instance, what: Host) -> tuple[Tenure, Parts]:
    assert common.instance_id is not None
    is_missing = what.shown in (Shown.SKIPPED, Shown.GONE)
    tenure = replace(
        common,
        dead_since=ago(600) if what.shown is Shown.STOPPED else None,
        missing_since=ago(60) if is_missing else None,
        missing_listed_at=ago(35) if is_missing else None,
        conditions=_CONDITIONS[what.health],
        good_in_a_row=6 if what.health is Health.GOOD else 0,
    )
    heard_at = ago(1)
    heard = {(common.instance_id, subject): heard_at for subject in Subject}
    rows: tuple[Instance, ...] = (instance,)
    if what.shown is Shown.STOPPED:
        rows = (replace(instance, state=MarketState.STOPPED),)
    shown: dict[InstanceId, Instance | None] = {}
    if is_missing:
        rows = ()
        shown[common.instance_id] = instance if what.shown is Shown.SKIPPED else None
    return tenure, Parts(
        instances=rows,
        shown=shown,
        heard={} if what.health is Health.UNKNOWN else heard,
        committed=HOST_DOLLARS,
    )


_UNHEARD = {
    kind.value: (Status.UNKNOWN, Reason.SILENT)
    for kind in (ConditionKind.REACHABLE, ConditionKind.RUNNING, ConditionKind.STREAMING)
}
_CONDITIONS = {
    Health.GOOD: conditions(),
    Health.BAD: conditions(
        streaming=a_condition(
            ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=400.0, bad=3
        )
    ),
    Health.UNKNOWN: conditions(**_UNHEARD),
}  # fmt: skip


@cache
def _loose_parts(number: int, what: Loose) -> Parts:
    instance_id = InstanceId(8000 + number)
    slot = slot_id(STREAM, 0)
    label = {
        # Earlier attempts of a slot than those that are seated.
        Loose.STRAY: label_for(KEEPER_ID, slot, 0),
        Loose.ORPHAN: label_for("feedbeef", slot, 1),
        Loose.FOREIGN: "somebody's",
    }.get(what, label_for(KEEPER_ID, slot, 0))
    instance = an_instance(
        8000 + number, label, machine_id=MachineId(280 + number), dollars_per_hour=HOST_DOLLARS
    )
    if what in (Loose.STRAY, Loose.ORPHAN, Loose.FOREIGN):
        return Parts(
            instances=(instance,),
            known_orphan=instance_id if what is Loose.ORPHAN else None,
            committed=HOST_DOLLARS if what is Loose.STRAY else 0.0,
        )
    is_there = what in (Loose.CONDEMNED, Loose.STUBBORN)
    condemned = Condemned(
        label=label,
        instance_id=instance_id,
        slot=slot,
        reason=Reason.LADDER_SPENT,
        condemned_at=ago(120),
        dollars_per_hour=HOST_DOLLARS,
        rented_at=ago(3600),
        tries=4 if what is Loose.STUBBORN else 1,
        next_try_at=ago(1) if what is Loose.STUBBORN else ago(-30),
        accepted_at=None if what is Loose.STUBBORN else ago(110),
        absent_since=None if is_there else ago(60 if what is Loose.ENDED else 5),
        absent_listed_at=None if is_there else ago(5),
    )
    shown: dict[InstanceId, Instance | None] = {}
    if what is Loose.ENDED:
        shown[instance_id] = None
    return Parts(
        instances=(instance,) if is_there else (),
        shown=shown,
        condemned=condemned,
        committed=HOST_DOLLARS,
    )


@cache
def _book(market: tuple[Good, ...]) -> OfferBook:
    return OfferBook(
        offers=tuple(_offer(number, good) for number, good in enumerate(market)), at=ago(1)
    )


def _offer(number: int, good: Good) -> Offer:
    dollars = DEAR_DOLLARS if good is Good.DEAR else CHEAP_DOLLARS
    machine_id = QUARANTINED_MACHINE if good is Good.UNSUITABLE else MachineId(250 + number)
    return an_offer(
        number,
        machine_id=machine_id,
        dollars_per_hour=dollars,
        gpu_dollars_per_hour=dollars - 0.05,
    )
