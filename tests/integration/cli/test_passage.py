"""A tunnel's passage over real OpenSSH: where it leads, and one sentence for each thing that goes wrong."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import asyncssh
import pytest

from keeper.cli import passage as passages
from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.passage import Passage, Told
from keeper.ports import Address
from keeper.web.way import EntranceStatus, WayStatus
from tests.real_sshd import RealSshd, running_sshd
from tests.relay import Relay, relayed
from tests.waiting import eventually

pytestmark = pytest.mark.real("sshd")


SERVED: set[asyncio.StreamWriter] = set()  # who is being served: sshd lets go after its client has


async def serving(port: int = 0, said: bytes = b"") -> asyncio.Server:
    """A server of a workload: it says its name, then repeats what it hears until both ends close."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        SERVED.add(writer)
        try:
            writer.write(said)
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            SERVED.discard(writer)

    return await asyncio.start_server(serve, "127.0.0.1", port, reuse_address=True)


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


class Tunnel:
    """A passage with its local end, and all that it told."""

    def __init__(self, sshd: RealSshd, *, keepalive_s: float = 3.5, held_s: float = 5.0) -> None:
        self.sshd = sshd
        self.told: list[Told] = []
        hosts = sshd.hosts(keepalive_s=keepalive_s, time_share=1.0)
        self.passage = Passage(
            hosts=hosts, slot="duel/0", remote_port=None, tell=self.told.append, held_s=held_s
        )
        self.ways: asyncio.Queue[WayStatus | Stopped] = asyncio.Queue()
        self.port = 0
        self._tick = 0

    async def follow(self) -> AsyncIterator[WayStatus | Stopped]:
        while True:
            yield await self.ways.get()

    def leads(
        self,
        instance_id: int | None,
        *addresses: Address,
        view_port: int | None = None,
        key: str = "",
        why: str = "",
        is_key_changed: bool = False,
    ) -> None:
        """Let keeper say where the slot is."""
        self._tick += 1
        own = (self.sshd.folder / "host_key.pub").read_text().split()
        entrances = tuple(
            EntranceStatus(
                host=each.host,
                port=each.port,
                is_relay=each.is_relay,
                host_key=key or " ".join(own[:2]),
            )
            for each in addresses
        )
        self.ways.put_nowait(
            WayStatus(
                tick=self._tick,
                slot="duel/0",
                stream="duel",
                instance_id=instance_id,
                entrances=entrances,
                view_port=view_port,
                is_key_changed=is_key_changed,
                why=why,
            )
        )

    async def until(self, fact: str, times: int = 1) -> str:
        await eventually(lambda: len([t for t in self.told if t.fact == fact]) >= times)
        return [each.says for each in self.told if each.fact == fact][-1]

    @property
    def facts(self) -> list[str]:
        return [each.fact for each in self.told]

    async def hears(self, length: int) -> bytes | None:
        """Connect, and return the first bytes that come: fewer at an end in order, None at a reset."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(20):
                return await reader.readexactly(length)
        except asyncio.IncompleteReadError as ended:
            return ended.partial
        except ConnectionResetError:
            return None
        finally:
            writer.transport.abort()


@pytest.fixture
async def sshd(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[RealSshd]:
    async with running_sshd(tmp_path / "sshd", free_port()) as server:
        key = asyncssh.read_private_key(tmp_path / "sshd" / "host_key")
        (tmp_path / "sshd" / "host_key.pub").write_bytes(key.export_public_key())
        yield server


Dig = Callable[..., Awaitable[Tunnel]]


@pytest.fixture
async def dig(sshd: RealSshd) -> AsyncIterator[Dig]:
    """Open tunnels, and close them with the test."""
    made: list[tuple[asyncio.Server, list[asyncio.Task[None]], Tunnel]] = []
    async with asyncio.TaskGroup() as group:

        async def start(**given: float) -> Tunnel:
            tunnel = Tunnel(sshd, **given)
            server = await asyncio.start_server(tunnel.passage.carry, "127.0.0.1", 0)
            tunnel.port = port_of(server)
            passage = tunnel.passage
            tasks = [
                group.create_task(passage.keep_link()),
                group.create_task(passage.follow(tunnel.follow())),
            ]
            made.append((server, tasks, tunnel))
            return tunnel

        yield start
        for server, tasks, tunnel in made:
            server.close()
            tunnel.passage.close()
            for task in tasks:
                task.cancel()
    await eventually(lambda: not SERVED and not any(t.passage._open for *_, t in made))


async def test_leads_there_and_back_with_each_end_by_itself(sshd: RealSshd, dig: Dig) -> None:
    server, tunnel = await serving(), await dig()
    tunnel.leads(7, sshd.address, view_port=port_of(server))
    reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.port)
    sent = os.urandom(1_000_000)

    async def send() -> None:
        writer.write(sent)
        await writer.drain()
        writer.write_eof()

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        assert await reader.read(-1) == sent
    writer.close()
    assert tunnel.facts == ["linked"]
    server.close()


async def test_follows_the_slot_to_another_host(sshd: RealSshd, dig: Dig) -> None:
    old, new, tunnel = await serving(said=b"old"), await serving(said=b"new"), await dig()
    async with relayed(sshd.address) as relay:
        tunnel.leads(7, sshd.address, view_port=port_of(old))
        reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.port)
        assert await reader.readexactly(3) == b"old"
        tunnel.leads(8, relay.address, view_port=port_of(new))
        says = await tunnel.until("moved")
        assert says == (
            "duel/0 has moved from instance 7 to 8; connections to the old host are closed"
        )
        async with asyncio.timeout(20):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        assert await tunnel.hears(3) == b"new"
        assert tunnel.facts == ["linked", "moved", "linked"]
        assert [each.instance_id for each in tunnel.told] == [7, 8, 8]
        writer.close()
    old.close()
    new.close()


async def test_a_dead_server_is_told_from_a_dead_tunnel(
    sshd: RealSshd, dig: Dig, free_port: Callable[[], int]
) -> None:
    tunnel, port = await dig(), free_port()
    tunnel.leads(7, sshd.address, view_port=port)
    assert await tunnel.hears(1) is None
    assert await tunnel.hears(1) is None
    assert await tunnel.until("server_dead") == (
        f"the tunnel is well, but nothing listens on port {port} of instance 7:"
        " look with keeper logs duel/0"
    )
    server = await serving(port, b"x")
    assert await tunnel.hears(1) == b"x"
    assert tunnel.facts == ["linked", "server_dead", "server_back"]
    server.close()


async def test_a_lost_link_is_made_again_and_who_comes_meanwhile_waits(
    sshd: RealSshd, dig: Dig
) -> None:
    server, tunnel = await serving(said=b"x"), await dig()
    async with relayed(sshd.address) as relay:
        tunnel.leads(7, relay.address, view_port=port_of(server))
        reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.port)
        assert await reader.readexactly(1) == b"x"
        relay.cut()
        assert "the link to instance 7 is lost" in await tunnel.until("link_lost")
        assert await tunnel.hears(1) == b"x"
        assert await tunnel.until("link_back") == "the link to instance 7 is back"
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
    assert tunnel.facts[:3] == ["linked", "link_lost", "link_back"]
    server.close()


async def test_a_network_that_swallows_everything_is_noticed(sshd: RealSshd, dig: Dig) -> None:
    """Half open: nothing is refused, and nothing comes. Only keepalives can tell."""
    server, tunnel = await serving(said=b"x"), await dig(keepalive_s=0.2)
    async with relayed(sshd.address) as relay:
        tunnel.leads(7, relay.address, view_port=port_of(server))
        assert await tunnel.hears(1) == b"x"
        relay.freeze()
        assert "is lost" in await tunnel.until("link_lost")
    server.close()


def test_half_open_is_noticed_within_15_seconds() -> None:
    from keeper.adapters import ssh
    from keeper.cli import way

    assert way._KEEPALIVE_S * (ssh._KEEPALIVES_MISSED_MAX + 1) <= 15


async def test_a_host_that_does_not_answer_is_said_once_and_tried_on(
    sshd: RealSshd, dig: Dig, free_port: Callable[[], int]
) -> None:
    server, tunnel, port = await serving(said=b"x"), await dig(), free_port()
    tunnel.leads(7, Address(host="127.0.0.1", port=port), view_port=port_of(server))
    assert "instance 7 does not answer: " in await tunnel.until("unreachable")
    relay = Relay(sshd.address)
    entrance = await asyncio.start_server(relay.serve, "127.0.0.1", port)
    assert await tunnel.hears(1) == b"x"
    assert tunnel.facts == ["unreachable", "linked"]
    entrance.close()
    await relay.end()
    server.close()


async def test_the_second_entrance_is_used_when_the_first_is_dead(
    sshd: RealSshd, dig: Dig, free_port: Callable[[], int]
) -> None:
    server, tunnel = await serving(said=b"x"), await dig()
    dead = Address(host="127.0.0.1", port=free_port())
    relay = Address(host="localhost", port=sshd.address.port, is_relay=True)
    tunnel.leads(7, dead, relay, view_port=port_of(server))
    assert await tunnel.hears(1) == b"x"
    assert tunnel.facts == ["linked"]
    server.close()


async def test_no_host_is_waited_for(sshd: RealSshd, dig: Dig) -> None:
    server, tunnel = await serving(said=b"x"), await dig()
    tunnel.leads(7, sshd.address, view_port=port_of(server))
    assert await tunnel.hears(1) == b"x"
    tunnel.leads(None, why="it has no host now")
    tunnel.leads(None, why="it has no host now")
    assert await tunnel.until("no_host") == "duel/0 has no host now; waiting for one"
    tunnel.leads(8, why="keeper has not logged in to instance 8 yet, so nobody knows its key")
    assert "nobody knows its key; waiting" in await tunnel.until("no_way")
    tunnel.leads(8, sshd.address, view_port=port_of(server))
    assert await tunnel.hears(1) == b"x"
    assert tunnel.facts == ["linked", "no_host", "no_way", "linked"]
    server.close()


async def test_who_waits_for_a_host_is_let_go_after_a_while(dig: Dig) -> None:
    tunnel = await dig(held_s=0.1)
    tunnel.leads(None)
    assert await tunnel.hears(1) is None


async def test_a_changed_key_is_refused_and_the_next_host_is_not(sshd: RealSshd, dig: Dig) -> None:
    """I23: whoever shows another key than the pinned one gets no connection, nor our key."""
    server, tunnel = await serving(said=b"x"), await dig(held_s=0.2)
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    pinned = " ".join(stranger.split()[:2])
    relay, dials = Relay(sshd.address), []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dials.append(writer)
        await relay.serve(reader, writer)

    entrance = await asyncio.start_server(count, "127.0.0.1", 0)
    address = Address(host="127.0.0.1", port=port_of(entrance))
    tunnel.leads(7, address, view_port=port_of(server), key=pinned)
    says = await tunnel.until("key_changed")
    assert "pinned is SHA256:" in says
    assert says.endswith("keeper replace duel/0")
    tunnel.leads(7, address, view_port=port_of(server), key=pinned)
    for _ in range(4):  # longer than the first pause before a redial
        assert await tunnel.hears(1) is None
    assert len(dials) == 1
    # Only when keeper itself has seen the change, and the right key again, is it tried once more.
    tunnel.leads(7, address, key=pinned, is_key_changed=True, why="instance 7: another key")
    tunnel.leads(7, address, view_port=port_of(server), key=pinned)
    await eventually(lambda: len(dials) == 2)
    # And where keeper has seen it first.
    tunnel.leads(8, sshd.address, is_key_changed=True, why="instance 8: another key")
    assert await tunnel.hears(1) is None
    tunnel.leads(9, sshd.address, view_port=port_of(server))
    await tunnel.until("linked")
    assert await tunnel.hears(1) == b"x"
    assert set(tunnel.facts) <= {"key_changed", "moved", "linked"}
    entrance.close()
    await relay.end()
    server.close()


async def test_a_host_that_refuses_our_key_is_said(sshd: RealSshd, dig: Dig) -> None:
    tunnel = await dig()
    (sshd.folder / "authorized_keys").write_text("")
    tunnel.leads(7, sshd.address)
    assert "does not let keeper's key in" in await tunnel.until("key_refused")


async def test_without_keeper_it_goes_on_with_the_host_that_it_knows(
    sshd: RealSshd, dig: Dig
) -> None:
    server, tunnel = await serving(said=b"x"), await dig()
    tunnel.leads(7, sshd.address, view_port=port_of(server))
    gone = Stopped(ExitCode.NO_DAEMON, "the running keeper has stopped")
    tunnel.ways.put_nowait(gone)
    tunnel.ways.put_nowait(gone)
    assert await tunnel.until("daemon_gone") == (
        "keeper does not answer (the running keeper has stopped);"
        " going on with instance 7, the last that it named"
    )
    assert await tunnel.hears(1) == b"x"
    tunnel.leads(7, sshd.address, view_port=port_of(server))
    assert await tunnel.until("daemon_back") == "keeper answers again"
    tunnel.ways.put_nowait(Stopped(ExitCode.NOT_FOUND, "no such slot"))
    await tunnel.until("slot_unknown")
    assert sorted(tunnel.facts) == ["daemon_back", "daemon_gone", "linked", "slot_unknown"]
    server.close()


async def test_connections_are_bounded(
    sshd: RealSshd, dig: Dig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passages, "CONNECTIONS_MAX", 2)
    server, tunnel = await serving(said=b"x"), await dig()
    tunnel.leads(7, sshd.address, view_port=port_of(server))
    held = []
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.port)
        assert await reader.readexactly(1) == b"x"
        held.append(writer)
    assert await tunnel.hears(1) is None
    assert await tunnel.until("full") == "2 connections are open; no more are taken"
    held[0].transport.abort()
    await eventually(lambda: len(tunnel.passage._open) < 2)
    assert await tunnel.hears(1) == b"x"
    held[1].transport.abort()
    server.close()
