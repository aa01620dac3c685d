"""The configuration: one file, the environment and credentials in; core values and plug-ins out.

Only bootstrap reads Settings; everybody else is given plain values. Whatever is wrong is reported
at once, each finding as ``file:line:col: what (did you mean …)``.
"""

from __future__ import annotations

from keeper.settings.channels import (
    build_channels,
    build_feeds,
    build_pulse,
    channel_kinds,
    channel_marks,
    hook_secrets,
)
from keeper.settings.desired import (
    build_workloads,
    canary_addresses,
    declared_windows,
    http_address,
    json_schema,
    redacted_dump,
    remaker,
    secrets_of,
    to_desired,
)
from keeper.settings.durations import parse_duration
from keeper.settings.local_files import unfit
from keeper.settings.reading import find_socket, load_settings
from keeper.settings.slates import declared_slates, slate_notes
from keeper.settings.tree import Settings, parse_address
from keeper.settings.views import aids_of

__all__ = [
    "Settings",
    "aids_of",
    "build_channels",
    "build_feeds",
    "build_pulse",
    "build_workloads",
    "canary_addresses",
    "channel_kinds",
    "channel_marks",
    "declared_slates",
    "declared_windows",
    "find_socket",
    "hook_secrets",
    "http_address",
    "json_schema",
    "load_settings",
    "parse_address",
    "parse_duration",
    "redacted_dump",
    "remaker",
    "secrets_of",
    "slate_notes",
    "to_desired",
    "unfit",
]
