"""Secrets: a canary in every place a secret can be, and a search through everything afterwards (I22).

Two streams talk, each on a host of its own: one sets up loudly and fails, one comes up and then puts
its secret into its log, its title, its answers and its manager's words. A third is well. The
marketplace repeats keys in its errors, and a receiver of alerts repeats the address that it has.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import asyncssh
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keeper.sim.contract import Contract, instance_row
from keeper.sim.market import MarketShape
from keeper.sim.script import Cue
from keeper.sim.serve import SimServer, quick_tempo
from keeper.sim.warden import MARK
from tests.canaries import Flock, canary, key_of
from tests.e2e.conftest import Box, Running

pytestmark = pytest.mark.timeout(300)

# By place. What has odd characters in it is quoted differently by everybody who writes it.
VAST_KEY = key_of("the account")
CARD_KEY = canary("a stream whose set-up fails", "\"$'&")
TALK_KEY = canary("a stream that talks", "/+ =")
DUEL_KEY = canary("a stream that is well", "<é>")
TOKEN = canary("http.token, by file")
CHAT = f"services/{canary('chat 1')[:12]}/{canary('chat 2')[:12]}/{canary('chat 3')[:24]}"
SIGNING = "whsec_" + canary("the signature") + "A="
SIGNING_OLD = "whsec_" + canary("the signature before") + "A="
PLANTED: dict[str, str] = {
    "API key": VAST_KEY,
    "API key of a credential that a variable overrules": key_of("a credential"),
    "API key of a file that is overruled": key_of("a file"),
    "HTTP token": TOKEN,
    "card's": CARD_KEY,
    "talk's": TALK_KEY,
    "duel's": DUEL_KEY,
    "chat's address": CHAT,
    "signing secret": SIGNING.removeprefix("whsec_"),
    "old signing secret": SIGNING_OLD.removeprefix("whsec_"),
    "password in an address": canary("a password"),
    "token in an address": canary("a token in a query"),
    "bot's token": canary("a bot of the chat"),
    "pager's key": canary("the pager").replace("+", "x"),
    "Alertmanager's token": canary("alertmanager"),
    "password of an address of apprise's": canary("mail, password"),
    "path of an address of apprise's": canary("mail, path"),
    "secret of Vast.ai's hints": canary("hints of the marketplace"),
    "token of Alertmanager's hints": canary("hints of alertmanager"),
    "somebody else's variable": canary("AWS"),
    "another secret of the box": canary("nobody names it"),
}

# The slowest to show something is rented first.
STREAMS = """\
  - name: talk
    secrets: [TALK_KEY]
    policy: {warmup_grace_s: 1, warmup_max_s: 2, restart_settle_s: 0.5, replace_after_s: 600}
    workload:
      kind: command
      image: example/talk:1
      workdir: talk
      files:
        - path: ctl
          mode: "755"
          content: |
            cd "$HOME/talk" && secret=$(cat secret)
            case $1 in
            stop) exit 0 ;;
            restart) echo "talk: ERROR (abnormal termination, key $secret)"; exit 1 ;;
            esac
            read -r pid <server.pid
            if [ -f quiet ] && kill -0 "$pid"; then rm quiet; echo "talk RUNNING pid $pid, uptime 0"
            else printf 'talk FATAL %0100d%s\\n' 0 "$secret"; fi
        - path: server.py
          content: |
            import http.server, os, sys
            secret = os.environ["TALK_KEY"]
            print(secret, flush=True)
            class Talk(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    said = "".join(c for c in secret if c.isascii())
                    self.send_response(500, said)
                    self.send_header("X-Key", said)
                    self.send_header("Location", "/" + said)
                    self.end_headers()
                    self.wfile.write(said.encode())
            server = http.server.HTTPServer((os.environ["SERVER_HOST"], 8080), Talk)
            server.serve_forever()
      setup: printf %s "$TALK_KEY" >secret; touch quiet
      start: |
        setsid python3 server.py "$TALK_KEY" </dev/null >log 2>&1 & echo $! >server.pid
      manager: {kind: supervisor, name: talk, command: sh talk/ctl}
      view: {kind: http, port: 8080}
  - name: card
    secrets: [CARD_KEY]
    policy: {replacements_max: 0}
    workload:
      kind: command
      image: example/card:1
      workdir: card
      setup: |
        set -x
        echo "publishing to $CARD_KEY" >&2
        printf '%0120d' 0 >&2; printf %s "$CARD_KEY" | base64 >&2
        sleep 1  # so that whoever looks now and then sees it
        test -n "$FAILS_NEVER"
      start: sleep 3600
      manager: {kind: background}
      view: {kind: tcp, port: 8080}
"""
# A bug of keeper's own, on one slot: what it says is told, and was never meant for others. It is put
# into the real process as the site's own module, and the secret stands where a bound would cut it.
BUG = """\
import sys
if "run" in sys.orig_argv:
    import keeper.daemon.tick as tick
    decided = tick.reconcile
    def reconcile(world, desired, now, *more):
        record = world.records.get("card/0")
        is_failed = record and record.tenure and record.tenure.deploy_failures
        if is_failed and "card/0" not in world.held_slots:
            said = {card!r}
            raise ValueError(f"a bug has seen {{said}}" + "{fill}" + said)
        return decided(world, desired, now, *more)
    tick.reconcile = reconcile
"""
OWN = {"card": "card's", "talk": "talk's", "duel": "duel's"}  # what a stream's own host may hold
PATHS = (
    "/", "/metrics", "/-/ready", "/-/healthy", "/api/openapi.json", "/api/v1/status", "/api/v1/plan",
    "/api/v1/events?limit=1000", "/api/v1/explain?slot=card/0", "/api/v1/explain?slot=talk/0",
    "/api/v1/explain?slot=duel/0", "/api/v1/explain?slot=none/0", "/api/v1/way?slot=duel/0",
    "/api/v1/report?slot=duel/0", "/api/v1/report?slot=card/0", "/api/v1/logs?slot=duel/0",
    "/api/v1/log?slot=duel/0", "/api/v1/log?slot=card/0", "/api/v1/alerts", "/api/v1/outbox",
    "/api/v1/silences",
)  # fmt: skip


class Receiver:
    """Whoever gets the alerts. It refuses each channel's first message, and says what it has got."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.url = ""
        self._refused: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        own = {"Authorization", "webhook-signature"}  # its own, or made of a secret by one way
        headers = {name: text for name, text in request.headers.items() if name not in own}
        kind = request.path.split("/")[1]
        text = await request.text()
        if kind == "pager":
            text = text.replace(PLANTED["pager's key"], "", 1)  # its own
        self.got.append(f"{kind}\n{headers}\n{text}")
        if kind in self._refused:
            return web.json_response({"ok": True, "channel": "C0123", "ts": "1.2"})
        self._refused.add(kind)
        return web.Response(status=500, text=f"cannot serve {request.url} now")


@pytest.fixture
async def sim(short_path: Path) -> AsyncIterator[SimServer]:
    shape = MarketShape(tempo=quick_tempo(0.6), renters_every_s=0, price_drift_every_s=0)
    async with SimServer(state_dir=short_path / "sim", api_key=VAST_KEY, shape=shape) as server:
        yield server


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", made.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
def port(free_port: Callable[[], int]) -> int:
    return free_port()


class Spy:
    """Reads, again and again, every file of every host, and what its processes show to others."""

    def __init__(self, sim: SimServer) -> None:
        self._sim = sim
        self.processes: dict[str, set[bytes]] = {}  # stream -> environments and titles
        self.files: dict[str, set[tuple[str, bytes]]] = {}  # also those that did not stay

    async def look_on(self) -> None:
        while True:
            streams = {
                str(contract.instance_id): stream
                for contract in self._sim.market.contracts.values()
                for stream in OWN
                if f":{stream}/" in (contract.label or "")
            }
            await asyncio.to_thread(self._look, streams)
            await asyncio.sleep(0.25)

    def _look(self, streams: dict[str, str]) -> None:
        for entry in os.listdir("/proc"):  # noqa: PTH208 - names only, and often
            with suppress(OSError):
                environ = Path("/proc", entry, "environ").read_bytes()
                mark = environ.partition(f"{MARK}={self._sim.hosts.mark}/".encode())[2]
                if stream := streams.get(mark.partition(b"-")[0].decode(errors="replace")):
                    title = Path("/proc", entry, "cmdline").read_bytes()
                    self.processes.setdefault(stream, set()).update((environ, title))
        for number, stream in streams.items():
            with suppress(KeyError, OSError):
                home = self._sim.hosts.host(int(number)).home
                for path in [path for path in home.rglob("*") if path.is_file()]:
                    with suppress(OSError):
                        seen = (str(path.relative_to(home)), path.read_bytes())
                        self.files.setdefault(stream, set()).add(seen)


def _configure(box: Box, receiver: Receiver, port: int) -> dict[str, str]:
    """Put every canary where its kind belongs; return the environment of the service."""
    credentials = box.folder / "credentials"
    credentials.mkdir()
    for name, value in {
        "vast_api_key": PLANTED["API key of a credential that a variable overrules"],
        "secret_card_key": CARD_KEY,
        "chat_url": f"http://{receiver.url}/{CHAT}",
        "secret_nobody": PLANTED["another secret of the box"],
    }.items():
        (credentials / name).write_text(f"{value}\n")
    (box.folder / "token").write_text(TOKEN)
    (box.folder / "key").write_text(PLANTED["API key of a file that is overruled"])
    user = f"ops:{PLANTED['password in an address']}"
    password, path = (
        PLANTED[f"{part} of an address of apprise's"] for part in ("password", "path")
    )
    alerts = f"""\
alerts:
  group_wait_s: 0.5
  group_interval_s: 1
  channels:
    - {{kind: slack, name: chat, url_secret: CHAT_URL}}
    - kind: webhook
      name: ops
      url: http://{user}@{receiver.url}/hook?token={PLANTED["token in an address"]}
      signing_secret: OPS_SIGNING
      old_signing_secret: OPS_SIGNING_OLD
    - {{kind: slack, name: bot, token_secret: BOT, channel: C0123, api_url: "http://{receiver.url}/bot"}}
    - {{kind: pagerduty, name: pager, url: "http://{receiver.url}/pager", severity_min: info}}
    - {{kind: apprise, name: mail, url_secret: MAIL}}
    - {{kind: alertmanager, name: am, url: "http://{receiver.url}/am", interval_s: 1, bearer_secret: AM}}
hooks: {{vast_secret: VAST_HOOK, alertmanager_secret: AM_HOOK}}
"""
    box.configure(alerts, listen=f"127.0.0.1:{port}")
    text = box.config.read_text()
    for written, instead in (
        (", timeout_s: 10}", f", timeout_s: 10, api_key_file: {box.folder}/key}}"),
        ('http: {listen: "', f'http: {{token_file: {box.folder}/token, listen: "'),
        ("  - name: duel\n", f"{STREAMS}  - name: duel\n    secrets: [DUEL_KEY]\n"),
    ):
        assert text.count(written) == 1
        text = text.replace(written, instead)
    box.config.write_text(text)
    return {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "VAST_API_KEY": VAST_KEY,
        "KEEPER_SECRET_TALK_KEY": TALK_KEY,
        "KEEPER_SECRET_DUEL_KEY": DUEL_KEY,
        "KEEPER_SECRET_OPS_SIGNING": SIGNING,
        "KEEPER_SECRET_OPS_SIGNING_OLD": SIGNING_OLD,
        "KEEPER_SECRET_BOT": PLANTED["bot's token"],
        "KEEPER_SECRET_PAGERDUTY_ROUTING_KEY": PLANTED["pager's key"],
        "KEEPER_SECRET_AM": PLANTED["Alertmanager's token"],
        "KEEPER_SECRET_VAST_HOOK": PLANTED["secret of Vast.ai's hints"],
        "KEEPER_SECRET_AM_HOOK": PLANTED["token of Alertmanager's hints"],
        "KEEPER_SECRET_MAIL": f"json://ops:{password}@{receiver.url}/mail/{path}",
        "KEEPER_LOG__LEVEL": "debug",
        "AWS_SECRET_ACCESS_KEY": PLANTED["somebody else's variable"],
    }


def _token(contract: Contract) -> str:
    return str(instance_row(contract, 0.0).get("jupyter_token"))


def _repeat_keys(sim: SimServer, endpoint: str, status: int) -> None:
    """Let the marketplace answer once with an error that holds every key it knows of."""
    keys = " ".join(f"instance_api_key={each.api_key}" for each in sim.market.contracts.values())
    said = f"no: Authorization: Bearer {VAST_KEY} api_key={VAST_KEY} {keys} {VAST_KEY}"
    row = {"endpoint": endpoint, "status": status, "body": {"success": False, "msg": said}}
    sim.api.script.add(Cue.parse(row))


async def _ask_everything(port: int, path: Path) -> dict[str, str]:
    """Read all that the daemon answers, on its port and on its socket."""
    said: dict[str, str] = {}
    for base, connector in (
        (f"http://127.0.0.1:{port}", aiohttp.TCPConnector()),
        ("http://keeper", aiohttp.UnixConnector(str(path))),
    ):
        async with aiohttp.ClientSession(base, connector=connector) as client:
            for each in (*PATHS, "/thumb/duel/0.jpg"):
                async with client.get(each) as answer:
                    said[f"{base}{each}"] = repr(answer.headers) + (await answer.read()).decode(
                        errors="surrogateescape"
                    )
            async with client.get("/api/v1/stream") as answer:
                said[f"{base}/stream"] = (await answer.content.readany()).decode()
            order = {"kind": "restart", "slot": "none/0", "reason": "?"}
            async with client.post("/api/v1/orders", json=order) as answer:
                said[f"{base}/orders"] = await answer.text()
            for hook in ("vast", "alertmanager"):
                async with client.post(f"/hooks/{hook}", data=b"{}") as answer:
                    assert answer.status == 401
                    said[f"{base}/hooks/{hook}"] = repr(answer.headers) + await answer.text()
    return said


def _all(running: Running) -> str:
    return "".join([*running.out, *running.err])


async def test_no_secret_is_where_it_need_not_be(
    box: Box, sim: SimServer, receiver: Receiver, port: int
) -> None:
    box.environ |= _configure(box, receiver, port)
    spy = Spy(sim)
    spying = asyncio.create_task(spy.look_on())
    _repeat_keys(sim, "POST /instances/{id}/ssh/", 400)
    _repeat_keys(sim, "GET /users/current/", 403)
    site = box.folder / "site"
    site.mkdir()
    # Of the 200 characters that were kept 20 were for the second one.
    fill = 165 * "."[len("ValueError: a bug has seen ") + len(CARD_KEY) :]
    (site / "sitecustomize.py").write_text(BUG.format(card=CARD_KEY, fill=fill))
    daemon = await box.daemon(PYTHONPATH=str(site))
    title = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
    await daemon.says(r'"event":"workload.deploy_failed".*"slot":"card/0"')
    await daemon.says(r'"event":"slot.bug".*"slot":"card/0"')
    await daemon.says(r'"event":"stream.on_air".*"slot":"duel/0"')
    for contract in sim.market.contracts.values():
        held = f"CONTAINER_API_KEY={contract.api_key} -e JUPYTER_TOKEN={_token(contract)}"
        contract.message = f"docker run -e {held} -e K={VAST_KEY}"
    _repeat_keys(sim, "GET /instances/", 500)
    await daemon.says(r'"slot":"talk/0".*"condition":"running","status":"false"')
    await daemon.says(r'"event":"workload.restart_failed"')
    await daemon.says(r'"event":"market.unreadable"')
    await daemon.says(r'"event":"market.readable"')
    for channel in ("chat", "ops", "bot", "pager", "mail"):
        await daemon.says(rf'"event":"notice.failed","channel":"{channel}"')
        await daemon.says(rf'"event":"notice.sent","channel":"{channel}"')
    said = await _ask_everything(port, box.socket)
    verbs = [
        ("provision", "duel", "--yes", "--export", "env", "--out", "connect.env"),
        ("provision", "duel", "--yes", "--out", "connect.txt"),
        ("status", "--json"), ("explain", "talk/0"), ("events", "--json"), ("plan",),
    ]  # fmt: skip
    for verb, done in zip(
        verbs, await asyncio.gather(*(box.keeper(*v) for v in verbs)), strict=True
    ):
        said[" ".join(verb)] = done.out + done.err
        assert done.code == 0, (verb, done)
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0
    # Once more on the same memory, for a person at a terminal.
    again = await box.start("run", "--log-format", "console", "--log-level", "debug")
    await again.says("keeper.started")
    await again.says(r"port.called.*list_instances")
    again.kill(signal.SIGTERM)
    assert await again.ended() == 0
    spying.cancel()

    said |= {"log": _all(daemon), "console": _all(again)}
    assert "publishing to" in said["log"]  # the set-up was heard
    assert "a bug has seen" in said["log"]  # and keeper's own
    assert "abnormal termination" in said["log"]  # and the manager
    assert "cannot serve" in said["log"]  # and the receiver
    assert "CONTAINER_API_KEY" in "".join(said.values())  # and Docker
    kinds = {each.partition("\n")[0] for each in receiver.got}
    assert kinds >= {"services", "hook", "bot", "pager", "mail", "am"}
    ssh_key = asyncssh.read_private_key(box.state / "id_ed25519").pyca_key
    assert isinstance(ssh_key, Ed25519PrivateKey)
    made: dict[str, str | bytes] = {"SSH key": ssh_key.private_bytes_raw()}
    for contract in sim.market.contracts.values():
        made[f"key of rental {contract.instance_id}"] = contract.api_key
        made[f"token of rental {contract.instance_id}"] = _token(contract)
    everything = Flock({**PLANTED, **made})
    assert all(len(each) >= 24 for each in everything.planted.values())
    assert {where: found for where, text in said.items() if (found := everything.found(text))} == {}
    assert [each for each in receiver.got if everything.found(each)] == []
    assert everything.found(title) == []
    assert everything.found_in_files(box.state, besides=["id_ed25519"]) == {}
    for name in ("connect.env", "connect.txt"):
        assert everything.found((box.folder / name).read_bytes()) == [], name
    assert not list(box.folder.rglob("core*"))
    _look_at_hosts(sim, spy, everything)


def _look_at_hosts(sim: SimServer, spy: Spy, everything: Flock) -> None:
    """A host holds its own stream's secrets and nobody else's; no command line holds any."""
    assert set(spy.processes) == set(spy.files) == set(OWN)
    for stream, own in OWN.items():
        processes, files = spy.processes[stream], spy.files[stream]
        # Every container gets its own instance's key from the marketplace.
        mine = [
            each for each in sim.market.contracts.values() if f":{stream}/" in (each.label or "")
        ]
        may_hold = [own, *(f"key of rental {each.instance_id}" for each in mine)]
        assert [each for each in processes if everything.found(each, allowed=may_hold)] == []
        assert [name for name, data in files if everything.found(data, allowed=may_hold)] == []
        if stream != "card":  # whose set-up is over too soon to be seen
            held = PLANTED[own].encode()
            assert any(held in each for each in processes), "the spy saw no process"
    assert any(TALK_KEY.encode() in data for _, data in spy.files["talk"]), "the spy saw no file"
    for contract in sim.market.contracts.values():
        asked = f"{contract.env} {contract.onstart} {contract.image} {contract.label}"
        assert everything.found(asked) == []
    for entry in sim.ledger.plain()["hosts"]:
        assert everything.found(entry["detail"]) == [], entry
