"""Hints from outside, over HTTP: who may, how much, how long; and never more than a hint."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from keeper.web import hooks
from tests.integration.web.conftest import Keeper, Serve
from tests.integration.web.test_app import BEARER, ask
from tests.unit.web.test_hints import AT, BODY, GROUP, SECRET, signed
from tests.waiting import PATIENCE_S, eventually

SECRETS = {"vast": SECRET, "alertmanager": "Zk39qLw7"}
# What looks signed, so that its body is waited for.
FORGED = b"POST /hooks/vast HTTP/1.1\r\nHost: a\r\nX-Vast-Signature-256: sha256=" + b"0" * 64
SLOW = b"\r\nContent-Length: 9\r\n\r\n{"


async def test_nobody_may_hint_where_no_secret_is_configured(serve: Serve) -> None:
    served = await serve(Keeper(time=AT))
    for path, headers in (("vast", signed()), ("alertmanager", BEARER)):
        status, body, _ = await ask(
            f"{served.url}/hooks/{path}", "POST", data=BODY, headers=headers
        )
        assert (status, body["title"]) == (404, "not found")
    assert (served.keeper.hints, served.keeper.no_hints) == ([], [])


async def test_a_signed_notification_is_a_hint_once(serve: Serve) -> None:
    served = await serve(Keeper(time=AT), secrets=SECRETS)
    for is_news in (True, False):
        status, body, _ = await ask(f"{served.url}/hooks/vast", "POST", data=BODY, headers=signed())
        assert (status, body) == (200, {"is_news": is_news})
    assert [hint.about for hint in served.keeper.hints] == ["outbid", "outbid"]
    assert served.keeper.orders == []


async def test_what_is_forged_or_late_is_refused_and_no_hint(serve: Serve) -> None:
    served = await serve(Keeper(time=AT), secrets=SECRETS)
    url = f"{served.url}/hooks/vast"
    wrong = signed(secret="whsec_other")
    status, body, _ = await ask(url, "POST", data=BODY, headers=wrong)
    assert (status, body["detail"]) == (401, ""), "not a word of what was wrong"
    late = signed(stamp=str(int(AT.timestamp()) - 301))
    status, body, _ = await ask(url, "POST", data=BODY, headers=late)
    assert (status, body["title"]) == (400, "late")
    status, body, _ = await ask(url, "POST", data=b"{", headers=signed(b"{"))
    assert (status, body["title"]) == (400, "not understood")
    assert served.keeper.hints == []
    assert served.keeper.no_hints == [("vast", "forged"), ("vast", "late"), ("vast", "malformed")]
    assert SECRET not in json.dumps(body)


async def test_alertmanager_needs_its_own_token_and_keepers_is_none(serve: Serve) -> None:
    served = await serve(Keeper(time=AT), secrets=SECRETS)
    url = f"{served.url}/hooks/alertmanager"
    for headers in ({}, BEARER, {"Authorization": f"Bearer {SECRET}"}):
        assert (await ask(url, "POST", json=GROUP, headers=headers))[0] == 401
    assert served.keeper.hints == []
    right = {"Authorization": f"Bearer {SECRETS['alertmanager']}"}
    assert (await ask(url, "POST", json=GROUP, headers=right))[0] == 200
    assert [hint.about for hint in served.keeper.hints] == ["firing: KeeperDown"]
    # And it opens nothing else.
    order = {"kind": "pause"}
    assert (await ask(f"{served.url}/api/v1/orders", "POST", json=order, headers=right))[0] == 401


@pytest.mark.parametrize("has_length", [True, False])
async def test_a_body_that_is_too_long_is_not_read_to_its_end(
    serve: Serve, has_length: bool
) -> None:
    served = await serve(Keeper(time=AT), secrets=SECRETS)
    whole = b" " * 262_145

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(whole), 65_536):
            yield whole[at : at + 65_536]

    data = whole if has_length else pieces()
    status, body, _ = await ask(
        f"{served.url}/hooks/vast", "POST", data=data, headers=signed(whole)
    )
    assert (status, body["title"]) == (413, "too long")
    # More than an order may have, and all of it counts for the signature.
    most = BODY + b" " * (262_144 - len(BODY))
    status, _, _ = await ask(f"{served.url}/hooks/vast", "POST", data=most, headers=signed(most))
    assert status == 200


async def test_what_is_packed_is_not_unpacked(serve: Serve) -> None:
    """A few bytes become gigabytes; and the signature is of what was sent."""
    served = await serve(Keeper(time=AT), secrets=SECRETS)
    headers = {**signed(), "Content-Encoding": "gzip"}
    assert (await ask(f"{served.url}/hooks/vast", "POST", data=BODY, headers=headers))[0] == 415
    assert served.keeper.hints == []


async def test_who_never_ends_a_body_is_let_go(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "_BODY_S", 0.1)
    served = await serve(Keeper(time=AT), secrets=SECRETS)
    port = served.runner.addresses[0][1]
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(FORGED + SLOW)
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Length: 900\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
async def test_who_goes_in_the_middle_leaves_no_trace(
    serve: Serve, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Anybody could have filled the log with tracebacks."""
    served = await serve(Keeper(time=AT), secrets=SECRETS)
    _, writer = await asyncio.open_connection("127.0.0.1", served.runner.addresses[0][1])
    writer.write(FORGED + b"\r\n" + sent)
    await writer.drain()
    found = served.runner.app[hooks.HOOKS]
    await eventually(lambda: found.at_once == 1)
    writer.close()
    await eventually(lambda: found.at_once == 0)
    # Once more, so that whatever the first one has left behind is written down.
    status, _, _ = await ask(f"{served.url}/hooks/vast", "POST", data=BODY, headers=signed())
    assert status == 200
    assert [each for each in caplog.records if each.levelname in {"ERROR", "WARNING"}] == []


async def test_too_many_at_once_are_told_to_come_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vast.ai sends again what is answered with 429, and with little else of the 4xx."""
    monkeypatch.setattr(hooks, "_BODY_S", PATIENCE_S)  # those that are held stay
    served = await serve(Keeper(time=AT), secrets=SECRETS)
    address = ("127.0.0.1", served.runner.addresses[0][1])
    held = []
    try:
        for _ in range(16):
            held.append(socket.create_connection(address, timeout=PATIENCE_S))
            held[-1].sendall(FORGED + SLOW)
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
            while True:
                async with session.post(
                    f"{served.url}/hooks/vast", data=BODY, headers=signed()
                ) as reply:
                    if reply.status == 429:
                        break
                    assert reply.status == 200
    finally:
        for each in held:
            each.close()


@pytest.mark.parametrize(
    ("path", "proof"),
    [
        ("vast", b""),
        ("vast", b"\r\nX-Vast-Signature-256: sha256=soon"),
        ("alertmanager", b""),
        ("alertmanager", b"\r\nAuthorization: Bearer Zk39qLw8"),
    ],
)
async def test_whose_headers_prove_nothing_takes_no_place_from_a_true_hint(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, path: str, proof: bytes
) -> None:
    """Sixteen strangers, each of whom never ends a body, shut nobody out."""
    monkeypatch.setattr(hooks, "_BODY_S", PATIENCE_S)  # who takes a place keeps it
    served = await serve(Keeper(time=AT), secrets=SECRETS)
    head = f"POST /hooks/{path} HTTP/1.1\r\nHost: a".encode() + proof + SLOW
    async with asyncio.timeout(PATIENCE_S):
        address = ("127.0.0.1", served.runner.addresses[0][1])
        held = [await asyncio.open_connection(*address) for _ in range(16)]
        try:
            for _, writer in held:
                writer.write(head)
            for reader, _ in held:  # answered without a byte more of the body
                assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
            token = {"Authorization": f"Bearer {SECRETS['alertmanager']}"}
            found = await ask(f"{served.url}/hooks/vast", "POST", data=BODY, headers=signed())
            told = await ask(f"{served.url}/hooks/alertmanager", "POST", json=GROUP, headers=token)
            assert (found[0], told[0]) == (200, 200)
        finally:
            for _, writer in held:
                writer.close()
    assert served.keeper.no_hints == [(path, "forged")] * 16
    assert len(served.keeper.hints) == 2
