"""A tiny workload and a tiny channel, so that these tests need nobody else's plug-ins."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from keeper import alerts, workloads
from keeper.core.model import OfferNeeds, RentalSpec, Rung
from keeper.ports import Command, ConfigError
from keeper.settings import Settings, load_settings
from keeper.workloads import Drain, Step


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = "a cat"


class Pm2(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["pm2"] = "pm2"
    name: str = "app"


class Nobody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["none"]


class TinySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["tiny"]
    port: int = Field(default=8080, ge=1)
    image: str = "tiny:1"
    inner: Inner = Inner()
    keeper: Annotated[Pm2 | Nobody, Field(discriminator="kind")] = Pm2()
    env: Mapping[str, str] = Field(default_factory=dict)
    rest_s: float = 1.0
    ingest: Annotated[str, Field(pattern=r"^(\S+:\d+)?$")] = ""

    @field_validator("image")
    @classmethod
    def _is_made(cls, value: str) -> str:
        if value == "OLD_ONE":
            raise ValueError("OLD_ONE is not made any more")
        return value


class Tiny:
    """As much of a workload as the settings ask for."""

    kind = "tiny"

    def __init__(self, settings: TinySettings, secrets: Mapping[str, str]) -> None:
        if settings.image == "latest":
            raise ValueError("name a fixed image; latest is another one tomorrow")
        self.settings = settings
        self.secrets = secrets

    def rental(self) -> RentalSpec:
        return RentalSpec(image=self.settings.image, disk_gb=150.0)

    def needs(self, declared: OfferNeeds) -> OfferNeeds:
        return replace(declared, direct_ports_min=max(3, declared.direct_ports_min))

    def rungs(self) -> tuple[Rung, ...]:
        return (Rung.RESTART_PROCESS,)

    def drain(self) -> Drain:
        look = Command(name="look", script="exit 1")
        lull = Drain(begin=(), look=look, bound_s=9000.0)
        return Drain(begin=(look,), look=look, bound_s=20.0, is_restart=True, lull=lull)

    def deploy(self) -> tuple[Step, ...]:
        return ()


class BellSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["bell"]
    name: str
    rope_secret: str = "BELL_ROPE"
    spare_secret: str = ""


class Bell:
    """As much of a channel as the settings ask for."""

    def __init__(self, settings: BellSettings, secrets: Mapping[str, str]) -> None:
        self.name = settings.name
        self.secrets = secrets


@pytest.fixture(autouse=True)
def tiny_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    workloads.registered()
    alerts.registered_channels()
    tiny: Any = workloads.Registered(kind="tiny", settings=TinySettings, build=Tiny)  # type: ignore[arg-type]
    bell: Any = alerts.RegisteredChannel(kind="bell", settings=BellSettings, build=Bell)  # type: ignore[arg-type]
    monkeypatch.setitem(workloads._REGISTRY, "tiny", tiny)
    monkeypatch.setitem(alerts._CHANNELS, "bell", bell)


Load = Callable[..., Settings]
Problems = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Read a configuration text, with a key in the environment unless told otherwise."""

    def loaded(text: str = "", environ: Mapping[str, str] | None = None, **more: Any) -> Settings:
        path = tmp_path / "keeper.yaml"
        path.write_text(text)
        return load_settings(path, {"VAST_API_KEY": "k3y", **(environ or {})}, **more)

    return loaded


@pytest.fixture
def problems(load: Load, tmp_path: Path) -> Problems:
    """Read a bad configuration and give the report, with the file's name shortened."""

    def reported(text: str = "", environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, environ)
        return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return reported
