"""Whose SSH keys let in: the account's and the rental's, over real connections."""

from typing import Any

import pytest

from keeper.adapters.vastai_keys import identity_of
from keeper.ports import Invalid, Malformed, PortError, RateLimited, Unauthorized, Unreachable
from tests.integration.adapters.vast_server import (
    Answer,
    Script,
    hangs_up,
    market_at,
    says,
    scripted,
)

LIST_KEYS = "GET /api/v0/ssh/"
REGISTER = "POST /api/v0/ssh/"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOurs keeper"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAITheirs keeper"
REGISTERED = says({"success": True, "key": {"id": 7, "public_key": KEY}})
NONE = says({"detail": "Not found"}, 404)


def rows(*keys: Any, **fields: Any) -> Answer:
    return says([{"id": i, "public_key": key, **fields} for i, key in enumerate(keys)])


async def registered(listed: Answer, answer: Answer = REGISTERED) -> tuple[bool, Script]:
    async with scripted() as script, market_at(script.url) as market:
        script.on(LIST_KEYS, listed).on(REGISTER, answer)
        return await market.register_key(KEY + "\n"), script


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(NONE, id="none: 404"),
        pytest.param(says({"success": False, "error": "not_found"}, 404), id="none: 404, slug"),
        pytest.param(says("", 404), id="none: 404 without a word"),
        pytest.param(says({"success": False, "error": "no_ssh_key"}, 404), id="none: no key"),
        pytest.param(rows(), id="none: an empty list"),
        pytest.param(rows(OTHER), id="another with the same comment"),
        pytest.param(rows("/root/.ssh/id.pub", "", "?"), id="odd strings"),
        pytest.param(rows(KEY, deleted_at="2026-01-01T00:00:00"), id="ours, deleted"),
    ],
)
async def test_a_key_that_is_not_there_is_registered_once(listed: Answer) -> None:
    is_new, script = await registered(listed)
    assert is_new
    assert script.count(REGISTER) == 1
    assert script.seen[-1].json == {"ssh_key": KEY}


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(rows(OTHER, KEY), id="as it is"),
        pytest.param(rows(KEY.removesuffix(" keeper")), id="without a comment"),
        pytest.param(rows(KEY.replace(" keeper", "   root@elsewhere \n")), id="another comment"),
        pytest.param(says([{"id": 1, "key": KEY}]), id="under its other name"),
        pytest.param(says([{"id": 1, "key": None, "public_key": KEY, "x": []}]), id="with more"),
    ],
)
async def test_a_key_that_is_there_is_not_registered_again(listed: Answer) -> None:
    is_new, script = await registered(listed)
    assert not is_new
    assert script.count(REGISTER) == 0


@pytest.mark.parametrize(
    ("listed", "error"),
    [
        pytest.param(says({"success": True}), Malformed, id="no list"),
        pytest.param(
            says({"success": False, "error": "auth_error", "msg": "Invalid user key"}),
            Unauthorized,
            id="a no with 200",
        ),
        pytest.param(
            says("<html>404</html>", 404, content_type="text/html"), Malformed, id="a 404 page"
        ),
        pytest.param(says("<html>ok</html>", content_type="text/html"), Malformed, id="a page"),
        pytest.param(says("[" * 100_000), Malformed, id="nested too deeply"),
        pytest.param(says("[1]"), Malformed, id="a number for a key"),
        pytest.param(rows(None), Malformed, id="null for a key"),
        pytest.param(rows(["ssh-ed25519"]), Malformed, id="an array for a key"),
        pytest.param(says('[{"public_key": "ssh-ed'), Malformed, id="half a list"),
        pytest.param(says({"error": "forbidden", "msg": "?"}, 403), Unauthorized, id="no right"),
        pytest.param(
            says({"error": "auth_error", "msg": "Invalid user key"}, 404),
            Unauthorized,
            id="a wrong key",
        ),
        pytest.param(says({"error": "invalid_request"}, 400), Malformed, id="another api"),
        pytest.param(
            says({"detail": "API requests too frequent"}, 429), RateLimited, id="too often"
        ),
        pytest.param(hangs_up(), Unreachable, id="no answer"),
    ],
)
async def test_a_list_that_is_not_understood_registers_nothing(
    listed: Answer, error: type[PortError]
) -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(LIST_KEYS, listed).on(REGISTER, REGISTERED)
        with pytest.raises(error) as caught:
            await market.register_key(KEY)
        assert type(caught.value) is error
        assert script.count(REGISTER) == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(
            says({"success": False, "error": "no_ssh_key", "msg": "?"}, 400), Invalid, id="no key"
        ),
        pytest.param(says({"error": "forbidden", "msg": "?"}, 403), Unauthorized, id="no right"),
        pytest.param(
            says({"success": False, "msg": "team SSH keys are not supported"}, 400),
            Unauthorized,
            id="a team's",
        ),
        pytest.param(hangs_up(), Unreachable, id="no answer"),
        pytest.param(says("?"), Malformed, id="no json"),
    ],
)
async def test_a_key_that_cannot_be_registered_says_why(
    answer: Answer, error: type[PortError]
) -> None:
    with pytest.raises(error) as caught:
        await registered(NONE, answer)
    assert type(caught.value) is error


async def test_a_team_is_told_what_to_do() -> None:
    with pytest.raises(Unauthorized) as caught:
        await registered(NONE, says({"msg": "team SSH keys are not supported"}, 400))
    assert "register_ssh_key" in caught.value.cure
    assert caught.value.right == ""


async def test_a_missing_right_is_told_by_its_name() -> None:
    refusal = says({"error": "forbidden", "msg": "?"}, 403)
    for listed, right in ((refusal, "user_read"), (NONE, "user_write")):
        with pytest.raises(Unauthorized) as caught:
            await registered(listed, refusal)
        assert caught.value.right == right


@pytest.mark.parametrize("status", [200, 400, 409])
async def test_a_key_that_turns_out_to_be_there_is_there(status: int) -> None:
    """Two keepers of one account may register at the same moment."""
    answer = says({"success": False, "msg": "SSH key already exists."}, status)
    is_new, _ = await registered(NONE, answer)
    assert not is_new


def test_a_comment_is_no_part_of_a_key() -> None:
    assert identity_of("ssh-rsa AAAA me@here") == identity_of(" ssh-rsa   AAAA\n")
    assert identity_of("ssh-rsa AAAA") != identity_of("ssh-ed25519 AAAA")
    assert identity_of("ssh-rsa AAAA") != identity_of("ssh-rsa AAAB")
    assert identity_of("") == ("", "")
