"""A stream's slate as an operator writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from keeper.core.slate import SecondPublisher
from keeper.settings.durations import Duration, Whole
from keeper.settings.mirror import Section

# A publisher that dies with its keeper is gone by then, whatever has happened to both.
_AFTER_MIN_S = 15.0


def _even(number: int) -> int:
    if number % 2:
        raise PydanticCustomError("even", "must be even: the codec takes no other pictures")
    return number


def _colour(written: str) -> str:
    from PIL import ImageColor  # noqa: PLC0415 - only for who has a slate

    try:
        ImageColor.getrgb(written)
    except ValueError as error:
        raise PydanticCustomError("colour", "expected a colour like '#10141f'") from error
    return written


def _page(written: str) -> str:
    scheme, separator, rest = written.partition("://")
    if scheme not in {"http", "https"} or not separator or not rest.strip("/"):
        raise PydanticCustomError("url", "expected a URL like http://127.0.0.1:8080/stat")
    if "@" in rest.partition("/")[0]:
        raise PydanticCustomError("url", "no user and no password belong into this address")
    return written


_Text = Annotated[str, StringConstraints(max_length=300)]
_Colour = Annotated[str, AfterValidator(_colour), StringConstraints(max_length=40)]
_File = Annotated[Path, AfterValidator(Path.expanduser)]
_Side = Annotated[Whole, Field(ge=64, le=1920), AfterValidator(_even)]


class SlateSection(Section):
    """What viewers are shown by keeper itself while no host shows a picture, and where it goes."""

    ingest_url_secret: str  # the name of a secret: rtmp://host/app/KEY
    after_s: Annotated[Duration, Field(ge=_AFTER_MIN_S)] = 20.0
    on_max_s: Annotated[Duration, Field(gt=0)] = 7200.0
    second_publisher: SecondPublisher = SecondPublisher.REFUSED
    stat_url: Annotated[str, AfterValidator(_page)] | None = None  # nginx's page on its RTMP module
    title: _Text | None = None  # None: the stream's name
    subtitle: _Text = ""
    waiting: Annotated[str, StringConstraints(max_length=60)] = "Back soon"
    ending: Annotated[str, StringConstraints(max_length=60)] = "Any moment now"
    background: _Colour = "#10141f"
    foreground: _Colour = "#f4f6fb"
    accent: _Colour = "#5aa9ff"
    logo_file: _File | None = None
    font_file: _File | None = None
    width: _Side = 1280
    height: _Side = 720
    frames_per_s: Annotated[Whole, Field(ge=1, le=30)] = 12
    bitrate_bps: Annotated[Whole, Field(ge=50_000, le=8_000_000)] = 1_500_000
