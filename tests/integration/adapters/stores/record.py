"""Has a keeper write a store as it really does, and puts that down as SQL: how NNNN.sql were made.

The tree may be any commit's (`git archive COMMIT keeper | tar -x -C DIR`): its own simulator runs its
own daemon through faults, every batch goes into a file by its own store, and what it holds at its
fullest moment (intents open, rentals condemned, alerts firing, messages unsent) is the record.

    PYTHONPATH=DIR python tests/integration/adapters/stores/record.py [--out FILE]

Once a schema has been released its record is never made again: it is what lies on people's disks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from keeper.adapters.clock import SystemClock
from keeper.adapters.sql import SqlStore
from keeper.sim import disk

# The facts that are kept of the journal: enough to see every kind of them, few enough to review.
FACTS = 40
# Batches that are tried for the fullest moment.
SEEDS = range(1, 9)


def main() -> None:
    """Write the record of the keeper that PYTHONPATH leads to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    batches, fullness = max((recorded(seed) for seed in SEEDS), key=lambda run: run[1])
    print("open intents, condemned, firing, unsent, quarantined:", *fullness[1:])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keeper.db"
        asyncio.run(written(path, batches))
        text, revision = dumped(path)
    out = given.out or Path(__file__).with_name(f"{revision}.sql")
    out.write_text(text)
    print(out, len(text), "bytes")


def recorded(seed: int) -> tuple[list[Any], tuple[int, ...]]:
    """Run two simulated days; give the batches up to the fullest moment, and how full it was."""
    from click.testing import CliRunner

    from keeper.cli.app import root

    batches: list[Any] = []
    best: tuple[int, ...] = (0,)
    commit = disk.MemoryStore.commit

    async def noted(store: Any, batch: Any) -> None:
        nonlocal best
        await commit(store, batch)
        batches.append(batch)
        now = fullness(batches)
        if now > best:
            best = now
            ends.append(len(batches))

    ends: list[int] = []
    held: dict[str, set[str]] = {"intents": set(), "machines": set(), "unsent": set()}
    last: dict[str, int] = {"condemned": 0, "firing": 0}

    def fullness(batches: list[Any]) -> tuple[int, ...]:
        batch = batches[-1]
        held["intents"] |= {each.intent_id for each in batch.intents_opened}
        held["intents"] -= set(batch.intents_closed)
        held["machines"] |= {each.machine_id for each in batch.quarantine}
        held["machines"] -= set(batch.quarantine_deleted)
        for row in batch.outbox:
            is_settled = row.delivered_at is not None or row.given_up
            (held["unsent"].discard if is_settled else held["unsent"].add)(row.notice_id)
        if batch.condemned is not None:
            last["condemned"] = len(batch.condemned)
        if batch.alert_state is not None:
            last["firing"] = len(batch.alert_state)
        counts = (
            len(held["intents"]), last["condemned"], last["firing"], len(held["unsent"]),
            len(held["machines"]),
        )  # fmt: skip
        return sum(min(count, 1) for count in counts), *counts

    disk.MemoryStore.commit = noted  # type: ignore[method-assign, assignment]
    try:
        arguments = ["sim", "run", "--seed", str(seed), "--days", "2", "--jobs", "1"]
        CliRunner().invoke(root, arguments)
    finally:
        disk.MemoryStore.commit = commit  # type: ignore[method-assign]
    return batches[: ends[-1]] if ends else [], best


async def written(path: Path, batches: list[Any]) -> None:
    """Have the store of that time write them."""
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    for batch in batches:
        await store.commit(batch)
    await store.close()


def dumped(path: Path) -> tuple[str, str]:
    """Give the file as a killed process leaves it, with the newest facts only, and its schema."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        newest = "SELECT seq FROM journal ORDER BY seq DESC LIMIT ?"
        database.execute(f"DELETE FROM journal WHERE seq NOT IN ({newest})", (FACTS,))
        settled = "delivered_at IS NOT NULL OR given_up"
        kept = f"SELECT notice_id FROM outbox WHERE {settled} ORDER BY created_at DESC LIMIT 3"
        database.execute(f"DELETE FROM outbox WHERE ({settled}) AND notice_id NOT IN ({kept})")
        database.execute("UPDATE meta SET value = '0' WHERE key = 'clean_stop'")
        # keeper:ID:SLOT:N, whose ID is the simulated keeper's.
        ours = "SELECT substr(label, 8, 8) FROM intents"
        database.execute(f"UPDATE meta SET value = ({ours}) WHERE key = 'keeper_id'")
        database.commit()
        ((revision,),) = database.execute("SELECT version_num FROM alembic_version")
        return "\n".join((*database.iterdump(), "")), revision


if __name__ == "__main__":
    main()
