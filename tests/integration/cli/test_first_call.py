"""Whether a keeper starts at all: its first call shows whether the key is good."""

from pathlib import Path

import pytest

from keeper.bootstrap import open_daemon
from keeper.ports import Unauthorized
from keeper.settings import load_settings
from tests.integration.adapters.vast_server import ACCOUNT, Answer, hangs_up, says, scripted

FORBIDDEN = says({"error": "forbidden", "msg": "?"}, 403)
WRONG = says({"success": False, "error": "auth_error", "msg": "Invalid user key"}, 401)
TWO_FACTOR = says({"msg": "requires you to have logged in using Two Factor Authentication"}, 401)


async def started(folder: Path, answer: Answer) -> int:
    """Open a daemon against a marketplace that answers so; return how often it was asked."""
    async with scripted() as script:
        script.on(ACCOUNT, answer)
        (folder / "keeper.yaml").write_text(
            f"vast: {{url: '{script.url}'}}\nstate_dir: {folder / 'state'}\nstreams: []\n"
        )
        settings = load_settings(folder / "keeper.yaml", {"VAST_API_KEY": "a-key"})
        async with open_daemon(settings):
            return script.count(ACCOUNT)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says({"credit": 1}), id="a good key"),
        pytest.param(FORBIDDEN, id="a key without user_read"),
        pytest.param(says("", 502), id="a marketplace that is down"),
        pytest.param(hangs_up(), id="nobody there"),
    ],
)
async def test_keeper_starts(tmp_path: Path, answer: Answer) -> None:
    """Without the right to read the account keeper does not know its credit; all else it can."""
    assert await started(tmp_path, answer) == 1


@pytest.mark.parametrize(
    ("answer", "cure"),
    [
        pytest.param(WRONG, "set VAST_API_KEY to a valid key", id="a wrong key"),
        pytest.param(TWO_FACTOR, "vastai tfa login", id="two factors"),
    ],
)
async def test_keeper_does_not_start_with_a_useless_key(
    tmp_path: Path, answer: Answer, cure: str
) -> None:
    with pytest.raises(Unauthorized) as caught:
        await started(tmp_path, answer)
    assert cure in caught.value.cure
