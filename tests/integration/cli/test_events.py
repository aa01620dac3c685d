"""`keeper events` in the moment in which a keeper comes or goes."""

import asyncio
from pathlib import Path

from keeper.cli.events import _look


async def test_a_keeper_that_goes_while_it_is_asked_is_followed_by_its_store(
    short_path: Path,
) -> None:
    """It accepts, and is gone before it answers: who follows events is not sent away."""
    config, socket = short_path / "keeper.yaml", short_path / "keeper.sock"
    config.write_text(f"state_dir: {short_path}/state\nsocket: {socket}\n")
    accepted = 0

    def go(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.transport.abort()

    async with await asyncio.start_unix_server(go, socket):
        page, note = await _look(config, socket, None, limit=10, after=7)
    assert accepted > 1  # the look whether there is one, and the question
    assert (page.events, page.next_after) == ((), 7)
    assert note == "no keeper is running: this is read from its store, which is new"
