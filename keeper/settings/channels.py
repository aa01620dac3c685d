"""Whom keeper tells, as the settings declare it: channels, feeds, the heartbeat, and who may hint."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from keeper import alerts
from keeper.alerts import Channel, Feed
from keeper.daemon.declared import HookSecrets, Pulse
from keeper.settings.document import Place
from keeper.settings.tree import Settings

_MARK_LENGTH = 16
# What a kind of channel needs beyond keeper's own libraries: the library, and the extra, which is called alike.
_EXTRAS: Final[Mapping[str, str]] = MappingProxyType({"apprise": "apprise"})


def build_channels(settings: Settings) -> tuple[Channel, ...]:
    """Build the channels that people are told through."""
    built = (build_channel(settings, section) for section in settings.alerts.channels)
    return tuple(channel for channel, _ in built if channel is not None)


def build_feeds(settings: Settings) -> tuple[Feed, ...]:
    """Build the places that are shown what holds, and tell people themselves."""
    built = (build_channel(settings, section) for section in settings.alerts.channels)
    return tuple(feed for _, feed in built if feed is not None)


def build_channel(settings: Settings, section: BaseModel) -> tuple[Channel | None, Feed | None]:
    """Build one channel or feed. ValueError: its plug-in refuses the settings.

    Addresses of keeper's own pages that the section leaves out are those of ``alerts``.
    """
    plugin = alerts.registered_channels()[_kind(section)]
    shared = {"page_url": settings.alerts.page_url, "runbooks_url": settings.alerts.runbooks_url}
    lacking = {
        key: url
        for key, url in shared.items()
        if key in type(section).model_fields and not getattr(section, key)
    }
    if lacking:
        section = section.model_copy(update=lacking)
    secrets = _secrets(settings, secrets_named(section).values())
    return (
        None if plugin.build is None else plugin.build(section, secrets),
        None if plugin.build_feed is None else plugin.build_feed(section, secrets),
    )


def lacking_extras(settings: Settings) -> Iterator[tuple[tuple[Place, ...], str]]:
    """Find channels whose library is not there, with the command that brings it."""
    for index, section in enumerate(settings.alerts.channels):
        extra = _EXTRAS.get(_kind(section))
        if extra is not None and importlib.util.find_spec(extra) is None:
            yield (
                (("alerts", "channels", index, "kind"),),
                (
                    f"channel '{_name(section)}': the kind '{extra}' needs the extra {extra}, which is not "
                    f"installed: pip install 'vast-keeper[{extra}]'"
                ),
            )


def build_pulse(settings: Settings) -> Pulse | None:
    """Say whom the box tells that it lives; None: nobody."""
    asked = settings.alerts.heartbeat
    if not asked.url_secret:
        return None
    url = settings.named_secrets[asked.url_secret].get_secret_value()
    return Pulse(url=url, interval_s=asked.interval_s)


def hook_secrets(settings: Settings) -> HookSecrets:
    """Give what those who may hint prove themselves with."""
    values, hooks = settings.named_secrets, settings.hooks
    return HookSecrets(
        vast=values[hooks.vast_secret].get_secret_value() if hooks.vast_secret else "",
        alertmanager=(
            values[hooks.alertmanager_secret].get_secret_value()
            if hooks.alertmanager_secret
            else ""
        ),
    )


def channel_kinds(settings: Settings) -> Mapping[str, str]:
    """Say of which kind each channel is, by its name."""
    return {_name(section): _kind(section) for section in settings.alerts.channels}


def channel_marks(settings: Settings, key: bytes) -> Mapping[str, str]:
    """Mark how each channel is declared, secrets included, so that another declaration can be told.

    Without a key, of secrets only the names take part: a mark of a value in the clear could be guessed.
    """
    marks = {}
    for section in settings.alerts.channels:
        told = section.model_dump(mode="json")
        names = secrets_named(section).values()
        values = dict(_secrets(settings, names)) if key else {}
        text = json.dumps([told, sorted(names), sorted(values.items())], sort_keys=True)
        digest = hmac.new(key or b"-", text.encode(), hashlib.sha256).hexdigest()
        marks[_name(section)] = digest[:_MARK_LENGTH]
    return marks


def secrets_named(channel: BaseModel) -> Mapping[str, str]:
    """By convention a channel's key that ends in ``_secret`` holds the name of a secret."""
    keys = (key for key in type(channel).model_fields if key.endswith("_secret"))
    return {key: str(name) for key in keys if (name := getattr(channel, key))}


def _secrets(settings: Settings, names: Iterable[str]) -> Mapping[str, str]:
    """Give the values of some secrets and of no others."""
    return {name: settings.named_secrets[name].get_secret_value() for name in names}


def _name(section: BaseModel) -> str:
    return str(section.name)  # type: ignore[attr-defined]


def _kind(section: BaseModel) -> str:
    """Every plug-in's settings have a ``kind``; the registry says so."""
    return str(section.kind)  # type: ignore[attr-defined]
