"""The store's one thread: whoever waits for it is answered, whatever goes wrong in it."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from keeper.adapters.writer import GROUP_MAX, NotStorable, Writer
from keeper.ports import StoreError, StoreFull

pytestmark = pytest.mark.timeout(180)


def _writer(transaction: Callable[[Callable[[str], Any]], Any] | None = None) -> Writer[str]:
    return Writer(transaction or (lambda work: work("disk")), name="test")


def _nothing() -> None:
    """Close without trouble."""


async def test_what_was_asked_for_is_done_in_order() -> None:
    writer = _writer()
    done: list[int] = []
    await asyncio.gather(*(writer.submit(lambda _, n=n: done.append(n)) for n in range(20)))  # type: ignore[misc]
    await writer.stop(_nothing)
    assert done == list(range(20))


async def test_a_close_that_fails_does_not_hang_the_stop() -> None:
    """The thread died without a word, and keeper waited for it until it was killed."""
    writer = _writer()

    def fail() -> None:
        raise StoreFull("no space to fold the log")

    with pytest.raises(StoreError):
        await asyncio.wait_for(writer.stop(fail), 15.0)


async def test_those_who_share_a_transaction_share_its_fate() -> None:
    def full(_: Callable[[str], Any]) -> Any:
        raise StoreFull

    writer = _writer(full)
    results = await asyncio.gather(
        *(writer.submit(lambda _: None, is_sharing=True) for _ in range(5)), return_exceptions=True
    )
    await writer.stop(_nothing)
    assert all(isinstance(result, StoreFull) for result in results)


async def test_a_caller_who_left_does_not_stop_the_work() -> None:
    writer = _writer()
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    leaving = asyncio.create_task(
        writer.submit(lambda _: loop.call_soon_threadsafe(done.set), is_sharing=True)
    )
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait_for(done.wait(), 15.0)
    await writer.stop(_nothing)


# --- who shares what --------------------------------------------------------------------------------


class Recorded:
    """A disk that counts: each transaction with the work that was done in it."""

    def __init__(self, refused: dict[str, Exception] | None = None) -> None:
        self.transactions: list[list[str]] = []
        self.refused = refused or {}

    def transaction(self, work: Callable[[list[str]], Any]) -> Any:
        written: list[str] = []
        result = work(written)
        self.transactions.append(written)
        return result

    def write(self, what: str) -> Callable[[list[str]], str]:
        def work(on: list[str]) -> str:
            if what in self.refused:
                raise self.refused[what]
            on.append(what)
            return what.upper()

        return work


async def _all_at_once(disk: Recorded, *asked: tuple[str, bool]) -> tuple[list[Any], Writer[Any]]:
    """Ask for all of it while the thread is busy, so that it finds them together."""
    writer: Writer[Any] = Writer(disk.transaction, name="keeper-test")
    may_go = threading.Event()
    busy = asyncio.create_task(writer.submit(lambda _: may_go.wait(10)))
    await asyncio.sleep(0.02)
    tasks = [
        asyncio.create_task(writer.submit(disk.write(what), is_sharing=is_sharing))
        for what, is_sharing in asked
    ]
    await asyncio.sleep(0)
    may_go.set()
    await busy
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    await writer.stop(_nothing)
    return answers, writer


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([("a", True), ("b", True), ("c", True)], [["a", "b", "c"]]),
        ([("a", True), ("b", False), ("c", True)], [["a"], ["b"], ["c"]]),
        ([("a", False), ("b", False)], [["a"], ["b"]]),
    ],
)
async def test_only_neighbours_that_may_share_a_transaction_do(
    asked: list[tuple[str, bool]], expected: list[list[str]]
) -> None:
    disk = Recorded()
    answers, writer = await _all_at_once(disk, *asked)
    assert disk.transactions[1:] == expected
    assert answers == [what.upper() for what, _ in asked]
    assert writer.transactions == 1 + len(expected)


async def test_what_is_asked_for_shares_nothing_unless_it_says_so() -> None:
    disk = Recorded()
    writer: Writer[Any] = Writer(disk.transaction, name="keeper-test")
    await asyncio.gather(*(writer.submit(disk.write(what)) for what in "abc"))
    await writer.stop(_nothing)
    assert disk.transactions == [["a"], ["b"], ["c"]]


async def test_a_commit_waits_for_no_more_than_so_many() -> None:
    """The first of them must not wait for ever for the last."""
    disk = Recorded()
    await _all_at_once(disk, *((str(n), True) for n in range(GROUP_MAX + 1)))
    # The one that kept the thread busy is the first of its thousand.
    assert [len(each) for each in disk.transactions] == [0, GROUP_MAX - 1, 2]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(NotStorable("too big"), ["A", "NotStorable", "C"], id="its own fault"),
        pytest.param(ValueError("a bug"), ["A", "ValueError", "C"], id="a bug in it"),
        pytest.param(StoreFull("no space"), ["StoreFull"] * 3, id="the store's fault"),
    ],
)
async def test_who_shared_with_one_that_failed_tries_again_unless_the_store_is_at_fault(
    error: Exception, expected: list[str]
) -> None:
    disk = Recorded({"b": error})
    answers, _ = await _all_at_once(disk, ("a", True), ("b", True), ("c", True))
    said = [type(each).__name__ if isinstance(each, Exception) else each for each in answers]
    assert said == expected


async def test_the_thread_has_its_name_and_holds_up_no_end() -> None:
    writer: Writer[str] = Writer(lambda work: work("disk"), name="keeper-test")
    (thread,) = [each for each in threading.enumerate() if each.name == "keeper-test"]
    assert thread.daemon
    await writer.stop(_nothing)
    assert not thread.is_alive()
