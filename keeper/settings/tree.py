"""The configuration as types: every section, every key, its default and its bounds.

Only shapes are here. Where values come from is sources.py, what contradicts what is crosschecks.py,
and what the core gets is desired.py.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from keeper.core.model import FleetPolicy, Mode, Objective, OfferNeeds, Policy, Publishers
from keeper.core.spare import Spares
from keeper.core.windows import Allowance
from keeper.ports import Address
from keeper.settings.durations import Duration, Number, Whole
from keeper.settings.local_files import NamedFile
from keeper.settings.mirror import AsCore, AsOverrides, Section
from keeper.settings.plugins import OfKind, channel_models, workload_models
from keeper.settings.slate_section import SlateSection

VAST_URL = "https://console.vast.ai"
# Who answers nearly always, by two owners and on a port that nearly every network lets out.
CANARIES = (Address(host="1.1.1.1", port=443), Address(host="8.8.8.8", port=443))


def parse_address(written: str) -> Address:
    """Read "host:port" or "[v6]:port"; an empty host means every address. Raises ValueError."""
    host, colon, port = written.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    is_port = port.isascii() and port.isdigit() and int(port) <= 65_535  # noqa: PLR2004 - TCP's limit
    if not colon or not is_port or (":" in host and not written.startswith("[")):
        raise ValueError(f"{written!r} is not an address: write host:port or [v6]:port")
    return Address(host=host or "0.0.0.0", port=int(port))  # noqa: S104 - only if so written


def _address(written: str) -> str:
    try:
        parse_address(written)
    except ValueError as error:
        raise PydanticCustomError("address", "{why}", {"why": str(error)}) from error
    return written


def _expanded(path: Path) -> Path:
    return path.expanduser()


def _web_address(written: str) -> str:
    scheme, separator, rest = written.partition("://")
    if scheme not in {"http", "https"} or not separator or not rest.strip("/"):
        raise PydanticCustomError("url", "expected a URL like https://console.vast.ai")
    if "@" in rest.partition("/")[0] or "?" in rest:
        # They would be shown wherever the address is, and the API key goes in a header.
        raise PydanticCustomError("url", "no user, password or query belongs into this address")
    host = rest.partition("/")[0].partition(":")[0].lower()
    if scheme == "http" and f".{host}".endswith(".vast.ai"):
        raise PydanticCustomError("url", "the API key would travel in the clear: write https://")
    return written.rstrip("/")


AddressText = Annotated[str, AfterValidator(_address)]
File = Annotated[Path, AfterValidator(_expanded)]
# A stream's name is part of labels, metric labels, file names and command lines.
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=40)]
# It becomes part of a variable's name and of a file's.
SECRET_NAMES = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class VastSection(Section):
    """The marketplace and the key to the account."""

    url: Annotated[str, AfterValidator(_web_address)] = VAST_URL
    api_key: SecretStr | None = None
    api_key_file: File | None = None
    timeout_s: Annotated[Duration, Field(gt=0)] = 30.0
    register_ssh_key: bool = True


class SshSection(Section):
    """How keeper reaches its hosts."""

    private_key_file: File | None = None  # None: keeper makes a key of its own in state_dir
    dials_max: Annotated[Whole, Field(ge=1)] = 8
    connect_timeout_s: Annotated[Duration, Field(gt=0)] = 15.0


class HttpSection(Section):
    """Where the page, the metrics and the API listen."""

    listen: AddressText = "127.0.0.1:9877"
    token: SecretStr | None = None
    token_file: File | None = None


class LogFormat(StrEnum):
    """How a log line looks."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The quietest line that is still written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogSection(Section):
    """What is written to standard output."""

    format: LogFormat = LogFormat.AUTO
    level: LogLevel = LogLevel.INFO


class CanarySection(Section):
    """How keeper knows that it is not its own network that is down."""

    # None, written "auto": public ones for the public marketplace, none for a private one.
    addresses: Annotated[
        tuple[AddressText, ...] | None,
        BeforeValidator(lambda value: None if value == "auto" else value),
        WithJsonSchema(
            {"anyOf": [{"const": "auto"}, {"type": "array", "items": {"type": "string"}}]}
        ),
    ] = None
    interval_s: Annotated[Duration, Field(gt=0)] = 30.0


def _cron(written: str) -> str:
    from keeper.daemon.cadence import check_openings  # noqa: PLC0415 - 80 ms that few files need

    try:
        check_openings(written, "UTC")
    except ValueError as error:
        raise PydanticCustomError("cron", "{why}", {"why": str(error)}) from error
    return written


def _cron_or_none(written: str) -> str:
    return _cron(written) if written else ""


def _time_zone(written: str) -> str:
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415 - as above

    try:
        ZoneInfo(written)
    except (OSError, ValueError, KeyError) as error:
        close = difflib.get_close_matches(written[:60], available_timezones(), n=1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        why = f"there is no time zone '{written[:60]}'{hint}"
        raise PydanticCustomError("time_zone", "{why}", {"why": why}) from error
    return written


class WindowSection(Section):
    """A maintenance window: when it opens, for how long, and what may be done in it."""

    name: Name
    cron: Annotated[str, AfterValidator(_cron)]
    for_s: Annotated[Duration, Field(gt=0, le=7 * 86_400)]
    time_zone: Annotated[str, AfterValidator(_time_zone)] | None = None  # None: the common one
    allow: Allowance


class MaintenanceSection(Section):
    """Windows of the whole fleet, and whose clock is meant in all of them."""

    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    windows: tuple[WindowSection, ...] = ()


class StreamSection(Section):
    """One stream: what runs, on what kind of host, how many times, for how much."""

    name: Name
    replicas: Annotated[Whole, Field(ge=0, le=100)] = 1
    mode: Mode = Mode.ACT
    spend_max_dollars_per_hour: Annotated[Number, Field(gt=0)] = 5.0
    spend_max_dollars_per_day: Annotated[Number, Field(gt=0)] | None = None
    spend_max_dollars_per_month: Annotated[Number, Field(gt=0)] | None = None
    spend_max_dollars_total: Annotated[Number, Field(gt=0)] | None = None
    offer: Annotated[OfferNeeds, AsCore(OfferNeeds)] = OfferNeeds()
    policy: Annotated[Mapping[str, Any], AsOverrides(Policy)] = Field(default_factory=dict)
    recycle_after_s: Annotated[Duration, Field(ge=3600)] | None = None
    spares: Annotated[Spares, AsCore(Spares)] = Spares()
    objective: Annotated[Objective, AsCore(Objective)] = Objective()
    publishers: Publishers = Publishers.SEVERAL
    windows: tuple[WindowSection, ...] = ()
    workload: Annotated[BaseModel, OfKind("workload", workload_models)]
    slate: SlateSection | None = None  # None: viewers are shown nothing by keeper itself
    secrets: tuple[str, ...] = ()


class DigestSection(Section):
    """When people get the week in numbers, through every channel that takes it."""

    cron: Annotated[str, AfterValidator(_cron_or_none)] = "0 8 * * mon"  # five fields; "": never
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"


class HeartbeatSection(Section):
    """An address that hears of every interval in which ticks finished: the dead man's switch of the ops box."""

    url_secret: str = ""  # name of the secret that holds it; "": none
    interval_s: Annotated[Duration, Field(ge=10, le=3600)] = 60.0


class HooksSection(Section):
    """Who may tell keeper that something may have changed. Each is a name of a secret; "": nobody."""

    vast_secret: str = ""  # the one that Vast.ai signs its notifications with
    alertmanager_secret: str = ""  # the bearer token that Alertmanager's webhook brings


class AlertsSection(Section):
    """When people are told, and where."""

    group_wait_s: Duration = 30.0
    group_interval_s: Duration = 300.0
    repeat_s: Annotated[Duration, Field(gt=0)] = 14_400.0
    resolved_after_s: Duration = 300.0
    page_url: str = ""  # where people reach keeper's page, for the links in messages
    runbooks_url: str = ""  # where docs/runbooks is served
    digest: DigestSection = DigestSection()
    heartbeat: HeartbeatSection = HeartbeatSection()
    channels: tuple[Annotated[BaseModel, OfKind("channel", channel_models)], ...] = ()


class ArchiveSection(Section):
    """How much is kept to be read later, in the state folder; the oldest goes first."""

    logs_max: Annotated[Whole, Field(ge=1, le=100_000)] = 200  # of deploys
    log_max_mb: Annotated[Number, Field(gt=0, le=1000)] = 4.0  # of one deploy
    bundles_max: Annotated[Whole, Field(ge=1, le=100_000)] = 100  # about hosts that have ended
    size_max_mb: Annotated[Number, Field(gt=0)] = 1000.0  # of all of it


Sources = Callable[[type[BaseSettings]], tuple[PydanticBaseSettingsSource, ...]]
# Set by load_settings for the moment of reading. Outside of it only explicit values count, so that
# a Settings made in a test never depends on the environment of whoever runs it.
SOURCES: ContextVar[Sources] = ContextVar("SOURCES", default=lambda _: ())


class Settings(BaseSettings):
    """The whole configuration. Made by ``load_settings``; only bootstrap reads it."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    vast: VastSection = VastSection()
    ssh: SshSection = SshSection()
    state_dir: File = Path("/var/lib/keeper")
    socket: File = Path("/run/keeper/keeper.sock")
    http: HttpSection = HttpSection()
    log: LogSection = LogSection()
    canary: CanarySection = CanarySection()
    fleet: Annotated[FleetPolicy, AsCore(FleetPolicy)] = FleetPolicy()
    policy: Annotated[Policy, AsCore(Policy)] = Policy()
    maintenance: MaintenanceSection = MaintenanceSection()
    streams: tuple[StreamSection, ...] = ()
    alerts: AlertsSection = AlertsSection()
    hooks: HooksSection = HooksSection()
    archive: ArchiveSection = ArchiveSection()
    retention_days: Annotated[Number, Field(gt=0)] = 30.0

    # Values of the secrets that streams and channels name. Part of equality: a changed secret is a
    # changed configuration. Never dumped.
    _secrets: Mapping[str, SecretStr] = PrivateAttr(default_factory=dict)
    # Files of this box that workloads name, for those who check them.
    _local_files: tuple[NamedFile, ...] = PrivateAttr(default=())

    @override
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take explicit values first, then the sources of this reading, in their order."""
        return (init_settings, *SOURCES.get()(settings_cls))

    @property
    def named_secrets(self) -> Mapping[str, SecretStr]:
        """Values of the secrets that streams and channels name."""
        return self._secrets

    def attach(self, secrets: Mapping[str, SecretStr]) -> None:
        """Take the values of named secrets; load_settings does, once."""
        self._secrets = dict(secrets)

    @property
    def local_files(self) -> tuple[NamedFile, ...]:
        """Files of this box that workloads are to be given, or are looked at by."""
        return self._local_files

    def note_local_files(self, files: tuple[NamedFile, ...]) -> None:
        """Take the files that workloads name; load_settings does, once."""
        self._local_files = files

    def policy_of(self, stream: StreamSection) -> Policy:
        """Give the numbers of one stream: the common ones with its own on top."""
        return dataclasses.replace(self.policy, **stream.policy)
