"""What hosts are asked for a person, over real OpenSSH: logs that turn and move, reports, bad news."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typing_extensions import override

from keeper.adapters.clock import SystemClock
from keeper.core.model import InstanceId, SlotId, Status
from keeper.daemon.asking import HostsAsked
from keeper.daemon.declared import Declared
from keeper.daemon.ground import Ground
from keeper.daemon.memory import Memory
from keeper.ports import Command, CommandFailed, CommandResult, Link, Missing, Saved, Unreachable
from keeper.ports.asking import LogPiece
from keeper.telemetry.redact import Redactor
from keeper.workloads import ReportLine, Workload
from keeper.workloads.command import CommandSettings, OperatorCommand
from tests.real_sshd import RealSshd, running_sshd
from tests.relay import relayed
from tests.snapshots import NOW, record, tenure
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.real("sshd")

SLOT = SlotId("duel/0")
SECRET = "sk_us-west_0123456789abcdef"
FIRST, SECOND = InstanceId(7001), InstanceId(7002)


class Telling(OperatorCommand):
    """A workload that tells of itself what its file says."""

    @override
    def report(self) -> Command | None:
        return Command(name="report", script=f"cat -- {self.settings.workdir}/report")

    @override
    def read_report(self, result: CommandResult) -> tuple[ReportLine, ...]:
        return (ReportLine(title="Server health", status=Status.TRUE, text=result.stdout),)


@dataclass
class Links:
    """Links by rental, as the watch keeps them."""

    up: dict[InstanceId, Link] = field(default_factory=dict)

    async def link(self, instance_id: InstanceId, timeout_s: float) -> Link:
        if instance_id not in self.up:
            raise Unreachable("no SSH link to the host")
        return self.up[instance_id]


class Place:
    """A slot on a real host, and whoever asks it."""

    def __init__(self, folder: Path, link: Link) -> None:
        self.log = folder / "server.log"
        self.folder = folder
        self.links = Links({FIRST: link, SECOND: link})
        self.workload: Workload | None = workload(folder)
        redact = Redactor([SECRET]).text
        self.ground = Ground(Declared(desired=None, workloads={}, redact=redact))  # type: ignore[arg-type]
        self.ground.remember(Memory.of(Saved(keeper_id="k1"), NOW))
        self.move(FIRST)
        self.asked = HostsAsked(
            self.ground,
            self.links,
            SystemClock(),
            workload_of=lambda _slot, _revision: self.workload,
            apart_s=0.02,
        )

    def move(self, instance_id: InstanceId | None) -> None:
        held = None if instance_id is None else tenure(1, instance_id=instance_id)
        self.ground.memory.records[SLOT] = record(tenure=held)

    def write(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(text)

    async def read(self, name: str = "", lines_max: int = 100) -> list[LogPiece]:
        pieces = self.asked.log(SLOT, name=name, lines_max=lines_max, is_followed=False)
        return [piece async for piece in pieces]

    async def lines(self, name: str = "", lines_max: int = 100) -> list[str]:
        return [line for piece in await self.read(name, lines_max) for line in piece.lines]


def workload(folder: Path, kind: type[OperatorCommand] = Telling) -> OperatorCommand:
    settings = CommandSettings.model_validate(
        {
            "kind": "command",
            "image": "example/image",
            "workdir": str(folder),
            "start": "true",
            "manager": {"kind": "background", "name": "server"},
            "view": {"kind": "tcp", "port": 8000},
        }
    )
    return kind(settings, {})


@pytest.fixture
async def sshd(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[RealSshd]:
    async with running_sshd(tmp_path / "sshd", free_port()) as server:
        yield server


@pytest.fixture
async def place(tmp_path: Path, sshd: RealSshd) -> AsyncIterator[Place]:
    folder = tmp_path / "host"
    folder.mkdir()
    link = await sshd.link()
    yield Place(folder, link)
    await link.close()


class Followed:
    """A log that is followed, and all that was said of it."""

    def __init__(self, place: Place, **given: object) -> None:
        self.said: list[str] = []
        query = {"name": "", "lines_max": 100} | given
        self._pieces = place.asked.log(SLOT, is_followed=True, **query)  # type: ignore[arg-type]

    async def until(self, said: str) -> None:
        await self._until(lambda: said in self.said)

    async def until_remark(self, *words: str) -> None:
        await self._until(
            lambda: any(
                word in each for each in self.said if each.startswith("-- ") for word in words
            )
        )

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await self.look()

    async def look(self) -> None:
        """Take what is said next; a look that has found nothing is a piece, too."""
        piece = await anext(self._pieces)
        self.said += piece.lines
        self.said += [f"-- {piece.remark}"] if piece.remark else []

    async def aclose(self) -> None:
        await self._pieces.aclose()


# --- logs -------------------------------------------------------------------------------------------


async def test_the_end_of_a_log_with_its_unfinished_line(place: Place) -> None:
    place.write("".join(f"line {number}\n" for number in range(50)) + "not finished")
    assert await place.lines(lines_max=3) == ["line 48", "line 49", "not finished"]
    assert await place.lines(lines_max=0) == []


async def test_what_a_host_writes_is_harmless_in_a_terminal_and_holds_no_secret(
    place: Place,
) -> None:
    place.write(f"\x1b[2Jred \x1b]0;title\x07 rtmp://live.example/app/{SECRET}\n")
    place.write("loading 10 %\rloading 100 %\nthe end\r\n")
    place.write("long " + "x" * 5000 + "\n")
    first, bar, end, long = await place.lines()
    assert first == "\\x1b[2Jred \\x1b]0;title\\x07 rtmp://live.example/app/[redacted]"
    assert (bar, end) == ("loading 100 %", "the end")
    assert len(long) == 2000


async def test_a_log_is_followed_over_rotation_and_truncation(place: Place) -> None:
    place.write("one\n")
    async with aclosing(Followed(place)) as followed:
        await followed.until("one")
        place.write("two\n")
        await followed.until("two")
        place.log.rename(f"{place.log}.1")
        place.write("three\n")
        await followed.until("three")
        place.log.write_text("4\n")
        await followed.until("4")
    path = str(place.log)
    assert followed.said == [
        "one",
        "two",
        f"-- {path} begins anew: a new file has taken its place",
        "three",
        f"-- {path} begins anew: it was truncated",
        "4",
    ]


async def test_a_log_is_followed_over_two_restarts_at_once(place: Place) -> None:
    """The newest file has the inode of the one that was read, where file systems give it out again."""
    place.write("one\n")
    async with aclosing(Followed(place)) as followed:
        await followed.until("one")
        for line in ("two", "three"):
            place.log.rename(f"{place.log}.1")
            place.write(f"{line}, and more than was read of the first\n")
        await followed.until("three, and more than was read of the first")
    new = f"-- {place.log} begins anew: a new file has taken its place"
    assert followed.said[-2:] == [new, "three, and more than was read of the first"]


async def test_a_log_that_is_put_aside_is_followed_to_the_next(place: Place) -> None:
    """A look may come between the rename and the new file."""
    async with aclosing(Followed(place)) as followed:
        place.log.with_name(f"{place.log.name}.1").write_text("the one before\n")
        await followed.until("-- no log of duel/0 is on instance 7001 yet; waiting")
        place.write("one\n")
        await followed.until("one")
        place.write("two\n")
        place.log.rename(f"{place.log}.1")
        await followed.until_remark("is not there any more; waiting for a new one")
        place.write("three\n")
        await followed.until("three")
    assert followed.said[1:] == [
        "-- it can be read again",
        "one",
        "two",
        f"-- {place.log} is not there any more; waiting for a new one",
        f"-- {place.log} begins anew: a new file has taken its place",
        "three",
    ]


async def test_a_log_of_which_no_line_is_wanted_is_not_called_empty(place: Place) -> None:
    place.write("one\n")
    async with aclosing(Followed(place, lines_max=0)) as followed:
        await followed.look()
        place.write("two\n")
        await followed.until("two")
    assert followed.said == ["two"]


async def test_a_log_is_followed_to_the_next_host(place: Place) -> None:
    place.write("old host\n")
    async with aclosing(Followed(place)) as followed:
        await followed.until("old host")
        place.move(None)
        await followed.until("-- duel/0 has no host now; waiting")
        place.log.unlink()
        place.write("new host\n")
        place.move(SECOND)
        await followed.until("new host")
    assert followed.said[2:] == [
        "-- duel/0 has moved from instance 7001 to instance 7002",
        "-- it can be read again",
        "new host",
    ]


async def test_a_lost_link_is_said_once_and_nothing_is_missed_meanwhile(
    place: Place, sshd: RealSshd
) -> None:
    place.write("before\n")
    async with relayed(sshd.address) as relay:
        link = await sshd.hosts().connect([relay.address], pinned_host_key="", timeout_s=20)
        place.links.up[FIRST] = link
        async with aclosing(Followed(place)) as followed:
            await followed.until("before")
            relay.cut()
            place.write("meanwhile\n")
            # The cut may meet a look half way, or come between two.
            at = "duel/0 is on instance 7001, and the "
            await followed.until_remark(f"{at}SSH link is lost", f"{at}link was lost")
            place.links.up[FIRST] = await sshd.link()
            await followed.until("meanwhile")
            await place.links.up[FIRST].close()
    assert followed.said[-2:] == ["-- it can be read again", "meanwhile"]


async def test_a_log_that_is_not_there_yet_is_waited_for(place: Place) -> None:
    async with aclosing(Followed(place)) as followed:
        await followed.until("-- no log of duel/0 is on instance 7001 yet; waiting")
        place.write("there\n")
        await followed.until("there")


async def test_more_than_can_be_read_is_left_out_and_counted(place: Place) -> None:
    place.write("begin\n")
    async with aclosing(Followed(place)) as followed:
        await followed.until("begin")
        place.write("".join(f"line {number:07d}\n" for number in range(20_000)))
        await followed.until("line 0019999")
    (left_out,) = [each for each in followed.said if each.startswith("-- ")]
    assert left_out.endswith("bytes came too fast and are left out")
    assert int(left_out.split()[1]) + 13 * (len(followed.said) - 2) == 13 * 20_000


async def test_only_what_the_workload_names_can_be_read(place: Place) -> None:
    place.write("a line\n")
    (place.folder / "server.log.1").write_text("the one before\n")
    (place.folder / "secrets.env").write_text("STREAM_KEY=1\n")
    assert await place.lines("server.log.1") == ["the one before"]
    assert await place.lines(str(place.log)) == ["a line"]
    for name in (
        "secrets.env",
        str(place.folder / "secrets.env"),
        "../host/secrets.env",
        "/etc/passwd",
    ):
        with pytest.raises(Missing, match=r"there is no log .*; there are: .*server\.log"):
            await place.lines(name)
    found = await place.asked.logs(SLOT)
    assert [(each.path, each.size_bytes) for each in found] == [
        (str(place.log), 7),
        (f"{place.log}.1", 15),
    ]


async def test_no_host_no_link_and_no_log_are_each_a_sentence(place: Place) -> None:
    with pytest.raises(Missing, match="no log of duel/0 is on instance 7001 yet"):
        await place.lines()
    place.links.up.clear()
    with pytest.raises(
        Unreachable, match="duel/0 is on instance 7001, and no SSH link to the host"
    ):
        await place.lines()
    place.move(None)
    with pytest.raises(Unreachable, match="duel/0 has no host now"):
        await place.lines()
    place.move(FIRST)
    place.workload = None
    with pytest.raises(Unreachable, match="no longer in the configuration"):
        await place.asked.logs(SLOT)


async def test_an_empty_log_says_that_it_is_empty(place: Place) -> None:
    place.write("")
    assert [piece.remark for piece in await place.read()] == [f"{place.log} is empty"]


class TwoLogs(Telling):
    """A workload whose errors have a log of their own, the best when there are any."""

    @override
    def logs(self) -> tuple[str, ...]:
        return tuple(f"{self.settings.workdir}/{name}" for name in ("errors.log", "server.log"))


async def test_a_log_that_says_something_is_shown_before_an_empty_one(place: Place) -> None:
    """A person saw that the log of errors is empty, and nothing else."""
    place.workload = workload(place.folder, TwoLogs)
    errors = place.folder / "errors.log"
    errors.touch()
    assert [piece.remark for piece in await place.read()] == [f"{errors} is empty"]
    place.write("all is well\n")
    assert await place.lines() == ["all is well"]
    errors.write_text("all is not\n")
    assert await place.lines() == ["all is not"]


async def test_a_log_that_may_not_be_read_says_so(place: Place, sshd: RealSshd) -> None:
    """Root may read everything, so a login that may not is played by a host that answers so."""

    class Refusing:
        async def run(self, command: Command) -> CommandResult:
            said = "unreadable\n" if command.name == "logs.read" else "0 1 1\n"
            return CommandResult(exit_code=0, stdout=said, stderr="")

    place.links.up[FIRST] = Refusing()  # type: ignore[assignment]
    with pytest.raises(CommandFailed, match="may not be read by keeper's login"):
        await place.lines()


# --- reports ----------------------------------------------------------------------------------------


async def test_a_report_is_asked_on_the_host_and_holds_no_secret(place: Place) -> None:
    (place.folder / "report").write_text(f"ok \x1b[31m {SECRET}\nsecond line\n")
    (line,) = await place.asked.report(SLOT)
    assert (line.title, line.status) == ("Server health", Status.TRUE)
    assert line.text == "ok \\x1b[31m [redacted]\nsecond line"


async def test_whoever_asks_much_leaves_the_link_free_for_keepers_own_acts(place: Place) -> None:
    """A link has few channels: a host that hangs on what people ask must not hold up a restart."""
    at_once = most = 0

    class Counting:
        async def run(self, command: Command) -> CommandResult:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.01)
            at_once -= 1
            return CommandResult(exit_code=0, stdout="ok", stderr="")

    place.links.up[FIRST] = Counting()  # type: ignore[assignment]
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(place.asked.report(SLOT))
            group.create_task(place.asked.logs(SLOT))
    assert most == 2


async def test_a_workload_without_a_report_is_not_asked(place: Place) -> None:
    place.links.up.clear()
    place.workload = workload(place.folder, OperatorCommand)
    assert await place.asked.report(SLOT) == ()
    assert place.asked.view_port(SLOT) == 8000
    assert place.asked.view_port(SlotId("none/0")) == 8000  # whatever is declared for the name
    place.workload = None
    assert place.asked.view_port(SLOT) is None
