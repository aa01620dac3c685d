"""What is advised about a channel that hangs is advised on the words of the real network."""

from __future__ import annotations

import asyncio

from keeper.adapters.network import HttpNetwork
from keeper.cli.alerts_tested import cure_of
from keeper.daemon.error_line import describe
from keeper.ports import HttpRequest, PortError
from keeper.web.telling_shapes import ChannelTested
from tests.waiting import PATIENCE_S


async def test_who_takes_a_message_and_never_answers_is_said_to_hang() -> None:
    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await is_over.wait()
        writer.close()

    is_over = asyncio.Event()
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    network, said = HttpNetwork(), ""
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await network.fetch(HttpRequest(method="POST", url=url, body=b"{}", timeout_s=0.1))
    except PortError as error:
        said = describe(error)
    finally:
        is_over.set()
        server.close()
        await network.close()
    tested = ChannelTested(channel="ops", is_delivered=False, duration_s=15.0, error=said)
    assert cure_of(tested).startswith("nobody answers within 15 s")
