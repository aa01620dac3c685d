"""What is kept of a host before its end: through the whole daemon in virtual time."""

import asyncio
import base64
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from typing_extensions import override

from keeper.core.events import InstanceDestroying, PostMortemKept
from keeper.core.model import InstanceId, SlotId, Status, Subject
from keeper.core.reasons import Reason
from keeper.core.world import OrderKind
from keeper.daemon import parting
from keeper.daemon.declared import Declared
from keeper.ports import Command, CommandResult, Heard, Transient
from keeper.sim.disk import Disk
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import VirtualClock, run
from keeper.sim.memory_hosts import MemoryLink
from keeper.sim.stage import secret_of
from keeper.sim.universe import Universe
from keeper.workloads import Workload
from keeper.workloads.managers.evidence import frames_of
from tests.archives import MemoryArchive
from tests.stage import QUIET, SLOT, Stage


def bundles(archive: MemoryArchive) -> list[dict[str, bytes]]:
    """Unpack all bundles, oldest first."""
    found = []
    for name, content in archive.files.items():
        if name.startswith("post-mortems/"):
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as tar:
                members = {each.name: tar.extractfile(each) for each in tar.getmembers()}
            found.append({name: file.read() for name, file in members.items() if file})
    return found


def destroyed(stage: Stage) -> bool:
    return "destroy" in stage.marketplace.mutations


async def _play(
    archive: MemoryArchive,
    check: Callable[[Stage], None] = lambda _: None,
    within_s: float = 60.0,
    change: Callable[[Declared], Declared] = lambda declared: declared,
) -> Stage:
    """Bring a slot on air, order its end, and wait for the destroy."""
    async with Stage(archive=archive, change=change) as stage:
        await stage.until_on_air()
        await asyncio.sleep(60.0)
        check(stage)
        await stage.daemon.order(stage.order(OrderKind.DESTROY))
        await stage.until(lambda: destroyed(stage), within_s=within_s, look_s=0.1)
        await stage.until(lambda: stage.facts.named("instance.ended"))
    return stage


def test_what_a_host_knows_is_kept_before_its_end() -> None:
    async def play() -> None:
        archive = MemoryArchive(VirtualClock())
        stage = await _play(archive)
        (bundle,) = bundles(archive)
        assert {
            "manifest.json",
            "readings.json",
            "record.json",
            "journal.jsonl",
            "deploy.log",
        } <= set(bundle)
        assert any(name.startswith("evidence.") for name in bundle)
        manifest = json.loads(bundle["manifest.json"])
        assert (manifest["slot"], manifest["keeper"] != "") == (SLOT, True)
        assert manifest["reason"] == Reason.OPERATOR_ASKED
        assert json.loads(bundle["record.json"])["slot"] == SLOT
        assert b"workload.deployed" in bundle["journal.jsonl"]
        (kept,) = (e for e in stage.facts.events if isinstance(e, PostMortemKept))
        assert kept.bundle in archive.files
        assert stage.snapshot.kept[SLOT].post_mortem == kept.bundle
        told = [event.name for event in stage.facts.events]
        assert told.index("instance.destroying") < told.index("host.post_mortem_kept")
        assert secret_of("duel").encode() not in b"".join(bundle.values())

    run(play())


def test_the_last_pictures_that_differ_are_kept_with_their_times() -> None:
    async def play() -> None:
        archive = MemoryArchive(VirtualClock())

        def show(stage: Stage) -> None:
            instance_id = stage.snapshot.records[SLOT].tenure.instance_id  # type: ignore[union-attr]
            for second in range(3):
                at = stage.clock.now() + timedelta(seconds=second)
                stage.daemon.crew.board.frames.add(instance_id, b"jpeg %d" % second, at)  # type: ignore[arg-type]

        await _play(archive, show)
        (bundle,) = bundles(archive)
        manifest = json.loads(bundle["manifest.json"])
        frames = {name for name in bundle if name.startswith("last-frame")}
        assert len(frames) > 2
        assert set(manifest["frames_seen_at"]) == frames
        # The viewer has looked once more since, perhaps: the newest is whatever it saw then.
        assert {b"jpeg 1", b"jpeg 2"} <= {bundle[name] for name in frames}
        assert all(at.startswith("2") for at in manifest["frames_seen_at"].values())
        told = {
            name: at[:19].replace("-", "").replace(":", "")
            for name, at in manifest["frames_seen_at"].items()
        }
        assert all(name.startswith(f"last-frame-{at}.") for name, at in told.items())

    run(play())


def test_a_bundle_tells_what_viewers_saw_and_when() -> None:
    async def play() -> None:
        archive = MemoryArchive(VirtualClock())

        def see(stage: Stage) -> None:
            instance_id = stage.snapshot.records[SLOT].tenure.instance_id  # type: ignore[union-attr]
            assert instance_id is not None
            board = stage.daemon.crew.board
            live = board.latest[instance_id, Subject.PICTURE]
            black = replace(
                live,
                status=Status.FALSE,
                reason=Reason.BLACK,
                at=stage.clock.now(),
                detail=f"mean luma 3.0, and {secret_of('duel')}",
                numbers={"mean_luma": 3.0},
            )
            board.pin(black)
            board.pin(replace(live, at=stage.clock.now() + timedelta(seconds=1)))

        await _play(archive, see)
        (bundle,) = bundles(archive)
        seen = json.loads(bundle["seen.json"])
        verdicts = [run["verdict"] for run in seen["runs"]]
        assert verdicts[-2:] == ["black", "live"]
        black = seen["runs"][-2]
        assert black["numbers"] == {"mean_luma": 3.0}
        assert black["detail"].startswith("mean luma 3.0")
        assert black["since"] < black["until"] == seen["runs"][-1]["since"]
        assert seen["latest_look"]["verdict"] == "live"
        assert secret_of("duel").encode() not in bundle["seen.json"]

    run(play())


def test_a_deploys_log_of_before_a_restart_of_keeper_is_in_the_bundle() -> None:
    """The host was deployed to by an earlier keeper, whose log is on the disk still."""

    async def play() -> None:
        universe, disk = Universe(1, shape=QUIET), Disk(keeper_id="00000001")
        archive = MemoryArchive(VirtualClock())
        async with Stage(universe=universe, disk=disk, archive=archive) as stage:
            await stage.until_on_air()
        async with Stage(universe=universe, disk=disk, archive=archive) as stage:
            await stage.until(lambda: stage.daemon.snapshot() is not None)
            await stage.until(lambda: stage.snapshot.records.get(SLOT) is not None)
            await asyncio.sleep(60.0)
            await stage.daemon.order(stage.order(OrderKind.DESTROY))
            await stage.until(lambda: stage.facts.named("instance.ended"))
        (bundle,) = bundles(archive)
        log = json.loads(bundle["manifest.json"])["deploy_log"]
        assert archive.files[log].endswith(bundle["deploy.log"])

    run(play())


def test_what_a_lost_host_has_left_is_named_to_who_was_alerted() -> None:
    async def play() -> None:
        archive = MemoryArchive(VirtualClock())
        async with Stage(archive=archive) as stage:
            await stage.until_on_air()
            await asyncio.sleep(60.0)
            (host,) = stage.universe.market.contracts.values()
            assert stage.universe.market.strike(host, Fault(kind=FaultKind.GPU_LOST))
            await stage.until(lambda: _told(stage, "KeeperStreamDark", "resolved"), within_s=3600)
            (kept, *_) = (e for e in stage.facts.events if isinstance(e, PostMortemKept))
            (over,) = _told(stage, "KeeperStreamDark", "resolved")
            assert kept.bundle in over["did"]

    run(play())


def _told(stage: Stage, name: str, kind: str) -> list[dict[str, Any]]:
    said = [json.loads(each.body)["data"] for each in stage.universe.mailbox.messages]
    return [each["alert"] for each in said if (each["kind"], each["alert"]["name"]) == (kind, name)]


@dataclass(frozen=True)
class WithFrames:
    """A workload whose host has the last seconds of the stream, and whose viewers see no picture."""

    inner: Workload

    def evidence(self) -> tuple[Command, ...]:
        return (*self.inner.evidence(), frames_of("/live", "ts"))

    def remembering(self, keepsake: str) -> "WithFrames":
        return replace(self, inner=self.inner.remembering(keepsake))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _with_frames(declared: Declared) -> Declared:
    workloads = {name: WithFrames(each) for name, each in declared.workloads.items()}
    return replace(declared, workloads=workloads)


@pytest.mark.parametrize(
    ("stdout", "code", "kept", "why"),
    [
        (base64.encodebytes(b"G\xff\x00pictures" * 99).decode(), 0, b"G\xff\x00pictures" * 99, ""),
        ("<b>no base64</b>", 0, None, "no readable answer"),
        ("", 1, None, "there is no picture"),
    ],
)
def test_the_last_pictures_are_kept_as_they_are(
    monkeypatch: pytest.MonkeyPatch, stdout: str, code: int, kept: bytes | None, why: str
) -> None:
    answers = MemoryLink.run

    async def answer(
        link: MemoryLink, command: Command, heard: Heard | None = None
    ) -> CommandResult:
        if command.name == "last-frames.ts":
            return CommandResult(exit_code=code, stdout=stdout, stderr=why)
        return await answers(link, command, heard)

    monkeypatch.setattr(MemoryLink, "run", answer)

    async def play() -> None:
        archive = MemoryArchive(VirtualClock())
        await _play(archive, change=_with_frames)
        (bundle,) = bundles(archive)
        assert bundle.get("last-frames.ts") == kept
        missing = json.loads(bundle["manifest.json"])["missing"]
        assert [each for each in missing if "frames" in each] == (
            [f"last-frames.ts: {why}"] if why else []
        )

    run(play())


def test_the_next_keeper_still_names_the_bundle() -> None:
    async def play() -> None:
        archive = MemoryArchive(VirtualClock())
        await _play(archive)
        async with Stage(archive=archive) as stage:
            await stage.until(lambda: stage.daemon.snapshot() is not None)
            assert stage.snapshot.kept[SLOT].post_mortem in archive.files

    run(play())


def test_the_same_run_keeps_the_same_bytes() -> None:
    kept = []
    for _ in range(2):

        async def play() -> None:
            archive = MemoryArchive(VirtualClock())
            await _play(archive)
            kept.append(archive.files)

        run(play())
    assert kept[0] == kept[1]


def test_a_host_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end comes within the bound, and the bundle says what could not be had."""
    answers = MemoryLink.run

    async def hang(link: MemoryLink, command: Command, heard: Heard | None = None) -> CommandResult:
        if command.name.startswith("evidence."):
            await asyncio.sleep(3600.0)
        return await answers(link, command, heard)

    monkeypatch.setattr(MemoryLink, "run", hang)

    async def play() -> None:
        archive = MemoryArchive(VirtualClock())
        await _play(archive, within_s=parting.IN_ALL_S + 5)
        (bundle,) = bundles(archive)
        missing = json.loads(bundle["manifest.json"])["missing"]
        assert any("evidence.logs: no answer in time" in each for each in missing)

    run(play())


class _Hanging(MemoryArchive):
    """A disk that never comes back."""

    @override
    async def keep(
        self,
        slot: SlotId | None,
        instance_id: InstanceId,
        at: datetime,
        files: Mapping[str, bytes],
    ) -> str:
        await asyncio.get_running_loop().create_future()
        return ""


def test_a_disk_that_hangs_holds_nothing_up() -> None:
    async def play() -> None:
        stage = await _play(_Hanging(VirtualClock()), within_s=parting.IN_ALL_S + 5)
        assert stage.facts.named("archive.unable")

    run(play())


def test_a_bug_while_gathering_is_told_and_the_host_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(parting.Parting, "_manifest", bug)

    async def play() -> None:
        stage = await _play(MemoryArchive(VirtualClock()), within_s=parting.IN_ALL_S + 5)
        assert stage.facts.named("task.died")
        assert stage.marketplace.mutations.count("destroy") == 1

    run(play())


def test_where_money_must_stop_the_host_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "_IN_HURRY", frozenset({Reason.OPERATOR_ASKED}))

    async def play() -> None:
        archive = MemoryArchive(VirtualClock())
        await _play(archive, within_s=2.0)
        (bundle,) = bundles(archive)
        assert not any(name.startswith("evidence.") for name in bundle)
        assert "money had to stop" in bundle["manifest.json"].decode()

    run(play())


def test_a_full_archive_holds_nothing_up() -> None:
    async def play() -> None:
        archive = MemoryArchive(VirtualClock())

        def fill(_: Stage) -> None:
            archive.is_full = True

        stage = await _play(archive, fill, within_s=parting.IN_ALL_S)
        assert stage.facts.named("archive.unable")
        assert stage.marketplace.mutations.count("destroy") == 1

    run(play())


def test_without_an_archive_nothing_is_gathered() -> None:
    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            await stage.daemon.order(stage.order(OrderKind.DESTROY))
            await stage.until(lambda: destroyed(stage), within_s=2.0, look_s=0.1)
            assert not stage.facts.named("host.post_mortem_kept")

    run(play())


def test_a_second_try_gathers_nothing_again() -> None:
    async def play() -> None:
        archive = MemoryArchive(VirtualClock())
        async with Stage(archive=archive) as stage:
            await stage.until_on_air()
            accept, refusals = stage.marketplace.destroy, 2

            async def refuse(instance_id: InstanceId) -> None:
                nonlocal refusals
                if refusals:
                    refusals -= 1
                    raise Transient("503")
                await accept(instance_id)

            stage.marketplace.destroy = refuse  # type: ignore[method-assign]
            await stage.daemon.order(stage.order(OrderKind.DESTROY))
            await stage.until(lambda: stage.facts.named("instance.ended"))
            tries = [e for e in stage.facts.events if isinstance(e, InstanceDestroying)]
            assert len(tries) == 3
            assert len(bundles(archive)) == 1

    run(play())


class _Deadly(MemoryArchive):
    """The power fails between the gathering and the destroy."""

    cut: Callable[[], None] = staticmethod(lambda: None)

    @override
    async def keep(
        self,
        slot: SlotId | None,
        instance_id: InstanceId,
        at: datetime,
        files: Mapping[str, bytes],
    ) -> str:
        self.cut()
        await asyncio.get_running_loop().create_future()
        return ""


def test_a_death_before_the_destroy_leads_to_it_at_the_next_start() -> None:
    async def play() -> None:
        universe, disk = Universe(1, shape=QUIET), Disk(keeper_id="00000001")
        archive = _Deadly(VirtualClock())
        before = Stage(universe=universe, disk=disk, archive=archive)
        archive.cut = before.power.cut
        await before.__aenter__()
        await before.until_on_air()
        await before.daemon.order(before.order(OrderKind.DESTROY))
        await before.until(lambda: not before.power.is_on)
        assert before.life is not None
        before.life.cancel()
        await asyncio.gather(before.life, return_exceptions=True)
        assert not destroyed(before)
        async with Stage(universe=universe, disk=disk) as stage:
            await stage.until(lambda: stage.facts.named("instance.ended"))
            assert stage.marketplace.mutations.count("destroy") == 1

    run(play())
