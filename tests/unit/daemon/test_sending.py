"""Big files on their way to hosts, in virtual time: told, gone on with, let go of, and not there."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from keeper.core.decisions import Hold
from keeper.core.reasons import Reason
from keeper.core.under_way import DeployProgress
from keeper.daemon.declared import Declared
from keeper.daemon.sending import Senders
from keeper.ports import (
    CommandFailed,
    Job,
    Link,
    LocalFileUnfit,
    Parcel,
    SendHeard,
    SendProgress,
    SendStage,
    Unreachable,
)
from keeper.sim.disk import Disk
from keeper.sim.loop import VirtualClock, run
from keeper.sim.memory_hosts import MemoryLink
from keeper.sim.stage import secret_of
from keeper.sim.universe import Universe
from keeper.workloads import Step, Workload
from tests.archives import MemoryArchive
from tests.stage import QUIET, SLOT, Stage

ARCHIVE = Parcel(
    name="deploy.archive",
    local_path="/srv/game.zip",
    sha256="ab" * 32,
    path="/workspace/archive",
    timeout_s=3600.0,
)
MB = 1_000_000

# --- one parcel ----------------------------------------------------------------------------------


class Line:
    """A link that carries so many MB a second, until it is lost after so many of them."""

    def __init__(self, *, total_mb: int = 1000, mb_per_s: int = 10, lost_at_mb: int = 0) -> None:
        self.total_mb = total_mb
        self.mb_per_s = mb_per_s
        self.lost_at_mb = lost_at_mb
        self.done_mb = 0

    async def send(self, parcel: Parcel, heard: SendHeard) -> bool:
        while self.done_mb < self.total_mb:
            await heard(
                SendProgress(
                    stage=SendStage.SENDING,
                    done_bytes=self.done_mb * MB,
                    total_bytes=self.total_mb * MB,
                )
            )
            if self.lost_at_mb and self.done_mb >= self.lost_at_mb:
                self.lost_at_mb = 0
                raise Unreachable(f"{parcel.name}: the SSH link is lost")
            await asyncio.sleep(1.0)
            self.done_mb += self.mb_per_s
        return True


def carry(
    link: object, relink: Callable[[], Awaitable[object]], parcel: Parcel = ARCHIVE
) -> tuple[list[str], list[str]]:
    """Send it; returns what is kept of what was told, and what was only shown."""
    kept, shown = list[str](), list[str]()

    async def tell(line: str, *, is_kept: bool = True) -> None:
        (kept if is_kept else shown).append(line)

    async def play() -> None:
        await Senders(clock=VirtualClock()).run(parcel, link, relink, tell)  # type: ignore[arg-type]

    run(play())
    return kept, shown


def test_how_far_it_is_is_shown_each_second_and_kept_more_rarely() -> None:
    line = Line(total_mb=1000)

    async def the_same() -> Line:
        return line

    kept, shown = carry(line, the_same)
    assert kept[0] == "sending /srv/game.zip: 0.0 MB of 1.00 GB (0 %)"
    assert kept[1] == "sending /srv/game.zip: 100.0 MB of 1.00 GB (10 %), 10.0 MB/s"
    assert kept[-1] == "all of it is there, 990.0 MB of it by this link"
    assert len(kept) == 11
    assert len(shown) == 90


def test_a_lost_link_is_waited_for_and_the_rest_goes_over_the_next() -> None:
    line = Line(lost_at_mb=500)
    dials: list[None] = []

    async def relink() -> Line:
        dials.append(None)
        if len(dials) < 10:
            raise Unreachable("no SSH link to the host")
        return line

    kept, _ = carry(line, relink)
    assert "deploy.archive: the SSH link is lost" in kept
    assert "sending /srv/game.zip: 500.0 MB of 1.00 GB (50 %), from 500.0 MB on" in kept
    assert line.done_mb == line.total_mb


def test_a_host_that_stays_away_ends_it() -> None:
    async def nobody() -> Link:
        raise Unreachable("no SSH link to the host")

    with pytest.raises(Unreachable, match="no SSH link to the host"):
        carry(Line(lost_at_mb=500), nobody)


def test_links_that_bring_nothing_further_are_not_tried_for_ever() -> None:
    """Each is lost at once: that it can be dialled is no progress."""
    tries = []

    class Broken:
        async def send(self, parcel: Parcel, heard: SendHeard) -> bool:
            tries.append(parcel)
            progress = SendProgress(stage=SendStage.SENDING, done_bytes=5 * MB, total_bytes=9 * MB)
            await heard(progress)
            raise Unreachable(f"{parcel.name}: no byte got further for 60 s")

    async def another() -> Broken:
        return Broken()

    with pytest.raises(Unreachable, match="no byte got further"):
        carry(Broken(), another)
    assert 10 < len(tries) < 100


def test_its_time_is_bounded_over_all_links_together() -> None:
    line = Line(mb_per_s=1)

    async def the_same() -> Line:
        return line

    words = r"deploy\.archive was not done in 300 s, .*: \d+\.0 MB of 1\.00 GB .* goes on there"
    with pytest.raises(CommandFailed, match=words):
        carry(line, the_same, replace(ARCHIVE, timeout_s=300.0))


# --- through the whole daemon --------------------------------------------------------------------


@dataclass(frozen=True)
class WithArchive:
    """A workload whose deploy begins with a big file of this box."""

    inner: Workload
    first: Step = ARCHIVE

    def deploy(self) -> tuple[Step, ...]:
        return (self.first, *self.inner.deploy())

    def remembering(self, keepsake: str) -> "WithArchive":
        return replace(self, inner=self.inner.remembering(keepsake))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def with_first(step: Step) -> Callable[[Declared], Declared]:
    def change(declared: Declared) -> Declared:
        made = {name: WithArchive(each, step) for name, each in declared.workloads.items()}
        return replace(declared, workloads=made)

    return change


@pytest.mark.parametrize("first", [ARCHIVE, Job(
    name="deploy.model", script="fetch", timeout_s=900, mark="model 1",
)], ids=["a file", "a job"])  # fmt: skip
def test_a_keeper_that_stops_waits_for_none_of_it_and_the_next_goes_on(first: Parcel | Job) -> None:
    """A stop during a download took the 45 seconds that acts are given to come to their end."""

    async def play() -> None:
        universe, disk = Universe(1, shape=QUIET), Disk(keeper_id="00000001")
        archive = MemoryArchive(VirtualClock())
        change = with_first(first)
        before = Stage(change=change, universe=universe, disk=disk, archive=archive)
        await before.__aenter__()
        hosts = universe.hosts.by_instance

        def is_at_it() -> bool:
            return any(host.jobs or host.parcels for host in hosts.values())

        await before.until(is_at_it, look_s=0.1)
        (host,) = hosts.values()
        job, (_, pieces) = host.jobs.get(first.name), host.parcels.get(ARCHIVE.path, ("", 0))
        asked_s = asyncio.get_running_loop().time()
        before.daemon.stop("SIGTERM received")
        assert before.life is not None
        await asyncio.wait({before.life})
        assert asyncio.get_running_loop().time() - asked_s < 1.0
        assert not before.facts.named("workload.deploy_failed")
        (log,) = (content.decode() for content in archive.files.values())
        assert "keeper stops, and takes this up again when it is back" in log
        async with Stage(change=change, universe=universe, disk=disk, archive=archive) as stage:
            await stage.until_on_air()
            assert list(hosts.values()) == [host]
            if isinstance(first, Job):
                assert host.jobs[first.name] is job
            else:
                log = list(archive.files.values())[-1].decode()
                assert f"sending /srv/game.zip: 0.0 MB of 0.0 MB ({pieces * 25} %)" in log

    run(play())


def test_a_page_shows_how_far_it_is() -> None:
    async def play() -> None:
        seen: list[DeployProgress] = []
        async with Stage(change=with_first(ARCHIVE)) as stage:

            def look() -> bool:
                snapshot = stage.daemon.snapshot()
                told = snapshot.deploys.get(SLOT) if snapshot is not None else None
                if told is not None:
                    seen.append(told)
                return bool(stage.facts.named("stream.on_air"))

            await stage.until(look, look_s=0.5)
        lines = list(dict.fromkeys(each.line for each in seen if each.step == ARCHIVE.name))
        shares = [line.rpartition("(")[2].partition(" %")[0] for line in lines if "%" in line]
        assert shares == ["0", "25", "50", "75"]

    run(play())


def test_without_its_file_a_person_is_told_and_nothing_more_is_rented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another host would not get it either. As soon as it is there, it goes on by itself."""
    send, missing = MemoryLink.send, ["/srv/game.zip on keeper's box cannot be read"]

    async def look(link: MemoryLink, parcel: Parcel, heard: SendHeard) -> bool:
        if missing:
            raise LocalFileUnfit(missing[0])
        return await send(link, parcel, heard)

    monkeypatch.setattr(MemoryLink, "send", look)

    async def play() -> None:
        async with Stage(change=with_first(ARCHIVE)) as stage:

            def is_held() -> bool:
                holds = [each for each in stage.snapshot.plan.decisions if isinstance(each, Hold)]
                return any(hold.reason is Reason.NEEDS_PERSON for hold in holds)

            await stage.until(lambda: stage.daemon.snapshot() is not None)
            await stage.until(is_held)
            await asyncio.sleep(1000.0)
            assert is_held()
            record = stage.snapshot.records[SLOT]
            assert record.tenure is not None
            assert record.tenure.audition is not None
            assert record.tenure.audition.check == "archive"
            assert record.tenure.audition.saw == missing[0]
            assert stage.marketplace.mutations.count("create") == 1
            missing.clear()
            await stage.until_on_air()
            assert stage.marketplace.mutations.count("create") == 1

    run(play())


def test_what_a_command_prints_is_in_the_log_while_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person who follows the log sees where a long command is, and no secret of it."""
    archives: list[MemoryArchive] = []
    seen: list[str] = []
    run_it = MemoryLink.run

    async def talk(link: MemoryLink, command: Any, heard: Any = None) -> Any:
        if heard is not None and not seen:
            await heard(f"half way, token={secret_of('duel')}\x1b[2J\n")
            seen.append(list(archives[0].files.values())[-1].decode())
        return await run_it(link, command, heard)

    monkeypatch.setattr(MemoryLink, "run", talk)

    async def play() -> None:
        archives.append(MemoryArchive(VirtualClock()))
        async with Stage(archive=archives[0]) as stage:
            await stage.until_on_air()

    run(play())
    assert "| half way, token=" in seen[0]
    assert secret_of("duel") not in seen[0]
    assert "\x1b" not in seen[0]
