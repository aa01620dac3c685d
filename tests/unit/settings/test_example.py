"""The example is the reference of every key: complete, true, and safe to copy."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

from keeper.core.model import Mode, OfferNeeds
from keeper.settings import Settings, json_schema, load_settings
from keeper.settings.document import NOTHING, value_at
from keeper.settings.mirror import AsCore, AsOverrides
from keeper.settings.plugins import channel_models, workload_models
from keeper.settings.tree import StreamSection
from keeper.workloads.viewing import RegionSettings, SceneSettings
from tests.components import REPOSITORY

EXAMPLE = REPOSITORY / "config" / "keeper.example.yaml"
SECRETS = {
    "KEEPER_SECRET_SLACK_WEBHOOK_URL": "https://hooks.slack.example/x",
    "KEEPER_SECRET_PAGER_SIGNING_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "KEEPER_SECRET_PAGERDUTY_ROUTING_KEY": "R0123456789abcdef0123456789abcde",
    "KEEPER_SECRET_APPRISE_URL": "mailtos://user:pass@example.org",
    "KEEPER_SECRET_STREAM_KEY": "live_1",
    "KEEPER_SECRET_DUEL_INGEST_URL": "rtmp://live.example/app/live_3",
    "KEEPER_SECRET_DATABASE_URL": "postgres://duel@db.example/duel",
    "KEEPER_SECRET_JWT_SECRET": "signs-tokens",
    "KEEPER_SECRET_ADMIN_CODE": "opens-the-admin-calls",
    "KEEPER_SECRET_TWITCH_STREAM_KEY": "live_2",
    "KEEPER_SECRET_ANTHROPIC_API_KEY": "plays",
}
# The kinds of the product; tests of plug-ins register their own.
WORKLOADS = {kind: model for kind, model in workload_models().items() if kind != "tiny"}
# The same below every picture: one workload shows them.
SHOWN_ONCE = {RegionSettings, SceneSettings}
CHANNELS = {kind: model for kind, model in channel_models().items() if kind != "bell"}


@pytest.fixture
def uncommented(tmp_path: Path) -> Path:
    """The example with every commented setting in force."""
    text = re.sub(r"^#(?=  )", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    path = tmp_path / "keeper.yaml"
    path.write_text(text)
    return path


def raw(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def test_it_loads_with_a_key_and_nothing_else() -> None:
    settings = load_settings(EXAMPLE, {"VAST_API_KEY": "k"})
    assert [stream.name for stream in settings.streams] == ["paint"]


def test_a_copied_example_spends_nothing() -> None:
    settings = load_settings(EXAMPLE, {"VAST_API_KEY": "k"})
    assert {stream.mode for stream in settings.streams} == {Mode.OBSERVE}


def test_it_shows_the_defaults_of_the_code() -> None:
    shown = load_settings(EXAMPLE, {"VAST_API_KEY": "k"})
    code = Settings()
    for name in set(Settings.model_fields) - {"vast", "streams"}:
        assert getattr(shown, name) == getattr(code, name), name
    assert shown.vast.url == code.vast.url
    assert shown.vast.timeout_s == code.vast.timeout_s
    (stream,) = shown.streams
    assert stream.offer == OfferNeeds()
    assert shown.policy_of(stream) == code.policy
    for name in ("replicas", "spend_max_dollars_per_hour", "secrets"):
        assert getattr(stream, name) == StreamSection.model_fields[name].default
    model = WORKLOADS["sd-turbo"]
    assert stream.workload == model.model_validate({"kind": "sd-turbo"})


def test_the_commented_settings_are_right_too(uncommented: Path) -> None:
    settings = load_settings(
        uncommented,
        {
            "VAST_API_KEY": "k",
            # More streams than the careful defaults allow money for.
            "KEEPER_FLEET__SPEND_MAX_DOLLARS_PER_HOUR": "100",
            **SECRETS,
        },
    )
    assert len(settings.streams) == 7
    assert {channel.kind for channel in settings.alerts.channels} == set(CHANNELS)  # type: ignore[attr-defined]
    assert {stream.workload.kind for stream in settings.streams} == set(WORKLOADS)  # type: ignore[attr-defined]


def keys_of(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Every key that a file may have; secrets may not be in one."""
    for name, info in model.model_fields.items():
        if SecretStr not in (info.annotation, *get_args(info.annotation)):
            yield name, info


def inner_models(info: FieldInfo) -> Iterator[type[BaseModel]]:
    """The models of what stands below a key: a section, the items of a list, members of a union."""
    for note in info.metadata:
        if isinstance(note, AsCore) and not isinstance(note, AsOverrides):
            yield note.section
            return
    for part in (info.annotation, *get_args(info.annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel) and part is not BaseModel:
            yield part


def absent(model: type[BaseModel], shown: list[Any], place: str) -> Iterator[str]:
    """Name each key that no shown mapping has."""
    for name, info in keys_of(model):
        found = [value for one in shown if (value := value_at(one, (name,))) is not NOTHING]
        if not found:
            yield f"{place}.{name}"
            continue
        items = [
            item for value in found for item in (value if isinstance(value, list) else [value])
        ]
        for inner in inner_models(info):
            fitting = [item for item in items if fits(inner, item)]
            if fitting or inner not in SHOWN_ONCE:
                yield from absent(inner, fitting, f"{place}.{name}")


def fits(model: type[BaseModel], value: Any) -> bool:
    kind = model.model_fields.get("kind")
    if not isinstance(value, Mapping):
        return False
    return kind is None or value.get("kind") in (*get_args(kind.annotation), *known_words(kind))


def known_words(info: FieldInfo) -> tuple[str, ...]:
    """A kind may be an enumeration instead of one literal word."""
    return tuple(getattr(info.annotation, "__members__", {}).values())


def workloads_of(shown: Any, kind: str) -> list[Any]:
    workloads = [stream["workload"] for stream in shown["streams"]]
    return [workload for workload in workloads if workload["kind"] == kind]


def test_every_setting_has_a_line(uncommented: Path) -> None:
    shown = raw(uncommented)
    assert list(absent(Settings, [shown], "")) == []
    for kind, model in WORKLOADS.items():
        assert list(absent(model, workloads_of(shown, kind), kind)) == []
    views = [workload["view"] for workload in workloads_of(shown, "command")]
    for inner, key in ((SceneSettings, "scenes"), (RegionSettings, "ignored")):
        assert (
            list(absent(inner, [item for view in views for item in view.get(key, ())], key)) == []
        )
    for kind, model in CHANNELS.items():
        mine = [channel for channel in shown["alerts"]["channels"] if channel["kind"] == kind]
        assert list(absent(model, mine, kind)) == []


RULER = "# " + "-" * 99
# Keys of plug-ins whose value in the example shows something, because their default is nothing.
SHOWS = {
    "env",
    "files",
    "setup",
    "start",
    "manager",
    "view",
    "audition",
    "signing_secret",
    "kind",
    "port",
    "name",
}


def test_the_commented_settings_show_defaults_too(uncommented: Path) -> None:
    shown = raw(uncommented)
    workload = next(s["workload"] for s in shown["streams"] if s["name"] == "duel")
    pairs = [(WORKLOADS["command"], workload)]
    pairs += [(CHANNELS[channel["kind"]], channel) for channel in shown["alerts"]["channels"]]
    for part in ("manager", "view", "audition"):
        info = WORKLOADS["command"].model_fields[part]
        pairs += [
            (model, workload[part]) for model in inner_models(info) if fits(model, workload[part])
        ]
    assert len(pairs) == 1 + len(CHANNELS) + 3
    for model, values in pairs:
        for name, info in model.model_fields.items():
            if name not in SHOWS and info.default is not PydanticUndefined and name in values:
                default = info.default
                expected = list(default) if isinstance(default, tuple) else default
                assert values[name] == expected, f"{model.__name__}.{name}"


def test_every_key_is_explained() -> None:
    """A key has a comment above it, or stands in a group of keys that has one.

    A section that is headed by a ruler needs no more words.
    """
    lines = EXAMPLE.read_text().splitlines()
    silent = []
    for number, line in enumerate(lines):
        if re.match(r"^ *(- )?[a-z_]+:", line):
            above = number - 1
            while above > 0 and re.match(r"^ *(- )?[a-z_]+:", lines[above]):
                above -= 1
            if not re.match(r"^ *# ", lines[above]) and lines[max(0, above - 1)] != RULER:
                silent.append(line)
    assert silent == []


@pytest.mark.parametrize("is_whole", [False, True], ids=["as it is", "uncommented"])
def test_editors_accept_it(tmp_path: Path, uncommented: Path, is_whole: bool) -> None:
    schema = tmp_path / "keeper.schema.json"
    schema.write_text(json.dumps(json_schema()))
    checker = Path(sys.executable).with_name("check-jsonschema")
    for arguments in (
        ["--check-metaschema", schema],
        ["--schemafile", schema, uncommented if is_whole else EXAMPLE],
    ):
        answer = subprocess.run(
            [str(checker), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_editors_mark_a_mistake(tmp_path: Path) -> None:
    schema = tmp_path / "keeper.schema.json"
    schema.write_text(json.dumps(json_schema()))
    bad = tmp_path / "bad.yaml"
    bad.write_text("streams: [{name: a, workload: {kind: sd-turbo, prot: 1}}]\nfleat: {}\n")
    checker = Path(sys.executable).with_name("check-jsonschema")
    answer = subprocess.run(
        [str(checker), "--schemafile", str(schema), str(bad)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert answer.returncode == 1
    assert "'fleat'" in answer.stdout
