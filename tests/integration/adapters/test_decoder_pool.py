"""The decoders' processes: they take turns, are killed when they must be, and none outlives keeper."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.adapters import decoder, decoder_pool
from keeper.adapters.decoder import Decoders
from keeper.ports import PictureLimits
from tests.coded_clip import coded
from tests.waiting import eventually, is_running

pytestmark = pytest.mark.xdist_group("decoder")

LIMITS = PictureLimits()
LONG = PictureLimits(sample_s=60.0, timeout_s=60.0)
CLIP = coded()
SECRET = "t0ken-of-the-stream"


@asynccontextmanager
async def hanging() -> AsyncIterator[str]:
    """A server that accepts players and says nothing: whoever plays from it is busy until the end."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"rtmp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live/{SECRET}"
    server.close()


def children(kind: str) -> list[int]:
    """Return the decoders of a kind that this process has started and that are there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(") ")[2].split()[1])
            words = (stat.parent / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        is_ours = parent == os.getpid() and b"keeper.adapters.decoder_child" in words
        if is_ours and kind.encode() in words and is_running(int(stat.parent.name)):
            found.append(int(stat.parent.name))
    return sorted(found)


async def test_a_child_is_kept_and_started_when_it_is_first_needed() -> None:
    there = Decoders()
    assert children("segments") == []
    await there.segments([CLIP], LIMITS)
    first = children("segments")
    assert len(first) == 1
    for _ in range(3):
        assert (await there.segments([CLIP], LIMITS)).frames == 20
    assert children("segments") == first
    await there.close()
    assert children("segments") == []
    assert (await there.segments([CLIP], LIMITS)).is_own_fault


async def test_looks_take_turns_and_no_more_children_are_started_than_allowed() -> None:
    there = Decoders(decoders=2)
    found = await asyncio.gather(*(there.segments([CLIP], LIMITS) for _ in range(9)))
    assert [each.frames for each in found] == [20] * 9
    assert len(children("segments")) <= 2
    await there.close()


async def test_children_that_nobody_needs_any_more_end(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Decoders(decoders=2)
    async with hanging() as url:
        brief = PictureLimits(sample_s=0.2, timeout_s=1.0)
        await asyncio.gather(*(there.rtmp(url, brief) for _ in range(2)))
    assert len(children("play")) == 2
    monkeypatch.setattr(decoder_pool, "_IDLE_S", 0.0)
    await there.rtmp(f"rtmp://127.0.0.1:{_unused()}/live/x", LIMITS)
    await eventually(lambda: len(children("play")) == 1)
    await there.close()


async def test_a_child_that_has_done_much_makes_way_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoder_pool, "_JOBS_MAX", 2)
    there = Decoders(decoders=1)
    seen = set()
    for _ in range(4):
        assert (await there.jpegs([os.urandom(20)], LIMITS)).undecodable_frames == 1
        seen.update(children("stills"))
    assert len(seen) == 2
    await there.close()


async def test_a_child_can_open_nothing_and_knows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEEPER_SECRET", SECRET)
    there = Decoders()
    async with hanging() as url:
        playing = asyncio.create_task(there.rtmp(url, LONG))
        await there.segments([CLIP], LIMITS)
        await eventually(lambda: _is_connected(children("play")))
        for kind in ("segments", "play"):
            folder = Path("/proc") / str(children(kind)[0])
            for name in ("environ", "cmdline"):
                assert SECRET.encode() not in (folder / name).read_bytes()
            limits = (folder / "limits").read_text()
            for what in ("Max file size", "Max processes", "Max core file size"):
                line = next(line for line in limits.splitlines() if line.startswith(what))
                assert line.removeprefix(what).split()[:2] == ["0", "0"]
            files = next(line for line in limits.splitlines() if "open files" in line).split()
            opened = {int(each.name) for each in (folder / "fd").iterdir()}
            assert int(files[3]) == (4 if kind == "segments" else 16)
            assert opened >= {0, 1, 2, 3}
            assert max(opened) < 16
            assert (folder / "oom_score_adj").read_text() == "500\n"
        await there.close()
        await playing


def _is_connected(pids: list[int]) -> bool:
    """Whether one of them has a socket: it plays."""
    with suppress(OSError):  # it ends, or has just begun
        return any(
            str(each.readlink()).startswith("socket:")
            for pid in pids
            for each in (Path("/proc") / str(pid) / "fd").iterdir()
            if int(each.name) > 3
        )
    return False


async def test_pictures_are_decoded_without_the_video_libraries() -> None:
    there = Decoders()
    await there.jpegs([os.urandom(20)], LIMITS)
    maps = (Path("/proc") / str(children("stills")[0]) / "maps").read_text()
    assert "libavcodec" not in maps
    assert "numpy" not in maps
    await there.close()


async def test_a_child_that_is_killed_is_our_own_fault_and_another_takes_its_place() -> None:
    there = Decoders(players=1)
    async with hanging() as url:
        for _ in range(3):
            playing = asyncio.create_task(there.rtmp(url, LONG))
            await eventually(lambda: _is_connected(children("play")))
            os.kill(children("play")[0], signal.SIGKILL)
            found = await playing
            assert (found.is_own_fault, found.error) == (True, "the decoder was ended")
    await there.close()


async def test_what_kills_decoders_look_after_look_is_a_broken_stream() -> None:
    """One death may be ours; a stream that no decoder survives would be left alone for ever."""
    there = Decoders(players=1)
    async with hanging() as url:
        found = []
        for _ in range(2):
            playing = asyncio.create_task(there.rtmp(url, LONG))
            await eventually(lambda: _is_connected(children("play")))
            os.kill(children("play")[0], signal.SIGSEGV)
            found.append(await playing)
    assert [each.is_own_fault for each in found] == [True, False]
    assert found[1].undecodable_frames == 1
    assert SECRET not in found[1].error
    await there.close()


async def test_a_child_that_hangs_is_killed_at_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = Decoders(decoders=1)
    await there.segments([CLIP], LIMITS)
    monkeypatch.setattr(decoder, "_DECODE_S", 0.1)
    monkeypatch.setattr(decoder, "_MARGIN_S", 0.1)
    stuck = children("segments")
    os.kill(stuck[0], signal.SIGSTOP)
    found = await there.segments([CLIP], LIMITS)
    assert (found.is_own_fault, found.error) == (True, "decoding took too long")
    await eventually(lambda: not is_running(stuck[0]))
    monkeypatch.undo()
    assert (await there.segments([CLIP], LIMITS)).frames == 20
    await there.close()


async def test_a_look_that_gets_no_turn_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Decoders(players=1)
    async with hanging() as url:
        playing = asyncio.create_task(there.rtmp(url, LONG))
        await eventually(lambda: _is_connected(children("play")))  # it has its turn, and keeps it
        # Not before: on a busy machine the child of the first one takes longer to start.
        monkeypatch.setattr(decoder_pool, "_TURN_S", 0.3)
        found = await there.rtmp(url, LONG)
        said = "no player was free in time: 1 looks play at once, and more are due"
        assert (found.is_own_fault, found.error) == (True, said)
        await there.close()
        await playing


@pytest.mark.parametrize(
    ("cores", "memory_gb", "players"),
    [(1, 1, 8), (2, 8, 8), (4, 16, 16), (8, 64, 32), (64, 512, 32), (16, 8, 11), (8, 4, 8)],
)
async def test_a_larger_box_plays_more_at_once(cores: int, memory_gb: int, players: int) -> None:
    assert decoder.players_of(cores, memory_gb * 10**9) == players


async def test_sources_that_are_slow_leave_a_child_to_the_others() -> None:
    there = Decoders(players=2)
    async with hanging() as url:
        playing = asyncio.create_task(there.rtmp(url, LONG))
        await eventually(lambda: _is_connected(children("play")))
        os.kill(children("play")[0], signal.SIGKILL)  # from now on it is known as slow
        await playing
        slow = [asyncio.create_task(there.rtmp(url, LONG)) for _ in range(3)]
        await eventually(lambda: _is_connected(children("play")))
        found = await there.rtmp(f"rtmp://127.0.0.1:{_unused()}/live/x", LIMITS)
        assert (found.error, found.is_own_fault) == ("refused", False)
        assert not any(each.done() for each in slow)
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
    await there.close()


async def test_servers_that_say_nothing_leave_a_child_to_the_others() -> None:
    there = Decoders(players=2)
    async with hanging() as url:
        assert not (await there.rtmp(url, replace(LIMITS, sample_s=0.2, timeout_s=0.6))).frames
        waiting = [asyncio.create_task(there.rtmp(url, LONG)) for _ in range(3)]
        await eventually(lambda: _is_connected(children("play")))
        found = await there.rtmp(f"rtmp://127.0.0.1:{_unused()}/live/x", LIMITS)
        assert (found.error, found.is_own_fault) == ("refused", False)
        assert not any(each.done() for each in waiting)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await there.close()


async def test_slow_is_what_takes_long_itself_and_only_as_long_as_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = Decoders(decoders=1)
    for _ in range(60):
        await there.segments([CLIP], LIMITS, source="a")
    assert not there._slow, "what a child has used in its life is not one look's"
    monkeypatch.setattr(decoder, "_SLOW_S", 0.0)
    await there.segments([CLIP], LIMITS, source="a")
    assert len(there._slow) == 1
    monkeypatch.undo()
    await there.segments([CLIP], LIMITS, source="a")
    assert not there._slow
    await there.close()


def _unused() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def test_a_look_may_be_cancelled_at_any_moment() -> None:
    there = Decoders(decoders=1)
    big = [CLIP, bytes(8_000_000)]
    for steps in (*range(12), 20, 40, 80):
        look = asyncio.create_task(there.segments(big, LIMITS))
        for _ in range(steps):
            await asyncio.sleep(0)
        look.cancel()
        await asyncio.gather(look, return_exceptions=True)
    assert (await there.segments([CLIP], LIMITS)).frames == 20
    assert len(children("segments")) == 1
    await there.close()
    assert children("segments") == []


KEEPER = """
import asyncio, sys
from keeper.adapters.decoder import Decoders
from keeper.ports import PictureLimits

async def main() -> None:
    there = Decoders()
    limits = PictureLimits(sample_s=600.0, timeout_s=600.0)
    await there.segments([bytes(9)], limits)
    print("ready", flush=True)
    await there.rtmp(sys.argv[1], limits)

asyncio.run(main())
"""


async def test_no_child_outlives_keeper(free_port: Callable[[], int]) -> None:
    """Not even one that is busy, where nobody could tell it any more."""
    async with hanging() as url:
        keeper = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KEEPER, url, stdout=asyncio.subprocess.PIPE
        )
        assert keeper.stdout is not None
        assert await keeper.stdout.readline() == b"ready\n"
        await eventually(lambda: len(_of(keeper.pid)) == 2 and _is_connected(_of(keeper.pid)))
        orphans = _of(keeper.pid)
        keeper.kill()
        await keeper.wait()
        await eventually(lambda: not any(is_running(each) for each in orphans))


def _of(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(each) for each in listed]


async def test_a_job_of_absurd_length_is_not_begun() -> None:
    there = Decoders(decoders=1)
    await there.segments([CLIP], LIMITS)
    long = await there.segments([CLIP], replace(LIMITS, memory=bytes(600_000)))
    assert (long.is_own_fault, long.error) == (True, "the job is too long")
    assert (await there.segments([CLIP], LIMITS)).frames == 20
    await there.close()


async def test_memory_of_another_job_is_no_part_of_this_one() -> None:
    there = Decoders(decoders=1)
    await there.segments([CLIP, CLIP, CLIP], LIMITS)
    short = await there.segments([CLIP], replace(LIMITS, wants_frame=False))
    assert short.frames == 20
    await there.close()


async def test_the_daemon_itself_loads_nothing_that_decodes() -> None:
    words = "import sys, keeper.adapters.network; print({'av', 'numpy', 'PIL'} & set(sys.modules))"
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", words, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await program.communicate()
    assert said == b"set()\n"
