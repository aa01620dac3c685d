"""Secrets: whatever goes wrong with a verb, what it says of it holds none, with a traceback or without.

All verbs of a group run in one process, as `keeper` would run each: starting it is most of their cost.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import asyncssh
import pytest

from keeper.cli.app import FAMILIES
from keeper.sim.script import Cue
from keeper.sim.serve import SimServer
from tests.canaries import Flock, canary, key_of
from tests.e2e.conftest import Box

pytestmark = pytest.mark.timeout(300)

PROGRAM = """\
import json, os, sys
from keeper.cli.app import run
environ = dict(os.environ)
for case in json.load(open(sys.argv[1])):
    os.environ.clear()
    os.environ.update(environ, **case["environ"])
    code = run(case["words"])
    sys.stdout.flush()
    print("\\nENDED", code, *case["words"], file=sys.stderr, flush=True)
"""
RIGHT_KEY = key_of("the account")
WRONG_KEY = key_of("no account")
GARBLED_KEY = f"{canary('a key')}\nX-Key: {canary('after a line break')}"
TOKEN = canary("the API's token")
PASSWORD = canary("in an address")
STREAM_KEY = canary("a stream's", "\"'&")
SIGNING = f"whsec_{canary('not base64')[:41]}"
HEADER, BODY = "-----BEGIN OPENSSH PRIVATE KEY-----", canary("a broken SSH key") * 2
PASSPHRASE = canary("a passphrase")
CANARIES = Flock(
    {
        "right key": RIGHT_KEY,
        "wrong key": WRONG_KEY,
        "garbled key": canary("a key"),
        "after a line break": canary("after a line break"),
        "token": TOKEN,
        "password": PASSWORD,
        "stream's": STREAM_KEY,
        "signing": SIGNING.removeprefix("whsec_"),
        "SSH key": BODY,
        "passphrase": PASSPHRASE,
        "another variable": canary("another variable"),
    }
)
ENVIRON = {
    "KEEPER_HTTP__TOKEN": TOKEN,
    "KEEPER_TOKEN": TOKEN,
    "KEEPER_SECRET_STREAM_KEY": STREAM_KEY,
    "AWS_SECRET_ACCESS_KEY": canary("another variable"),
}
NEEDS_MARKET = (("plan",), ("search", "duel"), ("provision", "duel", "--yes", "--timeout", "2"))
DOWN = "http://127.0.0.1:1"


@dataclass
class Case:
    words: list[str]
    environ: dict[str, str] = field(default_factory=dict)


@pytest.fixture
async def sim(short_path: Path) -> AsyncIterator[SimServer]:
    async with SimServer(state_dir=short_path / "sim", api_key=RIGHT_KEY) as server:
        yield server


async def said_by(box: Box, cases: list[Case]) -> str:
    """Run verbs one after the other, and return all that they say. Each must fail."""
    (box.folder / "cases.json").write_text(json.dumps([asdict(each) for each in cases]))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(box.folder / "cases.json")),
        env=box.environ | ENVIRON,
        cwd=box.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        said = (await process.stdout.read()).decode(errors="surrogateescape")
        assert await process.wait() == 0, said
    finally:
        with suppress(ProcessLookupError):  # a verb that did not fail may go on for ever
            process.kill()
    ends = [line for line in said.splitlines() if line.startswith("ENDED")]
    assert len(ends) == len(cases), said
    assert [end for end in ends if end.startswith("ENDED 0 ")] == []
    assert "bug of its own" not in said, said
    return said


async def test_a_refused_or_unreachable_marketplace(box: Box, sim: SimServer) -> None:
    box.environ["VAST_API_KEY"] = WRONG_KEY
    verbs = [[*words] for words in (("run",), *NEEDS_MARKET)]
    cases = [Case(verb) for verb in verbs] + [Case(["--debug", *verb]) for verb in verbs]
    away = {"VAST_URL": DOWN}
    cases += [Case([*words], away) for words in NEEDS_MARKET]
    cases += [Case(["--debug", *words], away) for words in NEEDS_MARKET]
    for key in (GARBLED_KEY, f"{canary('a key')}é"):
        # A plan is made without a key that cannot be sent, and says what it does not know.
        cases += [Case(v, {"VAST_API_KEY": key}) for v in verbs if v != ["plan"]]
    said = await said_by(box, cases)
    assert said.count("the marketplace refuses the API key") >= 2 * len(verbs)
    assert "Traceback" in said
    assert CANARIES.found(said) == []


async def test_a_marketplace_that_repeats_the_key(box: Box, sim: SimServer) -> None:
    box.environ["VAST_API_KEY"] = RIGHT_KEY
    loud = f"Authorization: Bearer {RIGHT_KEY} and {RIGHT_KEY}, your key={RIGHT_KEY}"
    bodies: list[dict[str, object]] = [
        {"status": 400, "body": {"success": False, "error": "bad", "msg": loud}},
        {"status": 401, "body": {"success": False, "msg": loud}},
        {"status": 404, "text": loud},
        {"status": 308, "text": loud, "headers": {"Location": f"{sim.url}/?api_key={RIGHT_KEY}"}},
        {"status": 302, "text": loud, "headers": {"Location": f"http://u:{RIGHT_KEY}@[::1/"}},
    ]
    cases = []
    for body in bodies:  # as many calls as verbs: each answer is final
        sim.api.script.add(Cue.parse({**body, "endpoint": "POST /bundles/", "count": 2}))
        cases += [Case(["search", "duel"]), Case(["--debug", "search", "duel"])]
    said = await said_by(box, cases)
    assert sim.api.script.plain() == [], "not every answer was heard"
    assert CANARIES.found(said) == []


BAD_FILES = {
    "a secret written into the file": f"vast: {{api_key: {RIGHT_KEY}}}",
    "a list instead": f"http: {{token: [{TOKEN}]}}",
    "a quote that is not closed": f'http: {{token: "{TOKEN}',
    "a bad indent": f"http:\n  token: {TOKEN}\n token_file: x",
    "a password in the address": f"vast: {{url: 'http://me:{PASSWORD}@127.0.0.1:1'}}",
    "a key in the address": f"vast: {{url: 'https://vast.example/?api_key={RIGHT_KEY}'}}",
    "a value for a name": f"streams: [{{name: a, secrets: ['{STREAM_KEY[:18]}/']}}]",
    "a broken SSH key": "ssh: {private_key_file: broken}",
    "an SSH key with a passphrase": "ssh: {private_key_file: locked}",
    "no base64 in a signing secret": (
        "alerts: {channels: [{kind: webhook, name: w, url: 'http://127.0.0.1:1',"
        " signing_secret: SIGNING}]}"
    ),
    "no address in Slack's": "alerts: {channels: [{kind: slack, name: s, url_secret: SIGNING}]}",
}  # fmt: skip


async def test_a_bad_configuration(box: Box, sim: SimServer) -> None:
    box.environ["VAST_API_KEY"] = RIGHT_KEY
    (box.folder / "broken").write_text(f"{HEADER}\n{BODY}\n-----END OPENSSH PRIVATE KEY-----\n")
    locked = asyncssh.generate_private_key("ssh-ed25519")
    locked.write_private_key(str(box.folder / "locked"), passphrase=PASSPHRASE)
    cases = []
    for number, text in enumerate(BAD_FILES.values()):
        path = box.folder / f"{number}.yaml"
        whole = text if "vast:" in text else f"vast: {{url: '{sim.url}'}}\n{text}"
        path.write_text(f"{whole}\nstate_dir: {box.state}\nsocket: {box.socket}\n")
        environ = {"KEEPER_SECRET_SIGNING": SIGNING, "KEEPER_CONFIG": str(path)}
        verbs = [["run"], ["--debug", "run"], ["check-config", str(path), "--json"]]
        # Whether a key can be used is not looked at before it is.
        cases += [
            Case(words, environ)
            for words in verbs[: 2 if "broken" in text or "locked" in text else 3]
        ]
    said = await said_by(box, cases)
    assert CANARIES.found(said) == []


async def test_every_verb_with_words_that_it_does_not_know(box: Box, sim: SimServer) -> None:
    box.environ["VAST_API_KEY"] = RIGHT_KEY
    names = [entry.name for _, verbs in FAMILIES for entry in verbs]
    cases = [Case([*debug, name, "--nonsense"]) for name in names for debug in ([], ["--debug"])]
    for verb in ("status", "explain", "events", "restart", "replace", "pause", "resume"):
        cases += [
            Case([verb, "none/0"]),
            Case(["--debug", verb, "none/0"]),
        ]  # and no daemon is there
    cases += [Case([verb, "none", "--yes"]) for verb in ("provision", "destroy")]
    said = await said_by(box, cases)
    assert CANARIES.found(said) == []
