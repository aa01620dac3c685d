"""What deploys have left, read from a real archive while it is written."""

import asyncio
import os
from contextlib import aclosing
from pathlib import Path

import pytest

from keeper.adapters.archive import FileArchive
from keeper.adapters.clock import SystemClock
from keeper.core.model import SlotId
from keeper.daemon import deploy_logs
from keeper.daemon.deploy_logs import DeployLogs
from keeper.ports import Missing
from keeper.telemetry.redact import Redactor
from tests.waiting import PATIENCE_S

SLOT = SlotId("duel/0")
SECRET = "sk_live_0123456789abcdef"


class Kept:
    """An archive, and whoever reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archive = FileArchive(folder)
        redact = Redactor([SECRET]).text
        self.logs = DeployLogs(self.archive, SystemClock(), redact=redact, apart_s=0.01)
        self._at_s = 1_760_000_000

    async def deploy(self, text: str, slot: str = SLOT) -> str:
        name = await self.archive.open_log(SlotId(slot), "keeper-k1-1")
        await self.archive.append(name, text)
        self._at_s += 60  # the names within one second say nothing of their order
        os.utime(self.folder / name, (self._at_s, self._at_s))
        return name

    async def lines(self, name: str = "", lines_max: int = 100) -> list[str]:
        pieces = self.logs.log(SLOT, name=name, lines_max=lines_max, is_followed=False)
        return [line async for piece in pieces for line in piece.lines]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_the_newest_is_shown_and_each_can_be_named(kept: Kept) -> None:
    first = await kept.deploy("one\ntwo\n")
    second = await kept.deploy(f"three \x1b[2J {SECRET}\nnot finished")
    await kept.deploy("another slot's\n", "duel/1")
    assert await kept.lines() == ["three \\x1b[2J [redacted]", "not finished"]
    assert await kept.lines(first) == ["one", "two"]
    assert await kept.lines(first.rpartition("/")[2], lines_max=1) == ["two"]
    assert [each.path for each in await kept.logs.logs(SLOT)] == [second, first]
    for wrong in ("../../keeper.db", "deploys/duel.1/keeper-k1-1-1.log"):
        with pytest.raises(Missing, match=r"there are: keeper-k1-1-2\.log, keeper-k1-1-1\.log"):
            await kept.lines(wrong)


async def test_a_slot_that_was_never_deployed_has_none(kept: Kept) -> None:
    with pytest.raises(Missing, match="no deploy of duel/0 has left a log"):
        await kept.lines()
    none = DeployLogs(None, SystemClock(), redact=str)
    with pytest.raises(Missing):
        await none.logs(SLOT)


async def test_a_deploy_is_followed_and_so_is_the_next(kept: Kept) -> None:
    said: list[str] = []
    name = await kept.deploy("old\nlast\n")
    pieces = kept.logs.log(SLOT, name="", lines_max=1, is_followed=True)

    async def until(line: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while line not in said:
                piece = await anext(pieces)
                said.extend(piece.lines)
                said.extend([f"-- {piece.remark}"] if piece.remark else [])

    async with aclosing(pieces):
        await until("last")
        await kept.archive.append(name, "step 2\nhalf a l")
        await until("step 2")
        await kept.archive.append(name, "ine é\n")
        await until("half a line é")
        new = await kept.archive.open_log(SLOT, "keeper-k1-2")
        await kept.archive.append(new, "step 1\n")
        await until("step 1")
    assert said == ["last", "step 2", "half a line é", f"-- another deploy writes {new}", "step 1"]


async def test_of_a_long_log_the_end_is_read_from_the_beginning_of_a_line(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy_logs, "_READ_MAX_BYTES", 100)
    await kept.deploy("".join(f"line {number:04d}\n" for number in range(500)))
    assert await kept.lines() == [f"line {number:04d}" for number in range(491, 500)]
