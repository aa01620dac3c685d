"""What a deploy is called: by all that reaches a host, and by no secret that could be read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keeper.workloads import registered
from keeper.workloads.identity import Identity, identify, make

KEY = b"a key that nobody knows"
SECRET = "s3cr3t-canary-f00d"
MINE = {"STREAM_KEY": SECRET}
BASE: dict[str, Any] = {
    "kind": "command",
    "image": "arena:1",
    "start": "./serve",
    "env": {"MODEL": "small"},
    "files": [{"path": "run.sh", "content": "echo one"}],
    "view": {"kind": "mjpeg", "port": 8000},
}


def named(
    changes: dict[str, Any] | None = None,
    secrets: dict[str, str] | None = None,
    *,
    key: bytes = KEY,
    disk_gb: float | None = None,
) -> Identity:
    model = registered()["command"].settings
    section = model.model_validate({**BASE, **(changes or {})})
    return identify(section, MINE if secrets is None else secrets, disk_gb=disk_gb, key=key)


def changed(one: Identity, other: Identity) -> set[str]:
    keys = one.parts.keys() | other.parts.keys()
    return {key for key in keys if one.parts.get(key) != other.parts.get(key)}


# what is changed, and by which keys that is told
ROWS: list[tuple[dict[str, Any], set[str]]] = [
    ({"env": {"MODEL": "large"}}, {"env.MODEL"}),
    ({"env": {"MODEL": "small", "MORE": "1"}}, {"env.MORE"}),
    ({"files": [{"path": "run.sh", "content": "echo two"}]}, {"file /workspace/run.sh"}),
    ({"files": [{"path": "run.sh", "content": "echo one", "mode": "755"}]},
     {"file /workspace/run.sh"}),
    ({"start": "./serve --fast"}, {"start"}),
    ({"setup": "true"}, {"setup"}),
    ({"image": "arena:2"}, {"image"}),
    ({"ports": [9000]}, {"ports"}),
    ({"disk_gb": 90}, {"disk_gb"}),
    # These are not on the host.
    ({"view": {"kind": "mjpeg", "port": 8000, "path": "/other"}}, set()),
    ({"rungs": ["reboot"]}, set()),
    # To say what holds anyway changes nothing.
    ({"setup_timeout_s": 600, "setup": "", "workdir": "/workspace"}, set()),
]  # fmt: skip
RENTED = {"image", "ports", "disk_gb"}


@pytest.mark.parametrize(("changes", "keys"), ROWS, ids=[json.dumps(row[0])[:50] for row in ROWS])
def test_a_name_changes_with_what_is_put_on_the_host(
    changes: dict[str, Any], keys: set[str]
) -> None:
    one, other = named(), named(changes)
    assert changed(one, other) == keys
    assert (one.name != other.name) is bool(keys)
    assert (one.rental_mark != other.rental_mark) is bool(keys & RENTED)


def test_a_secret_is_marked_with_a_key_and_never_written() -> None:
    one, other = named(), named(secrets={"STREAM_KEY": "another"})
    assert changed(one, other) == {"secret STREAM_KEY"}
    assert changed(named(key=b""), named(secrets={"STREAM_KEY": "another"}, key=b"")) == set()
    assert changed(one, named(key=b"another key")) == {"secret STREAM_KEY"}
    written = json.dumps([one.name, dict(one.parts), one.recipe])
    assert SECRET not in written
    assert changed(one, named(secrets={})) == {"secret STREAM_KEY"}


def test_more_disk_than_the_workload_asks_for_is_another_rental() -> None:
    assert named().rental_mark != named(disk_gb=150.0).rental_mark


def test_a_workload_is_made_again_from_its_recipe_and_the_secrets_of_now() -> None:
    one = named(disk_gb=150.0)
    made = make(one.recipe, {**MINE, "OTHER": "x"}, key=KEY)
    assert made is not None
    assert made.name == one.name
    assert made.makeable.rental.disk_gb == 150.0
    model = registered()["command"].settings
    assert made.workload == registered()["command"].build(model.model_validate(BASE), MINE)


def test_what_cannot_be_made_as_it_was_is_known_to_be_another() -> None:
    made = make(named().recipe, {"STREAM_KEY": "rotated"}, key=KEY)
    assert made is not None
    assert made.name != named().name


@pytest.mark.parametrize(
    "recipe",
    ["", "{}", "[]", '{"settings": {"kind": "gone"}, "secrets": [], "disk_gb": null}',
     '{"settings": {"kind": "command"}, "secrets": [], "disk_gb": null}'],
)  # fmt: skip
def test_a_recipe_of_another_program_makes_nothing(recipe: str) -> None:
    assert make(recipe, {}, key=KEY) is None


def test_without_its_secret_nothing_is_made() -> None:
    assert make(named().recipe, {}, key=KEY) is None


def test_a_payload_of_keepers_own_is_part_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer keeper that brings another server script brings another deploy."""
    from keeper.workloads import managers

    plugin = registered()["sd-turbo"]
    section = plugin.settings.model_validate({"kind": "sd-turbo"})
    before = identify(section, {}, key=KEY)
    monkeypatch.setattr(managers, "payload", lambda _: b"print('another')")
    names = {
        "realtime_stream.py", "sd_turbo_state.py", "sd_turbo_http.py", "sd_turbo_model.py",
        "sd_turbo_setup.sh",
    }  # fmt: skip
    brought = {f"file /workspace/{name}" for name in names}
    assert changed(before, identify(section, {}, key=KEY)) == brought
