"""The duel's secrets file: what is in it arrives as it was given, through a shell and through a dotenv reader."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from keeper.workloads.hyperscape_duel import scripts
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings
from tests.components import require

VALUES = {
    "PLAIN": "live_123-abc",
    "BLANKS": "two words # no comment",
    "DOLLAR": "pa$$word${HOME}`id`$(id)",
    "DOUBLE": 'a"b\\"c',
    "SINGLE": "it's",
    "LINES": "-----BEGIN KEY-----\nabc\n-----END KEY-----",
    "LAST_LINE": "ends\n",
    "BACKSLASH": "a\\nb\\",
    "EMPTY": "",
}
# A quote of each kind: no form of it is read alike by both. The stack has it by its environment.
FOR_SHELLS_ALONE = {"ALL": """'"$`\\"""}


async def _said(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.env"
    settings = HyperscapeDuelSettings(kind="hyperscape-duel")
    path.write_text(scripts.secrets_text(settings, {**VALUES, **FOR_SHELLS_ALONE}))
    return path


async def test_a_shell_reads_each_value_as_it_was_given(written: Path) -> None:
    read = await _said("sh", "-c", f"set -a; . {written} && exec env -0")
    found = dict(each.split("=", 1) for each in read.split("\0") if each)
    wanted = {**VALUES, **FOR_SHELLS_ALONE}
    assert {name: found[name] for name in wanted} == wanted


async def test_a_dotenv_reader_reads_each_value_as_it_was_given(written: Path) -> None:
    node = str(require("node"))
    program = (
        "const { parseEnv } = require('util'), fs = require('fs');"
        "console.log(JSON.stringify(parseEnv(fs.readFileSync(process.argv[1], 'utf8'))));"
    )
    found = json.loads(await _said(node, "-e", program, str(written)))
    assert {name: found[name] for name in VALUES} == VALUES
