"""The promises of ports.Store, asked of the real store and of the simulator's alike."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.sql import SqlStore
from keeper.core.flow import Rate
from keeper.core.meter import Dark, Meter, Stop, Tally, Warned
from keeper.core.model import (
    Condemned,
    HostId,
    InstanceId,
    Intent,
    IntentId,
    IntentKind,
    MachineId,
    Quarantine,
    Revision,
    SlotId,
    SlotRecord,
    StreamName,
)
from keeper.core.reasons import Reason
from keeper.core.silences import Matcher, Silence
from keeper.core.world import Pause
from keeper.ports import (
    Batch,
    ChannelOff,
    JournalEntry,
    NoticeKind,
    OutboxRow,
    Receipt,
    Store,
    StoreError,
)
from keeper.sim.disk import Disk, MemoryStore
from keeper.sim.power import Power

NOW = datetime(2026, 11, 21, 3, 4, 5, 678_901, tzinfo=UTC)
DUEL = SlotId("duel/0")
PAINT = SlotId("paint/0")

# Opens the same durable memory anew, as a restarted keeper does.
Opener = Callable[[], Store]


@pytest.fixture(params=["sqlite", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    if request.param == "sqlite":
        return lambda: SqlStore(tmp_path / "keeper.sqlite3", clock=SystemClock())
    disk = Disk(keeper_id="0a1b2c3d")
    return lambda: MemoryStore(disk, Power())


def intent(number: int) -> Intent:
    return Intent(
        intent_id=IntentId(f"i-{number}"),
        kind=IntentKind.RENT,
        slot=DUEL,
        label=f"keeper/0a1b2c3d/duel/0/{number}",
        instance_id=None,
        opened_at=NOW + timedelta(seconds=number),
        reason=Reason.VACANT,
    )


def condemned(number: int) -> Condemned:
    return Condemned(
        label=f"l-{number}",
        instance_id=InstanceId(number),
        slot=None,
        reason=Reason.SUPERSEDED,
        condemned_at=NOW,
        dollars_per_hour=0.5,
    )


def quarantined(machine: int, strikes: int) -> Quarantine:
    return Quarantine(
        machine_id=MachineId(machine),
        host_id=HostId(1),
        strikes=strikes,
        until=NOW,
        reason=Reason.BOOT_STUCK,
    )


def message(notice: str, channel: str = "ops", **changes: object) -> OutboxRow:
    values: dict[str, object] = {
        "notice_id": notice,
        "channel": channel,
        "alert": "KeeperStreamDark",
        "kind": NoticeKind.FIRING,
        "payload": {"summary": "dark", "dollars": 0.5},
        "created_at": NOW,
    }
    return OutboxRow(**{**values, **changes})  # type: ignore[arg-type]


def fact(tick: int, slot: SlotId | None = None, at: datetime = NOW) -> JournalEntry:
    return JournalEntry(at=at, tick=tick, event="slot.seen", slot=slot, facts={"tick": tick})


PAUSE = Pause(since=NOW, until=None, actor="ada", reason="looking")


async def test_a_new_store_is_empty_and_has_an_identity(opened: Opener) -> None:
    store = opened()
    saved = await store.load()
    assert len(saved.keeper_id) == 8
    assert int(saved.keeper_id, 16) >= 0
    assert saved.clean_stop
    assert (saved.records, saved.intents, saved.outbox, saved.pause) == ((), (), (), None)
    await store.close()
    again = opened()
    assert (await again.load()).keeper_id == saved.keeper_id
    await again.close()


async def test_everything_committed_is_there_after_a_restart(opened: Opener) -> None:
    store = opened()
    await store.load()
    record = SlotRecord(slot=DUEL, attempt=2, replaced_at=(NOW,), incident=None)
    await store.commit(
        Batch(
            records=(record, SlotRecord(slot=PAINT)),
            condemned=(condemned(9), condemned(4)),
            intents_opened=(intent(1), intent(2)),
            quarantine=(quarantined(7, 1),),
            pause=PAUSE,
            slot_pauses={PAINT: PAUSE},
            alert_state={"KeeperStreamDark:duel/0": {"since": 5, "told": True}},
            outbox=(message("n-1"), message("n-1", "phone"), message("n-2")),
            journal=(fact(1, DUEL),),
        )
    )
    await store.close()
    again = opened()
    saved = await again.load()
    assert saved.records == (record, SlotRecord(slot=PAINT))
    assert saved.condemned == (condemned(9), condemned(4))  # in the order given
    assert saved.intents == (intent(1), intent(2))
    assert saved.quarantine == (quarantined(7, 1),)
    assert saved.pause == PAUSE
    assert saved.slot_pauses == {PAINT: PAUSE}
    assert saved.alert_state == {"KeeperStreamDark:duel/0": {"since": 5, "told": True}}
    assert {(row.notice_id, row.channel) for row in saved.outbox} == {
        ("n-1", "ops"),
        ("n-1", "phone"),
        ("n-2", "ops"),
    }
    assert saved.outbox[0].payload == {"summary": "dark", "dollars": 0.5}
    (entry,) = await again.journal()
    assert (entry.at, entry.tick, entry.slot, entry.facts) == (NOW, 1, DUEL, {"tick": 1})
    await again.close()


async def test_what_is_replaced_or_taken_back_is_gone(opened: Opener) -> None:
    store = opened()
    await store.load()
    await store.commit(
        Batch(
            records=(SlotRecord(slot=DUEL), SlotRecord(slot=PAINT)),
            condemned=(condemned(1), condemned(2)),
            intents_opened=(intent(1), intent(2)),
            quarantine=(quarantined(7, 1), quarantined(8, 1)),
            pause=PAUSE,
            slot_pauses={DUEL: PAUSE, PAINT: PAUSE},
            alert_state={"a": {}, "b": {}},
            outbox=(message("n-1"), message("n-2"), message("n-3")),
        )
    )
    await store.commit(
        Batch(
            records=(SlotRecord(slot=DUEL, attempt=5),),
            records_deleted=(PAINT, SlotId("never/0")),
            condemned=(condemned(2),),
            intents_closed=(IntentId("i-1"), IntentId("i-never")),
            quarantine=(quarantined(7, 2),),
            quarantine_deleted=(MachineId(8),),
            pause=None,
            slot_pauses={DUEL: PAUSE},
            alert_state={"b": {"n": 1}},
            outbox=(
                message("n-1", delivered_at=NOW),
                message("n-2", given_up=True),
                message("n-3", attempts=2, last_error="503"),
            ),
        )
    )
    await store.close()
    again = opened()
    saved = await again.load()
    assert saved.records == (SlotRecord(slot=DUEL, attempt=5),)
    assert saved.condemned == (condemned(2),)
    assert saved.intents == (intent(2),)
    assert saved.quarantine == (quarantined(7, 2),)
    assert saved.pause is None
    assert saved.slot_pauses == {DUEL: PAUSE}
    assert saved.alert_state == {"b": {"n": 1}}
    assert saved.outbox == (message("n-3", attempts=2, last_error="503"),)
    await again.close()


async def test_what_a_batch_does_not_name_stays(opened: Opener) -> None:
    store = opened()
    await store.load()
    await store.commit(
        Batch(
            condemned=(condemned(1),),
            pause=PAUSE,
            slot_pauses={DUEL: PAUSE},
            alert_state={"a": {}},
        )
    )
    await store.commit(Batch(records=(SlotRecord(slot=DUEL),)))
    await store.commit(Batch())
    await store.close()
    again = opened()
    saved = await again.load()
    assert (saved.condemned, saved.pause) == ((condemned(1),), PAUSE)
    assert (saved.slot_pauses, saved.alert_state) == ({DUEL: PAUSE}, {"a": {}})
    await again.close()


async def test_the_journal_gives_the_newest_facts_oldest_first(opened: Opener) -> None:
    store = opened()
    await store.load()
    for tick in range(1, 6):
        await store.commit(Batch(journal=(fact(tick, DUEL if tick % 2 else PAINT), fact(tick))))
    assert [entry.tick for entry in await store.journal(limit=3)] == [4, 5, 5]
    assert [entry.tick for entry in await store.journal(slot=PAINT)] == [2, 4]
    everything = await store.journal(limit=100)
    assert [entry.seq for entry in everything] == sorted({entry.seq for entry in everything})
    later = await store.journal(after_seq=everything[7].seq)
    assert later == everything[8:]
    assert await store.journal(limit=0) == ()
    assert await store.journal(events=frozenset({"slot.seen"}), limit=2) == everything[-2:]
    assert await store.journal(events=frozenset({"slot.lost"})) == ()
    assert await store.journal(since=NOW, limit=100) == everything
    assert await store.journal(since=NOW + timedelta(seconds=1)) == ()
    await store.close()


async def test_prune_forgets_the_old_and_keeps_what_is_on_its_way(opened: Opener) -> None:
    store = opened()
    await store.load()
    old = NOW - timedelta(days=40)
    await store.commit(
        Batch(
            journal=(fact(1, at=old), fact(2)),
            outbox=(
                message("n-old", created_at=old, delivered_at=old),
                message("n-stuck", created_at=old),
            ),
        )
    )
    last_seq = (await store.journal())[-1].seq
    assert await store.prune(NOW - timedelta(days=30)) == 2
    assert await store.prune(NOW - timedelta(days=30)) == 0
    assert [entry.tick for entry in await store.journal()] == [2]
    await store.commit(Batch(journal=(fact(3),)))
    assert (await store.journal())[-1].seq > last_seq
    await store.close()
    again = opened()
    assert [row.notice_id for row in (await again.load()).outbox] == ["n-stuck"]
    await again.close()


async def test_prune_keeps_what_is_not_yet_that_old(opened: Opener) -> None:
    """To the moment: what is exactly as old stays, a settled message as well as a fact."""
    store = opened()
    await store.load()
    limit = NOW - timedelta(days=30)
    old = limit - timedelta(seconds=1)
    await store.commit(
        Batch(
            journal=(fact(1, at=old), fact(2, at=limit)),
            outbox=(
                message("settled", created_at=limit, delivered_at=limit),
                message("new", created_at=NOW, delivered_at=NOW),
                message("given-up", created_at=old, given_up=True),
                message("stuck", created_at=old),
            ),
        )
    )
    assert await store.prune(limit) == 2  # a fact and the message that was given up
    assert [entry.tick for entry in await store.journal()] == [2]
    assert await store.prune(limit + timedelta(seconds=1)) == 2
    assert await store.prune(NOW + timedelta(seconds=1)) == 1
    await store.close()


async def test_a_stop_without_close_is_not_clean(opened: Opener) -> None:
    store = opened()
    await store.load()
    await store.close()
    again = opened()
    assert (await again.load()).clean_stop
    await again.close()
    await again.close()  # may be repeated


async def test_nothing_is_written_after_close(opened: Opener) -> None:
    store = opened()
    await store.load()
    await store.close()
    with pytest.raises(StoreError):
        await store.commit(Batch(records=(SlotRecord(slot=DUEL),)))


async def test_many_at_once_are_all_written(opened: Opener) -> None:
    store = opened()
    await store.load()
    await asyncio.gather(*(store.commit(Batch(journal=(fact(tick),))) for tick in range(200)))
    assert sorted(entry.tick for entry in await store.journal(limit=500)) == list(range(200))
    await store.close()


async def test_the_ledger_comes_back_whole_though_only_changes_are_written(opened: Opener) -> None:
    duel, paint = StreamName("duel"), StreamName("paint")
    head = Meter(
        metered_at=NOW,
        clock_off_s=-3600.0,
        jumped_on="2026-11-21",
        rates={duel: Rate(dollars_per_hour=0.5, on_air=1)},
        dark={PAINT: Dark(dollars=1.25, dollars_per_hour=0.4)},
        warned={"duel/day@2026-11-21:5": Warned(ratio=0.5, at=NOW, dollars=2.5, reached_at=None)},
        stops={"/total@total": Stop(at=NOW, cap_dollars=100.0)},
    )
    first, second = Tally(dollars=1.5, good_s=60.0), Tally(dollars=2.5, good_s=120.0)
    store = opened()
    assert (await store.load()).meter == Meter()
    await store.commit(
        Batch(
            meter=replace(
                head, tallies={"total": {duel: first, paint: first}, "2026-11-20": {duel: first}}
            )
        )
    )
    await store.commit(
        Batch(
            meter=replace(head, rates={}, tallies={"total": {duel: second}}),
            meter_periods_deleted=("2026-11-20",),
        )
    )
    await store.close()
    again = opened()
    meter = (await again.load()).meter
    assert meter == replace(head, rates={}, tallies={"total": {duel: second, paint: first}})
    await again.close()


async def test_what_was_declared_is_kept_with_what_came_of_it(opened: Opener) -> None:
    first = Revision(
        stream=StreamName("duel"), name="a", declared_at=NOW, recipe='{"kind": "x"}',
        parts={"env.MODEL": "12"}, rental_mark="m", proven_at=NOW,
    )  # fmt: skip
    second = replace(
        first,
        name="b",
        proven_at=None,
        bad_at=NOW,
        bad_reason=Reason.FROZEN,
        bad_slot=DUEL,
        acquitted_at=NOW,
    )
    other = replace(first, stream=StreamName("paint"))
    store = opened()
    await store.load()
    await store.commit(Batch(revisions={first.stream: (first, second), other.stream: (other,)}))
    await store.commit(Batch(revisions={other.stream: ()}))
    await store.close()
    assert (await opened().load()).revisions == {first.stream: (first, second)}


def silence(number: int) -> Silence:
    return Silence(
        silence_id=f"s-{number}",
        matchers=(Matcher(field="stream", pattern="duel"), Matcher(field="alert", pattern="*Dark")),
        since=NOW,
        until=NOW + timedelta(hours=number),
        actor="ada",
        reason="maintenance",
    )


def receipt(incident: str, channel: str, text: str = "1", at: datetime = NOW) -> Receipt:
    return Receipt(incident_id=incident, channel=channel, receipt=text, at=at)


async def test_silences_receipts_and_channels_that_are_off_are_there_after_a_restart(
    opened: Opener,
) -> None:
    off = ChannelOff(channel="ops", since=NOW, why="HTTP 410", declared="mark")
    store = opened()
    await store.load()
    await store.commit(
        Batch(
            silences=(silence(1), silence(2)),
            receipts=(receipt("i-1", "ops"), receipt("i-1", "phone"), receipt("i-2", "ops")),
            channels_off=(off, replace(off, channel="phone")),
        )
    )
    await store.commit(
        Batch(silences=(silence(2),), receipts=(receipt("i-1", "ops", "2"),), channels_off=(off,))
    )
    await store.commit(Batch(pause=PAUSE))  # which says nothing of them
    await store.close()
    store = opened()
    saved = await store.load()
    assert saved.silences == (silence(2),)
    assert saved.receipts == (
        receipt("i-1", "ops", "2"), receipt("i-1", "phone"), receipt("i-2", "ops"),
    )  # fmt: skip
    assert saved.channels_off == (off,)
    await store.commit(Batch(silences=(), channels_off=()))
    await store.close()
    again = await opened().load()
    assert (again.silences, again.channels_off) == ((), ())


async def test_prune_forgets_what_was_said_of_old_incidents(opened: Opener) -> None:
    store = opened()
    await store.load()
    old = receipt("i-1", "ops", at=NOW - timedelta(days=31))
    await store.commit(Batch(receipts=(old, receipt("i-2", "ops"))))
    assert await store.prune(NOW - timedelta(days=30)) == 1
    await store.close()
    assert (await opened().load()).receipts == (receipt("i-2", "ops"),)
