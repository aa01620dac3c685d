"""One number that stands for a configuration, so that a graph shows when and where it changed."""

from __future__ import annotations

import hashlib

from keeper.settings.tree import Settings

# A float holds 53 bits exactly; Alertmanager's alertmanager_config_hash takes as many bytes (read 2026-11).
_BYTES = 6


def fingerprint(settings: Settings) -> int:
    """Return the number: equal for equal configurations, on any box. Secrets take part by their names only."""
    digest = hashlib.sha256(settings.model_dump_json().encode()).digest()
    return int.from_bytes(digest[:_BYTES], "big")
