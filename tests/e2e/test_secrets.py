"""Secrets: a canary of each kind goes through the whole daemon, and is looked for everywhere (I22)."""

import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import API_KEY, Box

pytestmark = pytest.mark.timeout(180)

STREAM_KEY = "canary-of-the-stream-8f3a91"
TOKEN = "canary-of-the-token-71bd02"
HOOK = "canaryofthehook5cc0"
SIGNING = "whsec_Y2FuYXJ5LW9mLXRoZS1zaWduYXR1cmU="
CANARIES = {"API key": API_KEY, "stream key": STREAM_KEY, "token": TOKEN, "webhook": HOOK, "signing": SIGNING}  # fmt: skip

# Its set-up script says what it does, as many do, and then fails: the secret is in what it said.
CARD = """\
  - name: card
    secrets: [RTMP_KEY]
    workload:
      kind: command
      image: example/card:1
      workdir: card
      setup: |
        set -x
        echo "publishing to $RTMP_KEY" >&2
        test -n "$FAILS_NEVER"
      start: sleep 3600
      manager: {kind: background}
      view: {kind: tcp, port: 8080}
"""


def _files_with(folder: Path, canary: str) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and canary.encode() in path.read_bytes()
    ]


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_no_secret_is_in_any_file_line_or_answer(box: Box, port: int) -> None:
    alerts = (
        "alerts:\n"
        "  group_wait_s: 1\n"
        "  channels:\n"
        "    - {kind: slack, name: chat, url_secret: CHAT_URL}\n"
        f"    - {{kind: webhook, name: ops, url: 'http://127.0.0.1:{port}/nobody',"
        " signing_secret: OPS_SIGNING}\n"
    )
    box.configure(CARD, alerts, listen=f"127.0.0.1:{port}")
    daemon = await box.daemon(
        KEEPER_HTTP__TOKEN=TOKEN,
        KEEPER_SECRET_RTMP_KEY=STREAM_KEY,
        KEEPER_SECRET_CHAT_URL=f"http://127.0.0.1:{port}/services/{HOOK}",
        KEEPER_SECRET_OPS_SIGNING=SIGNING,
    )
    await daemon.says(r'"event":"workload.deploy_failed"')
    await daemon.says(r'"event":"notice.failed"', timeout_s=100.0)
    said: dict[str, str] = {}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        for path in (
            "/", "/metrics", "/api/v1/status", "/api/v1/plan", "/api/v1/events?limit=1000",
            "/api/v1/explain?slot=card/0", "/api/v1/explain?slot=duel/0", "/-/ready",
        ):  # fmt: skip
            async with client.get(path) as answer:
                said[path] = await answer.text()
    status = await box.keeper("status", "--json")
    events = await box.keeper("events", "--json")
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0
    said["keeper status"], said["keeper events"] = status.out + status.err, events.out + events.err
    said["log"] = "".join([*daemon.out, *daemon.err])
    assert "publishing to" in said["log"]  # the set-up script was heard
    for kind, canary in CANARIES.items():
        assert [where for where, text in said.items() if canary in text] == [], kind
        assert _files_with(box.state, canary) == [], kind
