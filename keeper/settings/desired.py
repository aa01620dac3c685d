"""What the rest of keeper gets of the settings: core values, plug-ins, and nothing of pydantic."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from keeper import workloads
from keeper.core.model import Desired, Stream, StreamName
from keeper.core.windows import Allowance
from keeper.daemon.windows import DeclaredWindow
from keeper.ports import Address
from keeper.settings.channels import secrets_named
from keeper.settings.document import Place
from keeper.settings.tree import (
    CANARIES,
    VAST_URL,
    Settings,
    StreamSection,
    WindowSection,
    parse_address,
)
from keeper.settings.views import address_secrets
from keeper.telemetry.secret_forms import in_address
from keeper.workloads import Workload, lull_of
from keeper.workloads.identity import Made, identify, make

# A word of an address of at least this many characters with digits in it is taken for a token.
_TOKEN_MIN = 16
_LULL_MAX_S = 3600.0


def to_desired(settings: Settings, key: bytes = b"") -> Desired:
    """Say what the operator declares, as core values. ``key``: for the marks of secrets."""
    built = build_workloads(settings)
    return Desired(
        streams=tuple(
            _stream(settings, section, built[StreamName(section.name)], key)
            for section in settings.streams
        ),
        fleet=settings.fleet,
    )


def _stream(settings: Settings, section: StreamSection, workload: Workload, key: bytes) -> Stream:
    needs, rental = workload.needs(section.offer), workload.rental()
    # The price of an offer depends on the disk asked for, so both must ask for the same.
    disk_gb = max(needs.disk_gb, rental.disk_gb)
    secrets = _secrets(settings, section.secrets)
    lull = lull_of(workload)
    deploy = identify(section.workload, secrets, disk_gb=disk_gb, key=key)
    return Stream(
        name=StreamName(section.name),
        replicas=section.replicas,
        mode=section.mode,
        needs=dataclasses.replace(needs, disk_gb=disk_gb),
        rental=dataclasses.replace(rental, disk_gb=disk_gb),
        policy=settings.policy_of(section),
        rungs=workload.rungs(),
        spend_max_dollars_per_hour=section.spend_max_dollars_per_hour,
        spend_max_dollars_per_day=section.spend_max_dollars_per_day,
        spend_max_dollars_per_month=section.spend_max_dollars_per_month,
        spend_max_dollars_total=section.spend_max_dollars_total,
        revision=deploy.name,
        recipe=deploy.recipe,
        parts=deploy.parts,
        rental_mark=deploy.rental_mark,
        lull_max_s=min(lull.bound_s, _LULL_MAX_S) if lull is not None else 0.0,
        recycle_after_s=section.recycle_after_s,
        spares=section.spares,
        objective=section.objective,
        publishers=section.publishers,
        has_replace_windows=any(
            window.allow is Allowance.REPLACE
            for window in (*settings.maintenance.windows, *section.windows)
        ),
    )


def remaker(settings: Settings, key: bytes) -> Callable[[StreamName, str], Made | None]:
    """Return what makes an earlier workload of a stream again, with the secrets of now."""
    named = {StreamName(section.name): section.secrets for section in settings.streams}

    def again(stream: StreamName, recipe: str) -> Made | None:
        return make(recipe, _secrets(settings, named.get(stream, ())), key=key)

    return again


def build_workloads(settings: Settings) -> Mapping[StreamName, Workload]:
    """Build each stream's workload, with the values of the secrets that the stream names."""
    return {
        StreamName(section.name): build_workload(settings, section) for section in settings.streams
    }


def build_workload(settings: Settings, section: StreamSection) -> Workload:
    """Build one stream's workload. ValueError: its plug-in refuses the settings."""
    plugin = workloads.registered()[_kind(section.workload)]
    return plugin.build(section.workload, _secrets(settings, section.secrets))


def secret_places(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Name every secret that is asked for by name, and where it is asked for."""
    for index, stream in enumerate(settings.streams):
        for at, name in enumerate(stream.secrets):
            yield ("streams", index, "secrets", at), name
        if stream.slate is not None:
            yield ("streams", index, "slate", "ingest_url_secret"), stream.slate.ingest_url_secret
    yield from address_secrets(settings)
    for index, channel in enumerate(settings.alerts.channels):
        for key, name in secrets_named(channel).items():
            yield ("alerts", "channels", index, key), name
    if settings.alerts.heartbeat.url_secret:
        yield ("alerts", "heartbeat", "url_secret"), settings.alerts.heartbeat.url_secret
    for key, name in secrets_named(settings.hooks).items():
        yield ("hooks", key), name


def _secrets(settings: Settings, names: Iterable[str]) -> Mapping[str, str]:
    """Give the values of some secrets and of no others."""
    return {name: settings.named_secrets[name].get_secret_value() for name in names}


def _kind(section: BaseModel) -> str:
    """Every plug-in's settings have a ``kind``; the registry says so."""
    return str(section.kind)  # type: ignore[attr-defined]


def declared_windows(settings: Settings) -> tuple[DeclaredWindow, ...]:
    """Say which maintenance windows there are, those of the fleet first."""
    found: list[tuple[StreamName | None, WindowSection]] = [
        (None, section) for section in settings.maintenance.windows
    ]
    found += [
        (StreamName(stream.name), section)
        for stream in settings.streams
        for section in stream.windows
    ]
    zone = settings.maintenance.time_zone
    return tuple(_window(stream, section, zone) for stream, section in found)


def _window(stream: StreamName | None, section: WindowSection, zone: str) -> DeclaredWindow:
    from keeper.daemon.cadence import CronOpenings  # noqa: PLC0415 - 80 ms that few files need

    return DeclaredWindow(
        name=section.name,
        openings=CronOpenings(section.cron, section.time_zone or zone),
        for_s=section.for_s,
        allow=section.allow,
        stream=stream,
    )


def canary_addresses(settings: Settings) -> tuple[Address, ...]:
    """Say whom to dial to know that this box's own network works; none: it is not asked."""
    written = settings.canary.addresses
    if written is not None:
        return tuple(parse_address(address) for address in written)
    # A marketplace elsewhere (a simulator, a proxy) may be all that this box can reach.
    return CANARIES if settings.vast.url == VAST_URL else ()


def http_address(settings: Settings) -> Address:
    """Say where the page listens; port 0 means any free one."""
    return parse_address(settings.http.listen)


def secrets_of(settings: Settings) -> frozenset[str]:
    """Give every secret's value, for the redactor.

    So it gives what looks like one inside an address, whatever the manual says of secrets in files.
    """
    named = (value.get_secret_value() for value in settings.named_secrets.values())
    written = (
        part
        for leaf in _leaves(settings)
        if _is_address(leaf)
        for part in in_address(leaf, word_min=_TOKEN_MIN)
    )
    return frozenset(value for value in (*named, *_secrets_in(settings), *written) if value)


def _secrets_in(value: Any) -> Iterator[str]:
    return (each.get_secret_value() for each in _leaves(value) if isinstance(each, SecretStr))


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and "://" in value and not any(map(str.isspace, value))


def _leaves(value: Any) -> Iterator[Any]:
    match value:
        case BaseModel():
            for name in type(value).model_fields:
                yield from _leaves(getattr(value, name))
        case Mapping():
            for item in value.values():
                yield from _leaves(item)
        case list() | tuple():
            for item in value:
                yield from _leaves(item)
        case _:
            yield value


def redacted_dump(settings: Settings) -> dict[str, Any]:
    """Write the settings in force as plain JSON values, secrets as stars."""
    return settings.model_dump(mode="json")


def json_schema() -> dict[str, Any]:
    """Describe the file for editors and checkers. Secrets are left out: they are not for the file."""
    schema = Settings.model_json_schema()
    _without_secrets(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "keeper's configuration",
    }


def _without_secrets(node: Any) -> None:
    """Remove every property that is a password, in place."""
    if isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict):
            for name in [key for key, value in properties.items() if _is_password(value)]:
                del properties[name]
                if name in node.get("required", ()):
                    node["required"].remove(name)
        if isinstance(node.get("default"), dict):
            del node["default"]  # a section's defaults are those of its keys
        for value in node.values():
            _without_secrets(value)
    elif isinstance(node, list):
        for value in node:
            _without_secrets(value)


def _is_password(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    choices = (node, *node.get("anyOf", ()))
    return any(isinstance(one, dict) and one.get("format") == "password" for one in choices)
