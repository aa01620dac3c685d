"""Reading the account's SSH keys: understood as a whole, or not at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.vastai_keys import identity_of, keys_of
from keeper.ports import Malformed
from tests.mutations import MUTATIONS, Mutation, Path, paths, said, spoil

OURS = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOurs keeper"
THEIRS = "ssh-rsa AAAAB3NzaC1yc2E them@there"
ROWS: list[dict[str, Any]] = [
    {
        "id": number, "user_id": 1, "key": key, "public_key": key,
        "created_at": "2026-01-01T00:00:00", "deleted_at": None,
    }
    for number, key in enumerate((OURS, THEIRS), 1)
]  # fmt: skip


def test_keys_are_read_as_they_are_written() -> None:
    assert keys_of(json.dumps(ROWS).encode()) == (OURS, THEIRS)
    assert keys_of(b"[]") == ()


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: json.dumps(text).encode()))
def test_whatever_comes_it_is_keys_or_malformed(body: bytes) -> None:
    try:
        keys = keys_of(body)
    except Malformed:
        return
    assert all(isinstance(key, str) for key in keys)


@given(st.text(max_size=40))
def test_every_text_has_an_identity(written: str) -> None:
    kind, bits = identity_of(written)
    assert identity_of(f"{kind} {bits} a comment") == (kind, bits) or not (kind and bits)


FIELDS = [path for path in paths(ROWS) if len(path) > 1]


@pytest.mark.parametrize("path", FIELDS, ids=said)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_no_mutated_field_hides_a_key_that_is_there(path: Path, mutation: Mutation) -> None:
    """Else keeper would register it again: a change made because of a slip of the server."""
    body = spoil(json.dumps(ROWS).encode(), path, mutation)
    try:
        keys = keys_of(body)
    except Malformed:
        return
    assert identity_of(OURS) in {identity_of(key) for key in keys}


def test_a_key_that_was_deleted_is_gone() -> None:
    for moment in ("2026-02-03T04:05:06", 1_790_000_000, 1.79e9):
        rows = [row | {"deleted_at": moment} for row in ROWS]
        assert keys_of(json.dumps(rows).encode()) == ()


@pytest.mark.parametrize("field", ["key", "public_key"])
@pytest.mark.parametrize("value", [0, 1.5, True, [], {}, [OURS]])
def test_a_key_of_another_type_may_be_ours(field: str, value: Any) -> None:
    """A key that is not understood registers nothing: it could be the one that is there."""
    rows = [row | {"key": None, "public_key": None, field: value} for row in ROWS]
    with pytest.raises(Malformed):
        keys_of(json.dumps(rows).encode())
