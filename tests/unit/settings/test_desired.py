"""What the rest of keeper is given."""

import dataclasses
import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from keeper.core.model import FleetPolicy, Mode, OfferNeeds, Policy, Rung
from keeper.ports import Address
from keeper.settings import (
    Settings,
    build_channels,
    build_workloads,
    canary_addresses,
    http_address,
    json_schema,
    parse_address,
    redacted_dump,
    secrets_of,
    to_desired,
)
from keeper.settings.plugins import channel_models, workload_models
from tests.unit.settings.conftest import Load

TWO = """\
policy: {probe_interval_s: 20s, probe_stale_s: 1m}
fleet: {mass_failure_ratio: 0.5, quarantine_s: [1h, 1d]}
streams:
  - name: duel
    replicas: 2
    mode: suggest
    spend_max_dollars_per_hour: 9
    offer: {gpu_names: [RTX 4090], price_max_dollars_per_hour: 1.5}
    policy: {warmup_grace_s: 15m}
    workload: {kind: tiny, port: 8000}
    secrets: [ADMIN_CODE]
  - name: paint
    offer: {disk_gb: 300}
    workload: {kind: tiny}
"""


def test_streams_become_core_values(load: Load) -> None:
    desired = to_desired(load(TWO, {"KEEPER_SECRET_ADMIN_CODE": "x"}))
    duel, paint = desired.streams
    assert duel.slots == ("duel/0", "duel/1")
    assert (duel.mode, duel.spend_max_dollars_per_hour) == (Mode.SUGGEST, 9.0)
    assert duel.policy == Policy(probe_interval_s=20, probe_stale_s=60, warmup_grace_s=900)
    assert paint.policy == Policy(probe_interval_s=20, probe_stale_s=60)
    assert paint.mode is Mode.ACT
    assert desired.fleet == FleetPolicy(mass_failure_ratio=0.5, quarantine_s=(3600.0, 86_400.0))
    assert duel.rungs == (Rung.RESTART_PROCESS,)
    assert duel.lull_max_s == 3600.0, "nobody is waited for any longer"


def test_a_revision_is_that_of_what_is_deployed(load: Load) -> None:
    """The number of replicas or a price changes nothing on a host; a secret's value is not in it."""
    base = to_desired(load(TWO, {"KEEPER_SECRET_ADMIN_CODE": "x"})).streams
    same = to_desired(load(TWO, {"KEEPER_SECRET_ADMIN_CODE": "y"})).streams
    other = to_desired(
        load(TWO.replace("replicas: 2", "replicas: 3"), {"KEEPER_SECRET_ADMIN_CODE": "x"})
    )
    assert base[0].revision == same[0].revision == other.streams[0].revision
    assert len(base[0].revision) == 12
    assert base[0].revision != base[1].revision


def test_the_workload_adds_to_what_a_host_must_be(load: Load) -> None:
    duel, _ = to_desired(load(TWO, {"KEEPER_SECRET_ADMIN_CODE": "x"})).streams
    assert duel.needs == OfferNeeds(
        gpu_names=("RTX 4090",), price_max_dollars_per_hour=1.5, direct_ports_min=3, disk_gb=150.0
    )


def test_the_disk_that_is_priced_is_the_disk_that_is_rented(load: Load) -> None:
    duel, paint = to_desired(load(TWO, {"KEEPER_SECRET_ADMIN_CODE": "x"})).streams
    assert (duel.needs.disk_gb, duel.rental.disk_gb) == (150.0, 150.0)
    assert (paint.needs.disk_gb, paint.rental.disk_gb) == (300.0, 300.0)


def test_a_stream_gets_its_own_secrets_and_no_others(load: Load) -> None:
    environ = {"KEEPER_SECRET_ADMIN_CODE": "0pen", "KEEPER_SECRET_BELL_ROPE": "hemp"}
    channels = "alerts: {channels: [{kind: bell, name: ops}]}\n"
    settings = load(TWO + channels, environ)
    secrets = [workload.secrets for workload in build_workloads(settings).values()]  # type: ignore[attr-defined]
    assert secrets == [{"ADMIN_CODE": "0pen"}, {}]
    (bell,) = build_channels(settings)
    assert bell.secrets == {"BELL_ROPE": "hemp"}  # type: ignore[attr-defined]


def test_defaults_are_those_of_the_core(load: Load) -> None:
    settings = load("streams: [{name: a, workload: {kind: tiny}}]")
    assert settings.fleet == FleetPolicy()
    assert settings.policy == Policy()
    assert settings.streams[0].offer == OfferNeeds()
    assert settings.streams[0].policy == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [Address(host="1.1.1.1", port=443), Address(host="8.8.8.8", port=443)]),
        ("vast: {url: 'http://127.0.0.1:1'}", []),  # a simulator may be all that can be reached
        ("canary: {addresses: []}", []),
        ("canary: {addresses: ['box:1', '[::1]:2']}", [("box", 1), ("::1", 2)]),
    ],
)
def test_a_canary_is_asked_only_where_it_can_answer(
    load: Load, text: str, expected: list[Address | tuple[str, int]]
) -> None:
    wanted = [Address(host=a[0], port=a[1]) if isinstance(a, tuple) else a for a in expected]
    assert list(canary_addresses(load(text))) == wanted


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("127.0.0.1:9877", "127.0.0.1", 9877),
        ("[::1]:0", "::1", 0),
        (":80", "0.0.0.0", 80),
        ("box.lan:65535", "box.lan", 65535),
    ],
)
def test_an_address_is_read(written: str, host: str, port: int) -> None:
    assert parse_address(written) == Address(host=host, port=port)


@pytest.mark.parametrize(
    "written", ["", "9877", "box", "box:", "box:x", "box:65536", "::1:80", "box:-1", "box:٣"]
)
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        parse_address(written)


def test_the_page_listens_on_loopback_unless_told_otherwise(load: Load) -> None:
    assert http_address(load("")) == Address(host="127.0.0.1", port=9877)


def test_a_dump_is_plain_json_without_secrets(load: Load) -> None:
    settings = load(TWO, {"KEEPER_SECRET_ADMIN_CODE": "0pen", "KEEPER_HTTP__TOKEN": "t0ken"})
    dump = redacted_dump(settings)
    text = json.dumps(dump)
    assert not [secret for secret in ("k3y", "0pen", "t0ken") if secret in text]
    assert dump["vast"]["api_key"] == "**********"
    assert dump["ssh"]["private_key_file"] is None
    assert dump["streams"][0]["workload"]["port"] == 8000
    assert dump["streams"][0]["policy"] == {"warmup_grace_s": 900.0}
    assert dump["policy"]["probe_interval_s"] == 20.0


def test_a_path_may_begin_at_home(load: Load) -> None:
    assert load("state_dir: ~/keeper").state_dir == Path.home() / "keeper"


def test_the_schema_knows_every_kind_and_no_secret() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    assert '"const": "tiny"' in text
    assert '"const": "bell"' in text
    assert '"password"' not in text, "the format of a secret"
    assert "api_key_file" in text
    assert '"api_key"' not in text
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("kind", [*workload_models(), *channel_models()])
def test_a_plug_in_refuses_unknown_keys(kind: str) -> None:
    """Otherwise a mistyped key of a workload would be silently nothing."""
    settings: dict[str, type[BaseModel]] = {**workload_models(), **channel_models()}

    def models(model: type[BaseModel]) -> list[type[BaseModel]]:
        inner = [
            part
            for info in model.model_fields.values()
            for part in (info.annotation, *getattr(info.annotation, "__args__", ()))
            if isinstance(part, type) and issubclass(part, BaseModel)
        ]
        return [model, *(found for part in inner for found in models(part))]

    lax = [m for m in models(settings[kind]) if m.model_config.get("extra") != "forbid"]
    assert lax == []


def test_every_number_of_the_core_is_a_setting(load: Load) -> None:
    dump = redacted_dump(load(""))
    for section, source in (("fleet", FleetPolicy), ("policy", Policy)):
        assert set(dump[section]) == {field.name for field in dataclasses.fields(source)}


def test_what_looks_like_a_secret_in_an_address_is_hidden_like_one() -> None:
    settings = Settings.model_validate(
        {
            "alerts": {
                "channels": [
                    {
                        "kind": "webhook",
                        "name": "pager",
                        "url": "https://ops:paZZ%2Fw0rd@hook.example/v1/keeper?t=Zk39qLw7Xv2Bd5Tn&n=1",
                        "runbooks_url": "https://example.org/keeper/main/docs/runbooks",
                    }
                ]
            }
        }
    )
    assert secrets_of(settings) == {"paZZ%2Fw0rd", "paZZ/w0rd", "Zk39qLw7Xv2Bd5Tn"}
