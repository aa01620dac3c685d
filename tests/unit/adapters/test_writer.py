"""The store's one thread: whoever waits for it is answered, whatever goes wrong in it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from keeper.adapters.writer import Writer
from keeper.ports import StoreError, StoreFull

pytestmark = pytest.mark.timeout(20)


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
        await asyncio.wait_for(writer.stop(fail), 5.0)


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
    await asyncio.wait_for(done.wait(), 5.0)
    await writer.stop(_nothing)
