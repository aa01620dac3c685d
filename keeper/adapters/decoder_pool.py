"""The decoders' processes: started when needed, kept for many jobs, taking turns, and ended for certain.

Nothing here knows what is decoded. A job is a line of JSON and bytes in a file of memory that the child has
open; its answer is one bounded line.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Annotated, Any, Self

import msgspec

_PROGRAM = "keeper.adapters.decoder_child"
_LINE_MAX = 400_000
_STRIDE_BYTES = 1 << 18  # half a millisecond of copying; then it is the turn of others
_KEPT_BYTES = 4_000_000  # of a child's memory file between jobs
# For a turn, and for a child that is being started. The next look cancels one that takes as long.
_TURN_S = 8.0
_START_S = 30.0
_END_S = 5.0
_IDLE_S = 300.0  # a burst's children are not kept for ever
_JOBS_MAX = 1_000
_GROWTH_MAX_KB = 300_000
# Ends by which a decoder shows that it could not cope with what it was given; any other is this box's.
_CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGXCPU}
)

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
_Amount = Annotated[float, msgspec.Meta(ge=0, le=10**9)]
_Level = Annotated[float, msgspec.Meta(ge=-1000, le=1000)]
_Blob = Annotated[str, msgspec.Meta(max_length=_LINE_MAX)]


class Still(msgspec.Struct, frozen=True):
    """One picture, by a child's word; its grid in base64."""

    grid: _Blob
    luma: _Amount
    bright: _Amount


class Answer(msgspec.Struct, frozen=True):
    """What a child has found, by its own word. It has decoded what strangers sent, and may be theirs."""

    ready: bool = False
    frames: _Count = 0
    unique: _Count = 0
    undecodable: _Count = 0
    luma: _Amount | None = None
    bright: _Amount | None = None
    motion: _Amount | None = None
    change: _Amount | None = None
    compared_s: _Amount = 0.0
    media_s: _Amount = 0.0
    has_video: bool = True
    has_sound: bool = False
    sound_dbfs: _Level | None = None
    keyframe_interval_s: _Amount | None = None
    jpeg: _Blob = ""
    memory: _Blob = ""
    stills: list[Still | None] = []
    error: str = ""
    status: _Count = 200
    bytes: _Count = 0
    sampled_s: _Amount = 0.0
    newest_age_s: _Amount | None = None
    cpu_s: _Amount = 0.0  # of this job
    rss_kb: _Count = 0  # the most that the process has ever taken
    is_own_fault: bool = False


_ANSWER = msgspec.json.Decoder(Answer)


class Died(Exception):
    """The child ended before it had answered."""

    def __init__(self, *, is_crash: bool) -> None:
        super().__init__(is_crash)
        self.is_crash = is_crash


class Late(Exception):
    """The child had not answered at the deadline."""


class Child:
    """One process. After ``do`` was cancelled or has raised it is good for nothing but ``end``."""

    def __init__(self, process: asyncio.subprocess.Process, memory: int) -> None:
        self.process = process
        self._memory = memory
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop.time()
        self._is_ready = False
        self._first_kb = 0
        self._rss_kb = 0
        self._jobs = 0
        self.idle_since_s = self._started_s

    @classmethod
    async def start(cls, kind: str) -> Self:
        """Start one with nothing of ours in its environment. Raises OSError."""
        memory = os.memfd_create(f"keeper-{kind}", os.MFD_CLOEXEC)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-m",
                _PROGRAM,
                kind,
                str(memory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=_LINE_MAX,
                # One thread each: a library that starts more at once would be refused them.
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
                pass_fds=(memory,),
            )
        except BaseException:
            os.close(memory)
            raise
        return cls(process, memory)

    @property
    def is_worn(self) -> bool:
        """Whether another should take its place: it has ended, has done much, or has grown."""
        return (
            self.process.returncode is not None
            or self._jobs >= _JOBS_MAX
            or self._rss_kb - self._first_kb > _GROWTH_MAX_KB
            or (not self._is_ready and self._loop.time() - self._started_s > _START_S)
        )

    async def be_ready(self) -> None:
        """Wait until its libraries are loaded; may be cancelled and called again."""
        if not self._is_ready:
            answer = await self._answer()
            self._first_kb = self._rss_kb = answer.rss_kb
            self._is_ready = True

    async def do(self, job: dict[str, Any], parts: Sequence[bytes], deadline_s: float) -> Answer:
        """Have one job done. Raises Died, Late."""
        line = json.dumps(job).encode() + b"\n"
        if len(line) >= _LINE_MAX:
            return Answer(error="the job is too long", is_own_fault=True)
        self._jobs += 1
        try:
            async with asyncio.timeout(deadline_s):
                size = await self._lay_out(parts)
                assert self.process.stdin is not None
                with suppress(OSError, RuntimeError):  # its death is heard below
                    self.process.stdin.write(line)
                    await self.process.stdin.drain()
                answer = await self._answer()
        except TimeoutError as error:
            raise Late from error
        if size > _KEPT_BYTES:
            os.ftruncate(self._memory, 0)
        self._rss_kb = answer.rss_kb
        return answer

    async def _lay_out(self, parts: Sequence[bytes]) -> int:
        at = 0
        for part in parts:
            view = memoryview(part)
            for start in range(0, len(view), _STRIDE_BYTES):
                if at:
                    await asyncio.sleep(0)
                at += os.pwrite(self._memory, view[start : start + _STRIDE_BYTES], at)
        os.ftruncate(self._memory, at)  # what the job before has left is no part of this one
        return at

    async def _answer(self) -> Answer:
        assert self.process.stdout is not None
        try:
            line = await self.process.stdout.readline()
            if line:
                return _ANSWER.decode(line)
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            # No child of ours says such things: a stranger's stream has it in its hands.
            raise Died(is_crash=True) from error
        status = await self.process.wait()
        raise Died(is_crash=-status in _CRASHES)

    def kill(self) -> None:
        """End it at once, whatever it is doing. May be repeated."""
        with suppress(OSError, RuntimeError):
            assert self.process.stdin is not None
            self.process.stdin.close()
        with suppress(ProcessLookupError):
            self.process.kill()
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1


class Pool:
    """A few children of one kind, which looks use in turn."""

    def __init__(self, kind: str, count: int) -> None:
        self._kind = kind
        self._turns = asyncio.Semaphore(count)
        # Sources that have been slow use all but one, so that the others' wait stays short.
        self._slow_turns = asyncio.Semaphore(max(1, count - 1))
        self._idle: list[Child] = []
        self._all: set[Child] = set()
        self._is_closed = False

    @asynccontextmanager
    async def child(self, *, is_slow: bool) -> AsyncIterator[Child]:
        """Lend a child that is ready. Raises TimeoutError, Died, OSError.

        One whose borrower was cancelled or met an exception is in the midst of something: it is killed.
        """
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(_TURN_S):
                if is_slow:
                    await stack.enter_async_context(self._slow_turns)
                await stack.enter_async_context(self._turns)
                child = await self._ready_child()
            try:
                yield child
            except BaseException:
                self._drop(child)
                raise
            self._put_back(child)

    async def _ready_child(self) -> Child:
        child = await self._any_child()
        try:
            await child.be_ready()
        except Died:
            self._drop(child)
            raise OSError("it ended before it had begun") from None
        except BaseException:
            self._put_back(child)  # it goes on loading, and whoever comes next waits for less
            raise
        return child

    async def _any_child(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if not child.is_worn:
                return child
            self._drop(child)
        if self._is_closed:
            raise OSError("closed")
        self._all = {child for child in self._all if child.process.returncode is None}
        child = await Child.start(self._kind)
        self._all.add(child)
        return child

    def _put_back(self, child: Child) -> None:
        if self._is_closed or child.is_worn:
            self._drop(child)
            return
        child.idle_since_s = now_s = asyncio.get_running_loop().time()
        self._idle.append(child)
        # The one that was used last is used next, so the first is the one that nobody needs.
        if len(self._idle) > 1 and now_s - self._idle[0].idle_since_s > _IDLE_S:
            self._drop(self._idle.pop(0))

    def _drop(self, child: Child) -> None:
        child.kill()  # whoever waits for its end is `close`, or the next start

    async def close(self) -> None:
        """End all children, at once. May be repeated."""
        self._is_closed = True
        self._idle.clear()
        for child in self._all:
            child.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                for child in self._all:
                    await child.process.wait()
        self._all.clear()
